"""Training of a decoder on a pyramid: Dice and cross-entropy on multilabel masks, measured after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.preprocessing import normalised_tensor
from lib.zoo.segmentation.features import FrozenPyramids, Maps
from lib.zoo.segmentation.masks import Indices, SizedImages
from lib.zoo.segmentation.metrics import PixelCounts, final_mask_metrics, mask_epoch
from lib.zoo.segmentation.naive import empty_counts
from lib.zoo.segmentation.pyramid import Pyramid
from lib.zoo.segmentation.small_masks import emptied, smallest_areas
from lib.zoo.training import backbone_rate, freeze_batch_statistics, seeded, trained_epochs

BuildDecoder = Callable[[tuple[int, ...], int], nn.Module]

SMALLEST_BATCH = 2
DEFAULT_THRESHOLD = 0.5


def train_decoder(job: TrainingJob, build_decoder: BuildDecoder) -> TrainingResult:
    """Trains `build_decoder(channels of fine and coarse map, n_classes)` on the train part; same seed, same numbers.

    After each epoch the area below which a class's mask is emptied is chosen anew on the validation part (small_masks.py), so the
    validation metrics are a little too good; the test part has no say. Raises TooLittleDataError without a train part, DataSetError for unreadable images or masks, and torch's error where a
    batch does not fit into memory.
    """
    if not len(job.data_set.indices("train")):
        raise TooLittleDataError(
            f"data set '{job.data_set.name}' has no train part: nothing can be trained on it"
        )
    with seeded(job.seed, job.device):
        return _Training(job, build_decoder).run()


@dataclass
class _Training:
    """One training: the networks, the data, and the clocks."""

    job: TrainingJob
    build_decoder: BuildDecoder

    def __post_init__(self) -> None:
        recipe, backbone = self.job.recipe, self.job.backbone
        height, width = recipe.image_height_px, recipe.image_width_px
        self.pyramid = Pyramid(backbone, height, width).to(self.job.device)
        self.sized = SizedImages.of(self.job.data_set, backbone.input, height, width)
        n_classes = len(self.job.data_set.classes)
        decoder = self.build_decoder(self.pyramid.channels, n_classes).to(self.job.device)
        # A training step in bf16 takes 0.31 instead of 0.79 CPU seconds in this layout (mobilenetv2_100, 4 strips of 128 x 800).
        self.decoder = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen = (
            None
            if recipe.finetune
            else FrozenPyramids(self.pyramid, self.sized, self.job.device, recipe.precision)
        )
        self.threshold = float(recipe.options.get("threshold", DEFAULT_THRESHOLD))
        self.dice_loss = smp.losses.DiceLoss(mode="multilabel", from_logits=True)
        self.shuffling = np.random.default_rng(self.job.seed)
        threads = self.job.backbone.threads
        self.everything, self.evaluation = Clock(threads), Clock(threads)

    def run(self) -> TrainingResult:
        """All epochs; the final metrics are those of the last one."""
        recipe, data_set = self.job.recipe, self.job.data_set
        optimizer = torch.optim.AdamW(self._parameter_groups(), weight_decay=recipe.weight_decay)
        entries: list[EpochEntry] = []
        with self.everything:
            for epoch, loss, rate in trained_epochs(optimizer, recipe.epochs, self._batches, self._loss):
                with self.evaluation:
                    parts = [self._counts_of(data_set.indices(part)) for part in ("validation", "test")]
                    smallest = smallest_areas(parts[0])
                    validation, test = (emptied(part, smallest) for part in parts)
                    entries.append(mask_epoch(epoch, validation, test, float(loss), rate))
                self.job.on_epoch(entries[-1])
        self._forget()
        return TrainingResult(
            epochs=tuple(entries),
            validation=entries[-1].validation,
            final=final_mask_metrics(test, data_set.classes),
            parameters=sum(p.numel() for group in optimizer.param_groups for p in group["params"]),
            training_s=self.everything.seconds - self.evaluation.seconds,
            evaluation_s=self.evaluation.seconds,
            predict=self.predict,
            batch_size=recipe.batch_size,
            notes=(_note_on(smallest, data_set.classes),) if len(validation) else (),
        )

    def predict(self, images: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Images (n, height_px, width_px, 3) of values 0 to 255 → probabilities (n, n_classes, height_px, width_px)."""
        self.decoder.eval()
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.job.device)
        with torch.inference_mode(), self._autocast():
            pyramid = self.frozen.pyramid if self.frozen else self.pyramid.eval()
            dtype = next(pyramid.parameters()).dtype
            maps = pyramid(normalised_tensor(pixels, self.sized.spec).to(dtype))
            return torch.sigmoid(self._logits(maps)).float().cpu().numpy()

    def _forget(self) -> None:
        # The result's `predict` keeps this training alive: it needs the networks, not the data.
        self.sized.forget()
        if self.frozen:
            self.frozen.forget()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        recipe = self.job.recipe
        groups = [{"params": list(self.decoder.parameters()), "lr": recipe.learning_rate}]
        if recipe.finetune:
            groups.append({"params": list(self.pyramid.parameters()), "lr": backbone_rate(recipe)})
        return groups

    def _batches(self) -> Iterator[Indices]:
        indices = self.job.data_set.indices("train")
        return training_batches(self.shuffling.permutation(indices), self.job.recipe.batch_size)

    def _loss(self, batch: Indices) -> torch.Tensor:
        self.decoder.train()
        freeze_batch_statistics(self.pyramid.train(self.job.recipe.finetune))
        with self._autocast():
            maps, target = self._maps_and_target(batch)
            logits = self._logits(maps).float()
        truth = target.float()
        return self.dice_loss(logits, truth) + functional.binary_cross_entropy_with_logits(logits, truth)

    def _maps_and_target(self, batch: Indices) -> tuple[Maps, torch.Tensor]:
        target = torch.from_numpy(self.sized.masks(batch)).to(self.job.device)
        if self.frozen:
            return self.frozen.of(batch), target
        images = torch.from_numpy(self.sized.images(batch)).to(self.job.device)
        pixels, target = self._flipped(normalised_tensor(images, self.sized.spec), target)
        return self.pyramid(pixels), target

    def _flipped(self, images: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Only where images pass through the network anyway: frozen features are computed once, unchanged.
        dims = [dim for dim in (-1, -2) if self.shuffling.random() < 0.5]
        return (images.flip(dims), target.flip(dims)) if dims else (images, target)

    def _logits(self, maps: Maps) -> torch.Tensor:
        height, width = self.sized.spec.height_px, self.sized.spec.width_px
        return self.decoder(maps)[..., :height, :width]

    def _autocast(self) -> torch.autocast:
        is_bf16 = self.job.recipe.precision == "bf16"
        return torch.autocast(self.job.device.type, dtype=torch.bfloat16, enabled=is_bf16)

    def _counts_of(self, indices: Indices) -> PixelCounts:
        self.decoder.eval()
        self.pyramid.eval()
        counts = [empty_counts(self.sized, indices[:0])]
        for batch in np.array_split(indices, max(1, -(-len(indices) // self.job.recipe.batch_size))):
            if len(batch):
                counts.append(self._counts(batch))
        return PixelCounts.joined(counts)

    @torch.no_grad()
    def _counts(self, batch: Indices) -> PixelCounts:
        with self._autocast():
            maps = self.frozen.of(batch) if self.frozen else self._maps_of_images(batch)
            probabilities = torch.sigmoid(self._logits(maps).float())
        target = torch.from_numpy(self.sized.masks(batch)).to(self.job.device)
        return PixelCounts.of(probabilities >= self.threshold, target)

    def _maps_of_images(self, batch: Indices) -> Maps:
        images = torch.from_numpy(self.sized.images(batch)).to(self.job.device)
        return self.pyramid(normalised_tensor(images, self.sized.spec))


def _note_on(smallest: torch.Tensor, classes: tuple[str, ...]) -> str:
    areas = ", ".join(
        f"{name} {'always' if share > 1 else f'{share:.2%}'}"
        for name, share in zip(classes, smallest.tolist(), strict=True)
    )
    return f"masks are emptied below this share of the image, chosen on the validation part: {areas}"


def training_batches(order: Indices, size: int) -> Iterator[Indices]:
    """Batches of the given order, each of at least two images: batch normalisation of pooled features needs two.

    A last batch of one joins the one before it; a single image is given twice.
    """
    n_batches = max(1, len(order) // size + int(len(order) % size > 1))
    bounds = [size * i for i in range(1, n_batches)]
    for batch in np.split(order, bounds):
        yield batch if len(batch) > 1 else np.repeat(batch, SMALLEST_BATCH)
