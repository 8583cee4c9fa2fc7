"""Backbones by name: networks from timm by timm's own names, and `handcrafted`."""

from __future__ import annotations

from lib.config import Settings
from lib.records import BackboneInfo
from lib.zoo.base import BACKBONES, Backbone, BackboneSource
from lib.zoo.catalogue import CURATED, HANDCRAFTED
from lib.zoo.handcrafted import SOURCE


def backbone_names() -> list[str]:
    """What `all` means: the curated networks and `handcrafted`. Any other name of timm works as well, and that of a cut network
    in weights_dir."""
    return BACKBONES.names()


def open_backbone(name: str, settings: Settings) -> Backbone:
    """The backbone called `name`. Its weights are found (fetched where necessary) now, and loaded when first used.

    Raises CvAutomlError for an unknown name (with the nearest ones) and WeightsError where there are no weights.
    """
    return _source(name).open(name, settings)


def describe_backbone(name: str, settings: Settings) -> BackboneInfo:
    """A backbone's facts without loading or downloading weights. Raises as `open_backbone` does."""
    return _source(name).describe(name, settings)


def _source(name: str) -> BackboneSource:
    return BACKBONES[name] if name in BACKBONES else NETWORK  # noqa: SIM401 (a registry has no `get`)


def _open_network(name: str, settings: Settings) -> Backbone:
    from lib.zoo.network import NetworkBackbone
    from lib.zoo.weights import find_weights

    return NetworkBackbone(name, find_weights(name, settings), settings)


def _describe_network(name: str, settings: Settings) -> BackboneInfo:
    from lib.zoo.network import network_info
    from lib.zoo.weights import find_weights

    weights = find_weights(name, settings, download=False)
    return network_info(name, weights, settings.upscale, settings.cache_dir)


NETWORK = BackboneSource(_open_network, _describe_network)
for _name in CURATED:
    BACKBONES.register(_name)(NETWORK)
BACKBONES.register(HANDCRAFTED)(SOURCE)
