"""A timm network as a backbone: facts from a weightless copy, features in batches while threads read the next images."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.config import Settings
from lib.errors import WeightsError
from lib.files import write_atomically
from lib.records import BackboneInfo
from lib.zoo.base import Backbone, Extraction, Image, ImageSource, InputSpec, OnProgress
from lib.zoo.catalogue import CatalogueEntry, entry_of, pretrained_config
from lib.zoo.devices import (
    choose_device,
    choose_precision,
    device_name,
    dtype_of,
    free_memory,
    is_out_of_memory,
    project_version,
    set_threads,
)
from lib.zoo.inference_form import inference_form
from lib.zoo.loading import create_network, untrained_network
from lib.zoo.preprocessing import normalised_tensor, read_ahead, resized
from lib.zoo.tuned import base_name
from lib.zoo.weights import Weights, WeightsCard, first_line

BATCH_SIZE = {"cpu": 32, "mps": 64, "cuda": 256}


@dataclass(frozen=True)
class Architecture:
    """What a network is in its inference form, whatever its weights. `flops`: multiply-accumulates of one image.

    `shape`: hash of its layers and input size: networks of one shape compute the same with other numbers.
    """

    parameters: int
    embedding_width: int
    flops: float
    shape: str


class NetworkBackbone(Backbone):
    """A timm network; its weights are loaded when features are first asked for."""

    def __init__(self, name: str, weights: Weights, settings: Settings) -> None:
        self.weights = weights
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        set_threads(settings.threads)
        self.input = input_spec(name, weights.card, settings.upscale)
        self.info = network_info(name, weights, settings.upscale, settings.cache_dir)
        self.device_name = device_name(self.device)
        self.shape = architecture(name, weights, settings.cache_dir).shape
        self.cache_key = f"{name} {weights.hash} {self.input.digest()} {self.precision} inference form"
        self.batch_size = BATCH_SIZE[self.device.type]
        self.threads = torch.get_num_threads() if self.device.type == "cpu" else 0

    def feature_module(self, **model_kwargs: Any) -> torch.nn.Module:
        """A fresh, trainable copy with its weights on the device, in evaluation mode, as it was pretrained."""
        return self._placed(self._created(**model_kwargs))

    @cached_property
    def _network(self) -> torch.nn.Module:
        # Weights in bf16 as well: under autocast they would be converted anew in every batch.
        example = torch.zeros(1, 3, self.input.height_px, self.input.width_px)
        form = inference_form(self._created(), example).requires_grad_(False)
        return self._placed(form).to(dtype_of(self.precision))

    def _created(self, **model_kwargs: Any) -> torch.nn.Module:
        timm_name = self.weights.card.timm_name(self.info.name)
        kwargs = _size_kwargs(timm_name, self.input.height_px) | model_kwargs
        return create_network(self.info.name, self.weights, **kwargs)

    def _placed(self, network: torch.nn.Module) -> torch.nn.Module:
        return network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def extract(self, images: Iterable[ImageSource], on_progress: OnProgress | None = None) -> Extraction:
        """Features of the images; a batch that does not fit into memory is halved, which a note tells."""
        parts: list[npt.NDArray[np.float32]] = []
        notes: list[str] = []
        done = 0
        for batch in _batches(read_ahead(images, self._read, 2 * self.batch_size), self.batch_size):
            parts.append(self._forward_halving(batch, notes))
            done += len(batch)
            if on_progress:
                on_progress(done)
        values = np.concatenate(parts) if parts else np.empty((0, self.info.embedding_width), np.float32)
        return Extraction(values, tuple(notes))

    def forward_batch(self, batch: Image) -> npt.NDArray[np.float32]:
        """uint8 images (n, height_px, width_px, 3), already resized → float32 features (n, embedding_width)."""
        with torch.inference_mode():
            images = normalised_tensor(torch.from_numpy(batch).to(self.device), self.input)
            return self._network(images.to(dtype_of(self.precision))).float().cpu().numpy()

    def _read(self, source: ImageSource) -> Image:
        return resized(source() if callable(source) else source, self.input)

    def _forward_halving(self, batch: list[Image], notes: list[str]) -> npt.NDArray[np.float32]:
        try:
            return np.concatenate(
                [self.forward_batch(np.stack(part)) for part in _batches(iter(batch), self.batch_size)]
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self.batch_size == 1:
                raise
        free_memory(self.device)
        self.batch_size = max(1, min(self.batch_size, len(batch)) // 2)
        notes.append(f"batch of the backbone halved to {self.batch_size}: out of memory")
        return self._forward_halving(batch, notes)


def _batches(images: Iterator[Image], size: int) -> Iterator[list[Image]]:
    while batch := list(itertools.islice(images, size)):
        yield batch


def input_spec(name: str, card: WeightsCard, upscale: str | None = None) -> InputSpec:
    """The input of a network: the card's word first, then the catalogue's, then timm's; `upscale` in place of its interpolation."""
    timm_name = card.timm_name(name)
    config = pretrained_config(timm_name)
    size = (
        card.input_size_px or entry_of(timm_name).input_size_px or config.get("input_size", (3, 224, 224))[-1]
    )
    return InputSpec(
        height_px=size,
        width_px=size,
        mean=card.mean or tuple(config.get("mean", (0.485, 0.456, 0.406))),
        std=card.std or tuple(config.get("std", (0.229, 0.224, 0.225))),
        interpolation=upscale or card.interpolation or config.get("interpolation", "bicubic"),
        crop_pct=card.crop_pct or config.get("crop_pct", 0.875),
    )


def network_info(
    name: str, weights: Weights, upscale: str | None = None, cache_dir: Path | None = None
) -> BackboneInfo:
    """The facts of a network that a record keeps; nothing is loaded for them. `cache_dir`: where they are remembered."""
    spec = input_spec(name, weights.card, upscale)
    found = architecture(name, weights, cache_dir)
    entry = entry_of(weights.card.timm_name(name))
    data, method = _pretraining(weights, entry)
    return BackboneInfo(
        name=name,
        family=entry.family,
        parameters=found.parameters,
        embedding_width=found.embedding_width,
        input_size_px=spec.height_px,
        flops=found.flops,
        pretraining_data=data,
        pretraining_method=method,
        weights_origin=weights.origin,
        weights_hash=weights.hash,
        input_hash=spec.digest(),
    )


def _pretraining(weights: Weights, entry: CatalogueEntry) -> tuple[str, str]:
    """Data and method behind the weights."""
    if weights.origin == "random":
        return "none", "random weights"
    if weights.card.tuned:
        return weights.card.tuned.data, weights.card.tuned.method
    return weights.card.pretraining or entry.pretraining_data, entry.pretraining_method


def architecture(name: str, weights: Weights, cache_dir: Path | None = None) -> Architecture:
    """What the network is; found without its weights, which takes a second, and remembered in `cache_dir`. Raises WeightsError
    where the card describes none that works."""
    size, card = input_spec(name, weights.card).height_px, weights.card.model_dump_json()
    versions = f"{timm.__version__} {torch.__version__} {project_version()}"
    key = hashlib.sha256(f"{name} {size} {card} {versions}".encode()).hexdigest()[:24]
    path = cache_dir / "architectures" / f"{key}.json" if cache_dir else None
    if path:
        with suppress(OSError, ValueError, TypeError):
            return Architecture(**json.loads(path.read_text(encoding="utf-8")))
    try:
        found = _architecture(name, size, card)
    except Exception as error:  # timm raises whatever its constructors do not understand
        if weights.card == WeightsCard():
            raise
        raise WeightsError(f"{name}.yaml: timm makes no network of this card: {first_line(error)}") from error
    if path:
        with suppress(OSError):  # a read-only cache costs only the next look
            write_atomically(path, json.dumps(vars(found)), flush=False)
    return found


@lru_cache(maxsize=512)
def _architecture(name: str, size: int, card_json: str) -> Architecture:
    # On the meta device tensors have shapes and no values: a network of any size costs a fraction of a second.
    card = WeightsCard.model_validate_json(card_json)
    kwargs = _size_kwargs(card.timm_name(name), size)
    with torch.device("meta"):
        image = torch.zeros(1, 3, size, size)
        network = inference_form(untrained_network(name, card, **kwargs), image)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            features = network(image)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    shape = hashlib.sha256(f"{network} {parameters} {size} {counter.get_total_flops()}".encode()).hexdigest()
    # The counter takes a multiply-accumulate for two operations.
    return Architecture(parameters, int(features.shape[1]), counter.get_total_flops() / 2, shape[:16])


@lru_cache(maxsize=512)
def has_feature_maps(name: str, size: int) -> bool:
    """Whether timm shows the feature maps inside this network, which decoders need. A network that timm does not know is a cut
    one, which has them all."""
    name = base_name(name)
    if not timm.is_model(name):
        return True
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, num_classes=0, **_size_kwargs(name, size))
    return hasattr(network, "forward_intermediates") and bool(getattr(network, "feature_info", None))


def _size_kwargs(name: str, size: int) -> dict[str, Any]:
    """timm must be told the size where a network's weights depend on it and it is not the usual one."""
    config = pretrained_config(name)
    usual = config.get("input_size", (3, size, size))[-1]
    return {"img_size": size} if config.get("fixed_input_size") and usual != size else {}
