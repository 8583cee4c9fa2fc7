"""Everything that is said of a folder, gathered from what the commands compute: fact sheet, recommendation, reasons, next runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.errors import CvAutomlError, TooLittleDataError
from lib.features.fact_sheet import FactSheet, fact_sheet
from lib.page.folder_page import FolderAnswer
from lib.page.rendering import picture_source
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.explain import Explanation
from lib.performance_prediction.rows.suggest import SuggestedColumns
from lib.recommendation.recommend import next_runs
from lib.recommendation.recommend import recommend as answer_for
from lib.records import DataSetFacts, RunRecord


def folder_answer(
    folder: str,
    data_set: DataSet,
    new: DataSetFacts,
    evidence: Evidence,
    probed: Sequence[RunRecord],
    settings: Settings,
    counts: tuple[int, int],
    on_step: Callable[[str], None],
) -> FolderAnswer:
    """`counts`: how many pairs to show, how many runs to suggest. Raises TooLittleDataError as `recommend` does."""
    top, suggested = counts
    lacking: list[str] = []
    on_step("ranking the pairs …")
    answer = answer_for(evidence, new, settings.out_dir, top, None, probed)
    plan = _plan(evidence, new, suggested, probed, lacking)
    on_step("explaining …")
    explanation = _explanation(evidence, new, settings, lacking)
    on_step("fact sheet …")
    sheet = fact_sheet(data_set, settings.split.near_duplicate_bits)
    return FolderAnswer(
        folder=folder,
        sheet=sheet,
        answer=answer,
        explanation=explanation,
        plan=plan,
        lacking=tuple(lacking),
        picture=_picture(data_set, sheet),
        probed=bool(probed),
    )


def _plan(
    evidence: Evidence, new: DataSetFacts, count: int, probed: Sequence[RunRecord], lacking: list[str]
) -> SuggestedColumns | None:
    try:
        return next_runs(evidence, new, count, probed)
    except TooLittleDataError as error:
        lacking.append(f"What to run next cannot be said: {error}")
        return None


def _explanation(
    evidence: Evidence, new: DataSetFacts, settings: Settings, lacking: list[str]
) -> Explanation | None:
    """By the saved model where there is one of exactly these runs, as `boosting.py explain` does."""
    from lib.performance_prediction.boosting.booster import CatBoostPredictor
    from lib.performance_prediction.boosting.explain import explain_set
    from lib.performance_prediction.boosting.files import load_booster

    try:
        booster = load_booster(settings.out_dir, evidence) or CatBoostPredictor().fit(evidence, 0)
        return explain_set(booster, new, evidence.facts, list(booster.pairs))
    except CvAutomlError as error:
        lacking.append(f"No reasons can be given: {error}")
        return None


def _picture(data_set: DataSet, sheet: FactSheet) -> str | None:
    """What `dataset.py describe --png` draws."""
    from lib.reporting.data_sets import draw_data_set

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sheet.png"
        draw_data_set(data_set, sheet, file)
        return picture_source(file)
