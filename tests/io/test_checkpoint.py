"""Checkpoints: any tree of arrays, numbers and strings, and runs that go on bit for bit."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

import npnn
from npnn import io, optim
from npnn.errors import CheckpointError
from npnn.nn.linear import Linear
from tests.parity import requires_torch, torch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def assert_same(a, b):
    assert type(a) is type(b), (a, b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert repr(a) == repr(b)  # -0.0 is not 0.0, and nan is nan


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"epoch": 3, "lr": 0.1, "name": "ü\n", "on": True, "none": None, "big": 2**127 + 1},
        {"floats": [0.1, 1e-300, math.inf, -math.inf, math.nan, -0.0]},
        {"history": [{"loss": 0.5}, {"loss": 0.25}], "nested": {"a": {"b": {"c": [1, [2, (3, (4,))], []]}}}},
        {"betas": (0.9, 0.999), "empty": (), "pair": ([1], (2,))},
        {"state": {0: {"step": 3, "exp_avg": np.arange(3.0)}, 1: {"step": 4, "exp_avg": np.zeros((0, 2))}}},
        {1: "a", "1": "b", (2, 3): "c", None: "d"},
        {"$array": "x", "$tuple": [1], "a": {"$pairs": 5}},
        {"a.b": np.ones(1), "a": {"b": np.zeros(2), "b'": np.ones(3)}},
        {"": np.ones(2), "x": {"": np.zeros(2)}},
        {"generator": np.asarray(npnn.Generator().manual_seed(3).get_state())},
        {"arrays": [np.float32([1]), (np.array(5, np.int8), np.array([True]))]},
        # long lists
        {"losses": [0.1, math.nan, -0.0, math.inf, 1e-300] * 9, "steps": list(range(40)), "flags": [True, False] * 20},
        {"mixed": [1, 2.0] * 20, "bools and ints": [True, 1] * 20, "beyond 64 bits": [2**63] * 40, "none": [None] * 40},
        {"matrices": [[[i, 2], [3, 4]] for i in range(40)], "ragged": [[1], [2, 3]] * 20, "deep": [1, [2]] * 20},
        {"empty": [[]] * 40, "texts": ["a"] * 40, "arrays": [np.ones(2)] * 40, "numpy": tuple(range(40))},
        {"history": [{"epoch": i, "loss": i / 3, "accuracy": None, "matrix": [[i, 0], [0, i]]} for i in range(40)]},
        {"history": [{"epoch": i} if i else {"loss": 1.0} for i in range(40)], "empty": [{}] * 40},
        {"odd keys": [{1: i, "$array": i, "$rows": (i,)} for i in range(40)], "deep": [[{"a": i}] for i in range(40)]},
    ],
)  # fmt: skip
def test_a_tree_comes_back(path, tree):
    io.save_checkpoint(tree, path)
    assert_same(io.load_checkpoint(path), tree)


def test_numpy_numbers_and_tensors_come_back_as_numbers_and_arrays(path):
    io.save_checkpoint({"a": np.float32(0.1), "b": np.int64(3), "c": npnn.tensor([1.0]), "d": np.bool_(True)}, path)
    assert_same(
        io.load_checkpoint(path), {"a": float(np.float32(0.1)), "b": 3, "c": np.array([1], np.float32), "d": True}
    )


def test_the_arrays_are_ordinary_tensors_of_the_file(path):
    model = Linear(3, 2)
    io.save_checkpoint({"model": model.state_dict(), "epoch": 1}, path)
    assert list(io.load_file(path)) == ["model.weight", "model.bias"]


def test_a_long_history_takes_no_room_in_the_header(path):
    """A header may have 4 MB; as text these records would take 5."""
    tree = {"history": [{"step": i, "train_loss": i / 7, "confusion": [[i, 1], [2, i]]} for i in range(50_000)]}
    io.save_checkpoint(tree, path)
    assert int.from_bytes(path.read_bytes()[:8], "little") < 1000
    assert io.load_checkpoint(path) == tree
    assert sorted(io.load_file(path)) == ["history.confusion", "history.step", "history.train_loss"]


@pytest.mark.parametrize(("value", "kind"), [(object(), "object"), ({1, 2}, "set"), (b"x", "bytes"), (1j, "complex")])
def test_what_no_checkpoint_holds(path, value, kind):
    with pytest.raises(TypeError, match=rf"run.history.0 is a {kind}"):
        io.save_checkpoint({"run": {"history": [value]}}, path)
    assert not path.exists()


# ---- whole runs


def build(module, optimizers, name, options):
    """A small model, its optimiser and a schedule, the same at every call after the same seed."""
    if module is not npnn.nn:
        torch.manual_seed(0)
    model = module.Linear(4, 3)
    optimizer = getattr(optimizers, name)(model.parameters(), lr=0.05, **options)
    return model, optimizer, optimizers.lr_scheduler.StepLR(optimizer, 3, 0.5)


def train(model, optimizer, scheduler, steps, tensor, rng):
    for _ in range(steps):
        x, y = rng.randn(2, 8, 4), rng.randn(8, 3)
        optimizer.zero_grad()
        loss = ((model(tensor(x[0] + x[1])) - tensor(y)) ** 2).mean()
        loss.backward()
        optimizer.step()
        scheduler.step()


RULES = [
    ("SGD", {"momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adamax", {}),
    ("Adadelta", {}),
]


@pytest.mark.parametrize(("name", "options"), RULES)
@pytest.mark.parametrize("framework", ["npnn", pytest.param("torch", marks=requires_torch)])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(path, name, options, framework):
    module, optimizers, tensor, convert = {
        "npnn": lambda: (npnn.nn, optim, npnn.tensor, lambda tree: tree),
        "torch": lambda: (torch.nn, torch.optim, torch.from_numpy, io.to_torch),
    }[framework]()
    npnn.manual_seed(5)
    unbroken = build(module, optimizers, name, options)
    train(*unbroken, 12, tensor, npnn.random.generator())

    npnn.manual_seed(5)
    first = build(module, optimizers, name, options)
    train(*first, 7, tensor, npnn.random.generator())
    own = npnn.Generator().manual_seed(8)
    own.randn(3)
    io.save_checkpoint(
        {
            **{key: part.state_dict() for key, part in zip(("model", "optimizer", "scheduler"), first, strict=True)},
            "random": npnn.get_rng_state(),
            "loader": own.get_state(),
            "config": {"hidden": [1, 2]},
        },
        path,
    )

    npnn.manual_seed(99)
    second = build(module, optimizers, name, options)
    saved = io.load_checkpoint(path)
    for key, part in zip(("model", "optimizer", "scheduler"), second, strict=True):
        part.load_state_dict(convert(saved[key]))
    npnn.set_rng_state(saved["random"])
    other = npnn.Generator()
    other.set_state(saved["loader"])
    assert other.randn(3).tolist() == own.randn(3).tolist()
    train(*second, 5, tensor, npnn.random.generator())

    for a, b in zip(unbroken[0].parameters(), second[0].parameters(), strict=True):
        assert np.array_equal(np.asarray(a.detach()), np.asarray(b.detach()))
    assert unbroken[1].param_groups[0]["lr"] == second[1].param_groups[0]["lr"]


@requires_torch
@pytest.mark.parametrize(("name", "options"), RULES)
def test_a_run_begun_in_torch_goes_on_here(path, name, options):
    theirs = build(torch.nn, torch.optim, name, options)
    rng = npnn.Generator().manual_seed(0)
    train(*theirs, 5, torch.from_numpy, rng)
    io.save_checkpoint({"model": theirs[0].state_dict(), "optimizer": theirs[1].state_dict()}, path)
    ours = build(npnn.nn, optim, name, options)
    saved = io.load_checkpoint(path)
    ours[0].load_state_dict(saved["model"])
    ours[1].load_state_dict(saved["optimizer"])
    ours[2].load_state_dict({"last_epoch": 5})
    after = npnn.Generator().manual_seed(1)
    train(*theirs, 5, torch.from_numpy, npnn.Generator().manual_seed(1))
    train(*ours, 5, npnn.tensor, after)
    for a, b in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        np.testing.assert_allclose(a.array, b.detach(), rtol=1e-4, atol=1e-5)


@requires_torch
def test_torchs_own_generator_and_schedules(path):
    generator = torch.Generator()
    generator.manual_seed(3)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], 0.1)
    io.save_checkpoint({"generator": generator.get_state(), "schedule": schedule.state_dict()}, path)
    expected = torch.rand(3, generator=generator)
    saved = io.to_torch(io.load_checkpoint(path))
    generator.set_state(saved["generator"])
    assert torch.equal(torch.rand(3, generator=generator), expected)
    assert saved["schedule"]["milestones"] == {1: 1, 3: 1}


# ---- files


def test_weights_alone_are_no_checkpoint(path):
    io.save_file({"x": np.ones(2)}, path)
    with pytest.raises(CheckpointError, match="it holds weights, but no checkpoint: read it with load_file"):
        io.load_checkpoint(path)


@pytest.mark.parametrize(
    "tree",
    [
        "no JSON", "[1]", "3", "null", '{"$array": "x"}', "[" * 100_000, '{"a": ' + "1" * 5000 + "}",
        '{"a": {"$array": "y"}}', '{"a": {"$array": []}}', '{"a": {"$tuple": 3}}', '{"a": {"$pairs": 5}}',
        '{"a": {"$pairs": [[[], 1]]}}', '{"a": {"$numbers": [1]}}', '{"a": {"$rows": [1]}}',
        '{"a": {"$rows": {"b": [1], "c": [1, 2]}}}',
    ],
)  # fmt: skip
def test_a_tree_that_nobody_saved(path, tree):
    """The file is sound, its checksum right; but what is in it was not made by save_checkpoint."""
    io.save_file({"x": np.ones(2)}, path, {"checkpoint": tree})
    with pytest.raises(CheckpointError, match=r"it holds (no tree that save_checkpoint wrote|a \w+ instead of a dict)"):
        io.load_checkpoint(path)


def checkpoints(folder, n):
    paths = [folder / f"epoch-{i}.safetensors" for i in range(n)]
    for i, path in enumerate(paths):
        io.save_checkpoint({"epoch": i}, path)
        os.utime(path, (1000 + i, 1000 + i))
    return paths


def test_a_damaged_checkpoint_names_the_newest_sound_one(tmp_path):
    paths = checkpoints(tmp_path, 4)
    for damaged in paths[2:]:
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"}")
        os.utime(damaged, (2000, 2000))
    with pytest.raises(CheckpointError, match=r"damaged.*; .*epoch-1.safetensors is sound"):
        io.load_checkpoint(paths[3])
    with pytest.raises(CheckpointError, match=r"no such file or directory; .*epoch-1.safetensors is sound"):
        io.load_checkpoint(tmp_path / "epoch-9.safetensors")
    for i in range(5):
        (tmp_path / f"newer-{i}.safetensors").write_bytes(b"damaged, too")
    with pytest.raises(CheckpointError, match=r"no such file or directory$"):  # it does not read whole folders
        io.load_checkpoint(tmp_path / "epoch-9.safetensors")
    with pytest.raises(CheckpointError, match=r"no such file or directory$"):
        io.load_checkpoint(tmp_path / "other.file")


def test_keep_last(tmp_path):
    paths = checkpoints(tmp_path, 5)
    (tmp_path / "notes.txt").write_text("stay")
    (tmp_path / "folder.safetensors").mkdir()
    assert io.keep_last(tmp_path, 2) == paths[3:]
    assert sorted(os.listdir(tmp_path)) == [
        "epoch-3.safetensors",
        "epoch-4.safetensors",
        "folder.safetensors",
        "notes.txt",
    ]
    assert io.keep_last(tmp_path, 9) == paths[3:]
    with pytest.raises(ValueError, match="got k=0"):
        io.keep_last(tmp_path, 0)
