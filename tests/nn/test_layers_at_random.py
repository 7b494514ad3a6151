"""Layers of every kind, at shapes drawn at random, beside torch: results and all gradients, as the benchmark checks them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from benchmarks.layer_cases import KINDS, Case, at_random
from benchmarks.layers import Peer, compare
from tests.parity import requires_torch, torch

pytestmark = requires_torch
CASES = [c for c in at_random(600, seed=1) if sum(map(math.prod, c.shapes)) < 60_000][:150]


def differ(case: Case) -> float:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(case.dtype) for shape in case.shapes]
    return compare(Peer(npnn, case, arrays), Peer(torch, case, arrays), case)


def test_every_kind_is_among_them():
    assert {c.kind for c in CASES} == set(KINDS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_npnn_and_torch_agree(case):
    assert differ(case) < 1e-3


def test_a_difference_is_seen():
    wrong = Case("activation", "a wrong one", lambda lib: lambda x: x * (1.01 if lib is npnn else 1), ((5,),))
    with pytest.raises(AssertionError, match="npnn and torch differ"):
        differ(wrong)
