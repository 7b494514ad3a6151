"""Rules for a gradient that is right for some elements, or that took another value than forward did."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.testing.case import Case, apart, close

__all__ = ["another_point", "another_saved", "border", "mask"]


def border(case: Case) -> str | None:
    if len(case.right.shape) < 3 or not case.is_input:
        return None
    wrong = apart(case.at(case.g), case.n, case.tolerance)
    where = np.array(np.unravel_index(case.right.index, case.right.shape))[2:]
    sizes = np.array(case.right.shape[2:])[:, None]
    if not wrong.any() or wrong.all():
        return None
    for width in range(1, int(sizes.min()) // 2 + 1):
        edge: Any = ((where < width) | (where >= sizes - width)).any(axis=0)
        if edge[wrong].all() and not edge.all() and wrong[edge].mean() > 0.5:
            return (
                f"right inside, wrong within {width} of the edge: what padding or the stride leave over at the border "
                "is cut off or counted elsewhere"
            )
        far: Any = (where >= sizes - width).any(axis=0)
        if far[wrong].all() and not far.all():
            return f"right but for the last {width} rows or columns: the stride leaves them over, and they are lost"
    return None


def mask(case: Case) -> str | None:
    wrong = apart(case.at(case.g), case.n, case.tolerance)
    share = wrong.mean()
    g, n = case.at(case.g), case.n
    if wrong.mean() > 0.9 and (np.abs(g * n) < 1e-12).all() and np.abs(g).max() > 0:
        return "a gradient where there is none, and none where there is one: the mask of forward is turned round"
    if not 0 < share < 0.9:
        return None
    g, n = g[wrong], n[wrong]
    if close(g, np.zeros_like(g), case.tolerance, case.n):
        said = "has 0 where there is a gradient"
    elif close(n, np.zeros_like(n), case.tolerance, case.n):
        said = "lets a gradient through where there is none"
    else:
        said = "has other numbers"
    where = np.argmax(wrong)
    place = tuple(int(i) for i in np.unravel_index(case.right.index[where], case.right.shape))
    return (
        f"right for {100 * (1 - share):.0f} % of the elements; for the others, such as {place}, backward {said}: the "
        "mask of forward (what was positive, largest, kept) must be the one that backward uses"
    )


def another_saved(case: Case) -> str | None:
    """Right, if what forward saved is exchanged for another array that there is."""
    layer = getattr(case.probe.subject, "layer", None)
    if not case.probe.subject.plain or layer is None:
        return None
    parameters = {id(p) for p in case.probe.subject.parameters.values()}
    for owner, key, said in _saved_places(layer):
        saved = owner[key]
        if id(saved) in parameters:
            continue
        known = [("the output", y) for y in case.probe.y] + [("the input", x) for x in case.probe.inputs]
        known += [(other, o[k]) for o, k, other in _saved_places(layer) if k != key]
        for name, value in known:
            if value.shape != saved.shape or value.dtype.kind != "f" or np.array_equal(value, saved):
                continue
            case.probe.subject.clear()
            case.probe.forward()
            before = owner[key]
            owner[key] = np.array(value)
            try:
                gradient = case.again()
            except Exception:
                gradient = None
            finally:
                owner[key] = before
            if gradient is not None and case.fits(np.asarray(gradient)):
                return f"backward is right if {said} holds {name}, and it holds something else: save that in forward"
    return None


def _saved_places(layer: Any) -> list[tuple[Any, Any, str]]:
    """Where a layer keeps arrays: (container, key, what to call it)."""
    found = []
    for name, value in list(vars(layer).items()) if hasattr(layer, "__dict__") else []:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            found.append((vars(layer), name, name))
        elif isinstance(value, dict) and name not in ("params", "grads"):
            found += [(value, k, f"{name}[{k!r}]") for k, v in value.items() if isinstance(v, np.ndarray)]
        elif isinstance(value, list):
            found += [(value, i, f"{name}[{i}]") for i, v in enumerate(value) if isinstance(v, np.ndarray)]
    return [(o, k, said) for o, k, said in found if o[k].dtype.kind == "f"]


def another_point(case: Case) -> str | None:
    """Of a function of single elements: the slope is right, but at another point."""
    probe = case.probe
    if not case.is_input or len(probe.y) != 1 or probe.y[0].shape != case.right.shape:
        return None
    diagonal = case.right.J[np.arange(len(case.right.index)), case.right.index]
    rest = np.abs(case.right.J).sum(axis=1) - np.abs(diagonal)
    w = case.at(probe.w[0])
    if (rest > 1e-6).any() or (w == 0).any():
        return None
    slope = case.at(case.g) / w
    x, y = case.at(probe.inputs[0]), case.at(probe.y[0])
    for name, point in (("the output", y),):
        moved = probe.inputs[0].copy()
        moved.reshape(-1)[case.right.index] = point
        up, down = (probe.forward([moved + s * 1e-6, *probe.inputs[1:]])[0] for s in (1, -1))
        if close(case.at((up - down) / 2e-6), slope, 100 * case.tolerance):
            return f"backward takes the slope at {name} and not at the input: save the input in forward"
    order = np.argsort(y)
    if len(y) > 3 and (np.diff(y[order]) >= 0).all():
        inside = (x > y.min()) & (x < y.max())
        if inside.sum() >= 3:
            expected = np.interp(x[inside], y[order], diagonal[order])
            if np.abs(expected - slope[inside]).max() < 0.05 * np.abs(diagonal).max() and not close(
                diagonal[inside], slope[inside], 0.05
            ):
                return "backward puts the input where the formula has the output: save y in forward, not x"
    return None
