"""Predict pairs on data sets nobody has run: train CatBoost on our run records, judge it on left-out data sets, explain it."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are tiny: threads cost more than they bring

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lib.command_line import (
    DURATION,
    domains_option,
    echo_json,
    epoch_option,
    json_option,
    metric_option,
    run_command,
    seed_option,
    settings_options,
    task_option,
    tell_skipped,
)
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.files import write_atomically, writing
from lib.performance_prediction.boosting.booster import (
    Booster,
    CatBoostPredictor,
    ProbedCatBoostPredictor,
    ablate,
)
from lib.performance_prediction.boosting.evidence import Evidence, read_evidence
from lib.performance_prediction.boosting.explain import explain_model, explain_set
from lib.performance_prediction.boosting.features import run_table
from lib.performance_prediction.boosting.files import load_booster, save_booster
from lib.performance_prediction.boosting.judgement import judge
from lib.performance_prediction.boosting.probe_choice import choose_probes
from lib.performance_prediction.boosting.row_model import RowModel
from lib.performance_prediction.boosting.saved_row import SavedRowModel
from lib.records import DataSetFacts
from lib.registry import unknown_name
from lib.reporting.boosting import MOST_BARS, draw_explanation, judgement_view


@click.group()
def boosting() -> None:
    """CatBoost on data-set features, pair features and ALS embeddings, beside the simple rivals it must beat."""


def with_evidence(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose the runs; the command receives `evidence`, `seed`, `as_json` and `settings`."""

    @json_option
    @seed_option()
    @task_option("[the one with most runs]")
    @domains_option()
    @epoch_option()
    @metric_option("What is predicted [accuracy; masks: dice].")
    @settings_options
    @functools.wraps(command)
    def with_options(
        *, epoch: Any, domains: Any, task: Any, metric: Any, settings: Settings, **rest: Any
    ) -> Any:
        evidence = read_evidence(settings, epoch, domains, task, metric, tell_skipped)
        return command(evidence=evidence, settings=settings, **rest)

    return with_options


@boosting.command()
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="Also write the feature table here, one row a finished run.",
)
@with_evidence
def train(evidence: Evidence, seed: int, as_json: bool, table: Path | None, settings: Settings) -> None:
    """Fit CatBoost on every run; saves the model (.cbm) and the list of its features (.json)."""
    booster, setting = (fitted := CatBoostPredictor().fit(evidence, seed)), fitted.setting
    files = writing(settings.out_dir, lambda: save_booster(booster, evidence, settings.out_dir))
    if table:
        table.parent.mkdir(parents=True, exist_ok=True)
        writing(table.parent, lambda: write_atomically(table, run_table(evidence).to_csv(index=False)))
        files.append(table)
    if as_json:
        runs = len(evidence.runs)
        echo_json({"runs": runs, "features": booster.features, "setting": vars(setting), "files": files})
        return
    click.echo(
        f"trained on {len(evidence.runs)} runs ({len(evidence.cells)} cells) of {len(evidence.data_sets)} data sets with "
        f"{len(booster.features)} features; chosen: departures in {setting.scale}, depth {setting.depth}, "
        f"{setting.iterations} trees, not looked at: {', '.join(setting.leave_out) or 'nothing'}"
    )
    _say(evidence, files)


@boosting.command()
@click.option(
    "--ablation/--no-ablation",
    default=True,
    show_default=True,
    help="Judge CatBoost without each feature group.",
)
@with_evidence
def evaluate(evidence: Evidence, seed: int, as_json: bool, ablation: bool, settings: Settings) -> None:
    """Leave every data set out once, relatives with it, with nothing known of it and with what a probe would measure: error,
    ranking, regret beside its noise floor, coverage; who will answer, and why. Trains the models too."""
    with Console(stderr=True).status("leaving families out …") as status:

        def show(families: str) -> None:
            status.update(f"without {families} …")

        judgement = judge(evidence, seed=seed, on_step=show)
        boosters = [CatBoostPredictor().fit(evidence, seed)]
        if "probed" in judgement.regimes:
            boosters.append(ProbedCatBoostPredictor().fit(evidence, seed))
        if ablation:
            lines, skipped = ablate(evidence, boosters[0].setting, seed, show)
            judgement = judgement.model_copy(update={"ablation": lines, "skipped_ablations": skipped})
    out = settings.out_dir
    files = [writing(out, lambda: judgement.save(out, evidence))]
    for booster in boosters:
        files += writing(out, functools.partial(save_booster, booster, evidence, out))
    row_model = SavedRowModel.of(RowModel().fit(evidence, seed), evidence)
    files.append(writing(out, lambda: row_model.save(out, evidence)))
    if as_json:
        said = judgement.model_dump(mode="json", exclude={"regimes": {"__all__": {"cells"}}})
        echo_json({**said, "notes": evidence.left_out, "files": files})
        return
    Console().print(judgement_view(judgement))
    _say(evidence, files)


@boosting.command()
@click.option(
    "--seconds",
    type=DURATION,
    default="20s",
    show_default=True,
    help="For the images that a probe looks at, at most 250.",
)
@with_evidence
def probes(evidence: Evidence, seed: int, as_json: bool, seconds: float, settings: Settings) -> None:
    """Which networks a probe should look through within a time: those whose cells tell most about all other pairs."""
    choice = choose_probes(evidence, seconds)
    if as_json:
        return echo_json(asdict(choice))
    table = Table("network", "seconds so far", "error of the other pairs, families left out")
    table.add_row("none", "0", f"{choice.error_without:.4f}")
    for step in choice.steps:
        table.add_row(step.backbone, f"{step.seconds:.0f}", f"{step.error:.4f}")
    Console().print(table)


@boosting.command()
@click.argument("data_set", required=False)
@click.option("--pair", help="Only this pair, e.g. 'resnet18 × linear' (x for × is fine).")
@with_evidence
def explain(
    data_set: str | None, evidence: Evidence, seed: int, as_json: bool, pair: str | None, settings: Settings
) -> None:
    """SHAP values as a picture and in words: of DATA_SET (a folder, or a name with runs), or of the model as a whole."""
    booster = load_booster(settings.out_dir, evidence) or CatBoostPredictor().fit(evidence, seed)
    pairs, known = _chosen_pairs(booster, pair), evidence.facts
    if data_set is None:
        explanation = explain_model(booster, known, pairs)
    else:
        new = known.get(data_set) or _facts_of_folder(data_set, settings)
        explanation = explain_set(booster, new, known, pairs)
    stem = "".join(c if c.isalnum() or c in "-_@" else "_" for c in explanation.subject)
    picture = settings.out_dir / f"explain_{evidence.task}_{stem}.png"
    writing(settings.out_dir, lambda: draw_explanation(explanation, picture))
    if as_json:
        said = {**vars(explanation), "contributions": [vars(c) for c in explanation.contributions]}
        echo_json({**said, "files": [picture]})
        return
    click.echo(explanation.sentence)
    for contribution in explanation.contributions[:MOST_BARS]:
        click.echo(f"  {contribution.effect:+.4f}  {contribution.feature}: {contribution.words}")
    click.echo(f"wrote {picture}")


def _chosen_pairs(booster: Booster, wanted: str | None) -> list[Any]:
    if wanted is None:
        return list(booster.pairs)

    by_label = {pair.label: pair for pair in booster.pairs}
    label = " × ".join(part.strip() for part in wanted.replace(" x ", "×").split("×"))
    if label not in by_label:
        raise CvAutomlError(unknown_name("pair", label, list(by_label)))
    return [by_label[label]]


def _facts_of_folder(folder: str, settings: Settings) -> DataSetFacts:
    from lib.datasets import load_data_set
    from lib.features.meta import data_set_facts

    return data_set_facts(load_data_set(folder, settings))


def _say(evidence: Evidence, files: list[Path]) -> None:
    for note in evidence.left_out:
        click.echo(f"note: {note}")
    for file in files:
        click.echo(f"wrote {file}")


if __name__ == "__main__":
    run_command(boosting)
