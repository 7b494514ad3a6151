"""Every class and function under a torch name takes torch's arguments, in torch's order, with torch's defaults."""

from __future__ import annotations

import inspect

import pytest

import npnn
from tests.parity import requires_torch, torch

# What npnn has no use for: devices, and arguments that choose among torch's implementations.
IGNORED = {"device", "dtype", "foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay"}
# torch's deprecated spellings of ``reduction``
IGNORED |= {"size_average", "reduce", "_stacklevel"}
# what npnn offers under names of its own
OWN_MODULES = {"Momentum"}
NO_SIGNATURE = {"Module", "Parameter"}


def _parameters(fn):
    return [
        (p.name, None if p.default is inspect.Parameter.empty else p.default)
        for p in inspect.signature(fn).parameters.values()
        if p.name not in IGNORED and p.kind is not p.VAR_KEYWORD
    ]


def _classes(ours, theirs):
    return [
        (name, getattr(ours, name), getattr(theirs, name))
        for name in sorted(getattr(ours, "__all__", []))
        if inspect.isclass(getattr(ours, name)) and hasattr(theirs, name) and name not in NO_SIGNATURE
    ]


def _same(name, ours, theirs):
    mine, torchs = _parameters(ours), _parameters(theirs)
    # torch's own arguments must come first and in its order; npnn may add keywords behind them
    assert [n for n, _ in mine[: len(torchs)]] == [n for n, _ in torchs], f"{name}: {mine} against torch's {torchs}"
    for (argument, default), (_, expected) in zip(mine, torchs, strict=False):
        assert default == expected, f"{name}({argument}={default!r}), torch has {expected!r}"


if torch is not None:
    LAYERS = _classes(npnn.nn, torch.nn)
    OPTIMIZERS = _classes(npnn.optim, torch.optim)
    SCHEDULES = _classes(npnn.optim.lr_scheduler, torch.optim.lr_scheduler)
else:
    LAYERS = OPTIMIZERS = SCHEDULES = []


@requires_torch
@pytest.mark.parametrize(("name", "ours", "theirs"), LAYERS + OPTIMIZERS + SCHEDULES)
def test_constructor(name, ours, theirs):
    if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(theirs).parameters.values()):
        pytest.skip("torch takes *args here (its documented arguments are in npnn's signature)")
    _same(name, ours, theirs)


@requires_torch
def test_initialisers_and_functions():
    for mine, torchs in ((npnn.nn.init, torch.nn.init), (npnn.nn.functional, torch.nn.functional)):
        for name in mine.__all__:
            theirs = getattr(torchs, name, None)
            if theirs is None:
                continue
            try:
                inspect.signature(theirs)
            except ValueError:
                continue  # written in C++: it has none to compare with
            if not any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(theirs).parameters.values()):
                _same(name, getattr(mine, name), theirs)


@requires_torch
def test_everything_that_was_asked_for_is_there():
    layers = """Sequential ModuleList ModuleDict Flatten Identity Linear Conv1d Conv2d MaxPool2d AvgPool2d
        AdaptiveAvgPool2d BatchNorm1d BatchNorm2d LayerNorm GroupNorm Dropout Dropout2d ReLU LeakyReLU ELU GELU SiLU
        Sigmoid Tanh Softplus Softmax LogSoftmax Embedding RNN LSTM GRU RNNCell LSTMCell GRUCell CrossEntropyLoss
        NLLLoss MSELoss L1Loss BCEWithLogitsLoss""".split()
    optimizers = "SGD Adam AdamW RMSprop Adagrad".split()
    schedules = """StepLR MultiStepLR ExponentialLR CosineAnnealingLR LinearLR OneCycleLR ReduceLROnPlateau SequentialLR
        LambdaLR""".split()
    for names, ours, theirs in (
        (layers, npnn.nn, torch.nn),
        (optimizers, npnn.optim, torch.optim),
        (schedules, npnn.optim.lr_scheduler, torch.optim.lr_scheduler),
    ):
        for name in names:
            assert name in ours.__all__, name
            assert hasattr(theirs, name), name
