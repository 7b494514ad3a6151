"""Rules for a gradient that is right but for a factor."""

from __future__ import annotations

import numpy as np

from npnn.testing.case import Case, close

__all__ = ["factor_by_axis", "scale", "sign", "zero"]


def zero(case: Case) -> str | None:
    if np.abs(case.g).max(initial=0) > 0 or np.abs(case.n).max(initial=0) == 0:
        return None
    return "backward gives nothing but zeros: the path from this array to the output is not followed back"


def _ratio(case: Case) -> float | None:
    """c with n = c g, if there is one for all elements; near 1 it must leave little of the difference unexplained."""
    g = case.at(case.g)
    norm = float(g @ g)
    if not norm:
        return None
    c = float(case.n @ g) / norm
    if not c or not close(c * g, case.n, 10 * case.tolerance):
        return None
    return c if np.linalg.norm(c * g - case.n) <= 0.2 * np.linalg.norm(g - case.n) else None


def sign(case: Case) -> str | None:
    c = _ratio(case)
    if c is None or abs(c + 1) > 1e-3:
        return None
    return "backward has the opposite sign everywhere: multiply by -1 (or look for a difference taken the wrong way)"


def scale(case: Case) -> str | None:
    c = _ratio(case)
    if c is None or abs(c - 1) <= case.tolerance:
        return None
    if c < 0:
        return f"backward is {1 / c:.6g} times the right gradient: the sign is wrong, and a factor of {-1 / c:.6g}"
    larger, factor = c < 1, 1 / c if c < 1 else c
    names = _names_of(case, factor)
    meaning = f": {factor:.6g} is {' or '.join(names)}" if names else ""
    told = (
        f"{factor:.6g} times"
        if larger
        else f"1/{factor:.6g} of"
        if abs(factor - round(factor)) < 1e-3
        else f"{1 / factor:.6g} times"
    )
    cure = ""
    if "the batch size" in names:
        cure = (
            "; divide by the batch in the loss, and nowhere else" if not larger
            else "; the loss is a mean, so its gradient is divided by the batch, once"
        )  # fmt: skip
    return f"backward is {told} the right gradient{meaning}{cure}"


def _names_of(case: Case, factor: float) -> list[str]:
    """What in this layer has the size of the factor."""
    x, y = case.probe.inputs[0], case.probe.y[0] if case.probe.y else np.zeros(1)
    sizes: list[tuple[str, float]] = []
    if x.ndim:
        sizes.append(("the batch size", len(x)))
    sizes.append(("the 2 in the derivative of a square", 2))
    if x.ndim > 1:
        sizes.append(("the number of classes" if y.ndim == 0 else "the number of features", x.shape[-1]))
    if x.ndim > 2:
        sizes += [("the number of positions", int(np.prod(x.shape[2:]))), ("the length of axis 1", x.shape[1])]
        sizes.append(("batch times positions", len(x) * int(np.prod(x.shape[2:]))))
    if y.ndim > 1:
        sizes.append(("the number of outputs", y.shape[-1]))
    if y.ndim > 2 and x.size % y.size == 0:
        sizes.append(("the number of inputs to an output", x.size // y.size))
    sizes += [("the number of elements", x.size), ("the square of the batch size", len(x) ** 2 if x.ndim else 0)]
    return [name for name, size in sizes if size > 1 and abs(factor / size - 1) < 1e-3]


def factor_by_axis(case: Case) -> str | None:
    """n / g is one number for each index of an axis: a weight, or a standard deviation, was left out."""
    g, n = case.at(case.g), case.n
    if len(case.right.shape) < 2 or (np.abs(g) < 1e-12).any():
        return None
    ratio, places = n / g, np.array(np.unravel_index(case.right.index, case.right.shape))
    for axis in range(len(case.right.shape)):
        groups = [ratio[places[axis] == k] for k in np.unique(places[axis])]
        if all(np.ptp(r) <= 1e-3 * np.abs(r).max() for r in groups) and any(len(r) > 1 for r in groups):
            values = np.array([r[0] for r in groups])
            for name, p in case.probe.subject.parameters.items():
                for inverse in (p.ravel(), 1 / p.ravel()):
                    if p.size == len(values) and np.allclose(values, inverse, rtol=1e-3):
                        return f"a factor is missing, one number for each index of axis {axis}: {name}"
            return f"a factor is missing, one number for each index of axis {axis}, {np.array2string(values[:4], precision=3)}…"
    return None
