"""The sums over all ways: the compiled form beside the NumPy form, empty sequences, impossible ones and zeros among them."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import ctc, threads


@pytest.mark.parametrize("seed", range(20))
def test_compiled_and_numpy_form_agree(num_threads, monkeypatch, seed):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    r = np.random.default_rng(seed)
    T, N, C, S = (int(n) for n in r.integers([0, 1, 2, 0], [9, 5, 6, 5]))
    kind = [np.float32, np.float64][seed % 2]
    y = r.random((T, N, C))
    if seed % 3 == 0:
        y[r.random(y.shape) < 0.2] = 0
    with np.errstate(divide="ignore"):
        log_y = np.log(y).astype(kind)
    lengths, counts = r.integers(0, T + 1, N), r.integers(0, S + 1, N)
    spread = np.zeros((N, 2 * S + 1), np.int64)
    spread[:, 1::2] = r.integers(1, C, (N, S))
    jumps = np.zeros(spread.shape, bool)
    jumps[:, 2:] = (spread[:, 2:] != 0) & (spread[:, 2:] != spread[:, :-2])
    given = log_y, spread, jumps, lengths, counts
    tolerance = {"rtol": 1e-4 if kind == np.float32 else 1e-10, "atol": 1e-4 if kind == np.float32 else 1e-10}
    with np.errstate(all="ignore"):
        (alpha, losses), (plain, expected) = ctc.ways(*given), ctc.ways.reference(*given)
        np.testing.assert_allclose(losses, expected, **tolerance)
        possible = np.isfinite(losses)
        for n in range(N):
            np.testing.assert_allclose(alpha[n, : lengths[n]], plain[n, : lengths[n]], **tolerance)
        back, slow = ctc.ways_backward(*given, alpha, losses), ctc.ways_backward.reference(*given, plain, expected)
    np.testing.assert_allclose(back[:, possible], slow[:, possible], **tolerance)
