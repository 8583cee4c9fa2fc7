"""Pretrained weights: weights_dir → Hugging Face cache → hub → a clear error; loaded whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from lib.config import Settings
from lib.errors import WeightsError
from lib.records.schema import WeightsOrigin
from lib.zoo.catalogue import pretrained_config

RANDOM_SEED = 0
HASH_LENGTH = 16
HUB_TIMEOUT_S = 2.0
HUB_FILE = "model.safetensors"


class WeightsCard(BaseModel):
    """`<name>.yaml` beside `<name>.safetensors`: what the weights expect. A field left out keeps timm's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    crop_pct: float | None = Field(None, gt=0, le=1)
    interpolation: str | None = Field(None, pattern="^(nearest|bilinear|bicubic|box|hamming|lanczos)$")
    input_size_px: int | None = Field(None, ge=16)
    classifier: bool | None = None
    model_kwargs: dict[str, Any] = {}
    pretraining: str | None = None
    source: str | None = None
    licence: str | None = None

    def digest(self) -> str:
        """Hash of the fields that change what the network computes."""
        deciding = self.model_dump(mode="json", exclude={"pretraining", "source", "licence", "classifier"})
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:6]


@dataclass(frozen=True)
class Weights:
    """Where a network's weights come from. `path` is None for random ones, and for hub files not fetched yet.

    `hash`: first 16 hex digits of the file's SHA-256, with `-<6 digits>` of the card where one lies beside it;
    `random-…` for random weights.
    """

    origin: WeightsOrigin
    hash: str
    path: Path | None = None
    card: WeightsCard = field(default_factory=WeightsCard)


def find_weights(name: str, settings: Settings, download: bool = True) -> Weights:
    """The weights of a network, searched in weights_dir, the Hugging Face cache and the hub, in this order.

    With `download=False` a hub file is only asked for its hash. Raises WeightsError that names the three ways out
    where nothing is found, and where a file or card is broken.
    """
    if settings.weights == "random":
        return random_weights(name)
    return _from_folder(name, settings.weights_dir) or _from_cache(name) or (_from_hub(name, download))


def random_weights(name: str) -> Weights:
    """Weights of timm's own initialisation under a fixed seed: for exercising code, never called pretrained."""
    digest = hashlib.sha256(f"{name} seed={RANDOM_SEED}".encode()).hexdigest()[:8]
    return Weights("random", f"random-{digest}")


def _from_folder(name: str, folder: Path | None) -> Weights | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise WeightsError(f"weights_dir {folder} is no folder: correct it, or set it to null to use the hub")
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        return None
    card_path = path.with_suffix("").with_name(f"{name}.yaml")
    if not card_path.is_file():
        return Weights("weights_dir", file_hash(path), path)
    card = read_card(card_path)
    return Weights("weights_dir", f"{file_hash(path)}-{card.digest()}", path, card)


def read_card(path: Path) -> WeightsCard:
    """Reads `<name>.yaml`; raises WeightsError that names the file, the field and what was expected."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return WeightsCard.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise WeightsError(f"{path}: {place}: {first['msg'].lower()} (got {first['input']!r})") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WeightsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error


def _from_cache(name: str) -> Weights | None:
    from huggingface_hub import try_to_load_from_cache

    repository, file = _hub_place(name)
    if repository is None:
        return None
    cached = try_to_load_from_cache(repository, file)
    return Weights("cache", file_hash(Path(cached)), Path(cached)) if isinstance(cached, str) else None


def _from_hub(name: str, download: bool) -> Weights:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    repository, file = _hub_place(name)
    if repository is None:
        raise _not_found(name, "timm knows no pretrained weights of this name")
    obstacle = hub_obstacle()
    if obstacle:
        raise _not_found(name, obstacle)
    try:
        if download:
            path = Path(hf_hub_download(repository, file))
            return Weights("hub", file_hash(path), path)
        metadata = get_hf_file_metadata(hf_hub_url(repository, file), timeout=5 * HUB_TIMEOUT_S)
        # The hub's etag of a large file is its SHA-256.
        return Weights("hub", str(metadata.etag or "")[:HASH_LENGTH])
    except Exception as error:  # the hub client raises errors of four libraries; each means "not from there"
        raise _not_found(name, f"the hub answered: {_first_line(error)}") from error


def _hub_place(name: str) -> tuple[str | None, str]:
    config = pretrained_config(name)
    return config.get("hf_hub_id"), config.get("hf_hub_filename") or HUB_FILE


def _not_found(name: str, reason: str) -> WeightsError:
    return WeightsError(
        f"no pretrained weights for '{name}': {reason}. Three ways out: put {name}.safetensors into a folder and name "
        "it as weights_dir (config.yaml or CVAUTOML_WEIGHTS_DIR); give this machine a way to huggingface.co, or a "
        "filled Hugging Face cache (HF_HOME); or pass --weights random, which is for exercising code only"
    )


def hub_obstacle() -> str | None:
    """Why the hub cannot be asked, or None where it answers; found within seconds and remembered for the process."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set, and neither weights_dir nor the Hugging Face cache has them"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return None if _answers(endpoint) else f"{endpoint} does not answer, and weights_dir and cache lack them"


@lru_cache(maxsize=8)
def _answers(endpoint: str) -> bool:
    reached: list[bool] = []
    # A thread, because looking up a host name has no timeout of its own and the hub client retries for 20 s.
    thread = threading.Thread(target=lambda: reached.append(_head(endpoint)), daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT_S + 0.5)
    return bool(reached and reached[0])


def _head(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        return error.code != 403 and error.code < 500
    except (OSError, ValueError):
        return False
    return True


def file_hash(path: Path) -> str:
    """First 16 hex digits of the file's SHA-256; remembered while the file stays as it is."""
    try:
        state = path.stat()
        return _file_hash(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error


@lru_cache(maxsize=256)
def _file_hash(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_LENGTH]


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floating ones as float32; raises WeightsError where it is cut off or no such file."""
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file ({_first_line(error)}): fetch it again"
        ) from error
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def create_network(name: str, weights: Weights, **model_kwargs: Any) -> torch.nn.Module:
    """timm's network without its classifier, in evaluation mode, with exactly the weights given.

    Raises WeightsError with the first keys that do not fit; nothing is ever loaded in part, the classifier apart.
    """
    import timm

    kwargs = {"num_classes": 0, **weights.card.model_kwargs, **model_kwargs}
    if weights.path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            return timm.create_model(name, pretrained=False, **kwargs).eval()
    # timm loads strictly when neither a classifier nor a number of classes is named, after its own renaming of keys.
    overlay = {
        "state_dict": _without_classifier(read_state(weights.path), name),
        "classifier": None,
        "num_classes": 0,
        "custom_load": False,
    }
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **kwargs)
    except (RuntimeError, KeyError) as error:
        raise WeightsError(f"{weights.path} does not fit '{name}': {_first_misfits(error)}") from error
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


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
