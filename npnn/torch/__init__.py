"""``import torch`` answered by npnn: a loader of modules under other names, and no second implementation.

    python -m npnn.torch script.py args...      runs a script; -m package.module as well
    python -m npnn.torch --check script.py      runs nothing: says which names npnn lacks, and where they stand
    %load_ext npnn.torch                        in a notebook
    npnn.torch.install()                        at the top of a program; uninstall() undoes it

``torch.X`` is ``npnn.X``, and ``torchvision`` (as far as it is about data) is ``npnn.vision``.  Processes that the
program starts inherit it.  A name that npnn lacks raises an AttributeError or ImportError that says so.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

__all__ = ["install", "installed", "load_ipython_extension", "uninstall"]

_ROOTS = {"torch": "npnn", "torchvision": "npnn.vision"}

_FILES_OF_LAYERS = """
activation batchnorm channelshuffle container conv distance dropout flatten fold instancenorm linear loss module
normalization padding pixelshuffle pooling rnn sparse transformer upsampling utils
""".split()

# where torch has a name in a module of its own, and npnn another file
_MOVED = {
    "npnn.nn.parameter": "npnn.nn.module",
    "npnn.nn.modules": "npnn.nn",
    **{f"npnn.nn.modules.{file}": "npnn.nn" for file in _FILES_OF_LAYERS},
    "npnn.nn.parallel": "npnn.nn",
    "npnn.optim.optimizer": "npnn.optim.optimizer",
    "npnn.optim.adam": "npnn.optim",
    "npnn.autograd.variable": "npnn.autograd",
    "npnn.autograd.function": "npnn.autograd",
    "npnn.autograd.functional": "npnn.jacobians",
    "npnn.utils.data.dataset": "npnn.utils.data",
    "npnn.utils.data.sampler": "npnn.utils.data",
    "npnn.utils.data.dataloader": "npnn.utils.data",
    "npnn.cuda.amp": "npnn.amp",
    "npnn.serialization": "npnn.io.torch_file",
}
_MARK = "NPNN_ANSWERS_FOR_TORCH"  # in the environment of processes that are started


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torch and torchvision, and gives the modules of npnn for them."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        if name.split(".")[0] not in _ROOTS:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return module_for(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """The module has run already, under its own name."""


def module_for(name: str) -> ModuleType:
    """The module of npnn that answers to a name in torch.  Errors: ModuleNotFoundError, which says what is missing."""
    root, _, rest = name.partition(".")
    ours = f"{_ROOTS[root]}.{rest}" if rest else _ROOTS[root]
    found = _MOVED.get(ours, ours)
    try:
        # the specification stays the module's own: import would otherwise write torch's over it
        module = importlib.import_module(found)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("npnn"):
            raise
        above, _, last = name.rpartition(".")
        parent = module_for(above)._answers
        inside = getattr(parent, last, None)
        if inside is None and last in {other.lower() for other in dir(parent) if other[0].isupper()}:
            inside = parent  # torch.optim.sgd and the like: torch has a file for a class, npnn one for several
        if inside is None:
            from npnn.torch.reasons import reason

            raise ModuleNotFoundError(
                f"npnn has no {name}{reason(above, last)}; `python -m npnn.torch --check` lists all that a script lacks",
                name=name,
            ) from None
        module = inside if isinstance(inside, ModuleType) else _wrapped(name, inside)
    return _alias(name, module)


def _alias(name: str, module: ModuleType) -> ModuleType:
    """A module that shows the other's names, so that its own name and specification stay as they are."""
    alias = _Alias(name)
    alias.__dict__["_answers"] = module
    alias.__dict__["__doc__"] = module.__doc__
    return alias


def _wrapped(name: str, namespace: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update({k: getattr(namespace, k) for k in dir(namespace) if not k.startswith("__")})
    return module


class _Alias(ModuleType):
    """torch.something: every name is looked up, and set, in the module of npnn that answers for it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            return []
        try:
            return getattr(self._answers, name)
        except AttributeError:
            pass
        try:  # a module that nobody has imported yet, as torch imports its own
            return importlib.import_module(f"{self.__name__}.{name}")
        except ModuleNotFoundError:
            from npnn.torch.reasons import reason

            raise AttributeError(f"npnn has no {self.__name__}.{name}{reason(self.__name__, name)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, _Alias):
            self.__dict__[name] = value
        else:
            setattr(self._answers, name, value)

    def __dir__(self) -> list[str]:
        return dir(self._answers)


def installed() -> bool:
    """True if ``import torch`` gives npnn in this process."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def install() -> None:
    """From now on ``import torch`` and ``import torchvision`` give npnn, here and in Python processes started from here.

    Errors: ImportError if PyTorch has been imported already: two frameworks under one name would get mixed up.
    """
    if installed():
        return
    loaded = sys.modules.get("torch")
    if loaded is not None:
        raise ImportError("PyTorch itself has been imported already: call npnn.torch.install() before the first import")
    for name in [n for n in sys.modules if n.split(".")[0] in _ROOTS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder())
    os.environ[_MARK] = "1"
    folder = os.path.join(os.path.dirname(__file__), "site")
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if folder not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *paths])


def uninstall() -> None:
    """``import torch`` gives PyTorch again, if it is there."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in [n for n in sys.modules if n.split(".")[0] in _ROOTS]:
        del sys.modules[name]
    os.environ.pop(_MARK, None)
    folder = os.path.join(os.path.dirname(__file__), "site")
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != folder]
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        os.environ.pop("PYTHONPATH", None)


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext npnn.torch`` calls in a notebook: install()."""
    install()


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext npnn.torch``"""
    uninstall()
