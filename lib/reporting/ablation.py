"""What each value of one setting brought: quality over seeds and folds, and the paired difference to the first value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from lib.files import save_picture
from lib.records import RunRecord
from lib.records.schema import Metric, column_of
from lib.reporting.tables import readable_seconds, shown, table_of, with_error

CONFIDENCE = 0.95
FEWEST_PAIRS = 3


@dataclass(frozen=True)
class AblationRow:
    """One value on one data set and pair. `difference`: quality less that of the first value, the mean over the fold and seed
    pairs that both ran; `low`, `high`: its 95 % interval, None below three of them. `validation`: what a choice would go
    by."""

    data_set: str
    pair: str
    value: str
    n_runs: int
    n_pairs: int
    quality: float
    standard_error: float | None
    validation: float | None
    difference: float | None
    low: float | None
    high: float | None
    training_s: float


def ablation_rows(
    found: Mapping[str, Sequence[RunRecord]], metric: Metric | None = None
) -> list[AblationRow]:
    """Value → its finished records, in the order of the values; one row a data set, pair and value."""
    by_place: dict[tuple[str, str], dict[str, list[RunRecord]]] = {}
    for value, records in found.items():
        for record in (r for r in records if r.status == "finished"):
            place = (record.data_set.name, f"{record.backbone.name} × {record.head.name}")
            by_place.setdefault(place, {}).setdefault(value, []).append(record)
    return [
        _row(data_set, pair, value, runs, next(iter(values.values())), metric)
        for (data_set, pair), values in by_place.items()
        for value, runs in values.items()
    ]


def _row(
    data_set: str,
    pair: str,
    value: str,
    runs: list[RunRecord],
    first: list[RunRecord],
    metric: Metric | None,
) -> AblationRow:
    own, reference = _by_fold(runs, metric), _by_fold(first, metric)
    is_first = runs is first
    differences = {place: own[place] - reference[place] for place in own if place in reference}
    error, other = _error(runs, metric), _error(first, metric)
    both = None if error is None or other is None else float(np.hypot(error, other))
    low, high = (None, None) if is_first else _interval(differences, both)
    validations = [v for run in runs if (v := run.quality(metric=metric, part="validation")) is not None]
    return AblationRow(
        data_set=data_set,
        pair=pair
        if not runs[0].recipe.finetune
        else pair.rsplit(" × ", 1)[0] + " × " + column_of(runs[0].head.name, True),
        value=value,
        n_runs=len(runs),
        n_pairs=len(differences),
        quality=fmean(own.values()),
        standard_error=error,
        validation=fmean(validations) if validations else None,
        difference=None if is_first or not differences else fmean(differences.values()),
        low=low,
        high=high,
        training_s=fmean(run.timing.training_s for run in runs),
    )


def _error(runs: Sequence[RunRecord], metric: Metric | None) -> float | None:
    """How far the quality of one run would vary with other test images."""
    errors = [e for run in runs if (e := run.standard_error(metric)) is not None]
    return fmean(errors) if errors else None


def _by_fold(runs: Sequence[RunRecord], metric: Metric | None) -> dict[tuple[int, int], float]:
    return {(run.seed, fold): value for run in runs for fold, value in run.fold_qualities(metric).items()}


def _interval(
    differences: Mapping[tuple[int, int], float], error: float | None
) -> tuple[float | None, float | None]:
    """The interval of the mean of the differences by (seed, fold). Three folds or more say themselves what other test images change
    (they share training images, so that it is somewhat too narrow). Seeds on fewer folds all answer the same images: what
    others would change is added from `error`, as if the two had answered different ones, which is somewhat too wide."""
    folds = {fold for _, fold in differences}
    values = [*differences.values()]
    if enough := len(folds) >= FEWEST_PAIRS:
        values = [fmean(d for (_, other), d in differences.items() if other == fold) for fold in folds]
    if len(values) < FEWEST_PAIRS or (error is None and not enough):
        return None, None
    from scipy.stats import norm, t

    quantile, n = (1 + CONFIDENCE) / 2, len(values)
    of_runs = float(t.ppf(quantile, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    of_images = 0.0 if enough else float(norm.ppf(quantile) * (error or 0))
    reach, mean = float(np.hypot(of_runs, of_images)), fmean(values)
    return mean - reach, mean + reach


def ablation_table(rows: Sequence[AblationRow], over: str) -> Table:
    """One line a value."""
    headings = (
        "data set",
        "pair",
        over,
        ">runs",
        ">quality",
        ">validation",
        ">difference",
        ">95 %",
        ">training",
    )
    return table_of(
        headings,
        [
            (
                row.data_set,
                row.pair,
                row.value,
                str(row.n_runs),
                with_error(row.quality, row.standard_error),
                shown(row.validation),
                shown(row.difference, "{:+.4f}"),
                "—" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}",
                readable_seconds(row.training_s),
            )
            for row in rows
        ],
    )


def verdict(rows: Sequence[AblationRow], over: str) -> str:
    """Which values differ from the first beyond their interval."""
    told = [row for row in rows if row.low is not None and row.high is not None]
    better = [f"{r.value} ({r.data_set})" for r in told if (r.low or 0) > 0]
    worse = [f"{r.value} ({r.data_set})" for r in told if (r.high or 0) < 0]
    if not told:
        return f"{over}: too few runs for intervals; three pairs of seed and fold or more give them (--seed 0,1,2)"
    said = [f"{word}: {', '.join(names)}" for word, names in (("better", better), ("worse", worse)) if names]
    return f"against the first value, {'; '.join(said) or 'nothing can be told apart'}"


def draw_ablation(rows: Sequence[AblationRow], over: str, path: Path) -> None:
    """Qualities with their standard errors, one panel a data set and pair."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    places = list(dict.fromkeys((row.data_set, row.pair) for row in rows))
    tallest = max(sum((r.data_set, r.pair) == place for r in rows) for place in places)
    size = (5.2 * len(places), 1.2 + 0.42 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.subplots(1, len(places), squeeze=False)[0]
    for axis, place in zip(axes, places, strict=True):
        own = [row for row in rows if (row.data_set, row.pair) == place]
        errors = [row.standard_error or 0 for row in own]
        axis.errorbar([r.quality for r in own], range(len(own)), xerr=errors, fmt="o", capsize=3)
        axis.axvline(own[0].quality, color="0.7", linewidth=1, zorder=0)
        axis.set_yticks(range(len(own)), [r.value for r in own], parse_math=False)
        axis.invert_yaxis()
        axis.set_xlabel("quality on the test parts ± standard error")
        axis.set_title(f"{place[0]}: {over}\n{place[1]}", fontsize=10, parse_math=False)
    save_picture(figure, path)
