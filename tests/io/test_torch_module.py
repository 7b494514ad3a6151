"""Whole models from torch and to torch: every layer that both have, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import npnn
from npnn.io import from_torch_module, to_torch_module
from npnn.testing import assert_close
from tests.parity import random_input, randomise

torch = pytest.importorskip("torch", reason="torch is not installed")

IMAGE, SEQUENCE, ROWS, STEPS, VOLUME = (2, 4, 7, 6), (2, 4, 9), (3, 4), (5, 2, 4), (2, 3, 4, 5, 4)

LAYERS = [
    (lambda nn: nn.CELU(0.7), ROWS),
    (lambda nn: nn.Hardshrink(0.3), ROWS),
    (lambda nn: nn.Hardsigmoid(), ROWS),
    (lambda nn: nn.Hardtanh(-0.4, 0.6), ROWS),
    (lambda nn: nn.LogSigmoid(), ROWS),
    (lambda nn: nn.RReLU(0.1, 0.4).eval(), ROWS),
    (lambda nn: nn.Softmax2d(), IMAGE),
    (lambda nn: nn.Softmin(1), ROWS),
    (lambda nn: nn.Softshrink(0.3), ROWS),
    (lambda nn: nn.Softsign(), ROWS),
    (lambda nn: nn.Tanhshrink(), ROWS),
    (lambda nn: nn.Threshold(0.1, 2.0), ROWS),
    (lambda nn: nn.AlphaDropout(0.3).eval(), ROWS),
    (lambda nn: nn.FeatureAlphaDropout(0.3).eval(), IMAGE),
    (lambda nn: nn.Dropout3d(0.3).eval(), IMAGE),
    (lambda nn: nn.ChannelShuffle(2), IMAGE),
    (lambda nn: nn.PixelShuffle(2), IMAGE),
    (lambda nn: nn.PixelUnshuffle(1), IMAGE),
    (lambda nn: nn.Unfold((3, 2), 1, 1, 2), IMAGE),
    (lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    (lambda nn: nn.Upsample((5, 9), mode="bicubic", align_corners=True), IMAGE),
    (lambda nn: nn.UpsamplingNearest2d(scale_factor=2), IMAGE),
    (lambda nn: nn.UpsamplingBilinear2d((5, 9)), IMAGE),
    (lambda nn: nn.LocalResponseNorm(3), IMAGE),
    (lambda nn: nn.Conv3d(3, 6, (1, 3, 2), 2, 1, groups=3), VOLUME),
    (lambda nn: nn.ConvTranspose3d(3, 2, 2, 2, output_padding=1), VOLUME),
    (lambda nn: nn.BatchNorm3d(3), VOLUME),
    (lambda nn: nn.SyncBatchNorm(3).eval(), VOLUME),
    (lambda nn: nn.InstanceNorm3d(3, affine=True), VOLUME),
    (lambda nn: nn.MaxPool3d(2, ceil_mode=True), VOLUME),
    (lambda nn: nn.AvgPool3d(2, count_include_pad=False), VOLUME),
    (lambda nn: nn.AdaptiveAvgPool3d((1, 2, None)), VOLUME),
    (lambda nn: nn.AdaptiveMaxPool3d(2), VOLUME),
    (lambda nn: nn.LPPool3d(2, 2), VOLUME),
    (lambda nn: nn.LPPool1d(2, 2), SEQUENCE),
    (lambda nn: nn.LPPool2d(2, (2, 3)), IMAGE),
    *[
        (
            (
                lambda nn, kind=kind, dims=dims: getattr(nn, f"{kind}Pad{dims}d")(
                    *([1, 0.5] if kind == "Constant" else [1])
                )
            ),
            shape,
        )
        for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
        for dims, shape in ((1, SEQUENCE), (2, IMAGE))
    ],
    (lambda nn: nn.Linear(4, 3), ROWS),
    (lambda nn: nn.Linear(4, 3, bias=False), ROWS),
    (lambda nn: nn.Identity(), ROWS),
    (lambda nn: nn.Flatten(1, 2), IMAGE),
    (lambda nn: nn.Unflatten(1, (2, 2)), ROWS),
    (lambda nn: nn.Conv1d(4, 6, 3, 2, 1, 2, 2), SEQUENCE),
    (lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), bias=False), IMAGE),
    (lambda nn: nn.Conv2d(4, 6, 3, padding="same"), IMAGE),
    (lambda nn: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2), SEQUENCE),
    (lambda nn: nn.ConvTranspose2d(4, 6, (3, 2), 2, output_padding=1, bias=False), IMAGE),
    (lambda nn: nn.MaxPool1d(3, 2, 1), SEQUENCE),
    (lambda nn: nn.MaxPool2d((3, 2), None, 1, (1, 2), ceil_mode=True), IMAGE),
    (lambda nn: nn.AvgPool1d(3, 2, 1, True, False), SEQUENCE),
    (lambda nn: nn.AvgPool2d(3, 2, 1, True, False, 5), IMAGE),
    (lambda nn: nn.AdaptiveAvgPool1d(4), SEQUENCE),
    (lambda nn: nn.AdaptiveAvgPool2d((3, None)), IMAGE),
    (lambda nn: nn.AdaptiveMaxPool1d(4), SEQUENCE),
    (lambda nn: nn.AdaptiveMaxPool2d((3, 2), return_indices=True), IMAGE),
    (lambda nn: nn.BatchNorm1d(4, 1e-3, None), ROWS),
    (lambda nn: nn.BatchNorm1d(4, affine=False, track_running_stats=False), ROWS),
    (lambda nn: nn.BatchNorm2d(4), IMAGE),
    (lambda nn: nn.InstanceNorm1d(4, affine=True), SEQUENCE),
    (lambda nn: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    (lambda nn: nn.GroupNorm(2, 4), IMAGE),
    (lambda nn: nn.LayerNorm((7, 6), bias=False), IMAGE),
    (lambda nn: nn.LayerNorm(4, elementwise_affine=False), ROWS),
    (lambda nn: nn.RMSNorm(4), ROWS),
    (lambda nn: nn.Dropout(0.3), ROWS),
    (lambda nn: nn.Dropout1d(0.3), SEQUENCE),
    (lambda nn: nn.Dropout2d(0.3), IMAGE),
    (lambda nn: nn.ELU(0.5), ROWS),
    (lambda nn: nn.GELU("tanh"), ROWS),
    (lambda nn: nn.GLU(0), ROWS[::-1]),
    (lambda nn: nn.Hardswish(), ROWS),
    (lambda nn: nn.LeakyReLU(0.2), ROWS),
    (lambda nn: nn.LogSoftmax(1), ROWS),
    (lambda nn: nn.Mish(), ROWS),
    (lambda nn: nn.PReLU(4, 0.1), ROWS),
    (lambda nn: nn.ReLU(inplace=True), ROWS),
    (lambda nn: nn.ReLU6(), ROWS),
    (lambda nn: nn.SELU(), ROWS),
    (lambda nn: nn.SiLU(), ROWS),
    (lambda nn: nn.Sigmoid(), ROWS),
    (lambda nn: nn.Softmax(1), ROWS),
    (lambda nn: nn.Softplus(2, 10), ROWS),
    (lambda nn: nn.Tanh(), ROWS),
    (lambda nn: nn.RNN(4, 3, 2, "relu", False, True, 0.5, True), STEPS),
    (lambda nn: nn.LSTM(4, 3, 2, bidirectional=True), STEPS),
    (lambda nn: nn.GRU(4, 3), STEPS),
    (lambda nn: nn.RNNCell(4, 3, nonlinearity="relu"), ROWS),
    (lambda nn: nn.LSTMCell(4, 3), ROWS),
    (lambda nn: nn.GRUCell(4, 3, bias=False), ROWS),
    (lambda nn: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))), ROWS),
]
LOSSES = {
    "CrossEntropyLoss": lambda nn: nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1),
    "NLLLoss": lambda nn: nn.NLLLoss(reduction="sum"),
    "BCELoss": lambda nn: nn.BCELoss(),
    "BCEWithLogitsLoss": lambda nn: nn.BCEWithLogitsLoss(),
    "KLDivLoss": lambda nn: nn.KLDivLoss(reduction="batchmean", log_target=True),
    "MSELoss": lambda nn: nn.MSELoss(),
    "L1Loss": lambda nn: nn.L1Loss(),
    "HuberLoss": lambda nn: nn.HuberLoss(delta=2.0),
    "SmoothL1Loss": lambda nn: nn.SmoothL1Loss(beta=2.0),
}


def flat(y):
    return [leaf for part in y for leaf in flat(part)] if isinstance(y, tuple) else [y]


@pytest.mark.parametrize("case", range(len(LAYERS)), ids=lambda i: str(LAYERS[i][0](npnn.nn)).split("\n")[0])
def test_layer_there_and_back(case):
    build, shape = LAYERS[case]
    theirs = build(torch.nn).eval()
    theirs.load_state_dict(npnn.io.to_torch(randomised(npnn.nn, build)))
    ours = from_torch_module(theirs)
    assert type(ours) is type(build(npnn.nn))
    assert repr(ours) == repr(build(npnn.nn))
    again = to_torch_module(ours)
    assert repr(again) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == list(again.state_dict())
    x = random_input(shape, "float32")
    for a, b, c in zip(
        flat(ours(npnn.tensor(x))), flat(theirs(torch.tensor(x))), flat(again(torch.tensor(x))), strict=True
    ):
        assert_close(a, b, rtol=1e-4, atol=1e-5)
        assert_close(c, b, rtol=0, atol=0)


def randomised(nn, build):
    model = build(nn)
    randomise(model)
    return model.state_dict()


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    build = LOSSES[name]
    for new, original in (
        (from_torch_module(build(torch.nn)), build(npnn.nn)),
        (to_torch_module(build(npnn.nn)), build(torch.nn)),
    ):
        assert type(new) is type(original)
        for argument in inspect.signature(type(original)).parameters:
            assert getattr(new, argument, None) == getattr(original, argument, None)


def test_loss_with_weights():
    loss = from_torch_module(torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal(loss.weight.numpy(), [1, 2, 3])
    assert isinstance(to_torch_module(loss).weight, torch.Tensor)


CONTAINERS = (
    {"MultiheadAttention", "DataParallel", "ConstantPad3d", "ZeroPad3d", "ReflectionPad3d"}
    | {
        # of two inputs, of indices, or of volumes: tests/nn/test_further_layers.py
        "ReplicationPad3d",
        "CircularPad3d",
        "Bilinear",
        "CosineSimilarity",
        "EmbeddingBag",
        "Fold",
        "MaxUnpool1d",
        "MaxUnpool2d",
        "MaxUnpool3d",
        "CTCLoss",
        "PairwiseDistance",
    }
    | {f"Transformer{part}" for part in ("", "Encoder", "EncoderLayer", "Decoder", "DecoderLayer")}
)  # layers made of layers: their weights move with their state_dict


def test_every_layer_of_both_is_tried():
    layers = {name for name, c in vars(npnn.nn).items() if inspect.isclass(c) and issubclass(c, npnn.nn.Module)}
    layers = {
        name for name in layers if not name.startswith("Lazy")
    }  # what is saved of one is the layer that it became
    tried = {type(m).__name__ for build, _ in LAYERS for m in build(npnn.nn).modules()} | set(LOSSES)
    assert layers & set(dir(torch.nn)) - tried == {
        "Module",
        "RNNBase",
        "ModuleDict",
        "ModuleList",
        "Embedding",
        "ParameterDict",  # parameters of a module with a forward of its own
        "ParameterList",
    } | CONTAINERS | {*npnn.nn.loss.ranking.__all__, "NLLLoss2d"} & set(npnn.nn.__all__)


def test_embedding():
    theirs = torch.nn.Embedding(5, 3, padding_idx=1)
    ours = from_torch_module(theirs)
    assert ours.padding_idx == 1
    np.testing.assert_array_equal(ours(npnn.tensor([0, 1, 4])).detach().numpy(), theirs.weight.detach()[[0, 1, 4]])
    assert to_torch_module(ours).padding_idx == 1


def test_names_of_containers_stay():
    from collections import OrderedDict

    body = torch.nn.Sequential(OrderedDict(first=torch.nn.Linear(4, 4), act=torch.nn.ReLU()))
    theirs = torch.nn.ModuleDict({"body": body, "heads": torch.nn.ModuleList([torch.nn.Linear(4, 2)])})
    ours = from_torch_module(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert isinstance(ours["heads"], npnn.nn.ModuleList)


def test_modes_dtypes_and_frozen_weights_stay():
    theirs = torch.nn.Sequential(torch.nn.BatchNorm1d(4).eval(), torch.nn.Linear(4, 4).double(), torch.nn.Dropout())
    theirs[1].bias.requires_grad_(False)
    for new in (from_torch_module(theirs), to_torch_module(from_torch_module(theirs))):
        assert [m.training for m in new.modules()] == [True, False, True, True]
        assert [str(p.dtype)[-7:] for p in new.parameters()] == ["float32", "float32", "float64", "float64"]
        assert [p.requires_grad for p in new.parameters()] == [True, True, True, False]


def test_what_is_shared_stays_shared():
    layer = torch.nn.Linear(4, 4)
    theirs = torch.nn.Sequential(layer, torch.nn.ReLU(), layer, torch.nn.Linear(4, 4))
    theirs[3].weight = layer.weight
    for new in (from_torch_module(theirs), to_torch_module(from_torch_module(theirs))):
        assert new[2] is new[0]
        assert new[3].weight is new[0].weight
        assert new[3].bias is not new[0].bias


def test_the_memory_is_its_own():
    theirs = torch.nn.Linear(4, 3)
    ours = from_torch_module(theirs)
    before = ours.weight.numpy().copy() if not ours.weight.requires_grad else ours.weight.detach().numpy().copy()
    with torch.no_grad():
        theirs.weight.zero_()
    np.testing.assert_array_equal(ours.weight.detach().numpy(), before)


def test_subclasses_that_compute_the_same():
    class Block(torch.nn.Sequential):
        def __init__(self, n):
            super().__init__(torch.nn.Linear(n, n), torch.nn.ReLU())

    assert type(from_torch_module(Block(4))) is npnn.nn.Sequential


# ---- what is refused


class Custom(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)


class Doubled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def with_hook():
    layer = torch.nn.Linear(4, 4)
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    return layer


def with_own_weight():
    block = torch.nn.Sequential(torch.nn.ReLU())
    block.scale = torch.nn.Parameter(torch.ones(1))
    return block


REFUSED = [
    (lambda: torch.nn.MultiheadAttention(4, 2), "modules inside it, out_proj"),
    (lambda: torch.nn.CrossMapLRN2d(1), "npnn has no CrossMapLRN2d"),
    (Custom, r"Custom has a forward of its own.*load_state_dict\(from_torch\(state_dict\)\)"),
    (lambda: Doubled(4, 4), "Doubled is a Linear that changes forward"),
    (with_hook, "this Linear has hooks"),
    (with_own_weight, "this Sequential has weights of its own, scale"),
    (lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 4)), "modules inside it, parametrizations"),
    (lambda: torch.nn.Linear(4, 4).half(), r"weights are float16: convert module.float\(\)"),
    (lambda: torch.nn.Embedding(4, 4, sparse=True), "sparse"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_its_path(case):
    make, message = REFUSED[case]
    model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Sequential(torch.nn.ReLU(), make()))
    with pytest.raises(NotImplementedError, match=rf"no npnn model is like this one:\n  1\.1: .*{message}"):
        from_torch_module(model)
    with pytest.raises(NotImplementedError, match=message):
        from_torch_module(make())


def test_all_problems_are_named_at_once():
    model = torch.nn.Sequential(*[make() for make, _ in REFUSED])
    with pytest.raises(NotImplementedError) as info:
        from_torch_module(model)
    assert len(str(info.value).split("\n")) == 1 + len(REFUSED)


def test_what_is_no_model():
    with pytest.raises(TypeError, match="expected a module of torch, got Linear"):
        from_torch_module(npnn.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected a module of npnn, got Linear"):
        to_torch_module(torch.nn.Linear(2, 2))
    with pytest.raises(NotImplementedError, match="Custom has a forward of its own"):
        to_torch_module(type("Custom", (npnn.nn.Module,), {"forward": lambda self, x: x})())
