"""What is known of a network without building it: the curated list, families, pretraining, input sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lib.errors import CvAutomlError
from lib.registry import unknown_name

HANDCRAFTED = "handcrafted"


@dataclass(frozen=True)
class CatalogueEntry:
    """Facts of one network that timm does not tell. `input_size_px` replaces timm's own where it is given."""

    family: str
    pretraining_data: str
    pretraining_method: str
    input_size_px: int | None = None


# Data and method of timm's default weights of each name, from the model cards of huggingface.co/timm.
# DINOv2 was trained at 518 px; 224 (16 x 16 patches of 14) is its usual size for whole-image features, at an eighth of the cost.
CURATED: dict[str, CatalogueEntry] = {
    "vit_small_patch14_dinov2": CatalogueEntry("vit", "LVD-142M", "self-supervised (DINOv2)", 224),
    "resnet18": CatalogueEntry("resnet", "ImageNet-1k", "supervised"),
    "resnet50": CatalogueEntry("resnet", "ImageNet-1k", "supervised"),
    "resnet101": CatalogueEntry("resnet", "ImageNet-1k", "supervised"),
    "xception41": CatalogueEntry("xception", "ImageNet-1k", "supervised"),
    "mobilenetv3_large_100": CatalogueEntry("mobilenet", "ImageNet-1k", "supervised"),
    "tf_efficientnet_lite0": CatalogueEntry("efficientnet", "ImageNet-1k", "supervised"),
    "mobilenetv2_100": CatalogueEntry("mobilenet", "ImageNet-1k", "supervised"),
    "vit_tiny_patch16_224": CatalogueEntry("vit", "ImageNet-21k, ImageNet-1k", "supervised"),
    "deit_tiny_patch16_224": CatalogueEntry("vit", "ImageNet-1k", "supervised"),
    "convnext_tiny": CatalogueEntry("convnext", "ImageNet-12k, ImageNet-1k", "supervised"),
    "mobileone_s0": CatalogueEntry("mobileone", "ImageNet-1k", "supervised"),
    "mobilenetv1_100": CatalogueEntry("mobilenet", "ImageNet-1k", "supervised"),
}

FAMILY_OF_MODULE = {"vision_transformer": "vit", "deit": "vit", "xception_aligned": "xception"}

# Pieces of timm's weight tags ("<name>.<tag>") → training data; the order in a tag is pretraining first.
DATA_OF_TAG = {
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "openai": "OpenAI CLIP (WIT)",
    "datacompxl": "DataComp-XL",
    "webli": "WebLI",
    "yfcc100m": "YFCC-100M",
    "ig1b": "Instagram-1B",
    "in22k": "ImageNet-22k",
    "in21k": "ImageNet-21k",
    "in12k": "ImageNet-12k",
    "in1k": "ImageNet-1k",
}
# Pieces of a full name ("<architecture>.<tag>") → method; the first that occurs counts.
METHOD_OF_NAME = (
    ("dinov3", "self-supervised (DINOv3)"),
    ("dinov2", "self-supervised (DINOv2)"),
    ("dino", "self-supervised (DINO)"),
    ("mae", "self-supervised (masked autoencoder)"),
    ("beit", "self-supervised (masked image modelling)"),
    ("siglip", "contrastive (image and text)"),
    ("clip", "contrastive (image and text)"),
    ("ssl", "semi-supervised"),
    ("swsl", "semi-supervised"),
    ("distilled", "distilled"),
    ("dist", "distilled"),
)


@lru_cache(maxsize=4096)
def require_known(name: str) -> None:
    """Raises CvAutomlError with the nearest names where timm has no such network or no such weights tag."""
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = list(dict.fromkeys([*CURATED, HANDCRAFTED, *timm.list_models()]))
        raise CvAutomlError(unknown_name("backbone", name, known))
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise CvAutomlError(unknown_name(f"weights tag of {architecture}", tag, tags or ["(it has none)"]))


def pretrained_config(name: str) -> dict[str, Any]:
    """timm's own facts of a network's default (or tagged) weights: input size, normalisation, hub id, classifier."""
    import timm

    require_known(name)
    config = timm.get_pretrained_cfg(name)
    return config.to_dict() if config else {}


def entry_of(name: str) -> CatalogueEntry:
    """The curated facts of a network, or those that its name and weights tag tell."""
    if name in CURATED:
        return CURATED[name]
    architecture = name.partition(".")[0]
    tag = name.partition(".")[2] or pretrained_config(name).get("tag") or ""
    size = CURATED[architecture].input_size_px if architecture in CURATED else None
    return CatalogueEntry(family_of(name), _data_of(tag), _method_of(f"{architecture}.{tag}"), size)


def family_of(name: str) -> str:
    """The kind of network: the curated family, else timm's module it is defined in."""
    architecture = name.partition(".")[0]
    if architecture in CURATED:
        return CURATED[architecture].family
    import timm

    module = timm.models.model_entrypoint(architecture).__module__.rpartition(".")[2]
    return FAMILY_OF_MODULE.get(module, module)


def _data_of(tag: str) -> str:
    found = sorted((tag.index(piece), data) for piece, data in DATA_OF_TAG.items() if piece in tag)
    return ", ".join(data for _, data in found) or "unknown"


def _method_of(full_name: str) -> str:
    return next((method for piece, method in METHOD_OF_NAME if piece in full_name), "supervised")
