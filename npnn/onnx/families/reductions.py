"""Sums, means, extremes and spreads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.function import Function
from npnn.onnx.sizes import Batch
from npnn.onnx.table import ONNXError, reads, writes
from npnn.ops import cumulative, distances, extremes, reductions
from npnn.tensor import Tensor


def _reduce(g: Any, op_type: str, x: Any, axes: tuple[int, ...], keepdim: bool) -> str:
    return g.node(op_type, x, np.array(axes, np.int64), keepdims=int(keepdim))


def _same(op: type[Function], op_type: str) -> None:
    writes(op)(lambda g, x, axes, keepdim: _reduce(g, op_type, x, axes, keepdim))


def _reads(op_type: str, function: Callable[..., Tensor]) -> None:
    """``function`` takes the axes, or None for all, and keepdim."""

    @reads(op_type)
    def read(x: Tensor, axes: Tensor | None = None, *, keepdims: int, noop_with_empty_axes: int) -> Tensor:
        chosen = [] if axes is None else axes.tolist()
        return x if noop_with_empty_axes and not chosen else function(x, chosen or None, bool(keepdims))


def _norm(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    return distances.norm(x, 2, dim, keepdim)


def _prod(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    for axis in sorted((d % x.ndim for d in (range(x.ndim) if dim is None else dim)), reverse=True):
        x = reductions.prod(x, axis, keepdim)
    return x


_same(reductions.Sum, "ReduceSum")
_same(reductions.Mean, "ReduceMean")
_same(reductions.LogSumExp, "ReduceLogSumExp")
_same(distances.Norm, "ReduceL2")
_reads("ReduceSum", reductions.sum)
_reads("ReduceMean", reductions.mean)
_reads("ReduceLogSumExp", reductions.logsumexp)
_reads("ReduceL2", _norm)
_reads("ReduceProd", _prod)
_reads("ReduceMax", extremes.amax)
_reads("ReduceMin", extremes.amin)


@writes(extremes.Extreme)
def _write_extreme(g: Any, x: Any, axes: tuple[int, ...], keepdim: bool, reduce: Any) -> str:
    return _reduce(g, "ReduceMax" if reduce is np.max else "ReduceMin", x, axes, keepdim)


@writes(extremes.Pick)
def _write_pick(g: Any, x: Any, dim: int, keepdim: bool, where: Any) -> tuple[str, str]:
    kind = "Max" if where is np.argmax else "Min"
    values = _reduce(g, f"Reduce{kind}", x, (dim,), keepdim)
    return values, g.node(f"Arg{kind}", x, axis=dim, keepdims=int(keepdim))


@writes(extremes.Position)
def _write_position(g: Any, x: Any, dim: int | None, keepdim: bool, where: Any) -> str:
    kind = "ArgMax" if where is np.argmax else "ArgMin"
    if dim is None:
        flat = g.node("Reshape", x, np.array([-1]))
        if keepdim:
            raise ONNXError("keepdim without an axis")
        return g.node(kind, flat, axis=0, keepdims=0)
    return g.node(kind, x, axis=dim, keepdims=int(keepdim))


@reads("ArgMax", select_last_index=0)
def _read_argmax(x: Tensor, *, axis: int, keepdims: int) -> Tensor:
    return extremes.argmax(x, axis, bool(keepdims))


@reads("ArgMin", select_last_index=0)
def _read_argmin(x: Tensor, *, axis: int, keepdims: int) -> Tensor:
    return extremes.argmin(x, axis, bool(keepdims))


@writes(reductions.Prod)
def _write_prod(g: Any, x: Any, dim: int, keepdim: bool) -> str:
    return _reduce(g, "ReduceProd", x, (dim,), keepdim)


@writes(reductions.RootOfVar)
def _write_root(g: Any, v: Any) -> str:
    return g.node("Sqrt", v)


@writes(reductions.Var)
def _write_var(g: Any, x: Any, axes: tuple[int, ...], correction: float, keepdim: bool) -> str:
    sizes = [x.shape[a] for a in axes]
    if correction and any(isinstance(size, Batch) for size in sizes):
        raise ONNXError(f"a variance over the batch with correction={correction} depends on the batch size")
    centred = g.node("Sub", x, _reduce(g, "ReduceMean", x, axes, True))
    var = _reduce(g, "ReduceMean", g.node("Mul", centred, centred), axes, keepdim)
    if not correction:
        return var
    n = math.prod(sizes)
    return g.node("Mul", var, np.asarray(n / (n - correction) if n > correction else np.nan, x.dtype))


@writes(cumulative.CumSum)
def _write_cumsum(g: Any, x: Any, dim: int) -> str:
    return g.node("CumSum", x, np.asarray(dim, np.int64))


@reads("CumSum", exclusive=0, reverse=0)
def _read_cumsum(x: Tensor, axis: Tensor) -> Tensor:
    return cumulative.cumsum(x, int(axis.item()))
