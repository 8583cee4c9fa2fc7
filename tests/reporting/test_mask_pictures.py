from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.reporting.mask_pictures import (
    FALSE_ALARM,
    HIT,
    MISSED,
    AnsweredImage,
    ShownImage,
    dice_by_size,
    draw_masks,
    errors,
    picked,
)


def answered(n=11):
    return [AnsweredImage(f"{i}.jpg", dice=(i * 7 % n) / n, defect_share=0.01 * i) for i in range(n)]


def test_best_median_and_worst_are_of_images_with_a_defect_and_each_is_shown_once():
    images = answered()
    chosen = picked(images, of_each=2)
    order = sorted((one.dice, i) for i, one in enumerate(images) if one.defect_share)
    assert {name: [i for i in chosen if chosen[i] == name] for name in ("best", "worst")} == {
        "best": [order[-1][1], order[-2][1]],
        "worst": [order[1][1], order[0][1]],
    }
    assert len(chosen) == 6 and 0 not in chosen
    assert set(picked(images[:3], of_each=2).values()) == {"best", "worst"}
    assert picked([AnsweredImage("a", 1.0, 0.0)]) == {0: "best"}


def test_dice_by_size_groups_equally_many_images():
    groups = dice_by_size(answered())
    assert [n for _, _, n in groups] == [2] * 5 and [size for size, _, _ in groups] == sorted(
        size for size, _, _ in groups
    )
    assert np.mean([dice for _, dice, _ in groups]) == pytest.approx(
        np.mean([one.dice for one in answered()[1:]])
    )
    assert dice_by_size([AnsweredImage("a", 1.0, 0.0)]) == []


def test_errors_are_coloured_by_what_happened():
    truth, answer = np.zeros((2, 1, 1, 4), bool)
    truth[0, 0, :2] = answer[0, 0, 1:3] = True
    picture = errors(np.full((1, 4, 3), 100, np.uint8), truth, answer)
    strongest = [int(np.argmax(pixel)) for pixel in picture[0, :3]]
    assert strongest == [int(np.argmax(colour)) for colour in (MISSED, HIT, FALSE_ALARM)]
    assert (picture[0, 3] == 100).all()


@pytest.mark.parametrize("size", [(40, 50), (32, 200)])
def test_the_picture_is_drawn_for_square_images_and_strips(size, tmp_path: Path):
    masks = np.zeros((2, *size), bool)
    masks[0, 5:20, 5:30] = True
    shown = [
        ShownImage(f"{i}", np.full((*size, 3), 128, np.uint8), masks, np.roll(masks, i, 2)) for i in range(3)
    ]
    draw_masks(shown, answered(), ("crack", "pit"), "made up", tmp_path / "masks.png")
    with Image.open(tmp_path / "masks.png") as picture:
        assert min(picture.size) > 300
