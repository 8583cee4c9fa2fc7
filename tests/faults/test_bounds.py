"""Declared sizes are bounded before anything is made of them; weights and models that do not fit count as none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.config import Settings
from lib.errors import CvAutomlError, WeightsError
from lib.zoo.weights import find_weights
from tests.faults.conftest import Run

CARDS = {
    "a million pixels wide": "input_size_px: 1000000\n",
    "no pixels": "input_size_px: 0\n",
    "text for pixels": "input_size_px: wide\n",
    "an unknown argument of the model": "model_kwargs: {foo: 1}\n",
    "five thousand brackets": "[" * 5000,
    "a list": "- a\n",
    "a mean of one value": "mean: [0.5]\n",
    "a spread of zero": "std: [0, 0, 0]\n",
    "a mean that is no number": "mean: [.nan, 0, 0]\n",
    "a spread without end": "std: [.inf, 1, 1]\n",
    "a share without end": "crop_pct: .inf\n",
    "a field nobody knows": "inputsize: 224\n",
    "a checkpoint to unpickle": "model_kwargs: {checkpoint_path: /tmp/x.pth}\n",
    "a billion channels": "model_kwargs: {base_width: 1000000000}\n",
    "a billion channels in a list": "model_kwargs: {layers: [1000000000, 1, 1, 1]}\n",
    "a list of lists": "model_kwargs: {layers: [[1]]}\n",
    "an argument of the wrong kind": "model_kwargs: {layers: many}\n",
    "an activation nobody knows": "model_kwargs: {act_layer: foo}\n",
    "a map that is not there": "architecture: resnet18\nfeature_map: 99\n",
    "a network nobody knows": "architecture: resnet1888\nfeature_map: 1\n",
    "an alias": "mean: &a [0, 0, 0]\nstd: *a\n",
    "not UTF-8": "\udcff: 1\n",
}


@pytest.mark.parametrize("card", CARDS)
def test_a_weights_card_nobody_can_mean_is_refused(
    run: Run, classes: Path, tmp_path: Path, card: str
) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "resnet18.safetensors")
    (tmp_path / "resnet18.yaml").write_bytes(CARDS[card].encode(errors="surrogateescape"))
    run(
        "zoo",
        "plan",
        "--dataset",
        classes,
        "--backbone",
        "resnet18",
        "--head",
        "linear",
        "--weights-dir",
        tmp_path,
    ).refused("resnet18.yaml")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"x" * 100, b"\xff" * 16])
def test_weights_that_are_none_are_named(run: Run, classes: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "resnet18.safetensors").write_bytes(content)
    run(
        "zoo",
        "run",
        "--dataset",
        classes,
        "--backbone",
        "resnet18",
        "--head",
        "linear",
        "--weights-dir",
        tmp_path,
    ).refused("resnet18.safetensors")


@pytest.mark.parametrize("name", ["resnet18.yaml", "resnet18.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("gone", path)])
def test_what_is_no_file_is_named_and_never_read(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    with pytest.raises(WeightsError, match=name):
        find_weights("resnet18", Settings(weights_dir=tmp_path))


@pytest.mark.parametrize(
    "name", ["", "../resnet18", "x" * 5000, "resnet18\n", "hf-hub:a/b", "%s{0}", "a.b.c"]
)
def test_odd_names_are_no_networks(tmp_path: Path, name: str) -> None:
    with pytest.raises(CvAutomlError):
        find_weights(name, Settings(weights_dir=tmp_path))
