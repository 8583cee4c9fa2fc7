"""The distillation loss agrees with a case computed by hand; teachers are shared only when identical."""

import math

import pytest
import torch
from torch.nn import functional as F

from lib.zoo import distillation
from lib.zoo.distillation import TeacherShelf, distillation_loss, teacher_recipe
from lib.zoo.heads import HEADS
from tests.zoo.made_up import made_up_data_set, made_up_job


def test_distillation_loss_of_a_case_computed_by_hand():
    # T = 2. Teacher logits (2 ln 3, 0): p = (3/4, 1/4). Student logits (0, 0): q = (1/2, 1/2).
    # KL(p ‖ q) = 3/4 ln(3/2) + 1/4 ln(1/2); cross-entropy of the student = ln 2.
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    student = torch.zeros(5, 1, 2)
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    expected = 0.7 * 4 * divergence + 0.3 * math.log(2)
    loss = distillation_loss(student, teacher, torch.tensor([0]), temperature=2.0, weight=0.7)
    assert loss.shape == (5, 1)
    assert loss.flatten().tolist() == pytest.approx([expected] * 5, rel=1e-5)


def test_distillation_without_weight_is_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 8, 3, generator=generator)
    labels = torch.arange(8) % 3
    loss = distillation_loss(student[None], teacher, labels, temperature=4.0, weight=0.0)
    assert float(loss.mean()) == pytest.approx(float(F.cross_entropy(student, labels)))


def test_a_student_that_answers_as_its_teacher_has_no_soft_loss():
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    loss = distillation_loss(logits[None], logits, torch.zeros(8, dtype=torch.long), 4.0, weight=1.0)
    assert loss.numpy() == pytest.approx(0, abs=1e-5)


def test_the_teacher_of_a_student_has_the_recipe_of_the_mlp_head():
    assert teacher_recipe(made_up_job("student").recipe) == made_up_job("mlp").recipe


def test_student_uses_the_identical_mlp_of_the_same_sweep(monkeypatch):
    shelf = TeacherShelf()
    monkeypatch.setattr(distillation, "TEACHERS", shelf)
    alone = HEADS["student"]().train(made_up_job("student", epochs=2))
    trainings = []
    original = distillation.fitted_perceptron
    monkeypatch.setattr(
        distillation, "fitted_perceptron", lambda *a, **k: trainings.append(a) or original(*a, **k)
    )
    HEADS["mlp"]().train(made_up_job("mlp", epochs=2))
    shared = HEADS["student"]().train(made_up_job("student", epochs=2))
    assert len(trainings) == 2  # the mlp and the student, no second teacher
    assert shared.epochs == alone.epochs
    assert "teacher mlp" in shared.notes[0] and "accuracy" not in shared.notes[0]


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 3}, {"data_set": made_up_data_set(n=100)}])
def test_a_teacher_that_differs_is_not_shared(change):
    shelf = TeacherShelf()
    shelf.train(made_up_job("mlp", **{"epochs": 2, "seed": 0}), (8,))
    other = made_up_job("mlp", **{"epochs": 2, "seed": 0, **change})
    assert len(shelf._teachers) == 1
    shelf.get(other, (8,))
    assert len(shelf._teachers) == 2


def test_the_shelf_forgets_the_oldest_teachers():
    shelf = TeacherShelf(kept=2)
    for seed in range(3):
        shelf.train(made_up_job("mlp", seed=seed, epochs=1), (8,))
    assert len(shelf._teachers) == 2
