"""Text as windows of characters, and the file of Shakespeare's plays."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from npnn.data import character_windows, load_shakespeare, text
from npnn.data.download import Remote
from npnn.errors import DataError


def test_windows_hold_the_text_and_what_comes_next():
    letters = "".join(np.random.default_rng(0).choice(list("abc\n "), 1000))
    for length in (1, 2, 7, 64):
        data = character_windows(letters, length, 0.2)
        assert "".join(data.classes) == "\n abc"
        read = ["".join(data.classes[code] for code in row) for row in (*data.train_x, *data.train_y)]
        n = len(data.train_x)
        for i, (x, y) in enumerate(zip(read[:n], read[n:], strict=True)):
            start = i * max(1, length // 2)
            assert (x, y) == (letters[start : start + length], letters[start + 1 : start + length + 1])
        # each character of the test is predicted once, but for those that fill no window
        told = "".join(data.classes[code] for row in data.test_y for code in row)
        assert letters[801:].startswith(told)
        assert 199 - len(told) < length


@pytest.mark.parametrize(("letters", "length"), [("", 1), ("abc", 3), ("a" * 50, 5), ("a" * 50, 0)])
def test_a_text_that_is_too_short_for_the_windows(letters, length):
    with pytest.raises(ValueError, match=f"windows of {length} characters need a text of more than {length}"):
        character_windows(letters, length)


def test_the_file_is_held_against_its_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    words = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    path = tmp_path / "tinyshakespeare" / "input.txt"
    path.parent.mkdir()
    path.write_bytes(words)
    with pytest.raises(DataError, match=r"input\.txt is damaged or is another text: its 61 bytes"):
        load_shakespeare()
    known = hashlib.sha256(words).hexdigest()
    monkeypatch.setattr(text, "_TEXT", Remote("input.txt", known, ("https://example.invalid/",)))
    assert load_shakespeare() == words.decode()
