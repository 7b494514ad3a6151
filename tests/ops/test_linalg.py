"""torch.linalg: values and gradients on random batches of matrices, beside torch and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from npnn.testing import gradcheck
from tests.parity import torch

RNG = np.random.default_rng(0)
SHAPES = [(3, 3), (2, 4, 4), (2, 1, 5, 5), (1, 1)]


def square(shape):
    return RNG.standard_normal(shape) + 2 * np.eye(shape[-1])


def definite(shape):
    A = square(shape)
    return A @ np.swapaxes(A, -1, -2) + np.eye(shape[-1])


def symmetric(lib, A):
    return (A + A.mT) / 2


# of a square matrix; what is not unique (the signs of vectors) is made so
SQUARE = {
    "inv": lambda lib, A: lib.linalg.inv(A),
    "inverse": lambda lib, A: lib.inverse(A),
    "det": lambda lib, A: lib.linalg.det(A),
    "slogdet": lambda lib, A: lib.linalg.slogdet(A)[1],
    "logdet": lambda lib, A: lib.logdet(A @ A.mT),
    "solve": lambda lib, A: lib.linalg.solve(A, A[..., :2] + 1),
    "solve from the right": lambda lib, A: lib.linalg.solve(A, A[..., :1, :] + 1, left=False),
    "solve a vector": lambda lib, A: lib.linalg.solve(A, A[..., 0] + 1),
    "matrix_power": lambda lib, A: lib.linalg.matrix_power(A, 3) + lib.matrix_power(A, -2) + lib.linalg.matrix_power(A, 0),
    "cholesky": lambda lib, A: lib.linalg.cholesky(symmetric(lib, A @ A.mT)),
    "cholesky, upper": lambda lib, A: lib.linalg.cholesky(symmetric(lib, A @ A.mT), upper=True),
    "eigh": lambda lib, A: (lambda e: (e[1] * e[0].sin().unsqueeze(-2)) @ e[1].mT)(lib.linalg.eigh(symmetric(lib, A))),
    "eigvalsh": lambda lib, A: lib.linalg.eigvalsh(symmetric(lib, A), UPLO="U"),
    "cond": lambda lib, A: lib.linalg.cond(A) + lib.linalg.cond(A, -2),
    "multi_dot": lambda lib, A: lib.linalg.multi_dot([A.reshape(-1)[:1] + 1, A[..., :1, :].reshape(-1, A.shape[-1])[:1]]),
    "cross, vecdot": lambda lib, A: lib.linalg.vecdot(A, A.mT, dim=-2) + lib.linalg.diagonal(A, offset=0),
}  # fmt: skip
# of a matrix of any shape
ANY = {
    "svdvals": lambda lib, A: lib.linalg.svdvals(A),
    "svd": lambda lib, A: (lambda d: (d[0] * d[1].sin().unsqueeze(-2)) @ d[2])(lib.linalg.svd(A, full_matrices=False)),
    "pinv": lambda lib, A: lib.linalg.pinv(A),
    "norms": lambda lib, A: sum(lib.linalg.matrix_norm(A, p) for p in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    "norm": lambda lib, A: (
        lib.linalg.norm(A) + lib.linalg.norm(A, 3, dim=-1).sum() + lib.linalg.norm(A, 1, dim=(-1, -2)).sum()
    ),
    "norm, kept": lambda lib, A: (
        lib.linalg.norm(A, "nuc", dim=(-2, -1), keepdim=True) + lib.linalg.norm(A, 2, (-2, -1), True)
    ),
    "vector_norm": lambda lib, A: lib.linalg.vector_norm(A, 3, dim=-1) + lib.linalg.vector_norm(A, np.inf, dim=-1),
    "lstsq": lambda lib, A: lib.linalg.lstsq(A, A[..., :2] + 1).solution,
}
TALL = {"qr": lambda lib, A: (lambda d: d[0] @ d[1].sin())(signed(lib, *lib.linalg.qr(A)))}


def signed(lib, Q, R):
    """The decomposition whose R has a positive diagonal."""
    s = lib.linalg.diagonal(R).sign().unsqueeze(-1)
    return Q * s.mT, R * s


def agree(function, A):
    """By finite differences, and with torch's values and gradients where it is there."""
    gradcheck(lambda x: function(npnn, x), A, rtol=1e-5)
    if torch is None:
        return
    x, y = npnn.tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    ours, theirs = function(npnn, x), function(torch, y)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-9)
    dy = np.random.default_rng(5).standard_normal(tuple(ours.shape))
    (ours * npnn.tensor(dy)).sum().backward()
    (theirs * torch.tensor(dy)).sum().backward()
    scale = 1 + np.abs(y.grad.numpy()).max()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-7, atol=1e-8 * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SQUARE)
def test_square(name, shape):
    agree(SQUARE[name], definite(shape))


@pytest.mark.parametrize("shape", [*SHAPES, (4, 2), (3, 5), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("name", ANY)
def test_any(name, shape):
    agree(ANY[name], RNG.standard_normal(shape))


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 4, 3)], ids=str)
@pytest.mark.parametrize("name", TALL)
def test_tall(name, shape):
    agree(TALL[name], RNG.standard_normal(shape))


def test_the_gradient_of_a_singular_determinant():
    """Its cofactors, which are not 0; torch divides by what rounding left, and has 0."""
    gradcheck(npnn.det, np.ones((3, 3)) + np.diag([1.0, 0, 0]))


def test_a_condition_number_in_another_norm():
    A = definite((4, 4))
    for p in ("fro", 1, np.inf):
        assert npnn.linalg.cond(npnn.tensor(A), p).item() == pytest.approx(np.linalg.cond(A, p))


def test_full_matrices_of_svd_are_orthogonal():
    for shape in ((5, 3), (2, 3, 5)):
        U, S, Vh = npnn.linalg.svd(npnn.tensor(RNG.standard_normal(shape)))
        for a in (U, Vh):
            np.testing.assert_allclose((a @ a.mT).numpy(), np.broadcast_to(np.eye(a.shape[-1]), a.shape), atol=1e-12)
        assert S.shape[-1] == 3


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -2, np.inf])
def test_a_norm_in_another_dtype(ord):
    A = npnn.tensor(RNG.standard_normal((3, 3)).astype(np.float32))
    found = npnn.linalg.matrix_norm(A, ord, dtype=npnn.float64)
    assert found.dtype == npnn.float64
    assert found.item() == pytest.approx(npnn.linalg.matrix_norm(A.double(), ord).item(), rel=1e-12)


def test_equations_of_one_matrix_and_many_right_sides():
    A, b = definite((3, 3)), RNG.standard_normal((5, 3, 2))
    gradcheck(npnn.linalg.solve, A, b, rtol=1e-5)
    gradcheck(npnn.linalg.solve, definite((5, 3, 3)), b[0], rtol=1e-5)


def test_rank_and_least_squares():
    A = RNG.standard_normal((5, 2)) @ RNG.standard_normal((2, 3))
    assert npnn.linalg.matrix_rank(npnn.tensor(A)).item() == 2
    B = RNG.standard_normal((5, 1))
    found = npnn.linalg.lstsq(npnn.tensor(A), npnn.tensor(B), driver="gelsd")
    solution, _, rank, values = np.linalg.lstsq(A, B, rcond=None)
    np.testing.assert_allclose(found.solution.numpy(), solution, atol=1e-10)
    np.testing.assert_allclose(found.singular_values.numpy(), values, atol=1e-10)
    assert found.rank.item() == rank
    full = npnn.linalg.lstsq(npnn.tensor(A[:, :2]), npnn.tensor(B))
    np.testing.assert_allclose(full.residuals.numpy(), np.linalg.lstsq(A[:, :2], B, rcond=None)[1], atol=1e-10)


def test_what_has_no_answer_is_told():
    L = npnn.linalg
    for call in (lambda: L.inv(npnn.zeros(2, 2)), lambda: L.solve(npnn.zeros(2, 2), npnn.ones(2))):
        with pytest.raises(L.LinAlgError, match="singular"):
            call()
    with pytest.raises(L.LinAlgError, match="not positive-definite"):
        L.cholesky(-npnn.eye(2))
    with pytest.raises(ShapeError, match="needs square matrices"):
        L.det(npnn.ones(2, 3))
    with pytest.raises(ShapeError, match="at least two"):
        L.multi_dot([npnn.ones(2, 2)])
    with pytest.raises(RuntimeError, match="Order 3 not supported"):
        L.matrix_norm(npnn.ones(2, 2), 3)
    with pytest.raises(ValueError, match="mode must be"):
        L.qr(npnn.ones(2, 2), "complete")


@pytest.mark.skipif(torch is None, reason="needs torch")
@pytest.mark.parametrize("name", ["slogdet", "eigh", "svd", "qr"])
def test_results_print_as_in_torch(name):
    A = np.array([[2.0, 1], [1, 3]])
    assert repr(getattr(npnn.linalg, name)(npnn.tensor(A))) == repr(getattr(torch.linalg, name)(torch.tensor(A)))


@pytest.mark.skipif(torch is None, reason="needs torch")
def test_every_name_is_one_of_torch():
    own = {"Eigen", "LeastSquares", "Orthogonal", "SignAndLog", "Singular"}
    assert [name for name in set(npnn.linalg.__all__) - own if not hasattr(torch.linalg, name)] == []
