"""The leaderboard: one line a pair and recipe, ordered by the validation parts, reported on the test parts; and the overview."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from lib.errors import TooLittleDataError
from lib.records import CHANCE_HEAD, RunRecord
from lib.records.schema import METRICS, Metric
from lib.registry import unknown_name
from lib.reporting.tables import shown, table_of, with_error

NO_RUNS = "there are no runs yet: `zoo.py run` makes them"

SortKey = Literal["quality", "parameters", "latency", "training"]


@dataclass(frozen=True)
class LeaderboardRow:
    """One pair under one recipe on one data set. `validation`: mean over folds and seeds on the validation parts, what pairs
    are ordered by; None where there are none. `quality`: the same on the test parts; `standard_error`: how far it would vary
    with other images (None before the last epoch); `spread`: its standard deviation (n − 1) over seeds, None for one.
    `parameters`: backbone and head. `latency_ms`: batch of one, median. `training_s`: all folds, median over seeds, features
    left out; `features_s` is what they cost once."""

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
    """Rows of one data set, best on validation first (for parameters, latency and training: least first, unknown last). Raises
    TooLittleDataError where the data set has no runs, or none that measured `metric` at `epoch`."""
    records = list(records)
    of_this = [record for record in records if record.data_set.name == data_set]
    if not of_this:
        known = sorted({record.data_set.name for record in records})
        missing = unknown_name("data set", data_set, known)
        none = f"no runs of '{data_set}': {NO_RUNS}"
        raise TooLittleDataError(f"there are no runs of it: {missing}" if known else none)
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


def _board(rows: Iterable[LeaderboardRow], sort: SortKey = "quality") -> Leaderboard:
    ordered = sorted(rows, key=lambda row: _place(row, sort))
    chance = next((row for row in ordered if row.head == CHANCE_HEAD), None)
    return Leaderboard(tuple(row for row in ordered if row.head != CHANCE_HEAD), chance)


def _place(row: LeaderboardRow, sort: SortKey) -> tuple[Any, ...]:
    """By the cost asked for, if any, unknown ones last; then by validation, parameters and name."""
    cost = {"parameters": row.parameters, "latency": row.latency_ms, "training": row.training_s}.get(sort)
    quality = 1.0 if row.validation is None else -row.validation
    return cost is None, cost or 0.0, quality, row.parameters, row.backbone, row.head


def _rows(records: Sequence[RunRecord], epoch: int | None, metric: Metric | None) -> list[LeaderboardRow]:
    groups: defaultdict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for one in records:
        if one.quality(epoch, metric) is not None:
            weights, recipe = one.backbone.weights_hash, one.recipe.model_dump_json()
            groups[one.backbone.name, weights, one.head.name, recipe, one.data_set.split_hash].append(one)
    return [_row(group, epoch, metric) for group in groups.values()]


def _row(group: Sequence[RunRecord], epoch: int | None, metric: Metric | None) -> LeaderboardRow:
    # A seed may have been run twice, e.g. before and after labels were corrected: the latest run counts.
    by_seed = {record.seed: record for record in sorted(group, key=lambda r: r.environment.started_at)}
    runs = list(by_seed.values())
    qualities = [quality for r in runs if (quality := r.quality(epoch, metric)) is not None]
    latencies = [r.latency.batch1_median_ms for r in runs if r.latency]
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
        latency_ms=statistics.median(latencies) if latencies else None,
        training_s=statistics.median(r.timing.training_s for r in runs),
        features_s=statistics.median(r.timing.features_s for r in runs),
        weights=first.backbone.weights_origin,
        random_weights=first.backbone.weights_origin == "random",
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _recipe_in_words(record: RunRecord) -> str:
    recipe, split = record.recipe, record.data_set
    some = "" if len(recipe.folds) == split.n_folds else f"{len(recipe.folds)} of "
    parts = "own split" if split.split == "own" else f"{some}{split.n_folds} folds"
    return f"{recipe.epochs} epochs, {'finetuned' if recipe.finetune else 'frozen'}, {parts}"


def overview(
    records: Iterable[RunRecord], epoch: int | None = None, metric: Metric | None = None
) -> list[DataSetRow]:
    """One row a data set, by name. Raises TooLittleDataError where there are no records at all."""
    groups: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.data_set.name].append(record)
    if not groups:
        raise TooLittleDataError(NO_RUNS)
    return [_data_set_row(name, groups[name], epoch, metric) for name in sorted(groups)]


def _data_set_row(
    name: str, records: Sequence[RunRecord], epoch: int | None, metric: Metric | None
) -> DataSetRow:
    counts = Counter(record.status for record in records)
    board = _board(_rows(records, epoch, metric))
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


def leaderboard_table(board: Leaderboard, title: str) -> Table:
    """The leaderboard for the terminal, the chance line below it; random weights are shouted."""
    metric = next((row.metric for row in (*board.rows, board.chance) if row), "quality")
    numbers = ("validation", f"test {metric}", "± seeds", "seeds", "parameters", "latency", "training")
    headings = ("<backbone", "<head", "recipe", *(f">{name}" for name in numbers), "weights")
    caption = "in the order of validation; ± is the standard error from the test images"
    table = table_of(headings, map(_cells, board.rows), title=title, caption=caption)
    if board.chance:
        table.add_section()
        table.add_row(*_cells(board.chance), style="dim")
    return table


def _cells(row: LeaderboardRow) -> tuple[str | Text, ...]:
    return (
        Text(row.backbone),
        f"{row.head} (chance)" if row.head == CHANCE_HEAD else row.head,
        row.recipe,
        shown(row.validation),
        with_error(row.quality, row.standard_error),
        shown(row.spread),
        str(row.n_seeds),
        f"{row.parameters:,}",
        shown(row.latency_ms, "{:.1f} ms"),
        f"{row.training_s:.2f} s",
        Text("RANDOM WEIGHTS", "bold red") if row.random_weights else row.weights,
    )


def overview_table(rows: Sequence[DataSetRow]) -> Table:
    """The overview for the terminal; procedural sets are marked."""
    headings = ("data set", "domain", "task", "images", "runs", "failed", "best pair on validation", "its test quality", "chance")  # fmt: skip
    return table_of(headings, map(_overview_cells, rows))


def _overview_cells(row: DataSetRow) -> tuple[str | Text, ...]:
    pair = quality = "—"
    if best := row.best:
        pair = f"{best.backbone} × {best.head}" + " (RANDOM WEIGHTS)" * best.random_weights
        quality = f"{best.metric} {with_error(best.quality, best.standard_error)}"
    return (
        Text(row.data_set) + Text(" procedural" * row.procedural, "bold yellow"),
        row.domain,
        row.task,
        str(row.n_images),
        str(row.finished),
        str(row.failed or "—"),
        pair,
        quality,
        shown(row.chance_quality),
    )
