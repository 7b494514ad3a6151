"""Convolution with 3×3 kernels at a quarter of the multiplications: Winograd's minimal filtering.

A 4×4 tile of the output depends on a 6×6 patch d of the image and the 3×3 kernel g:

    y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

The matrices come from interpolating polynomials: evaluate both factors at 6 points, multiply point
by point, interpolate.  So a tile takes 36 products instead of 144.  Summed over channels, the
product ⊙ is one matrix product per point: (tiles, C) (C, O).

The gradients are the adjoints of the same linear steps: dx is the convolution of dy with the kernel
turned by 180°, and dg = Gᵀ [ (A dy Aᵀ) ⊙ (Bᵀ d B) ] G.

Interpolation costs accuracy: in float32 the results differ from the exact ones by about 1e-5 of
their size, those of im2col by 1e-6.

Source: Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads, winograd_loops
from npnn.kernels._jit import kernel
from npnn.kernels.scratch import scratch
from npnn.kernels.tiles import PANEL
from npnn.kernels.winograd_loops import CHANNELS, TILES

__all__ = ["backward_input", "backward_weight", "forward", "grid_of"]

# The points are 0, 1, -1, 2, -2 and ∞.  (Tiles of 2×2, with 0, 1, -1 and ∞, save fewer products and were never faster.)
A = np.array(  # (6, 4), transposed: output tile from products
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float64
).T
G = np.array(  # (6, 3): kernel to points
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float64,
)
B = np.array(  # (6, 6), transposed: patch to points
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
).T
POINTS, TILE = A.shape
ONE = 1  # the point whose product reaches every output of the tile with weight one: the place of the bias


def _matrices(dtype: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return A.astype(dtype), G.astype(dtype), B.astype(dtype)


def _patches(image: NDArray[Any], start: tuple[int, int], size: int, grid: tuple[int, int]) -> NDArray[Any]:
    """Square patches of ``size``, a tile apart, the first one at ``start``; zeros outside the image.

    (N, H, W, C) -> (N, TH, TW, size, size, C)
    """
    n, h, w, c = image.shape
    (top, left), (th, tw), step = start, grid, TILE
    bottom, right = top + (th - 1) * step + size - h, left + (tw - 1) * step + size - w
    padded = np.pad(image, ((0, 0), (-top, max(bottom, 0)), (-left, max(right, 0)), (0, 0)))
    sn, sh, sw, sc = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded, (n, th, tw, size, size, c), (sn, sh * step, sw * step, sh, sw, sc), writeable=False
    )


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """(TH, TW): how many tiles cover an image of ``size``."""
    return -(-size[0] // TILE), -(-size[1] // TILE)


@kernel
def forward(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any], before: tuple[int, int], size: tuple[int, int]
) -> NDArray[Any]:
    """Stride 1; ``before`` rows and columns of zeros above and left; ``size`` is (OH, OW).

    (N, H, W, C), (O, 3, 3, C), (O,) -> (N, OH, OW, O)
    """
    A, G, B = _matrices(x.dtype)
    th, tw = grid_of(size)
    d = _patches(x, (-before[0], -before[1]), POINTS, (th, tw))
    V = np.einsum("ki,lj,nabklc->ijnabc", B, B, d, optimize=True)  # (6, 6, N, TH, TW, C)
    U = np.einsum("ik,jl,oklc->ijco", G, G, w, optimize=True)  # (6, 6, C, O)
    M = V @ U[:, :, None, None]  # (6, 6, N, TH, TW, O)
    y = np.einsum("ki,lj,klnabo->naibjo", A, A, M, optimize=True)  # (N, TH, 4, TW, 4, O)
    return y.reshape(len(x), th * TILE, tw * TILE, len(b))[:, : size[0], : size[1]] + b


@kernel
def backward_input(dy: NDArray[Any], w: NDArray[Any], before: tuple[int, int], size: tuple[int, int]) -> NDArray[Any]:
    """dx: dy convolved with the kernel turned by 180°.   (N, OH, OW, O), (O, 3, 3, C) -> (N, H, W, C)"""
    turned = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)  # (C, 3, 3, O)
    return forward.reference(dy, turned, np.zeros(len(turned), dy.dtype), (2 - before[0], 2 - before[1]), size)


@kernel
def backward_weight(x: NDArray[Any], dy: NDArray[Any], before: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(N, H, W, C), (N, OH, OW, O) -> (O, 3, 3, C), (O,)"""
    A, G, B = _matrices(x.dtype)
    grid = grid_of(dy.shape[1:3])
    d = _patches(x, (-before[0], -before[1]), POINTS, grid)
    V = np.einsum("ki,lj,nabklc->ijnabc", B, B, d, optimize=True)  # (6, 6, N, TH, TW, C)
    dM = np.einsum("ik,jl,nabklo->ijnabo", A, A, _patches(dy, (0, 0), TILE, grid), optimize=True)
    dU = np.einsum("ijnabo,ijnabc->ijoc", dM, V, optimize=True)  # (6, 6, O, C)
    return np.einsum("ik,jl,ijoc->oklc", G, G, dU, optimize=True), dy.sum(axis=(0, 1, 2))


# ---- the fast twins: the same steps on blocks that stay in the cache, see winograd_loops.py

PATCHES = 1 << 20  # numbers in the transformed patches that are kept at a time
GAP = 16  # numbers between rows: rows a power of two apart would share the same few lines of the cache


@forward.fast
def forward(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any], before: tuple[int, int], size: tuple[int, int]
) -> NDArray[Any]:
    return _run_forward(x, w, b, before, size, False)


@backward_input.fast
def backward_input(dy: NDArray[Any], w: NDArray[Any], before: tuple[int, int], size: tuple[int, int]) -> NDArray[Any]:
    return _run_forward(dy, w, np.zeros(w.shape[3], w.dtype), (2 - before[0], 2 - before[1]), size, True)


def _run_forward(x: Any, w: Any, b: Any, before: Any, size: Any, turned: bool) -> NDArray[Any]:
    AT, GC, BT = (np.ascontiguousarray(matrix, x.dtype) for matrix in (A.T, G, B.T))
    m, n, c, o = TILE, POINTS, x.shape[3], len(b)
    grid, lines, step = _plan(len(x), size, n * n * c)
    chunks, block = threads.split(n * n * lines * grid[1] * c * o // 16), min(TILES, step * grid[1])
    V, *work = scratch(
        x.dtype,
        (n, n, step * grid[1], c + GAP),
        (chunks, 3, 3, CHANNELS, PANEL),
        (chunks, n, 3, CHANNELS, PANEL),
        (chunks, n, n, CHANNELS, PANEL),
        (chunks, n * n * block, PANEL),
        (chunks, m * n * block, PANEL),
    )
    work[0].fill(0)
    y = np.empty((len(x), *size, o), x.dtype)
    for first in range(0, lines, step):
        count = min(step, lines - first)
        threads.run(winograd_loops.image_chunks, chunks, BT, x, (-before[0], -before[1], m), grid, first, count, V)
        args = AT, GC, ONE, V, w, turned, b, block, grid, first * grid[1], count * grid[1]
        threads.run(winograd_loops.forward_chunks, chunks, *args, tuple(work), y)
    return y


@backward_weight.fast
def backward_weight(x: NDArray[Any], dy: NDArray[Any], before: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    AC, GT, BT = (np.ascontiguousarray(matrix, x.dtype) for matrix in (A, G.T, B.T))
    m, n, c, o = TILE, POINTS, x.shape[3], dy.shape[3]
    grid, lines, step = _plan(len(x), dy.shape[1:3], n * n * (c + o))
    chunks = threads.split(n * n * lines * grid[1] * c * o // 16)
    V, dM, *work = scratch(
        x.dtype,
        (n, n, step * grid[1], c + GAP),
        (n, n, step * grid[1], o + GAP),
        (chunks, n, n, PANEL, CHANNELS),
        (chunks, 3, n, PANEL, CHANNELS),
    )
    dw, db = np.zeros((o, 3, 3, c), x.dtype), np.zeros(o, x.dtype)
    for first in range(0, lines, step):
        count = min(step, lines - first)
        threads.run(winograd_loops.image_chunks, chunks, BT, x, (-before[0], -before[1], m), grid, first, count, V)
        threads.run(winograd_loops.image_chunks, chunks, AC, dy, (0, 0, m), grid, first, count, dM)
        threads.run(winograd_loops.weight_chunks, chunks, GT, V, dM, count * grid[1], first > 0, tuple(work), dw)
        db += dM[ONE, ONE, : count * grid[1], :o].sum(axis=0)
    return dw, db


def _plan(images: int, size: tuple[int, int], numbers: int) -> tuple[tuple[int, int], int, int]:
    """(TH, TW), how many lines of TW tiles there are in all, and how many to transform at a time."""
    grid = grid_of(size)
    lines = images * grid[0]
    return grid, lines, min(max(PATCHES // (numbers * grid[1]), 1), max(lines, 1))
