"""Palindromes: they are some, the parts share none, and when there are too few it is said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from npnn.data import make_palindromes


def digits(x, y):
    """The whole palindromes, from what the network reads and says: (N, T)."""
    read = x.argmax(-1) if x.shape[-1] == 10 else x[..., 0].astype(int)
    return np.concatenate([read, y[:, None]], axis=1)


def rows(a):
    return {tuple(r) for r in a.tolist()}


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("length", "n"), [
    (3, 100), (4, 100), (5, 1000), (6, 900), (7, 2000), (10, 2000), (19, 500), (20, 500), (36, 100), (37, 100),
    (50, 100),
])  # fmt: skip
def test_enough_palindromes(length, n, one_hot):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = make_palindromes(length, n, one_hot=one_hot)
    assert data.train_x.shape == (n - n // 5, length - 1, 10 if one_hot else 1)
    assert data.test_x.shape == (n // 5, length - 1, 10 if one_hot else 1)
    assert (data.train_x.dtype, data.train_y.dtype) == (np.float32, np.int64)
    train, test = digits(data.train_x, data.train_y), digits(data.test_x, data.test_y)
    for part in (train, test):
        np.testing.assert_array_equal(part, part[:, ::-1])
        assert part.min() >= 0
        assert part.max() <= 9
    assert len(rows(train) | rows(test)) == n, "all must be different"
    assert set(train[:, -1]) == set(range(10))


@pytest.mark.parametrize(("length", "distinct"), [(3, 100), (4, 100), (5, 1000), (6, 1000)])
def test_too_few_palindromes_repeat_but_the_parts_still_share_none(length, distinct):
    with pytest.warns(UserWarning, match=f"only {distinct:,} palindromes of {length} digits: the 5,001 samples repeat"):
        data = make_palindromes(length, 5001)
    train, test = digits(data.train_x, data.train_y), digits(data.test_x, data.test_y)
    assert (len(train), len(test)) == (4001, 1000)
    assert len(rows(train)) == 0.8 * distinct
    assert len(rows(test)) == 0.2 * distinct
    assert not rows(train) & rows(test)
    assert np.bincount(test[:, -1]).tolist() == [100] * 10, "as many of each label"


def test_drawn_with_replacement_the_parts_share_most_of_the_short_ones():
    shared = []
    for length in (5, 9, 13):
        data = make_palindromes(length, 10_000, replacement=True)
        train, test = rows(digits(data.train_x, data.train_y)), digits(data.test_x, data.test_y).tolist()
        assert (len(data.train_x), len(test)) == (8000, 2000)
        shared.append(np.mean([tuple(row) in train for row in test]))
    # The expected share: 1 - (1 - 1 / the number of palindromes) ** 8000
    np.testing.assert_allclose(shared, [0.9997, 0.0769, 0.0008], atol=0.02)


def test_two_digits_cannot_be_split():
    with pytest.warns(UserWarning, match="all ten palindromes of 2 digits are in both parts"):
        data = make_palindromes(2, 100)
    assert rows(digits(data.train_x, data.train_y)) == rows(digits(data.test_x, data.test_y))


def test_digits_are_read_as_they_are_and_labels_balanced():
    data = make_palindromes(20, 5000)
    assert set(np.unique(data.train_x)) == set(range(10))
    assert abs(data.train_x.mean() - 4.5) < 0.05
    shares = np.bincount(data.train_y) / 4000, np.bincount(data.test_y) / 1000
    np.testing.assert_allclose(*shares, atol=0.002)


def test_one_hot_rows_say_the_same_digits():
    raw, hot = make_palindromes(8, 500), make_palindromes(8, 500, one_hot=True)
    np.testing.assert_array_equal(digits(raw.test_x, raw.test_y), digits(hot.test_x, hot.test_y))
    assert (hot.train_x.sum(axis=-1) == 1).all()


def test_the_arguments_decide():
    a, b, c = make_palindromes(9, 300), make_palindromes(9, 300), make_palindromes(9, 300, seed=1)
    np.testing.assert_array_equal(a.train_x, b.train_x)
    assert not np.array_equal(a.train_x, c.train_x)


@pytest.mark.parametrize(("length", "n", "test_size"), [(1, 100, 0.2), (5, 100, 0.0), (5, 100, 1.0), (5, 1, 0.5)])
def test_errors(length, n, test_size):
    with pytest.raises(ValueError, match="length of at least 2 and samples in both parts"):
        make_palindromes(length, n, test_size)
