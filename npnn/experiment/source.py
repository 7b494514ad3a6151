"""The file of an experiment, read and checked: what is missing or wrong in it is told with file and line."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from npnn.experiment import defaults
from npnn.experiment.config import RunConfig, UserError, completed

__all__ = ["Source", "checked"]

#: What the functions of an experiment are called with.
ARGUMENTS = {
    "data": ("config",),
    "build": ("nn", "config"),
    "optimizer": ("optim", "model", "config"),
    "loss": ("nn", "config"),
    "schedule": ("lr_scheduler", "optimizer", "config", "steps_per_epoch"),
    "transform": ("config",),
    "callbacks": ("config",),
    "draw": ("result",),
    "overview": ("rows",),
}
#: And what some of them have to return: a test, and the words for it.
RETURNS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "build": (lambda found: callable(found) and hasattr(found, "parameters"), "a model, made of the layers of nn"),
    "optimizer": (lambda found: hasattr(found, "step") and not isinstance(found, type), "an optimizer of optim"),
    "loss": (callable, "a function of (outputs, targets), such as nn.CrossEntropyLoss()"),
}
NEEDED = {"data": "data(config), which returns the data", "build": "build(nn, config), which returns the model"}


@dataclass(frozen=True)
class Source:
    """One file.  ``module`` is its name where it belongs to a package that can be imported; ``state`` tells the
    files of two folders, and a file that has been changed, from what was read before."""

    path: Path
    module: str = ""
    state: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def _tree(self) -> ast.Module | str:
        """The file's syntax, or what is wrong with it."""
        try:
            return ast.parse(self.path.read_bytes(), self.path.name)
        except SyntaxError as error:
            return f"{self.path}:{error.lineno}: {error.msg}"
        except (ValueError, OSError) as error:  # bytes that are no text; no permission
            return f"{self.path}: {error}"

    @property
    def problem(self) -> str:
        """Why the file cannot be read as Python; "" if it can."""
        return self._tree if isinstance(self._tree, str) else ""

    @cached_property
    def lines(self) -> dict[str, int]:
        """The names that the file defines or imports, and the line of each."""
        found: dict[str, int] = {}
        for node in [] if isinstance(self._tree, str) else self._tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node.lineno
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name): node.lineno for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id: node.lineno for target in targets if isinstance(target, ast.Name)}
        return found

    @property
    def is_experiment(self) -> bool:
        return "build" in self.lines

    @property
    def question(self) -> str:
        """The first line of the file's docstring.  Errors: UserError for a file that is no Python."""
        if isinstance(self._tree, str):
            raise UserError(self._tree)
        return (ast.get_docstring(self._tree) or "").strip().split("\n")[0]

    def error(self, piece: str, message: str) -> UserError:
        """An error that leads to the line where a piece is defined."""
        line = self.lines.get(piece)
        return UserError(f"{self.path}:{line}: {message}" if line else f"{self.path}: {message}")

    def load(self) -> Any:
        """The module that the file makes.  Errors: UserError with the line where it failed."""
        if self.problem:
            raise UserError(self.problem)
        try:
            return importlib.import_module(self.module) if self.module else self._load_alone()
        except Exception as error:
            here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if self._is(frame.filename)]
            where = f"{self.path}:{here[-1]}" if here else str(self.path)
            raise UserError(f"{where}: {type(error).__name__}: {error}") from error

    def _is(self, filename: str) -> bool:
        return Path(filename).name == self.path.name and Path(filename).exists() and self.path.samefile(filename)

    def _load_alone(self) -> Any:
        """A file of no package, once for each state of it: its neighbours can be imported, as of a script."""
        name = f"npnn_experiment_{re.sub(r'[^0-9a-zA-Z_]', '_', '_'.join(map(str, self.state)))}"
        if name in sys.modules:
            return sys.modules[name]
        spec: Any = importlib.util.spec_from_file_location(name, self.path)
        module = importlib.util.module_from_spec(spec)
        folder = str(self.path.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
        sys.modules[name] = module  # dataclasses look their types up there
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def checked(source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """The pieces of an experiment, all there and of the right kind.  Errors: UserError."""
    for piece, meaning in NEEDED.items():
        if piece not in given:
            raise UserError(f"{source.path}: there is no {meaning}")
    made = dict(given)
    for piece, arguments in ARGUMENTS.items():
        if piece in made:
            made[piece] = _function(source, piece, made[piece], arguments)
    made["data"] = _with_arrays(source, made["data"])
    made["Config"] = _config(source, given.get("Config"))
    made["VARIANTS"] = _variants(source, given.get("VARIANTS"), given.get("Config"), made["Config"])
    for piece in ("REPORTED", "GROUPS", "BEST"):
        if not isinstance(made.get(piece, {}), Mapping):
            raise source.error(piece, f"{piece} must be a dictionary, not {type(made[piece]).__name__}")
    return made


def _function(source: Source, piece: str, function: Any, arguments: tuple[str, ...]) -> Any:
    """The function, which complains if it returns what it must not."""
    told = f"{piece}({', '.join(arguments)})"
    if not callable(function):
        raise source.error(piece, f"{piece} must be a function, {told}")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise source.error(piece, f"it must be {told}: {error}") from None
    if piece not in RETURNS:
        return function
    right, words = RETURNS[piece]

    @functools.wraps(function)
    def watched(*args: Any) -> Any:
        found = function(*args)
        if not right(found):
            raise source.error(piece, f"{told} must return {words}, not {_kind(found)}")
        return found

    return watched


def _with_arrays(source: Source, data: Any) -> Any:
    @functools.wraps(data)
    def arrays(config: Any) -> Any:
        try:
            return defaults.train_test(data(config))
        except defaults.WrongDataError as error:
            raise source.error("data", f"data(config) {error}") from None

    return arrays


def _config(source: Source, cls: Any) -> type[RunConfig]:
    if isinstance(cls, type) and issubclass(cls, RunConfig):
        return cls
    if cls is not None and not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise source.error("Config", "Config must be a dataclass: write @dataclass above its class")
    try:
        return completed(cls)
    except (TypeError, NameError) as error:
        raise source.error("Config", f"Config: {error}") from None


def _variants(source: Source, given: Any, plain: Any, made: type[RunConfig]) -> dict[str, RunConfig]:
    """The variants as instances of the Config that has all settings."""
    if given is None:
        return {"default": made()}
    if not isinstance(given, Mapping) or not given:
        raise source.error("VARIANTS", "VARIANTS must be a dictionary of names and Configs, with one at least")
    found = {}
    for name, config in given.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
            raise source.error("VARIANTS", f"a variant's name has letters, digits, . _ and - only, not {name!r}")
        if plain is None or not isinstance(config, plain):
            raise source.error("VARIANTS", f"the variant {name!r} must be a Config, not {_kind(config)}")
        settings = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
        try:
            found[name] = config if plain is made else made(**settings)
        except UserError as error:
            raise source.error("VARIANTS", f"the variant {name!r}: {error}") from None
    return found


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
