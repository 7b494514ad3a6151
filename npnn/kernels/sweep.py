"""One loop for all functions of single elements.

    @kernel
    def scale(x, factor):                 # the NumPy form, for whole arrays
        return factor * x

    @elementwise(scale)
    def scale(x, factor):                 # the same for one element: a compiled loop is made of it
        return number(x, factor) * x

Memory is read and written once, and from a size on the threads share the elements.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.kernels import threads
from npnn.kernels._jit import Kernel, jit
from npnn.kernels.order import copy_in_order

__all__ = ["elementwise"]

prange = range  # numba reads this name as its parallel range


def elementwise(
    kernel: Kernel, arrays: int = 1, smallest: int = 0, when: Callable[..., bool] | None = None
) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorator: this function of one element of each of the one or two arrays, and of the same numbers, becomes the
    kernel's fast twin.

    The result has the memory order of the last array; one in another order, or with gaps, is copied first.
    The NumPy form runs where the arrays are not of float32 or float64, where they have no more than
    ``smallest`` elements (then NumPy is done before a compiled loop has been called), and where the
    numbers are not such that ``when``.
    """

    def of(element: Callable[..., Any]) -> Kernel:
        loop = _loop(element, arrays)

        @functools.wraps(kernel.reference)
        def twin(*args: Any) -> Any:
            x, numbers = args[arrays - 1], args[arrays:]
            if x.dtype.char not in "fd" or x.size <= smallest or not (when is None or when(*numbers)):
                return kernel.reference(*args)
            out, flat = np.empty_like(x), []
            for array in args[:arrays]:
                if array.strides != out.strides or array.dtype != out.dtype:
                    array, given = np.empty_like(out), array
                    copy_in_order(array, given)
                flat.append(array.ravel("K"))
            threads.run(loop, threads.split(out.size), *flat, out.ravel("K"), tuple(map(float, numbers)))
            return out

        return kernel.fast(twin)

    return of


def _loop(element: Callable[..., Any], arrays: int) -> Any:
    """The loop over one array or two, with the name and the place of the function that it calls."""
    code = (_over_one if arrays == 1 else _over_two).__code__.replace(
        co_name=element.__name__, co_filename=element.__code__.co_filename
    )
    compiled = jit(element, fastmath={"contract"}, error_model="numpy", forceinline=True)
    scope = {"prange": prange, "element": compiled, "__name__": element.__module__}
    loop = types.FunctionType(code, scope, element.__name__)
    loop.__module__ = element.__module__
    loop.__qualname__ = element.__name__
    return jit(loop, parallel=True)


def _over_one(chunks, x, y, numbers):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            b[i] = element(a[i], *numbers)  # type: ignore[name-defined] # noqa: F821


def _over_two(chunks, x, y, z, numbers):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], y[part], z[part]
        for i in range(a.size):
            c[i] = element(a[i], b[i], *numbers)  # type: ignore[name-defined] # noqa: F821
