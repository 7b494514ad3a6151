"""The matrix product of the BLAS library, called from compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.kernels._jit import compiled_on_demand

__all__ = ["gemm"]


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
