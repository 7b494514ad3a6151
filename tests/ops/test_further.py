"""Names that scripts use now and then, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import npnn

CASES: dict[str, Any] = {
    "as_strided": lambda m, x: m.as_strided(x * x, (3, 2, 2), (4, 1, 2)),
    "as_strided that overlaps": lambda m, x: (x * x).as_strided((5, 3), (2, 1), 1),
    "adjoint": lambda m, x: (x * x).adjoint(),
    "atleast_3d": lambda m, x: m.atleast_3d(x * x),
    "dstack": lambda m, x: m.dstack([x, x * x]),
    "dsplit": lambda m, x: m.dsplit(x.reshape(2, 2, 3) ** 2, [1])[1],
    "real": lambda m, x: m.real(x * x),
    "conj": lambda m, x: (x * x).conj(),
    "select_scatter": lambda m, x: (x * x).select_scatter(x[:, 1] ** 3, 1, -1),
    "slice_scatter": lambda m, x: m.slice_scatter(x * x, x[:, :2] ** 3, 1, 0, 4, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    torch = pytest.importorskip("torch")
    values, results = np.random.default_rng(0).normal(size=(3, 4)), []
    for m in (npnn, torch):
        x = m.tensor(values).requires_grad_()
        y = CASES[name](m, x)
        y.backward(m.tensor(np.random.default_rng(1).normal(size=tuple(y.shape))))
        results.append((y.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    leaf = npnn.tensor(values).requires_grad_()
    assert npnn.autograd.gradgradcheck(lambda x: CASES[name](npnn, x), leaf)


@pytest.mark.parametrize("f", [
    lambda m: m.bitwise_left_shift(m.tensor([1, 2, 3]), m.tensor([1, 2, 3])),
    lambda m: m.tensor([-9, 9]) >> 1, lambda m: m.tensor([9], dtype=m.uint8) << 2, lambda m: 1 << m.tensor([1, 5]),
    lambda m: m.tensor([8]).bitwise_right_shift_(2),
    lambda m: m.hann_window(7), lambda m: m.hann_window(7, periodic=False), lambda m: m.hann_window(1),
    lambda m: m.hamming_window(6, dtype=m.float64), lambda m: m.hamming_window(6, False, 0.5, 0.5),
    lambda m: m.stack(m.unravel_index(m.tensor([[3, 7], [0, 11]]), (3, 4))),
    lambda m: m.frombuffer(bytearray(b"abcdefgh"), dtype=m.int16, count=2, offset=2),
])  # fmt: skip
def test_values(f):
    torch = pytest.importorskip("torch")
    ours, theirs = f(npnn), f(torch)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


def test_questions_about_dtypes_and_sizes():
    torch = pytest.importorskip("torch")
    kinds = "float32 float64 int64 int32 uint8 bool".split()
    for a in kinds:
        for b in kinds:
            assert str(npnn.promote_types(getattr(npnn, a), getattr(npnn, b))) == str(
                torch.promote_types(getattr(torch, a), getattr(torch, b))
            )
            assert npnn.can_cast(getattr(npnn, a), getattr(npnn, b)) == torch.can_cast(
                getattr(torch, a), getattr(torch, b)
            )
        assert npnn.ones(1, dtype=getattr(npnn, a)).is_signed() == torch.ones(1, dtype=getattr(torch, a)).is_signed()
    x = npnn.ones(2, 3)
    assert not npnn.is_complex(x)
    assert x.is_same_size(npnn.zeros(2, 3))
    assert not npnn.is_same_size(x, npnn.zeros(3, 2))
    assert npnn.is_nonzero(npnn.tensor([2.0]))
    assert not npnn.tensor(0).is_nonzero()


@pytest.mark.parametrize(("f", "message"), [
    (lambda x: x.as_strided((3, 3), (4, 1), 5), "out of bounds"),
    (lambda x: x.t().as_strided((2,), (1,)), "contiguous"),
    (lambda x: x.is_nonzero(), "ambiguous"),
    (lambda x: x.select_scatter(x, 0, 1), "size equal to the slice"),
    (lambda x: npnn.dsplit(x, 1), "at least 3"),
])  # fmt: skip
def test_what_does_not_fit(f, message):
    with pytest.raises(RuntimeError, match=message):
        f(npnn.ones(3, 4))


# ---- NumPy's functions of tensors


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # PyTorch, of NumPy 2
def test_numpys_functions_take_tensors():
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).uniform(0.2, 0.9, (2, 3)).astype(np.float32)
    names = "sqrt exp log sin arctan absolute floor rint sign square tanh negative reciprocal arccos cbrt".split()
    for name in names:
        ours, theirs = (getattr(np, name)(m.tensor(values)) for m in (npnn, torch))
        assert type(ours) is npnn.Tensor
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    for name in "add subtract multiply divide maximum minimum power greater equal arctan2 hypot fmod logaddexp".split():
        for pair in ((npnn.tensor(values), values[::-1]), (values, npnn.tensor(values)), (npnn.tensor(values), 0.5)):
            ours, theirs = getattr(np, name)(*pair), getattr(np, name)(*[np.asarray(x) for x in pair])
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, err_msg=name)


def test_numpys_functions_are_in_the_graph():
    x = npnn.tensor([0.5, 2.0], requires_grad=True)
    (np.exp(x) * np.ones(2, np.float32) + np.float32(2) * np.maximum(x, 1)).sum().backward()
    np.testing.assert_allclose(x.grad, np.exp([0.5, 2.0]) + [0, 2], rtol=1e-6)
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.cbrt(x)


def test_an_array_changed_by_a_tensor_stays_an_array():
    a = np.ones(2)
    a += npnn.tensor([1.0, 2.0])
    assert type(a) is np.ndarray
    np.testing.assert_array_equal(a, [2, 3])
    x = npnn.zeros(2)
    np.add(a, 1, out=x.array)
    np.multiply(x, 2, out=x)
    np.testing.assert_array_equal(x, [6, 8])
    np.testing.assert_array_equal(np.add.reduce(npnn.tensor([1.0, 2.0])), 3)
