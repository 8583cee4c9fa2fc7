"""Training of a pair for masks: whole images or windows of them, the backbone frozen or not; what is chosen is chosen on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lib.clock import Clock
from lib.errors import TooLittleDataError
from lib.records import EpochEntry
from lib.records.schema import Part
from lib.zoo.augmentation import Augmentation
from lib.zoo.course import optimizer_of, sampled
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.losses import Kind, loss_of
from lib.zoo.preprocessing import Indices, SizedImages, normalised_tensor
from lib.zoo.segmentation.crops import Windows, batches_of, stitched
from lib.zoo.segmentation.frozen_maps import FrozenMaps
from lib.zoo.segmentation.mask_network import MaskNetwork
from lib.zoo.segmentation.metrics import PixelCounts, final_mask_metrics, mask_metrics
from lib.zoo.segmentation.post_processing import Answered, PostProcessing, best_post_processing
from lib.zoo.segmentation.pyramid import Maps
from lib.zoo.training import Answers, freeze_batch_statistics, seeded, trained_together

SMALLEST_BATCH = 2
EMPTY_BATCH = 16
PARTS: tuple[Part, ...] = ("validation", "test")
DEFAULTS = {
    "input": "resized",
    "loss": "bce+dice",
    "augmentation": "none",
    "transforms": "[]",
    "sampling": "natural",
    "threshold": 0.5,
    "tuned_for": "both",
}


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
        recipe, self.job, self.classes = job.recipe, job, job.data_set.classes
        self.options: dict[str, Any] = {**DEFAULTS, **recipe.options}
        height, width = recipe.image_height_px, recipe.image_width_px
        self.sized = SizedImages.of(job.data_set, job.backbone.input, height, width)
        pair = MaskNetwork.of(decoder, job.backbone, recipe, len(self.classes)).to(job.device)
        # A training step in bf16 takes 0.31 instead of 0.79 CPU seconds in this layout (mobilenetv2_100, 4 strips of 128 x 800).
        self.pair: MaskNetwork = pair.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        kind = self.options["input"]
        self.windows = None if kind == "resized" else Windows(job.data_set, self.sized.spec, kind, job.seed)
        self.frozen = None
        if not recipe.finetune:
            where = (None if self.windows else job.maps_cache, job.backbone.cache_key)
            self.frozen = FrozenMaps(self.pair.pyramid, self.sized, job.device, recipe.precision, *where)
        self.augmentation = Augmentation.of(self.options["transforms"], height, width)
        self.shuffling = np.random.default_rng(job.seed)

    def run(self) -> TrainingResult:
        """All epochs; the final metrics are those of the network that is kept."""
        filling = Clock(self.job.backbone.threads)
        with filling:
            if self.frozen:
                self.frozen.fill(np.flatnonzero(self.job.data_set.parts != "unused"))
        tuned = self.pair.pyramid.network if self.job.recipe.finetune else None
        optimizer = optimizer_of(self.job.recipe, self.pair.decoder, tuned)
        result = trained_together(self.job, self.pair, optimizer, self._batches, self._loss, self._answers)
        # The result's `predict` keeps this training alive: it needs the networks, not the data.
        self.sized.forget()
        if self.frozen:
            spent = result.training_s + filling.seconds + self.frozen.saved_s
            result = replace(result, training_s=spent)
            self.frozen.forget()
        return replace(
            result,
            predict=self.predict,
            network=lambda: self.pair.eval(),
            chosen=self.pair.post.chosen(self.classes),
        )

    def predict(self, images: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Images (n, height_px, width_px, 3) of values 0 to 255 → probabilities (n, n_classes, height_px, width_px)."""
        self.pair.eval()
        with torch.inference_mode():
            return self._answer(images).cpu().numpy()

    def _batches(self) -> Iterator[Indices]:
        rows = self.job.data_set.indices("train")
        drawn = sampled(rows, self.shuffling, self.options["sampling"], self._rarest(rows))
        return training_batches(drawn, self.job.recipe.batch_size)

    def _rarest(self, rows: Indices) -> npt.NDArray[np.int64]:
        """What `balanced` draws equally often: 1 + the rarest class that an image holds, 0 where it holds none."""
        areas = self.job.data_set.mask_areas
        if self.options["sampling"] == "natural" or areas is None:
            return np.zeros(len(rows), np.int64)
        present = areas[rows] > 0
        rarity = np.where(present, present.sum(axis=0), len(rows) + 1)
        return np.where(present.any(axis=1), rarity.argmin(axis=1) + 1, 0)

    def _loss(self, epoch: int, batch: Indices) -> torch.Tensor:
        self.pair.train()
        freeze_batch_statistics(self.pair.pyramid.train(self.job.recipe.finetune))
        with self._autocast():
            maps, target = self._training_pair(batch)
            logits = self.pair.logits(maps)
        kind: Kind = "multiclass" if self.pair.multiclass else "multilabel"
        loss = loss_of(str(self.options["loss"]), kind, epoch)
        return loss(logits, class_indices(target) if self.pair.multiclass else target.float())

    def _training_pair(self, batch: Indices) -> tuple[Maps, torch.Tensor]:
        """The network's own maps and the masks of a batch in training."""
        if self.frozen and not self.windows and not self.augmentation.each:
            # Frozen features are computed once, from unchanged images.
            return self.frozen.of(batch), torch.from_numpy(self.sized.masks(batch)).to(self.job.device)
        source = self.windows.drawn if self.windows else self._whole
        images, masks = (torch.from_numpy(np.ascontiguousarray(part)) for part in source(batch))
        varied, target = self.augmentation(images.movedim(-1, 1), masks)
        assert target is not None
        return self._maps_of(varied.movedim(1, -1)), target.to(self.job.device)

    def _whole(self, batch: Indices) -> tuple[Any, Any]:
        return self.sized.images(batch), self.sized.masks(batch)

    def _maps_of(self, images: torch.Tensor) -> Maps:
        """The network's own maps of uint8 images (n, h, w, 3)."""
        if self.frozen:
            return self.frozen.computed(images)
        return self.pair.pyramid.own_maps(normalised_tensor(images.to(self.job.device), self.sized.spec))

    def _answer(self, images: npt.NDArray[np.generic]) -> torch.Tensor:
        """Images (n, h, w, 3) of the recipe's size → probabilities (n, n_classes, h, w), the mean over the views."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1)
        with self._autocast():
            return self.pair.mean_of_views(
                pixels, lambda seen: self.pair.answer(self._maps_of(seen.movedim(1, -1))).float()
            )

    def _answers(self) -> Answers:
        self.pair.eval()
        validation = self._choose([(p.half(), t) for p, t in self._answered("validation")])
        post, plain = self.pair.post, PostProcessing.plain(len(self.classes), self.options["threshold"])
        counts = {"validation": [_counted(post, *one) for one in validation], "test": []}
        raw: list[PixelCounts] = []
        for answered in self._answered("test"):
            counts["test"].append(_counted(post, *answered))
            raw.append(_counted(plain, *answered))
        joined = {part: PixelCounts.joined(counts[part], len(self.classes)) for part in PARTS}
        before = mask_metrics(PixelCounts.joined(raw, len(self.classes)))
        effect = {f"{name}_raw": before[name] for name in ("dice", "defect_dice", "miou") if name in before}
        return Answers(
            {part: mask_metrics(one) for part, one in joined.items()},
            lambda: final_mask_metrics(joined["test"], self.classes, **effect),
        )

    def _choose(self, validation: list[Answered]) -> list[Answered]:
        """Settles what is chosen on the validation part from the answers to it; returns what they have become."""
        n, threshold, aim = len(self.classes), self.options["threshold"], self.options["tuned_for"]
        self.pair.post = best_post_processing(validation, n, threshold, aim)
        return validation

    @torch.no_grad()
    def _answered(self, part: Part) -> Iterator[Answered]:
        """Probabilities and masks of a part, batch by batch; image by image at full resolution where windows are worked on."""
        indices, size = self.job.data_set.indices(part), self.job.recipe.batch_size
        if self.windows:
            window = (self.sized.spec.height_px, self.sized.spec.width_px)
            for index in indices.tolist():
                image, masks = self.windows.whole(index)
                whole = stitched(image, window, len(masks), self._answer, size)
                yield whole[None], torch.from_numpy(masks)[None]
            return
        for batch in batches_of(indices, size):
            yield self._answer_to(batch).cpu(), torch.from_numpy(self.sized.masks(batch))

    def _answer_to(self, batch: Indices) -> torch.Tensor:
        """Probabilities of whole images, from the maps that are kept where there are such."""
        if self.frozen and len(self.pair.views) == 1:
            with self._autocast():
                return self.pair.answer(self.frozen.of(batch)).float()
        return self._answer(self.sized.images(batch))

    def _autocast(self) -> torch.autocast:
        is_bf16 = self.job.recipe.precision == "bf16"
        return torch.autocast(self.job.device.type, dtype=torch.bfloat16, enabled=is_bf16)


def _counted(post: PostProcessing, probabilities: torch.Tensor, truth: torch.Tensor) -> PixelCounts:
    return PixelCounts.of(post.masks(probabilities), truth)


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
