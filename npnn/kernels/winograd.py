"""Convolution with 3×3 kernels at a quarter of the multiplications: Winograd's minimal filtering.

An m×m tile of the output depends on an (m+2)×(m+2) patch d of the image and the 3×3 kernel g:

    y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

The matrices come from interpolating polynomials: evaluate both factors at n points, multiply point
by point, interpolate.  A tile of 4×4 takes 36 products instead of 144.  Summed over channels, the
product ⊙ is one matrix product per point: (tiles, C) (C, O).

The gradients are the adjoints of the same linear steps: dx is the convolution of dy with the kernel
turned by 180°, and dg = Gᵀ [ (A dy Aᵀ) ⊙ (Bᵀ d B) ] G.

Interpolation costs accuracy: in float32 the results of the 4×4 form differ from the exact ones by
about 1e-5 of their size, those of im2col by 1e-6.

Source: Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads, winograd_loops
from npnn.kernels._jit import kernel
from npnn.kernels.scratch import scratch
from npnn.kernels.tiles import PANEL
from npnn.kernels.winograd_loops import CHANNELS, TILES

__all__ = ["FORMS", "Form", "backward_input", "backward_weight", "forward"]


class Form(NamedTuple):
    """The three matrices of one minimal algorithm."""

    A: NDArray[Any]  # (n, m), transposed: output tile from products
    G: NDArray[Any]  # (n, 3): kernel to points
    B: NDArray[Any]  # (m+2, n), transposed: patch to points


def _form(AT: Any, G: Any, BT: Any) -> Form:
    return Form(np.array(AT, np.float64).T, np.array(G, np.float64), np.array(BT, np.float64).T)


FORMS = {
    # F(4×4): points 0, 1, -1, 2, -2, ∞
    "4x4": _form(
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
    ),
    # F(2×2): points 0, 1, -1, ∞
    "2x2": _form(
        [[1, 1, 1, 0], [0, 1, -1, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    ),
    # A whole image of 2×2 inside a border of zeros: 3 products where four taps are zero (Karatsuba)
    "2x2 bordered": _form(
        [[1, 1, 0], [1, 0, 1]],
        [[0, 1, 0], [0, -1, 1], [1, -1, 0]],
        [[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]],
    ),
    # A whole image of one pixel: only the middle of the kernel counts
    "1x1 bordered": _form([[1]], [[0, 1, 0]], [[0, 1, 0]]),
}


def _patches(image: NDArray[Any], start: tuple[int, int], size: int, step: int, tiles: tuple[int, int]) -> NDArray[Any]:
    """Square patches of ``size``, ``step`` apart, the first one at ``start``; zeros outside the image.

    (N, H, W, C) -> (N, TH, TW, size, size, C)
    """
    n, h, w, c = image.shape
    (top, left), (th, tw) = start, tiles
    bottom, right = top + (th - 1) * step + size - h, left + (tw - 1) * step + size - w
    padded = np.pad(image, ((0, 0), (-top, max(bottom, 0)), (-left, max(right, 0)), (0, 0)))
    sn, sh, sw, sc = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded, (n, th, tw, size, size, c), (sn, sh * step, sw * step, sh, sw, sc), writeable=False
    )


def _tiles(size: tuple[int, int], m: int) -> tuple[int, int]:
    """How many tiles of m×m cover an image of ``size``."""
    return -(-size[0] // m), -(-size[1] // m)


@kernel
def forward(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any], before: tuple[int, int], size: tuple[int, int], form: Form
) -> NDArray[Any]:
    """Stride 1; ``before`` rows and columns of zeros above and left; ``size`` is (OH, OW).

    (N, H, W, C), (O, 3, 3, C), (O,) -> (N, OH, OW, O)
    """
    A, G, B = (matrix.astype(x.dtype) for matrix in form)
    m, (th, tw) = A.shape[1], _tiles(size, A.shape[1])
    d = _patches(x, (-before[0], -before[1]), m + 2, m, (th, tw))
    V = np.einsum("ki,lj,nabklc->ijnabc", B, B, d, optimize=True)  # (n, n, N, TH, TW, C)
    U = np.einsum("ik,jl,oklc->ijco", G, G, w, optimize=True)  # (n, n, C, O)
    M = V @ U[:, :, None, None]  # (n, n, N, TH, TW, O)
    y = np.einsum("ki,lj,klnabo->naibjo", A, A, M, optimize=True)  # (N, TH, m, TW, m, O)
    return y.reshape(len(x), th * m, tw * m, len(b))[:, : size[0], : size[1]] + b


@kernel
def backward_input(
    dy: NDArray[Any], w: NDArray[Any], before: tuple[int, int], size: tuple[int, int], form: Form
) -> NDArray[Any]:
    """dx: dy convolved with the kernel turned by 180°.   (N, OH, OW, O), (O, 3, 3, C) -> (N, H, W, C)"""
    turned = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)  # (C, 3, 3, O)
    return forward.reference(dy, turned, np.zeros(len(turned), dy.dtype), (2 - before[0], 2 - before[1]), size, form)


@kernel
def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], before: tuple[int, int], form: Form
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(N, H, W, C), (N, OH, OW, O) -> (O, 3, 3, C), (O,)"""
    A, G, B = (matrix.astype(x.dtype) for matrix in form)
    m, tiles = A.shape[1], _tiles(dy.shape[1:3], A.shape[1])
    d = _patches(x, (-before[0], -before[1]), m + 2, m, tiles)
    V = np.einsum("ki,lj,nabklc->ijnabc", B, B, d, optimize=True)  # (n, n, N, TH, TW, C)
    dM = np.einsum("ik,jl,nabklo->ijnabo", A, A, _patches(dy, (0, 0), m, m, tiles), optimize=True)
    dU = np.einsum("ijnabo,ijnabc->ijoc", dM, V, optimize=True)  # (n, n, O, C)
    return np.einsum("ik,jl,ijoc->oklc", G, G, dU, optimize=True), dy.sum(axis=(0, 1, 2))


# ---- the fast twins: the same steps on blocks that stay in the cache, see winograd_loops.py

PATCHES = 1 << 20  # numbers in the transformed patches that are kept at a time
GAP = 16  # numbers between rows: rows a power of two apart would share the same few lines of the cache


@forward.fast
def forward(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any], before: tuple[int, int], size: tuple[int, int], form: Form
) -> NDArray[Any]:
    return _run_forward(x, w, b, before, size, form, False)


@backward_input.fast
def backward_input(
    dy: NDArray[Any], w: NDArray[Any], before: tuple[int, int], size: tuple[int, int], form: Form
) -> NDArray[Any]:
    return _run_forward(dy, w, np.zeros(w.shape[3], w.dtype), (2 - before[0], 2 - before[1]), size, form, True)


def _run_forward(x: Any, w: Any, b: Any, before: Any, size: Any, form: Form, turned: bool) -> NDArray[Any]:
    A, G, B = (np.ascontiguousarray(matrix, x.dtype) for matrix in (form.A.T, form.G, form.B.T))
    m, n = A.shape
    c, o = x.shape[3], len(b)
    grid, lines, step = _plan(len(x), size, m, n * n * c)
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
        threads.run(winograd_loops.image_chunks, chunks, B, x, (-before[0], -before[1], m), grid, first, count, V)
        args = A, G, _point_of_ones(A.T), V, w, turned, b, block, grid, first * grid[1], count * grid[1]
        threads.run(winograd_loops.forward_chunks, chunks, *args, tuple(work), y)
    return y


@backward_weight.fast
def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], before: tuple[int, int], form: Form
) -> tuple[NDArray[Any], NDArray[Any]]:
    A, G, B = (np.ascontiguousarray(matrix, x.dtype) for matrix in (form.A, form.G.T, form.B.T))
    n, m = A.shape
    c, o = x.shape[3], dy.shape[3]
    grid, lines, step = _plan(len(x), dy.shape[1:3], m, n * n * (c + o))
    chunks = threads.split(n * n * lines * grid[1] * c * o // 16)
    V, dM, *work = scratch(
        x.dtype,
        (n, n, step * grid[1], c + GAP),
        (n, n, step * grid[1], o + GAP),
        (chunks, n, n, PANEL, CHANNELS),
        (chunks, 3, n, PANEL, CHANNELS),
    )
    dw, db = np.zeros((o, 3, 3, c), x.dtype), np.zeros(o, x.dtype)
    one = _point_of_ones(A)
    for first in range(0, lines, step):
        count = min(step, lines - first)
        threads.run(winograd_loops.image_chunks, chunks, B, x, (-before[0], -before[1], m), grid, first, count, V)
        threads.run(winograd_loops.image_chunks, chunks, A, dy, (0, 0, m), grid, first, count, dM)
        threads.run(winograd_loops.weight_chunks, chunks, G, V, dM, count * grid[1], first > 0, tuple(work), dw)
        db += dM[one, one, : count * grid[1], :o].sum(axis=0)
    return dw, db


def _plan(images: int, size: tuple[int, int], m: int, numbers: int) -> tuple[tuple[int, int], int, int]:
    """(TH, TW), how many lines of TW tiles there are in all, and how many to transform at a time."""
    grid = _tiles(size, m)
    lines = images * grid[0]
    return grid, lines, min(max(PATCHES // (numbers * grid[1]), 1), max(lines, 1))


def _point_of_ones(A: NDArray[Any]) -> int:
    """The point whose product reaches all outputs of the tile with weight one: the place of the bias."""
    return int(np.flatnonzero((A == 1).all(axis=1))[0])
