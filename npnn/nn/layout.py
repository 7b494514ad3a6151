"""Images have the shape (N, C, H, W) and, in memory, the order (N, H, W, C): the way there and back."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from npnn.kernels.order import contiguous

__all__ = ["channels_first", "channels_last", "contiguous_channels_last"]


def channels_last(array: NDArray[Any], dims: int) -> NDArray[Any]:
    """(N, C, H, W) or (C, H, W) if ``dims`` is 2, (N, C, L) or (C, L) if it is 1 -> a view (N, H, W, C).

    A sequence is an image of height 1, an array without a batch axis a batch of one.
    """
    if dims == 1:
        array = array[..., None, :]
    if array.ndim == 3:
        array = array[None]
    return array.transpose(0, 2, 3, 1)


def contiguous_channels_last(array: NDArray[Any], dims: int) -> NDArray[Any]:
    """The same, copied if its memory is not in that order."""
    return contiguous(channels_last(array, dims))


def channels_first(array: NDArray[Any], dims: int, ndim: int) -> NDArray[Any]:
    """The way back: (N, H, W, C) -> a view with ``ndim`` axes, of which ``dims`` are spatial."""
    array = array.transpose(0, 3, 1, 2)
    if dims == 1:
        array = array[..., 0, :]
    return array if ndim == dims + 2 else array[0]
