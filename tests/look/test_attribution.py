"""Why this answer: each method against its formula, against captum, and in both frameworks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from npnn import look, nn
from npnn.generator import Generator
from npnn.look.attribution import enlarged, scores_of
from tests.look.networks import SEEDS, SHAPE, chain, pictures, residual, same, twins
from tests.parity import torch

try:
    from captum import attr
except ImportError:
    attr = None

METHODS = {
    "gradient": look.gradient,
    "smooth_grad": lambda m, x, t: look.smooth_grad(m, x, t, count=4),
    "integrated_gradients": look.integrated_gradients,
    "grad_cam": look.grad_cam,
    "guided_backprop": look.guided_backprop,
    "guided_grad_cam": look.guided_grad_cam,
    "occlusion": lambda m, x, t: look.occlusion(m, x, t, size=5, stride=3),
}


@SEEDS
@pytest.mark.parametrize("method", METHODS)
def test_both_frameworks_give_one_map(method, seed):
    x = pictures(3, seed)
    same([METHODS[method](model, x, [0, 3, 1]) for model in twins(chain, seed)])


@SEEDS
def test_the_gradient_is_the_slope_of_the_score(seed):
    model, x = chain(nn, seed, act="Tanh").double().eval(), pictures(2, seed).astype(np.float64)
    direction = np.random.default_rng(seed).normal(size=x.shape)
    found = (look.gradient(model, x, 2) * direction).sum(axis=(1, 2, 3))
    ahead, behind = (scores_of(model, x + s * 1e-6 * direction, 2)[1] for s in (1, -1))
    np.testing.assert_allclose(found, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-6)


@SEEDS
def test_integrated_gradients_share_out_the_difference_of_the_scores(seed):
    x, base = pictures(3, seed), pictures(3, seed + 50)
    for model in twins(chain, seed, act="Tanh") + twins(chain, seed):
        found = look.integrated_gradients(model, x, [0, 1, 2], base)
        change = scores_of(model, x, [0, 1, 2])[1] - scores_of(model, base, [0, 1, 2])[1]
        np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), change, atol=1e-3)


def test_a_linear_network_answers_with_its_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
    x = pictures(2, shape=(3, 4, 4))
    weight = model[1].weight.detach().numpy().reshape(4, 3, 4, 4)
    np.testing.assert_allclose(look.gradient(model, x, [1, 3]), weight[[1, 3]], rtol=1e-5)
    np.testing.assert_allclose(look.integrated_gradients(model, x, [1, 3]), x * weight[[1, 3]], rtol=1e-4, atol=1e-6)
    covered = look.occlusion(model, x, [1, 3], size=1, stride=1)
    np.testing.assert_allclose(covered, (x * weight[[1, 3]]).sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-5)


@SEEDS
def test_occlusion_by_brute_force(seed):
    model, x = chain(nn, seed), pictures(1, seed)
    size, stride = [(5, 2), (3, 3), (4, 1), (7, 5), (16, 4), (20, 3)][seed]
    before = scores_of(model, x, 1)[1]
    falls, covers = np.zeros(SHAPE[1:]), np.zeros(SHAPE[1:])
    top = 0
    while True:
        left = 0
        while True:
            covered = x.copy()
            covered[:, :, top : top + size, left : left + size] = 0
            falls[top : top + size, left : left + size] += before - scores_of(model, covered, 1)[1]
            covers[top : top + size, left : left + size] += 1
            if left + size >= SHAPE[2]:
                break
            left += stride
        if top + size >= SHAPE[1]:
            break
        top += stride
    np.testing.assert_allclose(look.occlusion(model, x, 1, size, stride)[0, 0], falls / covers, rtol=1e-4, atol=1e-5)


def test_smooth_grad_is_the_mean_over_noisy_pictures():
    model, x = chain(nn, 2), pictures(2)
    found = look.smooth_grad(model, x, [1, 2], count=3, noise=0.2, seed=5)
    generator = Generator().manual_seed(5)
    size = 0.2 * (x.max(axis=(1, 2, 3)) - x.min(axis=(1, 2, 3)))[:, None, None, None]
    noisy = [x + size * generator.randn(*x.shape) for _ in range(3)]
    np.testing.assert_allclose(found, np.mean([look.gradient(model, n, [1, 2]) for n in noisy], axis=0), rtol=1e-4,
                               atol=1e-6)  # fmt: skip


@pytest.mark.skipif(attr is None, reason="captum is not installed")
@SEEDS
def test_captum_says_the_same(seed):
    ours, theirs = twins(chain, seed)
    theirs.eval()
    x, classes = pictures(3, seed), [0, 3, 1]
    warnings.simplefilter("ignore")  # captum's: it sets requires_grad, and its hooks on ReLU
    at, target = torch.from_numpy(x).requires_grad_(), torch.tensor(classes)
    last = look.subject(theirs).find(-1, ("Conv2d",)).module
    cam = attr.LayerGradCam(theirs, last).attribute(at, target, relu_attributions=True)
    expected = {
        "gradient": attr.Saliency(theirs).attribute(at, target, abs=False),
        "integrated_gradients": attr.IntegratedGradients(theirs).attribute(at, target=target, n_steps=50),
        "grad_cam": cam,
        "guided_backprop": attr.GuidedBackprop(theirs).attribute(at, target),
        "guided_grad_cam": attr.GuidedGradCam(theirs, last).attribute(at, target),
        "occlusion": attr.Occlusion(theirs).attribute(at, (3, 5, 5), (3, 3, 3), target=target)[:, :1],
    }
    methods = {**METHODS, "integrated_gradients": lambda m, x, t: look.integrated_gradients(m, x, t, tolerance=None)}
    for name, want in expected.items():
        found = methods[name](ours, x, classes)
        np.testing.assert_allclose(found, want.detach().numpy(), rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "grad_cam", "occlusion"])
def test_other_weights_give_another_map(method):
    """The sanity check of Adebayo and others (2018): weights shuffled from the top down change the map more and more."""
    model, x = chain(nn, 3), pictures(8)
    before = METHODS[method](model, x, 1)
    rng = np.random.default_rng(0)
    alike = []
    for layer in reversed(look.subject(model).of_kind("Conv2d", "Linear")):
        weight = layer.module.weight
        shuffled = rng.permutation(weight.detach().numpy().ravel()).reshape(weight.shape)
        weight.data.copy_(nn.Parameter(shuffled).detach())
        after = METHODS[method](model, x, 1)
        alike.append(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(before, after, strict=True)
                              if a.std() and b.std()] or [0.0]))  # fmt: skip
    assert alike[0] < 0.95
    assert abs(alike[-1]) < 0.5


def test_maps_are_enlarged_by_repeating():
    maps = np.arange(6.0).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(enlarged(maps, (4, 6))[0, 0], maps[0, 0].repeat(2, axis=0).repeat(2, axis=1))
    assert enlarged(maps, (5, 7)).shape == (1, 1, 5, 7)


def test_bad_questions():
    model = chain(nn, 0)
    with pytest.raises(ValueError, match=r"has the classes 0 to 4, not \[7\]"):
        look.gradient(model, pictures(1), 7)
    with pytest.raises(ValueError, match="expected pictures"):
        look.gradient(model, np.ones((4, 5)))
    with pytest.raises(ValueError, match="no layer of the kind Conv2d"):
        look.grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), pictures(1))
    with pytest.raises(ValueError, match="need layers of the kind ReLU"):
        look.guided_backprop(chain(nn, 0, act="GELU"), pictures(1))
    with pytest.raises(ValueError, match="expected scores"):
        look.gradient(nn.Conv2d(3, 2, 3), pictures(1))
    assert look.grad_cam(residual(nn), pictures(2)).shape == (2, 1, 16, 16)
    assert look.gradient(model, pictures(1)[0]).shape == (1, *SHAPE)
