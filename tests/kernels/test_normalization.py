"""The compiled normalisation kernels against their NumPy forms, and the soundness of their sums."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, layernorm, normalization
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")

SHAPES = [(1, 1, 1), (1, 2, 3), (2, 15, 17), (1, 129, 64), (1, 512, 3), (3, 256, 1), (2, 1, 5)]
FORMS = ["reference", pytest.param("twin", marks=needs_jit)]


def close(twin, reference, dtype):
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    for a, b in zip(twin, reference, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance)


def arguments(shape, dtype):
    """Two images and four vectors per sample and channel."""
    x, dy = (random_input(shape, dtype, seed=i) for i in range(2))
    return x, dy, [random_input((shape[0], shape[2]), dtype, seed=i) for i in range(2, 6)]


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_channel_kernels(num_threads, shape, dtype):
    x, dy, (e, f, g, h) = arguments(shape, dtype)
    for image in (x, np.asfortranarray(x)):
        k = normalization.channel_moments
        close(k.twin(image), k.reference(image), dtype)
        k = normalization.scale_and_shift
        close([k.twin(image, e, f, g)], [k.reference(image, e, f, g)], dtype)
        k = normalization.channel_products
        close(k.twin(dy, image, e), k.reference(dy, image, e), dtype)
        k = normalization.scale_two_and_shift
        close([k.twin(dy, image, e, f, g, h)], [k.reference(dy, image, e, f, g, h)], dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 0, 3), (0, 4, 3)])
def test_nothing_to_sum(form, shape):
    x, dy, (e, f, g, h) = arguments(shape, "float32")
    assert getattr(normalization.scale_and_shift, form)(x, e, f, g).shape == shape
    assert getattr(normalization.scale_two_and_shift, form)(dy, x, e, f, g, h).shape == shape
    for sums in getattr(normalization.channel_products, form)(dy, x, e):
        np.testing.assert_array_equal(sums, np.zeros((shape[0], 3)))


@needs_jit
def test_the_number_of_threads_does_not_change_a_bit(num_threads):
    x, dy, (e, *_) = arguments((1, 700, 24), "float32")
    expected = [v.copy() for k in (lambda: normalization.channel_moments.twin(x),
                                   lambda: normalization.channel_products.twin(dy, x, e)) for v in k()]  # fmt: skip
    for threads in (1, 2, 3):
        chunked = [*_with_chunks(normalization.channel_moments, threads, x),
                   *_with_chunks(normalization.channel_products, threads, dy, x, e)]  # fmt: skip
        for a, b in zip(expected, chunked, strict=True):
            np.testing.assert_array_equal(a, b)


def _with_chunks(kernel, chunks, *args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalization.threads, "split", lambda work: chunks)
        return kernel.twin(*args)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mean", [0.0, 1e4, -1e6])
def test_variance_keeps_its_digits_far_from_zero(form, mean):
    rng = np.random.default_rng(0)
    x = (mean + rng.standard_normal((1, 4096, 3))).astype(np.float32)
    exact = x.astype(np.float64)
    m, v = getattr(normalization.channel_moments, form)(x)
    np.testing.assert_allclose(m, exact.mean(axis=1), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(v, exact.var(axis=1), rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_variance_with_an_outlier_at_the_head_of_a_block(form):
    x = np.random.default_rng(0).standard_normal((1, 4096, 3)).astype(np.float32)
    x[0, 0] = 1e6
    v = getattr(normalization.channel_moments, form)(x)[1]
    np.testing.assert_allclose(v, x.astype(np.float64).var(axis=1), rtol=1e-4)


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
