"""Matrix products: one for use inside compiled kernels, one for whole arrays on the thread pool."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import compiled_on_demand, jit, kernel

__all__ = ["affine", "batched_matmul", "column_sums", "gemm", "matmul"]

prange = range  # numba reads this name as its parallel range


@compiled_on_demand
def gemm() -> Any:
    """gemm(a, b, c, trans_a, trans_b, beta): c <- op(a) op(b) + beta c, inside compiled kernels.

    a, b and c are matrices of one dtype (float32 or float64) whose rows are contiguous; the rows
    themselves may lie apart, so that slices of a larger array need no copy.  BLAS counts in
    columns: row-major c = a b is column-major c.T = b.T a.T, hence the exchanged operands.
    """
    from numba.core import types
    from numba.extending import overload

    def product(a: Any, b: Any, c: Any, trans_a: bool, trans_b: bool, beta: float) -> None:
        raise NotImplementedError("only compiled code calls gemm")

    @overload(product)
    def _compiled(a: Any, b: Any, c: Any, trans_a: bool, trans_b: bool, beta: float) -> Any:
        dtype = c.dtype
        kind = ord("s") if dtype == types.float32 else ord("d")
        pointer = types.CPointer(dtype)
        blas: Any = types.ExternalFunction(  # the entry that numba's own np.dot uses
            "numba_xxgemm",
            types.intc(
                types.char, types.char, types.char, types.intp, types.intp, types.intp, pointer,
                pointer, types.intp, pointer, types.intp, pointer, pointer, types.intp,
            ),
        )  # fmt: skip
        n_code, t_code = ord("n"), ord("t")

        def body(a: Any, b: Any, c: Any, trans_a: bool, trans_b: bool, beta: float) -> None:
            m, n = c.shape
            k = a.shape[0] if trans_a else a.shape[1]
            if m == 0 or n == 0:
                return
            if k == 0:
                for i in range(m):
                    for j in range(n):
                        c[i, j] *= beta
                return
            scalars = np.empty(2, c.dtype)
            scalars[0], scalars[1] = 1.0, beta
            size = c.itemsize
            # BLAS wants a leading dimension of at least the row length, even where there is one row
            lda, ldb, ldc = a.strides[0] // size, b.strides[0] // size, c.strides[0] // size
            lda, ldb, ldc = max(lda, a.shape[1]), max(ldb, b.shape[1]), max(ldc, n)
            blas(
                kind, t_code if trans_b else n_code, t_code if trans_a else n_code, n, m, k,
                scalars[:1].ctypes, b.ctypes, ldb, a.ctypes, lda, scalars[1:].ctypes, c.ctypes, ldc,
            )  # fmt: skip

        return body

    return product


#: Multiply-adds per elementary operation of threads.split.  Products start to be shared out at
#: 4 x 65536 of them, exactly where OpenBLAS would wake a thread pool of its own.
_PER_OPERATION = 4


@kernel
def matmul(a: NDArray[Any], b: NDArray[Any], trans_a: bool, trans_b: bool) -> NDArray[Any]:
    """op(a) op(b), where op transposes if asked.   (M, K) (K, N) -> (M, N)"""
    return (a.T if trans_a else a).dot(b.T if trans_b else b)  # what @ does, with half of its overhead


@matmul.fast
def matmul(a: NDArray[Any], b: NDArray[Any], trans_a: bool, trans_b: bool) -> NDArray[Any]:
    work = a.size * (b.shape[0] if trans_b else b.shape[1]) // _PER_OPERATION
    if work < threads.PARALLEL_THRESHOLD or a.dtype != b.dtype or a.dtype.kind != "f":
        return (a.T if trans_a else a).dot(b.T if trans_b else b)
    return _shared_matmul(a, b, trans_a, trans_b, np.empty(0, a.dtype), work)


@kernel
def affine(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    """x Wᵀ + b, with b added to every row.   (M, I), (O, I), (O,) -> (M, O)"""
    y = x.dot(weight.T)
    y += bias
    return y


@affine.fast
def affine(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    work = x.size * weight.shape[0] // _PER_OPERATION
    if work >= threads.PARALLEL_THRESHOLD:
        return _shared_matmul(x, weight, False, True, bias, work)
    y = x.dot(weight.T)
    if y.size > 512:  # NumPy's loop starts afresh at every row; below, its call is the shorter one
        _add_to_rows(y, bias)
    else:
        y += bias
    return y


@jit
def _add_to_rows(y, bias):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += bias[j]


def _shared_matmul(
    a: NDArray[Any], b: NDArray[Any], trans_a: bool, trans_b: bool, row: NDArray[Any], work: int
) -> NDArray[Any]:
    """op(a) op(b), plus ``row`` added to every row unless it is empty, each core making a part of the result."""
    a, trans_a = _with_contiguous_rows(a, trans_a)
    b, trans_b = _with_contiguous_rows(b, trans_b)
    out = np.empty((a.shape[1] if trans_a else a.shape[0], b.shape[0] if trans_b else b.shape[1]), a.dtype)
    if trans_b and not trans_a and len(a) <= _FEW_ROWS:
        threads.run(_dot_chunks, threads.split(work), a, b, row, out)
        return out
    with threads.single_threaded_blas():
        threads.run(_matmul_chunks, threads.split(work), a, b, row, out, trans_a, trans_b)
    return out


def _with_contiguous_rows(a: NDArray[Any], transposed: bool) -> tuple[NDArray[Any], bool]:
    """The same operand: a column-major matrix is a row-major one, transposed; anything else is copied."""
    if a.flags.c_contiguous:
        return a, transposed
    return (a.T, not transposed) if a.flags.f_contiguous else (np.ascontiguousarray(a), transposed)


@jit(parallel=True)
def _matmul_chunks(chunks, a, b, row, out, trans_a, trans_b):  # type: ignore[no-untyped-def]
    m, n = out.shape
    for chunk in prange(chunks):
        top, bottom, left, right = 0, m, 0, n
        if m >= n:  # share out the longer side, so that each core's product stays as square as it can
            top, bottom = m * chunk // chunks, m * (chunk + 1) // chunks
        else:
            left, right = n * chunk // chunks, n * (chunk + 1) // chunks
        for i in range(top if row.size else bottom, bottom):
            for j in range(left, right):
                out[i, j] = row[j]
        mine = out[top:bottom, left:right]
        gemm(
            _part(a, top, bottom, trans_a),
            _part(b, left, right, not trans_b),
            mine,
            trans_a,
            trans_b,
            1.0 if row.size else 0.0,
        )


@jit
def _part(a, lo, hi, columns):  # type: ignore[no-untyped-def]
    return a[0 : a.shape[0], lo:hi] if columns else a[lo:hi, 0 : a.shape[1]]  # of one type: gemm is compiled once


#: Up to so many rows of a, a bᵀ is faster without BLAS, which first copies b into an order of its
#: own: that pays if every element is then used often.
_FEW_ROWS = 64


@jit(parallel=True)
def _dot_chunks(chunks, a, b, row, out):  # type: ignore[no-untyped-def]
    m, n = out.shape
    for chunk in prange(chunks):
        lo, hi = n * chunk // chunks, n * (chunk + 1) // chunks
        for j in range(lo, hi, 4):
            for i in range(0, m, 4):
                _dot_tile(a, b, out, i, j, m - 1, hi - 1)
        for i in range(m if row.size else 0):
            for j in range(lo, hi):
                out[i, j] += row[j]


@jit(fastmath={"contract", "nsz", "reassoc"})  # the sum over k in any order, so that it can be taken many at a time
def _dot_tile(a, b, out, i0, j0, last_i, last_j):  # type: ignore[no-untyped-def]
    """out[i0 : i0 + 4, j0 : j0 + 4] of out = a bᵀ: sixteen sums at once use each number loaded four times.

    At the border the last row or column stands in for those that do not exist.
    """
    i1, i2, i3 = min(i0 + 1, last_i), min(i0 + 2, last_i), min(i0 + 3, last_i)
    j1, j2, j3 = min(j0 + 1, last_j), min(j0 + 2, last_j), min(j0 + 3, last_j)
    a0, a1, a2, a3, b0, b1, b2, b3 = a[i0], a[i1], a[i2], a[i3], b[j0], b[j1], b[j2], b[j3]
    zero = out.dtype.type(0)
    y00 = y01 = y02 = y03 = y10 = y11 = y12 = y13 = y20 = y21 = y22 = y23 = y30 = y31 = y32 = y33 = zero
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


def column_sums(a: NDArray[Any]) -> NDArray[Any]:
    """The sum of the rows.   (M, N) -> (N,)

    Written as the product of a row of ones with ``a``: for short rows, as a bias gradient has them,
    that takes a fifth of the time of ``a.sum(axis=0)``, which starts afresh at every row.
    """
    if a.size > _LARGEST_ROW_PRODUCT:
        return a.sum(axis=0)
    return _ones(len(a), a.dtype).dot(a)


#: Beyond this size memory sets the pace, and OpenBLAS would wake its own threads for the product.
_LARGEST_ROW_PRODUCT = 1 << 18


@functools.lru_cache(maxsize=16)
def _ones(n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ones(n, dtype)


@kernel
def batched_matmul(a: NDArray[Any], b: NDArray[Any], trans_a: bool, trans_b: bool) -> NDArray[Any]:
    """op(a) op(b) over the last two axes; leading axes broadcast.   (*, M, K) (*, K, N) -> (*, M, N)"""
    return np.matmul(a.swapaxes(-1, -2) if trans_a else a, b.swapaxes(-1, -2) if trans_b else b)


@batched_matmul.fast
def batched_matmul(a: NDArray[Any], b: NDArray[Any], trans_a: bool, trans_b: bool) -> NDArray[Any]:
    m, n = a.shape[-1 if trans_a else -2], b.shape[-2 if trans_b else -1]
    work = a.size * n // _PER_OPERATION
    if a.shape[:-2] != b.shape[:-2] or a.dtype != b.dtype or a.dtype.kind != "f" or not work:
        return batched_matmul.reference(a, b, trans_a, trans_b)
    out = np.empty((*a.shape[:-2], m, n), a.dtype)
    (a, trans_a), (b, trans_b) = _stack(a, trans_a), _stack(b, trans_b)
    with threads.single_threaded_blas():
        threads.run(_products, threads.split(work), a, b, out.reshape(-1, m, n), trans_a, trans_b)
    return out


def _stack(a: NDArray[Any], transposed: bool) -> tuple[NDArray[Any], bool]:
    """The same matrices as (B, M, K) with contiguous rows: those with contiguous columns count as transposed."""
    stack = a.reshape(-1, *a.shape[-2:])
    size = a.itemsize
    if stack.strides[2] != size and stack.strides[1] == size:
        stack, transposed = stack.swapaxes(1, 2), not transposed
    rows_apart = stack.strides[2] == size and stack.strides[1] % size == 0 and stack.strides[1] >= size * stack.shape[2]
    # cut from nothing, so that numba sees one kind of array whatever its strides: the loops are compiled once
    return (stack if rows_apart else np.ascontiguousarray(stack))[:, :, 0 : stack.shape[2]], transposed


@jit(parallel=True)
def _products(chunks, a, b, out, trans_a, trans_b):  # type: ignore[no-untyped-def]
    B = len(out)
    for chunk in prange(chunks):
        for i in range(B * chunk // chunks, B * (chunk + 1) // chunks):
            gemm(
                a[i, 0 : a.shape[1], 0 : a.shape[2]],
                b[i, 0 : b.shape[1], 0 : b.shape[2]],
                out[i],
                trans_a,
                trans_b,
                0.0,
            )
