"""The leaderboard: run records → one line a pair and recipe, quality over seeds with its spread; and the overview of all sets."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from lib.errors import TooLittleDataError
from lib.records import RunRecord
from lib.registry import unknown_name

SortKey = Literal["quality", "parameters", "latency", "training"]


@dataclass(frozen=True)
class LeaderboardRow:
    """One pair under one recipe on one data set.

    `quality` and `spread`: mean and standard deviation (n − 1) over seeds of the primary metric on the test part;
    `spread` is None for one seed. `parameters`: backbone and head. `latency_ms`: batch of one, median. `training_s`:
    median over seeds, features left out; `features_s` is what they cost once.
    """

    backbone: str
    head: str
    recipe: str
    metric: str
    quality: float
    spread: float | None
    n_seeds: int
    parameters: int
    latency_ms: float | None
    training_s: float
    features_s: float
    weights: str
    random_weights: bool


@dataclass(frozen=True)
class DataSetRow:
    """One data set in the overview. `best`: the best pair by mean quality, random weights left out where others exist."""

    data_set: str
    domain: str
    task: str
    procedural: bool
    n_images: int
    finished: int
    failed: int
    incompatible: int
    best: LeaderboardRow | None
    naive_quality: float | None


def leaderboard(
    records: Iterable[RunRecord], data_set: str, epoch: int | None = None, sort: SortKey = "quality"
) -> list[LeaderboardRow]:
    """Rows of one data set, best first (for parameters, latency and training: least first, unknown last).

    Raises TooLittleDataError where the data set has no runs, or none that was measured at `epoch`.
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
    rows = _rows(of_this, epoch)
    if not rows and any(record.status == "finished" for record in of_this):
        raise TooLittleDataError(
            f"no run of '{data_set}' was measured at epoch {epoch}: ask for an earlier one"
        )
    return sorted(rows, key=SORT_KEYS[sort])


def _rows(records: Sequence[RunRecord], epoch: int | None) -> list[LeaderboardRow]:
    groups: defaultdict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.quality(epoch) is not None:
            recipe = record.recipe.model_dump_json()
            weights = record.backbone.weights_hash
            split = record.data_set.split_hash
            groups[record.backbone.name, weights, record.head.name, recipe, split].append(record)
    return [_row(group, epoch) for group in groups.values()]


def _row(group: Sequence[RunRecord], epoch: int | None) -> LeaderboardRow:
    # A seed may have been run twice, e.g. before and after labels were corrected: the latest run counts.
    by_seed = {record.seed: record for record in sorted(group, key=lambda r: r.environment.started_at)}
    qualities = [quality for record in by_seed.values() if (quality := record.quality(epoch)) is not None]
    latencies = [r.latency.batch1_median_ms for r in by_seed.values() if r.latency]
    first = group[0]
    return LeaderboardRow(
        backbone=first.backbone.name,
        head=first.head.name,
        recipe=_recipe_in_words(first),
        metric=first.metric_name,
        quality=statistics.fmean(qualities),
        spread=statistics.stdev(qualities) if len(qualities) > 1 else None,
        n_seeds=len(qualities),
        parameters=first.backbone.parameters + first.head.parameters,
        latency_ms=statistics.median(latencies) if latencies else None,
        training_s=statistics.median(record.timing.training_s for record in by_seed.values()),
        features_s=statistics.median(record.timing.features_s for record in by_seed.values()),
        weights=first.backbone.weights_origin,
        random_weights=first.backbone.weights_origin == "random",
    )


def _recipe_in_words(record: RunRecord) -> str:
    return f"{record.recipe.epochs} epochs, {'finetuned' if record.recipe.finetune else 'frozen'}"


def _unknown_last(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0


SORT_KEYS: dict[SortKey, Callable[[LeaderboardRow], Any]] = {
    "quality": lambda row: (-row.quality, row.parameters, row.backbone, row.head),
    "parameters": lambda row: (row.parameters, -row.quality),
    "latency": lambda row: (_unknown_last(row.latency_ms), -row.quality),
    "training": lambda row: (row.training_s, -row.quality),
}


def overview(records: Iterable[RunRecord], epoch: int | None = None) -> list[DataSetRow]:
    """One row a data set, by name. Raises TooLittleDataError where there are no records at all."""
    groups: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.data_set.name].append(record)
    if not groups:
        raise TooLittleDataError("there are no runs yet: `zoo.py run` makes them")
    return [_data_set_row(name, groups[name], epoch) for name in sorted(groups)]


def _data_set_row(name: str, records: Sequence[RunRecord], epoch: int | None) -> DataSetRow:
    counts = Counter(record.status for record in records)
    rows = sorted(_rows(records, epoch), key=SORT_KEYS["quality"])
    trained = [row for row in rows if not row.random_weights] or rows
    naive = [row.quality for row in rows if row.head == "naive"]
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
        naive_quality=naive[0] if naive else None,
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


def leaderboard_table(rows: Sequence[LeaderboardRow], title: str) -> Table:
    """The leaderboard for the terminal; random weights are shouted."""
    metric = rows[0].metric if rows else "quality"
    table = Table(title=title)
    table.add_column("backbone", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("recipe")
    for column in (metric, "± seeds", "seeds", "parameters", "latency", "training"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("weights")
    for row in rows:
        table.add_row(
            Text(row.backbone),
            row.head,
            row.recipe,
            f"{row.quality:.4f}",
            "—" if row.spread is None else f"{row.spread:.4f}",
            str(row.n_seeds),
            f"{row.parameters:,}",
            "—" if row.latency_ms is None else f"{row.latency_ms:.1f} ms",
            f"{row.training_s:.2f} s",
            Text("RANDOM WEIGHTS", "bold red") if row.random_weights else row.weights,
        )
    return table


def overview_table(rows: Sequence[DataSetRow]) -> Table:
    """The overview for the terminal; procedural sets are marked."""
    table = Table("data set", "domain", "task", "images", "runs", "failed", "best pair", "quality", "naive")
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
            "—" if row.best is None else f"{row.best.metric} {row.best.quality:.4f}",
            "—" if row.naive_quality is None else f"{row.naive_quality:.4f}",
        )
    return table


def _best_pair(best: LeaderboardRow | None) -> str:
    if best is None:
        return "—"
    return f"{best.backbone} × {best.head}" + (" (RANDOM WEIGHTS)" if best.random_weights else "")
