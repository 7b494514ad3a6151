"""python -m npnn.testing my_layers.py: find the layers and losses in a file, check each, print a table."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npnn.function import Function
from npnn.nn.module import Module
from npnn.testing.finding import Finding, report
from npnn.testing.layers import check_layer, check_loss
from npnn.testing.reference import example_input, find_reference

SIZES = {  # of arguments without a default, by words in their names, tried in this order
    "kernel": 3, "ksize": 3, "filter_size": 3, "stride": 1, "pad": 1, "prob": 0.5, "rate": 0.5, "drop": 0.5, "eps": 1e-5,
    "momentum": 0.9, "alpha": 0.1, "slope": 0.1, "vocab": 7, "num_emb": 7, "out": 3, "hidden": 3, "filters": 3,
    "units": 3, "in_ch": 2, "channels": 2, "pool": 2,
}  # fmt: skip
USUAL = (4, 3, 3, 1, 1)  # and by their place, if no word fits


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was found, 1 if something was, 2 if the file cannot be read or has no layers."""
    parser = argparse.ArgumentParser("python -m npnn.testing", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("file", type=Path, help="a Python file; it is imported, as `import` would")
    parser.add_argument("--only", metavar="NAME", help="the layer or loss of this name only")
    options = parser.parse_args(arguments)
    try:
        module = _import(options.file)
    except Exception as error:
        print(f"{options.file} cannot be imported: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    rows: list[tuple[str, str]] = []
    worst = 0
    for name, thing in _layers(module):
        if options.only in (None, name):
            verdict, found = _tried(name, thing)
            worst = max(worst, int(bool(found)))
            rows.append((name, verdict))
    if not rows:
        print(
            f"no layer in {options.file}: a class with forward and backward, or functions name_forward and name_backward"
        )
        return 2
    width = max(len(name) for name, _ in rows)
    for name, verdict in rows:
        lines = verdict.splitlines()
        print(f"{name:{width}}  {lines[0]}")
        for line in lines[1:]:
            print(f"{'':{width}}  {line}".rstrip())
    return worst


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _layers(module: Any) -> Iterator[tuple[str, Any]]:
    """Classes of the file with a forward and a backward, modules, Functions, and pairs of functions."""
    names = vars(module)
    for name, value in names.items():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            own = inspect.isabstract(value) or name.startswith("_")
            has = any(callable(getattr(value, n, None)) for n in ("backward", "backprop", "bprop"))
            if not own and (has or any(k.__name__ == "Module" for k in value.__mro__)):
                yield name, value
        elif inspect.isfunction(value) and name.endswith("_forward") and name.replace("_forward", "_backward") in names:
            yield name.removesuffix("_forward"), (value, names[name.replace("_forward", "_backward")])


def _tried(name: str, thing: Any) -> tuple[str, list[Finding]]:
    """What to say of a layer, and what was found."""
    try:
        found = _check(name, thing)
    except Exception as error:
        return f"not checked: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", []
    return (report(found) if found else "right"), found


def _check(name: str, thing: Any) -> list[Finding]:
    rng = np.random.default_rng(0)
    if isinstance(thing, tuple):
        shapes = [(6, 4), (4, 3), (3,)]
        count = len([p for p in inspect.signature(thing[0]).parameters.values() if p.default is p.empty])
        return check_layer(thing, tuple(rng.standard_normal(s) for s in shapes[:count]))
    if _is_function(thing):
        return check_layer(thing, rng.standard_normal((6, 4)))
    layer = _made(thing)
    if _takes_labels(layer):
        scores, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
        try:
            return check_loss(layer, scores, labels, reference=find_reference(name))
        except (IndexError, ValueError, TypeError):  # not classes, but numbers
            return check_loss(layer, scores, rng.uniform(0.1, 0.9, scores.shape))
    reference = find_reference(name)
    return check_layer(layer, example_input(layer, reference), reference=reference)


def _is_function(thing: Any) -> bool:
    return issubclass(thing, Function) or any(k.__module__.startswith("torch.autograd") for k in thing.__mro__)


def _made(kind: Any) -> Any:
    """An object of a class, with sizes for the arguments that have no default."""
    given = {}
    required = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    for place, p in enumerate(p for p in required if p.kind is p.POSITIONAL_OR_KEYWORD):
        word = next((w for w in SIZES if w in p.name.lower()), None)
        given[p.name] = SIZES[word] if word else USUAL[min(place, len(USUAL) - 1)]
    return kind(**given)


def _takes_labels(layer: Any) -> bool:
    """True for a loss: forward takes scores and labels."""
    if isinstance(layer, Module):
        return "Loss" in type(layer).__name__
    forward = getattr(layer, "forward", layer)
    names = [p.name.lower() for p in inspect.signature(forward).parameters.values() if p.default is p.empty]
    words = ("label", "target", "true", "y", "t", "gt")
    return len(names) == 2 and ("loss" in type(layer).__name__.lower() or any(names[1].endswith(w) for w in words))


if __name__ == "__main__":
    sys.exit(main())
