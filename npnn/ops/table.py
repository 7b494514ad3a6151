"""The table of operations: under which names each is offered.

An operation is one function in a family's file, with torch's name, signature and docstring.  Everything else
follows from it here: ``npnn.name`` and ``Tensor.name``, the operator where there is one, and, for the names in
``IN_PLACE``, ``Tensor.name_``, which is the operation and then the copy home (``npnn.inplace``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.inplace import Replaced, in_place, overwrite, refuse_leaf
from npnn.modes import clock, mode
from npnn.ops import (
    arithmetic,
    comparison,
    conversion,
    creation,
    cumulative,
    decompositions,
    distances,
    drawing,
    elementwise,
    extremes,
    filling,
    flipping,
    further,
    gathering,
    indexing,
    joining,
    linalg,
    matrices,
    pairs,
    quantiles,
    reductions,
    shape,
    sorting,
    special,
    tables,
)
from npnn.ops.spelling import spelled
from npnn.tensor import Tensor, _from_array, of_array

__all__ = ["FUNCTIONS", "in_place_form", "offer"]

FAMILIES = (
    arithmetic, pairs, comparison, elementwise, special, linalg, decompositions, matrices, distances, reductions, extremes,
    cumulative, quantiles, shape, joining, flipping, indexing, gathering, sorting, tables, further,
)  # fmt: skip

# what is a method but no function, and the reverse, in torch
_ONLY_METHODS = {
    "contiguous", "expand", "expand_as", "repeat", "view", "view_as", "reshape_as", "unfold", "renorm", "cosine_similarity",
}  # fmt: skip
_ONLY_FUNCTIONS = {
    "cat", "concat", "concatenate", "stack", "hstack", "vstack", "row_stack", "column_stack", "meshgrid", "where",
    "broadcast_tensors", "block_diag", "einsum", "chain_matmul", "cdist", "tensordot", "atleast_1d", "atleast_2d",
    "trapezoid", "trapz", "cartesian_prod", "combinations", "vander", "broadcast_shapes", "isin", "bucketize",
    "searchsorted", "getitem", "setitem", "atleast_3d", "dstack", "promote_types", "can_cast", "frombuffer", "hann_window",
    "hamming_window", "unravel_index", "real",
}  # fmt: skip

IN_PLACE = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr arccos arccosh arcsin arcsinh arctan2 arctan
arctanh asin asinh atan2 atan atanh baddbmm bitwise_and bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip cos cosh cumprod cumsum deg2rad digamma div
divide eq erf erfc erfinv exp2 exp expm1 fix float_power floor floor_divide fmod frac ge greater greater_equal gt
hypot index_add index_copy index_fill index_put ldexp le lerp less less_equal lgamma log10 log1p log2 log
logical_and logical_not logical_or logical_xor logit lt masked_fill masked_scatter mul multiply nan_to_num ne neg
negative not_equal pow rad2deg reciprocal remainder renorm round rsqrt scatter scatter_add scatter_reduce sgn
sigmoid sign sin sinc sinh sqrt square sub subtract tan tanh tril triu true_divide trunc xlogy
""".split()
_OF_THE_VIEW = "squeeze unsqueeze t transpose swapaxes swapdims".split()  # in place they change how memory is looked at

_OPERATORS = {"add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": arithmetic.div,
              "mod": arithmetic.remainder, "pow": arithmetic.pow, "matmul": linalg.matmul,
              "floordiv": arithmetic.floor_divide, "and": comparison.bitwise_and, "or": comparison.bitwise_or,
              "xor": comparison.bitwise_xor, "lshift": further.bitwise_left_shift,
              "rshift": further.bitwise_right_shift}  # fmt: skip
_CHANGES: dict[str, np.ufunc] = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide}
_COMPARISONS = {name: getattr(comparison, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}


def in_place_form(name: str, operation: Callable[..., Any]) -> Callable[..., Tensor]:
    """``Tensor.name_``: the operation, then the copy home."""

    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        return in_place(f"{name}_", operation, self, *args, **options)

    change.__name__ = change.__qualname__ = f"{name}_"
    change.__doc__ = f"{operation.__name__}, in place."
    return change


def _operator(name: str, operation: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    """``tensor += x`` and its like: the ufunc itself where nothing is recorded and no dtype changes."""
    ufunc, form = _CHANGES.get(name), in_place_form(operation.__name__, operation)

    def change(self: Tensor, other: Any) -> Tensor:
        if ufunc is not None and not (mode.enabled and self.requires_grad) and self.array.dtype.kind == "f":
            if type(other) in (int, float):
                value = other
            elif isinstance(other, Tensor) and not (mode.enabled and other.requires_grad):
                value = other.array
            else:
                return form(self, other)
            if type(value) is not np.ndarray or (
                value.dtype == self.array.dtype
                and np.broadcast_shapes(value.shape, self.array.shape) == self.array.shape
            ):
                ufunc(self.array, value, out=self.array)
                self._mark_changed(form.__name__)
                return self
        return form(self, other)

    return change


def _of_the_view(name: str, operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        if mode.enabled and self.requires_grad:
            refuse_leaf(self)
        new = operation(self, *args, **options)
        self.array, self._node, self._requires_grad = new.array, new._node, new._requires_grad
        return self

    change.__name__ = change.__qualname__ = f"{name}_"
    change.__doc__ = f"{name} of this tensor itself: the same memory, looked at otherwise."
    return change


def _reflected(op: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda self, other: op(other, self)


def _comparing(op: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Any]:
    def compare(self: Tensor, other: Any) -> Any:
        if other is None or isinstance(other, str):  # x == None is a question about identity
            return NotImplemented
        return op(self, other)

    return compare


# What NumPy calls otherwise, and what takes numbers beside tensors
_UFUNCS = {
    "absolute": "abs", "fabs": "abs", "rint": "round", "power": "pow", "invert": "bitwise_not", "equal": "eq",
    "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "psi": "digamma",
    "gammaln": "lgamma",
}  # fmt: skip
_OF_NUMBERS = {
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "power", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal",
}  # fmt: skip


def _operand(x: Any, beside: Tensor, numbers: bool) -> Any:
    """An input of a ufunc as the operation takes it; a number as a tensor where it takes no ``numbers``."""
    if isinstance(x, np.ndarray):
        return of_array(x)
    return x if isinstance(x, Tensor) or numbers else of_array(np.asarray(x, beside.array.dtype))


def as_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """``np.exp(tensor)`` is the operation of that name, recorded; one that npnn has not got, or with options, is NumPy's.

    Errors: RuntimeError for a tensor that requires a gradient where NumPy does it.
    """
    name = ufunc.__name__
    operation = FUNCTIONS.get(_UFUNCS.get(name, name))
    if operation is not None and method == "__call__" and not options:
        return operation(*[_operand(x, self, name in _OF_NUMBERS) for x in inputs])
    arrays = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
    given = options.get("out", ())
    if given:
        options["out"] = tuple([x.array if isinstance(x, Tensor) else x for x in given])
    result = getattr(ufunc, method)(*arrays, **options)
    if given:
        for x in given:
            if isinstance(x, Tensor):
                x._mark_changed(name)
        return given[0] if len(given) == 1 else given
    if isinstance(result, tuple):
        return tuple([of_array(np.asarray(y)) for y in result])
    return result if method == "at" else of_array(np.asarray(result))


# ---- in place without an operation of the same name


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrite the elements with those of ``src``, which broadcast and are cast; its gradient goes to ``src``."""
    time = next(clock)
    source = src if isinstance(src, Tensor) else of_array(np.asarray(src))
    if not (mode.enabled and (self.requires_grad or source.requires_grad)):
        values = source.array
        while values.ndim > self.array.ndim and values.shape[0] == 1:
            values = values[0]
        if np.broadcast_shapes(values.shape, self.array.shape) != self.array.shape:
            raise RuntimeError(f"copy_: a tensor of shape {values.shape} does not go into one of {self.array.shape}")
        np.copyto(self.array, values, casting="unsafe")
        self._mark_changed("copy_")
        return self
    return overwrite("copy_", self, Replaced.apply(self, source), time)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to ``value``, a number or a tensor without axes."""
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.array.ndim} dimensions.")  # fmt: skip
        return copy_(self, value)
    if not (mode.enabled and self.requires_grad):
        self.array.fill(value)
        self._mark_changed("fill_")
        return self
    return overwrite("fill_", self, _from_array(np.full_like(self.array, value)))


def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return fill_(self, 0)


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Set the elements on the diagonal to a number."""
    values = self.array.copy()
    np.fill_diagonal(values, fill_value, wrap)
    return overwrite("fill_diagonal_", self, _from_array(values))


def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Another shape for the same memory, which grows, with unset elements, if it must."""
    shape = creation.sizes_of(size)
    flat = self.array.reshape(-1)
    count = int(np.prod(shape))
    if count > flat.size:
        flat = np.concatenate([flat, np.empty(count - flat.size, flat.dtype)])
    self.array = flat[:count].reshape(shape)
    return self


def set_(self: Tensor, source: Tensor) -> Tensor:
    """Look at the source's memory from now on."""
    self.array = source.array
    return self


# ---- the names


def offer(functions: dict[str, Callable[..., Any]], methods: bool, in_place_names: Any = ()) -> None:
    """Make methods of functions whose first argument is a tensor, and their in-place forms."""
    for name, function in functions.items():
        method = spelled(name, function, with_out=False)
        if methods and not hasattr(Tensor, name):
            setattr(Tensor, name, method)
        if name in in_place_names:
            setattr(Tensor, f"{name}_", in_place_form(name, method))


FUNCTIONS: dict[str, Callable[..., Any]] = {}
for _family in (*FAMILIES, creation, drawing):
    for _name in _family.__all__:
        FUNCTIONS[_name] = getattr(_family, _name)
offer({n: f for n, f in FUNCTIONS.items() if n not in _ONLY_FUNCTIONS and n not in {*creation.__all__, *drawing.__all__}},
      True, IN_PLACE)  # fmt: skip
offer({"bernoulli": drawing.bernoulli, "multinomial": drawing.multinomial}, True)
for _name in _OF_THE_VIEW:
    setattr(Tensor, f"{_name}_", _of_the_view(_name, spelled(_name, FUNCTIONS[_name], with_out=False)))
Tensor.__array_ufunc__ = as_ufunc  # type: ignore[attr-defined]
for _change in (copy_, fill_, zero_, fill_diagonal_, resize_, set_, *filling.FILLS):
    setattr(Tensor, _change.__name__, spelled(_change.__name__, _change, with_out=False))
for _name, _operation in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _operation)
    setattr(Tensor, f"__r{_name}__", _reflected(_operation))
    setattr(Tensor, f"__i{_name}__", _operator(_name, _operation))
for _name, _operation in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _comparing(_operation))
for _name, _method in {
    **conversion.METHODS,
    "__neg__": arithmetic.neg,
    "__pos__": arithmetic.positive,
    "__abs__": elementwise.abs,
    "__invert__": comparison.bitwise_not,
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem,
    "where": lambda self, condition, other: indexing.where(condition, self, other),
    "index_put_": lambda self, indices, values, accumulate=False: in_place(
        "index_put_", indexing.index_put, self, indices, values, accumulate
    ),
    "resize_as_": lambda self, other: resize_(self, *other.array.shape),
    "isreal": comparison.isreal,
}.items():
    setattr(Tensor, _name, _method)
for _name, _getter in {
    **conversion.PROPERTIES,
    "T": lambda self: shape.Permute.apply(self, tuple(range(self.array.ndim))[::-1]),
    "mT": lambda self: shape.transpose(self, -2, -1),
    "H": lambda self: shape.transpose(self, -2, -1),
}.items():
    setattr(Tensor, _name, property(_getter))
for _name in _ONLY_METHODS - {"renorm"}:
    FUNCTIONS.pop(_name, None)
for _name in ("getitem", "setitem"):
    FUNCTIONS.pop(_name, None)
for _name, _function in FUNCTIONS.items():
    FUNCTIONS[_name] = spelled(_name, _function)
    FUNCTIONS[_name].__module__, FUNCTIONS[_name].__qualname__ = "npnn", _name  # where pickle finds it
