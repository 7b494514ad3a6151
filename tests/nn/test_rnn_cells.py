"""RNNCell, LSTMCell and GRUCell against torch, and against the layers whose single step they are."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.testing import assert_close
from tests.parity import assert_module_matches_torch, random_input, requires_torch, torch

KINDS = ["RNN", "LSTM", "GRU"]
T, N, I, H = 4, 3, 2, 5  # noqa: E741


def zeros(*shape: int, dtype: str = "float32") -> npnn.Tensor:
    return npnn.tensor(np.zeros(shape, dtype))


def pack(hx: list) -> object:
    return tuple(hx) if len(hx) == 2 else hx[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(N,), (0,), (1,), ()])
@pytest.mark.parametrize("given", [True, False])
def test_cell_matches_torch(kind, bias, batch, given):
    def build(framework):
        class Unpacked(framework.Module):
            def __init__(self):
                super().__init__()
                self.cell = getattr(framework, kind + "Cell")(I, H, bias=bias)

            def forward(self, x, *hx):
                return self.cell(x, pack(hx)) if hx else self.cell(x)

        return Unpacked()

    hx = [random_input((*batch, H), seed=seed) for seed in range(1 + (kind == "LSTM"))] if given else []
    assert_module_matches_torch(build, random_input((*batch, I)), *hx)


def test_relu_cell_matches_torch():
    assert_module_matches_torch(
        lambda framework: framework.RNNCell(I, H, nonlinearity="relu"), random_input((N, I)), random_input((N, H))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_cell_step_by_step_is_the_layer(kind):
    layer, cell = getattr(nn, kind)(I, H).double(), getattr(nn, kind + "Cell")(I, H).double()
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    x = npnn.tensor(random_input((T, N, I)))
    output, _ = layer(x)
    hx = None
    for t in range(T):
        hx = cell(x[t], hx)
        assert_close(hx[0] if kind == "LSTM" else hx, output[t], rtol=1e-12)


@requires_torch
@pytest.mark.parametrize("kind", KINDS)
def test_cell_repr_is_torchs(kind):
    assert repr(getattr(nn, kind + "Cell")(I, H)) == repr(getattr(torch.nn, kind + "Cell")(I, H))
    assert repr(getattr(nn, kind + "Cell")(I, H, bias=False)) == repr(
        getattr(torch.nn, kind + "Cell")(I, H, bias=False)
    )
    assert repr(nn.RNNCell(I, H, nonlinearity="relu")) == repr(torch.nn.RNNCell(I, H, nonlinearity="relu"))


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_shapes_for_cells(kind):
    cell = getattr(nn, kind + "Cell")(I, H)

    def start(*shape):
        return pack([zeros(*shape)] * (2 if kind == "LSTM" else 1))

    with pytest.raises(ShapeError, match=r"\(batch, 2\) or \(2,\), got \(3, 7\)"):
        cell(zeros(N, 7))
    with pytest.raises(ShapeError, match=r"got \(1, 3, 2\)"):
        cell(zeros(1, N, I))
    with pytest.raises(ShapeError, match=r"of shape \(3, 5\).*got \(4, 5\)"):
        cell(zeros(N, I), start(4, H))
    with pytest.raises(ShapeError, match=r"of shape \(5,\).*got \(1, 5\)"):
        cell(zeros(I), start(1, H))


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="'tanh' or 'relu', got 'sigmoid'"):
        nn.RNNCell(I, H, nonlinearity="sigmoid")
    with pytest.raises(TypeError, match=r"\(h_0, c_0\), got Tensor"):
        nn.LSTMCell(I, H)(zeros(N, I), zeros(N, H))
    with pytest.raises(RuntimeError, match=r"input of dtype float32.*got float64"):
        nn.GRUCell(I, H)(zeros(N, I, dtype="float64"))
