"""CIFAR-10's two layouts, packed and unpacked, small stand-ins; where NPNN_DATA has it, the real one."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from npnn.data import cifar10, files, load_cifar10
from npnn.data.transforms import Normalize
from npnn.errors import DataError

N = 20  # images in each of the six files


def as_binary(x, y):
    return np.concatenate([y[:, None].astype("u1"), x.reshape(len(x), -1)], axis=1).tobytes()


def as_python_2_pickle(x, y):
    """What Python 2 and NumPy 1 wrote, opcode by opcode: the official files are of this kind."""

    def text(s):
        return b"U" + bytes([len(s)]) + s

    dtype = (
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR("
        + b"K\x01(" + b"M" + struct.pack("<H", len(x)) + b"M\x00\x0ct" + dtype + b"\x89"
        + b"T" + struct.pack("<I", x.nbytes) + x.tobytes() + b"tb"
    )  # fmt: skip
    labels = b"](" + b"".join(b"K" + bytes([k]) for k in y) + b"e"
    head = text(b"batch_label") + text(b"training batch 1 of 5")
    return b"\x80\x02}(" + head + text(b"data") + array + text(b"labels") + labels + b"u."


def as_new_pickle(x, y, protocol=4, order="C"):
    table = {b"data": np.asarray(x.reshape(len(x), -1), order=order), b"labels": [int(k) for k in y]}
    return pickle.dumps(table, protocol=protocol)


@pytest.fixture
def batches(tmp_path, monkeypatch):
    """Six small batches whose counts and sums are taken for the right ones."""
    rng = np.random.default_rng(0)
    made = {}
    for part in cifar10._PARTS:
        made[part] = rng.integers(0, 256, (N, 3, 32, 32)).astype("u1"), rng.permutation(np.arange(N) % 10)
    sums = [x.sum(axis=(0, 2, 3), dtype=int) for x, _ in made.values()]
    monkeypatch.setattr(cifar10, "_IMAGES_PER_PART", N)
    monkeypatch.setattr(cifar10, "_CHANNEL_SUMS", [sum(sums[:-1]).tolist(), sums[-1].tolist()])
    monkeypatch.setattr(
        cifar10, "_BINARY", cifar10.Remote("cifar-10-binary.tar.gz", "c" * 32, ("http://127.0.0.1:9/",))
    )
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    return made


def write(folder, batches, layout, packed, rename=lambda name: name):
    """The batches as the official archive or the folder that it unpacks to."""
    encode, kind, ending = {
        "binary": (as_binary, "bin", ".bin"),
        "python": (as_python_2_pickle, "py", ""),
        "new": (as_new_pickle, "py", ""),
    }[layout]
    contents = {rename(part) + ending: encode(*batch) for part, batch in batches.items()}
    contents["readme.html"] = b"<html></html>"
    top = f"cifar-10-batches-{kind}"
    if not packed:
        (folder / top).mkdir(parents=True)
        for name, raw in contents.items():
            (folder / top / name).write_bytes(raw)
        return folder / top
    path = folder / {"bin": "cifar-10-binary.tar.gz", "py": "cifar-10-python.tar.gz"}[kind]
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in contents.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_are_read(protocol, order):
    """Which of them pickle.dumps writes when nothing is said, depends on the version of Python."""
    rng = np.random.default_rng(protocol)
    x, y = rng.integers(0, 256, (N, 3, 32, 32)).astype("u1"), rng.integers(0, 10, N)
    pixels, table = cifar10.read_pickled(as_new_pickle(x, y, protocol, order))
    np.testing.assert_array_equal(pixels, x.reshape(-1))
    assert table["labels"] == y.tolist()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", ["binary", "python", "new"])
def test_every_layout_gives_the_same_arrays(tmp_path, batches, layout, packed):
    write(tmp_path, batches, layout, packed)
    data = load_cifar10("uint8")
    x, y = (np.concatenate(part) for part in zip(*batches.values(), strict=True))
    np.testing.assert_array_equal(data.train_x, x[: 5 * N])
    np.testing.assert_array_equal(data.test_x, x[5 * N :])
    np.testing.assert_array_equal(np.concatenate([data.train_y, data.test_y]), y)
    assert (data.train_x.dtype, data.train_y.dtype) == (np.uint8, np.int64)
    floats = load_cifar10()
    assert floats.train_x.dtype == np.float32
    np.testing.assert_array_equal(floats.train_x, data.train_x.astype("float32") / np.float32(255))
    assert data.classes[:3] == ("airplane", "automobile", "bird")


def test_another_order_of_the_images_is_accepted_and_the_folder_found(tmp_path, batches):
    first, second = batches["data_batch_1"], batches["data_batch_2"]
    batches["data_batch_1"], batches["data_batch_2"] = second, first
    (tmp_path / "cifar-10").mkdir()
    write(tmp_path / "cifar-10", batches, "binary", packed=True)
    np.testing.assert_array_equal(load_cifar10("uint8").train_x[:N], second[0])


def refused(message):
    with pytest.raises(DataError, match=message) as caught:
        load_cifar10("uint8")
    for part in ("cifar-10", "Delete it", "SHA-256", "by hand"):
        assert part in str(caught.value)


def test_one_changed_pixel_is_noticed(tmp_path, batches):
    batches["data_batch_3"][0][5, 1, 7, 7] ^= 1
    write(tmp_path, batches, "binary", packed=True)
    refused("bytes of the channels add up to")


@pytest.mark.parametrize("label", [11, 3])
def test_wrong_labels_are_noticed(tmp_path, batches, label):
    batches["test_batch"][1][:] = label
    write(tmp_path, batches, "binary", packed=False)
    refused("equal numbers of images")


def test_a_missing_part_is_named(tmp_path, batches):
    write(tmp_path, batches, "binary", packed=True, rename=lambda n: "other" if n == "data_batch_4" else n)
    refused("it lacks data_batch_4")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, batches, keep):
    path = write(tmp_path, batches, "binary", packed=True)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    refused("Error")


def test_a_damaged_or_foreign_archive_is_refused(tmp_path, batches):
    path = write(tmp_path, batches, "binary", packed=True)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 50] = bytes(50)
    path.write_bytes(raw)
    refused(r"rror|add up to|lacks")
    path.write_bytes(b"<html>moved</html>")
    refused("ReadError")


def test_a_part_of_the_wrong_length_is_refused(tmp_path, batches):
    folder = write(tmp_path, batches, "binary", packed=False)
    (folder / "data_batch_2.bin").write_bytes(b"\0" * 100)
    refused("100 bytes that are neither")


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("bad", [
    pickle.dumps(Hostile()), pickle.dumps({b"data": Hostile(), b"labels": []}), pickle.dumps([1, 2]),
    pickle.dumps({b"data": np.zeros(10), b"labels": []}), pickle.dumps({b"data": np.array([print]), b"labels": [0]}),
    pickle.dumps({b"data": 3, b"labels": 4}), b"\x80\x04", b"cbuiltins\neval\n(S'1'\ntR.",
])  # fmt: skip
def test_a_pickle_that_asks_for_more_is_refused_and_not_run(tmp_path, batches, bad, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path, batches, "python", packed=False)
    (folder / "data_batch_1").write_bytes(bad)
    refused("neither binary records nor a batch pickle")
    assert not (tmp_path / "owned").exists()


def test_missing_everywhere(batches, tmp_path):
    pytest.importorskip("requests")
    with pytest.raises(DataError) as caught:
        load_cifar10()
    for part in ("cifar-10-binary.tar.gz", "c" * 32, str(tmp_path / "cifar-10"), str(tmp_path / "cache"), "by hand"):
        assert part in str(caught.value)


def test_real_cifar10():
    root = os.environ.get("NPNN_DATA")
    if root is None:
        pytest.skip("NPNN_DATA is not set: no real data")
    if not any(os.path.exists(os.path.join(root, sub, n)) for sub in ("cifar-10", ".") for n in cifar10._NAMES):
        pytest.skip("NPNN_DATA does not have CIFAR-10")
    data = load_cifar10("uint8")
    assert (data.train_x.shape, data.test_x.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert np.bincount(data.train_y).tolist() == [5000] * 10
    assert np.bincount(data.test_y).tolist() == [1000] * 10
    expected = "Normalize(mean=[0.4914, 0.4822, 0.4465], std=[0.247, 0.2435, 0.2616])"
    assert repr(Normalize.fit(data.train_x)) == expected
