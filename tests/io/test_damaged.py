"""Files that are damaged, foreign or hostile: one error that says why, and neither memory nor code is spent on them."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from npnn import io
from npnn.errors import CheckpointError
from tests.parity import requires_torch, torch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def assert_refused(path, match=None):
    """CheckpointError naming the file, found out within little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match) as caught:
            io.load_file(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert caught.value.reason in str(caught.value)
    assert peak < 5_000_000


def test_a_missing_file_and_a_folder(tmp_path):
    assert_refused(tmp_path / "none", "no such file")
    assert_refused(tmp_path, "a folder or a device")


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(CheckpointError("a", "b")))
    assert (error.path, error.reason, str(error)) == ("a", "b", "cannot read a: b")


ARRAYS = {"weight": np.arange(60.0).reshape(3, 20), "flags": np.array([True, False]), "empty": np.zeros((0, 3))}


def test_truncation_anywhere_is_noticed(path):
    """After each byte: in the length, the header, between and within arrays."""
    io.save_file(ARRAYS, path)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place])
        assert_refused(path, "empty|truncated")


def test_more_bytes_than_expected_are_noticed(path):
    io.save_file(ARRAYS, path)
    path.write_bytes(path.read_bytes() + b"x")
    assert_refused(path)


def test_a_flipped_bit_anywhere_is_noticed(path):
    io.save_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}, path)
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert_refused(path)


def test_random_bytes_raise_nothing_else(path):
    rng = np.random.default_rng(0)
    for _ in range(200):
        body = rng.bytes(rng.integers(0, 200))
        path.write_bytes(int(rng.integers(0, 150)).to_bytes(8, "little") + b"{" + body)
        assert_refused(path)


def header_of(entries):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def array_of(dtype="F32", shape=(4,), data_offsets=(0, 16)):
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


LIES = {
    "overlap": {"a": array_of(), "b": array_of(data_offsets=(8, 24))},
    "gap": {"a": array_of(data_offsets=(8, 24))},
    "shape": {"a": array_of(shape=(5,))},
    "negative shape": {"a": array_of(shape=(-4,))},
    "huge shape": {"a": array_of(shape=(2**62, 2**62))},
    "backwards": {"a": array_of(data_offsets=(16, 0))},
    "dtype": {"a": array_of("F99")},
    "no offsets": {"a": {"dtype": "F32", "shape": [4]}},
    "no entry": {"a": 3},
    "metadata": {"__metadata__": {"a": 3}},
    "list": [],
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(path, lie):
    for size in (0, 16, 24):
        path.write_bytes(header_of(LIES[lie]) + bytes(size))
        assert_refused(path)


def header_of_bytes(*parts):
    text = b"".join(parts)
    return len(text).to_bytes(8, "little") + text


def many(pattern, size):
    """The pattern, with a number in it, so often that it makes ``size`` bytes."""
    return b",".join(pattern % i for i in range(size // len(pattern % 0 + b",")))


ENTRY = b'"%07x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
BOMBS = {
    "nested deeper than any stack": lambda n: header_of_bytes(b'{"a":', b"[" * n),
    "no JSON": lambda n: header_of_bytes(b"{", b"x" * n),
    "an endless name": lambda n: header_of_bytes(b'{"', b"a" * n, b'":3}'),
    "an endless shape": lambda n: header_of_bytes(b'{"a":{"dtype":"F32","shape":[1', b",1" * (n // 2), b"]}}"),
    "endless objects": lambda n: header_of_bytes(b'{"a":[', b"{}," * (n // 3)),
    "endless notes": lambda n: header_of_bytes(b'{"__metadata__":{', many(b'"%07x":""', n), b'},"a":3}'),
    "endless names": lambda n: header_of_bytes(b"{", many(ENTRY, n), b',"a":3}'),
    "endless names and a wrong checksum": lambda n: header_of_bytes(
        b'{"__metadata__":{"npnn.sha256":"', b"0" * 64, b'"},', many(ENTRY, n), b"}"
    ),
    "endless names and a dtype that NumPy lacks": lambda n: header_of_bytes(
        b"{", many(ENTRY, n), b',"a":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}}'
    ),
}
TREES = {
    "a tree deeper than any stack": '{"a":' + "[" * 3_900_000,
    "a tree of endless objects": '{"a":[' + "{}," * 1_300_000 + '{"$array":"none"}]}',
    "a tree of endless lists": '{"a":[' + "[]," * 1_300_000 + '{"$array":"none"}]}',
}
MEMORY = 200_000_000

# Reads the files that it is given within that much more memory than it has; what asks for more fails or is killed.
REFUSES = f"""
import resource, sys
from safetensors import safe_open
from npnn import io
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + {MEMORY},) * 2)
for path in sys.argv[1:]:
    try:
        io.load_checkpoint(path)
        print("accepted", path)
    except io.CheckpointError as error:
        print(error.reason[:50])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is measured as Linux tells it")
def test_bombs_are_refused_in_little_memory(tmp_path):
    """Headers as long as are read and longer ones, trees, a zip that unpacks to much, a terabyte of nothing."""
    for name, bomb in BOMBS.items():
        (tmp_path / f"x.{name}").write_bytes(bomb(3_999_800))
        (tmp_path / f"x.{name}, too long").write_bytes(bomb(9_000_000))
    for name, tree in TREES.items():
        io.save_file({}, tmp_path / f"x.{name}", {"checkpoint": tree})
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.pkl", bytes(20_000_000))
    start = header_of({"a": array_of(shape=(1 << 38,), data_offsets=(0, 1 << 40))})
    (tmp_path / "x.hole").write_bytes(start)
    os.truncate(tmp_path / "x.hole", len(start) + (1 << 40))
    files = sorted(tmp_path.iterdir())
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", REFUSES, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    reasons = result.stdout.splitlines()
    assert len(reasons) == len(files)
    assert not [file for file, reason in zip(files, reasons, strict=True) if reason.startswith("accepted")]
    assert len([reason for reason in reasons if reason.startswith("its header has")]) == len(BOMBS)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, 100_000_001, 50_000_000, 5000])
def test_absurd_header_lengths(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(1000))
    assert_refused(path, "truncated, or not a safetensors file|does not begin with a header")


def test_a_dtype_that_numpy_does_not_have(path):
    path.write_bytes(header_of({"a": array_of("BF16", (2,), (0, 4))}) + bytes(4))
    assert_refused(path, "a is BF16, for which NumPy has no dtype")


class Hostile:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_named_and_never_opened(path, protocol):
    path.write_bytes(pickle.dumps({"weights": Hostile(), "more": list(range(100))}, protocol))
    assert_refused(path, "a pickle.*npnn unpickles nothing")


def test_other_formats_are_named(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.pkl", "x" * 1000)
    assert_refused(path, "zip archive, such as torch.save and np.savez write")
    with open(path, "wb") as file:
        np.save(file, np.ones(100))
    assert_refused(path, "a .npy file")


@requires_torch
def test_a_file_of_torch_save_is_named(path):
    torch.save({"weight": torch.ones(3)}, path)
    assert_refused(path, "zip archive")
