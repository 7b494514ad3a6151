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

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.scratch import scratch
from npnn.kernels.tiles import PANEL, product, transpose

__all__ = ["Geometry", "backward_input", "backward_weight", "forward"]

prange = range


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
    o, *kernel_size = w.shape[:3]
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


# ---- the fast twins: the same sums without ever writing the columns down
#
# Under one tap of the kernel, a row of output pixels sees a row of input pixels: in memory a matrix,
# with the stride of the convolution between its rows.  So each tap is a product of such views.  Where
# the images are small, the pixels at one place in all images are taken for the row instead: the same
# loops over transposed arrays.  For that their axes have neutral names: (P, H, R, C) is (N, H, W, C)
# or (W, H, N, C); the loops run over P and H, the products' rows along R.


BLOCK = 512  # output pixels in a block


def _axes(array: NDArray[Any], by_image: bool) -> NDArray[Any]:
    """(N, H, W, C) -> (P, H, R, C)"""
    return array.transpose(2, 1, 0, 3) if by_image else array


def _plan(x: Any, w: Any, y: Any, geometry: Geometry, join: bool) -> tuple[Any, Any, Any, tuple[int, ...]]:
    """The arrays in the axes of the loops, and (stride, zeros before, dilation) for each of P, H and R."""
    (sh, sw), (top, left), (bottom, right), (dh, dw), groups = geometry
    (n, h, width, c), (o, kh, kw, _), (_, _, ow, _) = x.shape, w.shape, y.shape
    if join and groups == 1 and dw == 1 and c < 16:
        # Few channels make poor products: join the taps of a row of the kernel, neighbours in memory, too.
        if top or left or bottom or right:
            padded = np.zeros((n, h + top + bottom, width + left + right, c), x.dtype)
            padded[:, top : top + h, left : left + width] = x
            x, top = padded, 0
        # the stride between channels says nothing where there is one channel
        strides = (*x.strides[:2], x.strides[2] * sw, x.strides[2] // c)
        x = np.lib.stride_tricks.as_strided(x, (n, x.shape[1], ow, kw * c), strides)
        return x, w.reshape(o, 1, kh, 1, kw * c), y, (1, 0, 1, sh, top, dh, 1, 0, 1)
    if ow < 8 and ow < n:
        w = w.transpose(0, 2, 1, 3)[:, :, :, None]  # (O, KW, KH, 1, C)
        return _axes(x, True), w, _axes(y, True), (sw, left, dw, sh, top, dh, 1, 0, 1)
    return x, w[:, None], y, (1, 0, 1, sh, top, dh, sw, left, dw)


def _chunks(y: NDArray[Any], w: NDArray[Any]) -> int:
    return threads.split(y.size * (w.size // max(len(w), 1)) // 16)  # 16 multiply-adds in one elementary time


@forward.fast
def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    y = np.empty((len(x), *geometry.output_size(x.shape[1:3], w.shape[1:3]), len(w)), x.dtype)
    bias = (np.zeros(len(w), x.dtype) if b is None else b)[None]
    chunks = _chunks(y, w)
    images, kernels, results, moves = _plan(x, w, y, geometry, True)
    (panel,) = scratch(x.dtype, (chunks, kernels.shape[2], kernels.shape[4], PANEL))
    ones = np.ones((results.shape[2], 1), x.dtype)
    threads.run(_forward_chunks, chunks, images, kernels, bias, ones, moves, geometry.groups, panel, results)
    return y


@backward_input.fast
def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    dx = np.empty((len(dy), *size, w.shape[3] * geometry.groups), dy.dtype)
    images, kernels, results, moves = _plan(dx, w, dy, geometry, False)
    threads.run(_backward_input_chunks, _chunks(dy, w), results, kernels, moves, geometry.groups, images)
    return dx


@backward_weight.fast
def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    dw = np.empty((dy.shape[3], *kernel_size, x.shape[3] // geometry.groups), x.dtype)
    chunks = _chunks(dy, dw)
    images, kernels, results, moves = _plan(x, dw, dy, geometry, True)
    o, kp, kh, kr, c = kernels.shape
    partial, db = scratch(x.dtype, (chunks, kp, kh, kr, c, o), (chunks, 1, o))
    ones = np.ones((1, results.shape[2]), x.dtype)
    threads.run(_backward_weight_chunks, chunks, images, results, ones, moves, geometry.groups, partial, db)
    total = partial.sum(axis=0) if chunks > 1 else partial[0]
    for tap in np.ndindex(kp, kh, kr):
        transpose(total[tap], kernels[(slice(None), *tap)])
    return dw, db.sum(axis=(0, 1))


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _seen(size, count, step, offset):  # type: ignore[no-untyped-def]
    """The range of 0 <= i < count for which there is an element i * step + offset, 0 <= it < size."""
    return max(0, -(offset // step)), min(count, (size - 1 - offset) // step + 1)


@jit(parallel=True, error_model="numpy")
def _forward_chunks(chunks, x, w, b, ones, moves, groups, panels, y):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        _forward_part(np.int64(chunk), chunks, x, w, b, ones, moves, groups, panels[chunk], y)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _forward_part(chunk, chunks, x, w, b, ones, moves, groups, panel, y):  # type: ignore[no-untyped-def]
    """Each item of work: some lines of the output, PANEL of its channels."""
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    o, kp, kh, kr, c = w.shape
    height, length, width = y.shape[1], y.shape[2], o // groups
    lines, panels = max(1, BLOCK // max(1, length)), (width + PANEL - 1) // PANEL
    blocks = (y.shape[0] * height + lines - 1) // lines
    items = blocks * groups * panels
    for item in range(items * chunk // chunks, items * (chunk + 1) // chunks):
        g, start = item // blocks // panels, item // blocks % panels * PANEL
        os, cs = slice(g * width + start, g * width + min(start + PANEL, width)), slice(g * c, (g + 1) * c)
        lo, hi = item % blocks * lines, min(item % blocks * lines + lines, y.shape[0] * height)
        for line in range(lo, hi):
            product(ones, b[:, os], y[line // height, line % height, :, os], False)
        for i in range(kp):
            for k in range(kr):
                weights = panel[:, :, : os.stop - os.start]  # (KH, C/G, channels)
                for j in range(kh):
                    transpose(w[os, i, j, k], weights[j])
                first = k * dr - br
                begin, end = _seen(x.shape[2], length, sr, first)
                for line in range(lo, hi):
                    p, h = line // height * sp + i * dp - bp, line % height * sh - bh
                    above, below = _seen(x.shape[1], kh, dh, h)
                    if 0 <= p < x.shape[0] and begin < end and above < below:
                        rows = slice(h + above * dh, h + (below - 1) * dh + 1, dh)
                        columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
                        out = y[line // height, line % height, begin:end, os]
                        product(x[p, rows, columns, cs], weights[above:below], out, True)


@jit(parallel=True, error_model="numpy")
def _backward_input_chunks(chunks, dy, w, moves, groups, dx):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        _backward_input_part(np.int64(chunk), chunks, dy, w, moves, groups, dx)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _backward_input_part(chunk, chunks, dy, w, moves, groups, dx):  # type: ignore[no-untyped-def]
    """Each item of work: some lines of the input, PANEL of its channels."""
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    o, kp, kh, kr, c = w.shape
    height, length, width = dx.shape[1], dx.shape[2], o // groups
    lines, panels = max(1, BLOCK // max(1, length)), (c + PANEL - 1) // PANEL
    blocks = (dx.shape[0] * height + lines - 1) // lines
    items = blocks * groups * panels
    for item in range(items * chunk // chunks, items * (chunk + 1) // chunks):
        g, start = item // blocks // panels, item // blocks % panels * PANEL
        stop = min(start + PANEL, c)
        os, cs = slice(g * width, (g + 1) * width), slice(g * c + start, g * c + stop)
        lo, hi = item % blocks * lines, min(item % blocks * lines + lines, dx.shape[0] * height)
        for line in range(lo, hi):
            dx[line // height, line % height, :, cs] = 0
        for i in range(kp):
            for j in range(kh):
                for k in range(kr):
                    first = k * dr - br
                    begin, end = _seen(length, dy.shape[2], sr, first)
                    columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
                    for line in range(lo, hi):
                        p, p_rest = divmod(line // height + bp - i * dp, sp)
                        h, h_rest = divmod(line % height + bh - j * dh, sh)
                        inside = 0 <= p < dy.shape[0] and 0 <= h < dy.shape[1] and begin < end
                        if inside and p_rest == 0 and h_rest == 0:
                            out = dx[line // height, line % height, columns, cs]
                            product(dy[p, h, begin:end, os], w[os, i, j, k, start:stop], out, True)


@jit(parallel=True, error_model="numpy")
def _backward_weight_chunks(chunks, x, dy, ones, moves, groups, dw, db):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        _backward_weight_part(np.int64(chunk), chunks, x, dy, ones, moves, groups, dw[chunk], db[chunk])


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _backward_weight_part(chunk, chunks, x, dy, ones, moves, groups, dw, db):  # type: ignore[no-untyped-def]
    """The sums over one thread's share of the lines: dw (KP, KH, KR, C/G, O) and db (1, O)."""
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    kp, kh, kr, c, o = dw.shape
    height, length, width = dy.shape[1], dy.shape[2], o // groups
    panels = (width + PANEL - 1) // PANEL
    lo, hi = dy.shape[0] * height * chunk // chunks, dy.shape[0] * height * (chunk + 1) // chunks
    dw[:] = 0
    db[:] = 0
    for line in range(lo, hi):
        product(ones, dy[line // height, line % height], db, True)
    for item in range(groups * panels * kp * kh * kr):
        tap, start = item // (groups * panels), item % panels * PANEL
        g, i, j, k = item // panels % groups, tap // (kh * kr), tap // kr % kh, tap % kr
        os, cs = slice(g * width + start, g * width + min(start + PANEL, width)), slice(g * c, (g + 1) * c)
        first, top = k * dr - br, j * dh - bh
        begin, end = _seen(x.shape[2], length, sr, first)
        above, below = _seen(x.shape[1], height, sh, top)
        columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
        for image in range(lo // height, (hi + height - 1) // height):
            a, z = max(above, lo - image * height), min(below, hi - image * height)
            p = image * sp + i * dp - bp
            if 0 <= p < x.shape[0] and a < z and begin < end:
                seen = x[p, a * sh + top : (z - 1) * sh + top + 1 : sh, columns, cs]
                product(seen.transpose(0, 2, 1), dy[image, a:z, begin:end, os], dw[i, j, k, :, os], True)
