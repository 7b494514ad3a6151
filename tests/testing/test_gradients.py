"""The checker is checked: gradcheck must notice planted errors, however small or well hidden."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import Function
from npnn.testing import assert_close, gradcheck


class Softmax(Function):
    """y = exp(x) / Σ exp(x).   dx = y (dy - Σ y dy)"""

    factor = 1.0

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y

    def backward(self, dy):
        y = self.y
        return self.factor * y * (dy - (dy * y).sum(axis=-1, keepdims=True))


X = np.random.default_rng(0).standard_normal((3, 4))


def test_a_right_gradient_passes():
    assert gradcheck(Softmax.apply, X)


@pytest.mark.parametrize("factor", [0.0, -7.0, 1e6, 1.0005, 1 - 1e-5])
def test_a_wrong_factor_is_caught(factor):
    """A cotangent of ones would let every one of these pass: the outputs of a softmax sum to one."""
    wrong = type("Wrong", (Softmax,), {"factor": factor})
    with pytest.raises(AssertionError, match="input 0: backward gives"):
        gradcheck(wrong.apply, X)


def test_one_wrong_entry_among_many_is_caught():
    class Square(Function):
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, dy):
            dx = 2 * self.x * dy
            dx[17, 3] *= 1.01
            return dx

    with pytest.raises(AssertionError, match="input 0"):
        gradcheck(Square.apply, np.random.default_rng(1).standard_normal((40, 5)))


def test_the_error_names_the_input_that_is_wrong():
    class Product(Function):
        def forward(self, a, b):
            self.a, self.b = a, b
            return a * b

        def backward(self, dy):
            return dy * self.b, dy * self.b

    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(Product.apply, X, X + 1)


def test_a_missing_gradient_is_caught():
    with pytest.raises(AssertionError, match="input 0: backward gives 0"):
        gradcheck(lambda a, b: a.detach() * a.detach() * b, X, X)
    with pytest.raises(AssertionError, match="no output depends"):
        gradcheck(lambda a: a.detach(), X)


def test_several_outputs_are_checked_together():
    assert gradcheck(lambda a: (a.exp(), a.argmax(1), a.sum(0)), X)


def test_assert_close_compares_shapes_too():
    assert_close(np.ones(3), np.ones(3))
    assert_close([np.nan], [np.nan])
    with pytest.raises(AssertionError):
        assert_close(np.ones((3, 1)), np.ones((1, 3)))
    with pytest.raises(AssertionError, match="weights"):
        assert_close(np.ones(3), np.ones(3) + 1e-3, what="weights")


def test_torchs_form_takes_a_tuple_and_checks_what_requires_a_gradient():
    x = npnn.tensor(X, dtype=npnn.float64, requires_grad=True)
    fixed = npnn.tensor(X + 1)
    assert npnn.autograd.gradcheck(lambda a, b: a * b.exp(), (x, fixed), eps=1e-6, atol=1e-4)
    assert npnn.autograd.gradcheck(npnn.exp, x)
    with pytest.raises(RuntimeError, match="wrong gradient: input 0"):
        npnn.autograd.gradcheck(lambda a: a.detach() * a, (x,))
    assert not npnn.autograd.gradcheck(lambda a: a.detach() * a, (x,), raise_exception=False)
    with pytest.raises(ValueError, match="there is none"):
        npnn.autograd.gradcheck(npnn.exp, (fixed,))
