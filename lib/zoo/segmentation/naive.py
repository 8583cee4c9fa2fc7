"""The trivial rival of every decoder: an empty mask for each image."""

from __future__ import annotations

import time

import numpy as np
import torch

from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.segmentation.masks import Indices, SizedImages
from lib.zoo.segmentation.metrics import PixelCounts, final_mask_metrics, mask_epoch

BATCH_SIZE = 16


def naive_result(job: TrainingJob) -> TrainingResult:
    """Scores empty masks at the recipe's image size; every epoch is the same, so that `--epoch` means something."""
    start = time.perf_counter()
    recipe = job.recipe
    sized = SizedImages.of(job.data_set, job.backbone.input, recipe.image_height_px, recipe.image_width_px)
    validation = empty_counts(sized, job.data_set.indices("validation"))
    test = empty_counts(sized, job.data_set.indices("test"))
    first = mask_epoch(1, validation, test)
    entries = tuple(first.model_copy(update={"epoch": epoch}) for epoch in range(1, recipe.epochs + 1))
    for entry in entries:
        job.on_epoch(entry)
    return TrainingResult(
        epochs=entries,
        validation=first.validation,
        final=final_mask_metrics(test, job.data_set.classes),
        parameters=0,
        training_s=0.0,
        evaluation_s=time.perf_counter() - start,
    )


def empty_counts(sized: SizedImages, indices: Indices) -> PixelCounts:
    """Pixel counts of empty answers."""
    n_classes, height, width = len(sized.data_set.classes), sized.spec.height_px, sized.spec.width_px
    nothing = torch.zeros((0, n_classes, height, width), dtype=torch.bool)
    counts = [PixelCounts.of(nothing, nothing)]
    for batch in np.array_split(indices, max(1, -(-len(indices) // BATCH_SIZE))):
        if len(batch):
            target = torch.from_numpy(sized.masks(batch))
            counts.append(PixelCounts.of(torch.zeros_like(target), target))
    return PixelCounts.joined(counts)
