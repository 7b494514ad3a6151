"""The public names of npnn: where they are offered, which file defines them, and what PyTorch calls them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# modules in the order of reading; what two of them offer is told at the first
MODULES = (
    "npnn", "npnn.nn", "npnn.nn.functional", "npnn.nn.init", "npnn.nn.utils", "npnn.nn.utils.rnn",
    "npnn.nn.utils.parametrize", "npnn.nn.utils.parametrizations", "npnn.optim", "npnn.optim.lr_scheduler", "npnn.data",
    "npnn.data.transforms", "npnn.utils.data", "npnn.utils.checkpoint", "npnn.utils.tensorboard", "npnn.autograd",
    "npnn.jacobians", "npnn.func", "npnn.jit",
    "npnn.random", "npnn.linalg", "npnn.distributions", "npnn.io", "npnn.train", "npnn.testing", "npnn.plot", "npnn.look",
    "npnn.onnx", "npnn.sklearn", "npnn.vision.datasets", "npnn.vision.transforms", "npnn.vision.transforms.functional",
    "npnn.vision.io", "npnn.vision.utils", "npnn.amp", "npnn.cuda", "npnn.experiment", "npnn.environment",
    "npnn.errors", "npnn.torch",
)  # fmt: skip

# parts of files that have no __all__ of their own making, or whose __all__ is for their neighbours
ONLY = {
    "npnn.nn.utils.parametrizations": ("spectral_norm", "weight_norm"),
    "npnn.errors": ("DataError", "DtypeError", "LayerError", "ShapeError"),
}

# what PyTorch has not got under this name
OWN = {
    "npnn": {"Function", "gradcheck"},
    "npnn.nn": {"summary"},
    "npnn.nn.utils": {"l2_penalty"},
    "npnn.optim": {"Momentum", "param_groups"},
    "npnn.data": {
        "TrainTest", "character_windows", "load_cifar10", "load_digits", "load_fashion_mnist", "load_mnist",
        "load_shakespeare", "make_palindromes", "make_toy",
    },
    "npnn.random": {"generator", "use_generator"},
    "npnn.linalg": {"Eigen", "LeastSquares", "Orthogonal", "SignAndLog", "Singular"},
}  # fmt: skip

PAGES = "https://docs.pytorch.org/docs/stable/"
VISION = "https://docs.pytorch.org/vision/stable/"
# of these modules PyTorch tells all names on one page
TOGETHER = {
    "npnn.nn.init": "nn.init.html", "npnn.data": "data.html", "npnn.utils.checkpoint": "checkpoint.html",
    "npnn.utils.tensorboard": "tensorboard.html", "npnn.distributions": "distributions.html", "npnn.random": "random.html",
    "npnn.amp": "amp.html",
}  # fmt: skip
SEPARATE = {
    "npnn", "npnn.nn", "npnn.nn.functional", "npnn.nn.utils", "npnn.nn.utils.rnn", "npnn.nn.utils.parametrize",
    "npnn.nn.utils.parametrizations", "npnn.optim", "npnn.optim.lr_scheduler", "npnn.autograd", "npnn.cuda", "npnn.linalg",
}  # fmt: skip


@dataclass
class Entry:
    """A public name."""

    module: str
    name: str
    value: Any
    file: Path  # where it is defined, from the root of the project
    line: int | None  # None: it is made from a table there
    in_place: bool = False  # there is name_, too
    also: list[str] = field(default_factory=list)  # other addresses of the same thing

    @property
    def address(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.value)


def public(module: str) -> list[str]:
    """The names that a module offers and that can be called."""
    found = importlib.import_module(module)
    names = ONLY.get(module) or getattr(found, "__all__", None) or [n for n in dir(found) if not n.startswith("_")]
    values = {name: getattr(found, name) for name in names}
    return sorted(
        name
        for name, value in values.items()
        if callable(value) and not inspect.ismodule(value) and getattr(value, "__module__", "") != "typing"
    )


def entries() -> list[Entry]:
    """All public names, each once."""
    seen: dict[int, Entry] = {}
    for module in MODULES:
        names = public(module)
        for name in names:
            value = getattr(importlib.import_module(module), name)
            if name.endswith("_") and name[:-1] in names:
                continue  # told with the name without _
            if id(value) in seen:
                seen[id(value)].also.append(f"{module}.{name}")
                continue
            file, line = place(value)
            seen[id(value)] = Entry(module, name, value, file, line, f"{name}_" in names)
    return list(seen.values())


def place(value: Any) -> tuple[Path, int | None]:
    """The file that defines a function or class, and the line; None for one that is made from a table."""
    value = inspect.unwrap(value)
    line: int | None
    if inspect.isfunction(value):
        file, line = value.__code__.co_filename, value.__code__.co_firstlineno
    elif inspect.isclass(value):
        file, line = inspect.getsourcefile(value) or "", _line(value)
    else:  # a method that was lent as a function
        called: Callable[..., Any] = getattr(value, "__func__", type(value).__call__)
        return place(called)
    return Path(file).resolve().relative_to(ROOT), line


def _line(value: type) -> int | None:
    try:
        return inspect.getsourcelines(value)[1]
    except OSError:
        return None


def torch_name(entry: Entry) -> str | None:
    """What PyTorch calls it, if it has it."""
    if entry.name in (OWN.get(entry.module) or ()) or entry.module not in {*TOGETHER, *SEPARATE}:
        return None
    module = entry.module.replace("npnn", "torch", 1)
    return f"{'torch.utils.data' if entry.module == 'npnn.data' else module}.{entry.name}"


def torch_page(entry: Entry) -> str | None:
    """The address of PyTorch's page about the same name; None if it has none."""
    if entry.module.startswith("npnn.vision."):
        part = entry.module.removeprefix("npnn.vision.")
        return VISION + ("utils.html" if part == "utils" else f"generated/torchvision.{part}.{entry.name}.html")
    name = torch_name(entry)
    if name is None:
        return None
    if entry.module in TOGETHER:
        return f"{PAGES}{TOGETHER[entry.module]}#{name}"
    return f"{PAGES}generated/{name}.html"
