"""The resampling kernel: its two forms against each other, and the NumPy form against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from npnn.kernels import _jit
from npnn.kernels.warp import warp

needs_numba = pytest.mark.skipif(not _jit.enabled(), reason="compiled kernels are switched off")


def images(n, c, h, w, dtype="float32", channels_last=False):
    x = np.random.default_rng([n, c, h, w]).standard_normal((n, c, h, w)).astype(dtype)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if channels_last else x


def maps(n, h, w, spread=0.5, seed=0):
    """Random affine maps near the identity; some of what they read lies far outside the image."""
    rng = np.random.default_rng(seed)
    m = np.tile(np.eye(2, 3), (n, 1, 1)) + spread * rng.standard_normal((n, 2, 3))
    m[:, :, 2] += rng.uniform(-1, 1, (n, 2)) * [h, w]
    return m


SIZES = [(1, 1, 1, 1), (3, 3, 2, 2), (2, 17, 3, 5), (4, 1, 28, 28), (2, 64, 5, 3), (0, 3, 4, 4), (3, 3, 32, 32)]


@needs_numba
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_twin_equals_reference(size, dtype, channels_last):
    x = images(*size, dtype, channels_last)
    n, _, h, w = size
    for m in (maps(n, h, w), maps(n, h, w, 0.0), np.tile(np.eye(2, 3), (n, 1, 1))):
        slow, fast = warp.reference(x, m), warp.twin(x, m)
        assert fast.dtype == slow.dtype == x.dtype
        assert fast.flags.c_contiguous
        assert slow.flags.c_contiguous
        np.testing.assert_allclose(fast, slow, rtol=1e-6 if dtype == "float32" else 1e-12, atol=1e-6)
        assert fast.tobytes() == warp.twin(x, m).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_matches_scipy(size):
    x = images(*size, "float64")
    n, channels, h, w = size
    m = maps(n, h, w, 0.3)
    out = warp(x, m)
    for i in range(n):
        for k in range(channels):
            # SciPy's grid-constant mode has bilinear edges against zeros, as here
            expected = ndimage.affine_transform(x[i, k], m[i, :, :2], m[i, :, 2], order=1, mode="grid-constant")
            np.testing.assert_allclose(out[i, k], expected, atol=1e-10)


@pytest.mark.parametrize("form", ["reference", "twin"])
def test_identity_is_exact(form):
    if form == "twin" and not _jit.enabled():
        pytest.skip("compiled kernels are switched off")
    x = images(2, 3, 5, 7)
    np.testing.assert_array_equal(getattr(warp, form)(x, np.tile(np.eye(2, 3), (2, 1, 1))), x)


@pytest.mark.parametrize("form", ["reference", "twin"])
def test_everything_outside_is_zero(form):
    if form == "twin" and not _jit.enabled():
        pytest.skip("compiled kernels are switched off")
    far = np.tile(np.eye(2, 3), (2, 1, 1))
    far[:, :, 2] = [[1e6, 0], [0, -1e6]]
    assert not getattr(warp, form)(images(2, 3, 5, 7), far).any()
