"""Made-up data sets and backbones: small, seeded, and without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.config import Settings
from lib.datasets.base import Card, DataSet
from lib.records import BackboneInfo
from lib.zoo.heads import TrainingJob
from lib.zoo.recipes import recipe_for


def made_up_data_set(
    n=120, n_classes=4, task="classification", name="made_up", validation=True, shares=None
) -> DataSet:
    parts = np.array(["train", "train", "train", "validation", "test"] * n)[:n]
    if not validation:
        parts[parts == "validation"] = "train"
    generator = np.random.default_rng(7)
    classes = tuple(f"class_{i}" for i in range(n_classes))
    return DataSet(
        name=name,
        card=Card(name=name, domain="industrial", task=task, layout="folders", classes=classes),
        root=Path("nowhere"),
        task=task,
        classes=classes,
        files=tuple(f"images/{i:04}.jpg" for i in range(n)),
        parts=parts,
        fingerprint=f"{name}{n}{n_classes}",
        images_fingerprint=f"{name}{n}",
        labels=generator.choice(n_classes, n, p=shares) if task == "classification" else None,
        read_mask=None if task == "classification" else lambda i: np.zeros((n_classes, 4, 4), dtype=bool),
    )


def separable_features(data_set: DataSet, width=16, noise=0.5, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(len(data_set.classes), width))
    features = centres[data_set.labels] + noise * generator.normal(size=(len(data_set), width))
    return (3 * features + 5).astype(np.float32)


def made_up_backbone_info(name="made_up_net", width=16, family="made_up", **values: Any) -> BackboneInfo:
    return BackboneInfo(
        **{
            "name": name,
            "family": family,
            "parameters": 1000,
            "embedding_width": width,
            "input_size_px": 32,
            "flops": 1e6,
            "pretraining_data": "none",
            "pretraining_method": "none",
            "weights_origin": "none",
            "weights_hash": "0",
            **values,
        }
    )


@dataclass
class MadeUpBackbone:
    info: BackboneInfo
    cache_key: str = "made_up"
    module: torch.nn.Module | None = None


def embedding_like_features(data_set: DataSet, width=1280, signal=6.0, seed=0):
    """Few strong directions and a long tail of weak ones, positive and skewed, as the embeddings of networks are."""
    generator = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(width))
    hidden = generator.normal(size=(len(data_set), width)) * spectrum
    hidden += signal * (generator.normal(size=(len(data_set.classes), width)) * spectrum**2)[data_set.labels]
    mixed = hidden @ np.linalg.qr(generator.normal(size=(width, width)))[0]
    return np.logaddexp(0, 20 * mixed).astype(np.float32)


def made_up_job(
    head: str, data_set: DataSet | None = None, seed=0, width=16, features=None, **recipe: Any
) -> TrainingJob:
    data_set = data_set or made_up_data_set()
    if features is None and data_set.labels is not None:
        features = separable_features(data_set, width)
    made = recipe_for(head, data_set.task, Settings(), precision="fp32").model_copy(update=recipe)
    return TrainingJob(
        data_set=data_set,
        backbone=MadeUpBackbone(
            made_up_backbone_info(width=width if features is None else features.shape[1])
        ),
        recipe=made,
        seed=seed,
        device=torch.device("cpu"),
        features=features,
    )
