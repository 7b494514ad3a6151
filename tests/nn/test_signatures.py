"""Every class and function under a torch name takes torch's arguments, in torch's order, with torch's defaults."""

from __future__ import annotations

import inspect

import pytest

import npnn
from tests.parity import requires_torch, torch
from tests.test_differences import REFUSED

# What is refused, and how far up the stack torch's warning points.
IGNORED = {name for refusal in REFUSED for name in refusal.arguments} | {"_stacklevel"}
# what every loss and every optimiser takes as a keyword, through one decorator
IGNORED |= {"size_average", "reduce", "foreach", "fused", "capturable"}
IGNORED |= {"min_value", "max_value"}  # of Hardtanh, which torch has renamed
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
        default, expected = (getattr(v, "__name__", v) for v in (default, expected))  # a function, by its name
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


def build(layer, **options):
    """A layer of this class with arguments that serve all that have parameters."""
    sizes = {"Embedding": (5, 4), "GroupNorm": (2, 4), "PReLU": (4,), "LayerNorm": (4,), "RMSNorm": (4,)}
    sizes |= {"BatchNorm1d": (4,), "BatchNorm2d": (4,), "InstanceNorm1d": (4,), "InstanceNorm2d": (4,)}
    sizes |= dict.fromkeys(["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"], (4, 6, 3))
    return layer(*sizes.get(layer.__name__, (4, 6)), **options)


WITH_PARAMETERS = """Conv1d Conv2d ConvTranspose1d ConvTranspose2d Linear Embedding
    BatchNorm1d BatchNorm2d InstanceNorm1d InstanceNorm2d GroupNorm LayerNorm RMSNorm
    PReLU RNN LSTM GRU RNNCell LSTMCell GRUCell""".split()


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_layers_are_made_in_the_dtype_asked_for(name):
    layer = getattr(npnn.nn, name)
    for dtype, expected in ((None, "float32"), (npnn.float64, "float64"), ("float32", "float32")):
        affine = {"affine": True, "track_running_stats": True} if "InstanceNorm" in name else {}
        made = build(layer, device="cpu", dtype=dtype, **affine)
        assert list(made.parameters())
        floating = [t for t in made.state_dict().values() if t.dtype.kind == "f"]
        assert {t.dtype.name for t in floating} == {expected}
        if torch is not None:
            theirs = build(getattr(torch.nn, name), dtype=getattr(torch, expected), **affine)
            assert [str(t.dtype) for t in theirs.parameters()] == [f"torch.{expected}"] * len(list(made.parameters()))
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        build(layer, device="cuda")
    with pytest.raises(TypeError, match="parameters are float32 or float64, not int64"):
        build(layer, dtype=npnn.int64)


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
