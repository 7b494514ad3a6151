"""grid_sample and affine_grid beside PyTorch's: every mode, places far outside, two and three axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError

F = npnn.nn.functional
HOW = [
    (dims, mode, padding, align)
    for dims, mode, padding, align in itertools.product(
        (2, 3), ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)
    )
    if not (dims == 3 and mode == "bicubic")
]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_grid_sample(how):
    torch = pytest.importorskip("torch")
    dims, mode, padding, align = how
    r = np.random.default_rng(HOW.index(how))
    x = r.normal(size=(2, 3, *r.integers(2, 7, dims)))
    grid = r.uniform(-2.7, 2.7, (2, *r.integers(1, 6, dims), dims))
    cotangent, results = r.normal(size=(2, 3, *grid.shape[1:-1])), []
    for m in (npnn, torch):
        leaves = [m.tensor(v).requires_grad_() for v in (x, grid)]
        y = m.nn.functional.grid_sample(*leaves, mode=mode, padding_mode=padding, align_corners=align)
        y.backward(m.tensor(cotangent))
        gradient = leaves[1].grad
        results.append(
            [y.detach().numpy(), leaves[0].grad.numpy(), np.zeros(grid.shape) if gradient is None else gradient.numpy()]
        )
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Since version")  # PyTorch, of axes of one pixel
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 1, 1, 3), (2, 3, 4, 1, 5)])
def test_affine_grid(size, align):
    torch = pytest.importorskip("torch")
    dims = len(size) - 2
    theta, results = np.random.default_rng(0).normal(size=(size[0], dims, dims + 1)), []
    for m in (npnn, torch):
        leaf = m.tensor(theta).requires_grad_()
        y = m.nn.functional.affine_grid(leaf, size, align_corners=align)
        (y**2).sum().backward()
        results.append([y.detach().numpy(), leaf.grad.numpy()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_identity_gives_the_image_and_the_gradient_of_its_gradient_is_right():
    x = npnn.rand(2, 3, 4, 5).double()
    theta = npnn.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2).double()
    grid = F.affine_grid(theta, x.shape, align_corners=True)
    np.testing.assert_allclose(F.grid_sample(x, grid, align_corners=True), x, atol=1e-12)
    leaves = x.requires_grad_(), (grid * 0.7 + 0.0437).requires_grad_()
    assert npnn.autograd.gradgradcheck(lambda x, g: F.grid_sample(x, g, align_corners=False) ** 2, leaves)


@pytest.mark.parametrize(("shapes", "message"), [
    (((2, 3, 4), (2, 3, 3, 2)), "do not go together"),
    (((2, 3, 4, 4), (1, 3, 3, 2)), "do not go together"),
    (((2, 3, 4, 4), (2, 3, 3, 3)), "do not go together"),
    (((2, 3, 0, 4), (2, 3, 3, 2)), "with pixels"),
])  # fmt: skip
def test_what_does_not_fit(shapes, message):
    x, grid = (npnn.zeros(s) for s in shapes)
    with pytest.raises(ShapeError, match=message):
        F.grid_sample(x, grid, align_corners=True)


def test_other_modes_are_refused():
    x, grid = npnn.zeros(1, 1, 2, 2, 2), npnn.zeros(1, 1, 1, 1, 3)
    for options in ({"mode": "bicubic"}, {"mode": "linear"}, {"padding_mode": "wrap"}):
        with pytest.raises(ValueError, match="must be"):
            F.grid_sample(x, grid, align_corners=True, **options)
    with pytest.raises(ShapeError, match="affine_grid"):
        F.affine_grid(npnn.zeros(1, 2, 2), (1, 1, 2, 2), True)


@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_corners_are_not_aligned_unless_asked_for() -> Any:
    with pytest.warns(UserWarning, match="align_corners"):
        F.grid_sample(npnn.zeros(1, 1, 2, 2), npnn.zeros(1, 1, 1, 2))
