"""The run record: what it demands, its key, its quality at an epoch."""

import pytest
from pydantic import ValidationError

from lib.records import run_key
from tests.records.factory import make_record


def test_quality_at_an_epoch_is_the_test_accuracy_after_it() -> None:
    record = make_record(quality=0.8)
    assert record.quality(10) == pytest.approx(0.8)
    assert record.quality(1) == pytest.approx(0.8 * 0.73)
    assert record.quality() == record.quality(10)


def test_quality_beyond_the_planned_epochs_is_unknown() -> None:
    assert make_record(epochs=3).quality(4) is None


def test_a_run_stopped_early_keeps_its_last_quality_up_to_the_planned_epochs() -> None:
    record = make_record(epochs=10)
    stopped = record.model_copy(update={"epochs": record.epochs[:4]})
    assert stopped.quality(10) == record.quality(4)


def test_finished_without_epochs_is_refused() -> None:
    values = make_record().model_dump()
    with pytest.raises(ValidationError, match="epochs"):
        type(make_record()).model_validate({**values, "epochs": ()})


def test_failed_without_reason_is_refused() -> None:
    values = make_record(status="failed").model_dump()
    with pytest.raises(ValidationError, match="reason"):
        type(make_record()).model_validate({**values, "reason": None})


def test_nan_metrics_are_refused_at_the_border() -> None:
    values = make_record().model_dump()
    values["final"]["metrics"]["accuracy"] = float("nan")
    with pytest.raises(ValidationError):
        type(make_record()).model_validate(values)


def test_key_changes_with_what_decides_the_result_and_with_nothing_else() -> None:
    record = make_record()

    def key(**changes: object) -> str:
        parts = {
            "data_set": record.data_set,
            "backbone": record.backbone,
            "head": "linear",
            "head_version": record.head.version,
            "recipe": record.recipe,
            "seed": 0,
        }
        return run_key(**{**parts, **changes})  # type: ignore[arg-type]

    assert key() == record.key
    assert key(seed=1) != record.key
    assert key(head_version=7) != record.key
    assert key(backbone=record.backbone.model_copy(update={"input_hash": "other"})) != record.key
    assert key(data_set=record.data_set.model_copy(update={"split": "own"})) != record.key
    assert key(recipe=record.recipe.model_copy(update={"folds": (0,)})) != record.key
    assert key(recipe=record.recipe.model_copy(update={"learning_rate": 0.1})) != record.key
    assert key(backbone=record.backbone.model_copy(update={"weights_hash": "other"})) != record.key
    assert key(data_set=record.data_set.model_copy(update={"split_hash": "other"})) != record.key
    assert key(data_set=record.data_set.model_copy(update={"name": "renamed folder"})) == record.key
