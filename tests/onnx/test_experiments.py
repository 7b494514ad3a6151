"""Every model of the experiments, exported: the same numbers everywhere at batch 1, 2 and 5."""

from __future__ import annotations

import pytest

import npnn
from npnn import nn
from npnn.experiment.registry import experiment, names
from npnn.nn.dropout import DropoutFunction
from npnn.onnx import ONNXError, export
from npnn.onnx.trace import trace
from tests.experiments.conftest import few_images, tiny_job  # noqa: F401  a fixture
from tests.onnx.common import assert_same_everywhere


@pytest.mark.parametrize("name", names())
def test_models_of_the_experiment(name):
    found = experiment(name)
    tried = set()
    for variant in found.VARIANTS:
        config = tiny_job(name, variant).config
        model, x = found.build(nn, config).eval(), found.data(config).test_x[:3]
        if repr(model) in tried:
            continue
        tried.add(repr(model))
        calls, _ = trace(model, (npnn.tensor(x),))
        if DropoutFunction in {call.op for call in calls}:  # the mistake of leaving dropout on, as an experiment
            with pytest.raises(ONNXError, match="drops even in evaluation mode"):
                export(model, x)
        else:
            assert_same_everywhere(model, x)
    assert tried
