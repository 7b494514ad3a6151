"""Windows of an image as columns of a matrix, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.nn.module import Module
from npnn.tensor import Tensor

__all__ = ["Fold", "Unfold", "fold", "unfold"]


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


class Columns(Function):
    """y[:, (c, i, j), l] = the pixel (i, j) of window l in channel c.   dx = dy added up where windows overlap"""

    def forward(self, x: NDArray[Any], k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
        self.shape, self.how = x.shape, (k, d, p, s)
        padded = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
        rows, columns = _counts(x.shape[2:], k, d, p, s)
        y = np.stack([padded[w] for w in _windows(k, d, s, rows, columns)], 2)
        return y.reshape(x.shape[0], x.shape[1] * k[0] * k[1], rows * columns)

    def backward(self, dy: NDArray[Any]) -> Any:
        return _added_up(dy, self.shape, *self.how), None, None, None, None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return Columns().forward(v, *self.how)


class Overlapped(Function):
    """y = windows (columns of x) laid onto an image and added up.   dx = the windows of dy"""

    def forward(self, x: NDArray[Any], shape: Any, k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
        self.how, self.size = (k, d, p, s), (x.shape[0], x.shape[1] // (k[0] * k[1]), *shape)
        return _added_up(x, self.size, k, d, p, s)

    def backward(self, dy: NDArray[Any]) -> Any:
        return Columns().forward(dy, *self.how), None, None, None, None, None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return _added_up(v, self.size, *self.how)


def _counts(size: Any, k: Any, d: Any, p: Any, s: Any) -> list[int]:
    return [(size[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1)]


def _windows(k: Any, d: Any, s: Any, rows: int, columns: int) -> Any:
    for i in range(k[0]):
        for j in range(k[1]):
            top, left = i * d[0], j * d[1]
            yield (
                slice(None), slice(None), slice(top, top + (rows - 1) * s[0] + 1, s[0]),
                slice(left, left + (columns - 1) * s[1] + 1, s[1]),
            )  # fmt: skip


def _added_up(y: NDArray[Any], shape: Any, k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
    N, C, H, W = shape
    rows, columns = _counts((H, W), k, d, p, s)
    parts = y.reshape(N, C, k[0] * k[1], rows, columns)
    out = np.zeros((N, C, H + 2 * p[0], W + 2 * p[1]), y.dtype)
    for i, window in enumerate(_windows(k, d, s, rows, columns)):
        out[window] += parts[:, :, i]
    return out[:, :, p[0] : p[0] + H, p[1] : p[1] + W]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of a convolution as columns (im2col).   (N, C, H, W) -> (N, C KH KW, L)

    Errors: ShapeError for another number of axes, or a window larger than the image.
    """
    if input.array.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.array.ndim != 4:
        raise ShapeError(f"unfold: expected an input of shape (N, C, H, W), got {input.shape}")
    how = [_two(v) for v in (kernel_size, dilation, padding, stride)]
    if min(_counts(input.array.shape[2:], *how)) < 1 or min(how[0] + how[1] + how[3]) < 1:
        raise ShapeError(f"unfold: windows of {how[0]} do not fit an input of shape {input.shape}")
    return Columns.apply(input, *how)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns laid onto an image and added up where they overlap: unfold's adjoint.   (N, C KH KW, L) -> (N, C, H, W)

    Errors: ShapeError for columns that do not go with these sizes.
    """
    if input.array.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    size, how = _two(output_size), [_two(v) for v in (kernel_size, dilation, padding, stride)]
    counts = _counts(size, *how)
    window = how[0][0] * how[0][1]
    if input.array.ndim != 3 or input.array.shape[1] % window or input.array.shape[2] != counts[0] * counts[1]:
        raise ShapeError(f"fold: {input.shape} does not hold {counts[0] * counts[1]} windows of {window} pixels")
    return Overlapped.apply(input, size, *how)


class Unfold(Module):
    """See unfold.   (N, C, H, W) -> (N, C KH KW, L)"""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={getattr(self, n)}" for n in ("kernel_size", "dilation", "padding", "stride"))


class Fold(Module):
    """See fold.   (N, C KH KW, L) -> (N, C, H, W)"""

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{n}={getattr(self, n)}" for n in ("output_size", "kernel_size", "dilation", "padding", "stride")
        )
