"""Where pretrained weights are: weights_dir → Hugging Face cache → hub → a clear error."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from lib.config import Settings
from lib.errors import CvAutomlError, WeightsError
from lib.frozen import Frozen
from lib.records.schema import WeightsOrigin
from lib.yaml_files import read_yaml
from lib.zoo.catalogue import pretrained_config, require_known
from lib.zoo.tuned import Tuned, is_tuned, tuned_files

RANDOM_SEED = 0
HASH_LENGTH = 16
HUB_TIMEOUT_S = 2.0
HUB_FILE = "model.safetensors"
LARGEST_INPUT_PX = 2048
LARGEST_ARGUMENT = 4096
# What this project itself tells timm; a checkpoint_path would be unpickled.
_OURS = re.compile("pretrained.*|checkpoint.*|num_classes|in_chans|features_only|out_indices|.*_dir|img_size")


def _bounded(kwargs: dict[str, Any]) -> dict[str, Any]:
    for name, value in kwargs.items():
        if _OURS.fullmatch(name):
            raise ValueError(f"{name} is no argument for a card to set; leave it out")
        if not all(isinstance(one, bool | int | float | str | None) for one in _each(value)):
            raise ValueError(f"{name} is neither a number, a text nor a list of them")
        if not all(abs(one) <= LARGEST_ARGUMENT for one in _each(value) if isinstance(one, int | float)):
            raise ValueError(f"{name} holds a number beyond {LARGEST_ARGUMENT}")
    return kwargs


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


Level = Annotated[float, Field(ge=-10, le=10)]
Spread = Annotated[float, Field(gt=0, le=10)]


class WeightsCard(Frozen):
    """`<name>.yaml` beside `<name>.safetensors`: what the weights expect. A field left out keeps timm's own value.

    A network of a name that timm does not know is timm's `architecture` cut behind its `feature_map` (a number as in timm's
    `out_indices`): the average of that map is its embedding.
    """

    mean: tuple[Level, Level, Level] | None = None
    std: tuple[Spread, Spread, Spread] | None = None
    crop_pct: float | None = Field(None, gt=0, le=1)
    interpolation: str | None = Field(None, pattern="^(nearest|bilinear|bicubic|box|hamming|lanczos)$")
    input_size_px: int | None = Field(None, ge=16, le=LARGEST_INPUT_PX)
    classifier: bool | None = None
    architecture: str | None = None
    feature_map: int | None = Field(None, ge=0)
    model_kwargs: Annotated[dict[str, Any], AfterValidator(_bounded)] = {}
    pretraining: str | None = None
    source: str | None = None
    licence: str | None = None
    tuned: Tuned | None = None

    @model_validator(mode="after")
    def _cut_somewhere(self) -> WeightsCard:
        if (self.architecture is None) != (self.feature_map is None):
            raise ValueError(
                "architecture and feature_map go together: a network, and the map behind which it is cut"
            )
        return self

    def timm_name(self, name: str) -> str:
        """What timm calls the network that is called `name` here."""
        return self.architecture or (self.tuned.tuning.backbone if self.tuned else name)

    def digest(self) -> str:
        """Hash of the fields that change what the network computes."""
        silent = {"pretraining", "source", "licence", "classifier", "tuned"}
        whole = {"architecture", "feature_map"} if self.architecture is None else set()
        deciding = self.model_dump(mode="json", exclude=silent | whole)
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
    """The weights of a network, searched in weights_dir, the Hugging Face cache and the hub, in this order; of a tuned one in
    tuned_dir.

    With `download=False` a hub file is only asked for its hash. Raises WeightsError that names the three ways out
    where nothing is found, and where a file or card is broken.
    """
    if is_tuned(name):
        return _tuned(name, settings)
    card = _card_of(name, settings.weights_dir)
    _require_network(name, card)
    if settings.weights == "random":
        return random_weights(name, card)
    return _from_folder(name, settings.weights_dir, card) or find_in_cache(name) or _from_hub(name, download)


def _tuned(name: str, settings: Settings) -> Weights:
    path, card_path = tuned_files(name, settings)
    if not path.is_file() or not card_path.is_file():
        raise WeightsError(
            f"{settings.tuned_dir} holds no {name}: `zoo.py ssl` makes it; `zoo.py list` shows what is there"
        )
    card = read_card(card_path)
    if card.tuned is None:
        raise WeightsError(f"{card_path}: tuned: expected what `zoo.py ssl` writes; tune the backbone again")
    _require_network(name, card)
    _require_whole(path)
    return Weights("tuned", f"{file_hash(path)}-{card.digest()}", path, card)


def _require_network(name: str, card: WeightsCard) -> None:
    try:
        require_known(card.timm_name(name))
    except CvAutomlError as error:
        raise CvAutomlError(
            f"{error} A network cut from timm's needs a card {name}.yaml in weights_dir"
        ) from error


def random_weights(name: str, card: WeightsCard | None = None) -> Weights:
    """Weights of timm's own initialisation under a fixed seed: for exercising code, never called pretrained.

    Of a card only the cut counts: all else is what trained weights expect.
    """
    digest = hashlib.sha256(f"{name} seed={RANDOM_SEED}".encode()).hexdigest()[:8]
    cut = card.model_dump(include={"architecture", "feature_map"}) if card else {}
    return Weights("random", f"random-{digest}", card=WeightsCard(**cut))


def _card_of(name: str, folder: Path | None) -> WeightsCard:
    path = folder / f"{name}.yaml" if folder else None
    return read_card(path) if path and os.path.lexists(path) else WeightsCard()


def _from_folder(name: str, folder: Path | None, card: WeightsCard) -> Weights | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise WeightsError(f"weights_dir {folder} is no folder: correct it, or set it to null to use the hub")
    path = folder / f"{name}.safetensors"
    if os.path.lexists(path):
        if not path.is_file():
            raise WeightsError(f"{path}: not a regular file; replace or remove it")
        _require_whole(path)
        carded = f"-{card.digest()}" if os.path.lexists(folder / f"{name}.yaml") else ""
        return Weights("weights_dir", file_hash(path) + carded, path, card)
    if card.architecture:
        raise WeightsError(
            f"{folder} holds {name}.yaml and no {name}.safetensors: a cut network is nowhere else"
        )
    return None


def _require_whole(path: Path) -> None:
    """Reads the head of a safetensors file, so that one that is cut off or something else is found before anything runs."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file ({first_line(error)}): fetch it again"
        ) from error


def read_card(path: Path) -> WeightsCard:
    """Reads `<name>.yaml`; raises WeightsError that names the file, the field and what was expected."""
    try:
        return WeightsCard.model_validate(read_yaml(path, WeightsError))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise WeightsError(
            f"{path}: {place}: {first['msg'].lower()} (got {str(first['input'])[:80]!r})"
        ) from error


def find_in_cache(name: str) -> Weights | None:
    """The weights that the Hugging Face cache holds; None where it has none. Nothing is fetched."""
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
        raise _not_found(name, f"the hub answered: {first_line(error)}") from error


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


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
