"""Losses by name equal their definitions; what does not fit is refused before anything is trained."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from lib.errors import ConfigError
from lib.zoo.losses import NAMES, loss_of, stages_of

LOGITS = torch.tensor([[2.0, -1.0, 0.3], [0.1, 0.2, -0.5]])
LABELS = torch.tensor([0, 2])


def test_focal_is_cross_entropy_weighted_by_how_wrong_the_answer_is():
    chances = LOGITS.softmax(1)[[0, 1], LABELS]
    expected = (-((1 - chances) ** 2) * chances.log()).mean()
    assert loss_of("focal", "classes")(LOGITS, LABELS) == pytest.approx(expected.item())


@pytest.mark.parametrize("name", NAMES["classes"])
def test_labels_and_their_shares_cost_the_same(name):
    loss = loss_of(name, "classes")
    assert loss(LOGITS, LABELS).item() == pytest.approx(
        loss(LOGITS, functional.one_hot(LABELS, 3).float()).item()
    )


def test_weighted_sums_are_sums():
    both = loss_of("0.5*focal+2*cross_entropy", "classes")(LOGITS, LABELS)
    alone = [loss_of(name, "classes")(LOGITS, LABELS) for name in ("focal", "cross_entropy")]
    assert both == pytest.approx((0.5 * alone[0] + 2 * alone[1]).item())


def test_the_loss_switches_at_its_epoch():
    parts = ["cross_entropy", "focal@5"]
    before, after = (loss_of(", ".join(parts), "classes", epoch)(LOGITS, LABELS) for epoch in (4, 5))
    assert before == functional.cross_entropy(LOGITS, LABELS)
    assert after == loss_of("focal", "classes")(LOGITS, LABELS)


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_every_loss_of_masks_is_smaller_for_the_right_answer(kind):
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 8, 8)))
    onehot = functional.one_hot(classes, 3).movedim(-1, 1)
    right, target = (
        (onehot * 8.0 - 4, classes)
        if kind == "multiclass"
        else (onehot[:, 1:] * 8.0 - 4, onehot[:, 1:].float())
    )
    for name in NAMES[kind]:
        loss = loss_of(name, kind)
        assert loss(right, target) < loss(-right, target), name


def test_classes_of_three_images_weigh_a_third_of_one():
    weights = torch.tensor([1.0, 3.0])
    logits, labels = torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])
    loss = loss_of("cross_entropy", "classes", class_weights=weights)
    assert loss(logits, labels).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("parts", "kind", "says"),
    [
        (["croos_entropy"], "classes", "cross_entropy"),
        (["dice"], "classes", "multilabel and multiclass"),
        (["cross_entropy"], "multilabel", "multiclass"),
        (["focal@2"], "classes", "epoch 1"),
        (["focal", "bce@1"], "classes", "epoch 1"),
        (["focal", "bce@x"], "classes", "focal@5"),
        (["x*focal"], "classes", "0.5"),
        ([], "classes", "epoch 1"),
    ],
)
def test_what_is_no_loss_is_refused(parts, kind, says):
    with pytest.raises(ConfigError, match=says):
        stages_of(parts, kind)
