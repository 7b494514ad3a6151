"""Kernels, receptive fields, patches, pictures made for a unit, and maps: against formulas and by brute force."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from npnn import look, nn
from tests.look.networks import SEEDS, SHAPE, chain, pictures, residual, same, twins
from tests.parity import requires_torch, torch

# ---- kernels


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda nn: nn.Conv2d(3, 8, (3, 5)), (8, 3, 3, 5)),
        (lambda nn: nn.Conv2d(1, 8, 3), (8, 1, 3, 3)),
        (lambda nn: nn.Conv2d(8, 8, 3, groups=4), (8, 2, 3, 3)),
        (lambda nn: nn.Conv1d(4, 6, 5), (6, 4, 1, 5)),
        (lambda nn: nn.ConvTranspose2d(4, 6, 3), (6, 4, 3, 3)),
        (lambda nn: nn.ConvTranspose2d(4, 6, 3, groups=2), (6, 2, 3, 3)),
        (lambda nn: nn.Linear(48, 5), (5, 3, 4, 4)),
    ],
)
def test_kernels_of_any_convolution(make, shape):
    found = [look.kernels(model, shape=(3, 4, 4) if shape == (5, 3, 4, 4) else None) for model in twins(make)]
    for one in found:
        assert one.weight.shape == shape
        assert sorted(one.order) == list(range(shape[0]))
        np.testing.assert_allclose(one.norms, [np.linalg.norm(w) for w in one.weight])
        assert not one.dead.any()
    same([one.pictures for one in found])
    same([one.response for one in found])


@requires_torch
def test_kernels_over_volumes_are_slices_side_by_side():
    layer = torch.nn.Conv3d(2, 6, (2, 3, 3))
    found = look.kernels(layer)
    np.testing.assert_allclose(found.weight.reshape(6, 2, 2, 3, 3), layer.weight.detach().numpy())


def test_a_transposed_convolution_is_seen_from_its_outputs():
    """Kernel o, channel i: what one value of input i puts into output o."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False)
    found = look.kernels(layer)
    for i in range(4):
        x = np.zeros((1, 4, 1, 1), np.float32)
        x[0, i] = 1
        y = look.subject(layer).outputs(x)[0]  # (6, 3, 3)
        group = i // 2
        for o in range(6):
            want = found.weight[o, i % 2] if o // 3 == group else np.zeros((3, 3))
            np.testing.assert_allclose(y[o], want, atol=1e-6)


def test_what_a_kernel_lets_through_is_the_size_of_its_answer_to_a_wave():
    layer = nn.Conv2d(2, 3, 3, bias=False)
    found = look.kernels(layer)
    for row, column in ((16, 16), (16, 24), (3, 29), (0, 0)):
        f = np.array([row - 16, column - 16]) / 32  # cycles a pixel
        i, j = np.mgrid[:3, :3]
        wave = np.exp(-2j * np.pi * (f[0] * i + f[1] * j))
        answer = np.abs((found.weight * wave).sum(axis=(2, 3)))  # (3, 2)
        np.testing.assert_allclose(found.response[:, row, column], np.sqrt((answer**2).mean(axis=1)))


def test_neighbours_are_alike_and_dead_ones_are_told():
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(3, 12, 3)
    kinds = rng.normal(size=(3, 3, 3, 3))
    which = rng.permutation(np.arange(12) % 3)
    layer.weight.data[:] = nn.Parameter((kinds[which] * rng.uniform(1, 2, (12, 1, 1, 1))).astype("float32")).detach()
    sorted_kinds = which[look.kernels(layer).order]
    assert (np.diff(sorted_kinds) != 0).sum() == 2  # each kind in one stretch
    layer.weight.data[4] = 1e-4
    assert look.kernels(layer).dead.tolist() == [k == 4 for k in range(12)]


def test_the_main_directions_keep_what_they_say():
    layer = nn.Conv2d(8, 16, 3)
    rng = np.random.default_rng(0)
    three = rng.normal(size=(16, 3, 3, 3))
    mix = rng.normal(size=(3, 8))
    weights = np.einsum("okhw,kc->ochw", three, mix).astype("float32")
    layer.weight.data[:] = nn.Parameter(weights).detach()
    found = look.kernels(layer)
    assert found.explained == pytest.approx(1)
    np.testing.assert_allclose((found.pictures**2).sum(), (weights.astype(float) ** 2).sum(), rtol=1e-5)
    layer.weight.data[:] = nn.Parameter(rng.normal(size=weights.shape).astype("float32")).detach()
    assert 3 / 8 < look.kernels(layer).explained < 0.7


# ---- receptive fields


@pytest.mark.parametrize("seed", range(25))
def test_formula_and_gradient_agree_about_what_a_unit_sees(seed):
    rng = np.random.default_rng(seed)
    for model in twins(chain, seed, act=["ReLU", "Tanh", "GELU"][seed % 3]):
        net = look.subject(model)
        for layer in net.of_kind("Conv2d", "MaxPool2d", "AvgPool2d", "ReLU"):
            field = look.receptive_field(model, layer, SHAPE)
            h, w = net.answers(pictures(1), [layer])[layer.name].shape[2:]
            row, column = int(rng.integers(h)), int(rng.integers(w))
            top, bottom, left, right = field.box(row, column)
            inside = max(top, 0), min(bottom, SHAPE[1]), max(left, 0), min(right, SHAPE[2])
            measured = look.measured_field(model, layer, SHAPE, row, column)
            if not _skips(net) or (min(top, left) >= 0 and max(bottom, right) <= SHAPE[1]):
                assert measured == inside
            else:  # the first pixel inside the picture may be one that is skipped
                assert (np.array(measured) * [1, -1, 1, -1] >= np.array(inside) * [1, -1, 1, -1]).all()


def _skips(net):
    """True if a window has gaps: it is dilated, or its step is longer than it is."""
    modules = [layer.module for layer in net.of_kind("Conv2d")]
    return any(max(m.dilation) > 1 or m.stride[0] > m.kernel_size[0] for m in modules)


def test_a_network_that_is_no_chain_has_a_measured_field_only():
    for model in twins(residual):
        assert look.receptive_field(model, "act", SHAPE) is None
        assert look.measured_field(model, "act", SHAPE, 8, 8) == (6, 11, 6, 11)
        assert look.receptive_field(model, "stem", SHAPE) == look.Field((3, 3), (1, 1), (-1, -1))


def test_same_padding_and_the_whole_picture():
    model = nn.Sequential(nn.Conv2d(3, 2, 5, padding="same"), nn.Conv2d(2, 2, 3, padding="valid"))
    assert look.receptive_field(model, "1", SHAPE) == look.Field((7, 7), (1, 1), (-2, -2))
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"))
    assert look.receptive_field(model, "0", SHAPE) is None


# ---- patches


@SEEDS
def test_the_most_exciting_patches_are_those_of_all(seed):
    x, found = pictures(12, seed), []
    for model in twins(chain, seed):
        net = look.subject(model)
        layer = net.of_kind("Conv2d")[-1]
        patches = look.exciting(model, layer, x, labels=np.arange(12), units=[1, 3], count=4)
        maps = net.activations(x, [layer])[layer.name]
        for u, unit in enumerate((1, 3)):
            best = maps[:, unit].reshape(12, -1).max(axis=1)
            order = np.argsort(-best, kind="stable")[:4]
            assert patches.index[u].tolist() == order.tolist() == patches.classes[u].tolist()
            np.testing.assert_allclose(patches.scores[u], best[order])
            for k in range(4):
                top, bottom, left, right = patches.boxes[u, k]
                for i, j in np.ndindex(bottom - top, right - left):
                    y, z = top + i, left + j
                    inside = 0 <= y < SHAPE[1] and 0 <= z < SHAPE[2]
                    want = x[order[k], :, y, z] if inside else np.full(3, np.nan)
                    np.testing.assert_array_equal(patches.pictures[u, k, :, i, j].astype(np.float32), want)
        found.append(patches.scores)
    same(found)


@SEEDS
def test_a_patch_alone_excites_its_unit_as_the_whole_picture_does(seed):
    """What is cut away does not matter: all else may be anything."""
    model = chain(nn, seed).eval()
    net = look.subject(model)
    layer = net.of_kind("Conv2d")[-1]
    x = pictures(8, seed)
    patches = look.exciting(model, layer, x, units=[0], count=3)
    for k in range(3):
        top, bottom, left, right = np.clip(patches.boxes[0, k], 0, SHAPE[1])
        other = pictures(1, seed + 100)
        other[0, :, top:bottom, left:right] = x[patches.index[0, k], :, top:bottom, left:right]
        maps = net.activations(other, [layer])[layer.name][0, 0]
        assert np.isclose(maps, patches.scores[0, k], rtol=1e-4, atol=1e-5).any()


def test_units_without_a_place_see_all_and_wrong_ones_are_told():
    model = chain(nn, 0)
    net = look.subject(model)
    found = look.exciting(model, net.of_kind("Linear")[0], pictures(5), units=[0])
    assert found.pictures.shape[3:] == SHAPE[1:]
    with pytest.raises(ValueError, match=r"has the units 0 to 4, not \[7\]"):
        look.exciting(model, net.of_kind("Linear")[0], pictures(5), units=[7])


# ---- pictures that are made


@pytest.mark.parametrize("whole", [False, True])
def test_a_picture_made_for_a_unit_excites_it_more_than_all_data(whole):
    x, made = pictures(20), []
    for model in twins(chain, 3, act="Tanh"):
        net = look.subject(model)
        for layer in (net.of_kind("Conv2d")[-1], None):
            dream = look.visualize(model, layer, [0, 2], x, steps=60, whole=whole)
            name = "" if layer is None else layer.name
            values = net.activations(x, [] if layer is None else [layer])[name][:, [0, 2]]
            best = values if layer is None else values.mean(axis=(2, 3)) if whole else values.max(axis=(2, 3))
            assert (dream.scores > best.max(axis=0)).all()
            low, high = x.min(axis=(0, 2, 3)), x.max(axis=(0, 2, 3))
            assert (dream.pictures >= low[:, None, None] - 1e-5).all()
            assert (dream.pictures <= high[:, None, None] + 1e-5).all()
            again = net.activations(dream.pictures, [] if layer is None else [layer])[name]
            shown = again[[0, 1], [0, 2]]
            if layer is not None:
                shown = shown.mean(axis=(1, 2)) if whole else shown[:, shown.shape[1] // 2, shown.shape[2] // 2]
            np.testing.assert_allclose(dream.scores, shown, rtol=1e-4, atol=1e-4)
        made.append(dream.pictures)
    same(made, 1e-2, 1e-2)  # sixty steps of Adam


def test_one_seed_makes_one_picture():
    model, x = chain(nn, 1), pictures(5)
    first, again, other = (look.visualize(model, None, [1], x, steps=5, seed=s).pictures for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# ---- one picture


@SEEDS
def test_stages_are_what_the_layers_give_in_their_order(seed):
    x, lost = pictures(1, seed), []
    for model in twins(chain, seed):
        net = look.subject(model)
        values = net.activations(x, net.layers)
        found = look.stages(model, x[0])
        assert [s.name for s in found] == [layer.name for layer in net.layers]
        for stage in found:
            np.testing.assert_array_equal(stage.values, values[stage.name][0])
            assert stage.silent == (stage.values == 0).mean()
            assert (stage.lost is not None) == ("Pool" in stage.kind)
        lost.append([s.lost for s in found if s.lost is not None])
    same(lost)


def test_a_pooling_loses_nothing_of_what_is_even_and_all_of_what_has_no_mean():
    even = np.repeat(np.repeat(pictures(1, shape=(2, 4, 4)), 2, axis=2), 2, axis=3)
    checks = np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1.0
    pool = nn.Sequential(nn.AvgPool2d(2))
    assert look.stages(pool, even)[0].lost == pytest.approx(0, abs=1e-6)
    assert look.stages(pool, (checks + 1e-6)[None, None].astype("float32"))[0].lost == pytest.approx(1, abs=1e-4)
    half = even + np.tile(checks, (2, 1, 1))[None] * np.sqrt((even**2).mean())
    assert look.stages(pool, half.astype("float32"))[0].lost == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(ValueError, match="expected one picture"):
        look.stages(pool, pictures(2))
