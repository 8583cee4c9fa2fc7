"""One record holds all folds: means of curves, metrics and grid, sums of confusion and seconds, errors from the images."""

from __future__ import annotations

import numpy as np
import pytest

from lib.benchmark.folds import combined_errors, mean_epochs, mean_grid
from lib.benchmark.prepare import DEAR_FOLDS
from lib.datasets import load_data_set
from lib.records import EpochEntry, FinalMetrics, GridPoint
from lib.zoo.heads import TrainingResult
from lib.zoo.metrics import labels_of, per_class_metrics
from tests.benchmark.made_up_sweep import add_head, ready, swept


def planted(job):
    """Answers class 0 on the test part of even folds and the truth on odd ones; tells what it was given."""
    labels = labels_of(job.data_set)[job.data_set.indices("test")]
    fold = FOLDS.index(tuple(job.data_set.parts))
    answers = labels if fold % 2 else np.zeros_like(labels)
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (labels, answers), 1)
    accuracy = float((labels == answers).mean())
    entry = EpochEntry(
        epoch=1, train_loss=float(fold), validation={"accuracy": fold / 10}, test={"accuracy": accuracy}
    )
    return TrainingResult(
        epochs=(entry,),
        validation={"accuracy": fold / 10},
        final=FinalMetrics(
            metrics={"accuracy": accuracy, **({"auroc": 0.5} if fold == 3 else {})},
            standard_error={"accuracy": 0.1},
            confusion=tuple(map(tuple, confusion.tolist())),
        ),
        parameters=7,
        training_s=2.0,
        evaluation_s=1.0,
        chosen={"k": fold},
        grid=(GridPoint(settings={"k": 1}, validation=fold / 10), GridPoint(settings={"k": 2}, validation=None)),
        batch_size=8,
    )  # fmt: skip


FOLDS: list[tuple[str, ...]] = []


@pytest.fixture
def record(tiny_set, settings, monkeypatch):
    FOLDS[:] = [tuple(parts) for parts in load_data_set(tiny_set, settings).folds]
    add_head(monkeypatch, "planted", planted)
    return swept(ready(tiny_set, settings, heads=("planted",)), settings).records[0]


def test_every_image_is_tested_once_and_metrics_are_means_over_folds(record):
    assert [fold.fold for fold in record.folds] == [0, 1, 2, 3, 4]
    assert sum(fold.n_test for fold in record.folds) == record.data_set.n_images == 36
    accuracies = list(record.fold_qualities().values())
    assert accuracies[1] == accuracies[3] == 1
    assert record.quality() == pytest.approx(np.mean(accuracies))
    assert record.final.metrics["accuracy"] == pytest.approx(np.mean(accuracies))
    assert record.quality(part="validation") == pytest.approx(0.2)
    assert record.epochs[0].train_loss == pytest.approx(2.0)


def test_the_confusion_is_their_sum_and_tells_the_classes_apart(record):
    confusion = np.array(record.final.confusion)
    assert confusion.sum() == 36
    assert confusion.sum(axis=1).tolist() == [12, 12, 12]
    assert record.final.per_class == per_class_metrics(confusion, record.data_set.classes)


def test_the_standard_error_is_that_of_a_mean_of_independent_folds(record):
    assert record.standard_error() == pytest.approx(0.1 / np.sqrt(5))
    assert combined_errors([{"auroc": 0.3}, {}, {"auroc": 0.4}])["auroc"] == pytest.approx(0.25)


def test_a_metric_undefined_on_some_folds_is_the_mean_of_the_others(record):
    assert record.final.metrics["auroc"] == 0.5


def test_seconds_add_up_and_choices_are_kept_a_fold(record):
    assert (record.timing.training_s, record.timing.evaluation_s) == (10.0, 5.0)
    assert record.timing.features_images == 36
    assert [fold.chosen for fold in record.folds] == [{"k": k} for k in range(5)]
    assert {fold.batch_size for fold in record.folds} == {8}
    assert record.grid == (
        GridPoint(settings={"k": 1}, validation=0.2),
        GridPoint(settings={"k": 2}, validation=None),
    )


def test_a_fold_that_stopped_early_goes_on_with_its_last_entry():
    def curve(*values):
        return tuple(EpochEntry(epoch=e, test={"dice": v}) for e, v in enumerate(values, start=1))

    means = mean_epochs([curve(0.0, 0.2, 0.4), curve(0.6)])
    assert [entry.test["dice"] for entry in means] == pytest.approx([0.3, 0.4, 0.5])
    assert [entry.epoch for entry in means] == [1, 2, 3]


def test_no_grid_has_no_points():
    assert mean_grid([(), ()]) == ()


def test_folds_may_be_fewer_and_a_record_of_fewer_is_another_record(tiny_set, settings):
    cells = {n: ready(tiny_set, settings, heads=("naive",), folds=n).plan.cells[0].cell for n in (None, 2, 9)}
    assert [cells[n].recipe.folds for n in (2, 9)] == [(0, 1), (0, 1, 2, 3, 4)]
    assert cells[None].key == cells[9].key != cells[2].key


def test_dear_cells_run_two_folds(tiny_set, settings):
    sweep = ready(tiny_set, settings, heads=("linear",), finetune=True)
    assert len(sweep.plan.cells[0].cell.recipe.folds) == DEAR_FOLDS


def test_the_own_split_is_one_fold_and_another_record(tiny_set, settings):
    own, folds = (ready(tiny_set, settings, heads=("naive",), split=split) for split in ("own", "folds"))
    record = swept(own, settings).records[0]
    data_set = load_data_set(tiny_set, settings)
    assert (record.data_set.split, record.data_set.n_folds, len(record.folds)) == ("own", 1, 1)
    assert record.folds[0].n_test == len(data_set.indices("test"))
    assert folds.plan.cells[0].state == "to do"
