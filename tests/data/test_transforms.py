"""Augmentation: exact in the cases that can be said in one line of NumPy; reproducible; dtype and memory kept."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.data.transforms import (
    Compose,
    Cutout,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomScale,
    RandomShift,
)


def rng(seed=0):
    return npnn.Generator().manual_seed(seed)


def images(n=16, c=3, h=8, w=8, dtype="float32"):
    x = np.random.default_rng(1).random((n, c, h, w))
    return (255 * x).astype("uint8") if dtype == "uint8" else x.astype(dtype)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


EVERY = [
    RandomHorizontalFlip(), RandomCrop(6), RandomCrop(8, 2), RandomCrop((5, 9), 3, "reflect"), RandomShift(2),
    RandomShift(2, "replicate"), RandomAffine(20, (0.1, 0.2), (0.8, 1.2)), RandomRotation(30), RandomScale((0.7, 1.4)),
    Cutout(3), Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.1]), Compose([RandomHorizontalFlip(), RandomCrop(8, 1)]),
]  # fmt: skip
every = pytest.mark.parametrize("transform", EVERY, ids=repr)


@every
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_same_seed_same_result_and_the_argument_is_left_alone(transform, dtype):
    x = images(dtype=dtype)
    before = x.copy()
    out = transform(x, rng(7))
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, out)
    np.testing.assert_array_equal(out, transform(x, rng(7)))
    assert out.dtype == ("float32" if isinstance(transform, Normalize) and dtype == "uint8" else dtype)


@every
def test_memory_order_makes_no_difference(transform):
    x = images()
    np.testing.assert_allclose(transform(channels_last(x), rng(7)), transform(x, rng(7)), rtol=1e-6)
    np.testing.assert_array_equal(transform(np.asfortranarray(x), rng(7)), transform(x, rng(7)))


@every
def test_an_empty_batch_and_one_channel_pass(transform):
    if not isinstance(transform, Normalize):
        assert len(transform(images(n=0), rng())) == 0
        assert transform(images(n=2, c=1), rng()).shape[:2] == (2, 1)


@pytest.mark.parametrize(
    "transform", [t for t in EVERY if not isinstance(t, (Normalize, Compose))], ids=repr
)  # fmt: skip
def test_each_image_is_changed_in_its_own_way(transform):
    same = np.repeat(images(n=1), 64, axis=0)
    out = transform(same, rng(3))
    assert len({image.tobytes() for image in out}) > 1


def test_flip():
    x = images()
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(x, rng()), x[..., ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0.0)(x, rng()), x)
    flip = RandomHorizontalFlip()
    np.testing.assert_array_equal(flip(flip(x, rng(5)), rng(5)), x)  # the same images, twice
    many = np.tile(np.arange(2, dtype="float32"), (4000, 1, 1, 1))
    assert abs(flip(many, rng())[:, 0, 0, 0].mean() - 0.5) < 0.03
    with pytest.raises(ValueError, match="between 0 and 1"):
        RandomHorizontalFlip(1.5)


def test_crop_without_padding_is_a_slice():
    x = images(n=200, h=6, w=7)
    out = RandomCrop((4, 5))(x, rng())
    places = set()
    for image, window in zip(x, out, strict=True):
        found = [
            (t, left) for t in range(3) for left in range(3)
            if np.array_equal(image[:, t : t + 4, left : left + 5], window)
        ]  # fmt: skip
        assert len(found) == 1
        places.add(found[0])
    assert len(places) == 9, "every window must be possible"
    np.testing.assert_array_equal(RandomCrop((6, 7))(x, rng()), x)


@pytest.mark.parametrize(("mode", "numpy_mode"), [
    ("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"),
])  # fmt: skip
def test_crop_with_padding_is_a_slice_of_the_padded_image(mode, numpy_mode):
    x = images(n=50)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode=numpy_mode)
    for image, window in zip(padded, RandomCrop(8, 2, mode)(x, rng()), strict=True):
        assert any(np.array_equal(image[:, t : t + 8, s : s + 8], window) for t in range(5) for s in range(5))


def test_small_windows_may_lie_wholly_in_the_padding():
    x = np.ones((400, 1, 3, 3), "float32")
    out = RandomCrop(2, 4)(x, rng())
    padded = np.pad(x[0, 0], 4)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2)).reshape(-1, 4)
    expected = np.bincount(windows.sum(axis=1).astype(int), minlength=5) / len(windows)
    np.testing.assert_allclose(np.bincount(out.sum((1, 2, 3)).astype(int), minlength=5) / 400, expected, atol=0.05)


def test_crop_errors():
    with pytest.raises(ValueError, match=r"windows of \(9, 9\) from images of \(8, 8\) padded by 0"):
        RandomCrop(9)(images(), rng())
    with pytest.raises(ValueError, match="one of zeros, reflect, replicate, circular; got 1, 'constant'"):
        RandomCrop(8, 1, "constant")
    with pytest.raises(ValueError, match="padding must be 0 or more"):
        RandomCrop(8, -1)


def test_shift_moves_pixels():
    x = np.zeros((300, 1, 9, 9), "float32")
    x[:, 0, 4, 4] = 1
    out = RandomShift(2)(x, rng())
    assert (out.sum(axis=(1, 2, 3)) == 1).all()
    rows, cols = np.nonzero(out[:, 0])[1:]
    assert set(rows) == set(cols) == {2, 3, 4, 5, 6}
    assert len(set(zip(rows, cols, strict=True))) == 25
    np.testing.assert_array_equal(RandomShift(0)(images(), rng()), images())


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("size", [7, 8])
def test_quarter_turns_are_exact(quarters, size):
    x = images(h=size, w=size)
    out = RandomRotation((90 * quarters, 90 * quarters))(x, rng())
    np.testing.assert_allclose(out, np.rot90(x, quarters, axes=(2, 3)), atol=1e-6)
    if quarters == 0:
        np.testing.assert_array_equal(out, x)
        np.testing.assert_array_equal(RandomRotation(0)(x, rng()), x)


def test_rotation_stays_within_its_degrees():
    x = np.zeros((500, 1, 41, 41), "float32")
    x[:, 0, 20, 36] = 1  # to the right of the centre: at angle 0
    out = RandomRotation(30)(x, rng())[:, 0]
    rows, cols = np.mgrid[:41, :41]
    mass = out.sum(axis=(1, 2))
    angle = np.degrees(np.arctan2(20 - (out * rows).sum((1, 2)) / mass, (out * cols).sum((1, 2)) / mass - 20))
    assert np.abs(angle).max() < 33
    assert angle.min() < -25
    assert angle.max() > 25
    assert abs(angle.mean()) < 3


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_scaling_scales_areas(factor):
    disc = (np.hypot(*(np.mgrid[:65, :65] - 32)) < 12).astype("float32")[None, None]
    out = RandomScale((factor, factor))(disc, rng())
    assert out.sum() / disc.sum() == pytest.approx(factor**2, rel=0.02)


def test_scaling_by_one_is_exact_and_by_two_repeats_every_other_pixel():
    x = images(h=9, w=9)
    np.testing.assert_array_equal(RandomScale((1.0, 1.0))(x, rng()), x)
    np.testing.assert_allclose(RandomScale((2.0, 2.0))(x, rng())[..., ::2, ::2], x[..., 2:7, 2:7], rtol=1e-6)


def test_affine_shifts_by_at_most_its_fractions():
    x = np.zeros((300, 1, 21, 41), "float32")
    x[:, 0, 10, 20] = 1
    out = RandomAffine(translate=(0.25, 0.1))(x, rng())[:, 0]
    rows, cols = np.mgrid[:21, :41]
    down, right = (out * rows).sum((1, 2)) - 10, (out * cols).sum((1, 2)) - 20
    assert 1.8 < np.abs(down).max() <= 2.1 + 1e-4
    assert 9.5 < np.abs(right).max() <= 10.25 + 1e-4


def test_affine_of_bytes_rounds():
    x = images(dtype="uint8")
    transform = RandomAffine(20, (0.1, 0.1), (0.9, 1.1))
    exact = transform(x.astype("float64"), rng(2))
    assert np.abs(transform(x, rng(2)) - exact).max() <= 0.5 + 1e-3


def test_affine_errors():
    for wrong in ({"degrees": -1}, {"translate": (0.1, 1.5)}, {"scale": (0.0, 1.0)}, {"scale": (1.2, 0.8)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RandomAffine(**wrong)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_cutout_clears_a_square(size):
    x = np.ones((500, 2, 9, 7), "float32")
    out = Cutout(size)(x, rng())
    holes = (out == 0).all(axis=1)  # (N, H, W)
    assert set(np.unique(out)) == {0, 1}
    assert np.array_equal(holes, (out == 0).any(axis=1)), "all channels alike"
    rows, cols = holes.any(axis=2).sum(axis=1), holes.any(axis=1).sum(axis=1)
    assert np.array_equal(rows * cols, holes.sum(axis=(1, 2))), "a rectangle"
    assert rows.max() == cols.max() == size
    assert rows.min() >= 1, "the centre lies in the image"
    assert holes.any(axis=0).all(), "every place can be hit"


def test_normalize():
    x = images()
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.1]
    expected = (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    out = Normalize(mean, std)(x)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, atol=1e-5)
    pixels = images(dtype="uint8")
    np.testing.assert_allclose(Normalize(mean, std)(pixels), Normalize(mean, std)(pixels / 255), atol=1e-5)
    np.testing.assert_allclose(Normalize(0.5, 2)(x, rng()), (x - 0.5) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="positive"):
        Normalize([0.5], [0.0])


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_normalize_fitted_to_data_makes_them_standard(dtype):
    x = images(n=100, dtype=dtype)
    out = Normalize.fit(x)(x)
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), 1, atol=1e-4)
    assert repr(Normalize([0.4914], 0.247)) == "Normalize(mean=[0.4914], std=[0.247])"


def test_compose_applies_in_order():
    x = images()
    both = Compose([RandomHorizontalFlip(1.0), RandomShift(0)])
    np.testing.assert_array_equal(both(x, rng()), x[..., ::-1])
    assert repr(both).startswith("Compose([RandomHorizontalFlip(p=1.0), RandomShift(pixels=0")
