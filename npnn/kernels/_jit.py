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
import os
import threading
import types
from collections.abc import Callable
from typing import Any

from npnn.kernels._cache import compile_with_cache, notice

__all__ = ["KERNELS", "Kernel", "by_precision", "compiled_on_demand", "enabled", "jit", "kernel"]

KERNELS: list[Kernel] = []  # every kernel of the package, for the test that runs them all


@functools.cache
def enabled() -> bool:
    """True if compiled kernels run: numba is installed and works, and NPNN_JIT is not 0."""
    if os.environ.get("NPNN_JIT", "1") == "0":
        return False
    try:
        import numba
    except Exception as error:  # not installed, or too old or too new for this NumPy
        reason = str(error).partition("\n")[0]
        notice(f"numba cannot be imported ({reason}), so the NumPy kernels run, which are slower")
        return False
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


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
        self.call = self.twin if self.twin is not None and enabled() else self.reference
        self.__class__ = _Resolved  # now that it is complete: another thread may call it at any moment
        return self.call(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.reference.__name__}>"


class _Resolved(Kernel):
    """A kernel whose form has been chosen: one attribute look-up and the call."""

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


def kernel(reference: Callable[..., Any]) -> Kernel:
    """Decorator: this function is the NumPy form of a kernel."""
    return Kernel(reference)


_making = threading.RLock()


def _after_fork_in_child() -> None:
    global _making
    _making = threading.RLock()  # free, whoever held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@functools.cache
def _forks_wait() -> None:
    """From now on a fork waits until no thread compiles: its child would not get the thread, but its lock."""
    from numba.core.compiler_lock import global_compiler_lock as lock

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


class _Lazy:
    """A function that numba compiles at its first call (or when a compiled caller needs it).

    ``parallel=True`` compiles the ``prange`` loops for several threads.  Such a function is
    compiled serially as well, on demand: ``threads.run`` picks the form by the amount of work.
    """

    def __init__(self, function: Callable[..., Any], parallel: bool, options: dict[str, Any]):
        functools.update_wrapper(self, function)
        self.function, self.has_prange, self.options = function, parallel, options
        self.forms: dict[bool, Callable[..., Any]] = {}  # parallel -> compiled

    @functools.cached_property
    def serial(self) -> Callable[..., Any]:
        return self._form(parallel=False)

    @functools.cached_property
    def parallel(self) -> Callable[..., Any]:
        return self._form(parallel=True)

    def _form(self, parallel: bool) -> Callable[..., Any]:
        with _making:  # of two threads that come at once, one makes the form that both get
            if parallel not in self.forms:
                self.forms[parallel] = self._make(parallel)
            return self.forms[parallel]

    def _make(self, parallel: bool) -> Callable[..., Any]:
        import numba

        _forks_wait()
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
        return compile_with_cache(function, nogil=True, parallel=parallel, **self.options)

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

    def _make(self, parallel: bool) -> Callable[..., Any]:
        return self.function()


class by_precision(_Lazy):  # noqa: N801  used as a function
    """A function that compiled code may call: ``single`` where its first argument is a float32, or an array of
    them, ``double`` elsewhere."""

    def __init__(self, single: Callable[..., Any], double: Callable[..., Any]):
        super().__init__(single, False, {})
        self.pair = single, double

    def _make(self, parallel: bool) -> Callable[..., Any]:
        from numba import types
        from numba.extending import overload

        single, double = (f.serial if isinstance(f, _Lazy) else f for f in self.pair)

        def choice(*args: Any) -> Any:
            raise NotImplementedError("only compiled code calls this")

        @overload(choice, strict=False)
        def _chosen(*kinds: Any) -> Any:
            function = single if getattr(kinds[0], "dtype", kinds[0]) == types.float32 else double
            return lambda *args: function(*args)

        return choice
