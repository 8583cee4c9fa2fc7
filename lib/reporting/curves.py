"""Curves of runs over their epochs: train loss, and a metric on the validation and the test parts, with the chance line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from lib.errors import CvAutomlError, TooLittleDataError
from lib.files import save_picture
from lib.records import CHANCE_HEAD, RunRecord
from lib.records.schema import METRICS, Metric, column_of
from lib.registry import unknown_name
from lib.reporting.tables import shown, table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 12
STYLES = ("-", "--", ":")


@dataclass(frozen=True)
class Curve:
    """One run, an entry an epoch; None where it was not measured."""

    name: str
    key: str
    epochs: tuple[int, ...]
    train_loss: tuple[float | None, ...]
    validation: tuple[float | None, ...]
    test: tuple[float | None, ...]


@dataclass(frozen=True)
class Curves:
    """What is drawn. `chance`: the metric of the chance line on the test parts; `left_out`: runs beyond the most that are drawn."""

    data_set: str
    metric: Metric
    curves: tuple[Curve, ...]
    chance: float | None
    left_out: int = 0


def curves_of(
    records: Iterable[RunRecord], data_set: str, runs: Sequence[str] = (), metric: Metric | None = None
) -> Curves:
    """The runs asked for by the beginnings of their keys; without any, the best on the validation parts, MOST_CURVES at most.

    Raises TooLittleDataError where the data set has no finished run, CvAutomlError for a run or metric that it does not have.
    """
    records = list(records)
    own = [record for record in records if record.data_set.name == data_set and record.status == "finished"]
    if not own:
        known = sorted({record.data_set.name for record in records})
        raise TooLittleDataError(
            f"no finished run of '{data_set}': {unknown_name('data set', data_set, known)}"
        )
    chosen_metric = metric or own[0].metric_name
    if chosen_metric not in METRICS[own[0].data_set.task]:
        known = ", ".join(METRICS[own[0].data_set.task])
        raise CvAutomlError(f"'{data_set}' has no {chosen_metric}: its metrics are {known}")
    chance = [record for record in own if record.head.name == CHANCE_HEAD]
    ranked = sorted(
        (record for record in own if record.head.name != CHANCE_HEAD),
        key=lambda record: -(record.quality(None, chosen_metric, "validation") or 0.0),
    )
    shown = [_named(own, run) for run in runs] or ranked[:MOST_CURVES]
    return Curves(
        data_set=data_set,
        metric=chosen_metric,
        curves=tuple(_curve(record, chosen_metric) for record in shown),
        chance=chance[0].quality(None, chosen_metric) if chance else None,
        left_out=0 if runs else len(ranked) - len(shown),
    )


def _named(records: Sequence[RunRecord], run: str) -> RunRecord:
    found = [record for record in records if record.key.startswith(run)]
    if len(found) == 1:
        return found[0]
    known = sorted(record.key for record in records)
    problem = f"{len(found)} runs begin with '{run}'" if found else unknown_name("run", run, known)
    raise CvAutomlError(f"--run: {problem}; `zoo.py curves --json` tells the keys")


def _curve(record: RunRecord, metric: Metric) -> Curve:
    column = column_of(record.head.name, record.recipe.finetune)
    seed = f", seed {record.seed}" if record.seed else ""
    entries = record.epochs
    return Curve(
        name=f"{record.backbone.name} × {column}{seed} ({record.key[:6]})",
        key=record.key,
        epochs=tuple(entry.epoch for entry in entries),
        train_loss=tuple(entry.train_loss for entry in entries),
        validation=tuple(entry.validation.get(metric) for entry in entries),
        test=tuple(entry.test.get(metric) for entry in entries),
    )


def curves_table(curves: Curves) -> Table:
    """First and last epoch of each run; the chance line below."""
    headings = (
        "run",
        ">epochs",
        ">loss first",
        ">last",
        f">validation {curves.metric} first",
        ">last",
        ">test first",
        ">last",
    )
    rows = [
        (
            one.name,
            str(one.epochs[-1]),
            *(shown(v) for part in (one.train_loss, one.validation, one.test) for v in (part[0], part[-1])),
        )
        for one in curves.curves
    ]
    if curves.chance is not None:
        rows.append((f"{CHANCE_HEAD} (chance)", *[""] * 6, shown(curves.chance)))
    return table_of(headings, rows, title=f"Curves of {escape(curves.data_set)}")


def draw_curves(curves: Curves, file: Path) -> None:
    """Draws the three panels into `file` (PNG)."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        save_picture(_drawn(curves), file, dpi=110)


def _drawn(curves: Curves) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    rows = -(-max(len(curves.curves), 1) // 2)
    figure = Figure(figsize=(15, 4.8 + 0.24 * rows), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    loss, validation, test = figure.subplots(1, 3)
    validation.sharey(test)
    for axes, part, title in (
        (loss, "train_loss", "loss on the train parts"),
        (validation, "validation", f"{curves.metric} on the validation parts"),
        (test, "test", f"{curves.metric} on the test parts"),
    ):
        _draw_panel(axes, curves, part, title)
    if curves.chance is not None:
        _draw_chance(test, curves.chance)
    if any(value for curve in curves.curves for value in curve.train_loss):
        loss.set_yscale("log")
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.3, 0.5)))
    handles, labels = test.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    more = f"; {curves.left_out} more runs are not drawn" if curves.left_out else ""
    figure.suptitle(f"{curves.data_set}: means over the folds{more}", x=0.01, ha="left", fontsize=13)
    return figure


def _draw_chance(axes: Axes, chance: float) -> None:
    """The chance line; where it lies so far below that the runs could not be told apart, a sentence at the bottom."""
    low, high = axes.get_ylim()
    if chance < low - 1.5 * (high - low):
        axes.text(0.98, 0.02, f"{CHANCE_HEAD} (chance): {chance:.4f}, far below", color="#666666", fontsize=9,
                  ha="right", transform=axes.transAxes)  # fmt: skip
        return
    style = {"color": "#777777", "linewidth": 1.4, "linestyle": (0, (1, 1))}
    axes.axhline(chance, label=f"{CHANCE_HEAD} (chance)", **style)  # type: ignore[arg-type]


def _draw_panel(axes: Axes, curves: Curves, part: str, title: str) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for i, curve in enumerate(curves.curves):
        values = [float("nan") if value is None else value for value in getattr(curve, part)]
        marker = "o" if len(values) == 1 else None
        axes.plot(curve.epochs, values, color=colours[i % len(colours)], linestyle=STYLES[i // len(colours)],
                  linewidth=1.7, marker=marker, label=curve.name)  # fmt: skip
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)
