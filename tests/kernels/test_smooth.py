"""The compiled smooth activations against their NumPy forms, in float32 and in float64."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, smooth
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")

FORWARD = {
    "sigmoid": (smooth.sigmoid, ()),
    "silu": (smooth.silu, ()),
    "gelu": (smooth.gelu, ()),
    "elu": (smooth.elu, (0.7, 1.3, 1.0)),
    "elu, steep": (smooth.elu, (0.7, 1.3, 2.5)),
    "softplus": (smooth.softplus, (1.0, 20.0)),
    "softplus, steep": (smooth.softplus, (3.0, 2.0)),
    "log of a sigmoid": (smooth.softplus, (-1.0, np.inf)),
}
BACKWARD = {
    "silu": (smooth.silu_backward, ()),
    "gelu": (smooth.gelu_backward, ()),
    "elu": (smooth.elu_backward, (0.7, 1.3, 1.0)),
    "elu, steep": (smooth.elu_backward, (0.7, 1.3, 2.5)),
    "softplus": (smooth.softplus_backward, (1.0, 20.0)),
    "softplus, steep": (smooth.softplus_backward, (3.0, 2.0)),
    "log of a sigmoid": (smooth.softplus_backward, (-1.0, np.inf)),
}


#: What is allowed, relative and absolute: a few units of the last place.
CLOSE = {"float32": 1e-6, "float64": 2e-15}


def compare(kernel, arrays, numbers):
    """The twin against the NumPy form in float64."""
    y = kernel.twin(*arrays, *numbers)
    expected = kernel.reference(*[a.astype(np.float64) for a in arrays], *numbers)
    assert y.dtype == arrays[-1].dtype
    close = CLOSE[y.dtype.name]
    np.testing.assert_allclose(y, expected, rtol=close, atol=close)
    np.testing.assert_array_equal(y, kernel.twin(*arrays, *numbers))
    return y


@needs_jit
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", FORWARD)
def test_forward(num_threads, name, dtype):
    for shape in [(1, 1), (0, 3), (3, 17, 5, 7), (64, 33), (5,), ()]:
        x = 4 * random_input(shape, dtype)
        orders = [x, np.asfortranarray(x), *([x[..., ::-1], np.repeat(x, 2, axis=-1)[..., ::2]] if x.ndim else [])]
        for view in orders:
            y = compare(FORWARD[name][0], [np.asarray(view)], FORWARD[name][1])
            assert y.strides == np.empty_like(view).strides


@needs_jit
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", BACKWARD)
def test_backward(num_threads, name, dtype):
    for shape in [(1, 1), (0, 3), (3, 17, 5, 7), (64, 33)]:
        x, dy = 4 * random_input(shape, dtype), random_input(shape, dtype, seed=1)
        for gradient in (dy, np.asfortranarray(dy)):
            compare(BACKWARD[name][0], [gradient, x], BACKWARD[name][1])


@needs_jit
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", FORWARD)
def test_the_whole_range(name, dtype):
    close = CLOSE[dtype]
    x = np.concatenate([np.linspace(-110, 110, 4001), np.geomspace(1e-30, 1e-3, 200), [0.0, -0.0]]).astype(dtype)
    x = np.concatenate([x, -x])
    kernel, numbers = FORWARD[name]
    expected = kernel.reference(x.astype(np.float64), *numbers)
    y = kernel.twin(x, *numbers)
    np.testing.assert_allclose(y, expected, rtol=2 * close, atol=close / 5)
    special = np.array([np.nan, np.inf, 1e30, -1e30], dtype)
    np.testing.assert_allclose(kernel.twin(special, *numbers), kernel.reference(special.astype(np.float64), *numbers))
    if name in BACKWARD:
        kernel, numbers = BACKWARD[name]
        expected = kernel.reference(np.ones(x.size), x.astype(np.float64), *numbers)
        np.testing.assert_allclose(kernel.twin(np.ones_like(x), x, *numbers), expected, rtol=10 * close, atol=close)
        assert np.isnan(kernel.twin(np.ones(1, dtype), np.array([np.nan], dtype), *numbers)).all()
