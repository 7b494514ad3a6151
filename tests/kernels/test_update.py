"""The fused optimiser steps against their NumPy forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, update

needs_numba = pytest.mark.skipif(not _jit.enabled(), reason="compiled kernels are switched off: no twin to compare")

# kernel, its state arrays (None where one is left out), its numbers
CASES = {
    "sgd": ("sgd", [None], (0.1, 0.0, 1.0, 0.0, False)),
    "sgd decay": ("sgd", [None], (0.1, 0.0, 1.0, 0.3, False)),
    "momentum": ("sgd", [1], (0.1, 0.9, 0.8, 0.0, False)),
    "nesterov decay": ("sgd", [1], (0.1, 0.9, 1.0, 0.3, True)),
    "adam": ("adam", [1, 1, None], (0.1, 0.9, 0.99, 1.3, 1e-8, 0.0, 1.0)),
    "adam decay": ("adam", [1, 1, None], (0.1, 0.4, 0.99, 1.3, 1e-3, 0.2, 1.0)),
    "adamw amsgrad": ("adam", [1, 1, 1], (0.1, 0.9, 0.99, 1.3, 1e-8, 0.0, 0.95)),
    "rmsprop": ("rmsprop", [1, None, None], (0.1, 0.9, 1e-8, 0.0, 0.0)),
    "rmsprop momentum": ("rmsprop", [1, None, 1], (0.1, 0.9, 1e-8, 0.9, 0.1)),
    "rmsprop centered": ("rmsprop", [1, 1, None], (0.1, 0.9, 1e-2, 0.0, 0.0)),
    "rmsprop both": ("rmsprop", [1, 1, 1], (0.1, 0.9, 1e-2, 0.5, 0.1)),
    "adagrad": ("adagrad", [1], (0.1, 1e-10, 0.0)),
    "adagrad decay": ("adagrad", [1], (0.1, 1e-10, 0.1)),
}
SHAPES = [(), (1,), (3,), (17, 5), (0, 4), (1025,), (64, 3, 3, 3), (5, 1, 3, 3), (7, 9, 1, 1)]
LAYOUTS = ["C", "channels last", "Fortran"]


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """A copy in another memory order."""
    if layout == "Fortran":
        return np.asfortranarray(array)
    if layout == "channels last" and array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array.copy()


def arguments(case, shape, dtype="float32", layout="C", gradient_layout=None):
    """p, g, state arrays and numbers; the first state is large, as a mean of squares is beside a squared mean."""
    _, states, numbers = CASES[case]
    rng = np.random.default_rng([len(case), *shape])
    arrays = [rng.standard_normal(shape), rng.standard_normal(shape)]
    arrays += [None if s is None else rng.uniform(0.5, 1, shape) + 4 * (i == 0) for i, s in enumerate(states)]
    arrays = [a if a is None else laid_out(np.asarray(a, dtype), layout) for a in arrays]
    if gradient_layout:
        arrays[1] = laid_out(arrays[1], gradient_layout)
    return arrays, numbers


def run(form, arrays, numbers):
    copies = [a if a is None else a.copy(order="K") for a in arrays]
    form(*copies, *numbers)
    return copies


def compare(case, arrays, numbers):
    kernel = getattr(update, CASES[case][0])
    expected = run(kernel.reference, arrays, numbers)
    actual = run(kernel.twin, arrays, numbers)
    rtol = 1e-12 if arrays[0].dtype == np.float64 else 2e-6
    for a, b, before in zip(actual, expected, arrays, strict=True):
        if a is not None:
            assert a.dtype == b.dtype == before.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    assert np.array_equal(actual[1], arrays[1]), "the gradient was changed"
    return actual


@needs_numba
@pytest.mark.parametrize("case", CASES)
def test_twin_equals_numpy_form(case, num_threads):
    for shape in SHAPES:
        compare(case, *arguments(case, shape))


@needs_numba
@pytest.mark.parametrize("case", ["nesterov decay", "adamw amsgrad", "rmsprop both", "adagrad decay"])
def test_twin_equals_numpy_form_in_double_precision(case, num_threads):
    for shape in SHAPES:
        compare(case, *arguments(case, shape, "float64"))


@needs_numba
@pytest.mark.parametrize("case", ["sgd decay", "adamw amsgrad", "rmsprop both", "adagrad"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gradient_layout", LAYOUTS)
def test_any_pair_of_memory_orders(case, layout, gradient_layout):
    for shape in ((6, 7), (8, 3, 3, 5), (33, 33, 3, 3)):
        compare(case, *arguments(case, shape, "float32", layout, gradient_layout))


@needs_numba
@pytest.mark.parametrize("case", ["sgd", "momentum", "adam", "rmsprop", "adagrad"])
def test_weights_with_gaps_in_memory_are_updated(case):
    arrays, numbers = arguments(case, (40, 60))
    kernel = getattr(update, CASES[case][0])
    expected = run(kernel.reference, arrays, numbers)
    roomy = np.zeros((80, 120), np.float32)
    gappy = roomy[::2, 1::2]
    gappy[...] = arrays[0]
    others = [a if a is None else a.copy() for a in arrays[1:]]
    kernel.twin(gappy, *others, *numbers)
    np.testing.assert_allclose(roomy[::2, 1::2], expected[0], rtol=1e-5)


@needs_numba
@pytest.mark.parametrize("case", CASES)
def test_same_bits_at_every_run(case, num_threads):
    arrays, numbers = arguments(case, (257, 33))
    twin = getattr(update, CASES[case][0]).twin
    for a, b in zip(run(twin, arrays, numbers), run(twin, arrays, numbers), strict=True):
        assert a is b is None or np.array_equal(a, b)


@pytest.mark.parametrize("case", ["sgd", "momentum", "adam", "rmsprop", "rmsprop centered", "adagrad"])
def test_float32_stays_float32_and_no_decay_spares_infinite_weights(case):
    arrays, numbers = arguments(case, (40, 40))
    arrays[0][0] = -np.inf  # a mask, say
    after = run(getattr(update, CASES[case][0]), arrays, numbers)
    assert after[0].dtype == np.float32
    assert np.isneginf(after[0][0]).all()
    assert np.isfinite(after[0][1:]).all()


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_numba)])
def test_a_variance_rounded_below_zero_counts_as_zero(form):
    p, g = np.zeros(1000, np.float32), np.full(1000, 0.1, np.float32)
    square, mean = g * g, g.copy()
    square -= np.float32(1e-9)
    getattr(update.rmsprop, form)(p, g, square, mean, None, 0.1, 1.0, 1e-3, 0.0, 0.0)
    np.testing.assert_allclose(p, -0.1 * 0.1 / 1e-3, rtol=1e-5)
