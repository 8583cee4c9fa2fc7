import numpy as np
import pytest

from lib.zoo.backbones import open_backbone
from lib.zoo.handcrafted import INFO, WIDTH, describe_image, lbp_histogram, orientation_histograms


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 400, 3), (256, 1600, 3), (128, 128, 3)])
def test_every_image_size_gives_the_same_finite_width(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    features = describe_image(image)
    assert features.shape == (WIDTH,) and features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize("value", [0, 255])
def test_flat_image_has_no_edges_and_finite_statistics(value):
    features = describe_image(np.full((40, 40, 3), value, np.uint8))
    assert np.isfinite(features).all()


def test_lbp_does_not_change_when_the_image_is_turned():
    grey = np.random.default_rng(1).random((32, 32)).astype(np.float32)
    np.testing.assert_allclose(lbp_histogram(grey, 1), lbp_histogram(np.rot90(grey), 1))


def test_orientation_histogram_puts_a_ramp_into_one_direction():
    flat, slope = np.zeros((16, 16)), np.ones((16, 16))
    along_rows = orientation_histograms(slope, flat).reshape(16, 8)
    np.testing.assert_allclose(along_rows[:, 0], 1)
    assert along_rows[:, 1:].sum() == 0
    np.testing.assert_allclose(orientation_histograms(flat, slope).reshape(16, 8)[:, 4], 1)


def test_backbone_tells_textures_apart_and_claims_no_pretraining(unpretrained):
    generator = np.random.default_rng(0)
    rows = np.tile(np.arange(64) % 8 // 4 * 200, (64, 1)).astype(np.uint8)
    noise = generator.integers(0, 200, (64, 64), dtype=np.uint8)
    backbone = open_backbone("handcrafted", unpretrained)
    images = [np.repeat(image[..., None], 3, axis=2) for image in (rows, rows.T, noise)]
    features = backbone.extract(images).values
    assert features.shape == (3, INFO.embedding_width)
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    assert distances[np.triu_indices(3, 1)].min() > 0.5
    assert (INFO.parameters, INFO.weights_origin, INFO.family) == (0, "none", "handcrafted")
