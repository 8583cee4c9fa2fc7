"""The chosen pairs trained once more, on everything but the test part, with the settings that the folds chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lib.config import Settings
from lib.datasets import DataSet
from lib.features.cache import FeatureCache
from lib.features.embeddings import embeddings_of
from lib.fit.division import Division, with_validation
from lib.inference.masks import DEFAULT_THRESHOLD
from lib.records import Recipe, RunRecord
from lib.records.schema import Option
from lib.zoo.backbones import open_backbone
from lib.zoo.base import InputSpec
from lib.zoo.devices import choose_device, set_threads
from lib.zoo.heads import HEADS, TrainingJob, TrainingResult
from lib.zoo.inference_form import inference_form
from lib.zoo.network import NetworkBackbone
from lib.zoo.pair_networks import DensePair
from lib.zoo.preprocessing import SizedImages, normalised_tensor
from lib.zoo.segmentation.mask_network import MaskNetwork
from lib.zoo.weights import WeightsCard

BATCH = 16
MOST_REFERENCES = 400

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Member:
    """One trained pair. `network`: normalised images → probabilities; `input`: what its images look like; `features`
    (n_references, width): of training images, to know others by; `rows`: which images those are."""

    record: RunRecord
    network: nn.Module
    input: InputSpec
    card: WeightsCard
    result: TrainingResult
    features: Floats
    rows: npt.NDArray[np.int64]

    @property
    def parameters(self) -> int:
        """Of backbone and head, in the form it answers in."""
        return sum(one.numel() for one in self.network.parameters())


def refitted(record: RunRecord, division: Division, settings: Settings) -> Member:
    """The pair of a record, trained on all but the test part; of masks a validation part is kept aside for the thresholds."""
    set_threads(settings.threads)
    backbone = open_backbone(record.backbone.name, settings)
    assert isinstance(backbone, NetworkBackbone)
    masks = record.data_set.task == "segmentation"
    data_set = with_validation(division) if masks else division.final
    frozen_classes = not masks and not record.recipe.finetune
    job = TrainingJob(
        data_set=data_set,
        backbone=backbone,
        recipe=settled(record),
        seed=record.seed,
        device=choose_device(settings.device),
        features=embeddings_of(data_set, backbone, settings).values if frozen_classes else None,
        maps_cache=FeatureCache(settings.cache_dir / "maps", settings.cache_size_gb),
    )
    result = HEADS[record.head.name]().train(job)
    assert result.network is not None, "only networks are searched"
    spec = _input_of(backbone.input, record.recipe)
    network = result.network().eval().cpu()
    network = inference_form(network, torch.zeros(1, 3, spec.height_px, spec.width_px)).requires_grad_(False)
    rows = _references(data_set)
    features = job.features[rows] if job.features is not None else features_of(network, data_set, spec, rows)
    return Member(record, network, spec, backbone.weights.card, result, features, rows)


def settled(record: RunRecord) -> Recipe:
    """The recipe with the one combination of its grid that did best over the folds."""
    known = [point for point in record.grid if point.validation is not None]
    if not record.recipe.grid or not known:
        return record.recipe.model_copy(update={"folds": (0,)})
    best = max(known, key=lambda point: point.validation or 0.0).settings
    grid: dict[str, tuple[Option, ...]] = {name: (best[name],) for name in record.recipe.grid}
    return record.recipe.model_copy(update={"grid": grid, "folds": (0,)})


def _input_of(spec: InputSpec, recipe: Recipe) -> InputSpec:
    if not recipe.image_height_px:
        return spec
    size = {"height_px": recipe.image_height_px, "width_px": recipe.image_width_px}
    return InputSpec(**{**vars(spec), **size})


def _references(data_set: DataSet) -> npt.NDArray[np.int64]:
    """Training images that stand for all of them, the same ones each time."""
    rows = data_set.indices("train")
    chosen = np.random.default_rng(0).permutation(len(rows))[:MOST_REFERENCES]
    return np.sort(rows[chosen])


def pooled(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What a trained pair makes of images before it answers, (n, width): features, of masks the mean of its last map."""
    if isinstance(network, DensePair):
        return network.backbone(images)
    assert isinstance(network, MaskNetwork)
    return network.pyramid.own_maps(images)[-1].mean(dim=(2, 3))


def features_of(
    network: nn.Module, data_set: DataSet, spec: InputSpec, rows: npt.NDArray[np.int64]
) -> Floats:
    """`pooled` of the images at `rows`."""
    sized, found = SizedImages(data_set, spec), []
    with torch.inference_mode():
        for some in np.split(rows, range(BATCH, len(rows), BATCH)):
            found.append(
                pooled(network, normalised_tensor(torch.from_numpy(sized.images(some)), spec)).numpy()
            )
    return np.concatenate(found)


def mask_limits(members: Sequence[Member]) -> dict[str, Any]:
    """The thresholds and smallest areas that a mask member chose, a class each; empty for classes."""
    first = members[0]
    if first.record.data_set.task == "classification":
        return {}
    chosen, classes = first.result.chosen, first.record.data_set.classes
    options = first.record.recipe.options
    usual = options.get("threshold", DEFAULT_THRESHOLD)
    return {
        "thresholds": [float(chosen.get(f"threshold:{name}", usual)) for name in classes],
        "smallest_areas": [float(chosen.get(f"smallest_area:{name}", 0.0)) for name in classes],
        "input": "resized" if options.get("input", "resized") == "resized" else "windows",
    }
