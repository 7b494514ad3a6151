"""Losses and operations at random sizes, arguments and memory orders: gradients against differences, all against torch.

The tables of cases elsewhere hold what someone thought of; these examples are drawn (tests/examples.py).
Layers are in tests/nn/test_properties.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from tests.examples import DTYPES, agree, array, few, many

# ---- losses


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
