"""Every kind of picture becomes upright RGB of 8 bits; what is broken names itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.datasets.images import image_files, read_indices, read_reduced, read_rgb, read_size
from lib.errors import DataSetError
from tests.datasets.made_up import picture


def test_sixteen_bit_grey_keeps_its_full_range(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 255]


def test_float_grey_outside_the_range_is_stretched(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.0, 3.0]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif")[0, :, 1].tolist() == [0, 64, 255]


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    values = np.full((2, 2, 4), 200, dtype=np.uint8)
    values[0, 0, 3], values[1, 1, 3] = 0, 255
    Image.fromarray(values, mode="RGBA").save(tmp_path / "a.png")
    rgb = read_rgb(tmp_path / "a.png")
    assert rgb[0, 0].tolist() == [0, 0, 0] and rgb[1, 1].tolist() == [200, 200, 200]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "YCbCr", "RGB"])
def test_every_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    picture(1).convert(mode).save(file)
    rgb = read_rgb(file)
    assert rgb.shape == (40, 48, 3) and rgb.dtype == np.uint8 and rgb.std() > 5


def test_exif_orientation_turns_image_and_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, height=20, width=60).save(tmp_path / "a.jpg", exif=exif)
    assert read_rgb(tmp_path / "a.jpg").shape == (60, 20, 3)
    assert read_size(tmp_path / "a.jpg") == (60, 20)


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    picture(1, 200, 200).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataSetError, match=r"cut\.jpg: not a readable image"):
        read_rgb(tmp_path / "cut.jpg")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bäd.png").write_bytes(content)
    with pytest.raises(DataSetError, match=r"bäd\.png"):
        read_rgb(tmp_path / "bäd.png")


def test_reduced_reading_keeps_enough_pixels(tmp_path: Path) -> None:
    picture(1, 256, 1600).save(tmp_path / "a.jpg")
    reduced = read_reduced(tmp_path / "a.jpg", 160 * 160)
    assert reduced.mode == "L" and 160 * 160 <= reduced.width * reduced.height < 256 * 1600 / 3


def test_a_mask_of_colours_is_refused_and_one_of_equal_channels_is_read(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    Image.fromarray(np.stack([indices] * 3, axis=2)).save(tmp_path / "grey.png")
    assert read_indices(tmp_path / "grey.png").tolist() == indices.tolist()
    Image.fromarray(np.stack([indices, indices, indices * 0], axis=2)).save(tmp_path / "colour.png")
    with pytest.raises(DataSetError, match=r"colour\.png: a mask holds one class index"):
        read_indices(tmp_path / "colour.png")


def test_hidden_files_and_other_suffixes_are_left_out_and_links_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "deep").mkdir(parents=True)
    for name in ("b.JPG", "a.png", ".hidden.png", "note.txt", "deep/c.tif"):
        (real / name).touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(real)
    (real / "loop").symlink_to(real)
    assert image_files(tmp_path / "set") == ["link/a.png", "link/b.JPG", "link/deep/c.tif"]
