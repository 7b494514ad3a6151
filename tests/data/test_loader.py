"""DataLoader: what is in the batches, what is random, resuming, and the background thread."""

from __future__ import annotations

import json
import threading
import traceback

import numpy as np
import pytest

import npnn
from npnn.data import DataLoader, Dataset, Subset, TensorDataset
from tests.parity import requires_torch


def numbers(n=10):
    return TensorDataset(np.arange(2 * n, dtype="float32").reshape(n, 2), np.arange(n))


def epoch(loader):
    """The labels of each batch."""
    return [y.array.tolist() for _, y in loader]


def noise(x, generator):
    return x + generator.randn(*x.shape, dtype=x.dtype)


def prefetch_threads():
    return [t for t in threading.enumerate() if t.name.startswith("npnn-prefetch")]


@pytest.mark.parametrize("prefetch", [0, 1, 3, 100])
@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [
    (1, False, [1] * 10), (3, False, [3, 3, 3, 1]), (3, True, [3, 3, 3]), (5, False, [5, 5]), (5, True, [5, 5]),
    (10, True, [10]), (64, False, [10]),
])  # fmt: skip
def test_batches_are_whole_contiguous_and_never_empty(batch_size, drop_last, sizes, prefetch):
    loader = DataLoader(numbers(), batch_size, drop_last=drop_last, prefetch=prefetch)
    batches = list(loader)
    assert len(loader) == len(batches)
    assert [len(x) for x, _ in batches] == sizes
    for batch in batches:
        assert type(batch) is list
        assert all(type(t) is npnn.Tensor and t.array.flags.c_contiguous and not t.requires_grad for t in batch)
        assert [t.dtype for t in batch] == ["float32", "int64"]
    together = np.concatenate([y.array for _, y in batches])
    np.testing.assert_array_equal(together, np.arange(sum(sizes)))
    np.testing.assert_array_equal(np.concatenate([x.array for x, _ in batches])[:, 0], 2 * together)


def test_batches_are_copies_so_that_the_data_are_safe():
    data = numbers()
    for x, _ in DataLoader(data, 10):
        x.array[:] = -1
    assert data.tensors[0].array.min() == 0


def test_shuffled_epochs_hold_every_sample_once_and_differ():
    loader = DataLoader(numbers(50), 8, shuffle=True)
    npnn.manual_seed(0)
    first, second = epoch(loader), epoch(loader)
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == list(range(50))
    assert first != second
    npnn.manual_seed(0)
    assert [epoch(loader), epoch(loader)] == [first, second]


def test_an_own_generator_leaves_the_common_one_alone():
    before = npnn.get_rng_state().tolist()
    epochs = [
        epoch(DataLoader(numbers(50), 8, shuffle=True, generator=npnn.Generator().manual_seed(3))) for _ in range(2)
    ]
    assert epochs[0] == epochs[1]
    assert npnn.get_rng_state().tolist() == before


def test_an_epoch_draws_what_torchs_draws():
    """One number when it begins, and one more where it is shuffled."""
    for shuffle, draws in ((False, 1), (True, 2)):
        npnn.manual_seed(1)
        epoch(DataLoader(numbers(), 3, shuffle=shuffle))
        after = npnn.get_rng_state().tolist()
        npnn.manual_seed(1)
        for _ in range(draws):
            npnn.random.generator().random64()
        assert npnn.get_rng_state().tolist() == after


@requires_torch
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_those_of_torch(drop_last):
    import torch
    from torch.utils import data as torch_data

    x, y = (t.array for t in numbers(23).tensors)
    theirs = torch_data.DataLoader(
        torch_data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), 5, drop_last=drop_last
    )
    ours = DataLoader(TensorDataset(x, y), 5, drop_last=drop_last)
    assert len(ours) == len(theirs)
    for (a, b), (c, d) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.array, c.numpy())
        np.testing.assert_array_equal(b.array, d.numpy())


def test_any_sequence_of_samples_will_do():
    pairs = [(np.full(3, i, "float32"), i) for i in range(5)]
    assert epoch(DataLoader(pairs, 2)) == [[0, 1], [2, 3], [4]]
    assert epoch(DataLoader(Subset(numbers(), [9, 8, 7]), 2)) == [[9, 8], [7]]


@pytest.mark.parametrize("prefetch", [1, 2, 5])
def test_prefetching_changes_no_result_even_if_the_model_draws_meanwhile(prefetch):
    def run(prefetch):
        npnn.manual_seed(1)
        loader = DataLoader(numbers(20), 3, shuffle=True, transform=noise, prefetch=prefetch)
        seen = []
        for _ in range(3):
            for x, y in loader:
                dropout = npnn.random.generator().rand(4)  # as a layer of the model would
                seen.append((x.array.copy(), y.array.copy(), dropout))
        return seen

    for here, there in zip(run(0), run(prefetch), strict=True):
        for a, b in zip(here, there, strict=True):
            np.testing.assert_array_equal(a, b)


def test_each_batch_is_transformed_with_random_numbers_of_its_own():
    npnn.manual_seed(0)
    constant = TensorDataset(np.zeros((6, 4), "float32"), np.arange(6))
    batches = [x.array for x, _ in DataLoader(constant, 2, transform=noise)]
    assert all(b.dtype == np.float32 for b in batches)
    assert len({b.tobytes() for b in batches}) == 3


class Faulty(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 3:
            raise LookupError("sample 3 is unreadable")
        return (np.float32(index),)


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_an_error_surfaces_in_its_turn_with_its_traceback(prefetch):
    seen = []
    try:
        for (x,) in DataLoader(Faulty(), 1, prefetch=prefetch):
            seen.append(x.item())
    except LookupError as error:
        text = "".join(traceback.format_exception(error))
    assert seen == [0, 1, 2]
    assert "in __getitem__" in text
    assert "sample 3 is unreadable" in text
    assert not prefetch_threads()


def test_leaving_the_loop_leaves_no_thread():
    loader = DataLoader(numbers(100), 1, prefetch=2)
    for _ in loader:
        assert len(prefetch_threads()) == 1
        break
    assert not prefetch_threads()
    iterator = iter(loader)
    next(iterator)
    del iterator
    assert not prefetch_threads()
    epoch(loader)
    assert not prefetch_threads()


# ---- resuming


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 3, 6, 7])
def test_an_epoch_taken_up_in_the_middle_is_the_same_epoch(stop, prefetch):
    def loader():
        return DataLoader(numbers(20), 3, shuffle=True, transform=noise, prefetch=prefetch)

    npnn.manual_seed(4)
    unbroken = [x.array.copy() for _ in range(2) for x, _ in loader()]

    npnn.manual_seed(4)
    first = loader()
    batches = iter(first)
    seen = [next(batches)[0].array for _ in range(stop)]
    saved = json.loads(json.dumps([first.state_dict(), npnn.get_rng_state().tolist()]))
    del batches

    npnn.manual_seed(99)
    second = loader()
    second.load_state_dict(saved[0])
    npnn.set_rng_state(np.array(saved[1], np.uint8))
    seen += [x.array for x, _ in second]  # the rest of this epoch
    assert len(seen) == 7
    seen += [x.array for x, _ in second]  # the next one
    for a, b in zip(seen, unbroken, strict=True):
        np.testing.assert_array_equal(a, b)


def test_between_epochs_the_generator_says_it_all():
    loader = DataLoader(numbers(20), 3, shuffle=True)
    epoch(loader)
    assert loader.state_dict() == {"began": None, "position": 0}
    state = npnn.get_rng_state().tolist()
    following = epoch(loader)
    npnn.set_rng_state(np.array(state, np.uint8))
    fresh = DataLoader(numbers(20), 3, shuffle=True)
    fresh.load_state_dict({"began": None, "position": 0})
    assert epoch(fresh) == following


def test_resuming_without_shuffling():
    loader = DataLoader(numbers(), 4)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    loader.load_state_dict(state)
    assert epoch(loader) == [[4, 5, 6, 7], [8, 9]]
    assert epoch(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_two_loops_over_one_loader_do_not_disturb_each_other():
    loader = DataLoader(numbers(), 5)
    pairs = [(a[1].array.tolist(), b[1].array.tolist()) for a in loader for b in loader]
    assert len(pairs) == 4
    outer = iter(loader)
    next(outer)
    inner = iter(loader)
    next(inner), next(inner)
    next(outer)
    assert loader.state_dict()["position"] == 2
    assert list(outer) == []
    assert loader.state_dict()["position"] == 2, "the state is that of the epoch begun last"


@pytest.mark.parametrize(
    "state", [{"began": "00", "position": 5}, {"began": "00", "position": -1}, {"began": None, "position": 2}]
)
def test_a_state_that_does_not_fit_is_refused(state):
    with pytest.raises(ValueError, match="does not describe an epoch of 4 batches"):
        DataLoader(numbers(), 3, shuffle=True).load_state_dict(state)


def test_errors():
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
            DataLoader(numbers(), wrong)
    with pytest.raises(ValueError, match="empty"):
        DataLoader(TensorDataset(np.zeros((0, 2))), 1)
    with pytest.raises(ValueError, match="drop_last leaves nothing: the data set has 10 samples, the batch size is 11"):
        DataLoader(numbers(), 11, drop_last=True)
    with pytest.raises(ValueError, match="prefetch"):
        DataLoader(numbers(), prefetch=-1)
