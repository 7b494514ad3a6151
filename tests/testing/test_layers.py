"""check_layer and check_loss: every kind of mistake is named in layers of several kinds, and right layers pass."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import Function, nn
from npnn.testing import Finding, assert_right, check_layer, check_loss, report
from tests.parity import requires_torch, torch
from tests.testing.by_hand import LABELS, MSE, RIGHT, CrossEntropy, Linear, X
from tests.testing.mistakes import FORWARD, LOSSES, WRONG

KINDS = {
    "scale", "sign", "transposed", "layout", "not summed", "missing term", "wrong value saved", "mask", "border",
    "accumulates", "overwrites", "changes its input", "shape", "dtype", "random", "kink", "l2",
}  # fmt: skip
MODULES = {
    "Linear": ((4, 3), (5, 4)), "Bilinear": ((3, 4, 2), ((5, 3), (5, 4))), "Conv1d": ((2, 3, 3), (2, 2, 8)),
    "Conv2d": ((2, 3, 3, 2, 1), (2, 2, 7, 7)),
    "ConvTranspose1d": ((2, 3, 3), (2, 2, 5)), "ConvTranspose2d": ((2, 3, 3, 2, 1), (2, 2, 4, 4)),
    "BatchNorm1d": ((4,), (6, 4)), "BatchNorm2d": ((2,), (3, 2, 4, 4)), "LayerNorm": ((5,), (4, 5)),
    "GroupNorm": ((2, 4), (3, 4, 5)), "InstanceNorm2d": ((2,), (2, 2, 4, 4)), "RMSNorm": ((5,), (4, 5)),
    "LocalResponseNorm": ((2,), (2, 4, 5)), "ReLU": ((), (6, 4)), "LeakyReLU": ((), (6, 4)), "ELU": ((), (6, 4)),
    "SELU": ((), (6, 4)), "GELU": ((), (6, 4)), "SiLU": ((), (6, 4)), "Mish": ((), (6, 4)), "Softplus": ((), (6, 4)),
    "Sigmoid": ((), (6, 4)), "Tanh": ((), (6, 4)), "Hardtanh": ((), (6, 4)), "Softsign": ((), (6, 4)),
    "LogSigmoid": ((), (6, 4)), "PReLU": ((), (6, 4)), "GLU": ((), (6, 4)), "Softmax": ((1,), (6, 4)),
    "LogSoftmax": ((1,), (6, 4)), "Dropout": ((0.4,), (6, 4)), "MaxPool1d": ((2,), (2, 2, 8)),
    "MaxPool2d": ((3, 2, 1), (2, 2, 7, 7)), "AvgPool2d": ((2,), (2, 2, 6, 6)), "AdaptiveAvgPool2d": ((2,), (2, 2, 6, 6)),
    "Flatten": ((), (2, 3, 4)), "Upsample": ((None, 2), (1, 2, 3, 3)), "PixelShuffle": ((2,), (1, 4, 3, 3)),
    "ZeroPad2d": ((1,), (1, 2, 3, 3)), "ReflectionPad2d": ((1,), (1, 2, 3, 3)), "RNN": ((3, 4), (5, 2, 3)),
    "LSTM": ((3, 4), (5, 2, 3)), "GRU": ((3, 4), (5, 2, 3)), "RNNCell": ((3, 4), (5, 3)),
    "CosineSimilarity": ((), ((5, 4), (5, 4))), "TransformerEncoderLayer": ((4, 2, 8, 0.0), (3, 2, 4)),
}  # fmt: skip


def inputs(shapes):
    rng = np.random.default_rng(4)
    several = isinstance(shapes[0], tuple)
    return tuple(rng.standard_normal(s) for s in shapes) if several else rng.standard_normal(shapes)


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_found_in_a_right_layer(name):
    make, x, reference = RIGHT[name]
    assert check_layer(make(), x, reference=reference) == []


@pytest.mark.parametrize("rate", [1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("seed", range(3))
def test_a_little_weight_decay_is_not_taken_for_a_factor(rate, seed):
    """The decay changes the length of the gradient a little, too: by what share depends on chance."""

    class Decayed(Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads["W"] = self.grads["W"] + rate * self.params["W"]
            return dx

    layer = Decayed()
    layer.params["W"] = np.random.default_rng(seed).standard_normal(layer.params["W"].shape)
    assert "scale" not in [f.kind for f in check_layer(layer, X)]


def test_each_kind_is_tried_in_three_layers():
    for kind in KINDS - {"kink"}:
        assert len([k for k, *_ in WRONG if k == kind]) >= 3, kind


@pytest.mark.parametrize(
    "number", range(len(WRONG)), ids=[f"{kind}-{where}-{i}" for i, (kind, where, *_) in enumerate(WRONG)]
)
def test_the_mistake_is_named(number):
    kind, where, make, x = WRONG[number]
    found = check_layer(make(), x)
    assert (kind, where) in [(f.kind, f.where) for f in found], report(found)
    assert {f.kind for f in found} <= KINDS
    assert all(len(str(f).splitlines()) == 1 for f in found)


@pytest.mark.parametrize("number", range(len(FORWARD)))
def test_another_forward_than_the_references(number):
    name, make, x = FORWARD[number]
    assert "forward" in [f.kind for f in check_layer(make(), x, reference=name)]


@pytest.mark.parametrize("number", range(len(LOSSES)))
def test_losses(number):
    kind, make, labels = LOSSES[number]
    found = check_loss(make(), np.random.default_rng(5).standard_normal((6, 4)), labels)
    assert [f.kind for f in found] == [kind], report(found)


def test_right_losses_in_every_form():
    scores = np.random.default_rng(6).standard_normal((6, 4))
    assert check_loss(CrossEntropy(), scores, LABELS, reference="CrossEntropyLoss") == []
    assert check_loss(MSE(), scores, X, reference="MSELoss") == []
    assert check_loss(nn.CrossEntropyLoss(), scores, LABELS) == []
    assert check_loss(nn.functional.cross_entropy, scores, LABELS) == []

    def softmax_loss(scores, labels):
        own = CrossEntropy()
        return own.forward(scores, labels), own.backward()

    class OfShares(CrossEntropy):
        """Labels are rows of shares, which add up to 1."""

        def forward(self, scores, shares):
            super().forward(scores, LABELS)
            self.shares = shares
            return -(shares * np.log(self.p)).sum() / len(scores)

        def backward(self):
            return (self.p - self.shares) / len(self.p)

    assert check_loss(OfShares(), scores, np.eye(4)[LABELS]) == []
    assert check_loss(softmax_loss, scores, LABELS) == []
    pair = (lambda s, y: ((s - y) ** 2).sum(), lambda s, y: 2 * (s - y))
    assert check_loss(pair, scores, X) == []
    wrong = (pair[0], lambda s, y: s - y)
    assert [f.kind for f in check_loss(wrong, scores, X)] == ["scale"]


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_found_in_npnns_modules(name):
    arguments, shapes = MODULES[name]
    assert check_layer(getattr(nn, name)(*arguments), inputs(shapes)) == []


@requires_torch
@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_found_in_torchs_modules(name):
    arguments, shapes = MODULES[name]
    assert check_layer(getattr(torch.nn, name)(*arguments), inputs(shapes)) == []


class Cube(Function):
    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return self.factor * self.x**2 * dy

    factor = 3


class WrongCube(Cube):
    factor = 1


def test_functions_of_npnn():
    assert check_layer(Cube, X) == check_layer(Cube.apply, X) == []
    assert [(f.kind, f.where) for f in check_layer(WrongCube, X)] == [("scale", "input")]
    assert check_layer(lambda a, b: (a * b).tanh(), (X, X + 1)) == []
    assert [f.where for f in check_layer(lambda a, b: WrongCube.apply(a) * b, (X, X + 1))] == ["input 0"]


@requires_torch
def test_functions_and_modules_of_torch():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return x * dy

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, x):
            return Square.apply(self.layer(x))

    (finding,) = check_layer(Square, X)
    assert (finding.kind, finding.where) == ("scale", "input")
    assert "1/2" in finding.message
    assert {f.where for f in check_layer(Net(), X)} == {"input", "layer.weight", "layer.bias"}
    assert check_layer(Linear(), X, reference=torch.nn.Linear(4, 3)) == []


def test_a_layer_that_takes_the_step_itself():
    class Dense:
        def __init__(self):
            self.weights, self.bias = np.random.default_rng(1).standard_normal((4, 3)), np.zeros(3)

        def forward(self, x):
            self.x = x
            return x @ self.weights + self.bias

        def backward(self, output_gradient, learning_rate):
            dx = output_gradient @ self.weights.T
            self.weights = self.weights - learning_rate * self.x.T @ output_gradient
            self.bias = self.bias - learning_rate * self.factor * output_gradient.sum(0)
            return dx

        factor = 1

    assert check_layer(Dense(), X) == []
    found = check_layer(type("Wrong", (Dense,), {"factor": 1 / 6})(), X)
    assert [(f.kind, f.where) for f in found] == [("scale", "bias")]


def test_the_layer_itself_and_the_streams_stay_as_they_were():
    layer = Linear()
    before, state = {n: p.copy() for n, p in layer.params.items()}, np.random.get_state()[1].copy()  # noqa: NPY002
    npnn.manual_seed(3)
    expected = npnn.rand(3).tolist()
    npnn.manual_seed(3)
    check_layer(layer, X)
    assert not hasattr(layer, "x")
    assert all(np.array_equal(before[n], p) for n, p in layer.params.items())
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert npnn.rand(3).tolist() == expected


def test_large_layers_are_sampled():
    layer = Linear(300, 200)
    x = np.random.default_rng(0).standard_normal((32, 300))
    assert check_layer(layer, x) == []

    class OneElement(Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads["W"][123, 45] += 1
            return dx

    assert [(f.kind, f.where) for f in check_layer(OneElement(300, 200), x)] == [("mask", "W")]


def test_assert_right_in_a_test():
    assert_right(Linear(4, 3), reference="Linear")
    assert_right(nn.Conv2d(2, 3, 3))
    make = next(make for kind, where, make, _ in WRONG if (kind, where) == ("scale", "b"))
    with pytest.raises(
        AssertionError, match=r"scale \(b\): backward is 1/8 of the right gradient: 8 is the batch size"
    ):
        assert_right(make())


def test_the_report():
    assert report([]) == "nothing found: all that was compared is right"
    finding = Finding("scale", "W", "half", np.eye(2), 2 * np.eye(2))
    assert report([finding]).splitlines() == [
        "scale (W): half", "", "backward   finite differences   (▁ 0 to █ 2)", "▅▁         █▁", "▁▅         ▁█",
    ]  # fmt: skip
    assert report([finding, finding]).splitlines() == ["scale (W): half"] * 2
    assert finding == Finding("scale", "W", "half")


def test_what_cannot_be_checked():
    with pytest.raises(TypeError, match="int cannot be checked: it needs forward"):
        check_layer(3, X)
    with pytest.raises(TypeError, match=r"reference 'Dense' is no layer of npnn\.nn"):
        check_layer(Linear(), X, reference="Dense")
