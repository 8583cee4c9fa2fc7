"""Networks with their weights: timm's own or cut behind a feature map, loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lib.errors import WeightsError
from lib.zoo.catalogue import pretrained_config
from lib.zoo.weights import RANDOM_SEED, Weights, WeightsCard, first_line

CUT_PREFIX = "features.graph_module."


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floating ones as float32; raises WeightsError where it is cut off or no such file."""
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file ({first_line(error)}): fetch it again"
        ) from error
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def create_network(name: str, weights: Weights, **model_kwargs: Any) -> torch.nn.Module:
    """timm's network without its classifier, in evaluation mode, with exactly the weights given.

    Raises WeightsError with the first keys that do not fit; nothing is ever loaded in part, the classifier apart.
    """
    if weights.path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            return untrained_network(name, weights.card, **model_kwargs)
    state = read_state(weights.path)
    try:
        if weights.card.architecture:
            network = untrained_network(name, weights.card, **model_kwargs)
            network.load_state_dict({CUT_PREFIX + key: value for key, value in state.items()})
            return network
        kwargs = {**weights.card.model_kwargs, **model_kwargs}
        return _pretrained(weights.card.timm_name(name), state, kwargs)
    except (RuntimeError, KeyError) as error:
        raise WeightsError(f"{weights.path} does not fit '{name}': {_first_misfits(error)}") from error


def untrained_network(name: str, card: WeightsCard, **model_kwargs: Any) -> torch.nn.Module:
    """timm's network without its classifier, or cut where the card says so, with weights as timm draws them."""
    import timm

    kwargs = {**card.model_kwargs, **model_kwargs}
    if card.architecture:
        return CutNetwork(card.architecture, card.feature_map or 0, kwargs).eval()
    return timm.create_model(card.timm_name(name), pretrained=False, num_classes=0, **kwargs).eval()


class CutNetwork(torch.nn.Module):
    """timm's network as far as one of its feature maps: images (n, 3, h, w) → average of the map (n, channels)."""

    def __init__(self, architecture: str, feature_map: int, model_kwargs: dict[str, Any]) -> None:
        super().__init__()
        import timm

        # Only the graph extractor leaves out what comes after the map.
        indices = tuple(range(feature_map + 1))
        self.features = timm.create_model(
            architecture, features_only=True, out_indices=indices, feature_cls="fx", **model_kwargs
        )
        info: Any = self.features.feature_info
        pairs = zip(info.reduction(), info.channels(), strict=True)
        self.feature_info = [{"reduction": reduction, "num_chs": width} for reduction, width in pairs]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The embeddings."""
        return self.features(images)[-1].mean((2, 3))

    def forward_intermediates(
        self, images: torch.Tensor, indices: Sequence[int], **options: Any
    ) -> list[torch.Tensor]:
        """The maps at those places alone, as timm's networks show theirs."""
        maps = self.features(images)
        return [maps[index] for index in indices]


def _pretrained(name: str, state: dict[str, torch.Tensor], model_kwargs: dict[str, Any]) -> torch.nn.Module:
    import timm

    # timm loads strictly when neither a classifier nor a number of classes is named, after its own renaming of keys.
    overlay = {
        "state_dict": _without_classifier(state, name),
        "classifier": None,
        "num_classes": 0,
        "custom_load": False,
    }
    kwargs = {"num_classes": 0, **model_kwargs}
    network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **kwargs)
    # timm keeps what it was given: the state would be held in memory, and copied with the network, for nothing.
    vars(network)["pretrained_cfg"].pop("state_dict", None)
    return network.eval()


def _without_classifier(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    classifiers = pretrained_config(name).get("classifier") or ()
    names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    dropped = {f"{classifier}.{part}" for classifier in names for part in ("weight", "bias")}
    return {key: value for key, value in state.items() if key not in dropped}


def _first_misfits(error: Exception, shown: int = 3) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    misfits: list[str] = []
    for line in lines[1:] or lines:
        head, _, keys = line.partition(": ")
        names = keys.split(", ")
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        misfits.append(f"{head}: {', '.join(names[:shown])}{more}" if keys else line)
    return "; ".join(misfits[:shown])
