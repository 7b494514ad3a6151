"""Training in several processes, here threads: the same as in one, decided together, ended together."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import npnn
from npnn import nn, random
from npnn.data import DataLoader, TensorDataset
from npnn.errors import TrainingDiverged
from npnn.generator import Generator
from npnn.train import Callback, Checkpoint, EarlyStopping, parallel
from npnn.train.interrupt import Interrupt
from npnn.train.parallel import Single, world
from npnn.train.weighting import weight_of
from tests.parity import torch
from tests.train import fake_mpi
from tests.train.common import FRAMEWORKS, batches, build, data, framework, trainer, weights


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.0)


def loader(n=41, size=16, **options):
    return DataLoader(TensorDataset(*data(n)), size, shuffle=True, **options)


def alone(work):
    with random.use_generator(Generator().manual_seed(0)):
        return work(Single())


def assert_close_weights(a, b):
    ours, theirs = weights(a), weights(b)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=1e-6, err_msg=name)


def figures(history):
    return {n: history[n] for n in history.records[-1] if n != "seconds"}


# ---- the same as one process


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_equals_one_process(name, ranks):
    """Shuffled batches, the last one smaller, shares that are unequal; clipping; a schedule that looks at records."""

    def work(processes):
        _, optimizers = framework(name)
        driven = trainer(
            name, optimizer=lambda o, p: o.Adam(p, lr=0.02), clip_grad_norm=0.3, clip_grad_value=0.1,
            parallel=processes,
        )  # fmt: skip
        driven.scheduler = optimizers.lr_scheduler.ReduceLROnPlateau(driven.optimizer, patience=0)
        driven.schedule_per = "record"
        own = npnn.Generator().manual_seed(1)  # the threads of the test share torch's generator
        return driven, driven.fit(loader(generator=own), 4, data(20, seed=1), evaluate_every=2)

    whole, expected = alone(work)
    for driven, history in fake_mpi.run(ranks, work):
        assert_close_weights(driven.model, whole.model)
        np.testing.assert_allclose(history.step_losses, expected.step_losses, rtol=1e-5)
        for figure, values in figures(expected).items():
            np.testing.assert_allclose(history[figure], values, rtol=1e-4, err_msg=figure)


def convolutional():
    npnn.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3)
    )


def test_a_convolutional_network_with_large_and_small_gradients(monkeypatch):
    """With a limit of 30 elements the kernels and one matrix, in their order of memory, are summed where they lie."""
    monkeypatch.setattr("npnn.train.buckets.LARGE", 30)
    images = np.random.default_rng(0).standard_normal((23, 1, 8, 8)).astype(np.float32)
    labels = np.arange(23) % 3

    def work(processes):
        driven = trainer(model=convolutional(), parallel=processes)
        driven.fit(DataLoader(TensorDataset(images, labels), 8, shuffle=True), 3)
        return driven

    whole = alone(work)
    first, second = fake_mpi.run(2, work)
    assert [len(bucket.large) for bucket in first.parallel._buckets] == [2]
    assert_close_weights(first.model, whole.model)
    for name, value in weights(first.model).items():
        np.testing.assert_array_equal(weights(second.model)[name], value, err_msg=name)


def test_few_messages():
    """A step: one for the loss, one for the gradients, one for the rows, one to ask whether it is over."""

    def work(processes):
        driven = trainer(parallel=processes)
        driven.fit(batches(), max_steps=1)
        one = processes.comm.messages
        driven.fit(batches(), max_steps=3)
        return processes.comm.messages - 2 * one

    assert fake_mpi.run(2, work) == [2 * 4] * 2


@pytest.mark.parametrize("kind", ["list", "generator", "torch", "prefetch"])
def test_loaders(kind):
    if kind == "torch" and torch is None:
        pytest.skip("torch is not installed")

    class Drawn:
        """Draws the order when it is iterated over, and each batch anew."""

        generator = Generator().manual_seed(5)

        def __init__(self):
            self.generator = Generator().manual_seed(5)

        def __iter__(self):
            X, y = data()
            for _ in range(3):
                rows = self.generator.randperm(40)[:9]
                yield X[rows], y[rows]

    def make():
        if kind == "torch":
            pairs = [(torch.tensor(x), int(label)) for x, label in zip(*data(), strict=True)]
            order = torch.Generator().manual_seed(4)
            return torch.utils.data.DataLoader(pairs, 7, shuffle=True, generator=order)
        return {"list": batches, "generator": Drawn, "prefetch": lambda: loader(prefetch=2)}[kind]()

    def work(processes):
        driven = trainer("torch" if kind == "torch" else "npnn", dropout=0.0, parallel=processes)
        driven.fit(make(), 3)
        return driven

    whole = alone(work)
    for driven in fake_mpi.run(2, work):
        assert_close_weights(driven.model, whole.model)


def test_unequal_generators_and_weights_become_those_of_rank_0():
    def work(processes):
        npnn_before = build(nn)
        with npnn.no_grad():
            npnn_before[0].weight.mul_(1.0 + processes.rank)
        driven = trainer(model=npnn_before, parallel=processes)
        driven.fit(loader(), 2)
        return driven

    whole = alone(work)
    for driven in fake_mpi.run(2, work, seeds=[0, 1]):
        assert_close_weights(driven.model, whole.model)


# ---- what is drawn


def test_shares_are_the_batches_and_are_augmented_each_by_itself():
    def noise(x, generator):
        return x + generator.randn(*x.shape)

    def epochs(rank=0, ranks=1, transform=None):
        npnn.manual_seed(7)
        part = loader(transform=transform).shard(rank, ranks)
        assert len(part) == 3
        return [[t.numpy() for t in batch] for _ in range(2) for batch in part]

    whole, shares = epochs(), [epochs(rank, 3) for rank in range(3)]
    for i, (x, y) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([s[i][0] for s in shares]), x)
        np.testing.assert_array_equal(np.concatenate([s[i][1] for s in shares]), y)
    noisy = [epochs(rank, 2, noise) for rank in range(2)]
    added = [noisy[rank][0][0] - epochs(rank, 2)[0][0] for rank in range(2)]
    assert not np.allclose(added[0], added[1])
    np.testing.assert_array_equal(noisy[1][0][0], epochs(1, 2, noise)[0][0])


def test_each_rank_drops_other_units_and_the_order_of_the_batches_stays_common():
    seen = {}

    def work(processes):
        driven = trainer(dropout=0.5, parallel=processes)
        layer, forward = driven.model[2], driven.model[2].forward
        layer.forward = lambda x: seen.setdefault((processes.rank, driven.run.step), forward(npnn.ones(x.shape))) * x
        driven.fit(loader(), 3)
        return random.get_rng_state()

    first, second = fake_mpi.run(2, work)
    assert first.equal(second)
    masks = [seen[rank, step].numpy()[:6] for rank in range(2) for step in range(9)]
    assert len({mask.tobytes() for mask in masks}) == 18


# ---- rank 0 alone


class Calls(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, trainer):
        self.calls.append("begin")

    def on_step_end(self, trainer):
        self.calls.append("step")

    def on_record(self, trainer, record):
        self.calls.append("record")

    def on_train_end(self, trainer):
        self.calls.append("end")


def test_rank_0_calls_back_evaluates_and_shows_progress(capsys):
    def work(processes):
        calls = Calls()
        driven = trainer(callbacks=[calls], progress=True, parallel=processes)
        driven.metrics = {"rows": lambda outputs, targets: (processes.rank, len(outputs), len(targets))}
        history = driven.fit(batches(), 2, data(10))
        return calls.calls, history.records

    (calls, records), (other_calls, other_records) = fake_mpi.run(2, work)
    assert calls == ["begin", *["step"] * 3, "record", *["step"] * 3, "record", "end"]
    assert other_calls == []
    assert records == other_records
    assert records[0]["train_rows"] == [0, 40, 40]
    assert records[0]["validation_rows"] == [0, 10, 10]
    assert capsys.readouterr().err.count("epoch 2") == 1


def test_statistics_of_batch_norm_are_those_of_rank_0():
    def work(processes):
        npnn.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        driven = trainer(model=model, parallel=processes)
        during = []
        driven.loss = lambda output, y, loss=driven.loss: (
            during.append(model[1].running_mean.numpy().copy()) or loss(output, y)
        )
        driven.fit(batches(), 2)
        return during[-1], driven.model

    (first, model), (second, other) = fake_mpi.run(2, work)
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(model[1].running_mean.numpy(), first)
    np.testing.assert_array_equal(other[1].running_mean.numpy(), first)


def test_early_stopping_stops_all_with_the_best_weights():
    def work(processes):
        stopping = EarlyStopping("train_loss", patience=1)
        driven = trainer(lr=0.3, callbacks=[stopping], parallel=processes)
        losses = iter([0.5, 0.4, 0.6])
        driven.evaluate = lambda validation: {"loss": next(losses)}
        stopping.figure.monitor = "validation_loss"
        history = driven.fit(batches(), 100, validation=data())
        return len(history), weights(driven.model), stopping.weights

    (n, first, best), (m, second, _) = fake_mpi.run(2, work)
    assert n == m == 3
    for name, value in best.items():
        np.testing.assert_array_equal(first[name], value)
        np.testing.assert_array_equal(second[name], value)


# ---- interrupted and resumed


@pytest.mark.parametrize("where", [0, 1])
def test_ctrl_c_in_one_stops_all_after_the_same_step_and_resumes_bit_for_bit(where, tmp_path, monkeypatch):
    """Threads get no signals: the interrupt is asked for by hand, in one rank."""
    asked = {}

    class Asked(Interrupt):
        def __enter__(self):
            asked[random.generator()] = self
            return self

    monkeypatch.setattr("npnn.train.trainer.Interrupt", Asked)

    def make(processes):
        driven = trainer(dropout=0.3, callbacks=[Checkpoint(tmp_path, monitor=None)], parallel=processes)
        step, rank = driven._step, processes.rank

        def pressing(x, y):
            if rank == where and driven.run.step == 4 and press:
                asked[random.generator()].requested = True
            return step(x, y)

        driven._step = pressing
        return driven

    def work(processes):
        driven = make(processes)
        return driven, driven.fit(loader(), 4)

    def resumed(processes):
        driven = make(processes)
        return driven, driven.fit(loader(), 4, resume_from=tmp_path / "last.safetensors")

    press = False
    unbroken = fake_mpi.run(2, work)
    press = True
    for driven, history in fake_mpi.run(2, work):
        assert history.interrupted
        assert driven.run.step == 5
    press = False
    for (driven, history), (expected, whole) in zip(fake_mpi.run(2, resumed), unbroken, strict=True):
        assert history.step_losses == whole.step_losses
        assert history["train_accuracy"] == whole["train_accuracy"]
        assert weights(driven.model).keys() == weights(expected.model).keys()
        for name, value in weights(expected.model).items():
            np.testing.assert_array_equal(weights(driven.model)[name], value)


# ---- errors


@pytest.mark.parametrize("where", [0, 1])
def test_divergence_in_one_is_everyones(where):
    X, y = data()
    X[8 * where] = np.inf  # in the first row of that rank

    def work(processes):
        driven = trainer(parallel=processes)
        driven.fit([(X[:16], y[:16])], 5)

    first, second = fake_mpi.run(2, work)
    assert isinstance(first, TrainingDiverged)
    assert isinstance(second, TrainingDiverged)
    assert str(first) == str(second)
    assert "the first to go bad was the batch of inputs" in str(first)


@pytest.mark.parametrize("where", [0, 1])
def test_an_error_in_one_ends_all(where, capsys):
    def work(processes):
        driven = trainer(parallel=processes)
        step = driven._step
        driven._step = lambda x, y: step(x, y) if processes.rank != where or driven.run.step < 2 else 1 / 0
        driven.fit(batches(), 3)

    errors = fake_mpi.run(2, work)
    assert [type(error) for error in errors] == [fake_mpi.Aborted] * 2
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert f"rank {where} of 2 failed, and so the run ends in all processes" in said


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ("model", "rank 1 has a model or optimizer that is not rank 0's"),
        ("batches", "rank 1 has a number of batches that is not rank 0's"),
        ("callback", "the weights of rank 1 are not those of rank 0 any more"),
    ],
)
def test_processes_that_do_not_do_the_same(difference, message, capsys):
    class ChangesTheRate(Callback):
        def on_step_end(self, trainer):
            trainer.optimizer.param_groups[0]["lr"] = 0.2

    def work(processes):
        model = build(nn)
        if difference == "model" and processes.rank:
            model = nn.Sequential(*model, nn.Linear(2, 2))
        callbacks = [ChangesTheRate()] if difference == "callback" else []
        driven = trainer(model=model, callbacks=callbacks, parallel=processes)
        driven.fit(batches(n=40 if difference == "batches" and processes.rank else 30), 3)

    errors = fake_mpi.run(2, work)
    assert [type(error) for error in errors] == [fake_mpi.Aborted] * 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("rows", [loader(33, 16), batches(33, 16), loader(1, 16), loader(40, 1)])
def test_a_batch_that_is_too_small_to_share(rows, capsys):
    def work(processes):
        trainer(parallel=processes).fit(rows, 3)

    fake_mpi.run(2, work)
    assert (
        "a batch of 1 cannot be shared among 2 processes: choose another batch size, or drop" in capsys.readouterr().err
    )


def test_a_small_last_batch_may_be_dropped():
    fake_mpi.run(2, lambda processes: trainer(parallel=processes).fit(loader(33, 16, drop_last=True), 1))


# ---- gradients that are missing, or lie otherwise


class Branches(nn.Module):
    """Layers of which each process uses its own, and none the last."""

    def __init__(self, rank):
        super().__init__()
        self.rank = rank
        self.layers = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(3)])

    def forward(self, x):
        return self.layers[self.rank](x)


def test_missing_gradients_count_as_zero():
    def work(processes):
        npnn.manual_seed(0)
        driven = trainer(model=Branches(processes.rank), parallel=processes)
        driven.fit([data(8)], 1)
        return [layer.weight.grad for layer in driven.model.layers]

    first, second = fake_mpi.run(2, work)
    assert first[2] is second[2] is None
    for mine, other in zip(first[:2], second[:2], strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
        assert mine.numpy().any()


def test_two_dtypes():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            npnn.manual_seed(0)
            self.first, self.second = nn.Linear(2, 8), nn.Linear(8, 2).double()

        def forward(self, x):
            return self.second(self.first(x).double())

    def work(processes):
        driven = trainer(model=Mixed(), parallel=processes)
        driven.fit(batches(), 2)
        return driven

    whole = alone(work)
    for driven in fake_mpi.run(2, work):
        assert_close_weights(driven.model, whole.model)


# ---- who is there


def test_without_mpiexec_there_is_one_process():
    assert type(world()) is Single
    assert type(trainer().parallel) is Single


@pytest.fixture
def started(monkeypatch):
    """As if mpiexec had started two processes."""
    monkeypatch.setenv("PMI_SIZE", "2")
    world.cache_clear()
    yield
    world.cache_clear()


def test_without_mpi4py_one_line_says_what_to_install(started, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(ImportError, match=r"^training in 2 processes needs mpi4py and MPI: pip install npnn\[mpi\]$"):
        trainer()


def test_the_mpiexec_of_another_mpi(started, monkeypatch):
    class MPI:
        COMM_WORLD = fake_mpi.Comm(0, [None], None)

        @staticmethod
        def Get_library_version():  # noqa: N802
            return "MPICH Version: 5\nand more"

    monkeypatch.setitem(sys.modules, "mpi4py.MPI", MPI)
    with pytest.raises(ImportError, match=r"mpiexec started 2 processes, mpi4py knows of 1: .* \(MPICH Version: 5\)"):
        trainer()


# ---- losses that weigh their rows


def test_rows_of_several_targets_weigh_as_many_as_they_have():
    """One rank's share has padding, the other's has none: both count targets, not rows; so does a loss of one's own kind."""
    backend = trainer().backend
    whole, padded = npnn.zeros(3, 4, dtype=int), npnn.tensor([[0, 1, -100, -100]])

    class Own(nn.CrossEntropyLoss):
        pass

    for loss in (nn.CrossEntropyLoss(), Own(), nn.NLLLoss()):
        assert weight_of(loss, whole, backend) == 12
        assert weight_of(loss, padded, backend) == 2
    assert weight_of(nn.CrossEntropyLoss(), npnn.ones(3, 4), backend) == 3  # probabilities: a row each
    assert weight_of(nn.MSELoss(), whole, backend) == 3


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("kind", ["weights of classes", "ignored targets", "both", "a rank with ignored targets only"])
def test_a_weighted_loss_equals_that_of_one_process(name, kind):
    """Whose mean is over the weights: parts of a batch with other classes weigh otherwise."""
    lib = npnn if name == "npnn" else torch
    x, y = data(30)
    y = y.copy()
    if kind != "weights of classes":
        y[::5] = -100
    if kind.startswith("a rank"):
        y[:8] = -100  # of the first batch the first rank's share
    classes = int(y.max()) + 1
    weight = np.linspace(0.1, 3, classes).astype(np.float32)

    def work(processes):
        options = {} if kind == "ignored targets" else {"weight": lib.tensor(weight)}
        driven = trainer(name, parallel=processes)
        driven.loss = lib.nn.CrossEntropyLoss(**options)
        driven.metrics = {}
        history = driven.fit([(x[:16], y[:16]), (x[16:], y[16:])], 3)
        return driven.model, history.step_losses

    one, losses = alone(work)
    for other, found in fake_mpi.run(2, work):
        np.testing.assert_allclose(found, losses, rtol=1e-5)
        assert_close_weights(other, one)
