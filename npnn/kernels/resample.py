"""Sums of few neighbours along one axis: the product with a sparse matrix, by which images get another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["along"]

prange = range  # numba reads this name as its parallel range


@kernel
def along(x: NDArray[Any], starts: NDArray[Any], columns: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """y[a, i] = Σ wₜ x[a, columnₜ], t from starts[i] to starts[i + 1].   x (A, n, B) -> y (A, m, B)

    The matrix is in compressed rows: starts (m + 1,), columns (T,), weights (T,) in the dtype of x.  A place that
    no row names takes no part, whatever it holds.  x is contiguous, and so is y.
    """
    y = np.empty((x.shape[0], len(starts) - 1, x.shape[2]), x.dtype)
    for i in range(y.shape[1]):
        row = slice(starts[i], starts[i + 1])
        y[:, i] = (weights[row, None] * x[:, columns[row]]).sum(axis=1)
    return y


@along.fast
def along(x: NDArray[Any], starts: NDArray[Any], columns: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind != "f":
        return along.reference(x, starts, columns, weights)
    y = np.empty((x.shape[0], len(starts) - 1, x.shape[2]), x.dtype)
    loop = _numbers if x.shape[2] == 1 else _rows
    threads.run(loop, threads.split(x.shape[0] * len(weights) * x.shape[2]), x, starts, columns, weights, y)
    return y


@jit(parallel=True)
def _rows(chunks, x, starts, columns, weights, y):  # type: ignore[no-untyped-def]
    A, m, B = y.shape
    for chunk in prange(chunks):
        for place in range(A * m * chunk // chunks, A * m * (chunk + 1) // chunks):
            a, i = divmod(place, m)
            out = y[a, i]
            first, end = starts[i], starts[i + 1]
            if first == end:
                out[:] = 0
                continue
            source, w = x[a, columns[first]], weights[first]
            for b in range(B):
                out[b] = w * source[b]
            for t in range(first + 1, end):
                source, w = x[a, columns[t]], weights[t]
                for b in range(B):
                    out[b] += w * source[b]


@jit(parallel=True)
def _numbers(chunks, x, starts, columns, weights, y):  # type: ignore[no-untyped-def]
    A, m, _ = y.shape
    for chunk in prange(chunks):
        for a in range(A * chunk // chunks, A * (chunk + 1) // chunks):
            source, out = x[a, :, 0], y[a, :, 0]
            for i in range(m):
                total = 0 * weights[0]  # in the dtype of x
                for t in range(starts[i], starts[i + 1]):
                    total += weights[t] * source[columns[t]]
                out[i] = total
