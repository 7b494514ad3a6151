"""Every operation that a forward can be made of, exported, and all translations tried."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.onnx.table import WRITERS
from npnn.onnx.trace import trace
from tests.onnx import test_layers
from tests.onnx.common import assert_same_everywhere, example, function

A, B = (3, 4, 5), (3, 1, 5)
MASK = np.random.default_rng(1).random((4, 5)) > 0.5
ORDER = np.array([3, 0, 0, 2])

OPERATIONS = {
    "add, sub, mul, div": (lambda a, b: (a + b, a - b, a * b, a / (b * b + 1)), A, B),
    "with numbers": (lambda a: (a + 1, 2 - a, 3 * a, a / 7, 2**a, (a * a + 1) ** 0.5, -a), A),
    "pow": (lambda a, b: (a * a + 1) ** b, A, B),
    "maximum, minimum": (lambda a, b: (npnn.maximum(a, b), npnn.minimum(a, b * 0.5)), A, B),
    "clamp": (lambda a: (a.clamp(-0.5, 0.5), a.clamp(min=0.0), a.clamp(max=0.1)), A),
    "where": (lambda a, b: (npnn.where(MASK, a, b), a.masked_fill(npnn.tensor(MASK), 7.0)), A, B),
    "functions": (
        lambda a: (a.abs(), a.cos(), a.erf(), a.exp(), a.expm1(), a.sin(), a.square(), a.tanh(), a.sigmoid()), A,
    ),
    "functions of positive numbers": (
        lambda a: [f(a * a + 0.1) for f in (npnn.log, npnn.log1p, npnn.sqrt, npnn.rsqrt, npnn.reciprocal)], A,
    ),
    "cast": (lambda a: (a.double() * 2, (a * 5).long(), a.long().float()), A),
    "matmul": (lambda a, b: (a @ b.transpose(1, 2), a[0] @ b.transpose(1, 2), a @ b[0, 0]), A, B),
    "sum, mean": (lambda a: (a.sum(1), a.sum(), a.mean((0, 2), keepdim=True), a.mean(-1)), A),
    "extremes": (lambda a: (a.amax(1), a.amin((1, 2)), *a.max(1), *a.min(2, keepdim=True)), A),
    "var, std": (lambda a: (a.var(1), a.std(2, keepdim=True), a.var((0, 1), unbiased=False)), A),
    "prod, cumsum": (lambda a: (a.prod(1), a.prod(2, keepdim=True), a.cumsum(1), a.cumsum(0)), A),
    "logsumexp, norm": (lambda a: (a.logsumexp(1), a.norm(dim=1), a.norm(1, 2), a.norm(float("inf"), 2)), A),
    "reshape": (lambda a: (a.reshape(-1, 5), a.view(a.shape[0], 20), a.reshape(4, -1), a.reshape(-1)), A),
    "reshape, several sizes": (lambda a: (a.reshape(2, -1, 5, 2), a.reshape(a.shape[0], 2, -1, 1)), A),
    "reshape, the batch elsewhere": (lambda a: a.transpose(0, 1).reshape(2, 2, a.shape[0], 5), A),
    "reshape, the batch twice": (
        lambda a: a.mean((1, 2)).reshape(a.shape[0], 1).expand(a.shape[0], a.shape[0]).reshape(a.shape[0], -1), A,
    ),
    "flatten, squeeze, unsqueeze": (lambda a, b: (a.flatten(1), a.flatten(), b.squeeze(1), a.unsqueeze(0)), A, B),
    "permute, transpose": (lambda a: (a.permute(2, 0, 1), a.transpose(0, 1), a.mT), A),
    "expand, repeat": (
        lambda a, b: (b.expand(-1, 4, -1), b.expand(2, *b.shape), b.expand_as(a), a.repeat(2, 1, 3)), A, B,
    ),
    "cat, stack, split": (
        lambda a, b: (npnn.cat([a, b], 1), npnn.stack([a, a], 1), *a.split(2, 1), *a.chunk(3, 2), *a.unbind(2)), A, B,
    ),
    "flip, clone, contiguous": (lambda a: (a.flip(1), a.flip(0, 2), a.clone(), a.mT.contiguous()), A),
    "pad": (
        lambda a: [nn.functional.pad(a, (1, 2, -1, 0), mode) for mode in ("constant", "reflect", "replicate")], A,
    ),
    "slices": (lambda a: (a[:, 1:3], a[..., ::2], a[:, 1:, :-1], a[:, ::-1], a[:, 3:0:-2], a[: a.shape[0]]), A),
    "numbers and new axes": (lambda a: (a[:, 0], a[:, -1, 2:], a[..., 1], a[:, None, 1], a[:, 2, None, :, None]), A),
    "arrays of numbers": (lambda a: (a[:, ORDER], a[:, [0, 2], 1:], a[:, npnn.tensor([[0, 1], [2, -1]])]), A),
    "a mask over one axis": (lambda a: a[:, MASK[:, 0]], A),
    "the batch's size": (lambda a: (a.sum(0) / a.shape[0], a * (2 * len(a))), A),
    "gather": (lambda a: a.gather(1, npnn.tensor(np.zeros((a.shape[0], 2, 5), int))), A),
    "index_select": (lambda a: a.index_select(2, npnn.tensor(ORDER)), A),
    "where x is positive": (lambda a: (npnn.where(a > 0, a, 0.1 * a), a * (a <= 0.5).float(), (a < 0.1) * a), A),
    "masked_fill, computed": (lambda a: a.masked_fill((a != a[:, :1]) & ~a.isnan(), -1.0), A),
    "logic": (
        lambda a: [
            f(a > 0, a < 0.5).float() for f in (npnn.logical_and, npnn.logical_or, npnn.logical_xor, npnn.bitwise_or)
        ],
        A,
    ),
    "not, infinite": (lambda a: (npnn.logical_not(a >= 0).float() - npnn.isinf(a).float(), (a == a).float()), A),
    "triangles": (lambda a: (a.tril(), a.triu(1), a.masked_fill(npnn.triu(npnn.ones(4, 5), 1) == 1, 0.0)), A),
    "argmax, argmin": (lambda a: (a.argmax(1), a.argmin(2, keepdim=True), a * 1 + a.argmax() * 0.0), A),
    "the largest only": (lambda a: a * (a == a.max(1, keepdim=True)[0]).float(), A),
    "zeros of the batch's size": (lambda a: npnn.cat([npnn.zeros(a.shape[0], 2, 5), a], 1), A),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name):
    forward, *shapes = OPERATIONS[name]
    assert_same_everywhere(function(forward), *example(*shapes))


def words(indices, table, position):
    """What looks up its input, as models of language begin."""
    return table[indices] + position


def test_whole_numbers_as_input():
    for dtype in ("int64", "int32", "uint8"):
        model = nn.Sequential(nn.Embedding(10, 4, padding_idx=0), nn.Flatten(), nn.Linear(12, 2))
        assert_same_everywhere(model, *example((2, 3), dtype=dtype, below=10))


def test_an_index_that_is_an_input():
    table, position = example((10, 4), (3, 4))
    assert_same_everywhere(function(words, table=table, position=position), *example((2, 3), dtype="int64", below=10))


def test_double_precision():
    x = example((2, 6, 3), dtype="float64")
    gru = nn.GRU(3, 4, batch_first=True).double()
    assert_same_everywhere(gru, *x, tolerance=1e-12, skip=("onnxruntime",))  # which has a GRU of single precision only
    assert_same_everywhere(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4)).double(), *x, tolerance=1e-9)


def test_every_translation_is_tried():
    tried = set()
    cases = [(function(f), *shapes) for f, *shapes in OPERATIONS.values()]
    cases += [(build(), shape) for build, shape, *_ in [*test_layers.LAYERS.values(), *test_layers.POOLS.values()]]
    cases += [(build(), (5, 2, 3)) for build in test_layers.RECURRENT.values()]
    for model, *shapes in cases:
        calls, _ = trace(model.eval(), tuple(map(npnn.tensor, example(*shapes))))
        tried |= {call.op for call in calls}
    missing = {op.__name__ for op in WRITERS.keys() - tried}
    assert missing == {"Lookup", "DropoutFunction"}  # see above, and what test_export refuses
