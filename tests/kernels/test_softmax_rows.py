"""The compiled softmax against its NumPy form."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, softmax_rows
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@needs_jit
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 16), (4, 17), (7, 100), (0, 4), (3, 0)])
def test_twins_agree(num_threads, shape, log):
    x, dy = (3 * random_input(shape, "float32", seed=i) for i in range(2))
    for view in (x, np.asfortranarray(x), x[::-1]):
        y = softmax_rows.softmax.twin(view, log)
        assert y.dtype == np.float32
        np.testing.assert_allclose(
            y, softmax_rows.softmax.reference(view.astype(np.float64), log), rtol=1e-5, atol=1e-6
        )
        dx = softmax_rows.softmax_backward.twin(dy, y, log)
        assert dx.dtype == np.float32
        exact = softmax_rows.softmax_backward.reference(dy.astype(np.float64), y.astype(np.float64), log)
        np.testing.assert_allclose(dx, exact, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(dx, softmax_rows.softmax_backward.twin(dy, y, log))


@needs_jit
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_special_values(log, value):
    x = random_input((3, 20), "float32")
    x[1, 4] = value
    y, expected = softmax_rows.softmax.twin(x, log), softmax_rows.softmax.reference(x, log)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(softmax_rows.softmax_backward.twin(np.ones_like(x), y, log)[1]).any() == bool(
        np.isnan(expected[1]).any()
    )


@needs_jit
def test_float64_keeps_its_digits():
    x = random_input((3, 20))
    y = softmax_rows.softmax.twin(x, False)
    np.testing.assert_allclose(y, softmax_rows.softmax.reference(x, False), rtol=2e-15)
