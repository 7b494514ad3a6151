"""What layers say when they are given what they cannot use: which layer it was, and what to do."""

from __future__ import annotations

import warnings

import pytest

import npnn
from npnn import nn
from npnn.errors import DtypeError, ShapeError
from npnn.nn import functional as F

IMAGES = (2, 28, 28, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "order"),
    [
        (nn.Conv2d(3, 4, 3), IMAGES, "(0, 3, 1, 2)"),
        (nn.Conv2d(3, 4, 3), IMAGES[1:], "(2, 0, 1)"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), IMAGES, "(0, 3, 1, 2)"),
        (nn.Conv1d(3, 4, 3), (2, 28, 3), "(0, 2, 1)"),
        (nn.ConvTranspose2d(3, 4, 3), IMAGES, "(0, 3, 1, 2)"),
        (nn.MaxPool2d(4), IMAGES, "(0, 3, 1, 2)"),
        (nn.MaxPool2d(4), IMAGES[1:], "(2, 0, 1)"),
        (nn.AvgPool2d(2), (2, 28, 28, 1), "(0, 3, 1, 2)"),
        (nn.BatchNorm2d(3), IMAGES, "(0, 3, 1, 2)"),
        (nn.BatchNorm1d(3), (2, 28, 3), "(0, 2, 1)"),
        (nn.GroupNorm(3, 3), IMAGES, "(0, 3, 1, 2)"),
        (nn.InstanceNorm2d(3, affine=True), IMAGES, "(0, 3, 1, 2)"),
        (nn.InstanceNorm2d(3, affine=True), IMAGES[1:], "(2, 0, 1)"),
        (nn.InstanceNorm1d(3, track_running_stats=True), (2, 28, 3), "(0, 2, 1)"),
    ],
)
def test_channels_that_come_last_are_recognised(layer, shape, order):
    x = npnn.zeros(*shape)
    with pytest.raises(ShapeError) as caught:
        layer(x)
    hint = f"put the channels first with x.permute{order}"
    assert hint in str(caught.value)
    assert str(shape) in str(caught.value) or isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d))
    layer(eval(hint.split("with ")[1]))  # which works


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 4, 3), (2, 28, 28, 4)),
        (nn.MaxPool2d(4), (2, 3, 3, 3)),
        (nn.MaxPool2d(4), (2, 8, 28, 2)),
        (nn.BatchNorm2d(3), (2, 28, 28, 4)),
        (nn.InstanceNorm2d(3, affine=True), (2, 28, 28, 4)),
    ],
)
def test_other_images_get_no_such_advice(layer, shape):
    with pytest.raises(ShapeError) as caught:
        layer(npnn.zeros(*shape))
    assert "permute" not in str(caught.value)


def test_images_without_their_axis_of_channels():
    for layer in (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(1)):
        with pytest.raises(ShapeError, match=r"x\.unsqueeze\(1\)"):
            layer(npnn.zeros(5, 8, 8))
        layer(npnn.zeros(5, 8, 8).unsqueeze(1))


def test_classes_that_come_last_are_recognised():
    with pytest.raises(ShapeError, match=r"put it second with x\.permute\(0, 2, 1\)"):
        F.cross_entropy(npnn.zeros(2, 7, 5), npnn.zeros(2, 7, dtype=npnn.int64))


# ---- the path to the layer


class Recurrent(nn.Module):
    def __init__(self):
        self.rnn = nn.LSTM(4, 5)
        self.cells = nn.ModuleList([nn.GRUCell(4, 5), nn.GRUCell(5, 5)])
        self.heads = nn.ModuleDict({"mean": nn.Linear(5, 1), "scale": nn.Sequential(nn.ReLU(), nn.Linear(6, 1))})
        self.hidden = [nn.Linear(1, 1)]  # no part of the tree

    def forward(self, x, part):
        if part == "rnn":
            return self.rnn(x)
        if part == "cells":
            return self.cells[1](x)
        if part == "hidden":
            return self.hidden[0](x)
        if part == "functional":
            return F.conv2d(x, npnn.zeros(1, 9, 3, 3))
        return self.heads["scale"](npnn.zeros(2, 5))


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ("rnn", "in layer 1.rnn: LSTM(4, 5): expected an input"),
        ("cells", "in layer 1.cells.1: GRUCell(5, 5): expected an input"),
        ("heads", "in layer 1.heads.scale.1: Linear(in_features=6, out_features=1, bias=True): expected an input"),
        ("hidden", "in layer 1: Linear(in_features=1, out_features=1, bias=True): expected an input"),
        ("functional", "in layer 1: Recurrent: expected an input"),
    ],
)
def test_the_layer_is_named_by_its_path(part, where):
    class Model(nn.Sequential):
        def forward(self, x):
            return self[1](x, part)

    with pytest.raises(ShapeError) as caught:
        Model(nn.Identity(), Recurrent())(npnn.zeros(2, 3, 7))
    assert str(caught.value).startswith(where)


def test_a_function_called_outside_of_layers_has_no_path():
    with pytest.raises(ShapeError, match=r"^expected an input"):
        F.linear(npnn.zeros(2, 3), npnn.zeros(5, 4))


def test_a_layer_used_twice_is_named_by_its_first_name():
    layer = nn.Linear(3, 3)
    with pytest.raises(ShapeError, match=r"^in layer 0: Linear"):
        nn.Sequential(layer, nn.ReLU(), layer)(npnn.zeros(2, 4))


# ---- probabilities where scores are meant


def test_probabilities_given_to_cross_entropy():
    """At the perfect prediction, a one in the right place, the loss is what the warning says."""
    with pytest.warns(UserWarning, match=r"log\(e \+ 9\) - 1 = 1\.4612") as caught:
        loss = nn.CrossEntropyLoss()(npnn.eye(10), npnn.arange(10))
    assert loss.item() == pytest.approx(1.4612, abs=1e-4)
    assert len(caught) == 1


@pytest.mark.parametrize("place", ["layer", "function"])
def test_the_warning_points_at_the_users_line(place):
    criterion = nn.CrossEntropyLoss()
    use = criterion if place == "layer" else F.cross_entropy
    with pytest.warns(UserWarning, match="look like probabilities") as caught:
        use(npnn.eye(3), npnn.arange(3))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "scores",
    [
        lambda: npnn.randn(4, 3),
        lambda: npnn.zeros(4, 3),
        lambda: F.softmax(npnn.randn(4, 3), dim=1) * 2,
        lambda: F.log_softmax(npnn.randn(4, 3), dim=1),
        lambda: npnn.ones(4, 1),
    ],
)
def test_scores_cause_no_warning(scores):
    scores = scores()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.CrossEntropyLoss()(scores, npnn.zeros(4, dtype=npnn.int64))


def test_images_of_probabilities_are_noticed():
    x = F.softmax(npnn.randn(2, 5, 3, 3), dim=1)
    with pytest.warns(UserWarning, match="look like probabilities"):
        nn.CrossEntropyLoss()(x, npnn.zeros(2, 3, 3, dtype=npnn.int64))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 4), (2, 3)),
        (nn.Conv2d(3, 4, 3), (2, 3, 8, 8)),
        (nn.BatchNorm2d(3), (2, 3, 8, 8)),
        (nn.GroupNorm(1, 3), (2, 3, 8)),
        (nn.LayerNorm(3), (2, 3)),
        (nn.GRU(3, 4), (5, 2, 3)),
        (nn.GRUCell(3, 4), (2, 3)),
        (nn.PReLU(), (2, 3)),
        (nn.Embedding(3, 4), (2, 3)),
    ],
)
def test_a_dtype_that_does_not_fit_is_an_error_of_the_layer(layer, shape):
    """A ValueError, as of torch's recurrent layers, and a RuntimeError, as of its others; with path and cast."""
    x = npnn.zeros(*shape, dtype=npnn.float64)
    with pytest.raises(DtypeError, match=r"^in layer 1: .* float64.*(model\.double\(\)|long\(\) casts)") as caught:
        nn.Sequential(nn.Identity(), layer)(x)
    assert isinstance(caught.value, (ValueError, RuntimeError))
