"""Pairs that operations return have torch's names, print like torch's, and survive a copy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import npnn
from tests.parity import torch

CALLS = {
    "max": lambda lib, x: lib.max(x, 1),
    "min": lambda lib, x: x.min(dim=0),
    "sort": lambda lib, x: x.sort(),
    "topk": lambda lib, x: lib.topk(x, 2),
    "kthvalue": lambda lib, x: x.kthvalue(2),
    "median": lambda lib, x: lib.median(x, 1),
    "nanmedian": lambda lib, x: lib.nanmedian(x, 1),
    "mode": lambda lib, x: lib.mode(x),
    "cummax": lambda lib, x: lib.cummax(x, 0),
    "cummin": lambda lib, x: lib.cummin(x, 0),
    "aminmax": lambda lib, x: lib.aminmax(x),
    "topk of a number": lambda lib, x: lib.topk(x.sum(), 1),
    "mode of a number": lambda lib, x: lib.mode(x.sum()),
}
X = np.random.default_rng(0).standard_normal((3, 4))


@pytest.mark.parametrize("name", CALLS)
def test_a_pair_prints_as_in_torch(name):
    found = CALLS[name](npnn, npnn.tensor(X))
    assert repr(found).startswith(f"torch.return_types.{name.split()[0]}(\n")
    if torch is not None:
        assert repr(found) == repr(CALLS[name](torch, torch.tensor(X)))


def test_a_pair_is_unpacked_copied_and_pickled():
    found = npnn.max(npnn.tensor(X), 1)
    values, indices = found
    assert values is found.values
    assert indices is found.indices
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(again) is type(found)
        assert npnn.equal(again.values, values)
