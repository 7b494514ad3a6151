"""The compiled channel-by-channel convolution against its NumPy form, and that against im2col's."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, channelwise, conv, im2col, threads
from npnn.kernels.im2col import Geometry
from tests.kernels.test_conv import passes

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


def case(seed, dtype):
    """Sizes, windows, strides, dilations, paddings and outputs a channel at random, such that the kernel fits."""
    rng = np.random.default_rng(seed)
    while True:
        size, kernel = rng.integers(1, 10, 2), rng.integers(1, 5, 2)
        pairs = [tuple(rng.integers(low, high, 2).tolist()) for low, high in ((1, 4), (0, 4), (0, 4), (1, 3))]
        channels, times, n = int(rng.integers(2, 20)), int(rng.integers(1, 4)), int(rng.integers(0, 4))
        if seed % 3 == 0:
            channels = int(rng.choice([8, 16, 32, 48]))  # that fill registers, alone or with others
        geometry = Geometry(*pairs, channels)
        outputs = geometry.output_size(tuple(size), tuple(kernel))
        if min(outputs) >= 1:
            break
    shapes = (n, *size, channels), (channels * times, *kernel, 1), (channels * times,), (n, *outputs, channels * times)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes], geometry


@needs_jit
@pytest.mark.parametrize("number_of_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(36))
def test_fast_passes_equal_the_numpy_ones(seed, dtype, number_of_threads, monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    before = threads.get_num_threads()
    threads.set_num_threads(number_of_threads)
    try:
        arrays, geometry = case(seed, dtype)
        fast, plain = (passes(channelwise, form, *arrays, geometry) for form in ("twin", "reference"))
    finally:
        threads.set_num_threads(before)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for name, expected in plain.items():
        assert fast[name].dtype == dtype
        np.testing.assert_allclose(fast[name], expected, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("seed", range(15))
def test_the_numpy_form_equals_im2cols(seed):
    arrays, geometry = case(seed, "float64")
    ours, expected = (passes(form, "reference", *arrays, geometry) for form in (channelwise, im2col))
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_which_convolutions_it_is_for():
    moves = (1, 1), (1, 1), (1, 1), (1, 1)
    assert conv.choose(1, (8, 8), 6, 12, (3, 3), Geometry(*moves, 6)) is channelwise
    assert conv.choose(1, (8, 8), 6, 12, (3, 3), Geometry(*moves, 3)) is im2col
    assert conv.choose(1, (8, 8), 1, 12, (3, 3), Geometry(*moves, 1)) is im2col
