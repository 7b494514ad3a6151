"""Taking and adding along an axis, beside NumPy's forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, scatter

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@needs_jit
@pytest.mark.parametrize("seed", range(30))
def test_compiled_forms_equal_numpys(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9, rng.integers(1, 5))
    axis = int(rng.integers(len(shape)))
    wanted = shape.copy()
    wanted[axis] = rng.integers(0, 12)
    x = rng.standard_normal(shape).astype(rng.choice(["float32", "float64"]))
    x = np.asfortranarray(x) if rng.random() < 0.5 else x
    index = rng.integers(0, shape[axis], wanted).astype(rng.choice(["int32", "int64"]))
    np.testing.assert_array_equal(scatter.take_along.twin(x, index, axis), scatter.take_along.reference(x, index, axis))
    values = rng.standard_normal(wanted).astype(x.dtype)
    given = tuple(shape.tolist()), index, values, axis
    np.testing.assert_allclose(
        scatter.add_along.twin(*given), scatter.add_along.reference(*given), rtol=1e-5, atol=1e-6
    )
