"""A folder of images → predictions, from an ONNX file alone: ONNX Runtime, numpy and Pillow, neither torch nor the project.

    python predict_folder.py MODEL.onnx IMAGES OUT

Everything else (size, normalisation, classes, thresholds) stands in the file, where `scripts/export.py onnx` or `scripts/fit.py`
wrote it. Classes: OUT/predictions.csv. Masks: OUT/masks/*.png (uint8, 0 background, k the k-th class), OUT/overlays/*.png and
OUT/masks.csv, one row an image and class. A model of `fit` also says how far an image is from those it was trained on.
Exit code 1: an image could not be read, and was skipped. 2: nothing could be done.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

METADATA = "cv_automl"
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
OVERLAP = 0.25
MOST_NAMED = 5
COLOURS = ((255, 77, 77), (255, 176, 0), (33, 199, 255), (155, 226, 58), (232, 107, 255), (111, 140, 255))
EXIT_SOME_SKIPPED, EXIT_NOTHING = 1, 2


class Model:
    """An exported network with what its file says of itself. Of an ensemble each member has an input of its own."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("THREADS", 0))
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = self.session.get_modelmeta().custom_metadata_map
        if METADATA not in found:
            raise ValueError(f"{path}: was not written by scripts/export.py onnx or fit.py; write it anew")
        self.facts = json.loads(found[METADATA])
        self.classes = self.facts["classes"]
        self.inputs = self.facts.get("inputs", [self.facts])
        self.size = self.facts["width_px"], self.facts["height_px"]
        self.on_windows = self.facts.get("input") == "windows"
        self.limit = self.facts.get("distance_limit")

    def probabilities(self, image: Image.Image) -> np.ndarray:
        """(n_classes,), or (n_classes, height_px, width_px) for masks."""
        return self.answered(image)[0]

    def answered(self, image: Image.Image) -> tuple[np.ndarray, float | None]:
        """The probabilities, and how far the image is from the training images where the file can say that."""
        return self.run([self.seen(image, one) for one in self.inputs])

    def seen(self, image: Image.Image, of: dict) -> np.ndarray:
        """The uint8 pixels (height_px, width_px, 3) that an input takes."""
        size = of["width_px"], of["height_px"]
        method = Image.Resampling[of["interpolation"].upper()]
        return np.asarray(image if image.size == size else image.resize(size, method))

    def answer(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities of uint8 pixels (height_px, width_px, 3)."""
        return self.run([pixels])[0]

    def run(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, float | None]:
        """Probabilities and distance of one image, given as the pixels of each input."""
        fed = {}
        for node, of, pixels in zip(self.session.get_inputs(), self.inputs, images, strict=True):
            mean, std = (np.array(of[name], dtype=np.float32) for name in ("mean", "std"))
            values = pixels.astype(np.float32) * (1 / (255 * std)) - mean / std
            fed[node.name] = np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=np.float32)
        found = self.session.run(None, fed)
        return found[0][0], float(found[1][0]) if len(found) > 1 else None

    def stitched(self, image: Image.Image) -> np.ndarray:
        """(n_classes, height, width) from windows of the image as it is, each a quarter over the next; the mean where they overlap."""
        width, height = self.size
        missing = [(0, max(want - have, 0)) for want, have in ((height, image.height), (width, image.width))]
        pixels = np.pad(np.asarray(image), [*missing, (0, 0)], mode="edge")
        total = np.zeros((len(self.classes), *pixels.shape[:2]), dtype=np.float32)
        times = np.zeros(pixels.shape[:2], dtype=np.float32)
        for y in starts(pixels.shape[0], height):
            for x in starts(pixels.shape[1], width):
                total[:, y : y + height, x : x + width] += self.answer(pixels[y : y + height, x : x + width])
                times[y : y + height, x : x + width] += 1
        return total / times

    def masks(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray, float | None]:
        """bool masks and probabilities (n_classes, height, width) of the image's own size: a class whose share of the pixels is
        below its smallest area, at the size the network sees, has none; and the distance."""
        answered, distance = (self.stitched(image), None) if self.on_windows else self.answered(image)
        enlarged = np.zeros((len(answered), image.height, image.width), dtype=np.float32)
        masks = np.zeros(enlarged.shape, dtype=bool)
        limits = zip(self.facts["thresholds"], self.facts["smallest_areas"], strict=True)
        for k, (threshold, smallest) in enumerate(limits):
            threshold = np.float32(threshold)
            share = (answered[k] >= threshold).mean()
            if share > 0 and share >= smallest:
                enlarged[k] = self.sized(answered[k], image)
                masks[k] = enlarged[k] >= threshold
        return masks, enlarged, distance

    def sized(self, answered: np.ndarray, image: Image.Image) -> np.ndarray:
        """Probabilities of one class, of the image's size."""
        if self.on_windows:
            return answered[: image.height, : image.width]
        return np.asarray(Image.fromarray(answered).resize(image.size, Image.Resampling.BILINEAR))


def starts(side: int, window: int) -> list[int]:
    """Where the fewest windows begin that cover a side and share a quarter or more with their neighbours."""
    if side <= window:
        return [0]
    n = 1 + math.ceil((side - window) / (window * (1 - OVERLAP)))
    return np.linspace(0, side - window, n).round().astype(int).tolist()


def read(path: Path) -> Image.Image:
    """The upright RGB image; transparent pixels become black. 16-bit and float images are refused: convert them first."""
    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"more than 8 bits a channel (mode {picture.mode}); save it with 8")
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            opaque = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", opaque.size, (0, 0, 0, 255)), opaque)
        return upright.convert("RGB")


@dataclass
class Told:
    """What became of a folder: `counts` images of each class (masks: that hold it), `skipped` and `unlike` files."""

    images: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    table: Path | None = None

    def see(self, file: str, names: Sequence[str], distance: float | None, limit: float | None) -> None:
        """One more image."""
        self.images += 1
        for name in names:
            self.counts[name] = self.counts.get(name, 0) + 1
        if distance is not None and limit is not None and distance > limit:
            self.unlike.append(file)


def distance_cells(model: Model, distance: float | None) -> list[object]:
    """The last columns of a row where the model knows distances."""
    if model.limit is None or distance is None:
        return []
    return [round(distance, 4), "yes" if distance > model.limit else ""]


def class_row(model: Model, file: str, image: Image.Image, out: Path, told: Told) -> list[list[object]]:
    """One row of predictions.csv."""
    probabilities, distance = model.answered(image)
    answered = [round(float(p), 6) for p in probabilities]
    best = int(np.argmax(answered))
    told.see(file, [model.classes[best]], distance, model.limit)
    return [[file, model.classes[best], answered[best], *answered, *distance_cells(model, distance)]]


def mask_rows(model: Model, file: str, image: Image.Image, out: Path, told: Told) -> list[list[object]]:
    """Writes the mask and its overlay; one row of masks.csv for each class."""
    masks, enlarged, distance = model.masks(image)
    index = np.where(masks.any(axis=0), np.where(masks, enlarged, -1).argmax(axis=0) + 1, 0)
    pictures = {"masks": Image.fromarray(index.astype(np.uint8)), "overlays": overlaid(image, index)}
    for folder, picture in pictures.items():
        path = out / folder / f"{file}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    areas = {name: int(mask.sum()) for name, mask in zip(model.classes, masks, strict=True)}
    told.see(file, [name for name, area in areas.items() if area], distance, model.limit)
    return [[file, name, area, *distance_cells(model, distance)] for name, area in areas.items()]


def overlaid(image: Image.Image, index: np.ndarray) -> Image.Image:
    """The image with each class of an index map (h, w) in its colour."""
    colours = np.array([(0, 0, 0), *COLOURS], dtype=np.float32)
    painted = colours[np.where(index > 0, (index - 1) % len(COLOURS) + 1, 0)]
    pixels = np.asarray(image, dtype=np.float32)
    mixed = np.where((index > 0)[..., None], 0.55 * pixels + 0.45 * painted, pixels)
    return Image.fromarray(mixed.round().astype(np.uint8))


def predict(
    model: Model, folder: Path, out: Path, progress: Callable[[int, int], None] | None = None
) -> Told:
    """Predicts every image below the folder; those that cannot be read are skipped, and named."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise ValueError(f"{folder}: there are no images in it")
    is_classes = model.facts["task"] == "classification"
    table, row = ("predictions.csv", class_row) if is_classes else ("masks.csv", mask_rows)
    header = ["file", "class", "confidence", *(f"probability of {name}" for name in model.classes)]
    header = header if is_classes else ["file", "class", "area_px"]
    told = Told(table=out / table)
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{table}.tmp"
    with draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            header if model.limit is None else [*header, "distance", "unlike the training images"]
        )
        for number, file in enumerate(files, start=1):
            try:
                image = read(folder / file)
            except Exception as error:  # Pillow raises whatever a broken file makes it stumble over
                told.skipped.append(f"{file}: {error}")
                continue
            writer.writerows(row(model, file, image, out, told))
            if progress:
                progress(number, len(files))
    draft.replace(out / table)
    return told


def show(done: int, total: int) -> None:
    """A line on standard error for every hundredth image and the last."""
    if done % 100 == 0 or done == total:
        print(f"{done}/{total} images", file=sys.stderr)


def warnings_of(told: Told) -> list[str]:
    """A sentence for each image that was skipped, and one for those unlike the training images."""
    found = [f"skipped: {sentence}" for sentence in told.skipped]
    if told.unlike:
        first = ", ".join(told.unlike[:MOST_NAMED])
        found.append(
            f"{len(told.unlike)} of {told.images} images are unlike those the model was trained on, and its answers to them "
            f"may be wrong: {first}{' …' if len(told.unlike) > MOST_NAMED else ''}"
        )
    return found


def main(arguments: list[str]) -> int:
    """The exit code of `predict_folder.py MODEL.onnx IMAGES OUT`."""
    if len(arguments) != 3:
        print("usage: predict_folder.py MODEL.onnx IMAGES OUT", file=sys.stderr)
        return EXIT_NOTHING
    path, folder, out = map(Path, arguments)
    try:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{out} lies in {folder}, which is only read; write somewhere else")
        model = Model(path)
        told = predict(model, folder, out, show)
    except Exception as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_NOTHING
    for sentence in warnings_of(told):
        print(sentence, file=sys.stderr)
    print(f"{model.facts['model']}: {told.images} images; wrote {told.table}")
    return EXIT_SOME_SKIPPED if told.skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
