"""Pixels for channels, and channels in another order."""

from __future__ import annotations

from npnn.nn.module import Module
from npnn.ops.shape import permute, reshape
from npnn.tensor import Tensor

__all__ = ["ChannelShuffle", "PixelShuffle", "PixelUnshuffle", "channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """r² channels as r x r pixels.   (*, C r², H, W) -> (*, C, H r, W r)

    Source: Shi et al., Real-time single image and video super-resolution, 2016.
    """
    r, shape = upscale_factor, input.array.shape
    if input.array.ndim < 3 or r < 1 or shape[-3] % (r * r):
        raise RuntimeError(f"pixel_shuffle: {shape} cannot give {r * r} channels to each pixel")
    *lead, C, H, W = shape
    n = len(lead)
    x = reshape(input, *lead, C // (r * r), r, r, H, W)
    x = permute(x, *range(n), n, n + 3, n + 1, n + 4, n + 2)
    return reshape(x, *lead, C // (r * r), H * r, W * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """r x r pixels as r² channels.   (*, C, H r, W r) -> (*, C r², H, W)"""
    r, shape = downscale_factor, input.array.shape
    if input.array.ndim < 3 or r < 1 or shape[-1] % r or shape[-2] % r:
        raise RuntimeError(f"pixel_unshuffle: {shape} cannot be cut into windows of {r} x {r}")
    *lead, C, H, W = shape
    n = len(lead)
    x = reshape(input, *lead, C, H // r, r, W // r, r)
    x = permute(x, *range(n), n, n + 2, n + 4, n + 1, n + 3)
    return reshape(x, *lead, C * r * r, H // r, W // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of g groups dealt out in turn.   (N, C, *), the same.   Source: Zhang et al., ShuffleNet, 2018."""
    N, C, *rest = input.array.shape
    if groups < 1 or C % groups:
        raise RuntimeError("Number of channels must be divisible by groups")
    x = reshape(input, N, groups, C // groups, *rest)
    return reshape(x.transpose(1, 2), N, C, *rest)


class PixelShuffle(Module):
    """See pixel_shuffle.   (*, C r², H, W) -> (*, C, H r, W r)"""

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """See pixel_unshuffle.   (*, C, H r, W r) -> (*, C r², H, W)"""

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """See channel_shuffle.   (N, C, *)"""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
