"""A folder of images → predictions, from an ONNX file alone: ONNX Runtime, numpy and Pillow, neither torch nor the project.

    python predict_folder.py MODEL.onnx IMAGES OUT

Everything else (size, normalisation, classes, thresholds) stands in the file, where `scripts/export.py onnx` wrote it. Classes:
OUT/predictions.csv. Masks: OUT/masks/*.png (uint8, 0 background, k the k-th class) and OUT/masks.csv, one row an image and class.
Exit code 1: an image could not be read, and was skipped. 2: nothing could be done.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

METADATA = "cv_automl"
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
OVERLAP = 0.25
EXIT_SOME_SKIPPED, EXIT_NOTHING = 1, 2


class Model:
    """An exported network with what its file says of itself."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("THREADS", 0))
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = self.session.get_modelmeta().custom_metadata_map
        if METADATA not in found:
            raise ValueError(f"{path}: was not written by scripts/export.py onnx; export it anew")
        self.facts = json.loads(found[METADATA])
        self.classes = self.facts["classes"]
        self.size = self.facts["width_px"], self.facts["height_px"]
        self.on_windows = self.facts.get("input") == "windows"
        self.interpolation = Image.Resampling[self.facts["interpolation"].upper()]

    def probabilities(self, image: Image.Image) -> np.ndarray:
        """(n_classes,), or (n_classes, height_px, width_px) for masks."""
        image = image if image.size == self.size else image.resize(self.size, self.interpolation)
        return self.answer(np.asarray(image))

    def answer(self, pixels: np.ndarray) -> np.ndarray:
        """Of uint8 pixels (height_px, width_px, 3)."""
        mean, std = (np.array(self.facts[name], dtype=np.float32) for name in ("mean", "std"))
        values = pixels.astype(np.float32) * (1 / (255 * std)) - mean / std
        batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=np.float32)
        return self.session.run(None, {self.session.get_inputs()[0].name: batch})[0][0]

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

    def masks(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """bool masks and probabilities (n_classes, height, width) of the image's own size: a class whose share of the pixels is
        below its smallest area, at the size the network sees, has none."""
        answered = self.stitched(image) if self.on_windows else self.probabilities(image)
        enlarged = np.zeros((len(answered), image.height, image.width), dtype=np.float32)
        masks = np.zeros(enlarged.shape, dtype=bool)
        limits = zip(self.facts["thresholds"], self.facts["smallest_areas"], strict=True)
        for k, (threshold, smallest) in enumerate(limits):
            threshold = np.float32(threshold)
            share = (answered[k] >= threshold).mean()
            if share > 0 and share >= smallest:
                enlarged[k] = self.sized(answered[k], image)
                masks[k] = enlarged[k] >= threshold
        return masks, enlarged

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


def class_row(model: Model, file: str, image: Image.Image, out: Path) -> list[list[object]]:
    """One row of predictions.csv."""
    answered = [round(float(p), 6) for p in model.probabilities(image)]
    best = int(np.argmax(answered))
    return [[file, model.classes[best], answered[best], *answered]]


def mask_rows(model: Model, file: str, image: Image.Image, out: Path) -> list[list[object]]:
    """Writes the mask; one row of masks.csv for each class."""
    masks, enlarged = model.masks(image)
    index = np.where(masks.any(axis=0), np.where(masks, enlarged, -1).argmax(axis=0) + 1, 0)
    path = out / "masks" / f"{file}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(index.astype(np.uint8)).save(path)
    return [[file, name, int(mask.sum())] for name, mask in zip(model.classes, masks, strict=True)]


def predict(model: Model, folder: Path, out: Path) -> int:
    """Predicts every image below the folder, and returns how many could not be read."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise ValueError(f"{folder}: there are no images in it")
    is_classes = model.facts["task"] == "classification"
    table, row = ("predictions.csv", class_row) if is_classes else ("masks.csv", mask_rows)
    header = ["file", "class", "confidence", *(f"probability of {name}" for name in model.classes)]
    skipped = 0
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{table}.tmp"
    with draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header if is_classes else ["file", "class", "area_px"])
        for number, file in enumerate(files, start=1):
            try:
                image = read(folder / file)
            except Exception as error:  # Pillow raises whatever a broken file makes it stumble over
                skipped += 1
                print(f"skipped: {file}: {error}", file=sys.stderr)
                continue
            writer.writerows(row(model, file, image, out))
            if number % 100 == 0 or number == len(files):
                print(f"{number}/{len(files)} images", file=sys.stderr)
    draft.replace(out / table)
    print(f"{model.facts['model']}: {len(files) - skipped} images; wrote {out / table}")
    return skipped


def main(arguments: list[str]) -> int:
    """The exit code of `predict_folder.py MODEL.onnx IMAGES OUT`."""
    if len(arguments) != 3:
        print("usage: predict_folder.py MODEL.onnx IMAGES OUT", file=sys.stderr)
        return EXIT_NOTHING
    path, folder, out = map(Path, arguments)
    try:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{out} lies in {folder}, which is only read; write somewhere else")
        return EXIT_SOME_SKIPPED if predict(Model(path), folder, out) else 0
    except Exception as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_NOTHING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
