"""A made-up steel-strip set in Severstal's own layout, so that everything runs without credentials; it says what it is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from lib.datasets.base import Card
from lib.datasets.cards import refuse_to_overwrite, write_card
from lib.datasets.layouts.severstal import COLUMNS, FOLDER, TABLE
from lib.datasets.rle import encode
from lib.errors import DataSetError
from lib.files import csv_text, staged_folder, write_atomically
from lib.registry import Registry

HEIGHT_PX, WIDTH_PX = 256, 1600
N_ROLLS = 6
CLEAN_SHARE = 0.5
_SECOND_DEFECT_SHARE = 0.15
_JPEG_QUALITY = 90

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, Grey], Mask]

DEFECTS: Registry[Draw] = Registry("procedural defect")
"""Each draws one defect into a strip (grey 0…255, in place) and returns its mask; the order is Severstal's ClassId."""


class Roll(NamedTuple):
    """How the steel of one roll looks. Brightness and amplitudes in grey levels of 255, lengths in pixels."""

    brightness: float
    unevenness: float
    streaks: float
    grain: float
    grain_size: float
    tilt: float


ROLL_RANGES: tuple[tuple[float, float], ...] = ((70, 165), (4, 14), (1, 9), (4, 14), (0.6, 2.2), (-25, 25))


def write_sample(folder: Path, n_images: int, seed: int) -> Card:
    """Writes `n_images` strips with train.csv and a card into `folder`; the same bytes for the same arguments. Raises
    DataSetError where the folder holds something else than an earlier sample."""
    if n_images < 8:
        raise DataSetError(
            f"a sample of {n_images} images is too small to hold four defects and a split; use 8 or more"
        )
    refuse_to_overwrite(folder, lambda card: card.procedural, "a procedural sample")
    card = _card(folder.resolve().name, n_images, seed)
    plan = _plan(n_images, seed)
    with staged_folder(folder) as stage:
        (stage / FOLDER).mkdir()
        with ThreadPoolExecutor(max_workers=2) as pool:
            drawn = list(pool.map(lambda i: draw_strip(seed, i, plan[i]), range(n_images)))
        rows = []
        for i, (picture, masks) in enumerate(drawn):
            name = f"{hashlib.sha256(f'{seed}:{i}'.encode()).hexdigest()[:9]}.jpg"
            (stage / FOLDER / name).write_bytes(picture)
            rows += [(name, k + 1, encode(mask)) for k, mask in sorted(masks.items())]
        write_atomically(stage / TABLE, csv_text([COLUMNS, *sorted(rows)]))
        write_card(stage, card)
    return card


def draw_strip(seed: int, index: int, defects: tuple[int, ...]) -> tuple[bytes, dict[int, Mask]]:
    """JPEG bytes of one strip and the mask of each class drawn on it; `defects`: positions in DEFECTS."""
    random = np.random.default_rng([seed, 1, index])
    roll = _rolls(seed)[index % N_ROLLS]
    strip = _steel(random, roll)
    drawn = {k: DEFECTS[DEFECTS.names()[k]](random, strip) for k in defects}
    strip += random.normal(0, 1.5, strip.shape).astype(np.float32)
    file = io.BytesIO()
    pixels = np.rint(np.clip(strip, 0, 255)).astype(np.uint8)
    Image.fromarray(pixels, mode="L").save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue(), {k: mask for k, mask in drawn.items() if mask.any()}


@DEFECTS.register("pitting")
def _pitting(random: np.random.Generator, strip: Grey) -> Mask:
    """Clusters of small dark pits."""
    mask = np.zeros(strip.shape, dtype=bool)
    for _ in range(random.integers(2, 6)):
        centre = random.uniform((30, 80), (HEIGHT_PX - 30, WIDTH_PX - 80))
        pits = Image.new("L", (WIDTH_PX, HEIGHT_PX))
        pen = ImageDraw.Draw(pits)
        for y, x in random.normal(centre, (22, 45), (random.integers(18, 45), 2)):
            r = random.uniform(1.5, 4.5)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
        spots = np.asarray(pits) > 0
        strip -= ndimage.gaussian_filter(spots.astype(np.float32), 0.8) * random.uniform(45, 75)
        mask |= ndimage.binary_dilation(spots, iterations=2)
    return mask


@DEFECTS.register("thin_scratch")
def _thin_scratch(random: np.random.Generator, strip: Grey) -> Mask:
    """Bundles of long, thin, bright lines, nearly along the strip."""
    lines = Image.new("L", (WIDTH_PX, HEIGHT_PX))
    pen = ImageDraw.Draw(lines)
    slope = random.uniform(-0.12, 0.12)
    for _ in range(random.integers(2, 6)):
        x, y = random.uniform(0, WIDTH_PX - 400), random.uniform(20, HEIGHT_PX - 20)
        reach = random.uniform(250, 800)
        pen.line((x, y, x + reach, y + reach * (slope + random.normal(0, 0.01))), fill=255, width=1)
    drawn = np.asarray(lines) > 0
    strip += ndimage.gaussian_filter(drawn.astype(np.float32), 0.6) * random.uniform(110, 170)
    return ndimage.binary_dilation(drawn, iterations=2)


@DEFECTS.register("patch")
def _patch(random: np.random.Generator, strip: Grey) -> Mask:
    """One or two large blotches with a ragged edge and a mottled, rougher inside."""
    mask = np.zeros(strip.shape, dtype=bool)
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    for _ in range(random.integers(1, 3)):
        y, x = random.uniform((60, 150), (HEIGHT_PX - 60, WIDTH_PX - 150))
        tall, wide = random.uniform((35, 60), (85, 170))
        ragged = _clouds(random, (16, 100)) * 0.35
        mask |= ((rows - y) / tall) ** 2 + ((columns - x) / wide) ** 2 + ragged < 1
    mottling = _clouds(random, (64, 400)) * random.uniform(12, 20)
    shift = random.choice((-1, 1)) * random.uniform(22, 38)
    strip += ndimage.gaussian_filter(mask.astype(np.float32), 2) * (shift + mottling)
    return mask


@DEFECTS.register("deep_crack")
def _deep_crack(random: np.random.Generator, strip: Grey) -> Mask:
    """A thick, dark, jagged, branching line across the strip, with a bright rim."""
    crack = Image.new("L", (WIDTH_PX, HEIGHT_PX))
    pen = ImageDraw.Draw(crack)
    start = (random.uniform(150, WIDTH_PX - 150), random.uniform(0, 60))
    trunk = _jagged(random, start, angle=np.pi / 2 + random.normal(0, 0.35), steps=14, step_px=16)
    pen.line(trunk, fill=255, width=int(random.integers(6, 10)), joint="curve")
    for _ in range(random.integers(1, 4)):
        at = trunk[int(random.integers(3, len(trunk) - 3))]
        angle = np.pi / 2 + random.choice((-1, 1)) * random.uniform(0.5, 1.1)
        pen.line(_jagged(random, at, angle, steps=6, step_px=12), fill=255, width=4, joint="curve")
    drawn = np.asarray(crack) > 0
    rim = ndimage.binary_dilation(drawn, iterations=4)
    strip += ndimage.gaussian_filter((rim & ~drawn).astype(np.float32), 1.5) * 35
    strip -= ndimage.gaussian_filter(drawn.astype(np.float32), 1.0) * (0.75 * float(strip.mean()) + 20)
    return ndimage.binary_dilation(drawn, iterations=2)


def _rolls(seed: int) -> list[Roll]:
    """The rolls of a set: each property spread evenly over its range, in an order of its own."""
    random = np.random.default_rng([seed, 0])
    spread = [random.permutation(np.linspace(*ends, N_ROLLS)).tolist() for ends in ROLL_RANGES]
    return [Roll(*values) for values in zip(*spread, strict=True)]


def _steel(random: np.random.Generator, roll: Roll) -> Grey:
    """A clean strip: uneven light, rolling streaks along the strip, and grain."""
    strip = np.full((HEIGHT_PX, WIDTH_PX), roll.brightness + random.normal(0, 5), dtype=np.float32)
    strip += np.linspace(-roll.tilt, roll.tilt, WIDTH_PX, dtype=np.float32)
    strip += _clouds(random, (4, 14)) * roll.unevenness
    strip += _clouds(random, (HEIGHT_PX, 6)) * roll.streaks
    grain = ndimage.gaussian_filter(
        random.standard_normal(strip.shape, dtype=np.float32), roll.grain_size, mode="wrap", truncate=3
    )
    return strip + grain * np.float32(roll.grain / grain.std())


def _clouds(random: np.random.Generator, cells: tuple[int, int]) -> Grey:
    """Smooth noise of unit deviation over the strip, made of a coarse grid of `cells` (rows, columns)."""
    coarse = Image.fromarray(random.standard_normal(cells, dtype=np.float32))
    fine = np.asarray(coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC), dtype=np.float32)
    return fine / np.float32(fine.std())


def _jagged(
    random: np.random.Generator, start: tuple[float, float], angle: float, steps: int, step_px: float
) -> list[tuple[float, float]]:
    points = [start]
    for turn in random.normal(0, 0.55, steps):
        x, y = points[-1]
        points.append((x + step_px * float(np.cos(angle + turn)), y + step_px * float(np.sin(angle + turn))))
    return points


def _plan(n_images: int, seed: int) -> list[tuple[int, ...]]:
    """The defects of each image: half of the images none, the classes in turn, some images two."""
    random = np.random.default_rng([seed, 2])
    n_defective = n_images - round(n_images * CLEAN_SHARE)
    n_kinds = len(DEFECTS.names())
    defects: list[tuple[int, ...]] = [()] * n_images
    for i in range(n_defective):
        first, second = i % n_kinds, (i + int(random.integers(1, n_kinds))) % n_kinds
        defects[i] = (first, second) if random.random() < _SECOND_DEFECT_SHARE else (first,)
    return [defects[i] for i in random.permutation(n_images)]


def _card(name: str, n_images: int, seed: int) -> Card:
    return Card(
        name=name.replace("@", "_"),
        domain="industrial",
        task="segmentation",
        layout="severstal",
        classes=("background", *DEFECTS.names()),
        description="Procedural steel strip, drawn by a program: pitting, thin scratches, patches and deep cracks on "
        "rolls of different brightness and texture, 1600x256 grey",
        licence="made by this project, free to use",
        source=f"scripts/dataset.py sample --images {n_images} --seed {seed}",
        procedural=True,
    )
