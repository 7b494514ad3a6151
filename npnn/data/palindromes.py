"""Palindromes: the network reads all digits of a palindrome but the last, which it has to say.

The last digit is the first, so the task is to remember one digit over T - 2 steps of distraction: a
test of memory whose length can be chosen.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.dataset import TrainTest, random_split
from npnn.generator import Generator

__all__ = ["make_palindromes"]

_MAX_DIGITS = 18  # 10**18 is the largest power of ten that an int64 holds


def make_palindromes(
    length: int,
    n_samples: int = 10_000,
    test_size: float = 0.2,
    one_hot: bool = False,
    seed: int = 0,
    replacement: bool = False,
) -> TrainTest:
    """Palindromes of ``length`` T digits: X float32 (N, T - 1, 1), or (N, T - 1, 10) if ``one_hot``; y int64 digits.

    Without ``one_hot`` the digits are read as the numbers 0.0 to 9.0.

    A palindrome is determined by its first half, (T + 1) // 2 digits, so there are 10 to that power.
    Where these suffice, all ``n_samples`` are different, and training and test share none.  Where
    they do not, a warning says so: the patterns themselves are divided, so that the two parts still
    share none, and each part repeats its own as often as it takes.  Only for T = 2 is that not possible,
    since there the one digit that is read is the answer: both parts then have all ten palindromes.
    The parts have equal shares of each label.  The set depends on the arguments alone.

    With ``replacement`` palindromes are drawn one by one and only then divided: of the short ones most
    of the test is then in the training part, too, and the accuracy says what was learned by heart.

    Errors: ValueError for T < 2 or sizes that leave a part empty.
    """
    n_test = round(n_samples * test_size)
    if length < 2 or not 0 < n_test < n_samples:
        raise ValueError(
            f"palindromes need a length of at least 2 and samples in both parts; got length {length}, "
            f"{n_samples} samples, {n_test} of them for the test"
        )
    rng = Generator().manual_seed(seed * 1000 + length)
    half = (length + 1) // 2
    distinct = 10 ** min(half, _MAX_DIGITS)
    if replacement:
        train, test = _divide(rng.randint(0, 10, (n_samples, half)), n_test, rng)
    elif length == 2:
        warnings.warn("all ten palindromes of 2 digits are in both parts: no test of generalisation", stacklevel=2)
        train = test = np.arange(10)[:, None]
    else:
        enough = n_samples <= distinct
        if not enough:
            warnings.warn(
                f"there are only {distinct:,} palindromes of {length} digits: the {n_samples:,} samples repeat them "
                "(training and test still share none)",
                stacklevel=2,
            )
        halves = _halves(n_samples if enough else distinct, half, rng)
        n = len(halves)
        n_distinct_test = n_test if enough else min(max(round(n * test_size), 1), n - 1)
        train, test = _divide(halves, n_distinct_test, rng)
    train_x, train_y = _samples(np.resize(train, (n_samples - n_test, half)), length, one_hot)
    test_x, test_y = _samples(np.resize(test, (n_test, half)), length, one_hot)
    return TrainTest(train_x, train_y, test_x, test_y, tuple("0123456789"))


def _divide(halves: NDArray[Any], n_test: int, rng: Generator) -> list[NDArray[Any]]:
    """Those for training and those for the test, with equal shares of each first digit."""
    parts = random_split(halves, [len(halves) - n_test, n_test], rng, stratify=halves[:, 0])
    return [halves[part.indices] for part in parts]


def _halves(n: int, half: int, rng: Generator) -> NDArray[Any]:
    """n different sequences of ``half`` digits: (n, half).

    Drawn as numbers of that many digits.  What is longer than an int64 differs in its first 18
    digits already, and the others are free.
    """
    head = min(half, _MAX_DIGITS)
    if 10**head <= 2 * n:
        numbers = rng.randperm(10**head)[:n]
    else:
        numbers = np.empty(0, np.int64)
        while len(numbers) < n:  # the first n different ones, in the order in which they came
            numbers = np.concatenate([numbers, rng.randint(0, 10**head, (n,))])
            numbers = numbers[np.sort(np.unique(numbers, return_index=True)[1])]
        numbers = numbers[:n]
    digits = numbers[:, None] // 10 ** np.arange(head - 1, -1, -1, dtype=np.int64) % 10
    return np.concatenate([digits, rng.randint(0, 10, (n, half - head))], axis=1)


def _samples(halves: NDArray[Any], length: int, one_hot: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the network reads, and the digit it has to say."""
    digits = np.concatenate([halves, halves[:, length // 2 - 1 :: -1]], axis=1)  # (N, T)
    read = digits[:, :-1]
    x = np.eye(10, dtype=np.float32)[read] if one_hot else read[..., None].astype(np.float32)  # (N, T - 1, 10 or 1)
    return x, digits[:, -1].astype(np.int64)
