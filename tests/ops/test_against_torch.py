"""Every tensor operation in both frameworks: values, gradients, dtypes."""

from __future__ import annotations

import operator
from functools import partial

import numpy as np
import pytest

import npnn
from npnn.testing import gradcheck
from tests.parity import assert_function_matches_torch, random_input, requires_torch, torch

A, B = (3, 4), (3, 4)

# name: (function of (lib, *tensors), input shapes)
SMOOTH = {
    "add": (lambda lib, a, b: a + b, [A, B]),
    "add broadcast": (lambda lib, a, b: a + b, [(2, 1, 4), (3, 1)]),
    "add number": (lambda lib, a: 2 + a + 1.5, [A]),
    "add alpha": (lambda lib, a, b: lib.add(a, b, alpha=3), [A, B]),
    "sub": (lambda lib, a, b: a - b, [A, (4,)]),
    "sub reflected": (lambda lib, a: 1 - a, [A]),
    "mul": (lambda lib, a, b: a * b, [(3, 1), (1, 4)]),
    "mul itself": (lambda lib, a: a * a * a, [A]),
    "mul 0-d": (lambda lib, a, b: a * b, [A, ()]),
    "div": (lambda lib, a, b: a / (b * b + 1), [A, (4,)]),
    "div reflected": (lambda lib, a: 2 / (a * a + 1), [A]),
    "remainder": (
        lambda lib, a, b: (
            a % 0.7,
            a % -0.7,
            2 % lib.tensor([0.7, -0.7]),
            (3 * a) % b,
            lib.remainder(a, b[0]),
            a.remainder(b),
        ),
        [A, B],
    ),
    "pow number": (lambda lib, a: a**3 + a**2 + a**1 + a**0, [A]),
    "pow tensor": (lambda lib, a, b: (a * a + 0.5) ** b, [A, (4,)]),
    "pow reflected": (lambda lib, a: 2.0**a, [A]),
    "neg": (lambda lib, a: -a, [A]),
    "matmul": (lambda lib, a, b: a @ b, [(3, 4), (4, 5)]),
    "matmul batched": (lambda lib, a, b: a @ b, [(2, 3, 4), (2, 4, 5)]),
    "matmul broadcast": (lambda lib, a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)]),
    "matmul by a matrix": (lambda lib, a, b: a @ b, [(2, 5, 3, 4), (4, 2)]),
    "matmul vector left": (lambda lib, a, b: a @ b, [(4,), (2, 4, 5)]),
    "matmul vector right": (lambda lib, a, b: a @ b, [(2, 3, 4), (4,)]),
    "matmul vectors": (lambda lib, a, b: a @ b, [(4,), (4,)]),
    "matmul empty": (lambda lib, a, b: a @ b, [(0, 4), (4, 5)]),
    "mm bmm dot outer": (
        lambda lib, a, b, c: (a.mm(b), lib.bmm(c, c.transpose(1, 2)), a[0].dot(b[:, 0]), lib.outer(a[0], b[0])),
        [(3, 4), (4, 5), (2, 3, 4)],
    ),
    "exp": (lambda lib, a: a.exp(), [A]),
    "expm1 log1p": (lambda lib, a: lib.log1p(lib.expm1(a).exp()), [A]),
    "log": (lambda lib, a: (a * a + 0.1).log(), [A]),
    "sqrt rsqrt": (lambda lib, a: (a * a + 0.1).sqrt() + (a * a + 0.1).rsqrt(), [A]),
    "reciprocal square": (lambda lib, a: (a.square() + 1).reciprocal(), [A]),
    "sin cos": (lambda lib, a: lib.sin(a) * lib.cos(a), [A]),
    "tanh sigmoid": (lambda lib, a: a.tanh() + lib.sigmoid(a), [A]),
    "erf": (lambda lib, a: lib.erf(a), [A]),
    "abs": (lambda lib, a: a.abs(), [A]),
    "maximum minimum": (lambda lib, a, b: lib.maximum(a, b) - lib.minimum(a, b) * 2, [A, B]),
    "clamp": (lambda lib, a: a.clamp(-0.5, 0.7) + a.clamp(min=0.1) + lib.clamp(a, max=0.2), [A]),
    "where": (lambda lib, a, b: lib.where(a > b, a, b * 2), [A, (4,)]),
    "sum": (lambda lib, a: a.sum(), [A]),
    "sum dim": (lambda lib, a: (a.sum(0), a.sum(-1, keepdim=True), a.sum((0, 2))), [(2, 3, 4)]),
    "mean": (lambda lib, a: (a.mean(), a.mean(1), a.mean((0, 1), keepdim=True)), [(2, 3, 4)]),
    "var std": (lambda lib, a: (a.var(), a.var(1), a.var(1, unbiased=False), a.std(0, keepdim=True)), [(3, 4)]),
    "var correction": (lambda lib, a: (lib.var(a, 0, correction=0), a.var(dim=(0, 1), correction=2)), [(3, 4)]),
    "amax amin": (lambda lib, a: (a.amax(), a.amax(1), a.amin((0, 1)), lib.amin(a, 0, keepdim=True)), [A]),
    "max min all": (lambda lib, a: a.max() - a.min(), [A]),
    "max dim": (lambda lib, a: (*a.max(1), *a.min(0, keepdim=True), *lib.max(a, -1)), [A]),
    "argmax": (lambda lib, a: (a.argmax(), a.argmin(1), a.argmax(0, keepdim=True), (a * 0).argmax(1)), [A]),
    "prod": (lambda lib, a: (a.prod(), a.prod(1), a.prod(0, keepdim=True)), [A]),
    "diff": (lambda lib, a: (lib.diff(a), a.diff(2, 0, prepend=a[:1], append=a[1:])), [A]),
    "cumsum": (lambda lib, a: (a.cumsum(0), lib.cumsum(a, -1)), [A]),
    "logsumexp": (lambda lib, a: (a.logsumexp(1), lib.logsumexp(a * 50, (0, 1), keepdim=True)), [A]),
    "norm": (lambda lib, a: (a.norm(), a.norm(1, 0), a.norm(2, 1, keepdim=True), a.norm(3, 1)), [A]),
    "norm -inf 0 fro": (lambda lib, a: (a.norm(-float("inf"), 1), a.norm(0, 0), a.norm("fro"), a.norm(0)), [A]),
    "max min of two": (lambda lib, a, b: lib.max(a, b) + a.min(b), [A, B]),
    "clamp by tensors": (lambda lib, a, b, c: (a.clamp(b, c), a.clamp(min=c), a.clamp(max=b[0])), [A, B, (4,)]),
    "cat with nothing": (lambda lib, a: lib.cat([lib.zeros(0).to(a.dtype), a, a[:0]]), [A]),
    "reduce a number": (lambda lib, a: (a.sum(0), a.prod(0), a.cumsum(0), a.max(0)[0], a.amin(-1)), [()]),
    "norm inf": (lambda lib, a: a.norm(float("inf"), 1), [A]),
    "reshape": (lambda lib, a: (a.reshape(2, 6), a.reshape((-1,)), a.view(4, -1), lib.reshape(a, (12, 1))), [A]),
    "flatten": (
        lambda lib, a: (a.flatten(), a.flatten(1), a.flatten(0, 1), a.flatten(1).unflatten(1, (3, 4))),
        [(2, 3, 4)],
    ),
    "permute": (lambda lib, a: a.permute(2, 0, 1) * a.permute((-1, 0, 1)), [(2, 3, 4)]),
    "transpose": (lambda lib, a: (a.transpose(0, 2), a.mT, a[0].T, a[0].t(), a.swapaxes(-1, 0)), [(2, 3, 4)]),
    "squeeze": (lambda lib, a: (a.squeeze(), a.squeeze(1), a.squeeze(0), a.squeeze((1, 3))), [(2, 1, 3, 1)]),
    "unsqueeze": (lambda lib, a: (a.unsqueeze(0), a.unsqueeze(-1), lib.unsqueeze(a, 1)), [A]),
    "expand": (lambda lib, a: a.expand(2, 3, -1) * a.expand_as(a.expand(2, 3, 5)), [(1, 5)]),
    "repeat": (lambda lib, a: a.repeat(2, 1, 3), [A]),
    "cat": (lambda lib, a, b: (lib.cat([a, b, a]), lib.cat((a[:, :2], b), dim=-1)), [A, B]),
    "stack": (lambda lib, a, b: (lib.stack([a, b]), lib.stack((a, b, a), dim=-1)), [A, B]),
    "split": (lambda lib, a: (*a.split(2, dim=1), *lib.split(a, [1, 2], 0), *a.chunk(3, 1), *lib.unbind(a)), [(3, 5)]),
    "flip": (lambda lib, a: (a.flip(0), lib.flip(a, (0, 1))), [A]),
    "clone contiguous": (lambda lib, a: a.T.clone() + a.T.contiguous(), [A]),
    "index int": (lambda lib, a: (a[1], a[-1, 2], a[..., 0]), [(3, 4)]),
    "index slice": (lambda lib, a: (a[1:], a[:, ::2], a[None, 1:2], a[..., 1:, :]), [(2, 3, 4)]),
    "index array": (lambda lib, a: (a[[0, 2, 2]], a[:, [1, 1]], a[[0, 1], [2, 2]]), [A]),
    "index tensor": (lambda lib, a: a[lib.tensor([[0, 1], [1, 1]])], [A]),
    "index number and array": (
        lambda lib, a: (a[0, :, [0, 2]], a[[1, 0], :, -1], a[0, [1, 2]], a[..., [0, 1], 1], a[1, None, :, [3]]),
        [(2, 3, 4)],
    ),
    "index mask": (lambda lib, a: (a[a > 0], a[(a > 0)[:, 0]]), [A]),
    "gather": (lambda lib, a: (a.gather(1, lib.tensor([[0, 0], [3, 1]])), lib.gather(a, 0, lib.tensor([[2, 2]]))), [A]),
    "index_select": (lambda lib, a: a.index_select(1, lib.tensor([3, 0, 3])), [A]),
    "masked_fill": (lambda lib, a: a.masked_fill(a > 0, -1.0), [A]),
    "reuse": (lambda lib, a: (a * 2 + a) * a.sum() - a.mean(0), [A]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SMOOTH)
def test_matches_torch(name, dtype):
    fn, shapes = SMOOTH[name]
    inputs = [random_input(s, dtype, seed=i) for i, s in enumerate(shapes)]
    assert_function_matches_torch(
        partial(fn, npnn), *inputs, torch_fn=partial(fn, torch), check_gradient=name != "argmax"
    )


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed"])
@pytest.mark.parametrize("name", ["mul", "matmul", "sum dim", "reshape", "tanh sigmoid", "index slice"])
def test_any_memory_order(name, layout):
    """The order of the elements in memory must not show in values or gradients."""
    fn, shapes = SMOOTH[name]
    inputs = [random_input(s, seed=i) for i, s in enumerate(shapes)]

    def relaid(x):
        if layout == "fortran":
            return np.asfortranarray(x)
        if layout == "strided":
            return np.repeat(x, 2, axis=-1)[..., ::2]
        return np.flip(np.flip(x, -1).copy(), -1)

    def run(arrays):
        tensors = [npnn.tensor(x, requires_grad=True) for x in arrays]
        outputs = fn(npnn, *tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        sum((y * y.detach().cos()).sum() for y in outputs).backward()
        return [y.array for y in outputs] + [t.grad.array for t in tensors]

    for plain, odd in zip(run(inputs), run([relaid(x) for x in inputs]), strict=True):
        np.testing.assert_allclose(odd, plain, rtol=1e-12)


OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod, "<": operator.lt,
    "==": operator.eq,
}  # fmt: skip
MIXED = [
    (a, b, op)
    for a in ["bool", "uint8", "int64", "float32", "float64"]
    for b in ["bool", "uint8", "int32", "int64", "float32", "float64", True, 2, 1.5]
    for op in ["+", "-", "*", "/", "%", "maximum", "<", "=="]
    # torch refuses to subtract booleans, and its maximum takes tensors only
    if not (op == "-" and (a == "bool" or b in ("bool", True))) and not (op == "maximum" and not isinstance(b, str))
    if not (op == "%" and a == "bool" and b in ("bool", True))
]


@requires_torch
@pytest.mark.parametrize("shapes", [((2,), (2,)), ((2,), ()), ((), (2,))])
@pytest.mark.parametrize(("a", "b", "op"), MIXED)
def test_result_dtype_is_torchs(a, b, shapes, op):
    """A mixed operation has torch's dtype, so that float32 work stays float32."""

    def make(lib, what, shape):
        if not isinstance(what, str):
            return what
        values = np.ones(shape, what)
        return lib.tensor(values) if lib is npnn else torch.from_numpy(values) if shape else torch.tensor(values)

    results = []
    for lib in (npnn, torch):
        x, y = make(lib, a, shapes[0]), make(lib, b, shapes[1])
        if op == "maximum":
            results.append(lib.maximum(x, y))
        else:
            results.append(OPERATORS[op](x, y))
    assert str(results[1].dtype) == str(results[0].dtype)
    assert results[0].tolist() == results[1].tolist()


@pytest.mark.parametrize("value", [np.float64(2), np.float32(2), np.int64(2), np.array(2.0)])
def test_numpy_numbers_do_not_widen(value):
    x = npnn.ones(3)
    for y in (x * value, value * x, x + value, x / value, value - x, x**value):
        assert isinstance(y, npnn.Tensor)
        assert y.dtype == npnn.float32


@requires_torch
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_reductions_of_integers(dtype):
    x = np.array([[1, 0, 3], [1, 1, 0]]).astype(dtype)
    fns = [lambda t: t.sum(), lambda t: t.sum(1), lambda t: t.prod(0), lambda t: t.cumsum(1), lambda t: t.exp(),
           lambda t: t / 2]  # fmt: skip
    if dtype != "uint8":  # for which torch, for history's sake, answers in uint8
        fns += [lambda t: t.any(1), lambda t: t.all(0)]
    for fn in fns:
        ours, theirs = fn(npnn.tensor(x)), fn(torch.from_numpy(x))
        assert str(theirs.dtype) == str(ours.dtype)
        np.testing.assert_allclose(ours.array, theirs.numpy(), rtol=1e-6)


@requires_torch
@pytest.mark.parametrize(
    ("a", "b"),
    [([5.0, -5.0, 0.0], 0.0), ([5.0, -5.0], float("inf")), ([float("inf"), float("nan")], 2.0), ([7, -7], [3, -3])],
)
def test_remainders_at_the_edges(a, b):
    for dtype in ("float32", "float64", "int64"):
        if dtype == "int64" and not isinstance(b, list):
            continue
        ours, theirs = (
            (lib.tensor(np.array(a, dtype)) % (lib.tensor(np.array(b, dtype)) if isinstance(b, list) else b))
            for lib in (npnn, torch)
        )
        np.testing.assert_array_equal(ours.array, theirs.numpy())
    x = npnn.tensor([5.0, -5.0])
    x %= 3
    x.remainder_(1.5)
    assert x.tolist() == [0.5, 1.0]


@requires_torch
def test_ties_and_kinks_follow_torch():
    x = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    cases = [
        lambda lib, a: (a.amax(1), a.max(), a.amin(0)),
        lambda lib, a: a.max(1).values,
        lambda lib, a: a.abs() + a.clamp(0, 1),
        lambda lib, a: lib.maximum(a, a * 1) + lib.minimum(a, a * 0),
        lambda lib, a: a.norm(dim=1),
        lambda lib, a: a.prod(1),
    ]
    for fn in cases:
        assert_function_matches_torch(partial(fn, npnn), x, torch_fn=partial(fn, torch), check_gradient=False)


def test_nan_is_passed_on():
    x = npnn.tensor([1.0, float("nan"), 0.5])
    for y in (
        x.max(),
        x.min(),
        x.amax(),
        x.sum(),
        x.mean(),
        npnn.maximum(x, 0 * x).sum(),
        x.clamp(0, 1).sum(),
        x.max(0)[0],
    ):
        assert np.isnan(y.item())


def test_huge_logits_stay_finite():
    x = npnn.tensor([1e30, -1e30, 0.0], requires_grad=True)
    y = x.logsumexp(0)
    y.backward()
    assert y.item() == np.float32(1e30)
    np.testing.assert_array_equal(x.grad.array, [1, 0, 0])


def test_logsumexp_of_nothing():
    assert npnn.zeros(0, 2).logsumexp(0).tolist() == [-np.inf, -np.inf]


def test_a_sigmoid_is_exact_where_it_is_small():
    for dtype, tolerance in (("float32", 3e-7), ("float64", 1e-15)):
        x = np.linspace(-80, 20, 1001).astype(dtype)
        expected = 1 / (1 + np.exp(-x.astype("float64")))
        np.testing.assert_allclose(npnn.sigmoid(npnn.tensor(x)).array, expected, rtol=tolerance)


def test_mean_of_nothing_is_nan_without_a_warning():
    x = npnn.zeros(0, 3, requires_grad=True)
    y = x.mean()
    y.backward()
    assert np.isnan(y.item())
    assert x.grad.shape == (0, 3)


BAD = {
    "matmul sizes": (lambda x: x @ x, ValueError, r"inner sizes 3 and 2 differ"),
    "matmul number": (lambda x: x @ 2, ValueError, "use \\* to multiply"),
    "reshape": (lambda x: x.reshape(5), ValueError, r"cannot reshape \(2, 3\)"),
    "expand": (lambda x: x.expand(4, 3), ValueError, "only axes of size 1"),
    "cat": (lambda x: npnn.cat([x, x.T]), ValueError, "must agree"),
    "cat nothing": (lambda x: npnn.cat([]), RuntimeError, "empty list"),
    "stack": (lambda x: npnn.stack([x, x.T]), ValueError, "one shape"),
    "dim": (lambda x: x.sum(2), IndexError, "expected -2 to 1, got 2"),
    "dim twice": (lambda x: x.sum((0, -2)), RuntimeError, "twice"),
    "permute": (lambda x: x.permute(0, 0), RuntimeError, "not an order"),
    "split": (lambda x: x.split([1, 1], 1), RuntimeError, "add up to 3"),
    "clamp": (lambda x: x.clamp(), RuntimeError, "min, max or both"),
    "max of nothing": (lambda x: x[:0].max(), RuntimeError, r"amax of nothing: the input has shape \(0, 3\)"),
    "max over nothing": (lambda x: x[:0].max(0), IndexError, r"max of nothing: .* \(0, 3\), dim=0"),
    "argmin of nothing": (lambda x: x[:0].argmin(), IndexError, "argmin of nothing"),
    "cumsum over all": (lambda x: x.cumsum(None), TypeError, "NoneType"),
    "prod over two": (lambda x: x.prod((0, 1)), TypeError, "tuple"),
    "matmul dtypes": (lambda x: x @ x.T.double(), RuntimeError, "@ of float32 and float64: cast one of them"),
    "matmul batches": (lambda x: x.expand(2, 2, 3) @ npnn.ones(5, 3, 1), RuntimeError, "batch axes do not broadcast"),
    "gather axis": (lambda x: x.gather(2, npnn.tensor([[0]])), IndexError, "expected -2 to 1, got 2"),
    "index_select below": (lambda x: x.index_select(0, npnn.tensor([-1])), IndexError, "from 0 to 1, got"),
    "index_select table": (lambda x: x.index_select(0, npnn.tensor([[0]])), IndexError, "row of indices"),
    "mask of integers": (lambda x: x.masked_fill(x.long(), 0.0), RuntimeError, "boolean mask, got int64"),
    "flip twice": (lambda x: x.flip(0, -2), RuntimeError, "twice"),
    "arange without end": (lambda x: npnn.arange(1, 5, 0), RuntimeError, "no step of 0 leads from 1 to 5"),
    "arange backwards": (lambda x: npnn.arange(5, 0), RuntimeError, "no step of 1"),
    "where": (lambda x: npnn.where(x, x, x), TypeError, "boolean"),
    "mean of integers": (lambda x: x.long().mean(), RuntimeError, "floating-point"),
    "remainder by 0": (lambda x: x.long() % 0, RuntimeError, "divided by 0"),
    "remainder of booleans": (lambda x: (x > 0) % (x > 0), NotImplementedError, "booleans"),
    "flatten number": (lambda x: x.sum().flatten(1), IndexError, "expected -1 to 0, got 1"),
    "unflatten": (
        lambda x: x.unflatten(1, (2, 2)),
        ValueError,
        r"\(2, 2\) does not multiply up to the size 3 of axis 1",
    ),
    "unflatten empty": (lambda x: x[:0].unflatten(1, (2, -1)), ValueError, "does not multiply up"),
    "index": (lambda x: x[5], IndexError, "out of bounds"),
    "gather": (lambda x: x.gather(1, npnn.tensor([[3], [0]])), IndexError, "0 to 2"),
    "item": (lambda x: x.item(), RuntimeError, "6 elements"),
    "complex": (lambda x: npnn.tensor(np.ones(2, complex)), TypeError, "complex128"),
    "text": (lambda x: x + "a", TypeError, "tensors hold"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_a_clear_error(name):
    fn, error, match = BAD[name]
    with pytest.raises(error, match=match):
        fn(npnn.ones(2, 3))


def test_gradcheck_over_a_long_composition():
    def fn(x, w):
        h = (x @ w).tanh()
        return (h / (1 + h.square().sum(1, keepdim=True))).logsumexp(0)

    assert gradcheck(fn, random_input((3, 4)), random_input((4, 2), seed=1))
