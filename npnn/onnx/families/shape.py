"""Operations that move elements without changing them, and sizes as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn.padding.pad import ConstantPadding, Reordering, pad
from npnn.onnx.sizes import Batch, Size
from npnn.onnx.table import reads, writes
from npnn.ops import flipping, joining, shape
from npnn.tensor import Tensor, of_array

LAST = 2**63 - 1  # beyond the end of every axis


@writes(shape.Reshape)
def _write_reshape(g: Any, x: Any, shape: tuple[Size, ...]) -> Any:
    if shape == x.shape:
        return x
    # What grows with the batch may be written as 0, a size of the input, or as -1, what is left
    sizes = [0 if isinstance(n, Batch) and x.shape[i : i + 1] == (n,) else n for i, n in enumerate(shape)]
    growing = [i for i, n in enumerate(sizes) if isinstance(n, Batch)]
    if len(growing) == 1 and -1 not in sizes:
        sizes[growing[0]] = -1
        growing = []
    if growing or 0 in shape:
        return g.node("Reshape", x, g.shape(shape), allowzero=1)
    return g.node("Reshape", x, np.array(sizes, np.int64))


@reads("Reshape")
def _read_reshape(x: Tensor, sizes: Tensor, *, allowzero: int) -> Tensor:
    wanted = [x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(sizes.tolist())]
    return shape.reshape(x, wanted)


@reads("Flatten")
def _read_flatten(x: Tensor, *, axis: int) -> Tensor:
    axis += x.ndim if axis < 0 else 0
    return shape.reshape(x, int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


@reads("Squeeze")
def _read_squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return shape.squeeze(x, None if axes is None else axes.tolist())


@reads("Unsqueeze")
def _read_unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    ndim = x.ndim + axes.numel()
    for axis in sorted(a % ndim for a in axes.tolist()):
        x = shape.unsqueeze(x, axis)
    return x


@writes(shape.Permute)
def _write_permute(g: Any, x: Any, dims: tuple[int, ...]) -> str:
    return g.node("Transpose", x, perm=list(dims))


@reads("Transpose")
def _read_transpose(x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    return shape.permute(x, perm or list(range(x.ndim))[::-1])


@writes(shape.Expand)
def _write_expand(g: Any, x: Any, shape: tuple[Size, ...]) -> str:
    # Where the input is as large as wanted, 1 will do: the operator broadcasts both ways
    kept = (None,) * (len(shape) - len(x.shape)) + x.shape
    return g.node("Expand", x, g.shape([1 if n == old else n for n, old in zip(shape, kept, strict=True)]))


@reads("Expand")
def _read_expand(x: Tensor, sizes: Tensor) -> Tensor:
    return shape.expand(x, np.broadcast_shapes(x.shape, tuple(sizes.tolist())))


@writes(joining.Concatenate)
def _write_concatenate(g: Any, *arrays: Any, dim: int) -> str:
    return g.node("Concat", *arrays, axis=dim)


@writes(joining.Stack)
def _write_stack(g: Any, *arrays: Any, dim: int) -> str:
    return g.node("Concat", *[g.node("Unsqueeze", a, g.shape([dim])) for a in arrays], axis=dim)


@reads("Concat")
def _read_concat(*inputs: Tensor, axis: int) -> Tensor:
    return joining.cat(inputs, axis)


@reads("Split")
def _read_split(
    x: Tensor, sizes: Tensor | None = None, *, axis: int, num_outputs: int | None = None
) -> tuple[Tensor, ...]:
    if sizes is not None:
        return joining.split(x, sizes.tolist(), axis)
    return joining.split(x, -(-x.shape[axis] // (num_outputs or 1)), axis)


@writes(flipping.Flip)
def _write_flip(g: Any, x: Any, dims: tuple[int, ...]) -> str:
    ends = [np.full(len(dims), n, np.int64) for n in (LAST, -LAST)]
    return g.node("Slice", x, *ends, np.array(dims, np.int64), np.full(len(dims), -1, np.int64))


@writes(shape.Clone)
def _write_clone(g: Any, x: Any, order: str) -> Any:
    return x


@writes(ConstantPadding)
def _write_constant_padding(g: Any, x: Any, widths: dict[int, tuple[int, int]], value: float) -> Any:
    axes = np.array(list(widths), np.int64)
    ends = np.array(list(widths.values())).T.reshape(2, -1)  # before, after: each a number for each axis
    number = np.asarray(value, x.dtype)
    if (ends < 0).any():  # not every reader of ONNX takes elements away by padding
        stop = np.where(ends[1] < 0, ends[1], LAST)
        x = g.node("Slice", x, np.maximum(-ends[0], 0), stop, axes)
    return g.node("Pad", x, np.maximum(ends, 0).ravel(), number, axes)


@writes(Reordering)
def _write_reordering(g: Any, x: Any, orders: dict[int, Any]) -> Any:
    for axis, order in orders.items():
        x = g.node("Gather", x, order.places.astype(np.int64), axis=axis)
    return x


@reads("Pad")
def _read_pad(
    x: Tensor, widths: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str
) -> Tensor:
    chosen = list(range(x.ndim)) if axes is None else [a % x.ndim for a in axes.tolist()]
    before, after = np.split(widths.array, 2)
    ends = np.zeros((x.ndim, 2), int)
    ends[chosen] = np.stack([before, after], axis=1)
    names = {"edge": "replicate", "wrap": "circular"}
    number = None if value is None or mode != "constant" else value.item()
    return pad(x, ends[::-1].ravel().tolist(), names.get(mode, mode), number)


@reads("Shape")
def _read_shape(x: Tensor, *, start: int, end: int | None = None) -> Tensor:
    return of_array(np.array(x.shape[start:end], np.int64))


@reads("ConstantOfShape")
def _read_constant_of_shape(sizes: Tensor, *, value: Any = None) -> Tensor:
    from onnx.numpy_helper import to_array

    return of_array(np.full(sizes.tolist(), np.float32(0) if value is None else to_array(value)[0]))
