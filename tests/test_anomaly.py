"""detect_anomaly: the operation that made the first nan or inf is named, with its layer and the line that called it."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

import npnn
from npnn import Function, nn
from npnn.modes import detect_anomaly, mode, set_detect_anomaly
from tests.parity import requires_torch, torch


class Halved(Function):
    """A backward pass that fails as it is told to."""

    def forward(self, x, failure):
        self.failure = failure
        return x * 0.5

    def backward(self, dy):
        if self.failure == "error":
            raise ZeroDivisionError("as planned")
        return dy * float(self.failure), None


def leaf(*values):
    return npnn.tensor(np.array(values), requires_grad=True)


def test_the_operation_and_the_line_of_forward():
    x = leaf(1.0, 0.0, -1.0)
    message = (
        r"Log made nan from finite numbers in output 0 of shape \(3,\), in 2 of 3 elements, "
        r"the first at \(1,\), called\n"
        r"  File .*test_anomaly\.py, line \d+, in test_the_operation_and_the_line_of_forward\n"
        r"    y = npnn\.log\(x\) \+ 1"
    )
    with detect_anomaly(), pytest.raises(RuntimeError, match=message):
        y = npnn.log(x) + 1  # noqa: F841
    assert np.isnan((npnn.log(x) + 1).array).any(), "outside, it passes"


def test_inf_counts_unless_it_came_in():
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        with pytest.raises(RuntimeError, match="Log made inf from finite numbers"):
            npnn.log(x)
        masked = x.masked_fill(x > 0, float("-inf"))  # asked for
        nn.functional.softmax(masked, 0).sum().backward()
        with pytest.raises(RuntimeError, match="Sub made nan from inf"):
            masked - masked


def test_nan_in_the_data_is_said_to_be_there():
    layer = nn.Linear(2, 2)
    with (
        detect_anomaly(),
        pytest.raises(RuntimeError, match=r"LinearFunction was given nan, .* data, called in layer Linear\("),
    ):
        layer(npnn.tensor([[1.0, float("nan")]]))


@pytest.mark.parametrize(("failure", "kind"), [("nan", "nan"), ("inf", "inf")])
def test_a_gradient_is_traced_to_its_forward(failure, kind):
    x = leaf(1.0, 2.0)
    message = (
        rf"Halved\.backward made {kind} in the gradient of input 0 of shape \(2,\), in 2 of 2 elements, "
        r"the first at \(0,\); its forward was called\n.*\n    y = Halved\.apply\(x, failure\)"
    )
    with detect_anomaly():
        y = Halved.apply(x, failure)
        with pytest.raises(RuntimeError, match=message):
            (y * 2).sum().backward()


def test_backward_is_checked_even_if_forward_was_not_watched():
    y = Halved.apply(leaf(1.0), "nan").sum()
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"Halved.backward made nan in .* elements, [^;]*$"):
        y.backward()


def test_a_gradient_that_starts_as_nan():
    with detect_anomaly():
        y = leaf(1.0) * 2
        with pytest.raises(RuntimeError, match="the gradient that backward\\(\\) started from"):
            y.backward(np.array([np.nan]))


@pytest.mark.parametrize("check_nan", [True, False])
def test_an_error_in_backward_says_where_forward_was(check_nan):
    with detect_anomaly(check_nan=check_nan):
        y = Halved.apply(leaf(1.0), "error")
        warning = pytest.warns(UserWarning, match="Halved.backward failed; its forward was called\n.*line")
        with warning, pytest.raises(ZeroDivisionError):
            y.backward()


def test_without_check_nan_nothing_is_checked():
    with detect_anomaly(check_nan=False):
        npnn.log(leaf(-1.0)).sum().backward()


class Inner(nn.Module):
    def __init__(self):
        self.scale = nn.Linear(2, 2)

    def forward(self, x):
        return (self.scale(x) * 0).log()


def test_the_layer_is_named():
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(2, 2), Inner()))
    with detect_anomaly(), pytest.raises(RuntimeError) as caught:
        model(npnn.ones(1, 2))
    assert re.search(r"Log made inf .*called in layer 1\.1: Inner\n.*in forward\n    return", str(caught.value))
    recurrent = nn.Sequential(nn.Identity(), nn.RNN(2, 3, nonlinearity="relu"))
    recurrent[1].weight_hh_l0.array.fill(float("inf"))
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"RNNLayer made nan from inf .* in layer 1: RNN\(2, 3\)"):
        recurrent(npnn.ones(4, 1, 2))


def test_it_can_be_switched_on_and_off():
    before = mode.observer
    set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="made nan"):
            npnn.log(leaf(-1.0))
        with set_detect_anomaly(False):
            npnn.log(leaf(-1.0))
        assert mode.observer is not None
    finally:
        set_detect_anomaly(False)
    assert mode.observer is before is None
    with set_detect_anomaly(True):
        assert mode.observer is not None
    assert mode.observer is None


def test_as_a_decorator_and_after_an_error():
    @detect_anomaly()
    def loss(x):
        return npnn.log(x)

    @set_detect_anomaly(True)
    def other(x):
        return npnn.log(x)

    for fn in (loss, other):
        assert mode.observer is None
        with pytest.raises(RuntimeError, match="made nan"):
            fn(leaf(-1.0))
        assert mode.observer is None


def test_it_concerns_one_thread():
    with detect_anomaly():
        thread = threading.Thread(target=lambda: results.append(npnn.log(leaf(-1.0))))
        results: list = []
        thread.start()
        thread.join()
    assert np.isnan(results[0].array).all()


def test_results_are_those_without_it():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    x, target = npnn.randn(5, 1, 6, 6), npnn.randint(0, 3, (5,))

    def gradients():
        model.zero_grad()
        nn.CrossEntropyLoss()(model(x), target).backward()
        return [p.grad.array.copy() for p in model.parameters()]

    plain = gradients()
    with detect_anomaly():
        watched = gradients()
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(a, b)


@requires_torch
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_torch_raises_the_same_kind_of_error():
    for lib, anomaly in ((npnn, detect_anomaly), (torch, torch.autograd.detect_anomaly)):
        x = lib.tensor([0.0], requires_grad=True)
        with anomaly(), pytest.raises(RuntimeError, match="nan"):
            ((x * 0).sqrt() * 0).sum().backward()
