"""The files of the model: ONNX with everything it needs to know inside, the weights, and a program that runs it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.files import replacing, write_atomically, write_json
from lib.fit.network import HandedOver, Nearness
from lib.fit.refit import Member, mask_limits
from lib.inference import predict_folder
from lib.inference.models import save_state
from lib.inference.onnx_file import LARGEST_DIFFERENCE, describe, write_network, write_out_scales
from lib.zoo.devices import project_version
from lib.zoo.preprocessing import SizedImages, normalised_tensor

MODEL, WEIGHTS, FACTS, PROGRAM = "model.onnx", "model.safetensors", "model.json", "predict_folder.py"
COMPARED = 8
INPUT_FIELDS = ("height_px", "width_px", "mean", "std", "interpolation")


@dataclass(frozen=True)
class Handed:
    """What was written. `difference`: largest one between ONNX Runtime and torch on `compared` images."""

    path: Path
    model_bytes: int
    parameters: int
    difference: float
    compared: int
    nearness: Nearness


def hand_over(
    members: Sequence[Member],
    temperatures: Sequence[float],
    out: Path,
    data_set: DataSet,
    more: Mapping[str, Any],
) -> Handed:
    """Writes model.onnx, model.safetensors, model.json and predict_folder.py into `out`. Raises CvAutomlError where ONNX Runtime
    answers otherwise than torch; then no model is left."""
    nearness = Nearness.of(members[0].features)
    network = HandedOver.of(members, temperatures, nearness)
    write_out_scales(network)
    facts = {**facts_of(members, temperatures, nearness), **more}
    path = out / MODEL
    with replacing(path) as draft:
        _write(network, members, draft)
        describe(draft, facts)
        difference = compared(network, members, draft, data_set)
        if not difference <= LARGEST_DIFFERENCE:
            raise CvAutomlError(
                f"ONNX Runtime answers otherwise than torch, by up to {difference:.3g}: {path} was not written; report it, and "
                "try again with --no-finetune or other networks (--backbone)"
            )
    save_state(network, out / WEIGHTS)
    write_json(out / FACTS, facts)
    write_atomically(out / PROGRAM, Path(predict_folder.__file__).read_text(encoding="utf-8"))
    parameters = sum(one.parameters for one in members)
    return Handed(path, path.stat().st_size, parameters, difference, COMPARED, nearness)


def facts_of(members: Sequence[Member], temperatures: Sequence[float], nearness: Nearness) -> dict[str, Any]:
    """All that a program needs beside the network, and where it comes from."""
    first = members[0].record
    inputs = [{name: getattr(one.input, name) for name in INPUT_FIELDS} for one in members]
    return {
        "task": first.data_set.task,
        "classes": list(first.data_set.classes),
        **inputs[0],
        "inputs": inputs,
        **mask_limits(members),
        "temperatures": list(temperatures),
        "distance_limit": nearness.limit,
        "runs": [one.record.key for one in members],
        "backbones": [one.record.backbone.name for one in members],
        "weights_origin": [one.record.backbone.weights_origin for one in members],
        "weights_licence": [one.card.licence or "not stated" for one in members],
        "weights_source": [one.card.source or "not stated" for one in members],
        "project_version": project_version(),
    }


def _write(network: HandedOver, members: Sequence[Member], path: Path) -> None:
    names = ["images", *(f"images_{place}" for place in range(2, len(members) + 1))]
    outputs = ["probabilities", "distance"]
    examples = tuple(torch.rand(2, 3, one.input.height_px, one.input.width_px) for one in members)
    write_network(network, examples, path, {name: {0: "n"} for name in (*names, *outputs)}, names, outputs)


def compared(network: HandedOver, members: Sequence[Member], path: Path, data_set: DataSet) -> float:
    """The largest absolute difference of probabilities and distances between the file and torch, on training images."""
    rows = members[0].rows[:COMPARED]
    model = predict_folder.Model(path)
    seen = [SizedImages(data_set, one.input).images(rows) for one in members]
    tensors = [
        normalised_tensor(torch.from_numpy(images), one.input).contiguous()
        for images, one in zip(seen, members, strict=True)
    ]
    with torch.inference_mode():
        probabilities, distances = (part.numpy() for part in network(*tensors))
    largest = 0.0
    for place in range(len(rows)):
        given, distance = model.run([images[place] for images in seen])
        largest = max(largest, float(np.abs(given - probabilities[place]).max()))
        largest = max(largest, abs(float(distance or 0.0) - float(distances[place])))
    return largest if np.isfinite(largest) else float("inf")


def remove_model(out: Path) -> None:
    """Takes an older model away, so that nobody takes it for that of the records beside it."""
    for name in (MODEL, WEIGHTS, FACTS):
        (out / name).unlink(missing_ok=True)
