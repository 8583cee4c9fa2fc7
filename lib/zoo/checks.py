"""The contracts of heads and backbones as checks, by what a part says it can do: for registered parts and for those from outside.

A check is a name and a function without arguments, which raises AssertionError (or the part's own error) where the part fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from lib.config import Settings
from lib.datasets.base import Card, DataSet
from lib.records.schema import METRICS, Task
from lib.zoo.backbones import describe_backbone, open_backbone
from lib.zoo.base import Backbone, Image
from lib.zoo.heads import HEADS, Head
from lib.zoo.jobs import TrainingJob
from lib.zoo.recipes import recipe_for

Check = tuple[str, Callable[[], None]]
JobOf = Callable[[], TrainingJob]

SMALL = {"image_height_px": 32, "image_width_px": 48}
SETTINGS = Settings(weights="random", device="cpu", precision="fp32").override(segmentation=SMALL)
NETWORK = "test_resnet"  # timm's own miniature
CLASSES, WIDTH = ("left", "middle", "right"), 16


class Squares(DataSet):
    """Grey images (32, 48, 3) whose class is the place of a bright square, which is the mask."""

    def read_image(self, index: int) -> Image:
        image = np.random.default_rng(index).integers(80, 140, (32, 48, 3), dtype=np.uint8)
        image[square(index).any(axis=0)] = 255
        return image


def square(index: int) -> Any:
    """bool (n_classes, 32, 48)."""
    masks = np.zeros((3, 32, 48), bool)
    masks[index % 3, 8:24, 16 * (index % 3) :][:, :16] = True
    return masks


def job_for(
    head: Head, task: Task = "classification", n: int = 60, epochs: int = 3, noise: float = 0.5, **recipe: Any
) -> TrainingJob:
    """A small job that can be learned: features that tell the classes apart but for `noise`, and images of squares."""
    labels, is_masks = np.arange(n) % len(CLASSES), task == "segmentation"
    data_set = Squares(
        name="squares",
        card=Card(name="squares", task=task, layout="masks", classes=CLASSES),
        root=Path("nowhere"),
        task=task,
        classes=CLASSES,
        files=tuple(f"{i:03}.jpg" for i in range(n)),
        parts=np.array(["train", "train", "train", "validation", "test"] * (n // 5)),
        fingerprint=f"squares {n}",
        images_fingerprint=f"squares {n}",
        labels=None if is_masks else labels,
        read_mask=square if is_masks else None,
    )
    centres, spread = np.random.default_rng(0).normal(size=(2, n, WIDTH))
    return TrainingJob(
        data_set,
        open_backbone(NETWORK, SETTINGS),
        recipe_for(head, task, SETTINGS, precision="fp32", epochs=epochs, **recipe),
        seed=0,
        device=torch.device("cpu"),
        features=None if is_masks else (centres[labels] + noise * spread).astype(np.float32),
    )


def failures(checks: Iterator[Check]) -> list[str]:
    """`check: reason` of each check that fails, whatever it raises."""
    found = []
    for name, check in checks:
        try:
            check()
        except Exception as error:
            found.append(f"{name}: {str(error) or type(error).__name__}")
    return found


def print_checked_heads(echo: Callable[[str], object]) -> int:
    """Tells of every registered head whether it keeps the contract, and where not; 1 where one does not, else 0."""
    failed = False
    for name in sorted(HEADS):
        found = failures(head_checks(HEADS[name]()))
        echo(f"{name}: " + ("failed: " + "; ".join(found) if found else "ok"))
        failed |= bool(found)
    return int(failed)


def head_checks(head: Head) -> Iterator[Check]:
    """Every check of a head: for each task that it answers, on features where it reads them, fine-tuned where it can be."""
    yield "refuses a pair in a sentence", partial(refuses_in_a_sentence, head)
    for task in head.tasks:
        yield f"does without a validation part ({task})", partial(needs_no_validation, head, task)
        for finetune in (False, True) if head.can_finetune else (False,):
            kind = f"{task}, fine-tuned" if finetune else task
            job_of = partial(job_for, head, task, n=20 if finetune else 60, finetune=finetune)
            yield f"measures every epoch ({kind})", partial(measures_every_epoch, head, job_of)
            yield f"same seed, same numbers ({kind})", partial(repeats_itself, head, job_of)
    if head.needs_features:
        yield "chooses on validation alone", partial(chooses_on_validation, head)
        yield "learns what logistic regression learns", partial(learns, head)
        yield "does not fall below the majority on noise", partial(survives_noise, head)


def refuses_in_a_sentence(head: Head) -> None:
    network, none = (describe_backbone(name, SETTINGS) for name in (NETWORK, "handcrafted"))
    for task in METRICS:
        reason = head.incompatibility(network, task, finetune=False)
        assert (reason is None) == (task in head.tasks), f"on {task} with a network it says: {reason}"
    for finetune in (True, False) if head.needs_network else (True,):
        assert head.incompatibility(none, head.tasks[0], finetune), (
            "a backbone without a network needs a reason"
        )


def measures_every_epoch(head: Head, job_of: JobOf) -> None:
    seen: list[Any] = []
    job = replace(job_of(), on_epoch=seen.append)
    result, wanted = head.train(job), set(METRICS[job.data_set.task])
    assert [entry.epoch for entry in seen] == [1, 2, 3] and tuple(seen) == result.epochs, "an entry an epoch"
    assert all(wanted <= set(e.test) & set(e.validation) for e in seen), f"an epoch measures {sorted(wanted)}"
    assert result.validation == seen[-1].validation, "`validation` is that of the last epoch"
    assert seen[-1].test.items() <= result.final.metrics.items(), "`final` is that of the last epoch"
    assert wanted == set(result.final.standard_error), f"standard errors of {sorted(wanted)}"
    if job.data_set.labels is not None:
        n = head.parameters(job.backbone.info.embedding_width if job.recipe.finetune else WIDTH, len(CLASSES))
        assert result.parameters == n, f"{result.parameters} parameters, announced were {n}"
        confusion = np.array(result.final.confusion)
        assert confusion.sum() == len(job.data_set.indices("test")), "`confusion` counts the test part"
        accuracy = np.trace(confusion) / confusion.sum()
        assert np.isclose(accuracy, result.final.metrics["accuracy"]), "`confusion` and accuracy must agree"
    if head.needs_features and not job.recipe.finetune:
        assert result.predict and job.features is not None, "`predict` is missing"
        scores = result.predict(job.features[job.data_set.indices("test")])
        answered = np.bincount(scores.argmax(axis=1), minlength=len(CLASSES))
        assert (answered == confusion.sum(axis=0)).all(), "`predict` answers otherwise than was measured"


def repeats_itself(head: Head, job_of: JobOf) -> None:
    one, two = head.train(job_of()), head.train(job_of())
    assert (one.epochs, one.final) == (two.epochs, two.final), "the same seed must give the same numbers"


def needs_no_validation(head: Head, task: Task) -> None:
    job = job_for(head, task)
    parts = np.where(job.data_set.parts == "validation", "train", job.data_set.parts)
    result = head.train(replace(job, data_set=replace(job.data_set, parts=parts)))
    assert all(e.test and not e.validation for e in result.epochs), (
        "no validation part, no validation metrics"
    )


def chooses_on_validation(head: Head) -> None:
    job = job_for(head, noise=3)
    labels, test = np.array(job.data_set.labels), job.data_set.indices("test")
    labels[test] = np.roll(labels[test], 1)
    one, two = head.train(job), head.train(replace(job, data_set=replace(job.data_set, labels=labels)))
    tried = int(np.prod([len(values) for values in job.recipe.grid.values()])) if job.recipe.grid else 0
    assert len(one.grid) == tried, f"{len(one.grid)} points of a grid of {tried} were told"
    best = max(one.grid, key=lambda point: point.validation or 0.0, default=None)
    assert best is None or best.settings == one.chosen, "the grid's best on validation is chosen"
    same = (one.chosen, one.grid, one.validation) == (two.chosen, two.grid, two.validation)
    assert same and one.final != two.final, "other test labels must change the test metrics and no choice"


def learns(head: Head) -> None:
    job = job_for(head, n=300, epochs=10)
    labels, train, test = job.data_set.labels, job.data_set.indices("train"), job.data_set.indices("test")
    assert job.features is not None and labels is not None
    wanted = (
        LogisticRegression().fit(job.features[train], labels[train]).score(job.features[test], labels[test])
    )
    reached = head.train(job).final.metrics["accuracy"]
    assert reached > wanted - 0.05, f"accuracy {reached:.3f}, logistic regression has {wanted:.3f}"


def survives_noise(head: Head) -> None:
    job = job_for(head, n=300, epochs=10)
    labels = np.random.default_rng(1).choice(3, 300, p=(0.85, 0.1, 0.05))
    final = head.train(replace(job, data_set=replace(job.data_set, labels=labels, fingerprint="noise"))).final
    majority = float((labels[job.data_set.indices("test")] == 0).mean())
    assert final.metrics["accuracy"] > majority - max(final.standard_error["accuracy"], 0.04), (
        f"accuracy {final.metrics['accuracy']:.3f}, the majority has {majority:.3f}"
    )


def backbone_checks(backbone: Backbone) -> Iterator[Check]:
    """Every check of a backbone; of training where it is a network."""
    yield "features are whole, and the same each time", partial(extracts, backbone)
    yield "facts agree with its features", partial(tells_the_truth, backbone)
    if backbone.info.family != "handcrafted":
        yield "a copy to train is its own", partial(gives_a_copy, backbone)


def extracts(backbone: Backbone) -> None:
    images = [Squares.read_image(None, i) for i in range(3)]  # type: ignore[arg-type]
    done: list[int] = []
    features = backbone.extract(images).values
    again = backbone.extract([lambda image=image: image for image in images], done.append).values  # type: ignore[misc]
    assert features.shape == (3, backbone.info.embedding_width), f"features of shape {features.shape}"
    assert features.dtype == np.float32 and np.isfinite(features).all(), "features are finite float32"
    assert np.array_equal(features, again) and done[-1] == 3, (
        "images read late give the same, and are counted"
    )
    assert len(backbone.extract([]).values) == 0, "no images, no features"


def tells_the_truth(backbone: Backbone) -> None:
    assert backbone.info.input_hash == backbone.input.digest(), "`input_hash` is the digest of `input`"
    assert backbone.cache_key and backbone.shape, "`cache_key` and `shape` are not empty"
    batch = np.zeros((2, backbone.input.height_px, backbone.input.width_px, 3), np.uint8)
    assert backbone.forward_batch(batch).shape == (2, backbone.info.embedding_width), "`forward_batch`"


def gives_a_copy(backbone: Backbone) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    before, copy = backbone.extract([image]).values, backbone.feature_module()
    with torch.no_grad():
        for parameter in copy.parameters():
            assert parameter.requires_grad, "the copy is trainable"
            parameter.add_(1)
    assert np.array_equal(before, backbone.extract([image]).values), "training a copy changes the backbone"
