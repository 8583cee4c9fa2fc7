"""An error becomes one line that tells what happened and where."""

from __future__ import annotations

import pytest
import torch

from lib.benchmark.cell_run import reason_of, train_halving
from lib.errors import WeightsError
from lib.zoo.heads import HEADS
from lib.zoo.metrics import classification_metrics
from tests.zoo.made_up import made_up_job


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_errors_of_ours_are_their_own_sentence():
    assert reason_of(WeightsError("no weights\nfor this")) == "no weights for this"


def test_other_errors_name_their_type_and_place_in_the_project():
    error = raised(lambda: classification_metrics("wrong", "wrong"))
    assert reason_of(error).startswith(type(error).__name__)
    assert "lib/zoo/metrics.py:" in reason_of(error)


def test_an_endless_message_is_cut():
    assert len(reason_of(ValueError("x" * 10_000))) < 600


def test_errors_other_than_memory_are_not_tried_again(monkeypatch):
    calls = []

    def fails(job):
        calls.append(job)
        raise RuntimeError("shapes do not fit")

    head = HEADS["linear"]()
    monkeypatch.setattr(head, "train", fails)
    with pytest.raises(RuntimeError, match="shapes"):
        train_halving(head, made_up_job("linear"))
    assert len(calls) == 1


def test_memory_that_is_never_enough_ends_at_a_batch_of_one(monkeypatch):
    sizes = []

    def fails(job):
        sizes.append(job.recipe.batch_size)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    head = HEADS["linear"]()
    monkeypatch.setattr(head, "train", fails)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        train_halving(head, made_up_job("linear", batch_size=4))
    assert sizes == [4, 2, 1]
