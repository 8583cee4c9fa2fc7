"""Any picture file Pillow can read → RGB uint8, upright; what cannot be read is an error that names the file."""

from __future__ import annotations

import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lib.errors import DataSetError

_IS_IMAGE = re.compile(r"\.(jpe?g|jfif|png|bmp|tiff?|webp|gif|p[bgnp]m|jp2)$", re.IGNORECASE)
# Control characters, marks that turn the direction of text, and bytes that are not UTF-8.
_STRANGE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_EXIF_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
_NAMED = 5
_MOST_FOLDERS = 50_000
# Whatever Pillow raises somewhere inside of a file that is broken on purpose.
_DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError),
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError),
)


def image_files(folder: Path) -> list[str]:
    """Picture files below `folder` (any depth, links followed once, hidden ones left out), relative, posix, sorted. Raises
    DataSetError that names folders which may not be read, and names that are not UTF-8 or hold control characters."""
    found: list[str] = []
    seen: set[str] = set()
    closed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if len(seen) > _MOST_FOLDERS:
            raise DataSetError(
                f"{folder}: more than {_MOST_FOLDERS} folders below it; does a link lead out of it?"
            )
        folders[:] = [name for name in folders if not name.startswith(".") and name != "lost+found"]
        shown = (name for name in files if not name.startswith(".") and _IS_IMAGE.search(name))
        found += [(Path(place).relative_to(folder) / name).as_posix() for name in shown]
    problems = [
        f"{error.filename}: a folder that may not be read ({error.strerror}); mend its permissions"
        for error in closed
        if not isinstance(error, FileNotFoundError | NotADirectoryError)
    ]
    for name in sorted(set(filter(None, map(_strange, found)))):
        what = "a name that is not UTF-8 or holds control characters; rename it"
        problems.append(f"{folder}: {ascii(os.fsencode(name))[1:]}: {what}")
    if problems:
        more = f"; and {len(problems) - _NAMED} more" * (len(problems) > _NAMED)
        raise DataSetError("; ".join(problems[:_NAMED]) + more)
    return sorted(found)


def _strange(file: str) -> str:
    """A path as far as the first name in it that cannot be shown, "" where all can."""
    match = _STRANGE.search(file)
    return file[: match.end()] + file[match.end() :].partition("/")[0] if match else ""


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """RGB uint8 image (height, width, 3) with its EXIF orientation applied. 16-bit grey keeps its full range (65535 → 255);
    float grey outside 0…255 is stretched from its own minimum to its own maximum; transparent pixels become black; of an
    animation the first frame counts. Raises DataSetError naming a file that is missing, broken or cut off."""
    with _opened(path) as picture:
        return np.asarray(ImageOps.exif_transpose(_eight_bit(picture)).convert("RGB"), dtype=np.uint8)


def read_reduced(path: Path, area_px: int) -> Image.Image:
    """A Pillow image (mode L for plain grey, else RGB), upright, perhaps decoded at 1/2, 1/4 or 1/8 of its sides. A JPEG is
    decoded only as far as it keeps `area_px` pixels (height × width): several times faster than reading it whole. Other formats
    are read whole. Raises DataSetError like read_rgb."""
    with _opened(path) as picture:
        width, height = reduced_size(picture.width, picture.height, area_px)
        picture.draft(None, (width, height))
        return ImageOps.exif_transpose(_eight_bit(picture))


def reduced_size(width: int, height: int, area_px: int) -> tuple[int, int]:
    """(width, height) of the same shape with at most about `area_px` pixels; never enlarged, never below one pixel."""
    scale = min(1.0, (area_px / (width * height)) ** 0.5)
    return max(1, round(width * scale)), max(1, round(height * scale))


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of the upright image, from the file's header alone; raises DataSetError."""
    with _opened(path) as picture:
        width, height = picture.size
        return (width, height) if picture.getexif().get(_EXIF_ORIENTATION) in _LYING else (height, width)


def read_indices(path: Path) -> npt.NDArray[np.int64]:
    """Class indices (height, width) of a mask file; raises DataSetError where it holds colours instead."""
    with _opened(path) as picture:
        values = np.asarray(picture)
        mode = picture.mode
    if values.dtype.kind not in "biu":
        raise DataSetError(
            f"{path}: a mask holds whole class indices, this one has fractions (mode {mode}); save it as an 8-bit PNG"
        )
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise DataSetError(
                f"{path}: a mask holds one class index a pixel, this one has colours (mode {mode}); "
                "save it as an 8-bit single-channel PNG"
            )
        values = colours[..., 0]
    return values.astype(np.int64)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The opened picture; whatever goes wrong while it is decoded inside the block names the file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataSetError(f"{path}: not a regular file; replace or remove it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                yield picture
    except FileNotFoundError as error:
        raise DataSetError(f"{path}: there is no such image") from error
    except PermissionError as error:
        raise DataSetError(f"{path}: may not be read; check the file's permissions") from error
    except _DECODING_ERRORS as error:
        reason = " ".join(str(error).split()).replace(f" {str(path)!r}", "")
        raise DataSetError(f"{path}: not a readable image ({reason}); replace or remove it") from error


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Mode L or RGB, 8 bit a channel."""
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode.startswith(("I", "F")):
        return _grey_from_wide(np.asarray(picture))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, opaque).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _grey_from_wide(values: npt.NDArray[np.generic]) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats → 8 bits; the range decides: ≤ 255 as it is, ≤ 65535 by 257, else stretched."""
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(grey.min()), float(grey.max())
    whole = np.issubdtype(values.dtype, np.integer)
    if values.dtype.itemsize == 2 or (whole and low >= 0 and 255 < high <= 65535):
        grey = grey / 257
    elif low < 0 or high > 255:
        grey = (grey - low) * (255 / (high - low))
    elif not whole and high <= 1:
        grey = grey * 255
    return Image.fromarray(np.rint(np.clip(grey, 0, 255)).astype(np.uint8), mode="L")
