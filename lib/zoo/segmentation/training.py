"""Training of a decoder on a pyramid: Dice and cross-entropy on multilabel masks; beside it the empty mask, its trivial rival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

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
from lib.zoo.course import optimizer_of
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.preprocessing import Indices, SizedImages, normalised_tensor
from lib.zoo.segmentation.metrics import PixelCounts, final_mask_metrics, mask_metrics, smallest_areas
from lib.zoo.segmentation.pyramid import FrozenPyramids, Maps, Pyramid
from lib.zoo.training import (
    Answers,
    freeze_batch_statistics,
    seeded,
    trained_together,
)

BuildDecoder = Callable[[tuple[int, ...], int], nn.Module]

SMALLEST_BATCH = 2
EMPTY_BATCH = 16
PARTS: tuple[Part, ...] = ("validation", "test")
DEFAULT_THRESHOLD = 0.5


def train_decoder(job: TrainingJob, build_decoder: BuildDecoder) -> TrainingResult:
    """Trains `build_decoder(channels of fine and coarse map, n_classes)` on the train part; same seed, same numbers.

    After each epoch the area below which a class's mask is emptied is chosen anew on the validation part, so the validation
    metrics are a little too good; the test part has no say. Raises TooLittleDataError without a train part, DataSetError for
    unreadable images or masks, and torch's error where a batch does not fit into memory.
    """
    if not len(job.data_set.indices("train")):
        raise TooLittleDataError(
            f"data set '{job.data_set.name}' has no train part: nothing can be trained on it"
        )
    with seeded(job.seed, job.device):
        return _Training(job, build_decoder).run()


class _Training:
    """One training: the networks and the data."""

    def __init__(self, job: TrainingJob, build_decoder: BuildDecoder) -> None:
        recipe, self.job = job.recipe, job
        height, width = recipe.image_height_px, recipe.image_width_px
        self.pyramid = Pyramid(job.backbone, height, width).to(job.device)
        self.sized = SizedImages.of(job.data_set, job.backbone.input, height, width)
        decoder = build_decoder(self.pyramid.channels, len(job.data_set.classes)).to(job.device)
        # A training step in bf16 takes 0.31 instead of 0.79 CPU seconds in this layout (mobilenetv2_100, 4 strips of 128 x 800).
        self.decoder = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen = (
            None
            if recipe.finetune
            else FrozenPyramids(self.pyramid, self.sized, job.device, recipe.precision)
        )
        self.threshold = float(recipe.options.get("threshold", DEFAULT_THRESHOLD))
        self.dice_loss = smp.losses.DiceLoss(mode="multilabel", from_logits=True)
        self.shuffling = np.random.default_rng(job.seed)

    def run(self) -> TrainingResult:
        """All epochs; the final metrics are those of the last one."""
        tuned = self.pyramid.network if self.job.recipe.finetune else None
        optimizer = optimizer_of(self.job.recipe, self.decoder, tuned)
        networks = nn.ModuleList([self.pyramid, self.decoder])
        result = trained_together(self.job, networks, optimizer, self._batches, self._loss, self._answers)
        # The result's `predict` keeps this training alive: it needs the networks, not the data.
        self.sized.forget()
        if self.frozen:
            self.frozen.forget()
        return replace(result, predict=self.predict)

    def predict(self, images: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Images (n, height_px, width_px, 3) of values 0 to 255 → probabilities (n, n_classes, height_px, width_px)."""
        self.decoder.eval()
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.job.device)
        with torch.inference_mode(), self._autocast():
            pyramid = self.frozen.pyramid if self.frozen else self.pyramid.eval()
            dtype = next(pyramid.parameters()).dtype
            maps = pyramid(normalised_tensor(pixels, self.sized.spec).to(dtype))
            return torch.sigmoid(self._logits(maps)).float().cpu().numpy()

    def _batches(self) -> Iterator[Indices]:
        indices = self.job.data_set.indices("train")
        return training_batches(self.shuffling.permutation(indices), self.job.recipe.batch_size)

    def _loss(self, epoch: int, batch: Indices) -> torch.Tensor:
        self.decoder.train()
        freeze_batch_statistics(self.pyramid.train(self.job.recipe.finetune))
        with self._autocast():
            maps, target = self._maps_and_target(batch, flip=True)
            logits = self._logits(maps).float()
        truth = target.float()
        return self.dice_loss(logits, truth) + functional.binary_cross_entropy_with_logits(logits, truth)

    def _maps_and_target(self, batch: Indices, flip: bool = False) -> tuple[Maps, torch.Tensor]:
        target = torch.from_numpy(self.sized.masks(batch)).to(self.job.device)
        if self.frozen:
            return self.frozen.of(batch), target
        images = torch.from_numpy(self.sized.images(batch)).to(self.job.device)
        pixels = normalised_tensor(images, self.sized.spec)
        # Only where images pass through the network anyway: frozen features are computed once, unchanged.
        if flip and (dims := [dim for dim in (-1, -2) if self.shuffling.random() < 0.5]):
            pixels, target = pixels.flip(dims), target.flip(dims)
        return self.pyramid(pixels), target

    def _logits(self, maps: Maps) -> torch.Tensor:
        height, width = self.sized.spec.height_px, self.sized.spec.width_px
        return self.decoder(maps)[..., :height, :width]

    def _autocast(self) -> torch.autocast:
        is_bf16 = self.job.recipe.precision == "bf16"
        return torch.autocast(self.job.device.type, dtype=torch.bfloat16, enabled=is_bf16)

    def _answers(self) -> Answers:
        self.decoder.eval()
        self.pyramid.eval()
        size = self.job.recipe.batch_size
        parts = {
            part: _counts(self._counts, self.sized, self.job.data_set.indices(part), size) for part in PARTS
        }
        smallest, classes = smallest_areas(parts["validation"]), self.job.data_set.classes
        counts = {part: counted.emptied(smallest) for part, counted in parts.items()}
        notes = (_note_on(smallest, classes),) if len(counts["validation"]) else ()
        return Answers(
            {part: mask_metrics(counted) for part, counted in counts.items()},
            lambda: final_mask_metrics(counts["test"], classes),
            notes,
        )

    @torch.no_grad()
    def _counts(self, batch: Indices) -> PixelCounts:
        with self._autocast():
            maps, target = self._maps_and_target(batch)
            probabilities = torch.sigmoid(self._logits(maps).float())
        return PixelCounts.of(probabilities >= self.threshold, target)


def _note_on(smallest: torch.Tensor, classes: tuple[str, ...]) -> str:
    areas = ", ".join(
        f"{name} {'always' if share > 1 else f'{share:.2%}'}"
        for name, share in zip(classes, smallest.tolist(), strict=True)
    )
    return f"masks are emptied below this share of the image, chosen on the validation part: {areas}"


def _counts(
    count: Callable[[Indices], PixelCounts], sized: SizedImages, indices: Indices, size: int
) -> PixelCounts:
    """`count` of batches as even as can be, together."""
    nothing = torch.zeros((0, len(sized.data_set.classes), 1, 1), dtype=torch.bool)
    batches = np.array_split(indices, max(1, -(-len(indices) // size)))
    return PixelCounts.joined([PixelCounts.of(nothing, nothing), *(count(b) for b in batches if len(b))])


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
        counts = {part: _counts(empty, sized, data_set.indices(part), EMPTY_BATCH) for part in PARTS}
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
