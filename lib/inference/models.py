"""Kept models: the weights of a trained pair beside all that is needed to rebuild it, found again by its run's key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, ValidationError
from safetensors.torch import save_file
from torch import nn

from lib.config import Settings
from lib.errors import CvAutomlError, WeightsError
from lib.files import replacing, staged_folder, write_atomically
from lib.frozen import Frozen
from lib.records import BackboneInfo, DataSetInfo, Recipe
from lib.records.schema import Option
from lib.zoo.base import Image, InputSpec
from lib.zoo.devices import choose_device, project_version, set_threads
from lib.zoo.heads import HEADS, Head, TrainingJob, TrainingResult
from lib.zoo.inference_form import inference_form
from lib.zoo.loading import read_state
from lib.zoo.network import NetworkBackbone
from lib.zoo.preprocessing import normalised_tensor
from lib.zoo.upscaling import LEARNED
from lib.zoo.weights import Weights, WeightsCard, file_hash

CARD_FILE, STATE_FILE = "model.json", "model.safetensors"
MOST_TOLD = 5
TRAIN_AGAIN = "train it again with `zoo.py run --keep-models`"


class ModelCard(Frozen):
    """model.json: what a kept model is. `key`: of its run; `fold`: the one of the run's folds it was trained on.

    `input`: what its images look like; for masks of the size that the decoder was trained at. `chosen`: settings chosen on
    validation, among them `threshold:<class>` and `smallest_area:<class>`. `weights`: how timm makes the backbone, and the
    source and licence of its pretrained weights where they are known.
    """

    schema_version: Literal[1] = 1
    key: str = Field(pattern="^[0-9a-f]{16}$")
    fold: int
    data_set: DataSetInfo
    backbone: BackboneInfo
    weights: WeightsCard
    head: str
    head_version: int
    recipe: Recipe
    seed: int
    chosen: dict[str, Option] = {}
    input: InputSpec
    state_hash: str
    project_version: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; of masks without the background."""
        return self.data_set.classes

    @property
    def answers_masks(self) -> bool:
        """Whether it answers with masks rather than with one class an image."""
        return self.data_set.task == "segmentation"

    @property
    def works_on_windows(self) -> bool:
        """Whether it sees windows of an image at full resolution rather than the whole image resized."""
        return self.answers_masks and self.recipe.options.get("input", "resized") != "resized"

    def __str__(self) -> str:
        tuning = " fine-tuned" if self.recipe.finetune else ""
        return f"{self.data_set.name} · {self.backbone.name} × {self.head}{tuning} · seed {self.seed}"


@dataclass(frozen=True)
class KeptModel:
    """A kept model, ready to answer, on one device."""

    card: ModelCard
    network: nn.Module
    device: torch.device

    def probabilities(self, images: Image) -> npt.NDArray[np.float32]:
        """uint8 images (n, height_px, width_px, 3) of the card's size → (n, n_classes), for masks (n, n_classes, h, w)."""
        with torch.inference_mode():
            pixels = torch.from_numpy(images).to(self.device)
            return self.network(normalised_tensor(pixels, self.card.input)).float().cpu().numpy()


def can_be_kept(head: str, backbone: BackboneInfo) -> bool:
    """Whether a pair is a network: nearest neighbours, trees and handcrafted features are none."""
    return HEADS[head].network is not Head.network and backbone.family != "handcrafted"


def lacks_model(settings: Settings, key: str, head: str, backbone: BackboneInfo) -> bool:
    """Whether the run's model is to be kept and is not there."""
    if not settings.keep_models or settings.upscale == LEARNED or not can_be_kept(head, backbone):
        return False
    return not (settings.models_dir / key / CARD_FILE).is_file()


def save_state(network: nn.Module, path: Path) -> None:
    """Writes a network's weights and buffers as safetensors, whole or not at all."""
    # Copies of their own: safetensors takes no views and nothing that two names share.
    state = {name: value.cpu().clone().contiguous() for name, value in network.state_dict().items()}
    with replacing(path) as draft:
        save_file(state, draft)


def keep_model(
    models_dir: Path, key: str, info: DataSetInfo, head: str, job: TrainingJob, result: TrainingResult
) -> Path | None:
    """Writes the pair that was trained on the first of the job's folds, whole or not at all, and returns its folder; None
    where it is no network. Raises CvAutomlError where it cannot be written."""
    backbone = job.backbone
    if result.network is None or not isinstance(backbone, NetworkBackbone):
        return None
    if backbone.input.enlarge:
        raise CvAutomlError(
            f"images enlarged by a network of their own (upscale: {LEARNED}) need it later too"
        )
    network = result.network()
    with staged_folder(models_dir / key) as folder:
        save_state(network, folder / STATE_FILE)
        card = ModelCard(
            key=key,
            fold=job.recipe.folds[0],
            data_set=info,
            backbone=backbone.info,
            weights=backbone.weights.card,
            head=head,
            head_version=HEADS[head].version,
            recipe=job.recipe,
            seed=job.seed,
            chosen=result.chosen,
            input=_input_of(job),
            state_hash=file_hash(folder / STATE_FILE),
            project_version=project_version(),
        )
        write_atomically(folder / CARD_FILE, card.model_dump_json(indent=1) + "\n")
    return models_dir / key


def _input_of(job: TrainingJob) -> InputSpec:
    spec, recipe = job.backbone.input, job.recipe
    if job.data_set.task == "classification":
        return spec
    size = {"height_px": recipe.image_height_px, "width_px": recipe.image_width_px}
    return InputSpec(**{**vars(spec), **size})


def load_model(run: str, settings: Settings) -> KeptModel:
    """The kept model of a run, by its key or an unambiguous beginning of it, in the form it answers fastest in.

    Raises CvAutomlError that names the models there are, or what is wrong with this one.
    """
    folder = find_model(run, settings)
    card = read_model_card(folder)
    set_threads(settings.threads)
    device = choose_device(settings.device)
    network = _rebuilt(card, folder, settings).eval().cpu()
    example = torch.zeros(1, 3, card.input.height_px, card.input.width_px)
    return KeptModel(card, inference_form(network, example).requires_grad_(False).to(device), device)


def _rebuilt(card: ModelCard, folder: Path, settings: Settings) -> nn.Module:
    if card.head not in HEADS or HEADS[card.head].version != card.head_version:
        raise CvAutomlError(f"{folder}: head '{card.head}' is another one by now; {TRAIN_AGAIN}")
    state_file = folder / STATE_FILE
    if file_hash(state_file) != card.state_hash:
        raise CvAutomlError(f"{state_file} is not what {CARD_FILE} beside it was written for; {TRAIN_AGAIN}")
    # Its own weights lie in the kept state: none are looked for.
    weights = Weights(card.backbone.weights_origin, card.backbone.weights_hash, card=card.weights)
    backbone = NetworkBackbone(card.backbone.name, weights, settings)
    network = HEADS[card.head]().network(backbone, card.recipe, len(card.classes))
    try:
        network.load_state_dict(read_state(state_file))
    except (RuntimeError, WeightsError) as error:
        raise CvAutomlError(f"{state_file} does not fit {card}; {TRAIN_AGAIN}") from error
    return network


def find_model(run: str, settings: Settings) -> Path:
    """The folder of a kept model by its run's key or its beginning; raises CvAutomlError."""
    folders = _folders(settings.models_dir)
    found = [folder for folder in folders if run and folder.name.startswith(run)]
    if len(found) == 1:
        return found[0]
    told = ", ".join(folder.name for folder in (found or folders)[:MOST_TOLD])
    if found:
        raise CvAutomlError(f"'{run}' begins the keys of {len(found)} kept models: {told}; write more of one")
    known = f"it holds {told}" if folders else "it is empty"
    raise CvAutomlError(
        f"no kept model of run '{run}' in {settings.models_dir}: {known}; `zoo.py models` lists them, "
        "`zoo.py run --keep-models` keeps those of the runs it names"
    )


def _folders(models_dir: Path) -> list[Path]:
    return sorted(path.parent for path in models_dir.glob(f"*/{CARD_FILE}") if path.parent.name[0] != ".")


def read_model_card(folder: Path) -> ModelCard:
    """The card in a kept model's folder; raises CvAutomlError where it is torn, foreign or was renamed."""
    path = folder / CARD_FILE
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CvAutomlError(f"{path}: cannot be read: {error.strerror}; {TRAIN_AGAIN}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CvAutomlError(
            f"{path}: no card of a kept model ({place}: {first['msg']}); {TRAIN_AGAIN}"
        ) from error
    if card.key != folder.name:
        raise CvAutomlError(f"{path}: is the card of run {card.key}; rename its folder back")
    return card


def kept_models(settings: Settings) -> tuple[list[tuple[ModelCard, float]], list[str]]:
    """The cards of all kept models with the size of each in MB, and a sentence for each that is broken."""
    found: list[tuple[ModelCard, float]] = []
    broken: list[str] = []
    for folder in _folders(settings.models_dir):
        try:
            size = (folder / STATE_FILE).stat().st_size / 2**20
            found.append((read_model_card(folder), size))
        except (CvAutomlError, OSError) as error:
            broken.append(str(error))
    return found, broken
