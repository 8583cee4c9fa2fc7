"""Every augmentation of the config treats an image and its mask alike, and views for testing can be undone."""

import json

import pytest
import torch

from lib.config import Settings
from lib.errors import ConfigError
from lib.zoo.augmentation import Augmentation, steps_of, views_of

SETTINGS = Settings()


def made(name: str, **sizes: int) -> Augmentation:
    return Augmentation.of(steps_of(name, SETTINGS), sizes.get("height", 24), sizes.get("width", 40), 3)


@pytest.mark.parametrize("name", sorted(SETTINGS.augmentations))
def test_size_and_type_stay(name):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3, 3, 24, 40), dtype=torch.uint8)
    seen, _ = made(name)(images)
    mixed, shares = made(name).mixed(seen, torch.tensor([0, 1, 2]))
    assert (seen.shape, seen.dtype, mixed.shape) == (images.shape, torch.uint8, images.shape)
    assert (shares.shape == (3, 3)) == (name in ("mixup", "cutmix"))
    assert torch.equal(mixed, images) == (name == "none")


@pytest.mark.parametrize("name", ["flips", "light"])
def test_the_mask_moves_with_its_image(name):
    torch.manual_seed(0)
    masks = torch.zeros(8, 1, 96, 160, dtype=torch.bool)
    masks[:, :, 16:36, 12:68] = True
    images = masks.expand(-1, 3, -1, -1).to(torch.uint8) * 200
    seen, moved = made(name, height=96, width=160)(images, masks)
    assert moved is not None and moved.dtype == torch.bool
    assert not torch.equal(moved, masks)
    assert ((seen[:, :1] > 90) != moved).float().mean() < 0.01


def test_a_crop_has_the_shape_of_its_image():
    torch.manual_seed(0)
    columns = torch.arange(0, 250, 1.25).expand(3, 28, 200).to(torch.uint8)
    for _ in range(10):
        seen = made("light", height=28, width=200)(columns[None])[0][0, 0].float()
        assert (seen.amax() - seen.amin()) > 0.6 * 250


def test_the_same_seed_gives_the_same_images():
    images = torch.randint(0, 256, (2, 3, 24, 40), dtype=torch.uint8)
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(made("heavy")(images)[0])
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_flipped_answers_return_to_their_place():
    masks = torch.rand(2, 1, 4, 6)
    assert len(views_of("flips")) == 4
    for see, undo in views_of("flips"):
        assert torch.equal(undo(see(masks)), masks)


def test_crops_are_parts_of_the_image_in_its_size():
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(1, 3, 8, 8)
    views = [see(images) for see, _ in views_of("crops")]
    assert len(views) == 6 and {view.shape for view in views} == {images.shape}
    assert views[1].max() < images.max() and views[4].min() > images.min()


@pytest.mark.parametrize(
    ("step", "says"), [({"Nonsense": {}}, "no Nonsense"), ({"ColorJitter": {"brigtness": 1}}, "ColorJitter")]
)
def test_what_is_no_transform_is_refused(step, says):
    settings = SETTINGS.override(augmentations={"own": [step]})
    with pytest.raises(ConfigError, match=says):
        steps_of("own", settings)


def test_mixtures_are_refused_for_masks_and_unknown_names_told():
    with pytest.raises(ConfigError, match="does not know masks"):
        steps_of("cutmix", SETTINGS, with_masks=True)
    with pytest.raises(ConfigError, match="flips"):
        steps_of("flps", SETTINGS)
    assert json.loads(steps_of("none", SETTINGS)) == []
