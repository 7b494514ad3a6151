"""L-BFGS: steps along an estimate of the Newton direction, made of the last gradients' differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.modes import enable_grad
from npnn.optim.optimizer import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """d = -H g, H ≈ the inverse of the Hessian from the last ``history_size`` pairs of steps s and changes y of g.

    ``step(closure)`` makes up to ``max_iter`` iterations, each calling the closure, which computes loss and
    gradients anew; it ends when the largest |g| is below ``tolerance_grad``, or the step or the change of the loss
    below ``tolerance_change``.  ``line_search_fn="strong_wolfe"`` looks for a step length that is long enough.
    Errors: ValueError for several parameter groups or another line search.
    Source: Nocedal & Wright, Numerical optimization, 2006, algorithms 7.4 (two loops), 3.5 and 3.6 (line search).
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ):  # fmt: skip
        if not lr >= 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gradient(self) -> NDArray[Any]:
        parts = [
            np.zeros(p.array.size, p.array.dtype) if p.grad is None else p.grad.array.reshape(-1) for p in self._params
        ]
        return np.concatenate(parts)

    def _move(self, t: float, d: NDArray[Any]) -> None:
        start = 0
        for p in self._params:
            n = p.array.size
            p.array[...] += d.dtype.type(t) * d[start : start + n].reshape(p.array.shape)
            p._mark_changed("step")
            start += n

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate; returns the loss before the first iteration.   Errors: TypeError without a closure."""
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that computes the loss and its gradients anew")
        group = self.param_groups[0]
        state = self.state.setdefault(self._params[0], {"func_evals": 0, "n_iter": 0})

        def evaluate() -> float:
            with enable_grad():
                return float(closure())

        with enable_grad():
            first = closure()
        loss, evaluations = float(first), 1
        state["func_evals"] += 1
        g = self._gradient()
        if np.abs(g).max() <= group["tolerance_grad"]:
            return first
        d: Any = state.get("d")
        t = state.get("t")
        steps, changes = state.get("old_stps", []), state.get("old_dirs", [])
        rho, h = state.get("ro", []), state.get("H_diag", 1.0)
        before: Any = state.get("prev_flat_grad")
        loss_before = state.get("prev_loss")
        n = 0
        while n < group["max_iter"]:
            n += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d, steps, changes, rho, h = -g, [], [], [], 1.0
            else:
                y, s = g - before, d * d.dtype.type(t)
                ys = float(y @ s)
                if ys > 1e-10:
                    if len(changes) == group["history_size"]:
                        changes.pop(0), steps.pop(0), rho.pop(0)
                    changes.append(y)
                    steps.append(s)
                    rho.append(1 / ys)
                    h = ys / float(y @ y)
                q, alphas = -g, [0.0] * len(changes)
                for i in range(len(changes) - 1, -1, -1):
                    alphas[i] = float(steps[i] @ q) * rho[i]
                    q = q - g.dtype.type(alphas[i]) * changes[i]
                d = q * g.dtype.type(h)
                for i in range(len(changes)):
                    d = d + steps[i] * g.dtype.type(alphas[i] - float(changes[i] @ d) * rho[i])
            before, loss_before = g.copy(), loss
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * group["lr"] if state["n_iter"] == 1 else group["lr"]
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if group["line_search_fn"] is None:
                self._move(t, d)
                if n != group["max_iter"]:
                    loss, calls = evaluate(), 1
                    g = self._gradient()
            elif group["line_search_fn"] == "strong_wolfe":
                places = [p.array.copy() for p in self._params]

                def at(length: float, places: Any = places, d: Any = d) -> tuple[float, NDArray[Any]]:
                    self._move(length, d)
                    value, gradient = evaluate(), self._gradient()
                    for p, old in zip(self._params, places, strict=True):
                        p.array[...] = old
                    return value, gradient

                loss, g, t, calls = _strong_wolfe(at, t, d, loss, g, slope, group["tolerance_change"])
                self._move(t, d)
            else:
                raise RuntimeError("only 'strong_wolfe' is supported")
            evaluations += calls
            state["func_evals"] += calls
            if (
                n == group["max_iter"] or evaluations >= group["max_eval"] or np.abs(g).max() <= group["tolerance_grad"]
                or np.abs(d * t).max() <= group["tolerance_change"] or abs(loss - loss_before) < group["tolerance_change"]
            ):  # fmt: skip
                break
        state.update(
            d=d, t=t, old_stps=steps, old_dirs=changes, ro=rho, H_diag=h, prev_flat_grad=before, prev_loss=loss_before
        )
        return first


def _cubic(x1: float, f1: float, g1: float, x2: float, f2: float, g2: float, bounds: Any = None) -> float:
    """Where the cubic through two points with these slopes has its minimum, within the bounds."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2
    d2 = square**0.5
    place = (
        x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
        if x1 <= x2
        else x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    )
    return min(max(place, low), high)


def _strong_wolfe(
    at: Any, t: float, d: NDArray[Any], f: float, g: NDArray[Any], slope: float, tolerance: float, c1: float = 1e-4,
    c2: float = 0.9, most: int = 25,
) -> tuple[float, NDArray[Any], float, int]:  # fmt: skip
    """A step length at which the loss has fallen enough and its slope is small: first a bracket, then zooming in."""
    norm = float(np.abs(d).max())
    g = g.copy()
    f_new, g_new = at(t)
    calls, slope_new = 1, float(g_new @ d)
    t_prev, f_prev, g_prev, slope_prev, done, i = 0.0, f, g, slope, False, 0
    bracket: Any = None
    while i < most:
        if f_new > f + c1 * t * slope or (i > 1 and f_new >= f_prev):
            bracket = [[t_prev, t], [f_prev, f_new], [g_prev, g_new.copy()], [slope_prev, slope_new]]
            break
        if abs(slope_new) <= -c2 * slope:
            bracket, done = [[t], [f_new], [g_new], [slope_new]], True
            break
        if slope_new >= 0:
            bracket = [[t_prev, t], [f_prev, f_new], [g_prev, g_new.copy()], [slope_prev, slope_new]]
            break
        low, high, old = t + 0.01 * (t - t_prev), t * 10, t
        t = _cubic(t_prev, f_prev, slope_prev, t, f_new, slope_new, (low, high))
        t_prev, f_prev, g_prev, slope_prev = old, f_new, g_new.copy(), slope_new
        f_new, g_new = at(t)
        calls, slope_new, i = calls + 1, float(g_new @ d), i + 1
    if bracket is None:
        bracket = [[0.0, t], [f, f_new], [g, g_new], [slope, slope_new]]
    ts, fs, gs, slopes = bracket
    stuck = False
    low_at, high_at = (0, 1) if fs[0] <= fs[-1] else (1, 0)
    while not done and i < most:
        if abs(ts[1] - ts[0]) * norm < tolerance:
            break
        t = _cubic(ts[0], fs[0], slopes[0], ts[1], fs[1], slopes[1])
        edge = 0.1 * (max(ts) - min(ts))
        if min(max(ts) - t, t - min(ts)) < edge:
            if stuck or t >= max(ts) or t <= min(ts):
                t = max(ts) - edge if abs(t - max(ts)) < abs(t - min(ts)) else min(ts) + edge
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        f_new, g_new = at(t)
        calls, slope_new, i = calls + 1, float(g_new @ d), i + 1
        if f_new > f + c1 * t * slope or f_new >= fs[low_at]:
            ts[high_at], fs[high_at], gs[high_at], slopes[high_at] = t, f_new, g_new.copy(), slope_new
            low_at, high_at = (0, 1) if fs[0] <= fs[1] else (1, 0)
        else:
            if abs(slope_new) <= -c2 * slope:
                done = True
            elif slope_new * (ts[high_at] - ts[low_at]) >= 0:
                ts[high_at], fs[high_at], gs[high_at], slopes[high_at] = (
                    ts[low_at],
                    fs[low_at],
                    gs[low_at],
                    slopes[low_at],
                )
            ts[low_at], fs[low_at], gs[low_at], slopes[low_at] = t, f_new, g_new.copy(), slope_new
    return fs[low_at], gs[low_at], ts[low_at], calls
