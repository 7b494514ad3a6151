"""Reported faults of data: files, loaders, workers, frames."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

import npnn
from npnn.data import DataLoader, Dataset, TensorDataset, load_mnist
from npnn.errors import DataError
from tests.reported.log import reported


@reported(
    "datapythonista/mnist#20",
    "The MNIST server answers 403, and what comes is taken for data",
    "holds: other mirrors, a hash, and where to put the files by hand",
)
def test_mnist_that_cannot_be_fetched(tmp_path, monkeypatch):
    import requests

    def refused(*args, **kwargs):
        raise requests.HTTPError("403 Client Error: Forbidden")

    monkeypatch.setattr(requests, "get", refused)
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    with pytest.raises(DataError, match="403 Client Error") as error:
        load_mnist()
    assert str(tmp_path) in str(error.value)


@reported(
    "tensorflow/tensorflow#15668",
    "A web page saved as train-images-idx3-ubyte.gz is 'not in gzip format'",
    "holds: it says that it is a web page",
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_web_page_in_place_of_mnist(tmp_path, monkeypatch, packed):
    page = b"<!DOCTYPE html><html><body>403 Forbidden</body></html>"
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
                 "t10k-labels-idx1-ubyte.gz"):  # fmt: skip
        (tmp_path / name).write_bytes(gzip.compress(page) if packed else page)
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load_mnist()


class Drawn(Dataset):
    """Each item is a number drawn from NumPy's or from npnn's generator, in whichever process."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return 32

    def __getitem__(self, index):
        if self.source == "numpy":
            return np.random.randint(1 << 30)  # noqa: NPY002  what people write
        return npnn.randint(0, 1 << 30, (1,)).item()


@reported(
    "pytorch/pytorch#5059",
    "Workers draw the same numbers from numpy.random: pictures are augmented alike",
    "holds: each worker has its own stream",
)
@pytest.mark.parametrize("source", ["numpy", "npnn"])
def test_workers_draw_different_numbers(source):
    loader = DataLoader(Drawn(source), 4, num_workers=2)
    first = [int(v) for batch in loader for v in batch]
    second = [int(v) for batch in loader for v in batch]
    assert len(set(first)) == 32
    assert not set(first) & set(second), "the next epoch draws the same"


@reported(
    "ratschlab/aestetik#7",
    "A data set over a pandas Series finds its items by label, not by place: KeyError 1",
    "holds for TensorDataset: frames become arrays",
)
def test_a_series_after_a_split():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": np.arange(6.0), "b": np.arange(6.0) * 2, "y": [0, 1] * 3}).iloc[[5, 3, 0, 4]]
    data = TensorDataset(frame[["a", "b"]].to_numpy(), frame["y"])
    x, y = next(iter(DataLoader(data, 4)))
    np.testing.assert_array_equal(x.numpy()[:, 0], [5, 3, 0, 4])
    np.testing.assert_array_equal(np.asarray(y), [1, 1, 0, 0])


@reported(
    "open-mmlab/mmpretrain#760",
    "A last batch of one breaks batch normalisation at the end of an epoch",
    "holds: drop_last, and the error names it",
)
def test_a_last_batch_of_one():
    x = np.zeros((9, 4), np.float32)
    assert [len(b[0]) for b in DataLoader(TensorDataset(x, x), 4, drop_last=True)] == [4, 4]
    layer = npnn.nn.BatchNorm1d(4)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        for batch, _ in DataLoader(TensorDataset(x, x), 4):
            layer(batch)
