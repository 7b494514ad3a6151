"""What a run remembers until its next record."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.errors import ShapeError
from npnn.train.run import Rows


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_rows_are_the_arrays_one_below_the_other(shape):
    arrays = [np.random.default_rng(n).standard_normal((n, *shape)).astype("float32") for n in (2, 0, 5, 1, 40, 3)]
    rows = Rows()
    assert len(rows) == 0
    for array in arrays:
        rows.append(array)
    assert len(rows) == 51
    assert rows.array.dtype == np.float32
    np.testing.assert_array_equal(rows.array, np.concatenate(arrays))


def test_rows_go_on_from_those_that_were_saved_and_leave_these_alone():
    saved = np.arange(6).reshape(3, 2)
    rows = Rows(saved)
    rows.append(np.array([[7, 8]]))
    np.testing.assert_array_equal(rows.array, [[0, 1], [2, 3], [4, 5], [7, 8]])
    np.testing.assert_array_equal(saved, np.arange(6).reshape(3, 2))


def test_a_thousand_small_arrays_take_a_few_large_ones():
    rows, memory = Rows(), set()
    for k in range(1000):
        rows.append(np.full((32, 10), k))
        memory.add(id(rows.array.base))
    assert len(memory) <= 12
    assert (rows.array[::32, 0] == np.arange(1000)).all()


def test_rows_of_another_shape_are_refused_not_broadcast():
    rows = Rows()
    rows.append(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=r"expected rows of shape \(3,\).*got \(1,\)"):
        rows.append(np.zeros((2, 1)))
