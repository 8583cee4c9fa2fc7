"""The leaderboard: one line a pair and recipe, ordered by the validation parts, reported on the test parts; and the overview."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from lib.errors import TooLittleDataError
from lib.records import CHANCE_HEAD, RunRecord
from lib.records.schema import METRICS, Metric
from lib.registry import unknown_name

SortKey = Literal["quality", "parameters", "latency", "training"]


@dataclass(frozen=True)
class LeaderboardRow:
    """One pair under one recipe on one data set.

    `validation`: mean over folds and seeds on the validation parts, what pairs are ordered by; None where there are none.
    `quality`: the same on the test parts; `standard_error`: how far it would vary with other images (None before the last
    epoch); `spread`: its standard deviation (n − 1) over seeds, None for one. `parameters`: backbone and head. `latency_ms`:
    batch of one, median. `training_s`: all folds, median over seeds, features left out; `features_s` is what they cost once.
    """

    backbone: str
    head: str
    recipe: str
    metric: Metric
    validation: float | None
    quality: float
    standard_error: float | None
    spread: float | None
    n_seeds: int
    parameters: int
    latency_ms: float | None
    training_s: float
    features_s: float
    weights: str
    random_weights: bool


@dataclass(frozen=True)
class Leaderboard:
    """The ordered rows of one data set, and beside them the chance line: what answering without looking reaches."""

    rows: tuple[LeaderboardRow, ...]
    chance: LeaderboardRow | None = None


@dataclass(frozen=True)
class DataSetRow:
    """One data set in the overview. `best`: the first pair of its leaderboard, random weights left out where others exist."""

    data_set: str
    domain: str
    task: str
    procedural: bool
    n_images: int
    finished: int
    failed: int
    incompatible: int
    best: LeaderboardRow | None
    chance_quality: float | None


def leaderboard(
    records: Iterable[RunRecord],
    data_set: str,
    epoch: int | None = None,
    sort: SortKey = "quality",
    metric: Metric | None = None,
) -> Leaderboard:
    """Rows of one data set, best on validation first (for parameters, latency and training: least first, unknown last).

    Raises TooLittleDataError where the data set has no runs, or none that measured `metric` at `epoch`.
    """
    records = list(records)
    of_this = [record for record in records if record.data_set.name == data_set]
    if not of_this:
        known = sorted({record.data_set.name for record in records})
        if not known:
            raise TooLittleDataError(
                f"no runs of '{data_set}': there are no runs yet, `zoo.py run` makes them"
            )
        raise TooLittleDataError(f"there are no runs of it: {unknown_name('data set', data_set, known)}")
    rows = _rows(of_this, epoch, metric)
    if not rows and any(record.status == "finished" for record in of_this):
        raise TooLittleDataError(_unmeasured(of_this[0], epoch, metric))
    return _board(rows, sort)


def _unmeasured(record: RunRecord, epoch: int | None, metric: Metric | None) -> str:
    known = METRICS[record.data_set.task]
    if metric and metric not in known:
        return f"'{record.data_set.name}' is {record.data_set.task}: its metrics are {', '.join(known)}"
    when = f" at epoch {epoch}: ask for an earlier one" if epoch else ""
    return f"no run of '{record.data_set.name}' was measured{when}"


def _board(rows: Iterable[LeaderboardRow], sort: SortKey) -> Leaderboard:
    ordered = sorted(rows, key=SORT_KEYS[sort])
    chance = next((row for row in ordered if row.head == CHANCE_HEAD), None)
    return Leaderboard(tuple(row for row in ordered if row.head != CHANCE_HEAD), chance)


def _rows(
    records: Sequence[RunRecord], epoch: int | None, metric: Metric | None = None
) -> list[LeaderboardRow]:
    groups: defaultdict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.quality(epoch, metric) is not None:
            recipe = record.recipe.model_dump_json()
            weights = record.backbone.weights_hash
            split = record.data_set.split_hash
            groups[record.backbone.name, weights, record.head.name, recipe, split].append(record)
    return [_row(group, epoch, metric) for group in groups.values()]


def _row(group: Sequence[RunRecord], epoch: int | None, metric: Metric | None) -> LeaderboardRow:
    # A seed may have been run twice, e.g. before and after labels were corrected: the latest run counts.
    by_seed = {record.seed: record for record in sorted(group, key=lambda r: r.environment.started_at)}
    runs = list(by_seed.values())
    qualities = [quality for r in runs if (quality := r.quality(epoch, metric)) is not None]
    first = group[0]
    at_the_end = epoch in (None, first.recipe.epochs)
    return LeaderboardRow(
        backbone=first.backbone.name,
        head=first.head.name,
        recipe=_recipe_in_words(first),
        metric=metric or first.metric_name,
        validation=_mean(r.quality(epoch, metric, "validation") for r in runs),
        quality=statistics.fmean(qualities),
        standard_error=_mean(r.standard_error(metric) for r in runs) if at_the_end else None,
        spread=statistics.stdev(qualities) if len(qualities) > 1 else None,
        n_seeds=len(qualities),
        parameters=first.backbone.parameters + first.head.parameters,
        latency_ms=_median(r.latency.batch1_median_ms for r in runs if r.latency),
        training_s=statistics.median(record.timing.training_s for record in runs),
        features_s=statistics.median(record.timing.features_s for record in runs),
        weights=first.backbone.weights_origin,
        random_weights=first.backbone.weights_origin == "random",
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.median(known) if known else None


def _recipe_in_words(record: RunRecord) -> str:
    recipe, split = record.recipe, record.data_set
    some = "" if len(recipe.folds) == split.n_folds else f"{len(recipe.folds)} of "
    parts = "own split" if split.split == "own" else f"{some}{split.n_folds} folds"
    return f"{recipe.epochs} epochs, {'finetuned' if recipe.finetune else 'frozen'}, {parts}"


def _best_first(row: LeaderboardRow) -> tuple[float, int, str, str]:
    return (1.0 if row.validation is None else -row.validation), row.parameters, row.backbone, row.head


def _unknown_last(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0


SORT_KEYS: dict[SortKey, Callable[[LeaderboardRow], Any]] = {
    "quality": _best_first,
    "parameters": lambda row: (row.parameters, _best_first(row)),
    "latency": lambda row: (_unknown_last(row.latency_ms), _best_first(row)),
    "training": lambda row: (row.training_s, _best_first(row)),
}


def overview(
    records: Iterable[RunRecord], epoch: int | None = None, metric: Metric | None = None
) -> list[DataSetRow]:
    """One row a data set, by name. Raises TooLittleDataError where there are no records at all."""
    groups: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.data_set.name].append(record)
    if not groups:
        raise TooLittleDataError("there are no runs yet: `zoo.py run` makes them")
    return [_data_set_row(name, groups[name], epoch, metric) for name in sorted(groups)]


def _data_set_row(
    name: str, records: Sequence[RunRecord], epoch: int | None, metric: Metric | None
) -> DataSetRow:
    counts = Counter(record.status for record in records)
    board = _board(_rows(records, epoch, metric), "quality")
    trained = [row for row in board.rows if not row.random_weights] or board.rows
    info = records[0].data_set
    return DataSetRow(
        data_set=name,
        domain=info.domain,
        task=info.task,
        procedural=info.procedural,
        n_images=info.n_images,
        finished=counts["finished"],
        failed=counts["failed"],
        incompatible=counts["incompatible"],
        best=trained[0] if trained else None,
        chance_quality=board.chance.quality if board.chance else None,
    )


def title_of(records: Iterable[RunRecord], data_set: str, epoch: int | None) -> str:
    """`neu_cls (industrial, classification, 800 images)`, with `procedural` where the images are, and the epoch."""
    info = next(record.data_set for record in records if record.data_set.name == data_set)
    facts = [info.domain, info.task, f"{info.n_images} images", *(["PROCEDURAL"] if info.procedural else [])]
    return f"{data_set} ({', '.join(facts)})" + (f", epoch {epoch}" if epoch else "")


def troubles(records: Iterable[RunRecord], data_set: str) -> list[str]:
    """A line for each run that failed or cannot work, with its reason."""
    return [
        f"{record.status}: {record.backbone.name} × {record.head.name}, seed {record.seed}: {record.reason}"
        for record in records
        if record.data_set.name == data_set and record.status != "finished"
    ]


def with_error(quality: float, standard_error: float | None) -> str:
    """`0.8500 ± 0.0120`, how every table shows a quality with the standard error that comes from its images."""
    return f"{quality:.4f}" + ("" if standard_error is None else f" ± {standard_error:.4f}")


def leaderboard_table(board: Leaderboard, title: str) -> Table:
    """The leaderboard for the terminal, the chance line below it; random weights are shouted."""
    rows = [*board.rows, *([board.chance] if board.chance else [])]
    metric = rows[0].metric if rows else "quality"
    table = Table(
        title=title, caption="in the order of validation; ± is the standard error from the test images"
    )
    table.add_column("backbone", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("recipe")
    for column in ("validation", f"test {metric}", "± seeds", "seeds", "parameters", "latency", "training"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("weights")
    for row in rows:
        if row is board.chance:
            table.add_section()
        table.add_row(*_cells(row), style="dim" if row is board.chance else None)
    return table


def _cells(row: LeaderboardRow) -> tuple[str | Text, ...]:
    return (
        Text(row.backbone),
        f"{row.head} (chance)" if row.head == CHANCE_HEAD else row.head,
        row.recipe,
        "—" if row.validation is None else f"{row.validation:.4f}",
        with_error(row.quality, row.standard_error),
        "—" if row.spread is None else f"{row.spread:.4f}",
        str(row.n_seeds),
        f"{row.parameters:,}",
        "—" if row.latency_ms is None else f"{row.latency_ms:.1f} ms",
        f"{row.training_s:.2f} s",
        Text("RANDOM WEIGHTS", "bold red") if row.random_weights else row.weights,
    )


def overview_table(rows: Sequence[DataSetRow]) -> Table:
    """The overview for the terminal; procedural sets are marked."""
    table = Table("data set", "domain", "task", "images", "runs", "failed", "best pair on validation", "its test quality", "chance")  # fmt: skip
    for row in rows:
        name = Text(row.data_set) + Text(" procedural" if row.procedural else "", "bold yellow")
        table.add_row(
            name,
            row.domain,
            row.task,
            str(row.n_images),
            str(row.finished),
            str(row.failed) if row.failed else "—",
            Text(_best_pair(row.best)),
            "—"
            if row.best is None
            else f"{row.best.metric} {with_error(row.best.quality, row.best.standard_error)}",
            "—" if row.chance_quality is None else f"{row.chance_quality:.4f}",
        )
    return table


def _best_pair(best: LeaderboardRow | None) -> str:
    if best is None:
        return "—"
    return f"{best.backbone} × {best.head}" + (" (RANDOM WEIGHTS)" if best.random_weights else "")
