"""Embedding and one_hot against torch, and what happens with indices that are not there."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn.embedding import embedding, one_hot
from npnn.testing import assert_close, gradcheck
from tests.parity import assert_module_matches_torch, random_input, requires_torch, torch

ROWS, FEATURES = 4, 3


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (), (0,), (3, 0)])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_matches_torch(shape, padding_idx):
    assert_module_matches_torch(
        lambda framework: framework.Embedding(ROWS, FEATURES, padding_idx),
        random_input(shape, "int64"),
        check_gradient=padding_idx is None,  # the padding row's gradient is left out on purpose
    )


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_any_integer_names_a_row(dtype):
    layer = nn.Embedding(ROWS, FEATURES)
    index = np.array([[3, 0], [1, 1]], dtype)
    for given in (npnn.tensor(index), index):
        np.testing.assert_array_equal(layer(given).array, layer.weight.array[[[3, 0], [1, 1]]])


def test_gradient_adds_up_over_repeated_indices_and_stays_float32():
    weight = npnn.tensor(random_input((ROWS, FEATURES), "float32"), requires_grad=True)
    index = np.array([[1, 3], [1, 1]])
    dy = random_input((2, 2, FEATURES), "float32")
    embedding(index, weight).backward(dy)
    expected = np.stack([0 * dy[0, 0], dy[0, 0] + dy[1, 0] + dy[1, 1], 0 * dy[0, 0], dy[0, 1]])
    assert weight.grad.dtype == np.float32
    assert_close(weight.grad, expected, rtol=1e-6)


@pytest.mark.parametrize("index", [[0, 0, 0], [3, 2, 1, 0], [2], [1, 3, 1, 3, 1]])
def test_gradient_is_right_without_torch(index):
    assert gradcheck(lambda w: embedding(np.array(index), w), random_input((ROWS, FEATURES)))


def test_index_of_any_strides():
    layer = nn.Embedding(ROWS, FEATURES)
    index = random_input((4, 6), "int64")
    for same in (np.asfortranarray(index), np.repeat(index, 2, axis=1)[:, ::2]):
        layer.zero_grad()
        layer(npnn.tensor(same)).backward(random_input((4, 6, FEATURES), "float32"))
        grad = layer.weight.grad.array.copy()
        layer.zero_grad()
        layer(npnn.tensor(index)).backward(random_input((4, 6, FEATURES), "float32"))
        np.testing.assert_array_equal(grad, layer.weight.grad.array)


def test_initial_values():
    npnn.random.manual_seed(0)
    weight = nn.Embedding(200, 50, padding_idx=-200).weight.array
    assert weight.dtype == np.float32
    assert not weight[0].any()
    assert abs(weight[1:].mean()) < 0.03
    assert abs(weight[1:].std() - 1) < 0.03


def test_from_pretrained():
    table = npnn.tensor(random_input((ROWS, FEATURES), "float32"))
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer.weight.array is table.array
    np.testing.assert_array_equal(layer(np.array([2, 0])).array, table.array[[2, 0]])
    layer = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1)
    assert layer.weight.requires_grad
    layer(np.array([0, 1])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.array, [[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(ShapeError, match=r"\(rows, features\), got \(3,\)"):
        nn.Embedding.from_pretrained(npnn.tensor(np.zeros(3)))


@pytest.mark.parametrize(("bad", "at"), [(4, r"\(1, 2\)"), (-1, r"\(0, 1\)"), (1 << 40, r"\(1, 0\)")])
def test_index_out_of_range(bad, at):
    index = np.zeros((2, 3), "int64")
    index[tuple(int(c) for c in at if c.isdigit())] = bad
    with pytest.raises(IndexError, match=rf"index {bad} at position {at} is out of range.*4 rows.* 0 to 3"):
        nn.Embedding(ROWS, FEATURES)(npnn.tensor(index))


def test_bad_arguments():
    layer = nn.Embedding(ROWS, FEATURES)
    with pytest.raises(RuntimeError, match=r"integers, got float32.*long\(\)"):
        layer(npnn.tensor(np.zeros(2, "float32")))
    with pytest.raises(RuntimeError, match="integers, got bool"):
        layer(npnn.tensor(np.zeros(2, "bool")))
    for wrong in (ROWS, -ROWS - 1):
        with pytest.raises(ValueError, match=f"padding_idx={wrong} is not one of the 4 rows"):
            nn.Embedding(ROWS, FEATURES, padding_idx=wrong)
    with pytest.raises(ShapeError, match=r"\(4, 3\), got \(2, 3\)"):
        nn.Embedding(ROWS, FEATURES, _weight=npnn.tensor(np.zeros((2, 3))))
    with pytest.raises(ShapeError, match=r"\(rows, features\), got \(3,\)"):
        embedding(np.array([0]), npnn.tensor(np.zeros(3)))
    with pytest.raises(NotImplementedError, match="sparse"):
        nn.Embedding(ROWS, FEATURES, sparse=True)
    with pytest.raises(NotImplementedError, match="sparse"):
        embedding(np.array([0]), layer.weight, sparse=True)


OPTIONS = [
    {},
    {"padding_idx": -1},
    {"scale_grad_by_freq": True},
    {"scale_grad_by_freq": True, "padding_idx": 2},
    {"max_norm": 0.9},
    {"max_norm": 0.9, "norm_type": 1.0, "padding_idx": 0},
    {"max_norm": 0.5, "norm_type": float("inf"), "scale_grad_by_freq": True},
]


@requires_torch
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_as_in_torch(options):
    assert repr(nn.Embedding(ROWS, FEATURES, **options)) == repr(torch.nn.Embedding(ROWS, FEATURES, **options))
    index = np.array([[0, 2, 2], [3, 2, 0]])
    for dtype in ("float64", "float32"):
        assert_module_matches_torch(
            lambda nn: nn.Embedding(ROWS, FEATURES, **options), index, dtype=dtype, check_gradient=False
        )


def test_rows_are_shortened_in_place_and_only_those_looked_up():
    layer = nn.Embedding(ROWS, FEATURES, max_norm=1.0)
    layer.weight.array[...] = 2.0
    product = (layer.weight * layer.weight).sum()
    layer(np.array([1, 3])).sum().backward()
    np.testing.assert_allclose(np.linalg.norm(layer.weight.array, axis=1), [12**0.5, 1, 12**0.5, 1], rtol=1e-6)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_a_decoder_may_look_up_and_shorten_at_every_step():
    layer = nn.Embedding(ROWS, FEATURES, max_norm=0.1)
    total = sum((layer(np.array([i])).sum() for i in range(ROWS)), start=npnn.tensor(0.0))
    total.backward()
    np.testing.assert_array_equal(layer.weight.grad.array, np.ones((ROWS, FEATURES)))


@requires_torch
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("num_classes", [-1, 4, 6])
def test_one_hot_matches_torch(shape, num_classes):
    index = random_input(shape, "int64")
    ours = one_hot(npnn.tensor(index), num_classes)
    theirs = torch.nn.functional.one_hot(torch.from_numpy(np.asarray(index)), num_classes)
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_one_hot_of_nothing():
    assert one_hot(npnn.tensor(np.zeros((2, 0), "int64")), 3).shape == (2, 0, 3)
    with pytest.raises(RuntimeError, match="num_classes"):
        one_hot(npnn.tensor(np.zeros(0, "int64")))


def test_bad_one_hot():
    with pytest.raises(RuntimeError, match="class 3 is out of range: 3 classes are numbered 0 to 2"):
        one_hot(npnn.tensor([1, 3]), 3)
    with pytest.raises(RuntimeError, match="class -1 is out of range"):
        one_hot(npnn.tensor([1, -1]))
    with pytest.raises(RuntimeError, match="float32"):
        one_hot(npnn.tensor([1.0]))
    with pytest.raises(RuntimeError, match="positive, or -1 to infer it, got 0"):
        one_hot(npnn.tensor([0]), 0)
