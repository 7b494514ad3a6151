"""Gradients of gradients: beside PyTorch's, and against differences; and which functions have none."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.function import Function
from npnn.testing.gradients import gradgradcheck
from tests.second_order import layers, operations  # noqa: F401  they fill the table
from tests.second_order.table import CASES


def two_orders(m: Any, f: Any, inputs: Any, seed: int) -> tuple[list[Any], list[Any]]:
    """The gradient of f weighted with v, and that of the gradient weighted with w, by the inputs and by v."""
    rng = np.random.default_rng(seed)
    leaves = [m.tensor(x.copy()).requires_grad_() for x in inputs]
    y = f(m, m.nn.functional, *leaves)
    v = m.tensor(rng.normal(size=tuple(y.shape))).requires_grad_()
    first = m.autograd.grad(y, leaves, v, create_graph=True)
    total = sum((g * m.tensor(rng.normal(size=x.shape))).sum() for g, x in zip(first, inputs, strict=True))
    second = m.autograd.grad(total, [*leaves, v], allow_unused=True)
    zeros = [np.zeros(x.shape) for x in (*inputs, v)]
    numbers = [z if g is None else g.detach().numpy(force=True) for g, z in zip(second, zeros, strict=True)]
    return [g.detach().numpy(force=True) for g in first], numbers


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's opinion of kl_div's mean
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_a_gradient_is_torchs(name):
    torch = pytest.importorskip("torch")
    f, inputs = CASES[name]
    ours, theirs = (two_orders(m, f, inputs, 3) for m in (npnn, torch))
    for a, b in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * (1 + np.abs(b).max(initial=0)))


@pytest.mark.parametrize("name", [n for n in CASES if n not in {"third order", "abs"}])
def test_the_gradient_of_a_gradient_is_that_of_differences(name):
    f, inputs = CASES[name]
    leaves = tuple([npnn.tensor(x).requires_grad_() for x in inputs])
    assert gradgradcheck(lambda *x: f(npnn, npnn.nn.functional, *x), leaves, atol=1e-6, rtol=1e-5)


# ---- every function of npnn has a second derivative, or is known to have none

WITHOUT = {
    "Cholesky", "ConnectionistTemporal", "CumProd", "Distances", "LogCumSumExp", "NuclearNorm", "Position",
    "ProjectedLSTMLayer", "QR", "Question", "SVD", "SymmetricEigen",
}  # fmt: skip


def functions() -> set[type[Function]]:
    for module in pkgutil.walk_packages(npnn.__path__, "npnn."):
        if not module.name.endswith("__main__") and ".torch" not in module.name and ".experiment" not in module.name:
            import_module(module.name)
    found, waiting = set(), [Function]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("npnn.") and "backward" in dir(kind):
                found.add(kind)
    return found


def test_every_function_has_a_second_derivative_or_is_known_to_have_none():
    missing = {
        kind.__name__
        for kind in functions()
        if kind.derivative is Function.derivative
        and not hasattr(kind, "again")
        and kind.backward is not Function.backward
    }
    assert missing - {"ElementwiseLoss", "View"} == WITHOUT - {"Position", "Question"}


def test_what_has_none_says_so():
    x = npnn.rand(3, 4).requires_grad_()
    with pytest.raises(NotImplementedError, match=r"CumProd.*cannot be differentiated again"):
        npnn.autograd.grad(x.cumprod(1).sum(), x, create_graph=True)


def test_a_wrong_second_derivative_is_found():
    class Wrong(Function):
        """y = x³.   dx = 3 x² dy, whose derivative is given as that of 3 x dy"""

        def forward(self, x):
            self.x = x
            return x**3

        def backward(self, dy):
            return 3 * self.x * self.x * dy

        def derivative(self, dy):
            return 3 * self.x * self.x.detach() * dy

    with pytest.raises(RuntimeError, match="wrong gradient"):
        gradgradcheck(Wrong.apply, npnn.rand(3).double().requires_grad_())


def test_a_saved_value_of_another_shape_is_found():
    class Rows(Function):
        def forward(self, x):
            self.x = x.reshape(-1)
            return x * x

        def backward(self, dy):
            return 2 * self.x.reshape(dy.shape) * dy

        derivative = backward

    x = npnn.rand(3, 2).requires_grad_()
    with pytest.raises(AssertionError, match="saved for one of"):
        npnn.autograd.grad(Rows.apply(x).sum(), x, create_graph=True)
