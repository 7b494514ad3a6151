"""Running sums, products and extremes, and triangles: each fast form beside its NumPy form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import npnn
from npnn.kernels import order, scan
from npnn.kernels.scatter import add_along


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(npnn.kernels.threads, "PARALLEL_THRESHOLD", 1)
    before = npnn.get_num_threads()
    npnn.set_num_threads(request.param)
    yield
    npnn.set_num_threads(before)


def arrays(seed: int) -> Any:
    """Arrays of any shape and memory order, with zeros, equal numbers, nan and inf here and there."""
    r = np.random.default_rng(seed)
    for _ in range(12):
        shape = tuple(int(n) for n in r.integers(1, 9, r.integers(1, 5)))
        x = r.normal(size=shape).astype(r.choice([np.float32, np.float64]))
        kind = r.integers(4)
        if kind == 1:
            x = np.rint(x)
        elif kind == 2:
            x[r.random(shape) < 0.2] = r.choice([np.nan, np.inf, -np.inf, 0.0])
        if r.integers(2):
            x = np.ascontiguousarray(x.T).T
        yield r, x, int(r.integers(x.ndim))


@pytest.mark.parametrize("seed", range(6))
def test_running_loops(seed, threads):
    for r, x, axis in arrays(seed):
        tolerance = {"rtol": 1e-4 if x.dtype == np.float32 else 1e-10, "atol": 1e-5}
        backwards, largest = (bool(b) for b in r.integers(0, 2, 2))
        with np.errstate(all="ignore"):
            for kernel, arguments in (
                (scan.running_sum, (x, axis, backwards)),
                (scan.running_product, (x, axis)),
                (scan.running_product_backward, (np.cos(x), x, np.cumprod(x, axis), axis)),
            ):
                np.testing.assert_allclose(kernel(*arguments), kernel.reference(*arguments), **tolerance)
        for found, expected in zip(
            scan.running_extreme(x, axis, largest), scan.running_extreme.reference(x, axis, largest), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(4))
def test_triangles(seed, threads):
    r = np.random.default_rng(seed)
    for _ in range(10):
        x = r.normal(size=tuple(int(n) for n in r.integers(1, 8, r.integers(2, 5))))
        x = x if r.integers(2) else x.swapaxes(-1, -2).astype(np.int64)
        diagonal, lower = int(r.integers(-9, 10)), bool(r.integers(2))
        np.testing.assert_array_equal(order.triangle(x, diagonal, lower), order.triangle.reference(x, diagonal, lower))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_goes_to_one_place_adds_up(axis):
    r = np.random.default_rng(axis)
    values = r.normal(size=(4, 5, 6))
    index = np.sort(r.integers(0, 3, values.shape), axis)  # the same place many times in a row
    shape = tuple(3 if a == axis else n for a, n in enumerate(values.shape))
    np.testing.assert_allclose(
        add_along(shape, index, values, axis), add_along.reference(shape, index, values, axis), rtol=1e-12
    )


def test_sums_of_many_small_numbers_are_exact_to_the_last_places():
    x = np.full(1_000_000, 0.1, np.float32)
    assert abs(scan.running_sum(x, 0, False)[-1] / (1_000_000 * np.float64(np.float32(0.1))) - 1) < 1e-7
