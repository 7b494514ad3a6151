"""The loops behind Winograd's fast twins.

Each linear step is a matrix product, too.  An image is transformed by lines of tiles: its rows,
each (column · channel) long, times a small matrix, then the columns likewise.  Zeros around the
image are columns of the small matrix left out.  The kernel is transformed a panel of output
channels at a time, used at once for all tiles, and never kept.

The bias goes in, and its gradient comes out, at the point ``one`` whose product reaches every output
of the tile with weight one.
"""

from __future__ import annotations

import numpy as np

from npnn.kernels._jit import jit
from npnn.kernels.tiles import PANEL, product, transpose

__all__ = ["CHANNELS", "TILES", "forward_chunks", "image_chunks", "weight_chunks"]

prange = range  # numba reads this name as its parallel range

TILES = 128  # tiles in a block of products
CHANNELS = 64  # input channels in a block of products


@jit(parallel=True, error_model="numpy")
def image_chunks(chunks, m, image, place, grid, first, count, out):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        lo, hi = count * chunk // chunks, count * (chunk + 1) // chunks
        _transform_image(m, image, place, grid, first, np.int64(lo), np.int64(hi), out)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _transform_image(m, image, place, grid, first, lo, hi, out):  # type: ignore[no-untyped-def]
    """out[:, :, tile] = m patch mᵀ for the patches in the lines of tiles lo to hi, counted from ``first``."""
    n, s = m.shape
    _, h, w, c = image.shape
    (top, left, step), (th, tw) = place, grid
    mid = np.empty((n, w, c), image.dtype)
    for line in range(lo, hi):
        index, row = (first + line) // th, top + (first + line) % th * step
        k0, k1 = max(0, -row), min(s, h - row)
        product(m[:, k0:k1], image[index, row + k0 : row + k1].reshape(k1 - k0, w * c), mid.reshape(n, w * c), False)
        for tile in range(tw):
            column = left + tile * step
            l0, l1 = max(0, -column), min(s, w - column)
            for i in range(n):
                product(m[:, l0:l1], mid[i, column + l0 : column + l1], out[i, :, line * tw + tile, :c], False)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _transform_weights(G, w, turned, c0, c1, o0, g, mid, U):  # type: ignore[no-untyped-def]
    """U = G g Gᵀ for the input channels c0 to c1 and PANEL output channels from o0; U (n, n, CHANNELS, PANEL)."""
    n = len(G)
    for k in range(3):
        for j in range(3):
            if turned:
                for c in range(c1 - c0):
                    source, target = w[c0 + c, 2 - k, 2 - j, o0 : o0 + PANEL], g[k, j, c]
                    for o in range(PANEL):
                        target[o] = source[o]
            else:
                transpose(w[o0 : o0 + PANEL, k, j, c0:c1], g[k, j])
    product(G, g.reshape(3, 3 * CHANNELS * PANEL), mid.reshape(n, 3 * CHANNELS * PANEL), False)
    for i in range(n):
        product(G, mid[i].reshape(3, CHANNELS * PANEL), U[i].reshape(n, CHANNELS * PANEL), False)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _transform_products(AT, M, mid, grid, first, o0, y):  # type: ignore[no-untyped-def]
    """The output tiles from ``first`` on, of PANEL channels: AT M A, from M (n, n, tiles, PANEL)."""
    m, n = AT.shape
    (th, tw), count = grid, M.shape[2]
    product(AT, M.reshape(n, n * count * PANEL), mid.reshape(m, n * count * PANEL), False)
    for t in range(count):
        index, rest = divmod(first + t, th * tw)
        row, column = rest // tw * m, rest % tw * m
        width = min(m, y.shape[2] - column)
        for i in range(min(m, y.shape[1] - row)):
            product(AT[:width], mid[i, :, t], y[index, row + i, column : column + width, o0 : o0 + PANEL], False)


@jit(parallel=True, error_model="numpy")
def forward_chunks(chunks, AT, G, one, V, w, turned, b, block, grid, first, tiles, work, y):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        blocks = (tiles + block - 1) // block
        items = y.shape[3] // PANEL * blocks
        lo, hi = np.int64(items * chunk // chunks), np.int64(items * (chunk + 1) // chunks)
        g, g_mid, U, M, M_mid = work
        own = g[chunk], g_mid[chunk], U[chunk], M[chunk], M_mid[chunk]
        _forward_items(lo, hi, AT, G, one, V, w, turned, b, block, grid, first, tiles, own, y)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _forward_items(lo, hi, AT, G, one, V, w, turned, b, block, grid, first, tiles, work, y):  # type: ignore[no-untyped-def]
    """Each item: the products and the output of a block of tiles and a panel of output channels."""
    m, n = AT.shape
    c, blocks = w.shape[0 if turned else 3], (tiles + block - 1) // block
    g, g_mid, U, all_M, M_mid = work
    for item in range(lo, hi):
        o0, t0 = item // blocks * PANEL, item % blocks * block
        count = min(block, tiles - t0)
        M = all_M[: n * n * count].reshape(n, n, count, PANEL)
        for t in range(count):
            for o in range(PANEL):
                M[one, one, t, o] = b[o0 + o]
        for c0 in range(0, c, CHANNELS):
            c1 = min(c0 + CHANNELS, c)
            _transform_weights(G, w, turned, c0, c1, o0, g, g_mid, U)
            for i in range(n):
                for j in range(n):
                    product(V[i, j, t0 : t0 + count, c0:c1], U[i, j], M[i, j], c0 > 0 or i == j == one)
        _transform_products(AT, M, M_mid[: m * n * count].reshape(m, n, count, PANEL), grid, first + t0, o0, y)


@jit(parallel=True, error_model="numpy")
def weight_chunks(chunks, GT, V, dM, tiles, add, work, dw):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        items = dw.shape[0] // PANEL * ((dw.shape[3] + CHANNELS - 1) // CHANNELS)
        lo, hi = np.int64(items * chunk // chunks), np.int64(items * (chunk + 1) // chunks)
        dU, mid = work
        _weight_items(lo, hi, GT, V, dM, tiles, add, dU[chunk], mid[chunk], dw)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _weight_items(lo, hi, GT, V, dM, tiles, add, dU, mid, dw):  # type: ignore[no-untyped-def]
    """Each item: the gradient of a panel of output channels and a block of input channels."""
    n, c = GT.shape[1], dw.shape[3]
    blocks = (c + CHANNELS - 1) // CHANNELS
    for item in range(lo, hi):
        o0, c0 = item // blocks * PANEL, item % blocks * CHANNELS
        k = min(CHANNELS, c - c0)
        for i in range(n):
            for j in range(n):
                product(dM[i, j, :tiles, o0 : o0 + PANEL].T, V[i, j, :tiles, c0 : c0 + k], dU[i, j], False)
        product(GT, dU.reshape(n, n * PANEL * CHANNELS), mid.reshape(3, n * PANEL * CHANNELS), False)
        for q in range(PANEL):
            for i in range(3):
                product(GT, mid[i, :, q, :k], dw[o0 + q, i, :, c0 : c0 + k], add)
