"""A timm network as a backbone: facts from a weightless copy, features in batches while threads read the next images."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.config import Settings
from lib.records import BackboneInfo
from lib.zoo.backbones import Backbone, Extraction, Image, ImageSource, InputSpec, OnProgress
from lib.zoo.catalogue import entry_of, pretrained_config
from lib.zoo.devices import (
    choose_device,
    choose_precision,
    dtype_of,
    free_memory,
    is_out_of_memory,
    set_threads,
)
from lib.zoo.preprocessing import normalised_tensor, resized
from lib.zoo.reading import read_ahead
from lib.zoo.weights import Weights, WeightsCard, create_network

BATCH_SIZE = {"cpu": 32, "mps": 64, "cuda": 256}


@dataclass(frozen=True)
class Architecture:
    """What a network is, whatever its weights. `flops`: multiply-accumulates of one image."""

    parameters: int
    embedding_width: int
    flops: float


class NetworkBackbone(Backbone):
    """A timm network; its weights are loaded when features are first asked for."""

    def __init__(self, name: str, weights: Weights, settings: Settings) -> None:
        self.weights = weights
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        set_threads(settings.threads)
        self.input = input_spec(name, weights.card)
        self.info = network_info(name, weights)
        self.cache_key = f"{name} {weights.hash} {self.input.digest()} {self.precision}"
        self.batch_size = BATCH_SIZE[self.device.type]
        self._module: torch.nn.Module | None = None
        self._working_copy: torch.nn.Module | None = None

    @property
    def module(self) -> torch.nn.Module:
        """The network with its weights, float32, frozen, on the device. Shared: `feature_module` gives one to train."""
        if self._module is None:
            self._module = self.feature_module().requires_grad_(False)
        return self._module

    def feature_module(self, **model_kwargs: Any) -> torch.nn.Module:
        """A fresh, trainable copy with its weights on the device, in evaluation mode."""
        kwargs = _size_kwargs(self.info.name, self.input.height_px) | model_kwargs
        network = create_network(self.info.name, self.weights, **kwargs)
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
        network = self._working_network()
        with torch.inference_mode():
            images = normalised_tensor(torch.from_numpy(batch).to(self.device), self.input)
            return network(images.to(dtype_of(self.precision))).float().cpu().numpy()

    def _read(self, source: ImageSource) -> Image:
        return resized(source() if callable(source) else source, self.input)

    def _working_network(self) -> torch.nn.Module:
        # Weights in bf16 as well: under autocast they would be converted anew in every batch.
        if self._working_copy is None:
            whole = self.module
            self._working_copy = (
                whole if self.precision == "fp32" else copy.deepcopy(whole).to(torch.bfloat16)
            )
        return self._working_copy

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


def input_spec(name: str, card: WeightsCard) -> InputSpec:
    """The input of a network: the card's word first, then the catalogue's, then timm's."""
    config = pretrained_config(name)
    size = card.input_size_px or entry_of(name).input_size_px or config.get("input_size", (3, 224, 224))[-1]
    return InputSpec(
        height_px=size,
        width_px=size,
        mean=card.mean or tuple(config.get("mean", (0.485, 0.456, 0.406))),
        std=card.std or tuple(config.get("std", (0.229, 0.224, 0.225))),
        interpolation=card.interpolation or config.get("interpolation", "bicubic"),
        crop_pct=card.crop_pct or config.get("crop_pct", 0.875),
    )


def network_info(name: str, weights: Weights) -> BackboneInfo:
    """The facts of a network that a record keeps; nothing is loaded for them."""
    size = input_spec(name, weights.card).height_px
    architecture = _architecture(name, size, json.dumps(weights.card.model_kwargs, sort_keys=True))
    entry = entry_of(name)
    is_random = weights.origin == "random"
    return BackboneInfo(
        name=name,
        family=entry.family,
        parameters=architecture.parameters,
        embedding_width=architecture.embedding_width,
        input_size_px=size,
        flops=architecture.flops,
        pretraining_data="none" if is_random else weights.card.pretraining or entry.pretraining_data,
        pretraining_method="random weights" if is_random else entry.pretraining_method,
        weights_origin=weights.origin,
        weights_hash=weights.hash,
    )


@lru_cache(maxsize=512)
def _architecture(name: str, size: int, model_kwargs: str) -> Architecture:
    # On the meta device tensors have shapes and no values: a network of any size costs a fraction of a second.
    kwargs = _size_kwargs(name, size) | json.loads(model_kwargs)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = timm.create_model(name, pretrained=False, num_classes=0, **kwargs).eval()
        features = network(torch.zeros(1, 3, size, size))
    # The counter takes a multiply-accumulate for two operations.
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Architecture(parameters, int(features.shape[1]), counter.get_total_flops() / 2)


@lru_cache(maxsize=512)
def has_feature_maps(name: str, size: int) -> bool:
    """Whether timm shows the feature maps inside this network, which decoders need."""
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, num_classes=0, **_size_kwargs(name, size))
    return hasattr(network, "forward_intermediates") and bool(getattr(network, "feature_info", None))


def _size_kwargs(name: str, size: int) -> dict[str, Any]:
    """timm must be told the size where a network's weights depend on it and it is not the usual one."""
    config = pretrained_config(name)
    usual = config.get("input_size", (3, size, size))[-1]
    return {"img_size": size} if config.get("fixed_input_size") and usual != size else {}
