"""Rules for a gradient whose numbers are right, in other places or another shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npnn.testing.case import Case, close

__all__ = ["another_shape", "axis_sets", "layout", "parameter_transposed", "summed", "transposed", "transposed_shape"]


def summed(case: Case) -> str | None:
    g, shape = case.g, case.right.shape
    if g.shape == shape or not g.size:
        return None
    for axes in axis_sets(g.ndim):
        total = g.sum(axis=axes)
        if all(g.shape[a] == 1 for a in axes):
            continue  # nothing to add up: only the shape is another
        if total.size == int(np.prod(shape)) and case.fits(total.reshape(shape)):
            of = "the batch" if axes == (0,) else f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
            return (
                f"backward gives shape {g.shape}, the array has {shape}; summed over {of} it is right: what was "
                f"broadcast in forward is summed in backward, .sum(axis={axes[0] if len(axes) == 1 else axes})"
            )
    return None


def axis_sets(ndim: int) -> Iterator[tuple[int, ...]]:
    for count in range(1, ndim + 1):
        yield from itertools.combinations(range(ndim), count)


def transposed_shape(case: Case) -> str | None:
    if case.g.shape == case.right.shape or sorted(case.g.shape) != sorted(case.right.shape):
        return None
    for order in itertools.permutations(range(case.g.ndim)):
        if case.fits(case.g.transpose(order)):
            return (
                f"backward gives shape {case.g.shape}, the array has {case.right.shape}; transposed "
                f"({', '.join(map(str, order))}) it is right"
            )
    return None


def another_shape(case: Case) -> str | None:
    if case.g.shape == case.right.shape:
        return None
    if case.g.size == int(np.prod(case.right.shape)) and case.fits(case.g.reshape(case.right.shape)):
        return f"backward gives shape {case.g.shape}, the array has {case.right.shape}; the numbers are right: reshape"
    return f"backward gives shape {case.g.shape}, the array has {case.right.shape}"


def transposed(case: Case) -> str | None:
    if case.g.ndim < 2:
        return None
    for order in itertools.permutations(range(case.g.ndim)):
        moved = case.g.transpose(order)
        if order != tuple(range(case.g.ndim)) and moved.shape == case.g.shape and case.fits(moved):
            return f"backward gives the transpose of the right gradient (axes {', '.join(map(str, order))}): dW = xᵀ dy"
    return None


def parameter_transposed(case: Case) -> str | None:
    """Backward is right if a parameter is turned round between forward and backward."""
    if not case.is_input:
        return None
    turns: list[tuple[str, Callable[[Any], Any]]] = [
        ("transposed", lambda W: W.swapaxes(0, 1)),
        ("flipped along its last axes", lambda W: W[..., ::-1, ::-1] if W.ndim > 3 else W[..., ::-1]),
        ("flipped and transposed", lambda W: W.swapaxes(0, 1)[..., ::-1, ::-1] if W.ndim > 3 else W),
        ("transposed", lambda W: W.swapaxes(-1, -2)),
    ]
    for name, W in case.probe.subject.parameters.items():
        if W.ndim < 2:
            continue
        for said, turn in turns:
            before = W.copy()
            if turn(before).shape != W.shape or np.array_equal(turn(before), before):
                continue
            case.probe.subject.clear()
            case.probe.forward()
            W[...] = turn(before)
            try:
                gradient = case.again()
            finally:
                W[...] = before
            if gradient is not None and case.fits(np.asarray(gradient)):
                return f"backward would be right with {name} {said}: dx = dy Wᵀ, where y = x W"
    return None


def layout(case: Case) -> str | None:
    g = case.g
    if g.ndim >= 2:
        for order in itertools.permutations(range(g.ndim)):
            if order == tuple(range(g.ndim)):
                continue
            shape = [g.shape[i] for i in order]
            for moved, said in (
                (g.reshape(shape).transpose(np.argsort(order)), f"reshape({tuple(shape)}) and transpose"),
                (g.transpose(order).reshape(g.shape), f"transpose{order} and reshape"),
            ):
                if case.fits(moved):
                    return f"the numbers are right but in the order of another layout: {said} puts them in place"
        for axes in axis_sets(g.ndim):
            if case.fits(np.flip(g, axes)):
                return f"backward gives the right gradient flipped along axis {', '.join(map(str, axes))}"
    few = (np.abs(case.n) > 0).mean() < 0.6  # zeros are alike wherever they are: that is a mask
    if few or not case.right.complete or close(g.ravel(), case.n, case.tolerance):
        return None
    if not close(np.sort(g.ravel()), np.sort(case.n), case.tolerance):
        return None
    return "the same numbers as in the right gradient, in other places: a reshape where a transpose was needed"
