"""Recipes: everything besides data set, backbone, head and seed that changes a result, from the settings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lib.config import ImageTraining, SegmentationSettings, Settings
from lib.errors import ConfigError
from lib.records import Recipe
from lib.records.schema import METRICS, Option, Task
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.losses import stages_of
from lib.zoo.segmentation.image_size import image_size

WITHOUT_STEPS = {
    "batch_size": 0,
    "learning_rate": 0.0,
    "weight_decay": 0.0,
    "optimizer": "none",
    "schedule": "none",
}


def recipe_for(
    head: str | Head,
    task: Task,
    settings: Settings,
    *,
    precision: str,
    epochs: int | None = None,
    finetune: bool = False,
    sizes: npt.NDArray[np.int64] | None = None,
) -> Recipe:
    """The recipe of one head on one task.

    Only what decides the head's result stands in it, so that changing another head's setting keeps this head's runs:
    a head without gradient has no learning rate. `precision`: fp32 or bf16, as resolved for the device;
    `sizes` (n, 2): heights and widths of the images, from which the size of masks comes where the settings leave it open.
    Raises CvAutomlError for an unknown head.
    """
    part = HEADS[head]() if isinstance(head, str) else head
    chosen = settings.classification if task == "classification" else settings.segmentation
    height_px, width_px = image_size(settings.segmentation, sizes) if task == "segmentation" else (0, 0)
    recipe = Recipe(
        epochs=epochs or chosen.epochs,
        batch_size=chosen.batch_size,
        learning_rate=chosen.learning_rate * part.rate_factor,
        weight_decay=chosen.weight_decay,
        finetune=finetune,
        precision=precision if part.needs_features or part.needs_network else "fp32",
        image_height_px=height_px,
        image_width_px=width_px,
        options={**part.options(settings), **({"upscale": settings.upscale} if settings.upscale else {})},
        grid=part.grid(settings),
    )
    if task == "segmentation" and part.uses_gradient:
        return _on_images(recipe, settings.segmentation, settings)
    if finetune:
        return _finetuned(recipe, settings)
    without = {} if part.uses_gradient else WITHOUT_STEPS
    # What the grid decides is not decided by the recipe as well.
    tried = dict.fromkeys(recipe.grid.keys() & {"learning_rate", "weight_decay"}, 0.0)
    return recipe.model_copy(update={**without, **tried})


def _finetuned(recipe: Recipe, settings: Settings) -> Recipe:
    """The head keeps its own learning rate; the backbone gets the small one."""
    chosen = settings.finetune
    more = {"class_weights": chosen.class_weights}
    smaller = recipe.model_copy(
        update={
            "batch_size": min(recipe.batch_size, chosen.batch_size),
            "options": {**recipe.options, **more},
        }
    )
    return _on_images(smaller, chosen, settings)


def _on_images(recipe: Recipe, chosen: ImageTraining, settings: Settings) -> Recipe:
    """What holds wherever a network is trained on images. Raises ConfigError for unknown losses, metrics or augmentations."""
    from lib.zoo.augmentation import steps_of

    classes = not isinstance(chosen, SegmentationSettings)
    task: Task = "classification" if classes else "segmentation"
    stages_of(chosen.loss, "classes" if classes else chosen.masks)  # type: ignore[attr-defined]
    if chosen.keep not in ("last", *METRICS[task]):
        raise ConfigError(f"keep '{chosen.keep}': expected last, or one of {', '.join(METRICS[task])}")
    # A frozen backbone sees each image once: there is nothing to vary.
    augmentation = chosen.augmentation if recipe.finetune else "none"
    options: dict[str, Option] = {
        **recipe.options,
        "loss": ", ".join(chosen.loss),
        "augmentation": augmentation,
        "transforms": steps_of(augmentation, settings, with_masks=not classes),
        **{
            n: getattr(chosen, n)
            for n in ("warmup_epochs", "largest_gradient", "sampling", "keep", "patience", "tta")
        },
    }
    if recipe.finetune:
        tuned = settings.finetune
        options |= {"backbone_learning_rate": tuned.learning_rate, "layer_decay": tuned.layer_decay}
    return recipe.model_copy(
        update={"options": options, "optimizer": chosen.optimizer, "schedule": chosen.schedule}
    )
