"""kernels takes a layer or a model of either framework, and says what there is if it has no convolution."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figures")

from npnn import nn, plot
from tests.train.common import FRAMEWORKS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_first_convolution_of_a_model(name):
    lib = nn if name == "npnn" else importlib.import_module("torch").nn
    model = lib.Sequential(lib.Conv1d(2, 2, 3), lib.Sequential(lib.Conv2d(1, 4, 3), lib.ReLU()), lib.Conv2d(4, 8, 5))
    for given in (model, model[1][0]):
        figure = plot.kernels(given)
        expected = plot.kernels(model[1][0].weight)
        shown, right = (f.axes[0].images[0].get_array() for f in (figure, expected))
        np.testing.assert_array_equal(shown, right)
        assert figure.axes[0].get_title() == "4 kernels of 3×3, 1 channel"


def test_a_model_without_one():
    with pytest.raises(ValueError, match=r"no convolution of images in this model, it has Linear, ReLU"):
        plot.kernels(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
