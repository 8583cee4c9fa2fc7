"""Tiny data sets of each layout, written to disk for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from lib.datasets import rle


def picture(seed: int, height: int = 40, width: int = 48) -> Image.Image:
    """Smooth random grey: every seed has a perceptual hash of its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def card(folder: Path, **fields: object) -> None:
    """Writes dataset.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")


def folders(root: Path, counts: dict[str, int], *, with_card: bool = True) -> Path:
    """Layout `folders`: counts images a class, all different."""
    for k, (name, n) in enumerate(counts.items()):
        (root / "images" / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(1000 * k + i).save(root / "images" / name / f"{i:03d}.png")
    if with_card:
        card(
            root,
            name=root.name,
            domain="industrial",
            task="classification",
            layout="folders",
            classes=list(counts),
        )
    return root


def masks(root: Path, labels: list[int], *, n_classes: int = 2, with_card: bool = True) -> Path:
    """Layout `masks`: image i has a 10×8 block of class labels[i], none for 0."""
    for place in ("images", "masks"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for i, label in enumerate(labels):
        picture(i).save(root / "images" / f"{i:03d}.png")
        indices = np.zeros((40, 48), dtype=np.uint8)
        indices[5:15, 20:28] = label
        Image.fromarray(indices).save(root / "masks" / f"{i:03d}.png")
    if with_card:
        names = ["background", *(f"kind{k}" for k in range(1, n_classes + 1))]
        card(root, name=root.name, domain="industrial", task="segmentation", layout="masks", classes=names)
    return root


def severstal(root: Path, labels: list[int], *, n_classes: int = 3, with_card: bool = True) -> Path:
    """Layout `severstal`: image i has a 10×8 block of ClassId labels[i], none for 0."""
    (root / "train_images").mkdir(parents=True, exist_ok=True)
    block = np.zeros((40, 48), dtype=bool)
    block[5:15, 20:28] = True
    rows = ["ImageId,ClassId,EncodedPixels"]
    for i, label in enumerate(labels):
        picture(i).save(root / "train_images" / f"{i:03d}.jpg", quality=92)
        if label:
            rows.append(f"{i:03d}.jpg,{label},{rle.encode(block)}")
    (root / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    if with_card:
        names = ["background", *(str(k) for k in range(1, n_classes + 1))]
        card(
            root, name=root.name, domain="industrial", task="segmentation", layout="severstal", classes=names
        )
    return root
