"""safetensors files: what goes in comes out, and any other reader reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

import npnn
from npnn import io
from npnn.io.weights import read
from tests.parity import torch

DTYPES = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES += ["float16", "float32", "float64", "bool"]


def arrays():
    """One of each kind, in an order that is not the file's."""
    rng = np.random.default_rng(0)
    channels_last = rng.standard_normal((2, 5, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    return {
        "flags": np.array([True, False, True]),
        "conv.weight": channels_last,
        "fortran": np.asfortranarray(rng.standard_normal((3, 4))),
        "gaps": rng.standard_normal((6, 8))[::2, ::-1],
        "half": np.array([1.5, np.nan, -np.inf], np.float16),
        "empty": np.zeros((0, 3), np.int64),
        "nothing": np.zeros(0, np.float32),
        "number": np.array(7, np.int16),
        "big-endian": np.arange(5, dtype=">f4"),
        "ümläut \"quoted\" \\ 'name'\n": np.arange(3, dtype=np.uint8),
    }


def assert_equal(actual, expected):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(actual, expected)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def test_every_kind_of_array_comes_back(path):
    io.save_file(arrays(), path)
    loaded = io.load_file(path)
    assert list(loaded) == list(arrays())
    for name, array in arrays().items():
        assert_equal(loaded[name], array)
        assert loaded[name].flags.writeable


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(path, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    io.save_file({"x": array}, path)
    assert_equal(io.load_file(path)["x"], array)


def test_the_safetensors_package_reads_our_files(path):
    io.save_file(arrays(), path, {"note": "hello"})
    theirs = safetensors.numpy.load_file(path)
    assert theirs.keys() == arrays().keys()
    for name, array in arrays().items():
        assert_equal(theirs[name], array)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["note"] == "hello"


def test_we_read_the_files_of_the_safetensors_package(path):
    plain = {name: np.ascontiguousarray(a) for name, a in arrays().items() if a.ndim}
    safetensors.numpy.save_file(plain, path)
    loaded = io.load_file(path)
    assert loaded.keys() == plain.keys()
    for name in plain:
        assert_equal(loaded[name], plain[name])


def test_the_layout_in_the_file(path):
    """Eight bytes of length, a padded header, then every array at a multiple of its item size."""
    io.save_file(arrays(), path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert begin % max(arrays()[name].itemsize, 1) == 0
        assert end - begin == arrays()[name].nbytes
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(content) - 8 - length


def test_tensors_of_both_frameworks(path):
    weights = {"ours": npnn.tensor([[1.0, 2.0]], requires_grad=True), "array": np.arange(3)}
    if torch is not None:
        weights["torch"] = torch.tensor([1.0, 2.0], requires_grad=True)
        weights["bfloat16"] = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    io.save_file(weights, path)
    loaded = io.load_file(path)
    assert_equal(loaded["ours"], np.array([[1, 2]], np.float32))
    if torch is not None:
        assert_equal(loaded["torch"], np.array([1, 2], np.float32))
        assert_equal(loaded["bfloat16"], np.array([1.5, -2], np.float32))


def test_one_array_under_two_names(path):
    shared = np.arange(4.0)
    io.save_file({"a": shared, "b": shared}, path)
    loaded = io.load_file(path)
    assert_equal(loaded["a"], shared)
    assert_equal(loaded["b"], shared)


def test_no_arrays_at_all(path):
    io.save_file({}, path)
    assert io.load_file(path) == {}


def test_metadata_come_back(path):
    notes = {"a": "1", "looks like a checksum": "0" * 64, "ü": "\n"}
    io.save_file({"x": np.ones(3)}, path, notes)
    assert read(path)[1] == notes


def test_the_same_weights_give_the_same_bytes(tmp_path):
    io.save_file(arrays(), tmp_path / "a")
    io.save_file(arrays(), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_half_precision_on_disk_loads_into_a_float32_model(path):
    layer = npnn.nn.Linear(3, 2)
    io.save_file({name: t.array.astype(np.float16) for name, t in layer.state_dict().items()}, path)
    layer.load_state_dict(io.load_file(path))
    assert layer.weight.dtype == np.float32
    assert_equal(layer.weight.array.astype(np.float16), io.load_file(path)["weight"])


@pytest.mark.parametrize(
    ("state_dict", "metadata", "message"),
    [
        ({"x": np.array(["text"])}, None, r"x: a safetensors file holds arrays of float64.*this is an array of <U4"),
        ({"x": np.array([None])}, None, "this is an array of object"),
        ({"x": 1.5}, None, "x: .* this is float"),
        ({3: np.ones(2)}, None, "must be a string other than '__metadata__', got 3"),
        ({"__metadata__": np.ones(2)}, None, "must be a string other than"),
        ({}, {"epoch": 3}, "metadata are strings .* got 'epoch': 3"),
        ({}, {"npnn.sha256": "x"}, "do not begin with 'npnn.'"),
    ],
)
def test_what_cannot_be_saved(path, state_dict, metadata, message):
    with pytest.raises(TypeError, match=message):
        io.save_file(state_dict, path, metadata)
    assert not path.exists()


def test_more_metadata_than_are_read(path):
    with pytest.raises(ValueError, match=r"take 4,000,\d+ bytes, more than the 4,000,000 allowed"):
        io.save_file({}, path, {"log": "x" * 4_000_000})
    assert not path.exists()


def test_a_file_replaced_while_it_is_read(path, monkeypatch):
    """Header and data must be of one file, however often a running training saves."""
    io.save_file({"old": np.zeros(3)}, path)
    safe_open, replacements = safetensors.safe_open, iter(range(3))

    def busy(*args, **kwargs):
        for i in replacements:
            io.save_file({"new": np.full(5, i)}, path)
            break
        return safe_open(*args, **kwargs)

    monkeypatch.setattr(safetensors, "safe_open", busy)
    assert_equal(io.load_file(path)["new"], np.full(5, 2))
