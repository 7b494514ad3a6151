"""Matrix products of whole arrays, on the thread pool."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.product import library_held, line, multiply

__all__ = ["affine", "batched_matmul", "column_sums", "matmul"]

prange = range  # numba reads this name as its parallel range


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
    _add_to_rows(y, bias)  # NumPy's loop starts afresh at every row
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
    with library_held():
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
        mine = out[top:bottom, left:right]
        if row.size:
            _fill_rows(mine, row[left:right])
        rows = _part(a, top, bottom, trans_a)
        multiply(rows.T if trans_a else rows, _part(b, left, right, not trans_b), mine, trans_b, row.size > 0)


@jit
def _fill_rows(y, row):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        target = line(y[i])
        for j in range(row.size):
            target[j] = row[j]


@jit
def _part(a, lo, hi, columns):  # type: ignore[no-untyped-def]
    return a[0 : a.shape[0], lo:hi] if columns else a[lo:hi, 0 : a.shape[1]]


def column_sums(a: NDArray[Any]) -> NDArray[Any]:
    """The sum of the rows.   (M, N) -> (N,)

    Written as the product of a row of ones with ``a``: for short rows, as a bias gradient has them,
    that takes a fifth of the time of ``a.sum(axis=0)``, which starts afresh at every row.
    """
    if a.size > _LARGEST_ROW_PRODUCT:
        n = a.shape[1]
        together = max(1, 512 // n)
        whole = len(a) - len(a) % together
        if together == 1 or not a.flags.c_contiguous:
            return a.sum(axis=0)
        some = a[:whole].reshape(-1, together * n).sum(axis=0)  # rows of many numbers
        return some.reshape(together, n).sum(axis=0) + a[whole:].sum(axis=0)
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
    small = work < threads.PARALLEL_THRESHOLD
    if small or a.shape[:-2] != b.shape[:-2] or a.dtype != b.dtype or a.dtype.kind != "f":
        return batched_matmul.reference(a, b, trans_a, trans_b)
    out = np.empty((*a.shape[:-2], m, n), a.dtype)
    (a, trans_a), (b, trans_b) = _stack(a, trans_a), _stack(b, trans_b)
    with library_held():
        threads.run(_products, threads.split(work), a, b, out.reshape(*a.shape[:2], m, n), trans_a, trans_b)
    return out


def _stack(a: NDArray[Any], transposed: bool) -> tuple[NDArray[Any], bool]:
    """The same matrices as (A, B, M, K) with contiguous rows: those with contiguous columns count as transposed.

    No copy of heads, whose two leading axes do not follow each other in memory, and whose rows lie apart.
    """
    lead, size = a.shape[:-2], a.itemsize
    stack = a if len(lead) == 2 else a.reshape(math.prod(lead[:-1]), *a.shape[-3:]) if lead else a[None, None]
    if stack.strides[3] != size and stack.strides[2] == size:
        stack, transposed = stack.swapaxes(2, 3), not transposed
    rows_apart = stack.strides[3] == size and stack.strides[2] % size == 0 and stack.strides[2] >= size * stack.shape[3]
    # cut from nothing, so that numba sees one kind of array whatever its strides: the loops are compiled once
    return (stack if rows_apart else np.ascontiguousarray(stack))[:, :, :, 0 : stack.shape[3]], transposed


@jit(parallel=True)
def _products(chunks, a, b, out, trans_a, trans_b):  # type: ignore[no-untyped-def]
    A, B = out.shape[:2]
    for chunk in prange(chunks):
        for i in range(A * B * chunk // chunks, A * B * (chunk + 1) // chunks):
            first, second = a[i // B, i % B], b[i // B, i % B]
            multiply(first.T if trans_a else first, second, out[i // B, i % B], trans_b, False)
