"""What tests of drawn examples share: hypothesis's settings, arrays in any memory order, the comparison.

Examples are drawn by hypothesis, the same ones at each run.  A failure is shrunk to the smallest
example that still fails.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import npnn
from npnn.testing import gradcheck
from tests.parity import assert_function_matches_torch, assert_module_matches_torch, gradcheck_module, torch

examples = partial(
    settings, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
few, many = examples(max_examples=15), examples(max_examples=25)

DTYPES = st.sampled_from(["float64", "float32"])
PAIR = st.lists(st.integers(1, 3), min_size=2, max_size=2)


@st.composite
def array(draw, shape, dtype="float64"):
    """Standard normal values, with the axes in any order in memory."""
    seed = [draw(st.integers(0, 999)), len(shape)]  # not a number alone: gradcheck draws its directions from such
    values = np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)
    order = draw(st.permutations(range(len(shape))))
    return values.transpose(order).copy("C").transpose(np.argsort(order)) if shape else values


def agree(fn, *inputs, smooth=True, **tolerance):
    """fn(lib, *tensors) must have the gradient that differences show, and agree with torch where it is installed."""
    if torch is not None:
        assert_function_matches_torch(
            partial(fn, npnn), *inputs, torch_fn=partial(fn, torch), check_gradient=smooth, **tolerance
        )
    elif smooth and all(x.dtype == np.float64 for x in inputs):
        gradcheck(partial(fn, npnn), *inputs)


def modules_agree(build, *inputs, dtype, train=True):
    if torch is not None:
        assert_module_matches_torch(build, *inputs, dtype=dtype, train=train)
    elif dtype == "float64":
        gradcheck_module(build(npnn.nn).to(dtype).train(train), *inputs)
