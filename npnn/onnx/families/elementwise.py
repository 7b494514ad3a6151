"""Arithmetic, functions of one number, and casts: nearly all of them are the same in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.cast import Cast, cast
from npnn.nn.dropout import DropoutFunction
from npnn.onnx.table import ONNXError, reads, same, writes
from npnn.ops import arithmetic, comparison, elementwise, extremes, indexing, linalg, matrices
from npnn.tensor import Tensor

same(arithmetic.Add, "Add", arithmetic.add)
same(arithmetic.Sub, "Sub", arithmetic.sub)
same(arithmetic.Mul, "Mul", arithmetic.mul)
same(arithmetic.Div, "Div", arithmetic.div)
same(arithmetic.Neg, "Neg", arithmetic.neg)
same(arithmetic.Pow, "Pow", arithmetic.pow)
same(extremes.Maximum, "Max", extremes.maximum)
same(extremes.Minimum, "Min", extremes.minimum)
same(elementwise.Abs, "Abs", elementwise.abs)
same(elementwise.Cos, "Cos", elementwise.cos)
same(elementwise.Erf, "Erf", elementwise.erf)
same(elementwise.Exp, "Exp", elementwise.exp)
same(elementwise.Log, "Log", elementwise.log)
same(elementwise.Reciprocal, "Reciprocal", elementwise.reciprocal)
same(elementwise.Sigmoid, "Sigmoid", elementwise.sigmoid)
same(elementwise.Sin, "Sin", elementwise.sin)
same(elementwise.Sqrt, "Sqrt", elementwise.sqrt)
same(elementwise.Tanh, "Tanh", elementwise.tanh)
same(linalg.MatMul, "MatMul", linalg.matmul)


@writes(elementwise.Expm1)
def _write_expm1(g: Any, x: Any) -> str:
    return g.node("Sub", g.node("Exp", x), np.ones((), x.dtype))


@writes(elementwise.Log1p)
def _write_log1p(g: Any, x: Any) -> str:
    return g.node("Log", g.node("Add", x, 1))


@writes(elementwise.Rsqrt)
def _write_rsqrt(g: Any, x: Any) -> str:
    return g.node("Reciprocal", g.node("Sqrt", x))


@writes(elementwise.Square)
def _write_square(g: Any, x: Any) -> str:
    return g.node("Mul", x, x)


@writes(extremes.Clamp)
def _write_clamp(g: Any, x: Any, lo: Any, hi: Any) -> str:
    return g.node("Clip", x, lo, hi)


@reads("Clip")
def _read_clip(x: Tensor, lo: Tensor | None = None, hi: Tensor | None = None) -> Tensor:
    if lo is None and hi is None:
        return x
    return extremes.clamp(x, None if lo is None else lo.item(), None if hi is None else hi.item())


@writes(indexing.Where)
def _write_where(g: Any, condition: Any, a: Any, b: Any) -> str:
    return g.node("Where", condition, a, b)


@writes(indexing.MaskedFill)
def _write_masked_fill(g: Any, x: Any, value: Any, mask: Any) -> str:
    return g.node("Where", mask, value, x)


reads("Where")(indexing.where)

# questions whose answers are boolean: NumPy's, and ONNX's, of any arrays and of boolean ones
QUESTIONS = {
    np.equal: "Equal", np.less: "Less", np.less_equal: "LessOrEqual", np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual", np.isnan: "IsNaN", np.isinf: "IsInf",
}  # fmt: skip
LOGIC = {
    np.logical_and: "And", np.logical_or: "Or", np.logical_xor: "Xor", np.logical_not: "Not", np.bitwise_and: "And",
    np.bitwise_or: "Or", np.bitwise_xor: "Xor", np.invert: "Not",
}  # fmt: skip


@writes(comparison.Question)
def _write_question(g: Any, *inputs: Any, ufunc: Any) -> str:
    boolean = all(np.dtype(getattr(x, "dtype", type(x))) == np.dtype(bool) for x in inputs)
    if ufunc is np.not_equal:
        return g.node("Not", g.node("Equal", *inputs))
    if ufunc in QUESTIONS:
        return g.node(QUESTIONS[ufunc], *inputs)
    if ufunc in LOGIC and boolean:
        return g.node(LOGIC[ufunc], *inputs)
    raise ONNXError(f"there is no translation of {ufunc.__name__}" + " of numbers" * (ufunc in LOGIC))


for _name, _function in {
    "Equal": comparison.eq, "Less": comparison.lt, "LessOrEqual": comparison.le, "Greater": comparison.gt,
    "GreaterOrEqual": comparison.ge, "And": comparison.logical_and, "Or": comparison.logical_or,
    "Xor": comparison.logical_xor, "Not": comparison.logical_not, "IsNaN": comparison.isnan,
}.items():  # fmt: skip
    reads(_name)(_function)
reads("IsInf", detect_negative=1, detect_positive=1)(comparison.isinf)


@writes(matrices.Triangle)
def _write_triangle(g: Any, x: Any, lower: Any, diagonal: int) -> str:
    return g.node("Trilu", x, np.asarray(diagonal, np.int64), upper=int(not lower))


@reads("Trilu")
def _read_triangle(x: Tensor, diagonal: Tensor | None = None, *, upper: int) -> Tensor:
    k = 0 if diagonal is None else int(diagonal.item())
    return matrices.triu(x, k) if upper else matrices.tril(x, k)


@reads("Mod")
def _read_mod(a: Tensor, b: Tensor, *, fmod: int) -> Tensor:
    return arithmetic.fmod(a, b) if fmod else arithmetic.remainder(a, b)


@writes(Cast)
def _write_cast(g: Any, x: Any, dtype: np.dtype[Any]) -> str:
    return g.node("Cast", x, to=g.dtype(dtype))


@reads("Cast", saturate=1)
def _read_cast(x: Tensor, *, to: int) -> Tensor:
    from onnx.helper import tensor_dtype_to_np_dtype

    return cast(x, tensor_dtype_to_np_dtype(to))


@writes(DropoutFunction)
def _write_dropout(g: Any, x: Any, p: float, shared: int) -> str:
    raise ONNXError("it drops even in evaluation mode: give it training=self.training")


@reads("Identity", "Dropout")
def _read_identity(x: Tensor, *_: Any) -> Tensor:
    return x
