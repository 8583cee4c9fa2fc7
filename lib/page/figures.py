"""The pictures of the page as PNG and SVG in one style, for papers and slides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.errors import CvAutomlError
from lib.files import save_picture, writing
from lib.page.charts import Chart, Series, written
from lib.page.confusions import ConfusionView
from lib.page.overview_page import Overview, TaskView
from lib.page.ranges import RankedLine
from lib.registry import unknown_name
from lib.reporting.als import draw_completion
from lib.reporting.curves import curves_of, draw_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1762bd", "#b3261e", "#226b39", "#8a5a00", "#7a3ea8", "#505a63")
BASIS = {"measured": ("o", "#14191d"), "completed": ("D", "#1762bd"), "predicted": ("^", "#0b7468")}
STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "cv-automl",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.color": "#e1e5e8",
    "figure.facecolor": "white",
}
SUFFIXES = (".png", ".svg")
DOTS_PER_INCH = 130
Draw = Callable[[Path], None]


def write_figures(
    overview: Overview, data_sets: Sequence[str], folder: Path, on_step: Callable[[str], None]
) -> list[Path]:
    """Writes each figure twice into `folder`; returns the paths. Raises CvAutomlError for a data set without runs."""
    import matplotlib

    known = {view.info.name for view in overview.sets}
    for name in data_sets:
        if name not in known:
            raise CvAutomlError(f"--dataset: {unknown_name('data set', name, sorted(known))}")
    files = []
    with matplotlib.rc_context(STYLE):
        for stem, draw in (*_of_tasks(overview.tasks), *_of_sets(overview, data_sets)):
            on_step(f"drawing {stem} …")
            for file in (folder / f"{stem}{suffix}" for suffix in SUFFIXES):
                writing(file, partial(draw, file))
                files.append(file)
    return files


def _of_tasks(tasks: Iterable[TaskView]) -> Iterator[tuple[str, Draw]]:
    for task in tasks:
        if task.completion:
            yield f"quality_matrix_{task.task}", partial(draw_completion, task.completion)
        if task.answer and task.evidence:
            title = f"Best pairs on average, {task.task}: {task.evidence.metric}"
            yield f"best_pairs_{task.task}", partial(draw_ranked, task.answer.lines, title)
            for drawing in task.answer.charts:
                name = drawing.chart.title.split()[-1]
                yield f"cost_{name}_{task.task}", partial(draw_chart, drawing.chart)
        for view in task.regimes:
            if view.chart:
                yield f"predicted_{view.regime}_{task.task}", partial(draw_chart, view.chart.chart)


def _of_sets(overview: Overview, data_sets: Sequence[str]) -> Iterator[tuple[str, Draw]]:
    for view in overview.sets:
        if view.info.name not in data_sets:
            continue
        stem = "".join(c if c.isalnum() or c in "-_@" else "_" for c in view.info.name)
        if view.curves:
            yield f"curves_{stem}", partial(draw_curves, curves_of(overview.records, view.info.name))
        if view.confusion and view.confusion.cells:
            yield f"confusion_{stem}", partial(draw_confusion, view.confusion, view.info.name)


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def draw_chart(chart: Chart, path: Path) -> None:
    """Draws a chart of the page into `path` (.png or .svg)."""
    figure, axes = _figure(6.2, 4.4)
    for place, series in reversed([*enumerate(chart.series)]):
        _draw_series(axes, series, COLOURS[place % len(COLOURS)])
    if chart.diagonal:
        axes.axline((0.5, 0.5), slope=1, color="#505a63", linestyle=":", linewidth=1)
    if chart.level is not None:
        axes.axhline(chart.level, color="#505a63", linestyle=":", linewidth=1, label=chart.level_name)
    if chart.log_x:
        _write_decades(axes)
    axes.set(title=chart.title, xlabel=chart.x_name, ylabel=chart.y_name)
    axes.grid(True)
    axes.set_axisbelow(True)
    if len(chart.series) > 1:
        axes.legend(loc="lower right")
    save_picture(figure, path, DOTS_PER_INCH)


def _write_decades(axes: Axes) -> None:
    """A logarithmic axis with the numbers of the page: 10, 20, 50, 1k …"""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def _draw_series(axes: Axes, series: Series, colour: str) -> None:
    xs, ys = [mark.x for mark in series.marks], [mark.y for mark in series.marks]
    if series.joined:
        style = "steps-post" if series.stepped else "default"
        axes.plot(xs, ys, color=colour, linewidth=1.6, drawstyle=style, label=series.name)
    for kind, (form, own) in BASIS.items():
        some = [mark for mark in series.marks if mark.kind == kind]
        if some and series.marked:
            label = None if series.joined or kind != series.marks[0].kind else series.name
            options: dict[str, Any] = {
                "s": 26,
                "marker": form,
                "color": own if kind == "predicted" else colour,
                "edgecolor": "white",
                "linewidth": 0.5,
            }
            axes.scatter([m.x for m in some], [m.y for m in some], label=label, **options)


def draw_ranked(lines: Sequence[RankedLine], title: str, path: Path) -> None:
    """Pairs with their intervals, the best on top; forms tell measured, completed and predicted apart."""
    figure, axes = _figure(7.2, 1.1 + 0.3 * len(lines))
    for place, line in enumerate(lines):
        form, colour = BASIS[line.basis]
        if line.low is not None and line.high is not None:
            axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2)
        face = colour if line.basis == "measured" else "white"
        axes.plot([line.value], [place], form, color=colour, markerfacecolor=face, label=line.basis)
    axes.set_yticks(range(len(lines)), [line.pair for line in lines])
    axes.invert_yaxis()
    axes.set_title(title)
    axes.grid(True, axis="x")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    axes.legend([*handles.values()], [*handles], loc="lower right")
    save_picture(figure, path, DOTS_PER_INCH)


def draw_confusion(view: ConfusionView, data_set: str, path: Path) -> None:
    """Shares of the true class, with the number of images."""
    n = len(view.classes)
    figure, axes = _figure(2.6 + 0.5 * n, 1.9 + 0.42 * n)
    axes.imshow([[share for _, share in row] for _, row, _ in view.cells], vmin=0, vmax=1, cmap="Blues")
    for i, (_, row, _) in enumerate(view.cells):
        for j, (images, share) in enumerate(row):
            if images:
                colour = "white" if share > 0.55 else "#14191d"
                axes.text(j, i, str(images), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(n), list(view.classes), rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), list(view.classes))
    axes.set(title=f"{data_set}: {view.title}", xlabel="answered", ylabel="true")
    save_picture(figure, path, DOTS_PER_INCH)
