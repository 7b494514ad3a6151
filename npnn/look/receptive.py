"""The receptive field: which pixels of the picture one unit of a layer sees.

By formula (Araujo, Norris & Sim, Computing receptive fields of convolutional neural networks, 2019): along a chain of
layers with kernel k, dilation d, stride s and padding p, from r = 1, j = 1 and b = 0 on,

    r += (d (k - 1)) j          pixels that a unit sees, along one axis
    b -= p j                    the first pixel that unit 0 sees (negative: outside of the picture)
    j *= s                      pixels from one unit's field to the next one's
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnn.generator import Generator
from npnn.look.subject import Layer, Subject, _first, subject

__all__ = ["Field", "measured_field", "receptive_field"]

#: Layers that treat each place of a picture by itself.
POINTWISE = ("BatchNorm", "Dropout", "Identity", "ReLU", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU",
             "Mish", "Sigmoid", "Tanh", "Hard", "Soft", "LogSigmoid", "Threshold", "AlphaDropout", "Feature")  # fmt: skip


ROUNDING = 1e-12


@dataclass(frozen=True)
class Field:
    """Along rows and columns: pixels seen, pixels from one unit to the next, first pixel that unit 0 sees."""

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The first and last pixel (exclusive) in rows and columns that unit (row, column) sees, even if outside."""
        top, left = self.start[0] + row * self.stride[0], self.start[1] + column * self.stride[1]
        return top, top + self.size[0], left, left + self.size[1]


def receptive_field(model: Any, layer: Any, shape: Sequence[int]) -> Field | None:
    """The field of the units of a layer by formula, for pictures (C, H, W).

    None where the layers before it are no chain, or one of them has no fixed window: measured_field then tells.
    """
    net = subject(model)
    target = net.find(layer)
    chain = _chain(net, target, shape)
    if chain is None:
        return None
    size, stride, start = [1, 1], [1, 1], [0, 0]
    for one in chain:
        window = _window(one)
        if window is None:
            return None
        for axis, (k, s, p, d) in enumerate(zip(*window, strict=True)):
            size[axis] += d * (k - 1) * stride[axis]
            start[axis] -= p * stride[axis]
            stride[axis] *= s
    return Field((size[0], size[1]), (stride[0], stride[1]), (start[0], start[1]))


def _chain(net: Subject, target: Layer, shape: Sequence[int]) -> list[Layer] | None:
    """The layers from the picture to the target, if each is given what the one before it gave, and no other."""
    order: list[Layer] = []
    whole = True
    last: list[Any] = [None]

    def watch(layer: Layer) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            nonlocal whole
            if target not in order:
                order.append(layer)
                whole = whole and (last[0] is None or inputs[0] is last[0])
                last[0] = output

        return hook

    x = np.zeros((1, *shape), net.dtype)
    with net.still(), net.backend.no_grad(), net.hooks({layer: watch(layer) for layer in net.layers}):
        net.model(net.tensor(x))
    return order if whole and target in order else None


def _window(layer: Layer) -> Sequence[Sequence[int]] | None:
    """Kernel, stride, padding and dilation along rows and columns, None for a layer without a fixed window."""
    module, kind = layer.module, layer.kind
    if kind.startswith(POINTWISE):
        return (1, 1), (1, 1), (0, 0), (1, 1)
    if kind not in ("Conv2d", "MaxPool2d", "AvgPool2d"):
        return None
    if getattr(module, "padding_mode", "zeros") != "zeros":
        return None
    kernel, dilation = _two(module.kernel_size), _two(getattr(module, "dilation", 1))
    stride = kernel if module.stride is None else _two(module.stride)
    padding = module.padding
    if isinstance(padding, str):
        padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)) if padding == "same" else 0
    return kernel, stride, _two(padding), dilation


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def measured_field(model: Any, layer: Any, shape: Sequence[int], row: int, column: int) -> tuple[int, int, int, int]:
    """The box (first and last row, exclusive, then columns) within the picture that unit (row, column) sees.

    It is where the gradient of the unit is not zero, in a copy of the network whose weights are all positive, so that
    nothing cancels, and that has no nonlinearities: activations let all through, and a maximum becomes a sum,
    as it sees all of its window, whichever pixel wins.  In float64, where a fast convolution's rounding is no gradient.
    """
    given = subject(model)
    net = Subject(copy.deepcopy(given.model).double())
    target = net.layers[given.find(layer).place]
    generator = Generator().manual_seed(0)
    for p in net.model.parameters():
        values = net.backend.array(p)
        values[...] = 0.5 + generator.rand(*values.shape, dtype=values.dtype)
    x = 0.5 + generator.rand(1, *shape, dtype=np.float64)
    with net.hooks({one: _linear for one in net.layers if one.kind.startswith((*POINTWISE, "MaxPool2d"))}):
        gradient, _, _ = net.gradients(x, lambda out: out[:, :, row, column].sum(1), target)
    size = np.abs(gradient[0]).max(axis=0)  # (H, W)
    seen = size > ROUNDING * size.max()
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        raise ValueError(f"no pixel reaches the unit ({row}, {column}) of {target}")
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _linear(module: Any, inputs: Any, output: Any) -> Any:
    """A forward hook: the layer without its nonlinearity."""
    x, kind = _first(inputs), type(module).__name__
    if not kind.startswith("MaxPool2d"):
        return x
    # the sum over each window, from shifted copies: rows and columns that the window takes
    (kh, kw), (dh, dw) = _two(module.kernel_size), _two(module.dilation)
    sh, sw = (kh, kw) if module.stride is None else _two(module.stride)
    ph, pw = _two(module.padding)
    H, W = output.shape[2:]
    total = None
    padded = _padded(x, ph, pw, (H - 1) * sh + dh * (kh - 1) + 1, (W - 1) * sw + dw * (kw - 1) + 1)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            part = padded[:, :, top : top + (H - 1) * sh + 1 : sh, left : left + (W - 1) * sw + 1 : sw]
            total = part if total is None else total + part
    return total


def _padded(x: Any, ph: int, pw: int, height: int, width: int) -> Any:
    """Zeros around x (N, C, H, W), to at least this size."""
    N, C, H, W = x.shape
    wide = x.new_zeros((N, C, max(height, H + 2 * ph), max(width, W + 2 * pw)))
    wide[:, :, ph : ph + H, pw : pw + W] = x
    return wide
