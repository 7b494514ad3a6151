"""Convolution as one matrix product: lay every window of the image out as a row (im2col), multiply by the weights.

    y[n, i, j, o] = b[o] + Σ_{k, l, c}  x[n, i·s + k·d - p, j·s + l·d - p, c] · w[o, k, l, c]

Arrays are channels-last here: images (N, H, W, C), weights (O, KH, KW, C).  This is the form that
serves every stride, padding, dilation and number of groups; winograd.py has a quicker one for 3×3.

Source: Chellapilla, Puri & Simard, High performance convolutional neural networks for document
processing, 2006, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import strided, threads
from npnn.kernels._jit import kernel
from npnn.kernels.scratch import scratch
from npnn.kernels.tiles import PANEL, transpose

__all__ = ["Geometry", "backward_input", "backward_weight", "forward"]


class Geometry(NamedTuple):
    """How the kernel moves over the image; each pair is (along the height, along the width)."""

    stride: tuple[int, int]
    before: tuple[int, int]  # rows and columns of zeros added above and left of the image
    after: tuple[int, int]  # and below and right of it
    dilation: tuple[int, int]
    groups: int

    def output_size(self, size: tuple[int, int], kernel_size: tuple[int, int]) -> tuple[int, int]:
        """(OH, OW) of an image of ``size`` (H, W); 0 or less where the kernel does not fit."""
        oh, ow = (
            (n + p + q - d * (k - 1) - 1) // s + 1
            for n, k, s, p, q, d in zip(
                size, kernel_size, self.stride, self.before, self.after, self.dilation, strict=True
            )
        )
        return oh, ow


def windows(x: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    """Every window of the padded image, as a view of it.   (N, H, W, C) -> (N, OH, OW, KH, KW, C)"""
    (sh, sw), (top, left), (bottom, right), (dh, dw), _ = geometry
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    oh, ow = geometry.output_size(x.shape[1:3], kernel_size)
    n, h, w, c = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded, (len(x), oh, ow, *kernel_size, x.shape[3]), (n, h * sh, w * sw, h * dh, w * dw, c), writeable=False
    )


def _groups(groups: int, c: int, o: int) -> Iterator[tuple[slice, slice]]:
    """The input channels and the output channels of each group."""
    for g in range(groups):
        yield slice(g * c // groups, (g + 1) * c // groups), slice(g * o // groups, (g + 1) * o // groups)


@kernel
def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    """y = columns wᵀ + b.   (N, H, W, C), (O, KH, KW, C/G), (O,) -> (N, OH, OW, O)"""
    o, kernel_size = len(w), w.shape[1:3]
    weights = w.reshape(o, -1)  # (O, KH·KW·C/G)
    y = np.empty((len(x), *geometry.output_size(x.shape[1:3], kernel_size), o), x.dtype)
    for cs, os in _groups(geometry.groups, x.shape[3], o):
        columns = windows(x[..., cs], kernel_size, geometry)  # (N, OH, OW, KH, KW, C/G)
        y[..., os] = columns.reshape(*y.shape[:3], weights.shape[1]) @ weights[os].T
    if b is not None:
        y += b
    return y


@kernel
def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    """dx: dy w spreads each output over its window; windows that overlap add up.

    (N, OH, OW, O), (O, KH, KW, C/G) -> (N, H, W, C)
    """
    (sh, sw), (top, left), (bottom, right), (dh, dw), groups = geometry
    n, oh, ow, o = dy.shape
    _, kh, kw, c = w.shape
    dx = np.zeros((n, size[0] + top + bottom, size[1] + left + right, groups * c), dy.dtype)
    for cs, os in _groups(groups, groups * c, o):
        for k in range(kh):
            for j in range(kw):
                window = dx[:, k * dh : k * dh + sh * oh : sh, j * dw : j * dw + sw * ow : sw, cs]
                window += dy[..., os] @ w[os, k, j]  # (N, OH, OW, O/G) (O/G, C/G)
    return np.ascontiguousarray(dx[:, top : top + size[0], left : left + size[1]])


@kernel
def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    """dw = dyᵀ columns and db = Σ dy.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, C/G), (O,)"""
    pixels, o = dy.size // dy.shape[3], dy.shape[3]
    rows = dy.reshape(pixels, o)
    dw = np.empty((o, *kernel_size, x.shape[3] // geometry.groups), dy.dtype)
    for cs, os in _groups(geometry.groups, x.shape[3], o):
        columns = windows(x[..., cs], kernel_size, geometry).reshape(pixels, dw[0].size)
        dw[os] = (rows[:, os].T @ columns).reshape(dw[os].shape)
    return dw, rows.sum(axis=0)


FEW = 16  # channels: with fewer a product per tap of the kernel is slower than one per row of it, or one of all

# ---- the fast twins: the same sums without ever writing the columns down, see strided.py


@forward.fast
def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    y = np.empty((len(x), *geometry.output_size(x.shape[1:3], w.shape[1:3]), len(w)), x.dtype)
    bias = (np.zeros(len(w), x.dtype) if b is None else b)[None]
    chunks = _chunks(y, w)
    x, x_view, w_view, y_view, moves = _views(x, w, y, geometry, FEW)
    (panel,) = scratch(x.dtype, (chunks, w_view.shape[2], w_view.shape[4], PANEL))
    ones = np.ones((y_view.shape[2], 1), x.dtype)
    views = x.reshape(-1), _form(x_view), w.reshape(-1), _form(w_view), y.reshape(-1), _form(y_view)
    threads.run(strided.forward_chunks, chunks, *views, bias, ones, moves, geometry.groups, panel)
    return y


@backward_input.fast
def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    dx = np.empty((len(dy), *size, w.shape[3] * geometry.groups), dy.dtype)
    if w.shape[3] < FEW and dx.size and dy.size and w.size:
        return _spread(dy, w, dx, geometry)
    _, dx_view, w_view, dy_view, moves = _views(dx, w, dy, geometry, 0)
    views = dx.reshape(-1), _form(dx_view), w.reshape(-1), _form(w_view), dy.reshape(-1), _form(dy_view)
    threads.run(strided.backward_input_chunks, _chunks(dy, w), *views, moves, geometry.groups)
    return dx


def _spread(dy: NDArray[Any], w: NDArray[Any], dx: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """dx by whole windows: with few channels a product per tap would multiply by a column or two.

    What of a window lies side by side, a line of it or, dilated, a tap, is a span.
    """
    (sh, sw), (top, left), (bottom, right), (dh, dw), groups = geometry
    (n, height, width, _), (o, kh, kw, c), o = dx.shape, w.shape, len(w) // groups
    spans, span = (1, kw * c) if dw == 1 else (kw, c)
    chunks, border = min(_chunks(dy, w), n), (height + top + bottom, (width + left + right) * c)
    columns, images = scratch(dx.dtype, (chunks, dy.shape[2], w[0].size), (chunks, *border))
    moves = (sh, top, dh, sw * c, left * c, dw * c, kh, spans, span)
    into, given = (a.reshape(*a.shape[:3], groups, -1).transpose(3, 0, 1, 2, 4) for a in (dx, dy))
    threads.run(strided.spread_chunks, chunks, into, w.reshape(groups, o, -1), given, moves, columns, images)
    return dx


@backward_weight.fast
def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    dw = np.empty((dy.shape[3], *kernel_size, x.shape[3] // geometry.groups), x.dtype)
    chunks = _chunks(dy, dw)
    few = FEW if len(dw) < PANEL else 2 * FEW
    x, x_view, dw_view, dy_view, moves = _views(x, dw, dy, geometry, few)
    o, *taps, c = dw_view.shape
    views = x.reshape(-1), _form(x_view), dy.reshape(-1), _form(dy_view), np.ones((1, dy_view.shape[2]), x.dtype)
    shared = c >= PANEL // 2  # rows of dw long enough for the products to write them where they belong
    partial, db = scratch(x.dtype, (chunks, 0 if shared else dw.size), (chunks, 1, o))
    db.fill(0)
    by_tap = dw_view.transpose(1, 2, 3, 0, 4)  # (KP, KH, KR, O, C/G)
    out = by_tap if shared else partial[0].reshape(*taps, c, o)
    memory = dw.reshape(1, -1) if shared else partial
    threads.run(strided.backward_weight_chunks, chunks, *views, moves, geometry.groups, memory, _form(out), shared, db)
    if not shared:
        total = partial.sum(axis=0).reshape(out.shape)
        for tap in np.ndindex(*taps):
            transpose(total[tap], by_tap[tap])
    return dw, db.sum(axis=(0, 1))


def _chunks(y: NDArray[Any], w: NDArray[Any]) -> int:
    return threads.split(y.size * (w.size // max(len(w), 1)) // 16)  # 16 multiply-adds in one elementary time


def _form(view: NDArray[Any]) -> tuple[int, ...]:
    return (*view.shape, *view.strides)


def _views(x: Any, w: Any, y: Any, geometry: Geometry, few: int) -> tuple[Any, Any, Any, Any, tuple[int, ...]]:
    """The memory of x; views x, y (P, H, R, C) and w (O, KP, KH, KR, C); stride, zeros before, dilation of P, H, R.

    Taps are joined where there are fewer than ``few`` channels.
    """
    (sh, sw), (top, left), (bottom, right), (dh, dw), groups = geometry
    (n, h, width, c), (o, kh, kw, _), ow = x.shape, w.shape, y.shape[2]
    if kh == kw == sh == sw == 1 and not (top or left or bottom or right):
        return x, x.reshape(n, 1, h * width, c), w[:, None], y.reshape(n, 1, h * width, o), (1, 0, 1) * 3
    if c < few and groups == dw == 1:
        # Few channels make poor products.  The taps of one row of the kernel are neighbours in memory:
        # as windows of kw pixels they are one tap of an image with kw times the channels.
        if top or left or bottom or right:
            padded = np.zeros((n, h + top + bottom, width + left + right, c), x.dtype)
            padded[:, top : top + h, left : left + width] = x
            x = padded
        strides = (*x.strides[:2], c * sw * x.itemsize, x.itemsize)
        joined = np.lib.stride_tricks.as_strided(x, (n, x.shape[1], ow, kw * c), strides)
        return x, joined, w.reshape(o, 1, kh, 1, kw * c), y, (1, 0, 1, sh, 0, dh, 1, 0, 1)
    if ow < 8 and ow < n:
        views = x.transpose(2, 1, 0, 3), w.transpose(0, 2, 1, 3)[:, :, :, None], y.transpose(2, 1, 0, 3)
        return x, *views, (sw, left, dw, sh, top, dh, 1, 0, 1)
    return x, x, w[:, None], y, (1, 0, 1, sh, top, dh, sw, left, dw)
