"""The order of rows: what NumPy's stable sort gives, for every dtype, with equal numbers, zeros of both signs and nan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from npnn.kernels import threads
from npnn.kernels.ranking import first_places


def by_stable_sort(rows: Any, descending: bool) -> Any:
    if not descending:
        return np.argsort(rows, axis=-1, kind="stable")
    order = np.argsort(np.flip(rows, -1), axis=-1, kind="stable")
    return rows.shape[-1] - 1 - np.flip(order, -1)  # ascending order of the reversed row, read backwards


def sorted_places(rows: Any, descending: bool) -> Any:
    return first_places(rows, rows.shape[-1], descending)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "int8", "bool"])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_that_of_a_stable_sort(num_threads, monkeypatch, dtype, seed):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    r = np.random.default_rng(seed)
    for _ in range(10):
        rows = r.normal(size=(int(r.integers(1, 6)), int(r.integers(1, [5, 40, 300][seed % 3])))) * [1, 100][seed % 2]
        kind = r.integers(5)
        if kind == 1:
            rows = np.rint(rows)
        elif kind == 2:
            rows = np.sort(rows)[:, :: int(r.choice([-1, 1]))]
        elif kind == 3:
            rows[:] = 1
        rows = np.abs(rows).astype(dtype) if dtype in ("uint8", "bool") else rows.astype(dtype)
        if kind == 4 and rows.dtype.kind == "f":
            rows = np.rint(rows)
            rows[r.random(rows.shape) < 0.3] = r.choice([np.nan, -np.nan, np.inf, -np.inf, -0.0])
        for descending in (False, True):
            expected = by_stable_sort(rows, descending)
            np.testing.assert_array_equal(sorted_places(rows, descending), expected)
            for k in {0, 1, rows.shape[1] // 2, max(rows.shape[1] - 1, 0), rows.shape[1]}:
                np.testing.assert_array_equal(first_places(rows, k, descending), expected[:, :k])


@pytest.mark.parametrize("value", [np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0, -1])
def test_the_largest_and_the_smallest_integers(value):
    rows = np.array([[5, value, -3, value, np.iinfo(np.int64).max, np.iinfo(np.int64).min]])
    for descending in (False, True):
        np.testing.assert_array_equal(sorted_places(rows, descending), by_stable_sort(rows, descending))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_at_the_ends_of_the_range(dtype):
    info = np.finfo(dtype)
    values = [0.0, -0.0, info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal, info.max, info.min]
    rows = np.array([[*values, np.inf, -np.inf, np.nan, *values[::-1]]], dtype)
    for descending in (False, True):
        np.testing.assert_array_equal(sorted_places(rows, descending), by_stable_sort(rows, descending))


def test_no_rows_and_empty_rows():
    for shape in ((0, 3), (2, 0)):
        assert sorted_places(np.empty(shape, np.float32), True).shape == shape
