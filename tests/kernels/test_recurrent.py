"""The recurrent kernels: compiled loops against the NumPy forms, and the accuracy of the fast tanh and σ."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, threads
from npnn.kernels import recurrent_step as step
from npnn.kernels.recurrent_gru import gru_backward, gru_forward
from npnn.kernels.recurrent_lstm import lstm_backward, lstm_forward
from npnn.kernels.recurrent_rnn import rnn_backward, rnn_forward

pytestmark = pytest.mark.skipif(not _jit.enabled(), reason="compiled kernels are off: there is nothing to compare")

# T, N, I, H: single steps, single items, odd sizes, one number per step, and sizes of whole vectors
SHAPES = [(1, 1, 1, 1), (1, 5, 3, 2), (4, 1, 2, 7), (5, 3, 1, 17), (3, 2, 33, 32), (4, 9, 1, 64), (2, 13, 64, 32)]
KINDS = ["tanh", "relu", "lstm", "gru"]


@pytest.fixture(params=[1, 2])
def chunks(request, monkeypatch):
    """Run on one thread and on two, however small the arrays."""
    before = threads.get_num_threads()
    threads.set_num_threads(request.param)
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    yield request.param
    threads.set_num_threads(before)


def run(kind: str, form: str, shape: tuple[int, ...], dtype: str, reverse: bool, given: bool) -> list[np.ndarray]:
    """Everything that forward and backward return.  ``given``: initial states and all gradients, else only h_n's."""
    T, N, I, H = shape  # noqa: E741
    rng = np.random.default_rng([*shape, KINDS.index(kind), reverse, given])

    def random(*size: int) -> np.ndarray:
        return (rng.standard_normal(size) * 0.5).astype(dtype)

    gates = {"lstm": 4, "gru": 3}.get(kind, 1)
    x, w_ih, w_hh, bias, b_hh = random(T, N, I), random(gates * H, I), random(gates * H, H), *random(2, gates * H)
    h0, c0, dh_n, dc_n, dy = random(N, H), random(N, H), random(N, H), random(N, H), random(T, N, H)
    if not given:
        h0 = c0 = dc_n = dy = None
    wanted_w_ih = w_ih if given else None
    if kind == "lstm":
        h, c, saved = forward = getattr(lstm_forward, form)(x, h0, c0, w_ih, w_hh, bias, reverse, True)
        backward = getattr(lstm_backward, form)(dy, dh_n, dc_n, x, h, c, saved, wanted_w_ih, w_hh, reverse, not given)
    elif kind == "gru":
        h, saved, m = forward = getattr(gru_forward, form)(x, h0, w_ih, w_hh, bias, b_hh, reverse, True)
        backward = getattr(gru_backward, form)(dy, dh_n, x, h, saved, m, wanted_w_ih, w_hh, reverse)
    else:
        relu = kind == "relu"
        h = getattr(rnn_forward, form)(x, h0, w_ih, w_hh, bias, relu, reverse)
        forward = (h,)
        backward = getattr(rnn_backward, form)(dy, dh_n, x, h, wanted_w_ih, w_hh, relu, reverse, not given)
    return [array for array in (*forward, *backward) if array is not None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_both_forms_agree(kind, shape, reverse, given, chunks):
    for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-12)):
        fast, plain = (run(kind, form, shape, dtype, reverse, given) for form in ("twin", "reference"))
        assert len(fast) == len(plain)
        for i, (a, b) in enumerate(zip(fast, plain, strict=True)):
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(), err_msg=f"result {i}")


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch(kind, chunks):
    fast, plain = (run(kind, form, (3, 0, 2, 4), "float32", False, True) for form in ("twin", "reference"))
    assert [a.shape for a in fast] == [b.shape for b in plain]
    assert not any(a.any() for a in fast)


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_every_time(kind, chunks):
    first, second = (run(kind, "twin", (6, 37, 5, 32), "float32", False, True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", ["twin", "reference"])
@pytest.mark.parametrize("reverse", [False, True])
def test_results_do_not_depend_on_what_is_kept(form, reverse, chunks):
    rng = np.random.default_rng(0)
    x, w_ih, w_hh, bias = (rng.standard_normal(s).astype("f") for s in ((5, 4, 3), (32, 3), (32, 8), 32))
    kept, dropped = (getattr(lstm_forward, form)(x, None, None, w_ih, w_hh, bias, reverse, k) for k in (True, False))
    assert dropped[2].shape == (1, 4, 32)
    for a, b in zip(kept[:2], dropped[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    w_ih, w_hh, bias = w_ih[:24], w_hh[:24], bias[:24]
    kept, dropped = (getattr(gru_forward, form)(x, None, w_ih, w_hh, bias, bias, reverse, k) for k in (True, False))
    assert dropped[1].shape == (1, 4, 24)
    np.testing.assert_array_equal(kept[0], dropped[0])


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_arguments_are_left_alone(kind):
    rng = np.random.default_rng(0)
    x, w_ih, w_hh, dh_n = (rng.standard_normal(s).astype("f") for s in ((3, 4, 1), (8, 1), (8, 8), (4, 8)))
    h = rnn_forward.twin(x, None, w_ih, w_hh, np.zeros(8, "f"), kind == "relu", False)
    arguments = (None, dh_n, x, h, w_ih, w_hh, kind == "relu", False, False)
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    rnn_backward.twin(*arguments)
    for a, b in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the approximations


def apply(function, x: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in x], np.float32)


def grid() -> np.ndarray:
    """Both signs of all sizes, denser where the curves bend."""
    rng = np.random.default_rng(0)
    sizes = [10.0 ** rng.uniform(-8, 2, 4000), rng.uniform(0, 10, 20000), [0.0, 8.03, 8.04, 1e30, np.inf]]
    positive = np.concatenate(sizes).astype(np.float32)
    return np.concatenate([positive, -positive])


def test_tanh_is_accurate_and_bounded():
    x = grid()
    y = apply(step.tanh, x)
    exact = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(y, exact, rtol=4e-7)
    assert np.abs(y).max() <= 1
    np.testing.assert_array_equal(apply(step.tanh, -x), -y)
    assert np.isnan(step.tanh(np.float32(np.nan)))


def test_sigmoid_is_accurate_and_bounded():
    x = grid()
    y = apply(step.sigmoid, x)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(y, exact, rtol=0, atol=3e-7)
    assert y.min() >= 0
    assert y.max() <= 1
    assert np.isnan(step.sigmoid(np.float32(np.nan)))
