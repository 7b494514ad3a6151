"""Text as a network reads it: windows of characters, and for each character the one that comes next.

Source of the text: Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015; the plays are
Shakespeare's.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npnn.data.dataset import TrainTest
from npnn.data.download import Remote
from npnn.data.files import locate
from npnn.errors import DataError

__all__ = ["character_windows", "load_shakespeare"]

_TEXT = Remote(
    "input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",),
)


def load_shakespeare() -> str:
    """Forty thousand lines of Shakespeare's plays, 1,115,394 characters, of which 65 are different.

    ``input.txt`` is looked for in NPNN_DATA, its folder ``tinyshakespeare``, and in the user's cache, else
    downloaded; its bytes must have the known hash.  Errors: DataError naming the file, the hash and what to do.
    """
    path = locate((_TEXT.name, "tinyshakespeare.txt"), ("tinyshakespeare", "."), _TEXT)
    raw = path.read_bytes()
    if (found := hashlib.sha256(raw).hexdigest()) != _TEXT.sha256:
        raise DataError(
            f"{path} is damaged or is another text: its {len(raw):,} bytes have the SHA-256 {found}, not {_TEXT.sha256}. "
            f"Delete it to have it fetched again, or download it from {_TEXT.mirrors[0]}{_TEXT.name} by hand."
        )
    return raw.decode()


def character_windows(text: str, length: int, test_size: float = 0.1) -> TrainTest:
    """Windows of ``length`` T characters: x (N, T) int64, and y (N, T), the characters one place later.

    Training has the beginning of the text, in windows that overlap by half; the test has the end, in windows that
    do not overlap, so that each of its characters is predicted once.  The classes are the characters of
    the text in order, so ``classes[x[0, 0]]`` is the first of it.

    Errors: ValueError for a text that is too short for a window of each part.
    """
    alphabet = tuple(sorted(set(text)))
    codes = np.searchsorted(np.array(alphabet), np.array(list(text))).astype(np.int64)
    cut = len(text) - round(len(text) * test_size)
    if length < 1 or min(cut, len(text) - cut) <= length:
        raise ValueError(
            f"windows of {length} characters need a text of more than {length} in both parts; "
            f"got {cut} characters for training and {len(text) - cut} for the test"
        )
    train = sliding_window_view(codes[:cut], length + 1)[:: max(1, length // 2)]
    test = sliding_window_view(codes[cut:], length + 1)[::length]
    train, test = np.ascontiguousarray(train), np.ascontiguousarray(test)
    return TrainTest(train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:], alphabet)
