"""The compiled normalisation kernels against their NumPy forms, and the soundness of their sums."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, layernorm, normalization
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")

SHAPES = [
    (1, 1, 1),
    (1, 2, 3),
    (2, 15, 17),
    (1, 129, 64),
    (1, 512, 3),
    (3, 256, 1),
    (2, 1, 5),
    (3, 16, 6),
    (2, 4099, 2),
]
FORMS = ["reference", pytest.param("twin", marks=needs_jit)]


def planes(x):
    """The same images with their channels first in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)


def close(twin, reference, dtype):
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    for a, b in zip(twin, reference, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance)


def arguments(shape, dtype):
    """Two images and two vectors over the channels."""
    x, dy = (random_input(shape, dtype, seed=i) for i in range(2))
    return x, dy, *(random_input(shape[2:], dtype, seed=i) for i in range(2, 4))


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_normalise(num_threads, shape, dtype):
    x, dy, weight, bias = arguments(shape, dtype)
    for groups in {1, shape[2]} | ({2} if shape[2] % 2 == 0 else set()):
        for image in (x, np.asfortranarray(x), planes(x)):
            for samples in {1, shape[0]}:
                if shape[0] * shape[1] // samples == 1 and groups == shape[2]:
                    continue  # the variance of a single number is 0
                k = normalization.normalise
                y, mean, var = k.twin(image, weight, bias, groups, 1e-2, samples)
                close((y, mean, var), k.reference(image, weight, bias, groups, 1e-2, samples), dtype)
                k = normalization.normalise_backward
                saved = weight, mean, var, groups, 1e-2, samples
                for gradient in (dy, planes(dy)):
                    close(k.twin(gradient, image, *saved), k.reference(gradient, image, *saved), dtype)


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 15, 17), (1, 256, 3), (1, 0, 3), (3, 40, 5)])
def test_scale_and_shift(num_threads, shape, dtype):
    x, _, weight, bias = arguments(shape, dtype)
    k = normalization.scale_and_shift
    for image in (x, planes(x)):
        close([k.twin(image, bias, weight, bias)], [k.reference(x, bias, weight, bias)], dtype)


@needs_jit
def test_the_number_of_threads_does_not_change_a_bit(monkeypatch):
    x, dy, weight, bias = arguments((2, 350, 24), "float32")

    def run(chunks, x, samples):
        monkeypatch.setattr(normalization.threads, "split", lambda work: chunks)
        y, mean, var = normalization.normalise.twin(x, weight, bias, 24, 1e-5, samples)
        return y, mean, var, *normalization.normalise_backward.twin(dy, x, weight, mean, var, 24, 1e-5, samples)

    for image in (x, planes(x)):
        for samples in (1, 2):
            expected = run(1, image, samples)
            for chunks in (1, 2, 3):
                for a, b in zip(expected, run(chunks, image, samples), strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mean", [0.0, 1e4, -1e6])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("order", [np.array, planes])
def test_far_from_zero_no_digits_are_lost(form, mean, groups, order):
    rng = np.random.default_rng(0)
    x = order((mean + rng.standard_normal((1, 4096, 3))).astype(np.float32))
    dy = rng.standard_normal(x.shape).astype(np.float32)
    weight, bias = np.ones(3, np.float32), np.zeros(3, np.float32)
    y, mu, var = getattr(normalization.normalise, form)(x, weight, bias, groups, 0.0, 1)
    exact = normalization.normalise.reference(x.astype(np.float64), weight, bias, groups, 0.0, 1)
    np.testing.assert_allclose(mu, exact[1], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(var, exact[2], rtol=1e-5)
    np.testing.assert_allclose(y, exact[0], atol=2e-5)
    backward = normalization.normalise_backward
    exact = backward.reference(dy.astype(np.float64), x.astype(np.float64), weight, mu, var, groups, 0.0, 1)
    for ours, theirs in zip(getattr(backward, form)(dy, x, weight, mu, var, groups, 0.0, 1), exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", [np.array, planes])
def test_variance_with_an_outlier_at_the_head_of_a_block(form, order):
    x = np.random.default_rng(0).standard_normal((1, 4096, 3)).astype(np.float32)
    x[0, 0] = 1e6
    var = getattr(normalization.normalise, form)(order(x), np.ones(3, "f"), np.zeros(3, "f"), 3, 1e-5, 1)[2]
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=1), rtol=1e-4)


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (130, 17), (0, 4), (65, 64)])
@pytest.mark.parametrize("centred", [True, False])
def test_layer_norm(num_threads, shape, dtype, centred):
    x, dy = (random_input(shape, dtype, seed=i) for i in range(2))
    w, b = (random_input(shape[1:], dtype, seed=i) for i in range(2))
    k = layernorm.layer_norm
    y, mean, r = k.twin(x, w, b, 1e-5, centred)
    close((y, mean, r), k.reference(x, w, b, 1e-5, centred), dtype)
    k = layernorm.layer_norm_backward
    first = k.twin(dy, x, w, mean, r, centred)
    close(first, k.reference(dy, x, w, mean, r, centred), dtype)
    for a, b in zip(first, k.twin(dy, x, w, mean, r, centred), strict=True):
        np.testing.assert_array_equal(a, b)
