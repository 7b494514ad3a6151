"""The toy sets and the digits, from scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.data import TOY_SETS, load_digits, make_toy

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed: no toy sets")


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("name", TOY_SETS)
def test_every_set(name, standardize):
    data = make_toy(name, standardize=standardize)
    features, classes = (10 if name == "hastie" else 2), (4 if name == "multiclass" else 2)
    assert (data.train_x.shape, data.test_x.shape) == ((800, features), (200, features))
    assert (data.train_x.dtype, data.test_x.dtype, data.train_y.dtype) == (np.float32, np.float32, np.int64)
    assert len(data.classes) == classes
    whole = np.bincount(np.concatenate([data.train_y, data.test_y]))
    assert len(whole) == classes
    np.testing.assert_allclose(np.bincount(data.test_y), whole / 5, atol=1.5)
    if standardize:
        np.testing.assert_allclose(data.train_x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(data.train_x.std(axis=0), 1, atol=1e-6)


def test_the_points_are_scikit_learns():
    x, y = datasets.make_moons(1000, noise=0.1, random_state=3)
    data = make_toy("moons", seed=3)
    found = np.concatenate([data.train_x, data.test_x])
    labels = np.concatenate([data.train_y, data.test_y])
    ours, theirs = np.lexsort(found.T), np.lexsort(x.astype("float32").T)
    np.testing.assert_array_equal(found[ours], x.astype("float32")[theirs])
    np.testing.assert_array_equal(labels[ours], y[theirs])


def test_settings_replace_those_of_the_table():
    np.testing.assert_array_equal(make_toy("moons", noise=0.05).train_x, make_toy("moons-clean").train_x)
    assert len(make_toy("multiclass", n_classes=3).classes) == 3
    assert len(make_toy("blobs", 90, 1 / 3).test_x) == 30


def test_the_set_depends_on_its_seed_alone():
    npnn.manual_seed(1)
    first = make_toy("circles").train_x
    npnn.manual_seed(2)
    np.testing.assert_array_equal(first, make_toy("circles").train_x)
    assert not np.array_equal(first, make_toy("circles", seed=1).train_x)


def test_unknown_name():
    with pytest.raises(ValueError, match="no toy set is called 'moon'; there are moons, "):
        make_toy("moon")


def test_digits():
    data = load_digits()
    assert (data.train_x.shape, data.test_x.shape) == ((1438, 1, 8, 8), (359, 1, 8, 8))
    assert (data.train_x.dtype, data.train_y.dtype) == (np.float32, np.int64)
    assert (data.train_x.min(), data.train_x.max()) == (0, 1)
    whole = datasets.load_digits()
    np.testing.assert_allclose(np.bincount(data.test_y), np.bincount(whole.target) / 5, atol=1)
    ours = np.sort(np.concatenate([data.train_x, data.test_x]).reshape(1797, -1).sum(axis=1))
    np.testing.assert_allclose(ours, np.sort(whole.images.reshape(1797, -1).sum(axis=1) / 16), rtol=1e-6)
    np.testing.assert_array_equal(data.test_x, load_digits().test_x)
