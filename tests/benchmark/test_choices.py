"""No choice is made on a test part: with all test labels permuted, everything that was chosen stays what it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.datasets import DataSet
from lib.reporting.leaderboard import leaderboard
from tests.benchmark.made_up_sweep import ready, swept

HEADS = ("knn", "linear", "mlp", "student", "catboost", "naive")


@pytest.fixture
def records(tiny_set, settings, tmp_path, monkeypatch):
    """The records of one sweep, and of the same sweep where each fold's test labels are permuted."""
    honest = swept(ready(tiny_set, settings, heads=HEADS, folds=2), settings).records
    fold = DataSet.fold

    def permuted(self, split, index):
        part = fold(self, split, index)
        labels, test = part.labels.copy(), part.indices("test")
        labels[test] = np.roll(labels[test], 3)[::-1]
        return replace(part, labels=labels)

    monkeypatch.setattr(DataSet, "fold", permuted)
    elsewhere = settings.model_copy(update={"runs_dir": tmp_path / "permuted"})
    return honest, swept(ready(tiny_set, elsewhere, heads=HEADS, folds=2), elsewhere).records


def test_permuted_test_labels_change_the_report_and_no_choice(records):
    honest, permuted = records
    assert any(a.quality() != b.quality() for a, b in zip(honest, permuted, strict=True))
    for a, b in zip(honest, permuted, strict=True):
        assert [fold.chosen for fold in a.folds] == [fold.chosen for fold in b.folds]
        assert [fold.validation for fold in a.folds] == [fold.validation for fold in b.folds]
        assert a.grid == b.grid
        assert a.notes == b.notes  # the student's name its teachers
        assert [entry.validation for entry in a.epochs] == [entry.validation for entry in b.epochs]


def test_permuted_test_labels_leave_the_order_of_the_leaderboard(records):
    first, second = ([row.head for row in leaderboard(written, "tiny").rows] for written in records)
    assert first == second
    assert len(first) == len(HEADS) - 1
