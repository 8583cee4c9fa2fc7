"""Training of a pair for masks: whole images or windows of them, the backbone frozen or not; what is chosen is chosen on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional

from lib.clock import Clock
from lib.errors import TooLittleDataError
from lib.records import EpochEntry
from lib.records.schema import Part
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.preprocessing import Indices, SizedImages, normalised_tensor
from lib.zoo.segmentation.crops import Windows, batches_of, stitched
from lib.zoo.segmentation.frozen_maps import FrozenMaps
from lib.zoo.segmentation.mask_network import MaskNetwork, averaged
from lib.zoo.segmentation.metrics import PixelCounts, final_mask_metrics, mask_metrics
from lib.zoo.segmentation.post_processing import Answered, PostProcessing, best_post_processing
from lib.zoo.segmentation.pyramid import Maps
from lib.zoo.training import (
    Answers,
    freeze_batch_statistics,
    optimizer_of,
    seeded,
    trained_together,
)

SMALLEST_BATCH = 2
EMPTY_BATCH = 16
PARTS: tuple[Part, ...] = ("validation", "test")


def train_masks(job: TrainingJob, decoder: str) -> TrainingResult:
    """Trains the decoder of that name on the train part; same seed, same numbers.

    After each epoch the threshold and the smallest area of each class are chosen anew on the validation part, so the validation
    metrics are a little too good; the test part has no say. Raises TooLittleDataError without a train part, DataSetError for
    unreadable images or masks, and torch's error where a batch does not fit into memory.
    """
    refuse_without_train(job)
    with seeded(job.seed, job.device):
        return MaskTraining(job, decoder).run()


def refuse_without_train(job: TrainingJob) -> None:
    """Raises TooLittleDataError where there is nothing to train on."""
    if not len(job.data_set.indices("train")):
        raise TooLittleDataError(
            f"data set '{job.data_set.name}' has no train part: nothing can be trained on it"
        )


class MaskTraining:
    """One training: the network and the data."""

    def __init__(self, job: TrainingJob, decoder: str) -> None:
        recipe, options, self.job = job.recipe, job.recipe.options, job
        self.classes = job.data_set.classes
        height, width = recipe.image_height_px, recipe.image_width_px
        self.sized = SizedImages.of(job.data_set, job.backbone.input, height, width)
        pair = MaskNetwork.of(decoder, job.backbone, recipe, len(self.classes)).to(job.device)
        # A training step in bf16 takes 0.31 instead of 0.79 CPU seconds in this layout (mobilenetv2_100, 4 strips of 128 x 800).
        self.pair: MaskNetwork = pair.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        kind: Any = options.get("input", "resized")
        self.windows = None if kind == "resized" else Windows(job.data_set, self.sized.spec, kind, job.seed)
        self.frozen = None
        if not recipe.finetune:
            where = (job.maps_cache if self.windows is None else None, job.backbone.cache_key)
            self.frozen = FrozenMaps(self.pair.pyramid, self.sized, job.device, recipe.precision, *where)
        self.threshold = float(options.get("threshold", 0.5))
        self.aim: Any = options.get("tuned_for", "both")
        self.dice_loss = smp.losses.DiceLoss(
            mode="multiclass" if self.pair.multiclass else "multilabel", from_logits=True
        )
        self.shuffling = np.random.default_rng(job.seed)
        self.post = PostProcessing.plain(len(self.classes), self.threshold)

    def run(self) -> TrainingResult:
        """All epochs; the final metrics are those of the last one."""
        recipe, pair = self.job.recipe, self.pair
        optimizer = optimizer_of(recipe, pair.decoder, pair.pyramid if recipe.finetune else None)
        result = trained_together(self.job, optimizer, self._batches, self._loss, self._answers)
        # The result's `predict` keeps this training alive: it needs the networks, not the data.
        self.sized.forget()
        if self.frozen:
            result = replace(result, training_s=result.training_s + self.frozen.saved_s)
            self.frozen.forget()
        return replace(
            result,
            predict=self.predict,
            network=lambda: self.pair.eval(),
            chosen=self.post.chosen(self.classes),
        )

    def predict(self, images: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Images (n, height_px, width_px, 3) of values 0 to 255 → probabilities (n, n_classes, height_px, width_px)."""
        self.pair.eval()
        with torch.inference_mode():
            return self._answer(torch.from_numpy(np.ascontiguousarray(images))).cpu().numpy()

    def _batches(self) -> Iterator[Indices]:
        indices = self.job.data_set.indices("train")
        return training_batches(self.shuffling.permutation(indices), self.job.recipe.batch_size)

    def _loss(self, batch: Indices) -> torch.Tensor:
        self.pair.train()
        freeze_batch_statistics(self.pair.pyramid.train(self.job.recipe.finetune))
        with self._autocast():
            maps, target = self._training_pair(batch)
            logits = self.pair.logits(maps)
        if self.pair.multiclass:
            classes = class_indices(target)
            return self.dice_loss(logits, classes) + functional.cross_entropy(logits, classes)
        truth = target.float()
        return self.dice_loss(logits, truth) + functional.binary_cross_entropy_with_logits(logits, truth)

    def _training_pair(self, batch: Indices) -> tuple[Maps, torch.Tensor]:
        """The network's own maps and the masks of a batch in training."""
        if self.frozen and not self.windows:
            # Frozen features are computed once, from unchanged images.
            return self.frozen.of(batch), torch.from_numpy(self.sized.masks(batch)).to(self.job.device)
        whole = self.windows.drawn(batch) if self.windows else (self.sized.images(batch), self.sized.masks(batch))
        images, target = (torch.from_numpy(np.ascontiguousarray(part)).to(self.job.device) for part in whole)
        if dims := tuple(dim for dim in (-1, -2) if self.shuffling.random() < 0.5):
            # Images have their channels last.
            images, target = images.flip([dim - 1 for dim in dims]), target.flip(dims)
        return self._maps_of(images), target

    def _maps_of(self, images: torch.Tensor) -> Maps:
        """The network's own maps of uint8 images (n, h, w, 3)."""
        if self.frozen:
            return self.frozen.computed(images)
        return self.pair.pyramid.own_maps(normalised_tensor(images.to(self.job.device), self.sized.spec))

    def _answer(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images (n, h, w, 3) of the recipe's size → probabilities (n, n_classes, h, w)."""

        def answer(flip: tuple[int, ...]) -> torch.Tensor:
            turned = images.flip([dim - 1 for dim in flip])
            return self.pair.answer(self._maps_of(turned)).float()

        with self._autocast():
            return averaged(answer, self.pair.flips)

    def _answers(self) -> Answers:
        self.pair.eval()
        validation = self._choose([(p.half(), t) for p, t in self._answered("validation")])
        counts = {"validation": [self._counted(*one) for one in validation], "test": []}
        raw: list[PixelCounts] = []
        plain = PostProcessing.plain(len(self.classes), self.threshold)
        for probabilities, truth in self._answered("test"):
            counts["test"].append(self._counted(probabilities, truth))
            raw.append(PixelCounts.of(plain.masks(probabilities), truth))
        joined = {part: PixelCounts.joined(counts[part], len(self.classes)) for part in PARTS}
        before = mask_metrics(PixelCounts.joined(raw, len(self.classes)))
        effect = {f"{name}_raw": before[name] for name in ("dice", "defect_dice", "miou") if name in before}
        return Answers(
            {part: mask_metrics(one) for part, one in joined.items()},
            lambda: final_mask_metrics(joined["test"], self.classes, **effect),
        )

    def _choose(self, validation: list[Answered]) -> list[Answered]:
        """Settles what is chosen on the validation part from the answers to it; returns what they have become."""
        self.post = best_post_processing(validation, len(self.classes), self.threshold, self.aim)
        return validation

    def _counted(self, probabilities: torch.Tensor, truth: torch.Tensor) -> PixelCounts:
        return PixelCounts.of(self.post.masks(probabilities), truth)

    @torch.no_grad()
    def _answered(self, part: Part) -> Iterator[Answered]:
        """Probabilities and masks of a part, batch by batch; image by image at full resolution where windows are worked on."""
        indices, size = self.job.data_set.indices(part), self.job.recipe.batch_size
        if self.windows:
            window = (self.sized.spec.height_px, self.sized.spec.width_px)
            for index in indices.tolist():
                image, masks = self.windows.whole(index)
                whole = stitched(
                    image, window, len(masks), lambda tiles: self._answer(torch.from_numpy(tiles)), size
                )
                yield whole[None], torch.from_numpy(masks)[None]
            return
        for batch in batches_of(indices, size):
            yield self._answer_to(batch).cpu(), torch.from_numpy(self.sized.masks(batch))

    def _answer_to(self, batch: Indices) -> torch.Tensor:
        """Probabilities of whole images, from the maps that are kept where there are such."""
        if self.frozen and len(self.pair.flips) == 1:
            with self._autocast():
                return self.pair.answer(self.frozen.of(batch)).float()
        return self._answer(torch.from_numpy(self.sized.images(batch)))

    def _autocast(self) -> torch.autocast:
        is_bf16 = self.job.recipe.precision == "bf16"
        return torch.autocast(self.job.device.type, dtype=torch.bfloat16, enabled=is_bf16)


def class_indices(masks: torch.Tensor) -> torch.Tensor:
    """bool masks (n, n_classes, h, w) → int64 (n, h, w), 0 the background; where classes overlap the last one counts."""
    numbers = torch.arange(1, masks.shape[1] + 1, device=masks.device).reshape(1, -1, 1, 1)
    return (masks * numbers).amax(dim=1)


def training_batches(order: Indices, size: int) -> Iterator[Indices]:
    """Batches of the given order, each of at least two images: batch normalisation of pooled features needs two.

    A last batch of one joins the one before it; a single image is given twice.
    """
    n_batches = max(1, len(order) // size + int(len(order) % size > 1))
    for batch in np.split(order, [size * i for i in range(1, n_batches)]):
        yield batch if len(batch) > 1 else np.repeat(batch, SMALLEST_BATCH)


def naive_result(job: TrainingJob) -> TrainingResult:
    """Scores empty masks at the recipe's image size; every epoch is the same, so that `--epoch` means something."""
    recipe, data_set = job.recipe, job.data_set
    sized = SizedImages.of(data_set, job.backbone.input, recipe.image_height_px, recipe.image_width_px)

    def empty(batch: Indices) -> PixelCounts:
        target = torch.from_numpy(sized.masks(batch))
        return PixelCounts.of(torch.zeros_like(target), target)

    with Clock() as evaluation:
        counts = {
            part: PixelCounts.joined(
                [empty(batch) for batch in batches_of(data_set.indices(part), EMPTY_BATCH)],
                len(data_set.classes),
            )
            for part in PARTS
        }
        metrics = {part: mask_metrics(counted) for part, counted in counts.items()}
    entries = tuple(EpochEntry(epoch=epoch, **metrics) for epoch in range(1, recipe.epochs + 1))
    for entry in entries:
        job.on_epoch(entry)
    return TrainingResult(
        epochs=entries,
        validation=metrics["validation"],
        final=final_mask_metrics(counts["test"], data_set.classes),
        parameters=0,
        training_s=0.0,
        evaluation_s=evaluation.seconds,
    )
