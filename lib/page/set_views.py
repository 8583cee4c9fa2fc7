"""One data set as a page shows it: its pairs with intervals, learning curves, a confusion matrix, its facts, what failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.page.charts import Chart, Drawing, Mark, Series, drawn
from lib.page.confusions import ConfusionView, confusion_view
from lib.page.ranges import RankedLine, Scale, scale_of
from lib.page.rendering import picture_source
from lib.records import CHANCE_HEAD, DataSetFacts, DataSetInfo, RunRecord
from lib.records.intervals import NORMAL_90, interval
from lib.records.schema import Metric, column_of
from lib.reporting.curves import Curves, curves_of
from lib.reporting.data_set_tables import feature_cells
from lib.reporting.leaderboard import Leaderboard, LeaderboardRow, leaderboard, troubles

MOST_PAIRS, MOST_CURVES = 8, 5
PICTURES = {"masks": "Image, truth, answer and error", "sheet": "Examples and numbers"}
PARTS = (
    ("train_loss", "loss on the train part"),
    ("validation", "on the validation parts"),
    ("test", "on the test parts"),
)


@dataclass(frozen=True)
class SetView:
    """A data set by its `number` on the page. `lines`: its best pairs by validation with their quality on the test parts;
    `pictures`: (what it shows, data URI)."""

    number: int
    info: DataSetInfo
    facts: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    board: Leaderboard
    lines: tuple[RankedLine, ...]
    scale: Scale
    curves: tuple[Drawing, ...]
    confusion: ConfusionView | None
    troubles: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...]

    @property
    def metric(self) -> Metric | None:
        """What its qualities are."""
        return self.board.rows[0].metric if self.board.rows else None


def set_views(
    records: Iterable[RunRecord], facts: Mapping[str, DataSetFacts], pictures: Path | None = None
) -> list[SetView]:
    """One view a data set, by name; `pictures`: a folder with `masks_<data set>.png` and the like."""
    groups: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.data_set.name].append(record)
    return [
        set_view(number, groups[name], facts.get(name), pictures)
        for number, name in enumerate(sorted(groups))
    ]


def set_view(
    number: int, records: Sequence[RunRecord], facts: DataSetFacts | None, pictures: Path | None = None
) -> SetView:
    """The view of one data set; `records`: its own alone."""
    info = records[0].data_set
    board = leaderboard(records, info.name)
    lines = tuple(ranked_line(row) for row in board.rows[:MOST_PAIRS])
    return SetView(
        number=number,
        info=info,
        facts=tuple(_facts(info, facts).items()),
        features=tuple(feature_cells(facts.meta_features)) if facts else (),
        board=board,
        lines=lines,
        scale=scale_of(lines, board.chance.quality if board.chance else None),
        curves=tuple(curve_drawings(records, info.name)),
        confusion=_confusion(records),
        troubles=tuple(troubles(records, info.name)),
        pictures=tuple(_pictures(pictures, info.name)) if pictures else (),
    )


def ranked_line(row: LeaderboardRow) -> RankedLine:
    """A measured pair; its 90 % interval from the standard error over the images, None where that was not measured."""
    low, high = interval(row.quality, row.standard_error, NORMAL_90)
    return RankedLine(
        pair=f"{row.backbone} × {row.head}" + (" (RANDOM WEIGHTS)" if row.random_weights else ""),
        value=row.quality,
        low=low,
        high=high,
        basis="measured",
        latency_ms=row.latency_ms,
        parameters=row.parameters,
        training_s=row.training_s,
        evidence=row.recipe,
    )


def curve_drawings(records: Sequence[RunRecord], data_set: str, runs: Sequence[str] = ()) -> list[Drawing]:
    """Train loss, validation and test metric over the epochs of the best runs (or those of `runs`, by key)."""
    if not any(record.status == "finished" for record in records):
        return []
    found = curves_of(records, data_set, runs)
    return drawn(_curve_chart(found, part, name) for part, name in PARTS)


def _curve_chart(curves: Curves, part: str, name: str) -> Chart:
    title = name.capitalize() if part == "train_loss" else f"{curves.metric.capitalize()} {name}"
    series = [
        Series(
            curve.name,
            tuple(
                Mark(e, v) for e, v in zip(curve.epochs, getattr(curve, part), strict=True) if v is not None
            ),
            joined=True,
            marked=False,
        )
        for curve in curves.curves[:MOST_CURVES]
    ]
    return Chart(title, "epoch", "loss" if part == "train_loss" else curves.metric, tuple(series))


def _confusion(records: Sequence[RunRecord]) -> ConfusionView | None:
    """Of the best run by validation, all of its folds together."""
    judged = [r for r in records if r.final and r.final.confusion and r.head.name != CHANCE_HEAD]
    if not judged:
        return None
    best = max(judged, key=lambda record: record.quality(part="validation") or 0.0)
    assert best.final and best.final.confusion
    pair = f"{best.backbone.name} × {column_of(best.head.name, best.recipe.finetune)}"
    return confusion_view(pair, best.data_set.classes, best.final.confusion)


def _facts(info: DataSetInfo, facts: DataSetFacts | None) -> dict[str, str]:
    counts = ", ".join(f"{name} {n}" for name, n in zip(info.classes, info.class_counts, strict=False))
    rows = {
        "what it is": facts.description if facts else "",
        "domain, task": f"{info.domain}, {info.task}",
        "images": f"{info.n_images}" + (", PROCEDURAL: drawn by a program" if info.procedural else ""),
        "classes": counts,
        "parts": f"{info.n_folds} folds, each {info.n_train} train, {info.n_validation} validation; {info.n_test} tested in all",
        "derived": f"from {info.parent}: {info.derivation}" if info.parent else "",
        "trust": f"{facts.trusted_metric}: {facts.trusted_because}" if facts and facts.trusted_metric else "",
        "licence": facts.licence if facts else "",
    }
    return {name: text for name, text in rows.items() if text}


def _pictures(folder: Path, data_set: str) -> list[tuple[str, str]]:
    files = [(folder / f"{kind}_{data_set.replace('/', '_')}.png", what) for kind, what in PICTURES.items()]
    found = [(what, picture_source(file)) for file, what in files if file.is_file()]
    return [(what, source) for what, source in found if source]
