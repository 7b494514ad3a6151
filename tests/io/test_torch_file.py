"""torch.save's files: both ways with PyTorch, shared memory, and what is refused."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import CheckpointError
from tests.parity import requires_torch, torch


def model(lib):
    lib.manual_seed(1)
    return lib.nn.Sequential(
        lib.nn.Conv2d(3, 4, 3), lib.nn.BatchNorm2d(4), lib.nn.Flatten(), lib.nn.Linear(16, 2)
    ).double()


def trained(lib):
    net = model(lib)
    optimizer = lib.optim.Adam(net.parameters(), lr=0.01)
    net(lib.linspace(-1, 2, 96, dtype=lib.float64).reshape(2, 3, 4, 4) ** 2)[:, 0].sum().backward()
    optimizer.step()
    return net, optimizer


@requires_torch
@pytest.mark.parametrize(("writer", "reader"), [("npnn", "torch"), ("torch", "npnn"), ("npnn", "npnn")])
def test_a_checkpoint_moves_both_ways(writer, reader, tmp_path):
    libs = {"npnn": npnn, "torch": torch}
    path = tmp_path / "run.pt"
    net, optimizer = trained(libs[writer])
    libs[writer].save({"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "best": 0.5}, path)
    saved = libs[reader].load(path, map_location="cpu")
    assert (saved["epoch"], saved["best"]) == (3, 0.5)
    assert isinstance(saved["model"], collections.OrderedDict)
    other, second = model(libs[reader]), None
    assert str(other.load_state_dict(saved["model"])) == "<All keys matched successfully>"
    second = libs[reader].optim.Adam(other.parameters(), lr=0.5)
    second.load_state_dict(saved["optimizer"])
    for part, again in ((net, optimizer), (other, second)):
        again.zero_grad()
        lib = npnn if isinstance(part, nn.Module) else torch
        part(lib.linspace(-1, 1, 96, dtype=lib.float64).reshape(2, 3, 4, 4) ** 2)[:, 0].sum().backward()
        again.step()
    for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-9)


@requires_torch
@pytest.mark.parametrize("reader", ["npnn", "torch"])
def test_shared_memory_is_shared_again(reader, tmp_path):
    x = npnn.arange(12.0)
    npnn.save({"all": x, "part": x[3:9:2], "matrix": x.view(3, 4).t()}, tmp_path / "x.pt")
    found = {"npnn": npnn, "torch": torch}[reader].load(tmp_path / "x.pt")
    found["part"][1] = 100.0
    assert found["all"][5].item() == found["matrix"][1, 1].item() == 100.0


@requires_torch
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(protocol, order, tmp_path):
    arrays = [
        np.asarray(a, order=order) for a in (np.arange(6.0).reshape(2, 3), np.array([[True], [False]]), np.array("ab"))
    ]
    torch.save({"arrays": arrays, "tensor": torch.ones(2)}, tmp_path / "t.pt", pickle_protocol=protocol)
    found = npnn.load(tmp_path / "t.pt")
    for a, b in zip(found["arrays"], arrays, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert found["tensor"].tolist() == [1, 1]


@requires_torch
def test_every_dtype_and_python_object(tmp_path):
    tree = {
        "t": [torch.tensor([1, 2], dtype=d) for d in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)],
        "b": torch.tensor([True, False]), "d": torch.float64, "s": torch.Size([2, 3]), "n": (None, 1.5, "x", b"y", {1, 2}),
        "h": torch.tensor([0.1, 65504.0]).half(), "bf": torch.tensor([0.1, 3e38]).bfloat16(), "e": torch.zeros(0, 3),
        "p": torch.nn.Parameter(torch.ones(2), requires_grad=False), "array": np.arange(3.0), "number": np.float64(2.5),
    }  # fmt: skip
    torch.save(tree, tmp_path / "t.pt")
    found = npnn.load(tmp_path / "t.pt")
    assert [str(t.dtype) for t in found["t"]] == [str(t.dtype) for t in tree["t"]]
    assert (found["b"].tolist(), found["d"], found["s"], found["n"]) == ([True, False], npnn.float64, (2, 3), tree["n"])
    np.testing.assert_array_equal(found["h"].numpy(), tree["h"].float().numpy())
    np.testing.assert_array_equal(found["bf"].numpy(), tree["bf"].float().numpy())
    assert found["e"].shape == (0, 3)
    assert type(found["p"]) is nn.Parameter
    assert not found["p"].requires_grad
    assert (found["array"].tolist(), found["number"]) == ([0, 1, 2], 2.5)
    npnn.save({"s": found["s"], "d": found["d"], "dev": npnn.device("cpu")}, tmp_path / "u.pt")
    assert torch.load(tmp_path / "u.pt") == {"s": torch.Size([2, 3]), "d": torch.float64, "dev": torch.device("cpu")}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.act = nn.Linear(2, 3), nn.functional.relu


def test_a_whole_model_of_this_program(tmp_path):
    net = Net()
    npnn.save(net, tmp_path / "net.pt")
    again = npnn.load(tmp_path / "net.pt", weights_only=False)
    assert type(again) is Net
    np.testing.assert_array_equal(again.layer.weight.detach().numpy(), net.layer.weight.detach().numpy())


class Hostile:
    def __reduce__(self):
        return print, ("this must never be printed",)


def archive(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name, content in data.items():
            z.writestr(name, content)
    file.seek(0)
    return file


def good():
    file = io.BytesIO()
    npnn.save({"w": npnn.ones(100)}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: archive({"a/data.pkl": pickle.dumps(Hostile())}), "builtins.print"),
        (lambda: archive({"a/data.pkl": b"cos\nsystem\n(S'echo'\ntR."}), "os.system"),
        (lambda: archive({"a/data.pkl": pickle.dumps(b"x".decode), "b": b""}), "getattr"),
        (lambda: archive({"a/data.pkl": b"\x80\x02garbage"}), "."),
        (lambda: archive({"a/other": b""}), "not one of torch.save"),
        (lambda: archive({"a/data.pkl": b"N.", "a/code/x.py": b""}), "TorchScript"),
        (lambda: io.BytesIO(good()[:500]), "cut short"),
        (lambda: io.BytesIO(b"not a zip at all"), "no zip archive"),
        (lambda: io.BytesIO(pickle.dumps({"w": 1})), "no zip archive"),
        (lambda: archive({"a/data.pkl": b"cnpnn.nn.linear\nLinear\n)R."}), "."),
    ],
)
@pytest.mark.parametrize("weights_only", [True, False])
def test_hostile_and_broken_files(content, message, weights_only, capsys):
    with pytest.raises(CheckpointError, match=message):
        npnn.load(content(), weights_only=weights_only)
    assert capsys.readouterr().out == ""


def test_a_tensor_that_looks_beyond_its_storage_is_refused():
    raw = good().replace(b"Kd\x85", b"K\xc8\x85")  # its size, 100, made 200
    assert raw != good()
    with pytest.raises(CheckpointError):
        npnn.load(io.BytesIO(raw))


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        npnn.load(tmp_path / "nothing.pt")
    with pytest.raises(AssertionError, match="CUDA"):
        npnn.load(io.BytesIO(good()), map_location="cuda:0")
    path = tmp_path / "kept.pt"
    npnn.save({"a": 1}, path)
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        npnn.save({"a": lambda: 0}, path)
    assert npnn.load(path) == {"a": 1}, "the old file must still be there"
