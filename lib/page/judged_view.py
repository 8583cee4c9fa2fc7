"""How good predictions of data sets that nobody had run have been: predicted against true, coverage, and against whom."""

from __future__ import annotations

from dataclasses import dataclass

from lib.page.charts import Chart, Drawing, Mark, Series, drawing
from lib.performance_prediction.boosting.judgement import Judgement, RegimeJudgement
from lib.performance_prediction.boosting.scores import ANSWER, ScoreLine
from lib.reporting.boosting import TITLES


@dataclass(frozen=True)
class RegimeView:
    """One way of being asked. `scores`: every predictor that ranks, the answer last."""

    regime: str
    title: str
    chart: Drawing | None
    answer: ScoreLine
    scores: tuple[ScoreLine, ...]
    used: tuple[str, ...]
    floor: float | None
    reasons: tuple[str, ...]
    n_cells: int


def regime_views(judgement: Judgement) -> list[RegimeView]:
    """A view of each regime that was judged."""
    return [_view(regime, judged) for regime, judged in judgement.regimes.items()]


def _view(regime: str, judged: RegimeJudgement) -> RegimeView:
    marks = tuple(
        Mark(
            cell.said[ANSWER],
            cell.truth,
            f"{cell.family}, {cell.pair.label}: predicted {cell.said[ANSWER]:.3f}, measured {cell.truth:.3f}",
            "predicted",
        )
        for cell in judged.cells
    )
    title = "Predicted and then measured, a mark a pair on a data set left out"
    return RegimeView(
        regime=regime,
        title=TITLES.get(regime, regime),
        chart=drawing(Chart(title, "predicted", "measured", (Series("pairs", marks),), diagonal=True)),
        answer=judged.answer,
        scores=(*judged.scores, judged.answer),
        used=(judged.level, judged.order),
        floor=judged.floor.mean if judged.floor else None,
        reasons=judged.reasons,
        n_cells=len(judged.cells),
    )
