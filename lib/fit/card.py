"""card.md: what the model was trained on, how good it is on which class, what it is bad at, what it costs, how to use it."""

from __future__ import annotations

from typing import Any

WEAK, NAMED = 0.7, 5


def card_text(report: dict[str, Any]) -> str:
    """The card as Markdown, from what fit.json says."""
    chosen, info = report["chosen"], report["data_set"]["info"]
    parts = [
        f"# {_cell(info['name'])}: {chosen['pair']}",
        *_warnings(report),
        "## What it is",
        _what(report),
        "## How good it is",
        _quality(report),
        "## What it is bad at",
        *_weak(report),
        "## What it costs",
        _costs(report["costs"]),
        "## How to use it",
        "```sh\n" + "\n".join(report["commands"]) + "\n```",
        _versions(report["versions"]),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(text: object) -> str:
    """Names from files inside a table: no line breaks, no column signs, no markup."""
    plain = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "|\\`*_<>[]#" else c for c in plain)


def _warnings(report: dict[str, Any]) -> list[str]:
    return [f"> **{_cell(sentence)}**" for sentence in report["warnings"] if "RANDOM" in sentence]


def _what(report: dict[str, Any]) -> str:
    info, chosen = report["data_set"]["info"], report["chosen"]
    lines = [
        f"Trained on {info['n_images']} images of {_cell(info['name'])} ({info['task']}, classes "
        f"{', '.join(map(_cell, info['classes']))}). Put aside to test on: {_cell(report['data_set']['test_part'])}.",
        "",
        "| backbone | head | fine-tuned | weights' licence | source | parameters |",
        "| --- | --- | --- | --- | --- | ---: |",
    ]
    for one in chosen["members"]:
        tuned = "yes" if one["finetuned"] else "no"
        lines.append(
            f"| {_cell(one['backbone'])} | {one['head']} | {tuned} | {_cell(one['weights_licence'])} | "
            f"{_cell(one['weights_source'])} | {one['parameters']:,} |"
        )
    lines += ["", f"Why this one: {_cell(chosen['reason'])}."]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _quality(report: dict[str, Any]) -> str:
    test, validation = report["test"], report["chosen"]["validation"]
    lines = [
        f"{test['metric']} on {test['n_test']} test images that nothing was chosen on: **{_shown(test['value'])}** (95 % "
        f"{_shown(test['low'])} to {_shown(test['high'])}).",
    ]
    if validation:
        lines[0] += f" On the folds that chose: {_shown(validation['value'])}."
    columns = ("recall", "precision", "dice", "iou")
    there = [name for name in columns if any(name in one for one in test["per_class"].values())]
    if there:
        lines += [
            "",
            "| class | " + " | ".join(there) + " | test images |",
            "| --- |" + " ---: |" * (len(there) + 1),
            *(
                f"| {_cell(name)} | " + " | ".join(_shown(one.get(c)) for c in there) + f" | {one['n']} |"
                for name, one in test["per_class"].items()
            ),
        ]
    return "\n".join(lines)


def _weak(report: dict[str, Any]) -> list[str]:
    found = []
    for name, one in report["test"]["per_class"].items():
        value = one.get("recall", one.get("dice"))
        if value is not None and one["n"] and value < WEAK:
            what = "recall" if "recall" in one else "dice"
            found.append((value, f"- {_cell(name)}: {what} {value:.2f} of {one['n']} test images"))
    lines = [line for _, line in sorted(found)]
    lines += [f"- {line}" for line in _confusions(report["test"])]
    lines.append(
        "- Images unlike the training ones: `distance` in its answers says so; the limit is what 99 % of them stay below."
    )
    return ["\n".join(lines)]


def _confusions(test: dict[str, Any]) -> list[str]:
    matrix, classes = test["confusion"], test["classes"]
    if not matrix or len(matrix) != len(classes):
        return []
    pairs = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    return [
        f"{_cell(classes[i])} taken for {_cell(classes[j])}: {n} of {sum(matrix[i])}"
        for n, i, j in sorted(pairs, reverse=True)[:NAMED]
    ]


def _costs(costs: dict[str, Any]) -> str:
    return (
        f"{costs['parameters']:,} parameters, {costs['model_bytes'] / 1e6:.1f} MB, {costs['latency_ms']:.1f} ms for one image in "
        f"ONNX Runtime on the machine it was made on, as busy as that was. It was found and trained in {costs['seconds']:.0f} s."
    )


def _versions(versions: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in versions["versions"].items())
    return f"Made with cv-automl {versions['project_version']} on {versions['device']}: {libraries}."
