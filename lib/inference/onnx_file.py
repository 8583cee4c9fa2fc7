"""A kept model as an ONNX file that knows its own pre- and post-processing, and the same answers from ONNX Runtime."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from lib.errors import CvAutomlError
from lib.inference.masks import PostProcessing
from lib.inference.models import KeptModel, ModelCard
from lib.zoo.base import Image, InputSpec
from lib.zoo.preprocessing import normalised_tensor
from lib.zoo.weights import first_line

if TYPE_CHECKING:
    import onnxruntime

METADATA = "cv_automl"
INPUT, OUTPUT = "images", "probabilities"
OPSET = 17
OTHER_SIZE_PX = 64  # larger by so much: whether a network takes images of any size
LARGEST_DIFFERENCE = 1e-3


def metadata_of(card: ModelCard, any_size: bool) -> dict[str, Any]:
    """All that a program needs beside the file: size and normalisation, class names, thresholds, and where it comes from."""
    post_processing = PostProcessing.of(card) if card.answers_masks else None
    return {
        "task": card.data_set.task,
        "classes": card.classes,
        **{
            name: getattr(card.input, name)
            for name in ("height_px", "width_px", "mean", "std", "interpolation")
        },
        "any_size": any_size,
        **({"input": "windows" if card.works_on_windows else "resized"} if card.answers_masks else {}),
        **({"thresholds": post_processing.thresholds} if post_processing else {}),
        **({"smallest_areas": post_processing.smallest_areas} if post_processing else {}),
        "model": str(card),
        "run": card.key,
        "weights_origin": card.backbone.weights_origin,
        "weights_licence": card.weights.licence or "not stated",
        "project_version": card.project_version,
    }


def export(model: KeptModel, path: Path) -> bool:
    """Writes the network as ONNX, for any number of images; returns whether it takes images of any size as well.

    The second is true only where ONNX Runtime answers as torch does on a larger image too.
    """
    spec = model.card.input
    network = model.network.cpu()
    write_out_scales(network)
    try:
        larger = torch.rand(1, 3, spec.height_px + OTHER_SIZE_PX, spec.width_px + 2 * OTHER_SIZE_PX)
        any_size = not model.card.answers_masks and _takes(network, larger)
        if any_size:
            _write(network, spec, path, {2: "height", 3: "width"})
            any_size = _answers_alike(network, path, larger)
        if not any_size:
            _write(network, spec, path, {})
    finally:
        network.to(model.device)
    describe(path, metadata_of(model.card, any_size))
    return any_size


def write_out_scales(network: torch.nn.Module) -> None:
    """Changes the network in place. Batch norms without scale and shift of their own get those that change nothing: the exporter cannot tell their width."""
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d) and norm.weight is None:
            norm.weight = torch.nn.Parameter(torch.ones(norm.num_features), requires_grad=False)
            norm.bias = torch.nn.Parameter(torch.zeros(norm.num_features), requires_grad=False)


def _takes(network: torch.nn.Module, images: torch.Tensor) -> bool:
    try:
        with torch.inference_mode():
            return network(images).ndim == 2
    except (RuntimeError, AssertionError, ValueError):
        return False


def _answers_alike(network: torch.nn.Module, path: Path, images: torch.Tensor) -> bool:
    with torch.inference_mode():
        expected = network(images).numpy()
    try:
        given = OnnxModel.opened(path).raw(images.numpy())
    except Exception:  # ONNX Runtime's own errors have no common ancestor
        return False
    return bool(np.abs(given - expected).max() <= LARGEST_DIFFERENCE)


def _write(network: torch.nn.Module, spec: InputSpec, path: Path, sides: Mapping[int, str]) -> None:
    example = torch.rand(2, 3, spec.height_px, spec.width_px)
    axes = {INPUT: {0: "n", **sides}, OUTPUT: {0: "n"}}
    write_network(network, (example,), path, axes, [INPUT], [OUTPUT])


def write_network(
    network: torch.nn.Module,
    examples: tuple[torch.Tensor, ...],
    path: Path,
    axes: Mapping[str, Mapping[int, str]],
    inputs: list[str],
    outputs: list[str],
) -> None:
    """A network with any inputs and outputs as ONNX; `axes`: name → the dimensions that vary. Raises CvAutomlError where torch
    cannot write it."""
    names: dict[str, Any] = {"input_names": inputs, "output_names": outputs}
    try:
        # That sizes become constants is checked by running the file; the older exporter needs no further package.
        with _quiet():
            torch.onnx.export(
                network, examples, path, dynamo=False, opset_version=OPSET, dynamic_axes=axes, **names
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise CvAutomlError(f"torch cannot write this network as ONNX: {first_line(error)}") from error


def describe(path: Path, facts: Mapping[str, Any]) -> None:
    """Puts the facts into the file's metadata."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(facts)})
    onnx.save(model, path)


def write_int8(path: Path, to: Path) -> None:
    """The same network with weights of 8 bits, the layers' inputs brought to 8 bits while it runs (dynamic quantisation).

    Depthwise convolutions stay as they are: they hold few weights, and their channels differ too much for one scale (neu_cls,
    tf_mobilenetv3_small_100 × student: accuracy .1125 with them quantised, .9438 without, .9625 as float).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    depthwise = [node.name for node in model.graph.node if node.op_type == "Conv" and _groups(node) > 1]
    with _quiet():
        # Unsigned: ONNX Runtime's convolution on a CPU knows no signed weights.
        quantize_dynamic(path, to, nodes_to_exclude=depthwise, weight_type=QuantType.QUInt8)
    describe(to, json.loads(model.metadata_props[0].value))


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice and the warnings that the exporter and the quantiser log on their own behalf."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file in ONNX Runtime on the processor, with as many threads as torch has."""

    session: onnxruntime.InferenceSession

    @classmethod
    def opened(cls, path: Path) -> OnnxModel:
        """The file at `path`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        return cls(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))

    def raw(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Normalised images (n, 3, h, w) → probabilities."""
        return self.session.run([OUTPUT], {INPUT: pixels})[0]

    def probabilities(self, images: Image, spec: InputSpec) -> npt.NDArray[np.float32]:
        """uint8 images (n, height_px, width_px, 3) → probabilities, as `KeptModel.probabilities`."""
        return self.raw(normalised_tensor(torch.from_numpy(images), spec).contiguous().numpy())
