"""Optimisers that see a matrix as one: Adafactor and Muon, beside torch's."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import optim
from npnn.nn import Parameter
from tests.parity import requires_torch, torch

pytestmark = requires_torch


def run(lib, name, shapes, dtype, **options):
    """The parameters after thirty steps along gradients that are the same in both."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    params = [Parameter(npnn.tensor(v)) if lib is npnn else torch.nn.Parameter(torch.tensor(v)) for v in values]
    optimizer = getattr(lib.optim, name)(params, **options)
    for t in range(30):
        for i, (p, shape) in enumerate(zip(params, shapes, strict=True)):
            g = rng.standard_normal(shape).astype(dtype) * (1e-12 if t % 7 == 3 else 1)
            p.grad = None if (i, t % 5) == (1, 2) else lib.tensor(g)
        optimizer.step()
    return [p.detach().numpy() for p in params], optimizer


ADAFACTOR = [
    {}, {"lr": 0.3}, {"weight_decay": 0.1, "maximize": True}, {"eps": (1e-4, 0.1), "d": 2.0}, {"beta2_decay": -0.3},
]  # fmt: skip
MUON = [
    {}, {"nesterov": False, "momentum": 0.5}, {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0},
    {"ns_steps": 2, "ns_coefficients": (2.0, -1.5, 0.5), "lr": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("options", ADAFACTOR, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-5)])
def test_adafactor_follows_torch(options, dtype, tolerance):
    shapes = [(3, 4), (4,), (2, 3, 3, 2), (), (40, 7)]
    (ours, mine), (theirs, other) = (run(lib, "Adafactor", shapes, dtype, **options) for lib in (npnn, torch))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert [sorted(s) for s in mine.state_dict()["state"].values()] == [
        sorted(s) for s in other.state_dict()["state"].values()
    ]


@pytest.mark.parametrize("options", MUON, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_muon_follows_torch_to_the_digits_of_bfloat16(options, dtype):
    shapes = [(3, 4), (4, 3), (20, 60), (5, 5)]
    (ours, _), (theirs, _) = (run(lib, "Muon", shapes, dtype, **options) for lib in (npnn, torch))
    for a, b, shape in zip(ours, theirs, shapes, strict=True):
        start = np.abs(a - b).max() / options.get("lr", 1e-3)
        assert start < 30 * 2**-7 * max(shape) ** 0.5  # thirty steps, each rounded to eight bits


def test_what_they_refuse():
    matrix, vector = Parameter(npnn.ones(2, 2)), Parameter(npnn.ones(2))
    with pytest.raises(ValueError, match=r"only supports 2D parameters .* \(2,\)|2D parameters"):
        optim.Muon([matrix, vector])
    for options in ({"adjust_lr_fn": "other"}, {"ns_steps": 100}, {"ns_coefficients": (1.0, 2.0)}, {"lr": -1}):
        with pytest.raises(ValueError, match=r"not supported|less than 100|exactly 3|rate"):
            optim.Muon([matrix], **options)
    for options in ({"beta2_decay": 0.1}, {"eps": (-1.0, 1.0)}, {"d": 0.5}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match=r"beta2_decay|epsilon1|threshold d|decay"):
            optim.Adafactor([matrix], **options)
    empty = Parameter(npnn.ones(0, 3))
    empty.grad = npnn.ones(0, 3)
    optim.Adafactor([empty]).step()
