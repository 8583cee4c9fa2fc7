"""Judging by rows left out: figures of a planted table stand in the order they must."""

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.rows.evaluate import evaluate_rows
from tests.performance_prediction.planted_rows import as_table, planted_scores


def test_figures_of_a_planted_table_stand_in_the_order_they_must() -> None:
    scores, _ = planted_scores(40, 25, seed=0)
    scores[3, :20] = np.nan
    evaluation = evaluate_rows(as_table(scores), seeds=1, reveals=1)
    known = {figure.known: figure for figure in evaluation.known_cells}
    assert known[10].mae < known[3].mae < known[1].mae < known[0].mae
    assert known[5].mae < known[5].rival_mae
    assert known[10].width < known[0].width
    assert all(0.8 <= figure.coverage <= 1 for figure in known.values())
    budgets = [figure.suggested for figure in evaluation.suggestions]
    assert budgets == sorted(budgets, reverse=True)
    # From eleven of the 25 columns on every way has found the best.
    assert all(figure.suggested < figure.best_averages for figure in evaluation.suggestions[1:3])
    assert evaluation.rows == 40


def test_two_groups_cannot_be_judged() -> None:
    scores, _ = planted_scores(6, 4, seed=1)
    with pytest.raises(TooLittleDataError, match="at least three groups"):
        evaluate_rows(as_table(scores), groups=["a", "a", "a", "b", "b", "b"])
