"""scikit-learn's digits: 1797 grey images of 8 x 8 pixels that come with the package, so nothing is fetched.

Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import numpy as np

from npnn.data._optional import require
from npnn.data.dataset import TrainTest, random_split
from npnn.generator import Generator

__all__ = ["load_digits"]


def load_digits() -> TrainTest:
    """1438 and 359 images (N, 1, 8, 8) float32 in [0, 1], labels int64; always the same stratified split."""
    bunch = require("sklearn.datasets", "the digits", "experiments").load_digits()
    x = (bunch.images[:, None] / 16).astype(np.float32)  # (N, 1, 8, 8)
    y = bunch.target.astype(np.int64)
    train, test = random_split(x, [0.8, 0.2], Generator().manual_seed(0), stratify=y)
    return TrainTest(
        x[train.indices], y[train.indices], x[test.indices], y[test.indices], tuple(str(k) for k in range(10))
    )
