"""The loss of connectionist temporal classification: beside PyTorch's, and by adding up all ways."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError

F = npnn.nn.functional


def by_all_ways(probabilities: Any, labels: list[int], blank: int) -> float:
    """-ln of the sum over all sequences of classes that become the labels without repetitions and blanks."""
    T, C = probabilities.shape
    total = 0.0
    for way in itertools.product(range(C), repeat=T):
        short = [k for i, k in enumerate(way) if k != blank and (i == 0 or way[i - 1] != k)]
        if short == labels:
            total += float(np.prod([probabilities[t, k] for t, k in enumerate(way)]))
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [2, 1], [1, 2, 1], [1, 1, 1]])
@pytest.mark.parametrize("blank", [0, 2])
def test_it_is_the_sum_over_all_ways(labels, blank):
    labels = [(k + 1) % 3 if k == blank else k for k in labels]
    log_p = F.log_softmax(npnn.tensor(np.random.default_rng(0).normal(size=(4, 1, 3))), -1)
    found = F.ctc_loss(log_p, npnn.tensor([labels]).long().reshape(1, -1), [4], [len(labels)], blank, "sum")
    np.testing.assert_allclose(found, by_all_ways(np.exp(log_p.array[:, 0]), labels, blank), rtol=1e-10)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("seed", range(12))
def test_it_is_torchs(seed, reduction):
    torch = pytest.importorskip("torch")
    r = np.random.default_rng(seed)
    T, N, C, S = 9, 4, int(r.integers(2, 6)), 4
    x, lengths, counts = r.normal(size=(T, N, C)), r.integers(3, T + 1, N), r.integers(0, S + 1, N)
    lengths[0], blank = T, int(r.integers(0, C))
    labels = (r.integers(1, C, (N, S)) + blank) % C
    if seed % 3 == 0:  # one after the other
        labels = np.concatenate([row[:n] for row, n in zip(labels, counts, strict=True)])
    results = []
    for m in (npnn, torch):
        leaf = m.tensor(x).requires_grad_()
        log_p = m.nn.functional.log_softmax(leaf, 2)
        log_p.retain_grad()
        loss = m.nn.CTCLoss(blank, reduction, zero_infinity=True)(
            log_p, m.tensor(labels), m.tensor(lengths), m.tensor(counts)
        )
        (loss * m.arange(1, 1 + loss.numel()).reshape(loss.shape)).sum().backward()
        results.append([loss.detach().numpy(), leaf.grad.numpy(), log_p.grad.numpy()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_one_sequence_without_a_batch():
    log_p = F.log_softmax(npnn.rand(5, 3), -1)
    alone = F.ctc_loss(log_p, npnn.tensor([1, 2]), npnn.tensor(5), npnn.tensor(2))
    batch = F.ctc_loss(log_p.unsqueeze(1), npnn.tensor([[1, 2]]), [5], [2])
    assert alone.shape == ()
    assert alone.item() == batch.item()


def test_too_short_a_sequence():
    log_p = F.log_softmax(npnn.rand(2, 1, 3), -1).requires_grad_()
    assert F.ctc_loss(log_p, npnn.tensor([[1, 1]]), [2], [2]).item() == np.inf
    loss = F.ctc_loss(log_p, npnn.tensor([[1, 1]]), [2], [2], zero_infinity=True)
    loss.backward()
    assert loss.item() == 0
    assert not log_p.grad.any()


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([[1, 2]], [9], [2]), ShapeError, "input_lengths from 0 to 5"),
    (([[1, 2]], [5, 5], [2]), ShapeError, "1 lengths"),
    (([[1, 2]], [5], [3]), ShapeError, "do not go with"),
    (([1], [5], [3]), ShapeError, "hold 1 labels"),
    (([[1, 7]], [5], [2]), RuntimeError, "labels must lie in 0 to 2"),
    (([[1, 2]], [5], [2], 3), RuntimeError, "blank must be in label range"),
])  # fmt: skip
def test_what_does_not_fit(arguments, error, message):
    targets, *rest = arguments
    with pytest.raises(error, match=message):
        F.ctc_loss(npnn.zeros(5, 1, 3), npnn.tensor(targets), *rest)
