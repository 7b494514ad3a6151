"""One case, run in both frameworks: the same code builds npnn's layer and torch's, and all must agree.

Without torch the same cases still run gradcheck, and then report themselves as skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.testing import assert_close, gradcheck

try:
    import torch
except ImportError:  # a supported way to run: make test TORCH=0
    torch = None

requires_torch = pytest.mark.skipif(torch is None, reason="torch is not installed: no parity check")

TOLERANCES = {"float64": {"rtol": 1e-9, "atol": 1e-9}, "float32": {"rtol": 1e-4, "atol": 1e-5}}


def skip_without_torch() -> None:
    """Call after the checks that need no torch: the rest of the test is then reported as skipped."""
    if torch is None:
        pytest.skip("torch is not installed: gradcheck passed, parity not checked")


def random_input(shape: Sequence[int], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Standard normal values; integers from 0 to 3 for an integer dtype."""
    rng = np.random.default_rng([seed, *shape])
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 4, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _flatten(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in _flatten(part)]
    return [result]


def _is_float(y: Any) -> bool:
    return "float" in str(y.dtype)


def _array(y: Any) -> np.ndarray:
    return np.asarray(y.detach().numpy())


def _run(framework: Any, fn: Callable[..., Any], inputs: Sequence[np.ndarray], cotangents: list[np.ndarray] | None):
    """Outputs of fn on tensors of one framework, and the input gradients for random output gradients."""
    if framework is npnn:
        tensors = [npnn.tensor(x.copy(order="K")) for x in inputs]
    else:
        tensors = [torch.from_numpy(x.copy(order="K")) for x in inputs]
    for t in tensors:
        if _is_float(t):
            t.requires_grad_()
    outputs = _flatten(fn(*tensors))
    if cotangents is None:
        rng = np.random.default_rng(7)
        cotangents = [
            np.asarray(rng.standard_normal(tuple(y.shape)), str(_array(y).dtype)) if _is_float(y) else None
            for y in outputs
        ]
    total = None
    for y, w in zip(outputs, cotangents, strict=True):
        if w is None or not y.requires_grad:
            continue
        weight = npnn.tensor(w) if framework is npnn else torch.from_numpy(w)
        term = (y * weight).sum()
        total = term if total is None else total + term
    if total is not None:
        total.backward()
    return outputs, [t.grad for t in tensors], cotangents


def _compare(ours: Any, theirs: Any, what: str, tolerance: dict[str, float]) -> None:
    if theirs is None or ours is None:
        # torch leaves None where no gradient flows; zeros are the same statement
        present = ours if theirs is None else theirs
        if present is not None:
            assert_close(present, np.zeros(tuple(present.shape)), **tolerance, what=what)
        return
    assert str(_array(ours).dtype) == str(_array(theirs).dtype), f"{what}: dtype {ours.dtype}, torch {theirs.dtype}"
    assert_close(ours, theirs, **tolerance, what=what)


def assert_function_matches_torch(
    fn: Callable[..., Any],
    *inputs: np.ndarray,
    torch_fn: Callable[..., Any] | None = None,
    check_gradient: bool = True,
    **tolerance: float,
) -> None:
    """fn(*tensors) must give the same outputs and input gradients in both frameworks.

    ``fn`` uses only what both share (methods, operators); where the spelling differs, pass ``torch_fn``.
    ``inputs`` are arrays; floating-point ones get a gradient.  With float64 inputs the gradient is
    also held against a finite difference, unless ``check_gradient`` is False (at a kink).
    """
    tolerance = tolerance or TOLERANCES["float32" if any(x.dtype == np.float32 for x in inputs) else "float64"]
    if check_gradient and all(x.dtype == np.float64 for x in inputs):
        gradcheck(fn, *inputs)
    skip_without_torch()
    ours, our_grads, cotangents = _run(npnn, fn, inputs, None)
    theirs, their_grads, _ = _run(torch, torch_fn or fn, inputs, cotangents)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        _compare(a, b, f"output {i}", tolerance)
    for i, (a, b) in enumerate(zip(our_grads, their_grads, strict=True)):
        _compare(a, b, f"gradient of input {i}", tolerance)


def assert_module_matches_torch(
    build: Callable[[Any], Any],
    *inputs: np.ndarray,
    dtype: str = "float64",
    train: bool = True,
    check_gradient: bool = True,
    **tolerance: float,
) -> None:
    """build(nn) makes the module from npnn.nn or torch.nn; from equal weights all must agree.

    Compared: state_dict keys and shapes, outputs, input gradients, every parameter gradient, and the
    buffers afterwards, for a random output gradient.
    """
    tolerance = tolerance or TOLERANCES[dtype]
    inputs = tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs)
    module = build(npnn.nn).to(dtype).train(train)
    randomise(module)
    if check_gradient and dtype == "float64":
        gradcheck_module(module, *inputs)
    skip_without_torch()

    reference = build(torch.nn).to(getattr(torch, dtype)).train(train)
    state = module.state_dict()
    expected = reference.state_dict()
    assert list(state) == list(expected), "state_dict keys or their order differ"
    reference.load_state_dict({k: torch.tensor(v.numpy()) for k, v in state.items()})

    ours, our_grads, cotangents = _run(npnn, module, inputs, None)
    theirs, their_grads, _ = _run(torch, reference, inputs, cotangents)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        _compare(a, b, f"output {i}", tolerance)
    for i, (a, b) in enumerate(zip(our_grads, their_grads, strict=True)):
        _compare(a, b, f"gradient of input {i}", tolerance)
    for (name, p), (_, q) in zip(module.named_parameters(), reference.named_parameters(), strict=True):
        _compare(p.grad, q.grad, f"gradient of {name}", tolerance)
    for (name, p), (_, q) in zip(module.named_buffers(), reference.named_buffers(), strict=True):
        _compare(p, q, f"buffer {name}", tolerance)


def equal_modules(build: Callable[[Any], Any]) -> list[Any]:
    """[build(npnn), build(torch)] with the weights of the first in both: where torch was built without fused
    multiply-add, what it draws from the same seed differs in the last places."""
    ours, theirs = build(npnn), build(torch)
    theirs.load_state_dict(npnn.io.to_torch(ours.state_dict()))
    return [ours, theirs]


def randomise(module: Any, seed: int = 1) -> None:
    """Give every parameter and floating-point buffer random values: zeros and ones hide errors."""
    rng = np.random.default_rng(seed)
    for name, t in module.state_dict().items():
        if t.array.dtype.kind == "f":
            values = rng.standard_normal(t.shape) * 0.5
            t.copy_(np.abs(values) + 0.5 if "var" in name else values)


def gradcheck_module(module: Any, *inputs: np.ndarray) -> None:
    """gradcheck with respect to the floating-point inputs and every parameter of a float64 module."""
    names = [n for n, _ in module.named_parameters()]
    start = {k: v.array.copy() for k, v in module.state_dict().items()}
    floating = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]

    def evaluate(*values: Any) -> Any:
        for name, buffer in module.named_buffers():  # each evaluation must see the same function
            np.copyto(buffer.array, start[name])
        given = [npnn.tensor(x) for x in inputs]
        for i, value in zip(floating, values[: len(floating)], strict=True):
            given[i] = value
        for name, value in zip(names, values[len(floating) :], strict=True):
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, value)
        return tuple(_flatten(module(*given)))

    parameters = dict(module.named_parameters())
    try:
        gradcheck(evaluate, *[inputs[i] for i in floating], *[p.array for p in parameters.values()])
    finally:
        for name, p in parameters.items():
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, p)
        module.load_state_dict(start)
        module.zero_grad()
