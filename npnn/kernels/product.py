"""Matrix products on one thread, of any shape: ``multiply`` inside compiled kernels.

A library is at its best with large matrices.  Layers have others: a batch of 32 rows, three inputs,
a gradient that is the outer product of two vectors.  There its calls take up to ten times as long as
the multiplications.  So the loops are here, around the tiles of tiles.py, in four orders:

- As b lies: the inner dimension in slices of DEPTH, so that what a slice of b touches stays in the
  second cache while the rows of a pass by.
- By panels, where b comes transposed or is large and used often: PANEL columns are copied side by
  side, and turned on the way.
- By dot products, where b comes transposed and a has so few rows that turning b would be most of the work.
- A single row of a reads b once, row by row, as memory is read best.

Source: Goto & van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

from __future__ import annotations

import contextlib
import platform
from typing import Any

import numpy as np

from npnn.kernels import threads
from npnn.kernels._jit import compiled_on_demand, jit
from npnn.kernels.gemm import gemm
from npnn.kernels.tiles import PANEL, product, transpose

__all__ = ["library_held", "line", "multiply"]

DEPTH = 384  # of a slice: PANEL columns of it take 48 KB in float32
HEIGHT = 256  # rows of a that stay in the cache while the panels pass by
LARGE = 1 << 19  # numbers of b that no longer stay in the cache from one row of tiles to the next
LONG = 16  # times as many numbers in a row of a as rows, and dot products are quicker than turning b

#: The tiles are written for x86.  Elsewhere the library is better: Apple's uses a unit that no compiler can reach.
_OWN = platform.machine().lower() in ("x86_64", "amd64")
_NOTHING_TO_HOLD: contextlib.AbstractContextManager[None] = contextlib.nullcontext()


def library_held() -> contextlib.AbstractContextManager[None]:
    """The context for kernels that call ``multiply``: where that calls the library, it computes on one thread."""
    return _NOTHING_TO_HOLD if _OWN else threads.single_threaded_blas()


@compiled_on_demand
def line() -> Any:
    """line(x): the same vector, of which the compiler now knows that its numbers lie side by side, as they do."""
    from numba.core import types
    from numba.core.imputils import impl_ret_borrowed
    from numba.extending import intrinsic
    from numba.np.arrayobj import populate_array

    @intrinsic
    def call(typing: Any, x: Any) -> Any:
        result = types.Array(x.dtype, 1, "C")

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            given, out = context.make_array(x)(context, builder, args[0]), context.make_array(result)(context, builder)
            populate_array(
                out, data=given.data, shape=given.shape, strides=given.strides, itemsize=given.itemsize,
                meminfo=given.meminfo, parent=given.parent,
            )  # fmt: skip
            return impl_ret_borrowed(context, builder, result, out._getvalue())

        return result(x), lower

    return call


@jit
def multiply(a, b, c, turned, add):  # type: ignore[no-untyped-def]
    """c <- a b, or c <- c + a b if ``add``; b is (N, K) if ``turned``, else (K, N).   (M, K), b -> (M, N)

    a with any strides, b and c with contiguous rows, all of one dtype, float32 or float64.
    """
    (M, K), N = a.shape, c.shape[1]  # cut from nothing, so that numba sees arrays of one kind: compiled once
    _multiply(a[0:M, 0:K], b[0 : len(b), 0 : b.shape[1]], c[0:M, 0:N], turned, add)


@jit
def _multiply(a, b, c, turned, add):  # type: ignore[no-untyped-def]
    if not _OWN:
        _by_library(a, b, c, turned, add)
    elif turned and a.strides[1] == a.itemsize and a.shape[1] >= LONG * len(a):
        _by_dots(a, b, c, add)
    elif turned or (len(a) > HEIGHT and b.size > LARGE):
        _by_panels(a, b, c, turned, add)
    elif len(a) == 1:
        _row(a, b, c, add)
    else:
        for k in range(0, max(1, a.shape[1]), DEPTH):
            product(a[:, k : k + DEPTH], b[k : k + DEPTH, :], c, add or k > 0)


@jit
def _by_library(a, b, c, turned, add):  # type: ignore[no-untyped-def]
    beta = 1.0 if add else 0.0
    if a.strides[1] == a.itemsize:
        gemm(a, b, c, False, turned, beta)
    elif a.strides[0] == a.itemsize:
        gemm(a.T, b, c, True, turned, beta)
    else:
        gemm(a.copy()[0 : len(a), 0 : a.shape[1]], b, c, False, turned, beta)


@jit
def _by_panels(a, b, c, turned, add):  # type: ignore[no-untyped-def]
    (M, K), N = a.shape, c.shape[1]
    panels = np.empty(((N + PANEL - 1) // PANEL, min(K, DEPTH), PANEL), c.dtype)
    for k in range(0, max(1, K), DEPTH):
        depth = min(DEPTH, K - k)
        for p in range(len(panels)):
            left, right = PANEL * p, min(PANEL * (p + 1), N)
            if turned:
                transpose(b[left:right, k : k + depth], panels[p])
            else:
                _copy(b[k : k + depth, left:right], panels[p])
        for top in range(0, M, HEIGHT):
            rows = a[top : top + HEIGHT, k : k + depth]
            for p in range(len(panels)):
                out = c[top : top + HEIGHT, PANEL * p : PANEL * (p + 1)]
                product(rows, panels[p, :depth], out, add or k > 0)


@jit
def _copy(b, panel):  # type: ignore[no-untyped-def]
    K, width = b.shape
    if width == PANEL:  # a loop of known length
        for k in range(K):
            source, target = line(b[k]), panel[k]
            for j in range(PANEL):
                target[j] = source[j]
    else:
        for k in range(K):
            for j in range(width):
                panel[k, j] = b[k, j]


@jit(fastmath={"contract"})
def _row(a, b, c, add):  # type: ignore[no-untyped-def]
    x, out, K, zero = a[0], line(c[0]), b.shape[0], c.dtype.type(0)
    if not add:
        for j in range(out.size):
            out[j] = zero
    whole = K - K % 4
    for k in range(0, whole, 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        b0, b1, b2, b3 = line(b[k]), line(b[k + 1]), line(b[k + 2]), line(b[k + 3])
        for j in range(out.size):
            out[j] = out[j] + x0 * b0[j] + x1 * b1[j] + x2 * b2[j] + x3 * b3[j]
    for k in range(whole, K):
        row = line(b[k])
        for j in range(out.size):
            out[j] += x[k] * row[j]


@jit
def _by_dots(a, b, c, add):  # type: ignore[no-untyped-def]
    M, N = c.shape
    for j in range(0, N, 4):
        if M == 1:
            _dot_row(line(a[0]), b, c[0], j, N - 1, add)
        else:
            for i in range(0, M, 4):
                _dot_tile(a, b, c, i, j, M - 1, N - 1, add)


@jit(fastmath={"contract", "nsz", "reassoc"})  # the sum over k in any order, so that it can be taken many at a time
def _dot_row(x, b, out, j0, last, add):  # type: ignore[no-untyped-def]
    """out[j0 : j0 + 4] of out = b x.  At the border the last row of b stands in for those that do not exist."""
    j1, j2, j3 = min(j0 + 1, last), min(j0 + 2, last), min(j0 + 3, last)
    b0, b1, b2, b3 = line(b[j0]), line(b[j1]), line(b[j2]), line(b[j3])
    y0 = y1 = y2 = y3 = out.dtype.type(0)
    if add:
        y0, y1, y2, y3 = out[j0], out[j1], out[j2], out[j3]
    for k in range(x.size):
        p = x[k]
        y0, y1, y2, y3 = y0 + p * b0[k], y1 + p * b1[k], y2 + p * b2[k], y3 + p * b3[k]
    out[j0], out[j1], out[j2], out[j3] = y0, y1, y2, y3


@jit(fastmath={"contract", "nsz", "reassoc"})
def _dot_tile(a, b, out, i0, j0, last_i, last_j, add):  # type: ignore[no-untyped-def]
    """out[i0 : i0 + 4, j0 : j0 + 4] of out = a bᵀ: sixteen sums at once use each number loaded four times."""
    i1, i2, i3 = min(i0 + 1, last_i), min(i0 + 2, last_i), min(i0 + 3, last_i)
    j1, j2, j3 = min(j0 + 1, last_j), min(j0 + 2, last_j), min(j0 + 3, last_j)
    a0, a1, a2, a3 = line(a[i0]), line(a[i1]), line(a[i2]), line(a[i3])
    b0, b1, b2, b3 = line(b[j0]), line(b[j1]), line(b[j2]), line(b[j3])
    zero = out.dtype.type(0)
    y00 = y01 = y02 = y03 = y10 = y11 = y12 = y13 = y20 = y21 = y22 = y23 = y30 = y31 = y32 = y33 = zero
    if add:
        y00, y01, y02, y03 = out[i0, j0], out[i0, j1], out[i0, j2], out[i0, j3]
        y10, y11, y12, y13 = out[i1, j0], out[i1, j1], out[i1, j2], out[i1, j3]
        y20, y21, y22, y23 = out[i2, j0], out[i2, j1], out[i2, j2], out[i2, j3]
        y30, y31, y32, y33 = out[i3, j0], out[i3, j1], out[i3, j2], out[i3, j3]
    for k in range(a.shape[1]):
        p0, p1, p2, p3, q0, q1, q2, q3 = a0[k], a1[k], a2[k], a3[k], b0[k], b1[k], b2[k], b3[k]
        y00, y01, y02, y03 = y00 + p0 * q0, y01 + p0 * q1, y02 + p0 * q2, y03 + p0 * q3
        y10, y11, y12, y13 = y10 + p1 * q0, y11 + p1 * q1, y12 + p1 * q2, y13 + p1 * q3
        y20, y21, y22, y23 = y20 + p2 * q0, y21 + p2 * q1, y22 + p2 * q2, y23 + p2 * q3
        y30, y31, y32, y33 = y30 + p3 * q0, y31 + p3 * q1, y32 + p3 * q2, y33 + p3 * q3
    out[i0, j0], out[i0, j1], out[i0, j2], out[i0, j3] = y00, y01, y02, y03
    out[i1, j0], out[i1, j1], out[i1, j2], out[i1, j3] = y10, y11, y12, y13
    out[i2, j0], out[i2, j1], out[i2, j2], out[i2, j3] = y20, y21, y22, y23
    out[i3, j0], out[i3, j1], out[i3, j2], out[i3, j3] = y30, y31, y32, y33
