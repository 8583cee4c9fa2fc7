"""The records that come with the project: whole, of this schema, and such as one would expect of real measurements."""

from __future__ import annotations

import numpy as np
import pytest

from lib.config import PROJECT_ROOT
from lib.features.meta import META_FEATURES_VERSION
from lib.records import CHANCE_HEAD, RecordStore

STORE = RecordStore(PROJECT_ROOT / "data" / "runs")
RECORDS, BROKEN = STORE.read_all()
FACTS, BROKEN_FACTS = STORE.read_facts()
TRAINED = [record for record in RECORDS if record.head.name != CHANCE_HEAD]
CHANCE = {r.data_set.name: r.quality() for r in RECORDS if r.head.name == CHANCE_HEAD}


def test_every_file_is_a_record_whose_key_is_that_of_its_content():
    assert RECORDS and not BROKEN and not BROKEN_FACTS
    assert {record.status for record in RECORDS} == {"finished"}


def test_facts_are_those_of_the_data_sets_that_ran():
    for record in RECORDS:
        facts = FACTS[record.data_set.name]
        told = (facts.fingerprint, facts.split_hash, facts.meta_features_version)
        assert told == (record.data_set.fingerprint, record.data_set.split_hash, META_FEATURES_VERSION)


def test_every_image_is_tested_once():
    for record in RECORDS:
        assert len(record.folds) == record.data_set.n_folds
        tested = sum(fold.n_test for fold in record.folds)
        assert tested == record.data_set.n_test == record.data_set.n_images == np.sum(record.final.confusion)


def test_accuracy_is_that_of_the_confusion_matrix():
    for record in RECORDS:
        confusion = np.array(record.final.confusion)
        weighted = sum(f.test["accuracy"] * f.n_test for f in record.folds) / record.data_set.n_test
        assert weighted == pytest.approx(np.trace(confusion) / confusion.sum(), abs=1e-4)


def test_no_trained_head_lies_below_chance_by_more_than_noise():
    for record in TRAINED:
        # Of hundreds of cells some lie two standard errors off.
        assert record.quality() > CHANCE[record.data_set.name] - 3 * record.standard_error(), record.key


def test_test_quality_is_no_better_than_validation_on_average():
    gaps = [record.quality() - record.quality(part="validation") for record in TRAINED]
    assert np.mean(gaps) < 0.01


def test_weights_are_pretrained_and_twins_take_the_same_time():
    assert {record.backbone.weights_origin for record in RECORDS} <= {"weights_dir", "none"}
    for name in {record.backbone.name for record in TRAINED}:
        times = [r.latency.batch1_median_ms for r in TRAINED if r.backbone.name == name and r.latency]
        assert max(times) <= 1.2 * min(times)
