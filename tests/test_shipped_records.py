"""The records that come with the project: whole, of this schema, and such as one would expect of real measurements."""

from __future__ import annotations

import numpy as np
import pytest

from lib.config import PROJECT_ROOT
from lib.features.meta import META_FEATURES_VERSION
from lib.records import CHANCE_HEAD, RecordStore, RunRecord

DEFECT_DICE = "defect_dice"
STORE = RecordStore(PROJECT_ROOT / "data" / "runs")
RECORDS, BROKEN = STORE.read_all()
FACTS, BROKEN_FACTS = STORE.read_facts()
TRAINED = [record for record in RECORDS if record.head.name != CHANCE_HEAD]
CLASSES = [record for record in RECORDS if record.data_set.task == "classification"]
MASKS = [record for record in TRAINED if record.data_set.task == "segmentation"]
CHANCE = {r.data_set.name: r for r in RECORDS if r.head.name == CHANCE_HEAD}


def of_chance(record: RunRecord) -> float:
    """What answering without looking reaches on the same folds, by the same metric."""
    folds = [one for one in CHANCE[record.data_set.name].folds if one.fold in record.recipe.folds]
    assert [one.fold for one in folds] == list(record.recipe.folds)
    values = [
        one.test[DEFECT_DICE if record.data_set.task == "segmentation" else "accuracy"] for one in folds
    ]
    return float(np.average(values, weights=[one.n_test for one in folds]))


def test_every_file_is_a_record_whose_key_is_that_of_its_content():
    assert RECORDS and not BROKEN and not BROKEN_FACTS
    assert {record.status for record in RECORDS} == {"finished"}


def test_facts_are_those_of_the_data_sets_that_ran():
    for record in RECORDS:
        facts = FACTS[record.data_set.name]
        told = (facts.fingerprint, facts.split_hash, facts.meta_features_version)
        assert told == (record.data_set.fingerprint, record.data_set.split_hash, META_FEATURES_VERSION)


def test_every_image_of_the_folds_that_ran_is_tested_once_and_frozen_cells_ran_them_all():
    for record in RECORDS:
        assert tuple(fold.fold for fold in record.folds) == record.recipe.folds
        tested = sum(fold.n_test for fold in record.folds)
        if len(record.folds) == record.data_set.n_folds:
            assert tested == record.data_set.n_test == record.data_set.n_images
        else:
            assert record.recipe.finetune or record.data_set.task == "segmentation"
        if record.data_set.task == "classification":
            assert np.sum(record.final.confusion) == tested


def test_accuracy_is_that_of_the_confusion_matrix():
    for record in CLASSES:
        confusion = np.array(record.final.confusion)
        weighted = sum(f.test["accuracy"] * f.n_test for f in record.folds) / confusion.sum()
        assert weighted == pytest.approx(np.trace(confusion) / confusion.sum(), abs=1e-4)


def test_no_trained_head_lies_below_chance_by_more_than_noise():
    for record in TRAINED:
        metric = DEFECT_DICE if record.data_set.task == "segmentation" else "accuracy"
        # Of hundreds of cells some lie two standard errors off.
        noise = record.final.standard_error[metric]
        assert record.final.metrics[metric] > of_chance(record) - 3 * noise, record.key


def test_masks_find_more_than_the_empty_answer_and_lie_in_their_intervals():
    for record in MASKS:
        metrics = record.final.metrics
        assert metrics[DEFECT_DICE] > of_chance(record) == 0, record.key
        assert all(low <= metrics[name] <= high for name, (low, high) in record.final.interval.items())


def test_test_quality_is_no_better_than_validation_on_average():
    gaps = [record.quality() - record.quality(part="validation") for record in TRAINED]
    assert np.mean(gaps) < 0.01


def test_weights_are_pretrained_and_twins_take_the_same_time():
    assert {record.backbone.weights_origin for record in RECORDS} <= {"weights_dir", "none"}
    timed = [r for r in TRAINED if r.latency]
    for name in {record.backbone.name for record in timed}:
        times = [r.latency.batch1_median_ms for r in timed if r.backbone.name == name]
        assert max(times) <= 1.2 * min(times)
