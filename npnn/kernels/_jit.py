"""The one place that knows whether numba is there.

A kernel is written twice, and both forms are tested against each other:

    @kernel
    def scale(x, factor):                 # the NumPy form: read this one
        return x * factor

    @scale.fast                           # its fast twin: same arguments, same result
    def scale(x, factor):
        out = np.empty_like(x)
        _scale_loop(x.ravel(), factor, out.ravel())
        return out

    @jit
    def _scale_loop(x, factor, out):      # compiled by numba at its first call
        for i in range(x.size):
            out[i] = x[i] * factor

Calling ``scale(x, 2.0)`` runs the twin where numba is installed, and the NumPy form where it is
not, or where the environment says ``NPNN_JIT=0``.  ``scale.reference`` is always the NumPy form.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["KERNELS", "Kernel", "compiled_on_demand", "enabled", "jit", "kernel"]

KERNELS: list[Kernel] = []  # every kernel of the package, for the test that runs them all


@functools.cache
def enabled() -> bool:
    """True if compiled kernels run: numba is installed and NPNN_JIT is not 0."""
    if os.environ.get("NPNN_JIT", "1") == "0":
        return False
    if importlib.util.find_spec("numba") is None:
        warnings.warn(
            "npnn: numba is not installed, so the NumPy kernels run, which are slower; pip install numba",
            stacklevel=2,
        )
        return False
    return True


class Kernel:
    """A NumPy form (``reference``) and, once ``fast`` has been given one, its twin (``twin``)."""

    def __init__(self, reference: Callable[..., Any]):
        self.reference = reference
        self.twin: Callable[..., Any] | None = None
        functools.update_wrapper(self, reference)
        KERNELS.append(self)

    def fast(self, twin: Callable[..., Any]) -> Kernel:
        """Decorator: register the fast twin, which takes the same arguments."""
        self.twin = twin
        return self

    def __call__(self, *args: Any) -> Any:
        # The first call decides for good: numba is looked up late because importing it takes 0.2 s.
        self.__class__ = _Resolved
        self.call = self.twin if self.twin is not None and enabled() else self.reference
        return self.call(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__name__}>"


class _Resolved(Kernel):
    """A kernel whose form has been chosen: one attribute look-up and the call."""

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


def kernel(reference: Callable[..., Any]) -> Kernel:
    """Decorator: this function is the NumPy form of a kernel."""
    return Kernel(reference)


class _Lazy:
    """A function that numba compiles at its first call (or when a compiled caller needs it).

    ``parallel=True`` compiles the ``prange`` loops for several threads.  Such a function is
    compiled serially as well, on demand: ``threads.run`` picks the form by the amount of work.
    """

    def __init__(self, function: Callable[..., Any], parallel: bool, options: dict[str, Any]):
        functools.update_wrapper(self, function)
        self.function, self.has_prange, self.options = function, parallel, options

    @functools.cached_property
    def serial(self) -> Callable[..., Any]:
        return self._compile(parallel=False)

    @functools.cached_property
    def parallel(self) -> Callable[..., Any]:
        return self._compile(parallel=True)

    def _compile(self, parallel: bool) -> Callable[..., Any]:
        import numba

        scope = self.function.__globals__
        if "prange" in self.function.__code__.co_names:
            scope["prange"] = numba.prange  # the module itself must not import numba
        for name in self.function.__code__.co_names:  # numba wants compiled callees
            if isinstance(scope.get(name), _Lazy):
                scope[name] = scope[name].serial
        function = self.function
        if self.has_prange:  # two compiled forms of one function need two names in numba's cache
            function = types.FunctionType(
                function.__code__.replace(co_name=f"{function.__name__}_{'parallel' if parallel else 'serial'}"),
                scope, None, function.__defaults__, function.__closure__,
            )  # fmt: skip
            function.__module__ = self.function.__module__
            function.__qualname__ = function.__name__ = function.__code__.co_name
        compiled = numba.njit(cache=True, nogil=True, parallel=parallel, **self.options)(function)
        _announce_compilation(compiled)
        return compiled

    def __call__(self, *args: Any) -> Any:
        if not self.has_prange:  # the next caller finds the compiled function itself: no wrapper in between
            self.function.__globals__[self.function.__name__] = self.serial
        return self.serial(*args)


def jit(function: Callable[..., Any] | None = None, *, parallel: bool = False, **options: Any) -> Any:
    """Decorator: compile with numba at the first call, keep the machine code on disk.

    Functions that it calls must be in the same module (or imported into it) and also be ``@jit``.
    ``options`` go to ``numba.njit`` (for example ``fastmath={"contract", "reassoc"}``).
    """
    if function is None:
        return lambda f: _Lazy(f, parallel, options)
    return _Lazy(function, parallel, options)


class compiled_on_demand(_Lazy):  # noqa: N801  used as a decorator
    """Decorator: this function makes a compiled function, and is called when compiled code first needs it."""

    def __init__(self, build: Callable[[], Any]):
        super().__init__(build, False, {})

    @functools.cached_property
    def serial(self) -> Callable[..., Any]:
        return self.function()


_announced = False


def _announce_compilation(compiled: Any) -> None:
    """Say once, on stderr, that the first run compiles: a silent minute looks like a hang."""
    global _announced
    if _announced:
        return
    code = compiled.py_func.__code__
    stem = os.path.splitext(os.path.basename(code.co_filename))[0]
    folder = compiled._cache.cache_path if hasattr(compiled, "_cache") else ""
    pattern = os.path.join(glob.escape(folder), f"{stem}.{compiled.py_func.__name__}-*.nbi")
    if not glob.glob(pattern):
        _announced = True
        print("npnn: compiling kernels for this machine (first run only) ...", file=sys.stderr, flush=True)
