"""Models that torch's own exporter wrote, read: the same numbers as in torch, at several batch sizes and opsets."""

from __future__ import annotations

import io
import warnings

import pytest

import npnn
from npnn.onnx import load
from npnn.testing import assert_close
from tests.onnx.common import example, onnx

torch = pytest.importorskip("torch", reason="torch is not installed")
layers, F = torch.nn, torch.nn.functional


class Residual(layers.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = layers.Conv2d(3, 8, 3, padding=1), layers.BatchNorm2d(8)
        self.second, self.pool, self.out = (
            layers.Conv2d(8, 8, 3, padding=1),
            layers.AdaptiveAvgPool2d(1),
            layers.Linear(8, 5),
        )

    def forward(self, x):
        y = torch.relu(self.norm(self.first(x)))
        y = y + F.gelu(self.second(y))
        return self.out(self.pool(F.max_pool2d(y, 3, 2, 1, ceil_mode=True)).flatten(1))


class Attention(layers.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.project, self.out = layers.LayerNorm(8), layers.Linear(8, 24), layers.Linear(8, 8)

    def forward(self, x):
        N, S, D = x.shape
        q, k, v = self.project(self.norm(x)).view(N, S, 3, 2, D // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) / 2, -1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(N, S, D))


class Words(layers.Module):
    def __init__(self, kind):
        super().__init__()
        self.table, self.out = layers.Embedding(10, 6), layers.Linear(14, 3)
        self.rnn = kind(6, 7, 2, bidirectional=True, batch_first=True)

    def forward(self, words):
        return F.log_softmax(self.out(self.rnn(self.table(words))[0][:, -1]), 1)


MODELS = {
    "residual": (Residual, example((2, 3, 9, 9))),
    "attention": (Attention, example((2, 5, 8))),
    "LSTM": (lambda: Words(layers.LSTM), example((2, 5), dtype="int64", below=10)),
    "GRU": (lambda: Words(layers.GRU), example((2, 5), dtype="int64", below=10)),
    "RNN": (lambda: Words(layers.RNN), example((2, 5), dtype="int64", below=10)),
    "sequence": (
        lambda: layers.Sequential(
            layers.Conv1d(3, 4, 3), layers.GroupNorm(2, 4), layers.PReLU(), layers.AvgPool1d(2),
            layers.ConvTranspose1d(4, 2, 3, 2, 1, 1), layers.InstanceNorm1d(2), layers.ZeroPad1d(1), layers.Hardswish(),
        ),
        example((2, 3, 9)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_torch_wrote(name, opset):
    build, (x,) = MODELS[name]
    if (name, opset) == ("sequence", 11):
        pytest.skip("torch cannot write Hardswish in opset 11")
    torch.manual_seed(0)
    model, file = build().eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter, which needs no other package, is the older one
        torch.onnx.export(
            model, (torch.from_numpy(x),), file, dynamo=False, opset_version=opset,
            input_names=["x"], dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    graph = load(onnx.load_from_string(file.getvalue()))
    for n in (1, 2):
        y = graph(npnn.tensor(x[:n]))
        assert_close(y, model(torch.from_numpy(x[:n])), rtol=1e-5, atol=1e-5)
    y.square().sum().backward()
    assert all(p.grad is not None for p in graph.parameters())
