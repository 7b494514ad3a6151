"""An object or a pair of functions in plain NumPy, as a Subject: how they are called, and where their gradients are."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.base import (
    BACKWARD,
    FORWARD,
    SWITCHES,
    Arrays,
    Subject,
    method,
    outputs_of,
    parameter_names,
    required,
    seeded,
    takes_any,
)
from npnn.testing.parameters import Slot, find_parameters, held_arrays, set_double, sounds_like_a_parameter

__all__ = ["Pair", "Plain"]

RATES = ("lr", "learning_rate", "rate", "eta", "step_size")  # backward takes the step itself
DX = ("dx", "dX", "grad_input", "grad_x", "dinputs", "d_x", "dinput")  # where the gradient of the input may be


class Plain(Subject):
    """An object in plain NumPy: ``forward(x)`` or a call, ``backward(dy)``, and parameters wherever it keeps them."""

    plain = True

    def __init__(self, layer: Any, inputs: Sequence[NDArray[Any]]):
        self.layer, self.name = copy.deepcopy(layer), type(layer).__name__
        forward, backward = method(self.layer, FORWARD), method(self.layer, BACKWARD)
        assert forward is not None
        assert backward is not None
        self._forward, self._backward = forward, backward
        set_double(self.layer)
        self._options = {n: "train" if n == "mode" else True for n in parameter_names(forward) if n in SWITCHES[:-1]}
        self._switches = [name for name in SWITCHES if hasattr(self.layer, name)]
        self.can_be_turned_off = bool(self._options or self._switches)
        for name in self._switches:
            if isinstance(getattr(self.layer, name), bool):
                setattr(self.layer, name, True)
        self._shapes = [x.shape for x in inputs]
        self._rate = next((n for n in parameter_names(backward) if n in RATES), None)
        held = held_arrays(self.layer)
        self.slots: list[Slot] = held if self._rate else []
        self.parameters, self._resets = {}, []
        with seeded(0), np.errstate(all="ignore"):
            outputs = self.forward([x.copy() for x in inputs])
            if not outputs:
                return  # nothing to go back from
            ones = [np.ones_like(y) for y in outputs]
            returned = self.backward(ones)[1] if self._rate else self._call_back(ones)
        if not self._rate:
            self.slots = find_parameters(self.layer)  # now that the gradients are there
            known = {id(slot.array) for slot in self.slots}
            loose = [slot for slot in held if id(slot.array) not in known]
            extra = isinstance(returned, (tuple, list)) and len(returned) > len(self._shapes)
            self.slots += [
                s for s in loose if extra or isinstance(returned, Mapping) or sounds_like_a_parameter(s.name)
            ]
        self.parameters = {slot.name: slot.array for slot in self.slots}
        names = ("zero_grad", "zero_grads", "zerograd", "clear_grads", "reset_grads")
        self._resets = [getattr(self.layer, n) for n in names if callable(getattr(self.layer, n, None))]
        self.adds_up = bool(self._resets)
        self.clear()

    def forward(self, inputs: Sequence[NDArray[Any]]) -> Arrays:
        return outputs_of(self._forward(*inputs, **self._options))

    def _call_back(self, cotangents: Sequence[NDArray[Any]]) -> Any:
        wanted = required(self._backward)
        if self._rate:
            return self._backward(*cotangents, **{self._rate: 1.0})
        if len(cotangents) > 1 and wanted < 2 and not takes_any(self._backward):
            return self._backward(tuple(cotangents))
        return self._backward(*cotangents) if wanted else self._backward()

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        before = [slot.array.copy() for slot in self.slots] if self._rate else []
        inputs, loose = _sorted_result(result := self._call_back(cotangents), self._shapes, self.slots)
        if result is None:
            attributes = vars(self.layer) if hasattr(self.layer, "__dict__") else {}
            inputs = [next((attributes[n] for n in DX if isinstance(attributes.get(n), np.ndarray)), None)]
            inputs += [None] * (len(self._shapes) - 1)
        for slot, old in zip(self.slots, before, strict=False):  # it takes the step itself, with a rate of 1
            loose[slot.name] = old - getattr(self.layer, slot.name)
            slot.array[...] = old
            slot.write(slot.array)
        return inputs, {**{slot.name: slot.gradient() for slot in self.slots if slot.has_gradient()}, **loose}

    def clear(self) -> None:
        for reset in self._resets:
            reset()
        for slot in self.slots:
            slot.clear()

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        options, attributes = dict(self._options), {}
        for name in self._options:
            self._options[name] = "test" if name == "mode" else False
        for name in self._switches:
            value = getattr(self.layer, name)
            if name == "eval" and callable(value):
                value()
            elif isinstance(value, bool):
                attributes[name] = value
                setattr(self.layer, name, False)
            elif name == "train" and callable(value) and "eval" not in self._switches:
                with contextlib.suppress(TypeError):
                    value(False)
        try:
            yield
        finally:
            self._options = options
            for name, value in attributes.items():
                setattr(self.layer, name, value)
            if callable(getattr(self.layer, "train", None)):
                self.layer.train()


def _sorted_result(result: Any, shapes: Sequence[tuple[int, ...]], slots: Sequence[Slot]) -> tuple[list[Any], dict]:
    """What backward returned: gradients of the inputs, and of those parameters that are nowhere else."""
    if result is None:
        return [None] * len(shapes), {}
    if isinstance(result, Mapping):
        loose = {s.name: np.asarray(result[k]) for s in slots for k in s.spellings() if k in result}
        keys = [k for k in ("x", "dx", "dX", "input", "d_x", "grad_x") if k in result]
        return [np.asarray(result[keys[0]])] if keys else [None], loose
    if not isinstance(result, (tuple, list)):
        return [np.asarray(result)], {}
    inputs, rest = list(result[: len(shapes)]), list(result[len(shapes) :])
    loose = {}
    if len(rest) == 1 and isinstance(rest[0], Mapping):
        loose = {s.name: np.asarray(rest[0][k]) for s in slots for k in s.spellings() if k in rest[0]}
    else:
        missing = [s for s in slots if not s.has_gradient()]
        for gradient in rest:
            fits = [s for s in missing if gradient is not None and s.array.shape == np.shape(gradient)] or missing
            if gradient is not None and fits:
                loose[fits[0].name] = np.asarray(gradient)
                missing.remove(fits[0])
    return [None if g is None else np.asarray(g) for g in inputs], loose


class Pair(Subject):
    """Two functions: forward(x, ...) -> y or (y, cache), and backward(dy, cache), backward(dy, x, ...) or backward(dy)."""

    plain = True

    def __init__(self, forward: Any, backward: Any, inputs: Sequence[NDArray[Any]]):
        self._functions, self.name = (forward, backward), getattr(forward, "__name__", "the pair")
        self.parameters, self._cache, self._inputs = {}, None, list(inputs)
        self.inputs_shapes = [x.shape for x in inputs]

    def forward(self, inputs: Sequence[NDArray[Any]]) -> Arrays:
        self._inputs = list(inputs)
        result = self._functions[0](*inputs)
        if isinstance(result, tuple) and len(result) == 2 and required(self._functions[1]) >= 2:
            result, self._cache = result
            self._cached = True
        else:
            self._cached = False
        return outputs_of(result)

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        back, count = self._functions[1], len(cotangents)
        wanted = required(back)
        if self._cached:
            result = back(*cotangents, self._cache)
        elif wanted == count:
            result = back(*cotangents)
        else:
            result = back(*cotangents, *self._inputs[: wanted - count])
        if isinstance(result, Mapping):
            result = tuple(result.values())
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        parts += [None] * (len(self.inputs_shapes) - len(parts))
        return [None if g is None else np.asarray(g) for g in parts[: len(self.inputs_shapes)]], {}
