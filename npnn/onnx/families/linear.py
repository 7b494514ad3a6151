"""Linear layers."""

from __future__ import annotations

from typing import Any

from npnn.nn.linear import LinearFunction, linear
from npnn.onnx.table import reads, writes
from npnn.tensor import Tensor


@writes(LinearFunction)
def _write_linear(g: Any, x: Any, weight: Any, bias: Any) -> str:
    if len(x.shape) == 2:
        return g.node("Gemm", x, weight, bias, transB=1)
    y = g.node("MatMul", x, g.node("Transpose", weight, perm=[1, 0]))
    return y if bias is None else g.node("Add", y, bias)


@reads("Gemm")
def _read_gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float, beta: float, transA: int, transB: int
) -> Any:
    if transA:
        a = a.T
    if transB and alpha == beta == 1 and (c is None or c.shape == b.shape[:1]):
        return linear(a, b, c)
    y = a @ (b.T if transB else b)  # type: ignore[operator]
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)
