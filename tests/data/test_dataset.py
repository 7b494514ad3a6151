"""Data sets and random_split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npnn
from npnn.data import Dataset, Subset, TensorDataset, TrainTest, random_split
from npnn.data.dataset import gather, unit_images
from tests.parity import requires_torch


def pair(n=10):
    return np.arange(3 * n, dtype="float32").reshape(n, 3), np.arange(n)


def test_tensor_dataset_gives_samples_slices_and_batches():
    x, y = pair()
    data = TensorDataset(x, npnn.tensor(y))
    assert len(data) == 10
    assert data.tensors[0].array is x, "the data must not be copied"
    sample = data[4]
    assert type(sample) is tuple
    assert [type(v) for v in sample] == [npnn.Tensor, npnn.Tensor]
    np.testing.assert_array_equal(sample[0].array, x[4])
    assert sample[1].item() == 4
    np.testing.assert_array_equal(data[2:5][0].array, x[2:5])
    batch = data.gather(np.array([7, 0, 7]))
    np.testing.assert_array_equal(batch[0], x[[7, 0, 7]])
    np.testing.assert_array_equal(batch[1], [7, 0, 7])
    assert batch[0].dtype == np.float32
    assert batch[0].flags.c_contiguous


@pytest.mark.parametrize("layout", ["C", "F", "channels_last", "every_other", "reversed"])
def test_gather_is_indexing_whatever_the_memory_order(layout):
    x = np.random.default_rng(0).standard_normal((12, 3, 4, 5)).astype("float32")
    arranged = {
        "C": x,
        "F": np.asfortranarray(x),
        "channels_last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "every_other": np.repeat(x, 2, axis=0)[::2],
        "reversed": x[::-1, :, ::-1][::-1, :, ::-1],
    }[layout]
    (batch,) = TensorDataset(arranged).gather(np.array([3, 11, 0]))
    np.testing.assert_array_equal(batch, x[[3, 11, 0]])
    if layout == "channels_last":
        assert batch.transpose(0, 2, 3, 1).flags.c_contiguous, "the batch should keep the memory order"


def test_tensor_dataset_errors():
    with pytest.raises(ValueError, match=r"differ in the number of samples.*\(10, 3\), \(9,\)"):
        TensorDataset(np.zeros((10, 3)), np.zeros(9))
    with pytest.raises(ValueError, match="first axis"):
        TensorDataset()
    with pytest.raises(ValueError, match="first axis"):
        TensorDataset(np.float32(3))
    with pytest.raises(IndexError):
        TensorDataset(np.zeros(3)).gather(np.array([3]))


class Squares(Dataset):
    """A data set of one's own: samples one by one."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return np.full(2, index, "float64"), index**2, index / 2


def test_gather_stacks_the_samples_of_any_data_set():
    floats, squares, halves = Squares().gather(np.array([3, 1]))
    np.testing.assert_array_equal(floats, [[3, 3], [1, 1]])
    np.testing.assert_array_equal(squares, [9, 1])
    np.testing.assert_array_equal(halves, [1.5, 0.5])
    assert (floats.dtype, squares.dtype, halves.dtype) == (np.float64, np.int64, np.float32)
    with pytest.raises(NotImplementedError, match="Dataset has no __getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError):  # as in torch, a base class knows no length
        len(Dataset())


def test_gather_needs_only_a_length_and_numbered_samples():
    pairs = [([1.0, 2.0], 0), ([3.0, 4.0], 1)]
    x, y = gather(pairs, np.array([1, 0]))
    np.testing.assert_array_equal(x, [[3, 4], [1, 2]])
    np.testing.assert_array_equal(y, [1, 0])
    (single,) = gather(np.arange(6.0).reshape(3, 2), np.array([2]))
    np.testing.assert_array_equal(single, [[4, 5]])


def test_subset_and_subset_of_subset():
    x, y = pair()
    inner = Subset(TensorDataset(x, y), [1, 3, 5, 7])
    outer = Subset(inner, np.array([3, 0]))
    assert (len(inner), len(outer)) == (4, 2)
    assert outer[0][1].item() == 7
    np.testing.assert_array_equal(outer.gather(np.array([1, 0]))[1], [1, 7])
    np.testing.assert_array_equal(inner[1:3][1].array, [3, 5])
    assert len(Subset(inner, [])) == 0
    for wrong in (np.array([True, False]), [0.5], [[1]], 3):
        with pytest.raises(TypeError, match="sample numbers"):
            Subset(inner, wrong)


@pytest.mark.parametrize("lengths", [[7, 3], [0.8, 0.2], [0.34, 0.33, 0.33], [0.5, 0.25, 0.25], [1.0], [10], [4, 4, 2]])
def test_random_split_shares_nothing_and_loses_nothing(lengths):
    parts = random_split(TensorDataset(*pair()), lengths, npnn.Generator().manual_seed(0))
    assert len(parts) == len(lengths)
    assert sorted(np.concatenate([p.indices for p in parts])) == list(range(10))
    again = random_split(TensorDataset(*pair()), lengths, npnn.Generator().manual_seed(0))
    for part, same in zip(parts, again, strict=True):
        np.testing.assert_array_equal(part.indices, same.indices)


@requires_torch
@pytest.mark.parametrize("n", [1, 7, 10, 997, 1797])
@pytest.mark.parametrize("fractions", [[0.8, 0.2], [0.7, 0.2, 0.1], [0.34, 0.33, 0.33], [0.999, 0.001]])
@pytest.mark.filterwarnings("ignore:.*empty")
def test_fractions_give_the_lengths_that_torch_gives(n, fractions):
    from torch.utils.data import random_split as torch_split

    ours = [len(p) for p in random_split(range(n), fractions)]
    assert ours == [len(p) for p in torch_split(range(n), fractions)]


def test_random_split_draws_from_the_one_generator():
    npnn.manual_seed(5)
    first = random_split(range(100), [50, 50])[0].indices
    npnn.manual_seed(5)
    np.testing.assert_array_equal(first, random_split(range(100), [50, 50])[0].indices)


def test_random_split_errors():
    for lengths in ([5, 4], [0.5, 0.4], [0.5, 1.5], [5.5, 4.5], [11, 0]):
        with pytest.raises(ValueError, match="lengths must be whole numbers with sum 10"):
            random_split(range(10), lengths)
    with pytest.raises(ValueError, match="negative"):
        random_split(range(10), [-1, 11])
    with pytest.raises(ValueError, match=r"one label for each of the 10 samples, got shape \(9,\)"):
        random_split(range(10), [5, 5], stratify=np.zeros(9))
    with pytest.warns(UserWarning, match="part 1 of the split is empty"):
        random_split(range(10), [10, 0])


def test_stratified_split_is_exact_where_whole_numbers_allow():
    labels = np.random.default_rng(1).permutation(np.repeat([3, 7, 9], [100, 250, 50]))
    train, test = random_split(range(400), [0.8, 0.2], npnn.Generator().manual_seed(2), stratify=labels)
    np.testing.assert_array_equal(np.unique(labels[train.indices], return_counts=True)[1], [80, 200, 40])
    np.testing.assert_array_equal(np.unique(labels[test.indices], return_counts=True)[1], [20, 50, 10])
    other, _ = random_split(range(400), [0.8, 0.2], npnn.Generator().manual_seed(3), stratify=labels)
    assert set(other.indices) != set(train.indices), "which samples are chosen is random"


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), fraction=st.floats(0.1, 0.9))
def test_stratified_split_is_never_far_from_the_proportions(counts, fraction):
    labels = np.repeat(np.arange(len(counts)), counts)
    n, k = len(labels), len(counts)
    m = min(max(round(fraction * n), 1), n - 1)
    if m in (0, n):
        return
    first, second = random_split(range(n), [m, n - m], npnn.Generator().manual_seed(0), stratify=labels)
    assert sorted([*first.indices, *second.indices]) == list(range(n))
    for label, count in enumerate(counts):
        found = np.sum(labels[first.indices] == label)
        assert abs(found - count * m / n) <= 0.5 + count * k / (2 * n) + 1e-9


def test_train_test_pair():
    x, y = pair()
    data = TrainTest(x[:8], y[:8], x[8:], y[8:], ("a", "b"))
    assert (len(data.train), len(data.test)) == (8, 2)
    assert repr(data) == "TrainTest(train=8, test=2, x=float32(3,), classes=2)"


def test_unit_images():
    pixels = np.arange(256, dtype="uint8").reshape(1, 1, 16, 16)
    assert unit_images(pixels, "uint8") is pixels
    unit = unit_images(pixels, "float32")
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, pixels.astype("float32") / np.float32(255))
    assert (unit.min(), unit.max()) == (0, 1)
    with pytest.raises(TypeError, match="int64"):
        unit_images(pixels, "int64")
