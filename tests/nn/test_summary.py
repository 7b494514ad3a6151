"""summary: shapes, parameters and multiply-adds, and a model that is left as it was."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn


def test_a_multilayer_perceptron():
    result = nn.summary(nn.Sequential(nn.Linear(784, 600), nn.ReLU(), nn.Linear(600, 10)), (784,))
    assert [(layer.path, layer.kind, layer.output_shape, layer.parameters) for layer in result.layers] == [
        ("0", "Linear", (1, 600), 784 * 600 + 600),
        ("1", "ReLU", (1, 600), 0),
        ("2", "Linear", (1, 10), 6010),
    ]
    assert result.total_parameters == result.trainable_parameters == 477010
    assert result.multiply_adds == 784 * 600 + 600 * 10


def test_a_convolutional_network():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 5)
    )
    result = nn.summary(model, (3, 8, 8))
    assert [layer.output_shape for layer in result.layers] == [
        (1, 8, 8, 8),
        (1, 8, 4, 4),
        (1, 4, 2, 2),
        (1, 16),
        (1, 5),
    ]
    assert [layer.multiply_adds for layer in result.layers] == [8 * 8 * 8 * 27, 0, 2 * 2 * 4 * 4 * 9, 0, 80]


def test_recurrent_networks():
    lstm = nn.summary(nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True), (7, 3))
    weights = 2 * (4 * 5 * (3 + 5) + 4 * 5 * (10 + 5))
    assert lstm.multiply_adds == 7 * weights
    assert lstm.layers[0].output_shape == (1, 7, 10)
    assert nn.summary(nn.GRUCell(3, 5), (3,)).multiply_adds == 3 * 5 * (3 + 5)


def test_lookups_and_normalisations_multiply_nothing():
    model = nn.Sequential(nn.Embedding(10, 4), nn.LayerNorm((6, 4)), nn.Flatten(), nn.BatchNorm1d(24))
    result = nn.summary(model, (6,), dtype="int64")
    assert result.multiply_adds == 0
    assert [layer.parameters for layer in result.layers] == [40, 48, 0, 48]
    assert result.layers[0].output_shape == (1, 6, 4)


def test_nested_modules_and_weights_of_their_own():
    class Block(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(4, np.float32))
            self.body = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

        def forward(self, x):
            return x + self.scale * self.body(x)

    result = nn.summary(nn.Sequential(Block(), nn.Identity()), (4,))
    assert [(layer.path, layer.kind, layer.parameters) for layer in result.layers] == [
        ("0", "Block", 4),
        ("0.body.0", "Linear", 20),
        ("0.body.1", "Tanh", 0),
        ("1", "Identity", 0),
    ]
    assert result.total_parameters == 24


def test_a_shared_layer_works_twice_and_counts_once():
    shared = nn.Linear(3, 3)
    result = nn.summary(nn.Sequential(shared, shared), (3,))
    assert result.multiply_adds == 18
    assert result.total_parameters == 12


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[0].eval()
    state = {k: v.array.copy() for k, v in model.state_dict().items()}
    attributes = [(m, dict(vars(m))) for m in model.modules()]
    random = npnn.get_rng_state()
    nn.summary(model, (3,))
    assert all(vars(m) == before for m, before in attributes)
    assert [m.training for m in model] == [False, True, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.array, state[name])
    assert npnn.get_rng_state().equal(random)
    assert all(p.grad is None for p in model.parameters())


def test_the_model_is_left_as_it_was_after_an_error():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 4))
    attributes = [(m, dict(vars(m))) for m in model.modules()]
    with pytest.raises(ValueError, match=r"in layer 1: Linear"):
        nn.summary(model, (3,))
    assert all(vars(m) == before for m, before in attributes)


def test_the_dtype_is_the_models():
    assert nn.summary(nn.Linear(3, 4).double(), (3,)).total_parameters == 16
    assert nn.summary(nn.ReLU(), (3,)).layers[0].output_shape == (1, 3)


def test_printed():
    model = nn.Sequential(nn.Linear(1000, 20), nn.ReLU())
    model[0].bias.requires_grad_(False)
    assert str(nn.summary(model, (1000,))).split("\n") == [
        "layer       output shape  parameters  multiply-adds",
        "---------------------------------------------------",
        "0 (Linear)  (1, 20)           20,020         20,000",
        "1 (ReLU)    (1, 20)                0              0",
        "---------------------------------------------------",
        "total                         20,020         20,000",
        "of the parameters 20 are frozen",
    ]
