"""The fast forms of im2col against the NumPy ones, in every geometry."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, im2col, threads
from npnn.kernels.im2col import Geometry

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is switched off: there is only the NumPy form")

CASES = [  # image (H, W), kernel, stride, before, after, dilation, groups, C, O
    ((1, 1), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1, 1, 1),
    ((3, 5), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 3, 17),
    ((2, 2), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 17, 3),
    ((2, 2), (3, 3), (1, 1), (3, 3), (3, 3), (1, 1), 1, 2, 3),
    ((9, 8), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1, 64, 64),
    ((9, 8), (2, 4), (1, 2), (0, 1), (1, 2), (1, 1), 1, 3, 64),
    ((9, 8), (3, 2), (2, 1), (2, 0), (1, 3), (2, 3), 1, 5, 4),
    ((5, 6), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 2, 6, 34),
    ((5, 6), (3, 3), (1, 2), (2, 2), (2, 2), (2, 2), 3, 3, 3),
    ((5, 6), (1, 1), (2, 2), (0, 0), (0, 0), (1, 1), 1, 64, 33),
    ((4, 4), (5, 5), (1, 1), (2, 2), (2, 2), (1, 1), 1, 32, 32),
]


def make(case, n, dtype):
    size, kernel_size, stride, before, after, dilation, groups, c, o = case
    rng = np.random.default_rng(0)
    geometry = Geometry(stride, before, after, dilation, groups)
    x = rng.standard_normal((n, *size, c)).astype(dtype)
    w = rng.standard_normal((o, *kernel_size, c // groups)).astype(dtype)
    b = rng.standard_normal(o).astype(dtype)
    dy = rng.standard_normal((n, *geometry.output_size(size, kernel_size), o)).astype(dtype)
    return x, w, b, dy, geometry


def passes(module, form, x, w, b, dy, geometry):
    """The results of all three passes, in the NumPy form ("reference") or the fast one ("twin")."""
    y = getattr(module.forward, form)(x, w, b, geometry)
    dx = getattr(module.backward_input, form)(dy, w, x.shape[1:3], geometry)
    dw, db = getattr(module.backward_weight, form)(x, dy, w.shape[1:3], geometry)
    return {"y": y, "dx": dx, "dw": dw, "db": db}


@pytest.fixture(autouse=True)
def _thread_count():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@needs_jit
@pytest.mark.parametrize("number_of_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("case", CASES)
def test_fast_passes_equal_the_numpy_ones(case, n, dtype, number_of_threads, monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    threads.set_num_threads(number_of_threads)
    arrays = make(case, n, dtype)
    expected = passes(im2col, "reference", *arrays)
    found = passes(im2col, "twin", *arrays)
    again = passes(im2col, "twin", *arrays)
    for name, value in expected.items():
        assert found[name].dtype == dtype
        tolerance = 1e-12 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
        np.testing.assert_array_equal(found[name], again[name], err_msg=name)
