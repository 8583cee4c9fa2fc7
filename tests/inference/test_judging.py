"""zoo.py masks: what a kept model answers on its own test part, to look at."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.datasets import load_data_set
from lib.errors import CvAutomlError
from lib.inference.judging import MaskJudge, dice_of
from tests.inference.conftest import Kept


def test_a_model_is_judged_on_the_test_part_of_its_own_fold(mask_run: Kept):
    data_set = load_data_set(mask_run.data_set, mask_run.settings)
    judge = MaskJudge.of(mask_run.drawing(), data_set)
    assert len(judge.data_set.indices("test")) == mask_run.record.folds[0].n_test
    image, truth, answer = judge.answered(int(judge.data_set.indices("test")[0]))
    assert image.shape[:2] == truth.shape[1:] == answer.shape[1:] == (40, 56)
    assert answer.any(), "a fifth of the pixels reach the thresholds"


def test_dice_of_an_image_is_the_mean_over_classes_with_one_for_two_empty_masks():
    truth, answer = np.zeros((2, 3, 1, 4), bool)
    truth[0, 0, :2] = answer[0, 0, 1:3] = answer[1, 0, 0] = True
    assert dice_of(truth, answer) == pytest.approx((0.5 + 0 + 1) / 3)


def test_a_model_of_classes_and_a_foreign_set_are_refused(class_run: Kept, mask_run: Kept):
    foreign = load_data_set(class_run.data_set, class_run.settings)
    with pytest.raises(CvAutomlError, match="no masks to show"):
        MaskJudge.of(class_run.load(), foreign)
    with pytest.raises(CvAutomlError, match="was trained on"):
        MaskJudge.of(mask_run.load(), foreign)


def test_the_command_draws_and_tells(mask_run: Kept, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from lib.commands.masks import masks

    monkeypatch.setattr("lib.command_line.load_settings", lambda config: mask_run.settings)
    arguments = ["--run", mask_run.key, "--dataset", str(mask_run.data_set)]
    said = CliRunner().invoke(masks, [*arguments, "--png", str(tmp_path / "a.png")], catch_exceptions=False)
    assert "worst" in said.output and "wrote" in said.output
    assert Image.open(tmp_path / "a.png").size[0] > 300
    told = json.loads(CliRunner().invoke(masks, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert len(told["images"]) == mask_run.record.folds[0].n_test and told["by_defect_size"]
