"""Weighted sums of rows: the compiled form beside the NumPy form, any sizes, one and several threads."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import taps, threads


@pytest.mark.parametrize("seed", range(12))
def test_compiled_and_numpy_form_agree(num_threads, monkeypatch, seed):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    r = np.random.default_rng(seed)
    n, rows, channels, places, count = (int(v) for v in r.integers([1, 1, 1, 0, 1], [5, 9, 7, 6, 9]))
    kind = [np.float32, np.float64][seed % 2]
    x, weight = (r.normal(size=s).astype(kind) for s in ((n, rows, channels), (n, places, count)))
    weight[r.random(weight.shape) < 0.2] = 0
    index, dy = r.integers(0, rows, weight.shape), r.normal(size=(n, places, channels)).astype(kind)
    tolerance = {"rtol": 1e-5 if kind == np.float32 else 1e-12, "atol": 1e-5 if kind == np.float32 else 1e-12}
    np.testing.assert_allclose(
        taps.weighted_rows(x, index, weight), taps.weighted_rows.reference(x, index, weight), **tolerance
    )
    ours, plain = (
        taps.weighted_rows_backward(dy, x, index, weight),
        taps.weighted_rows_backward.reference(dy, x, index, weight),
    )
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
