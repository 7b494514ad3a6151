"""Layers at random sizes, arguments and memory orders: gradients against differences, all against torch.

The examples are drawn: see tests/examples.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import npnn
from tests.examples import DTYPES, PAIR, agree, array, few, many, modules_agree
from tests.parity import gradcheck_module

# ---- convolution and pooling


@st.composite
def convolutions(draw, dims):
    dtype, groups = draw(DTYPES), draw(st.integers(1, 3))
    c, o = draw(st.integers(1, 3)), groups * draw(st.integers(1, 4))
    each = st.integers(0, 3)
    kernel, stride, dilation = ([draw(st.integers(1, 3)) for _ in range(dims)] for _ in range(3))
    padding, extra = ([draw(each) for _ in range(dims)] for _ in range(2))
    size = [max(d * (k - 1) + 1 - 2 * p, 1) + e for k, d, p, e in zip(kernel, dilation, padding, extra, strict=True)]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if draw(st.booleans()):
        options |= {"stride": 1, "padding": "same"}
    x = draw(array((*[draw(st.integers(0, 3))][: draw(st.integers(0, 1))], groups * c, *size), dtype))
    w = draw(array((o, c, *kernel), dtype))
    return options, x, w, *[draw(array((o,), dtype))][: draw(st.integers(0, 1))]


@pytest.mark.filterwarnings("ignore:Using padding")  # torch says that it copies
@pytest.mark.parametrize("dims", [1, 2])
def test_convolution(dims):
    @many
    @given(convolutions(dims))
    def check(example):
        options, *arrays = example
        agree(lambda lib, *tensors: getattr(lib.nn.functional, f"conv{dims}d")(*tensors, **options), *arrays)

    check()


@few
@given(
    dtype=DTYPES,
    channels=st.tuples(st.sampled_from([1, 16, 70]), st.sampled_from([16, 32])),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    padding=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    data=st.data(),
)
def test_three_by_three_convolution(dtype, channels, shape, padding, data):
    """The numbers of channels and the kernel that Winograd's form is for."""
    (c, o), (n, h, w) = channels, shape
    x, weight = data.draw(array((n, c, h, w), dtype)), data.draw(array((o, c, 3, 3), dtype))
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == "float64" else {"rtol": 1e-3, "atol": 2e-3}
    agree(lambda lib, x, w: lib.nn.functional.conv2d(x, w, padding=padding), x, weight, **tolerance)


@st.composite
def transposed_convolutions(draw, dims):
    dtype, groups = draw(DTYPES), draw(st.integers(1, 3))
    c, o = groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel, stride, dilation, size = ([draw(st.integers(1, 3)) for _ in range(dims)] for _ in range(4))
    padding = [draw(st.integers(0, 3)) for _ in range(dims)]
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    axes = zip(size, kernel, stride, dilation, padding, extra, strict=True)
    assume(min((n - 1) * s - 2 * p + d * (k - 1) + e for n, k, s, d, p, e in axes) >= 0)
    options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    x = draw(array((*[draw(st.integers(0, 3))][: draw(st.integers(0, 1))], c, *size), dtype))
    w = draw(array((c, o, *kernel), dtype))
    return options, x, w, *[draw(array((groups * o,), dtype))][: draw(st.integers(0, 1))]


@pytest.mark.parametrize("dims", [1, 2])
def test_transposed_convolution(dims):
    @many
    @given(transposed_convolutions(dims))
    def check(example):
        options, *arrays = example
        function = f"conv_transpose{dims}d"
        agree(lambda lib, *tensors: getattr(lib.nn.functional, function)(*tensors, **options), *arrays)

    check()


@many
@given(
    mode=st.sampled_from(["constant", "reflect", "replicate", "circular"]),
    widths=st.lists(st.integers(-2, 4), min_size=4, max_size=4),
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(3, 6), st.integers(3, 6)),
    value=st.sampled_from([0.0, -1.5]),
    dtype=DTYPES,
    data=st.data(),
)
def test_pad(mode, widths, shape, value, dtype, data):
    for n, ends in zip(shape[:1:-1], (widths[:2], widths[2:]), strict=True):
        assume(max(ends) < n and n + sum(min(w, 0) for w in ends) > 0)
        assume(mode != "circular" or min(ends) * max(ends) >= 0)  # torch leaves elements as they were in memory
    options = {"value": value} if mode == "constant" else {}
    agree(lambda lib, x: lib.nn.functional.pad(x, widths, mode, **options), data.draw(array(shape, dtype)))


@few
@given(
    mode=st.sampled_from(["reflect", "replicate", "circular"]),
    kernel=PAIR,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)) | st.just("same"),
    stride=st.integers(1, 2),
    batch=st.lists(st.integers(0, 2), max_size=1),
    dtype=DTYPES,
    data=st.data(),
)
def test_convolution_with_padding_modes(mode, kernel, padding, stride, batch, dtype, data):
    stride = 1 if padding == "same" else stride
    x = data.draw(array((*batch, 2, 5, 4), dtype))
    modules_agree(lambda nn: nn.Conv2d(2, 3, kernel, stride, padding, padding_mode=mode), x, dtype=dtype)


@st.composite
def pools(draw, dims):
    kernel = [draw(st.integers(1, 4)) for _ in range(dims)]
    options = {
        "stride": draw(st.none() | st.integers(1, 4)),
        "padding": [draw(st.integers(0, k // 2)) for k in kernel],
        "ceil_mode": draw(st.booleans()),
    }
    dilation = [draw(st.integers(1, 2)) for _ in range(dims)]
    size = [d * (k - 1) + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True)]
    leading = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 2)))]
    return kernel, options, dilation, draw(array((*leading, *size), draw(DTYPES)))


@pytest.mark.parametrize("dims", [1, 2])
def test_max_pool(dims):
    @many
    @given(pools(dims))
    def check(example):
        kernel, options, dilation, x = example
        pool = f"max_pool{dims}d"
        agree(lambda lib, x: getattr(lib.nn.functional, pool)(x, kernel, dilation=dilation, **options), x)

    check()


@pytest.mark.parametrize("dims", [1, 2])
def test_average_pool(dims):
    @many
    @given(pools(dims), st.booleans(), st.none() | st.integers(1, 5))
    def check(example, count_include_pad, divisor):
        kernel, options, _, x = example
        options = {**options, "count_include_pad": count_include_pad}
        if dims == 2:
            options["divisor_override"] = divisor
        agree(lambda lib, x: getattr(lib.nn.functional, f"avg_pool{dims}d")(x, kernel, **options), x)

    check()


@few
@given(st.data(), PAIR, DTYPES)
def test_adaptive_pools(data, output_size, dtype):
    x = data.draw(array([data.draw(st.integers(1, 5)) for _ in range(data.draw(st.integers(3, 4)))], dtype))
    agree(lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, output_size), x)
    agree(lambda lib, x: lib.nn.functional.adaptive_max_pool2d(x, output_size), x)
    agree(
        lambda lib, x: lib.nn.functional.adaptive_max_pool2d(x, output_size, return_indices=True)[1] * 1.0,
        x,
        smooth=False,
    )
    if x.ndim == 3:
        agree(lambda lib, x: lib.nn.functional.adaptive_avg_pool1d(x, output_size[0]), x)
        agree(lambda lib, x: lib.nn.functional.adaptive_max_pool1d(x, output_size[0]), x)


# ---- normalisation and linear layers


@many
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    dtype=DTYPES,
    train=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "eps": st.sampled_from([1e-5, 0.1]),
            "momentum": st.none() | st.floats(0, 1),
            "affine": st.booleans(),
            "track_running_stats": st.booleans(),
        }
    ),
    data=st.data(),
)
def test_batch_norm(shape, dtype, train, options, data):
    assume(np.prod(shape) > 2 * shape[1])  # with two values all that is left is their sign, and no gradient
    layer = "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"
    x = data.draw(array(shape, dtype))

    def build(nn):
        return getattr(nn, layer)(shape[1], **options)

    # torch 2.13's gradient is wrong where the axes lie in memory as in no layout of images
    modules_agree(build, np.ascontiguousarray(x), dtype=dtype, train=train)
    gradcheck_module(build(npnn.nn).double().train(train), x.astype("float64"))


@many
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    dtype=DTYPES,
    affine=st.booleans(),
    bias=st.booleans(),
    data=st.data(),
)
def test_layer_norm(shape, dtype, affine, bias, data):
    last = shape[data.draw(st.integers(0, len(shape) - 1)) :]
    assume(np.prod(last) > 2)
    options = {"elementwise_affine": affine, "bias": bias}
    modules_agree(lambda nn: nn.LayerNorm(last, **options), data.draw(array(shape, dtype)), dtype=dtype)


@many
@given(
    leading=st.lists(st.integers(0, 4), max_size=3),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    dtype=DTYPES,
    bias=st.booleans(),
    data=st.data(),
)
def test_linear(leading, sizes, dtype, bias, data):
    i, o = sizes
    shapes = [(*leading, i), (o, i), (o,)][: 2 + bias]
    inputs = [data.draw(array(shape, dtype)) for shape in shapes]
    agree(lambda lib, *tensors: lib.nn.functional.linear(*tensors), *inputs)


@many
@given(
    groups=st.integers(1, 3),
    per_group=st.integers(1, 3),
    batch=st.integers(0, 3),
    space=st.lists(st.integers(1, 4), max_size=3),
    affine=st.booleans(),
    bias=st.booleans(),
    dtype=DTYPES,
    data=st.data(),
)
def test_group_norm(groups, per_group, batch, space, affine, bias, dtype, data):
    assume(per_group * np.prod(space) > 2)
    channels = groups * per_group
    x = data.draw(array((batch, channels, *space), dtype))
    modules_agree(lambda nn: nn.GroupNorm(groups, channels, affine=affine, bias=bias), x, dtype=dtype)


@many
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    train=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "eps": st.sampled_from([1e-5, 0.1]),
            "momentum": st.floats(0, 1),
            "affine": st.booleans(),
            "track_running_stats": st.booleans(),
        }
    ),
    dims=st.integers(1, 2),
    dtype=DTYPES,
    data=st.data(),
)
def test_instance_norm(shape, train, options, dims, dtype, data):
    assume(len(shape) in (dims + 1, dims + 2))
    assume(np.prod(shape[-dims:]) > 2)
    channels = shape[-dims - 1]
    x = data.draw(array(shape, dtype))
    modules_agree(lambda nn: getattr(nn, f"InstanceNorm{dims}d")(channels, **options), x, dtype=dtype, train=train)


@few
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    eps=st.none() | st.just(0.1),
    affine=st.booleans(),
    dtype=DTYPES,
    data=st.data(),
)
def test_rms_norm(shape, eps, affine, dtype, data):
    last = shape[data.draw(st.integers(0, len(shape) - 1)) :]
    assume(np.prod(last) > 1)  # of one number all that is left is its sign, and no gradient
    modules_agree(lambda nn: nn.RMSNorm(last, eps, affine), data.draw(array(shape, dtype)), dtype=dtype)


# ---- recurrent layers


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent(kind):
    @few
    @given(
        sizes=st.tuples(*[st.integers(1, 4)] * 3, st.integers(1, 20)),
        dtype=DTYPES,
        options=st.fixed_dictionaries(
            {
                "num_layers": st.integers(1, 2),
                "bias": st.booleans(),
                "batch_first": st.booleans(),
                "bidirectional": st.booleans(),
            }
        ),
        relu=st.booleans(),
        batched=st.booleans(),
        given_state=st.booleans(),
        data=st.data(),
    )
    def check(sizes, dtype, options, relu, batched, given_state, data):
        T, N, inputs, hidden = sizes
        options = {**options, "nonlinearity": "relu"} if kind == "RNN" and relu else options

        def build(nn):
            class Chain(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layer = getattr(nn, kind)(inputs, hidden, **options)

                def forward(self, x, *state):
                    hx = (state if kind == "LSTM" else state[0]) if state else None
                    output, last = self.layer(x, hx)
                    return (output, *last) if kind == "LSTM" else (output, last)

            return Chain()

        batch = [N] if batched else []
        shape = (*batch, T, inputs) if options["batch_first"] else (T, *batch, inputs)
        states = options["num_layers"] * (1 + options["bidirectional"]), *batch, hidden
        count = (2 if kind == "LSTM" else 1) * given_state
        arrays = [data.draw(array(s, dtype)) for s in (shape, *[states] * count)]
        modules_agree(build, *arrays, dtype=dtype)

    check()
