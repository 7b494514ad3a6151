"""Images of another size: the compiled sums of neighbours against NumPy's, and interpolation against torch's."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.kernels import _jit, resample
from tests.parity import requires_torch

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


def sparse(rng, m, n):
    """A matrix with few weights, some rows of which may have none, in compressed rows."""
    matrix = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.4)
    rows, columns = np.nonzero(matrix)
    return matrix, np.searchsorted(rows, np.arange(m + 1)), columns, matrix[rows, columns]


@needs_jit
@pytest.mark.parametrize("seed", range(40))
def test_both_forms_are_the_product_with_a_sparse_matrix(seed):
    rng = np.random.default_rng(seed)
    A, n, m = (int(k) for k in rng.integers(1, 9, 3))
    B = int(rng.choice([1, 1, 2, 7, 40]))
    dtype = rng.choice(["float32", "float64"])
    matrix, starts, columns, weights = sparse(rng, m, n)
    x, weights = rng.standard_normal((A, n, B)).astype(dtype), weights.astype(dtype)
    expected = np.einsum("mn,anb->amb", matrix, x)
    for form in (resample.along, resample.along.reference):
        np.testing.assert_allclose(form(x, starts, columns, weights), expected, atol=1e-5, rtol=1e-5)


@needs_jit
@pytest.mark.parametrize("columns", [1, 16])
def test_threads_change_nothing(columns):
    rng = np.random.default_rng(1)
    _, starts, places, weights = sparse(rng, 90, 60)
    x = rng.standard_normal((400, 60, columns))
    found = []
    for threads in (1, 2, 3):
        before = npnn.get_num_threads()
        npnn.set_num_threads(threads)
        found.append(resample.along(x, starts, places, weights))
        npnn.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def image(rng, dims, order):
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 6)), *(int(k) for k in rng.integers(1, 10, dims)))
    x = rng.standard_normal(shape)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if order == "channels last" else x


@requires_torch
@pytest.mark.parametrize("order", ["channels first", "channels last"])
@pytest.mark.parametrize("seed", range(30))
def test_interpolation_at_random_sizes_is_torchs(seed, order):
    import torch

    rng = np.random.default_rng(seed)
    mode = str(rng.choice(["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"]))
    dims = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}.get(mode, int(rng.integers(1, 4)))
    x = image(rng, dims, order)
    if rng.integers(2):
        options = {"size": tuple(int(k) for k in rng.integers(1, 20, dims))}
    else:
        options = {"scale_factor": tuple(float(f) for f in rng.choice([0.5, 0.7, 1.0, 1.7, 2.0, 3.0], dims))}
        if min(int(n * f) for n, f in zip(x.shape[2:], options["scale_factor"], strict=True)) < 1:
            options = {"size": x.shape[2:]}
    if mode in ("linear", "bilinear", "bicubic", "trilinear"):
        options["align_corners"] = bool(rng.integers(2))
    found, dy = [], None
    for lib in (torch, npnn):
        t = lib.tensor(x, requires_grad=True)
        y = lib.nn.functional.interpolate(t, mode=mode, **options)
        dy = rng.standard_normal(tuple(y.shape)) if dy is None else dy
        y.backward(lib.tensor(dy))
        found.append((y.detach().numpy(), t.grad.numpy()))
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_a_pixel_that_is_no_number_spoils_only_its_neighbours():
    x = np.ones((1, 1, 6, 6))
    x[0, 0, 2, 2] = np.nan
    spoiled = np.isnan(npnn.nn.functional.interpolate(npnn.tensor(x), scale_factor=2, mode="bilinear").numpy())[0, 0]
    rows, columns = np.nonzero(spoiled)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 6, 3, 6)


def test_whole_numbers_have_their_nearest():
    x = npnn.tensor(np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2))
    assert npnn.nn.functional.interpolate(x, scale_factor=2)[0, 0].tolist() == [
        [0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3],
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "area"])
def test_an_image_without_pixels_is_refused(mode):
    with pytest.raises(ValueError, match="no size for an input of shape"):
        npnn.nn.functional.interpolate(npnn.ones(1, 1, 0, 4), size=(3, 3), mode=mode)
    assert npnn.nn.functional.interpolate(npnn.ones(0, 2, 3, 4), size=(3, 3), mode=mode).shape == (0, 2, 3, 3)
