"""One table of the heads of a backbone: size, accuracy with its interval, time, and whether a head is truly better than another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from lib.records import DataSetInfo, Latency
from lib.records.schema import CHANCE_HEAD
from lib.reporting.tables import shown, table_of
from lib.zoo.catalogue import HANDCRAFTED
from lib.zoo.comparison import (
    ALONE,
    REFERENCE,
    STUDENT,
    TABULAR,
    TEACHER,
    Answered,
    Comparison,
    Estimate,
    Paired,
    measured,
    paired,
)

FULL_SET = "severstal"
STUDY = (
    ("linear", 1_540, 0.9223),
    ("teacher (mlp)", 57_796, 0.9432),
    ("student", 26_852, 0.9377),
    ("linear, after self-supervised tuning", 1_540, 0.9249),
)
"""Head, parameters, accuracy: the original study on patches of all of Severstal's images, with its own split and network."""


@dataclass(frozen=True)
class Row:
    """One head. `compression`: parameters of the teacher over its own. `improvement`: over the linear probe of its backbone."""

    backbone: str
    head: str
    parameters: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    compression: float | None
    improvement: Paired | None
    head_latency: Latency | None
    latency: Latency | None


def rows_of(comparison: Comparison) -> list[Row]:
    """A row a pair: fewest parameters first, heads without any after them, the chance line of each backbone last."""
    rows = [_row(comparison, one) for one in comparison.answered]
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    return sorted(
        rows,
        key=lambda r: (backbones.index(r.backbone), r.head == CHANCE_HEAD, r.parameters == 0, r.parameters),
    )


def _row(comparison: Comparison, one: Answered) -> Row:
    reference, teacher = (comparison.of(one.backbone.name, head) for head in (REFERENCE, TEACHER))
    return Row(
        backbone=one.backbone.name,
        head=one.head,
        parameters=one.parameters,
        **measured(comparison.confusion(one)),
        compression=teacher.parameters / one.parameters if teacher and one.parameters else None,
        improvement=_against(comparison, one, reference),
        head_latency=one.head_latency,
        latency=one.latency,
    )


def _against(comparison: Comparison, one: Answered, other: Answered | None) -> Paired | None:
    if other is None or other is one:
        return None
    return paired(comparison.labels, one.answers, other.answers)


def compare_table(rows: list[Row], backbone: str) -> Table:
    """The heads of one backbone; times only where one was measured."""
    own = [row for row in rows if row.backbone == backbone]
    headings = ["<head", ">parameters", ">÷ teacher", ">accuracy % [95 %]", ">balanced %", ">macro F1", ">vs linear, points", ">p"]  # fmt: skip
    cells = [_cells(row) for row in own]
    if any(row.head_latency for row in own):
        headings += [">head ms 1 / 32", ">with backbone"]
        cells = [(*first, *_times(row)) for first, row in zip(cells, own, strict=True)]
    return table_of(headings, cells, title=backbone)


def _cells(row: Row) -> tuple[str, ...]:
    better = row.improvement
    return (
        row.head,
        f"{row.parameters:,}" if row.parameters else "—",
        shown(row.compression, "{:.1f}×"),
        percent(row.accuracy),
        percent(row.balanced_accuracy),
        f"{100 * row.macro_f1.value:.1f}",
        points(better) if better else "—",
        p_value(better.p_value) if better else "—",
    )


def _times(row: Row) -> tuple[str, str]:
    return milliseconds(row.head_latency, "{:.3f}"), milliseconds(row.latency, "{:.1f}")


def percent(one: Estimate) -> str:
    """`94.3 [92.1, 96.0]`."""
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def points(one: Paired) -> str:
    """`+2.1 [+0.5, +3.7]`."""
    difference = one.difference
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def p_value(p: float) -> str:
    """`.012`, `<.001`, `1`."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0") if p < 0.9995 else "1"


def milliseconds(latency: Latency | None, form: str) -> str:
    """Medians of one image and of 32."""
    if latency is None:
        return "—"
    return " / ".join(form.format(ms) for ms in (latency.batch1_median_ms, latency.batch32_median_ms))


def sentences(comparison: Comparison) -> list[str]:
    """How to read the table, what distillation bought, whether a network is needed, and what is not at hand."""
    info, n = comparison.data_set, len(comparison.labels)
    compared = sum(a.head not in (REFERENCE, CHANCE_HEAD) for a in comparison.answered)
    how = "each tested once by cross-validation" if info.split == "folds" else "of the set's own test part"
    told = [
        f"{n} images, {how}; intervals: bootstrap of these images; p: McNemar's exact test on the same images, "
        f"not corrected for {compared} comparisons"
    ]
    for backbone in dict.fromkeys(a.backbone.name for a in comparison.answered):
        told += _distilled(comparison, backbone)
        told += _needed(comparison, backbone)
    if any(a.head_latency is None for a in comparison.answered if a.head != CHANCE_HEAD):
        told.append("— under ms: the machine was never quiet enough to time it")
    return [*told, *comparison.left_out, *_study_sentences(info)]


def _distilled(comparison: Comparison, backbone: str) -> list[str]:
    student, alone = (comparison.of(backbone, head) for head in (STUDENT, ALONE))
    found = _against(comparison, student, alone) if student and alone else None
    if found is None:
        return []
    return [
        f"{backbone}: distillation brought the student {points(found)} points, p {p_value(found.p_value)}"
    ]


def _needed(comparison: Comparison, backbone: str) -> list[str]:
    network, statistics = comparison.of(backbone, TEACHER), comparison.of(HANDCRAFTED, TABULAR)
    if backbone == HANDCRAFTED or network is None or statistics is None:
        return []
    found = paired(comparison.labels, network.answers, statistics.answers)
    against = f"{statistics.name}, which needs no deep network"
    return [f"{network.name}: {points(found)} points against {against}, p {p_value(found.p_value)}"]


def is_severstal_patches(info: DataSetInfo) -> bool:
    """Whether these are patches of Severstal's images, all or some."""
    return (info.parent or "").startswith(FULL_SET) and "patches" in (info.derivation or "")


def _study_sentences(info: DataSetInfo) -> list[str]:
    if not is_severstal_patches(info) or info.parent == FULL_SET:
        return []
    return [
        f"the full Severstal set is not at hand: these {info.n_images} patches are cut from {info.parent}, and the original "
        "study's figures below come from patches of all 12,568 images, so the levels cannot be compared"
    ]


def study_table() -> Table:
    """The original study's figures."""
    rows = [
        (head, f"{n:,}", f"{STUDY[1][1] / n:.1f}×", f"{100 * a:.2f}", f"{100 * (a - STUDY[0][2]):+.2f}")
        for head, n, a in STUDY
    ]
    headings = ("<head", ">parameters", ">÷ teacher", ">accuracy %", ">against linear, points")
    return table_of(headings, rows, title="the original study, full Severstal patches")


def compare_json(comparison: Comparison) -> dict[str, Any]:
    """Everything that the tables, sentences and pictures show; accuracies and differences in [0, 1]."""
    rows = [
        {**asdict(row), **{name: getattr(row, name) for name in ("head_latency", "latency")}}
        for row in rows_of(comparison)
    ]
    study = [{"head": head, "parameters": n, "accuracy": a} for head, n, a in STUDY]
    return {
        "data_set": comparison.data_set,
        "tested": len(comparison.labels),
        "rows": rows,
        "confusion": {a.name: comparison.confusion(a) for a in comparison.answered},
        "sentences": sentences(comparison),
        "original_study": study if is_severstal_patches(comparison.data_set) else None,
    }
