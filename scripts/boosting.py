"""Predict pairs on data sets nobody has run: train CatBoost on our run records, judge it on left-out data sets, explain it."""

from __future__ import annotations

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # matrices are tiny here: threads cost more than they bring

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import echo_json, run_command, settings_options
from lib.config import Settings
from lib.errors import CvAutomlError

if TYPE_CHECKING:
    from lib.performance_prediction.boosting.booster import Booster
    from lib.performance_prediction.boosting.evidence import Evidence
    from lib.records import DataSetFacts


@click.group()
def boosting() -> None:
    """CatBoost on data-set features, pair features and ALS embeddings, beside the trivial rivals it must beat."""


def evidence_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose the runs."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option("--seed", default=0, show_default=True),
        click.option(
            "--task", type=click.Choice(["classification", "segmentation"]), help="[the one with most runs]"
        ),
        click.option("--domain", help="Only data sets of this domain [all]."),
        click.option(
            "--epoch", type=click.IntRange(min=1), help="Quality after this epoch [each run's last]."
        ),
    ):
        command = option(command)
    return command


@boosting.command()
@evidence_options
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="Also write the feature table here, one row a finished run.",
)
@settings_options
def train(
    epoch: int | None,
    domain: str | None,
    task: Any,
    seed: int,
    as_json: bool,
    table: Path | None,
    settings: Settings,
) -> None:
    """Fit CatBoost on every run; saves the model (.cbm) and the list of its features (.json)."""
    from lib.performance_prediction.als.zoo_completion_files import writing
    from lib.performance_prediction.boosting.booster import CatBoostPredictor
    from lib.performance_prediction.boosting.files import save_booster
    from lib.performance_prediction.boosting.run_table import run_table

    evidence, facts = _evidence(settings, epoch, domain, task)
    booster = CatBoostPredictor().fit(evidence, facts, seed)
    files: list[Path] = []
    writing(settings.out_dir, lambda: files.extend(save_booster(booster, evidence, settings.out_dir)))
    if table:
        writing(table.parent, lambda: run_table(evidence, facts).to_csv(table, index=False))
        files.append(table)
    setting = booster.setting
    if as_json:
        echo_json(
            {
                "runs": len(evidence.runs),
                "features": booster.features,
                "setting": vars(setting),
                "files": files,
            }
        )
        return
    click.echo(
        f"trained on {len(evidence.runs)} runs ({len(evidence.cells)} cells) of {len(evidence.data_sets)} data sets with "
        f"{len(booster.features)} features; chosen: departures in {setting.scale}, depth {setting.depth}, {setting.iterations} trees, not looked at: {', '.join(booster.leave_out) or 'nothing'}"
    )
    _say(evidence.left_out)
    for file in files:
        click.echo(f"wrote {file}")


@boosting.command()
@evidence_options
@click.option(
    "--ablation/--no-ablation",
    default=True,
    show_default=True,
    help="Judge CatBoost without each feature group.",
)
@settings_options
def evaluate(
    epoch: int | None,
    domain: str | None,
    task: Any,
    seed: int,
    as_json: bool,
    ablation: bool,
    settings: Settings,
) -> None:
    """Leave every data set out once, relatives with it: error, ranking, regret, coverage beside the rivals. Trains the model too."""
    from rich.console import Console

    from lib.performance_prediction.als.zoo_completion_files import writing
    from lib.performance_prediction.boosting.booster import CatBoostPredictor, ProbedCatBoostPredictor
    from lib.performance_prediction.boosting.evaluate import evaluate as judge_all
    from lib.performance_prediction.boosting.files import save_booster
    from lib.performance_prediction.boosting.judgement import save_judgement
    from lib.reporting.boosting import by_family_table, judgement_tables

    evidence, facts = _evidence(settings, epoch, domain, task)
    with Console(stderr=True).status("training on every run …") as status:
        booster = CatBoostPredictor().fit(evidence, facts, seed)
        boosters = [
            booster,
            *([ProbedCatBoostPredictor().fit(evidence, facts, seed)] if _probed(facts) else []),
        ]
        ablated = booster.setting if ablation else None
        judgement = judge_all(
            evidence, facts, seed, ablated, lambda family: status.update(f"without {family} …")
        )
    files: list[Path] = []
    writing(settings.out_dir, lambda: files.append(save_judgement(judgement, settings.out_dir, domain)))
    for trained in boosters:
        writing(settings.out_dir, lambda b=trained: files.extend(save_booster(b, evidence, settings.out_dir)))  # type: ignore[misc]
    if as_json:
        echo_json(
            {
                **judgement.model_dump(mode="json", exclude={"cells"}),
                "notes": evidence.left_out,
                "files": files,
            }
        )
        return
    console = Console()
    console.print(by_family_table(judgement))
    console.print(judgement_tables(judgement))
    _say(evidence.left_out)
    for file in files:
        click.echo(f"wrote {file}")


@boosting.command()
@click.argument("data_set", required=False)
@evidence_options
@click.option("--pair", help="Only this pair, e.g. 'resnet18 × linear' (x for × is fine).")
@settings_options
def explain(
    data_set: str | None,
    epoch: int | None,
    domain: str | None,
    task: Any,
    seed: int,
    as_json: bool,
    pair: str | None,
    settings: Settings,
) -> None:
    """SHAP values as a picture and in words: of DATA_SET (a folder, or a name with runs), or of the model as a whole."""
    from lib.performance_prediction.als.zoo_completion_files import writing
    from lib.performance_prediction.boosting.explain import explain_model, explain_set
    from lib.reporting.boosting import MOST_BARS, draw_explanation

    evidence, facts = _evidence(settings, epoch, domain, task)
    booster = _booster(evidence, facts, settings, seed)
    pairs = _chosen_pairs(booster, pair)
    known = {name: facts[name] for name in evidence.data_sets if name in facts}
    if data_set is None:
        explanation = explain_model(booster, known, pairs)
    else:
        new = known.get(data_set) or _facts_of_folder(data_set, settings)
        explanation = explain_set(booster, new, known, pairs)
    stem = "".join(c if c.isalnum() or c in "-_@" else "_" for c in explanation.subject)
    picture = settings.out_dir / f"explain_{evidence.task}_{stem}.png"
    writing(settings.out_dir, lambda: draw_explanation(explanation, picture))
    if as_json:
        top = [vars(contribution) for contribution in explanation.contributions]
        echo_json(
            {
                "subject": explanation.subject,
                "sentence": explanation.sentence,
                "contributions": top,
                "files": [picture],
            }
        )
        return
    click.echo(explanation.sentence)
    for contribution in explanation.contributions[:MOST_BARS]:
        click.echo(f"  {contribution.effect:+.4f}  {contribution.feature}: {contribution.words}")
    click.echo(f"wrote {picture}")


def _evidence(
    settings: Settings, epoch: int | None, domain: str | None, task: Any
) -> tuple[Evidence, dict[str, DataSetFacts]]:
    from lib.performance_prediction.boosting.evidence import gather_evidence
    from lib.records import RecordStore

    store = RecordStore(settings.runs_dir)
    records, broken = store.read_all()
    facts, broken_facts = store.read_facts()
    for entry in [*broken, *broken_facts]:
        click.echo(f"note: skipped {entry.path}: {entry.reason}", err=True)
    return gather_evidence(records, epoch, domain, task, settings.related_data_sets), facts


def _probed(facts: dict[str, DataSetFacts]) -> bool:
    return any(entry.landmarks for entry in facts.values())


def _booster(evidence: Evidence, facts: dict[str, DataSetFacts], settings: Settings, seed: int) -> Booster:
    from lib.performance_prediction.boosting.booster import CatBoostPredictor
    from lib.performance_prediction.boosting.files import load_booster

    return load_booster(settings.out_dir, evidence) or CatBoostPredictor().fit(evidence, facts, seed)


def _chosen_pairs(booster: Booster, wanted: str | None) -> list[Any]:
    if wanted is None:
        return list(booster.pairs)
    from lib.registry import unknown_name

    by_label = {pair.label: pair for pair in booster.pairs}
    label = " × ".join(part.strip() for part in wanted.replace(" x ", "×").split("×"))
    if label not in by_label:
        raise CvAutomlError(unknown_name("pair", label, list(by_label)))
    return [by_label[label]]


def _facts_of_folder(folder: str, settings: Settings) -> DataSetFacts:
    from lib.datasets import load_data_set
    from lib.features.meta import data_set_facts

    return data_set_facts(load_data_set(folder, settings))


def _say(notes: tuple[str, ...]) -> None:
    for note in notes:
        click.echo(f"note: {note}")


if __name__ == "__main__":
    run_command(boosting)
