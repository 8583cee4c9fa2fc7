"""The form a network answers in: parallel branches merged into one, batch norms folded into the convolutions before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from timm.utils import reparameterize_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode


def inference_form(network: nn.Module, example: torch.Tensor) -> nn.Module:
    """The same function of images with fewer parameters; `network` itself is changed. `example`: images (n, 3, h, w).

    timm merges the branches of blocks made for it (RepVGG, arXiv:2101.03697; MobileOne, arXiv:2206.04040). A batch norm is
    folded where it alone reads what one convolution gives, which a run on `example` shows; others stay.
    """
    network = reparameterize_model(network.eval(), inplace=True)
    names = {id(m.running_mean): name for name, m in network.named_modules() if _is_foldable(m)}
    if not names:
        return network
    convolutions = {id(m.weight): m for m in network.modules() if isinstance(m, nn.Conv2d)}
    with torch.no_grad(), _Trace() as trace:
        network(example)
    for weight, running_mean in trace.pairs():
        if weight in convolutions and running_mean in names:
            _fold(network, convolutions[weight], names[running_mean])
    return network


def _is_foldable(module: nn.Module) -> bool:
    return type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.running_mean is not None


def _fold(network: nn.Module, convolution: nn.Conv2d, norm_name: str) -> None:
    norm: Any = network.get_submodule(norm_name)
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    left = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
    network.set_submodule(norm_name, left)


class _Trace(TorchFunctionMode):
    """Sees which convolution made the input of which batch norm, and whether anything else reads it."""

    def __init__(self) -> None:
        super().__init__()
        # Tensors are kept until the end, so that no two of them share an id.
        self._kept: list[Any] = []
        self._readers: Counter[int] = Counter()
        self._calls: Counter[int] = Counter()
        self._weight_of: dict[int, int] = {}
        self._norms: list[tuple[int, int]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # Asking for a shape gives no tensor and reads no values.
        if next(_tensors([result]), None) is not None:
            self._note(func, [*_tensors(args), *_tensors((kwargs or {}).values())], result)
        return result

    def _note(self, func: Callable[..., Any], read: list[torch.Tensor], result: Any) -> None:
        self._kept += [*read, result]
        self._readers.update(id(tensor) for tensor in read)
        if func is torch.conv2d:
            self._weight_of[id(result)] = id(read[1])
            self._calls[id(read[1])] += 1
        if func is nn.functional.batch_norm and len(read) > 1:
            self._norms.append((id(read[0]), id(read[1])))
            self._calls[id(read[1])] += 1

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Ids of a convolution's weight and of the running mean of the batch norm that alone reads its result."""
        for image, running_mean in self._norms:
            weight = self._weight_of.get(image)
            alone = weight is not None and self._readers[image] == 1
            if weight is not None and alone and self._calls[weight] == self._calls[running_mean] == 1:
                yield weight, running_mean


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
