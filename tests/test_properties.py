"""Layers and operations at random sizes, arguments and memory orders: gradients against differences, all against torch.

The tables of cases elsewhere hold what someone thought of; these examples are drawn by hypothesis, the
same ones at each run.  A failure is shrunk to the smallest example that still fails.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import npnn
from npnn.testing import gradcheck
from tests.parity import assert_function_matches_torch, assert_module_matches_torch, gradcheck_module, torch

examples = partial(
    settings, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
few, many = examples(max_examples=15), examples(max_examples=25)

DTYPES = st.sampled_from(["float64", "float32"])
PAIR = st.lists(st.integers(1, 3), min_size=2, max_size=2)


@st.composite
def array(draw, shape, dtype="float64"):
    """Standard normal values, with the axes in any order in memory."""
    values = np.asarray(np.random.default_rng(draw(st.integers(0, 999))).standard_normal(shape), dtype)
    order = draw(st.permutations(range(len(shape))))
    return values.transpose(order).copy("C").transpose(np.argsort(order)) if shape else values


def agree(fn, *inputs, smooth=True, **tolerance):
    """fn(lib, *tensors) must have the gradient that differences show, and agree with torch where it is installed."""
    if torch is not None:
        assert_function_matches_torch(
            partial(fn, npnn), *inputs, torch_fn=partial(fn, torch), check_gradient=smooth, **tolerance
        )
    elif smooth and all(x.dtype == np.float64 for x in inputs):
        gradcheck(partial(fn, npnn), *inputs)


def modules_agree(build, *inputs, dtype, train=True):
    if torch is not None:
        assert_module_matches_torch(build, *inputs, dtype=dtype, train=train)
    elif dtype == "float64":
        gradcheck_module(build(npnn.nn).to(dtype).train(train), *inputs)


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


# ---- normalisation, linear layers, losses


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
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    dtype=DTYPES,
    weighted=st.booleans(),
    ignore_index=st.sampled_from([-100, 0, 2, 77]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    data=st.data(),
)
def test_cross_entropy(shape, dtype, weighted, ignore_index, smoothing, reduction, data):
    classes = shape[0] if len(shape) == 1 else shape[1]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    target = rng.integers(0, classes, [*shape[:1], *shape[2:]] if len(shape) > 1 else [])
    ignored = rng.random(target.shape) < 0.3
    target = np.where(ignored, ignore_index, target)
    counted = bool((target != ignore_index).any())
    weight = (rng.random(classes) + 0.1).astype(dtype) if weighted else None
    assume(weight is None or smoothing == 0 or dtype == "float64" or counted)

    def loss(lib, z):
        options = {"weight": None if weight is None else lib.tensor(weight), "label_smoothing": smoothing}
        options |= {"ignore_index": ignore_index, "reduction": reduction}
        return lib.nn.functional.cross_entropy(z, lib.tensor(target), **options)

    agree(loss, data.draw(array(shape, dtype)), smooth=counted)


@few
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    dtype=DTYPES,
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.3]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    data=st.data(),
)
def test_cross_entropy_of_probabilities(shape, dtype, weighted, smoothing, reduction, data):
    axis = min(1, len(shape) - 1)
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    target = rng.random(shape)
    target = (target / target.sum(axis=axis, keepdims=True)).astype(dtype)
    weight = (rng.random(shape[axis]) + 0.1).astype(dtype) if weighted else None

    def loss(lib, z):
        options = {"weight": None if weight is None else lib.tensor(weight), "label_smoothing": smoothing}
        return lib.nn.functional.cross_entropy(z, lib.tensor(target), reduction=reduction, **options)

    agree(loss, data.draw(array(shape, dtype)))


# ---- operations

BINARY = {
    "add": lambda lib, a, b: a + b,
    "sub": lambda lib, a, b: a - b,
    "mul": lambda lib, a, b: a * b,
    "div": lambda lib, a, b: a / (b * b + 1),
    "pow": lambda lib, a, b: (a * a + 0.5) ** b,
    "maximum": lambda lib, a, b: lib.maximum(a, b),
    "minimum": lambda lib, a, b: lib.minimum(a, b),
    "where": lambda lib, a, b: lib.where(a > b, a * b, b - a),
}


@settings(many, max_examples=40)
@given(
    name=st.sampled_from(sorted(BINARY)),
    shapes=mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=4),
    dtype=DTYPES,
    data=st.data(),
)
def test_arithmetic_broadcasts(name, shapes, dtype, data):
    a, b = [data.draw(array(shape, dtype)) for shape in shapes.input_shapes]
    agree(BINARY[name], a, np.asarray(1.1 * b))  # never equal: there, maximum and where have no gradient


@many
@given(
    shapes=mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=4),
    vectors=st.tuples(st.booleans(), st.booleans()),
    dtype=DTYPES,
    data=st.data(),
)
def test_matmul_broadcasts(shapes, vectors, dtype, data):
    a, b = shapes.input_shapes
    a = a[-1:] if vectors[0] else a
    b = b[-2:-1] if vectors[1] else b
    agree(lambda lib, a, b: a @ b, data.draw(array(a, dtype)), data.draw(array(b, dtype)))


@st.composite
def indices(draw, shape):
    """A number, a slice, all, a list of numbers or a mask for each of the first axes; an axis more; an ellipsis."""
    index, lists = [], draw(st.integers(1, 3))
    for size in shape[: draw(st.integers(0, len(shape)))]:
        position = st.integers(-size, size - 1)
        kind = draw(st.sampled_from(["number", "slice", "all", "list", "mask", "new"]))
        if kind == "number":
            index.append(draw(position))
        elif kind == "slice":
            bound = st.none() | st.integers(-size - 1, size + 1)
            index.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "list":
            index.append(np.array([draw(position) for _ in range(lists)], np.int64))
        elif kind == "mask" and not any(isinstance(i, np.ndarray) for i in index):
            index.append(np.array([draw(st.booleans()) for _ in range(size)]))
            lists = int(index[-1].sum())
        else:
            index.append(slice(None))
    at = draw(st.integers(0, len(index)))
    more = draw(st.sampled_from([[], [None], [...]]))
    return (*index, ...) if more == [...] else (*index[:at], *more, *index[at:])


@settings(many, max_examples=60)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), dtype=DTYPES, data=st.data())
def test_indexing(shape, dtype, data):
    index = data.draw(indices(shape))

    def pick(lib, x):
        return x[tuple(lib.tensor(i) if isinstance(i, np.ndarray) else i for i in index)] * 1

    agree(pick, data.draw(array(shape, dtype)))


REDUCTIONS = ["sum", "mean", "amax", "amin", "var", "std", "logsumexp"]


@settings(many, max_examples=40)
@given(
    name=st.sampled_from(REDUCTIONS),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    keepdim=st.booleans(),
    dtype=DTYPES,
    data=st.data(),
)
def test_reductions(name, shape, keepdim, dtype, data):
    axes = st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True)
    dims = tuple(a - len(shape) * data.draw(st.booleans()) for a in data.draw(axes))
    if name in ("var", "std"):
        assume(np.prod([shape[a] for a in dims]) > 1)
    agree(lambda lib, x: getattr(lib, name)(x, dims, keepdim=keepdim), data.draw(array(shape, dtype)))


@many
@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), start=st.integers(0, 3), dtype=DTYPES, data=st.data())
def test_operations_on_views(shape, start, dtype, data):
    """Slices, permuted axes and expanded ones all the way through: views must not show."""
    order = data.draw(st.permutations(range(len(shape))))

    def walk(lib, x):
        view = x.permute(*order)[..., start % shape[order[-1]] :: 2]
        wide = view.unsqueeze(1).expand(-1, 3, *[-1] * (len(shape) - 1))
        return (wide * view.unsqueeze(1)).flatten(1).tanh().cumsum(1), view.reshape(-1).flip(0)

    agree(walk, data.draw(array(shape, dtype)))


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
