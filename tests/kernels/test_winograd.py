"""Winograd's convolution against im2col, in its NumPy form and its fast one."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, conv, im2col, threads, winograd
from npnn.kernels.im2col import Geometry

FORMS = ["reference", pytest.param("twin", marks=pytest.mark.skipif(not _jit.enabled(), reason="numba is off"))]
CASES = [  # image (H, W), zeros above and left, C, O
    ((4, 4), (1, 1), 32, 32),
    ((9, 7), (1, 1), 96, 64),
    ((3, 5), (0, 2), 64, 32),
    ((6, 3), (2, 0), 32, 160),
    ((1, 1), (1, 1), 32, 32),
]


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    yield
    threads.set_num_threads(before)
    conv.use_winograd(True)


def make(size, before, c, o, n, dtype):
    rng = np.random.default_rng(0)
    geometry = Geometry((1, 1), before, before, (1, 1), 1)
    out = geometry.output_size(size, (3, 3))
    shapes = (n, *size, c), (o, 3, 3, c), (o,), (n, *out, o)
    return *(rng.standard_normal(shape).astype(dtype) for shape in shapes), geometry


def passes(kernel_form, x, w, b, dy, geometry):
    before = geometry.before
    y = getattr(winograd.forward, kernel_form)(x, w, b, before, dy.shape[1:3])
    dx = getattr(winograd.backward_input, kernel_form)(dy, w, before, x.shape[1:3])
    dw, db = getattr(winograd.backward_weight, kernel_form)(x, dy, before)
    return {"y": y, "dx": dx, "dw": dw, "db": db}


def expected(x, w, b, dy, geometry):
    y = im2col.forward.reference(x, w, b, geometry)
    dx = im2col.backward_input.reference(dy, w, x.shape[1:3], geometry)
    dw, db = im2col.backward_weight.reference(x, dy, (3, 3), geometry)
    return {"y": y, "dx": dx, "dw": dw, "db": db}


@pytest.mark.parametrize("number_of_threads", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize("kernel_form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_all_passes_equal_im2col(case, kernel_form, dtype, tolerance, number_of_threads):
    threads.set_num_threads(number_of_threads)
    for n in (1, 3):
        arrays = make(*case, n, dtype)
        found, again = passes(kernel_form, *arrays), passes(kernel_form, *arrays)
        for what, value in expected(*arrays).items():
            assert found[what].dtype == dtype
            np.testing.assert_allclose(found[what], value, rtol=0, atol=tolerance * np.abs(value).max(), err_msg=what)
            np.testing.assert_array_equal(found[what], again[what], err_msg=what)


@pytest.mark.parametrize("kernel_form", FORMS)
def test_many_tiles_are_taken_in_parts(kernel_form, monkeypatch):
    monkeypatch.setattr(winograd, "PATCHES", 36 * 32 * 10)  # so that ten tiles are transformed at a time
    arrays = make((13, 9), (1, 1), 32, 64, 5, "float64")
    found = passes(kernel_form, *arrays)
    for what, value in expected(*arrays).items():
        np.testing.assert_allclose(found[what], value, rtol=0, atol=1e-13 * np.abs(value).max(), err_msg=what)


def test_the_three_matrices_are_a_correlation():
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(6), rng.standard_normal(3)
    direct = [d[i : i + 3] @ g for i in range(4)]
    np.testing.assert_allclose(winograd.A.T @ ((winograd.G @ g) * (winograd.B.T @ d)), direct, rtol=1e-12, atol=1e-12)
    assert (winograd.A[winograd.ONE] == 1).all()


def choice(n, size, c, o, stride=(1, 1), padding=(1, 1), kernel_size=(3, 3), groups=1, weight=False):
    return conv.choose(n, size, c, o, kernel_size, Geometry(stride, padding, padding, (1, 1), groups), weight)


def test_the_form_follows_from_the_shapes():
    assert choice(32, (8, 8), 128, 256) is winograd
    assert choice(32, (4, 4), 512, 512) is winograd
    assert choice(1, (16, 16), 64, 128) is winograd
    assert choice(1, (8, 8), 128, 256) is im2col  # too few tiles
    assert choice(32, (16, 16), 64, 64) is winograd
    assert choice(32, (16, 16), 32, 32) is im2col
    assert choice(32, (16, 16), 32, 64) is winograd
    assert choice(32, (16, 16), 64, 32) is winograd
    assert choice(32, (16, 16), 64, 32, weight=True) is winograd
    assert choice(32, (16, 16), 32, 64, weight=True) is im2col
    assert choice(32, (6, 6), 128, 256) is im2col  # the tiles cover 8×8
    assert choice(32, (2, 2), 512, 512) is im2col
    assert choice(32, (32, 32), 3, 64) is im2col
    assert choice(32, (32, 32), 0, 64) is choice(32, (32, 32), 64, 0) is im2col  # no channels at all
    assert choice(32, (8, 8), 128, 256, stride=(2, 2)) is im2col
    assert choice(32, (8, 8), 128, 256, kernel_size=(5, 5)) is im2col
    assert choice(32, (8, 8), 128, 256, groups=2) is im2col
    assert choice(32, (8, 8), 128, 256, padding=(3, 3)) is im2col


def test_it_can_be_switched_off():
    conv.use_winograd(False)
    assert choice(32, (8, 8), 128, 256) is im2col


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (2, 2), (1, 1)])
def test_the_choice_does_not_change_the_result(size):
    x, w, b, dy, geometry = make(size, (1, 1), 64, 32, 16, "float32")
    results = []
    for enabled in (True, False):
        conv.use_winograd(enabled)
        y = conv.forward(x, w, b, geometry)
        dx = conv.backward_input(dy, w, size, geometry)
        results.append((y, dx, *conv.backward_weight(x, dy, (3, 3), geometry)))
    for fast, exact in zip(*results, strict=True):
        np.testing.assert_allclose(fast, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_without_a_bias():
    x, w, b, _, geometry = make((8, 8), (1, 1), 32, 32, 16, "float64")
    np.testing.assert_allclose(conv.forward(x, w, None, geometry) + b, conv.forward(x, w, b, geometry), atol=1e-12)
