"""How predictors did on unseen data sets, in the terminal, and SHAP values as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lib.files import save_picture
from lib.performance_prediction.boosting.explain import Explanation
from lib.performance_prediction.boosting.judgement import Judgement, RegimeJudgement
from lib.performance_prediction.boosting.scores import ANSWER, Interval, ScoreLine

RAISES, LOWERS, NEUTRAL = "#3f7fc4", "#d9534f", "#7a7a7a"
MOST_BARS = 12
TITLES = {
    "unseen": "Nothing known of the images but their looks",
    "probed": "Probed: what --probe measures is known",
}


def judgement_view(judgement: Judgement) -> RenderableType:
    """MAE by family, scores of all predictors where nothing is known and where the set was probed, the verdicts, ablations."""
    unseen = judgement.regimes.get("unseen")
    parts: list[RenderableType] = [_by_family_table(unseen)] if unseen else []
    for regime, judged in judgement.regimes.items():
        title = (
            f"{TITLES[regime]}: {judgement.task}, {judgement.metric}, domain {judgement.domain}, epoch {judgement.epoch}; "
            f"{judgement.n_runs} runs, {len(judgement.families)} families left out in turn"
        )
        table = _score_table(title, (*judged.scores, judged.answer), {judged.level, judged.order})
        if judged.floor:
            table.add_row("noise floor", "", "", "", _interval(judged.floor), "", "", "", style="dim")
        parts += [table, *(Text(f"• {sentence}") for sentence in judged.reasons), Text()]
    if judgement.ablation:
        parts.append(_score_table("CatBoost of one setting, left out:", judgement.ablation, set()))
    parts += [Text(f"note: {sentence}", "yellow") for sentence in judgement.skipped_ablations]
    return Group(*parts)


def _score_table(title: str, lines: Sequence[ScoreLine], used: set[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.caption = "below a mean: its 95 % interval over families; coverage and width: of 90 % intervals"
    table.add_column("predictor", no_wrap=True)
    for name in (
        "MAE",
        "level\noff by",
        "Spearman",
        "regret\ntop-1",
        "regret\ntop-3",
        "cover-\nage",
        "width",
    ):
        table.add_column(name, justify="right")
    for line in lines:
        means = (line.mae, line.level, line.spearman, line.regret_1, line.regret_3)
        shares = ["–" if v is None else f"{v:.3f}" for v in (line.coverage, line.width)]
        style = "bold" if line.name == ANSWER else "green" if line.name in used else None
        table.add_row(line.name, *map(_interval, means), *shares, style=style)
    return table


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    ends = (f"{end:.2f}".replace("0.", ".", 1) for end in (interval.low, interval.high))
    return f"{interval.mean:.3f}\n{'–'.join(ends)}"


def _by_family_table(judged: RegimeJudgement) -> Table:
    """MAE of each predictor that ranks on each left-out family: an original with its derived sets, averaged."""
    lines = [line for line in (*judged.scores, judged.answer) if line.regret_1 is not None]
    table = Table(
        title="MAE by left-out family, nothing known of it",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("family", overflow="fold", max_width=18)
    for line in lines:
        table.add_column(line.name.replace("_", "\n"), justify="right", no_wrap=True)
    for family in lines[0].by_family:
        table.add_row(family, *(f"{line.by_family[family]:.3f}" for line in lines))
    return table


def draw_explanation(explanation: Explanation, path: Path) -> None:
    """Bars of the largest contributions as PNG: blue raises the prediction, red lowers it, the rest summed below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = explanation.contributions[:MOST_BARS]
    rest = sum(c.effect for c in explanation.contributions[MOST_BARS:])
    labels = [
        *(c.words for c in shown),
        f"{max(len(explanation.contributions) - MOST_BARS, 0)} others together",
    ]
    effects = [*(c.effect for c in shown), rest]
    features = [*(c.feature for c in shown), ""]
    figure = Figure(figsize=(10, 1.9 + 0.42 * len(labels)), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = [RAISES if effect > 0 else LOWERS for effect in effects[:-1]] + [NEUTRAL]
    bars = axes.barh(range(len(labels)), effects, color=colours, height=0.66)
    axes.bar_label(bars, fmt="{:+.3f}", padding=4, fontsize=8)
    axes.set_yticks(
        range(len(labels)),
        [f"{label}\n({name})" if name else label for label, name in zip(labels, features, strict=True)],
    )
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="#1c1c1c", lw=0.8)
    margin = max(map(abs, effects)) * 0.2 or 1.0
    axes.set_xlim(min(0, *effects) - margin, max(0, *effects) + margin)
    axes.set_xlabel("SHAP value: what the feature adds to the predicted quality", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("\n".join(textwrap.wrap(explanation.sentence, 95)), fontsize=11, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(figure, path, 120)
