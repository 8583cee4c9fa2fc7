"""From a backbone and a data set to a tuned backbone in the zoo: which images it may see, what is kept, what its card says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.errors import CvAutomlError
from lib.files import short_hash, write_atomically
from lib.records.schema import Split
from lib.zoo.devices import choose_device, set_threads
from lib.zoo.loading import CUT_PREFIX
from lib.zoo.network import NetworkBackbone
from lib.zoo.preprocessing import Indices, SizedImages
from lib.zoo.ssl.leaks import SEEN, digests_of
from lib.zoo.ssl.lora import merge_lora
from lib.zoo.ssl.networks import student_and_teacher
from lib.zoo.ssl.training import Tuner
from lib.zoo.tuned import Tuned, TunedEpoch, Tuning, is_tuned, tuned_files, tuned_name
from lib.zoo.weights import WeightsCard, find_weights, read_card


@dataclass(frozen=True)
class Watch:
    """Who is told how far it is: `on_images(done, of this epoch)`, and each epoch when it ends."""

    on_images: Callable[[int, int], None] = lambda done, total: None
    on_epoch: Callable[[TunedEpoch], None] = lambda entry: None


def allowed_rows(data_set: DataSet, split: Split, transductive: bool) -> Indices:
    """Positions of the images that a tuning may see: train and validation of the first fold; of all used ones, if transductive."""
    if transductive:
        return data_set.used
    return np.flatnonzero(np.isin(data_set.divisions(split)[0], ("train", "validation")))


@dataclass(frozen=True)
class Plan:
    """A tuning to be: everything that decides it, and where its results lie."""

    tuning: Tuning
    backbone: NetworkBackbone
    data_set: DataSet
    settings: Settings

    @classmethod
    def of(
        cls,
        data_set: DataSet,
        backbone_name: str,
        settings: Settings,
        *,
        epochs: int,
        train: str = "last-2",
        split: Split = "folds",
        seed: int = 0,
        transductive: bool = False,
    ) -> Plan:
        """Raises CvAutomlError for a backbone that is none or is tuned already, WeightsError where it has no weights."""
        if is_tuned(backbone_name) or backbone_name == "handcrafted":
            raise CvAutomlError(f"'{backbone_name}' cannot be tuned: name a network as it was pretrained")
        set_threads(settings.threads)
        backbone = NetworkBackbone(backbone_name, find_weights(backbone_name, settings), settings)
        tuning = Tuning(
            backbone=backbone_name,
            weights_hash=backbone.weights.hash,
            data_set=data_set.name,
            family=data_set.parent or data_set.name,
            images_fingerprint=data_set.images_fingerprint,
            split=split,
            split_hash=data_set.fold(split, 0).split_hash,
            transductive=transductive,
            train=train,
            epochs=epochs,
            seed=seed,
            options=settings.ssl.model_dump(mode="json"),
        )
        return cls(tuning, backbone, data_set, settings)

    @property
    def name(self) -> str:
        """What the tuned backbone will be called."""
        return tuned_name(self.tuning.backbone, self.tuning.data_set)

    @property
    def identity(self) -> str:
        """Hash of what decides the result."""
        return short_hash(self.tuning.model_dump_json())

    @property
    def files(self) -> tuple[Path, Path]:
        """Weights and card of the result."""
        return tuned_files(self.name, self.settings)

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished tuning is kept."""
        return self.settings.tuned_dir / f"{self.name}.checkpoint"

    def standing(self) -> Tuned | None:
        """The result of this very tuning, where it is there. Raises CvAutomlError where that of another one has its name."""
        weights, card = self.files
        if not weights.is_file() or not card.is_file():
            return None
        found = read_card(card).tuned
        if found and found.tuning == self.tuning:
            return found
        raise CvAutomlError(
            f"{weights} is of another tuning ({_difference(found, self.tuning)}): pass --replace to make it anew"
        )


def _difference(found: Tuned | None, wanted: Tuning) -> str:
    theirs = found.tuning.model_dump() if found else {}
    changed = [f"{k} {theirs.get(k)}" for k, v in wanted.model_dump().items() if theirs.get(k) != v]
    return ", ".join(changed[:2]) or "its card says nothing"


def tune(plan: Plan, watch: Watch, replace: bool = False) -> Tuned:
    """Tunes, or goes on where the same tuning was interrupted, and puts the backbone into tuned_dir. What is there already is
    returned as it is, unless `replace`. Raises CvAutomlError where the loss is no number, or another result has the name."""
    if not replace and (standing := plan.standing()):
        return standing
    device = choose_device(plan.settings.device)
    rows = allowed_rows(plan.data_set, plan.tuning.split, plan.tuning.transductive)
    with _seeded_weights(plan.tuning.seed):
        student, teacher, count = student_and_teacher(
            plan.backbone, plan.tuning.train, plan.backbone.weights.card, plan.settings.ssl, device
        )
    tuner = Tuner(
        student=student,
        teacher=teacher,
        images=SizedImages(plan.data_set, plan.backbone.input),
        rows=rows,
        settings=plan.settings.ssl,
        epochs=plan.tuning.epochs,
        seed=plan.tuning.seed,
        on_images=watch.on_images,
    )
    tuner.load(plan.checkpoint, plan.identity)
    for entry in tuner.run(lambda: tuner.save(plan.checkpoint, plan.identity)):
        watch.on_epoch(entry)
    tuned = _told(plan, tuner, count)
    _write(plan, tuner, tuned)
    plan.checkpoint.unlink(missing_ok=True)
    return tuned


@contextmanager
def _seeded_weights(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _told(plan: Plan, tuner: Tuner, count: int) -> Tuned:
    base = plan.backbone.info
    return Tuned(
        tuning=plan.tuning,
        base_origin=base.weights_origin,
        base_data=base.pretraining_data,
        base_method=base.pretraining_method,
        n_images=len(tuner.rows),
        trained_parameters=count,
        curve=tuple(tuner.curve),
        warnings=tuple(tuner.warnings),
    )


def _write(plan: Plan, tuner: Tuner, tuned: Tuned) -> None:
    """The teacher's weights under timm's own keys, with the digests of the images it saw, and the card."""
    network = tuner.teacher.network
    merge_lora(network)
    state = {
        key.removeprefix(CUT_PREFIX): value.detach().contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    digests = digests_of(plan.data_set, plan.settings)
    seen = " ".join(sorted({digests[i] for i in tuner.rows}))
    weights, card = plan.files
    write_atomically(card, _card_text(plan, tuned))
    write_atomically(weights, save(state, metadata={SEEN: seen}))


def _card_text(plan: Plan, tuned: Tuned) -> str:
    """What the base's own card says, and the tuning."""
    card: WeightsCard = plan.backbone.weights.card.model_copy(
        update={
            "classifier": False,
            "pretraining": tuned.data,
            "tuned": tuned,
            "source": f"zoo.py ssl on {plan.data_set.name}",
        }
    )
    values: dict[str, Any] = json.loads(card.model_dump_json(exclude_none=True, exclude_defaults=True))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
