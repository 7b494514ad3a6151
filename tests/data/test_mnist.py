"""The idx format, the search for MNIST's files, and, where NPNN_DATA has them, the real ones."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest

from npnn.data import files, load_fashion_mnist, load_mnist, mnist
from npnn.data.mnist import read_idx
from npnn.data.transforms import Normalize
from npnn.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array):
    """The array as the bytes of an idx file."""
    dtype = array.dtype.str.lstrip("|")
    return bytes([0, 0, CODES[dtype], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 5), (0, 28, 28)])
def test_read_idx(tmp_path, shape, dtype, packed):
    array = np.asarray(10 * np.random.default_rng(0).random(shape), dtype)
    path = tmp_path / "array"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = read_idx(path, hashlib.md5(idx(array)).hexdigest())
    np.testing.assert_array_equal(found, array)
    assert found.shape == shape
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


GOOD = idx(np.arange(60, dtype="u1").reshape(3, 4, 5))
BAD = {
    "empty": (b"", "begins with nothing"),
    "foreign": (b"%PDF-1.4", "begins with 25 50 44 46"),
    "a web page": (b"<html>not found</html>", "it is a web page, saved under this name"),
    "unknown type": (b"\0\0\x07\x01" + GOOD[4:], "begins with 00 00 07 01"),
    "header cut": (GOOD[:10], "ends within its header"),
    "truncated": (GOOD[:-1], r"promises 76 bytes \(shape \(3, 4, 5\)\), it has 75"),
    "too long": (GOOD + b"\0", "it has 77"),
    "absurd shape": (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "it has 76"),
    "gzip cut": (gzip.compress(GOOD)[:-12], "ended before"),
    "gzip damaged": (gzip.compress(GOOD)[:-8] + b"\0" * 8, "CRC"),
    "gzip header only": (b"\x1f\x8b", "array"),
    "other bytes": (GOOD[:-1] + b"\0", "contents have the MD5"),
}


@pytest.mark.parametrize("fault", BAD)
def test_read_idx_refuses(tmp_path, fault):
    raw, message = BAD[fault]
    path = tmp_path / "array"
    path.write_bytes(raw)
    expected = hashlib.md5(GOOD).hexdigest()
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, expected)
    for part in (str(path), expected, "Delete it"):
        assert part in str(caught.value)


def test_read_idx_of_nothing(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "absent")


def small_collection(monkeypatch, name):
    """Stand-ins for the four files, with their hashes put in place of the real ones."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 30), ("t10k", 10)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28)).astype("u1")
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, n).astype("u1")
    collection = getattr(mnist, name)
    hashes = {file: ("0" * 32, hashlib.md5(idx(a)).hexdigest()) for file, a in arrays.items()}
    monkeypatch.setattr(
        mnist, name, type(collection)(collection.title, collection.subfolders, (), hashes, collection.classes)
    )
    return arrays


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("load", "name", "folder"), [
    (load_mnist, "_MNIST", "mnist"), (load_mnist, "_MNIST", "MNIST/raw"), (load_mnist, "_MNIST", "."),
    (load_fashion_mnist, "_FASHION", "fashion-mnist"), (load_fashion_mnist, "_FASHION", "FashionMNIST/raw"),
])  # fmt: skip
def test_load_from_npnn_data(tmp_path, monkeypatch, load, name, folder, packed):
    arrays = small_collection(monkeypatch, name)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for file, array in arrays.items():
        path = tmp_path / folder / (f"{file}.gz" if packed else file)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    data = load()
    assert (data.train_x.shape, data.test_x.shape) == ((30, 1, 28, 28), (10, 1, 28, 28))
    assert (data.train_x.dtype, data.train_y.dtype) == (np.float32, np.int64)
    images = arrays["t10k-images-idx3-ubyte"]
    np.testing.assert_array_equal(data.test_x[:, 0], images.astype("float32") / np.float32(255))
    np.testing.assert_array_equal(data.train_y, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(load("uint8").test_x[:, 0], images)
    assert len(data.classes) == 10


def test_missing_file_says_where_it_was_searched(tmp_path, monkeypatch):
    pytest.importorskip("requests")
    small_collection(monkeypatch, "_MNIST")  # with no mirrors
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("NPNN_DATA", raising=False)
    with pytest.raises(DataError) as caught:
        load_mnist()
    for part in ("train-images-idx3-ubyte.gz", str(tmp_path / "cache" / "mnist"), "0" * 32, "NPNN_DATA"):
        assert part in str(caught.value)


def real(load):
    if "NPNN_DATA" not in os.environ:
        pytest.skip("NPNN_DATA is not set: no real data")
    folder = {load_mnist: ("mnist", "MNIST/raw", "."), load_fashion_mnist: ("fashion-mnist", "FashionMNIST/raw")}[load]
    name = "train-images-idx3-ubyte"
    if not any(os.path.exists(os.path.join(os.environ["NPNN_DATA"], f, name + s)) for f in folder for s in ("", ".gz")):
        pytest.skip("NPNN_DATA does not have these files")
    return load()


def test_real_mnist():
    data = real(load_mnist)
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert np.bincount(data.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert repr(Normalize.fit(data.train_x)) == "Normalize(mean=[0.1307], std=[0.3081])"
    assert data.train_y[:5].tolist() == [5, 0, 4, 1, 9]


def test_real_fashion_mnist():
    data = real(load_fashion_mnist)
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert np.bincount(data.train_y).tolist() == [6000] * 10
    assert repr(Normalize.fit(data.train_x)) == "Normalize(mean=[0.286], std=[0.353])"


def as_table(images, labels, named):
    lines = ["label," + ",".join(f"pixel{i}" for i in range(784))] if named else []
    return (
        "\n".join([*lines, *(",".join(map(str, [y, *x.ravel()])) for x, y in zip(images, labels, strict=True))]) + "\n"
    )


@pytest.mark.parametrize("form", ["dotted", "dotted.gz", "npz", "csv", "csv with names", "kaggle"])
def test_the_names_under_which_people_have_it(tmp_path, monkeypatch, form):
    arrays = small_collection(monkeypatch, "_MNIST")
    train_x, train_y, test_x, test_y = arrays.values()
    if form.startswith("dotted"):
        for file, array in arrays.items():
            raw, name = idx(array), file.replace("-idx", ".idx")
            packed = form.endswith("gz")
            (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(raw) if packed else raw)
    elif form == "npz":
        np.savez(tmp_path / "mnist.npz", x_train=train_x, y_train=train_y, x_test=test_x, y_test=test_y)
    elif form == "kaggle":
        (tmp_path / "train.csv").write_text(as_table(train_x, train_y, True))
    else:
        (tmp_path / "mnist_train.csv").write_text(as_table(train_x, train_y, "names" in form))
        (tmp_path / "mnist_test.csv").write_text(as_table(test_x, test_y, "names" in form))
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    if form == "kaggle":
        with pytest.warns(UserWarning, match="30 labelled images and no test set: the last 5 are for the test"):
            data = load_mnist("uint8")
        np.testing.assert_array_equal(np.concatenate([data.train_x, data.test_x])[:, 0], train_x)
        assert len(data.test) == 5
        return
    data = load_mnist("uint8")
    for found, expected in ((data.train_x[:, 0], train_x), (data.test_x[:, 0], test_x)):
        np.testing.assert_array_equal(found, expected)
    assert data.train_y.tolist() == train_y.tolist()
    assert data.test_y.tolist() == test_y.tolist()


def test_tables_that_are_not_mnist(tmp_path, monkeypatch):
    arrays = list(small_collection(monkeypatch, "_MNIST").values())
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    table = tmp_path / "mnist_train.csv"
    table.write_text(as_table(arrays[0], arrays[1], False))
    with pytest.raises(DataError, match=r"has the training set only: mnist_test\.csv is to lie beside it"):
        load_mnist()
    (tmp_path / "mnist_test.csv").write_text(as_table(arrays[0], arrays[1], False))
    with pytest.raises(DataError, match="its t10k-images are not those of MNIST"):
        load_mnist()
    table.write_text("1,2,3\n")
    with pytest.raises(DataError, match="a row is a label and 784 pixels from 0 to 255, these have 3 numbers"):
        load_mnist()
    table.unlink()
    (tmp_path / "mnist.npz").write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match="it has no arrays x_train"):
        load_mnist()


def test_a_web_page_under_the_name_of_a_file(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"<!DOCTYPE html><title>404</title>")
    with pytest.raises(DataError, match="it is a web page, saved under this name"):
        read_idx(path)
