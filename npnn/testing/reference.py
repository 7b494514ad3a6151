"""The same layer of the framework, found by its name and given the same parameters: do the outputs agree?"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import nn
from npnn.io.torch_interop import loaded_torch
from npnn.modes import no_grad
from npnn.nn.module import Module
from npnn.tensor import of_array
from npnn.testing.base import Subject
from npnn.testing.finding import Finding
from npnn.testing.probe import Probe

__all__ = ["compare_forward", "example_input", "find_reference"]

SPELLINGS = {  # of an argument of the framework's layers, in layers of others
    "kernel_size": ("kernel_size", "kernel", "pool_size", "size", "k", "ksize", "filter_size", "pool"),
    "stride": ("stride", "strides", "s"),
    "padding": ("padding", "pad", "p"),
    "eps": ("eps", "epsilon"),
    "negative_slope": ("negative_slope", "alpha", "slope"),
    "num_groups": ("num_groups", "groups", "G"),
}
AGREE = 1e-6


def compare_forward(layer: Any, subject: Subject, probe: Probe, reference: Any) -> Iterator[Finding]:
    """A finding if the outputs differ, or if the reference cannot be given the same parameters."""
    module = (
        _named(reference, layer, subject, probe) if isinstance(reference, str) else copy.deepcopy(reference).double()
    )
    name = reference if isinstance(reference, str) else type(module).__name__
    problem = _copy_parameters(module, subject)
    if problem:
        yield Finding("forward", "parameters", f"cannot be compared with {name}: {problem}")
        return
    theirs, ours = _run(module, probe.inputs), probe.forward()
    for y, right in zip(ours, theirs, strict=False):
        if y.shape != right.shape:
            yield Finding("forward", "output", f"its shape is {y.shape}, that of {name} {right.shape}")
        elif not np.allclose(y, right, rtol=AGREE, atol=AGREE * max(1.0, float(np.abs(right).max(initial=0)))):
            yield Finding("forward", "output", _difference(y, right, name), y, right)


def _difference(y: NDArray[Any], right: NDArray[Any], name: str) -> str:
    scale = float((y * right).sum()) / max(float((y * y).sum()), 1e-300)
    worst = float(np.abs(y - right).max())
    if np.allclose(scale * y, right, rtol=1e-5, atol=1e-8):
        return f"it is {1 / scale:.6g} times that of {name}"
    if y.ndim > 1 and np.allclose(np.ptp(right - y, axis=0), 0, atol=1e-9):
        return f"it differs from {name} by a constant for each output: look at the bias"
    if np.allclose(np.sort(y.ravel()), np.sort(right.ravel()), rtol=1e-6):
        return f"it has the numbers of {name} in other places: look at the order of the axes"
    return f"it differs from that of {name} by up to {worst:.3g}"


def _run(module: Any, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    if isinstance(module, Module):
        with no_grad():
            result = module(*[of_array(x.copy()) for x in inputs])
    else:
        torch = loaded_torch()
        with torch.no_grad():
            result = module(*[torch.from_numpy(x.copy()) for x in inputs])
    parts = result if isinstance(result, tuple) else (result,)
    flat = [p for part in parts for p in (part if isinstance(part, tuple) else (part,))]
    return [np.asarray(p.detach().numpy()) for p in flat]


def _copy_parameters(module: Any, subject: Subject) -> str | None:
    """Give the module the subject's parameters, by shape, or transposed; a sentence if they do not fit."""
    left = dict(subject.parameters)
    for name, p in module.named_parameters():
        shape = tuple(p.shape)
        choices = sorted(left, key=lambda n: not _alike(n, name))
        fit = next((n for n in choices if left[n].shape == shape and _alike(n, name)), None)
        fit = fit or next((n for n in choices if left[n].shape in (shape, shape[::-1])), None)
        fit = fit or next((n for n in choices if left[n].size == p.numel() and 1 in left[n].shape), None)
        if fit is None:
            if "bias" in name:
                _set(p, np.zeros(shape))  # it may have none
                continue
            return f"nothing of shape {shape} for its {name}"
        value = left.pop(fit)
        square = value.ndim == 2 and value.shape == shape == shape[::-1]
        turned = (value.shape != shape and value.shape == shape[::-1]) or (square and _input_first(subject, value))
        _set(p, value.T if turned else value.reshape(shape))
    return None


def _alike(ours: str, theirs: str) -> bool:
    a, b = ours.rsplit(".", 1)[-1].lower(), theirs.rsplit(".", 1)[-1].lower()
    bias = ("b", "bias", "beta", "bi", "b1")
    return (a.startswith(bias)) == b.startswith("bias")


def _input_first(subject: Subject, value: NDArray[Any]) -> bool:
    """A square matrix of a layer in plain NumPy is nearly always (inputs, outputs), y = x W."""
    return subject.plain


def _set(parameter: Any, value: NDArray[Any]) -> None:
    target = parameter.array if hasattr(parameter, "array") else parameter.detach().numpy()
    target[...] = value


def find_reference(name: str) -> str | None:
    """The name itself, if it is a layer's or a loss's of npnn.nn, else None."""
    kind = getattr(nn, name, None)
    return name if isinstance(kind, type) and issubclass(kind, Module) else None


def _named(name: str, layer: Any, subject: Subject, probe: Probe) -> Any:
    """A module of npnn.nn of this name, as large as the layer.  Errors: TypeError if there is none."""
    kind = getattr(nn, name.removeprefix("nn.").removeprefix("torch.nn."), None)
    if not (isinstance(kind, type) and issubclass(kind, Module)):
        raise TypeError(f"reference {name!r} is no layer of npnn.nn")
    x, y = probe.inputs[0], probe.y[0]
    weights = sorted(subject.parameters.values(), key=lambda p: -p.ndim)
    known: dict[str, Any] = {
        "in_features": x.shape[-1], "out_features": y.shape[-1] if y.ndim else 1, "num_features": x.shape[1] if x.ndim > 1 else 1,
        "in_channels": x.shape[1] if x.ndim > 1 else 1, "out_channels": y.shape[1] if y.ndim > 1 else 1,
        "normalized_shape": x.shape[-1:], "num_channels": x.shape[1] if x.ndim > 1 else 1, "input_size": x.shape[-1],
        "hidden_size": y.shape[-1] if y.ndim else 1, "dim": -1,
    }  # fmt: skip
    if weights and weights[0].ndim > 2:
        known["kernel_size"] = weights[0].shape[2:]
    if weights and name == "Embedding":
        known["num_embeddings"], known["embedding_dim"] = weights[0].shape
    arguments = inspect.signature(kind).parameters
    given = {n: v for n, v in known.items() if n in arguments}
    for argument in arguments:
        for spelled in SPELLINGS.get(argument, (argument,)):
            value = getattr(layer, spelled, None)
            if isinstance(value, (int, float, tuple)) and not isinstance(value, bool):
                given[argument] = value
                break
    if "kernel_size" in arguments and "kernel_size" not in given:
        given["kernel_size"] = max(1, x.shape[-1] // max(1, y.shape[-1]))
    given = {
        n: v
        for n, v in given.items()
        if arguments[n].default is inspect.Parameter.empty or n not in ("dim",) or "oftmax" in name
    }
    if "stride" in arguments and "stride" not in given and "kernel_size" in given and weights:
        given |= _window(x.shape[-1], y.shape[-1], given)
    return kind(**given).double()


def _window(size: int, out: int, given: dict[str, Any]) -> dict[str, int]:
    """A stride and a padding with which ``size`` becomes ``out``."""
    kernel = given["kernel_size"][-1] if isinstance(given["kernel_size"], tuple) else given["kernel_size"]
    for stride in range(1, 5):
        for padding in range(kernel):
            if (size + 2 * padding - kernel) // stride + 1 == out:
                return {"stride": stride, "padding": padding}
    return {}


def example_input(layer: Any, reference: Any = None) -> NDArray[Any]:
    """A random input that a layer takes: tried are matrices, images and sequences as wide as its parameters.

    Errors: TypeError if it takes none of them.
    """
    from npnn.testing.parameters import PARAMETERS

    sizes = []
    for owner in (layer, *[getattr(layer, n, None) for n in PARAMETERS]):
        values = (
            owner.values() if isinstance(owner, dict) else vars(owner).values() if hasattr(owner, "__dict__") else owner
        )
        sizes += [v.shape for v in (values or ()) if isinstance(v, np.ndarray)] if not callable(values) else []
    if hasattr(layer, "named_parameters"):
        sizes = [tuple(p.shape) for _, p in layer.named_parameters()]
    widths = dict.fromkeys(
        [s for shape in sorted(sizes, key=len, reverse=True) for s in (shape[1:2] + shape[:1])] or [6]
    )
    rng = np.random.default_rng(0)
    images = [(3, width, 7, 7) for width in widths]
    flat = [(8, width) for width in widths]
    wanted = any(len(shape) == 4 for shape in sizes) or (isinstance(reference, str) and "2d" in reference)
    forward = getattr(layer, "forward", layer)
    tries = [*images, *flat] if wanted else [*flat, *images, *[(4, 5, width) for width in widths]]
    for x in [*map(rng.standard_normal, tries), rng.integers(0, 3, (4, 5))]:
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            _try(layer, copy.deepcopy(forward), x)
            return x
    raise TypeError(f"no input was found that {type(layer).__name__} takes: give x")


def _try(layer: Any, forward: Any, x: NDArray[Any]) -> None:
    if isinstance(layer, Module):
        copy.deepcopy(layer).double()(of_array(x))
    elif hasattr(layer, "named_parameters"):
        copy.deepcopy(layer).double()(loaded_torch().from_numpy(x))
    else:
        forward(x)
