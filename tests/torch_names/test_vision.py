"""torchvision's transforms and data sets: what they draw and give, beside torchvision where it is installed."""

from __future__ import annotations

import importlib
import pickle
import random

import numpy as np
import pytest

import npnn
from npnn.data.dataset import unit_images
from npnn.errors import DataError
from npnn.vision import datasets, io, transforms, utils
from tests.parity import torch

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def torchs():
    """torchvision's transforms; its compiled part, which a build of torch for the CPU cannot load, is not needed."""
    if torch is None:
        pytest.skip("torch is not installed")
    lib = torch.library.Library("torchvision", "DEF")
    for name in (
        "nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align _ps_roi_align_backward "
        "ps_roi_pool _ps_roi_pool_backward deform_conv2d _deform_conv2d_backward"
    ).split():
        try:
            lib.define(name + "(Tensor a) -> Tensor")
        except RuntimeError:
            break  # the compiled part is there
    return pytest.importorskip("torchvision.transforms", exc_type=ImportError)


def picture(mode="RGB", size=(37, 29)):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


CASES = {
    "to tensor": lambda t: t.ToTensor(),
    "normalise": lambda t: t.Compose([t.ToTensor(), t.Normalize((0.4,), (0.3,))]),
    "crop": lambda t: t.Compose([t.RandomCrop(24), t.ToTensor()]),
    "padded crop": lambda t: t.Compose([t.RandomCrop(32, padding=4, pad_if_needed=True), t.ToTensor()]),
    "reflected crop": lambda t: t.Compose([t.RandomCrop(28, padding=3, padding_mode="reflect"), t.ToTensor()]),
    "flips": lambda t: t.Compose([t.RandomHorizontalFlip(), t.RandomVerticalFlip(0.3), t.ToTensor()]),
    "rotation": lambda t: t.Compose([t.RandomRotation(30), t.ToTensor()]),
    "affine": lambda t: t.Compose([t.RandomAffine(15, (0.1, 0.2), (0.8, 1.2), 10), t.ToTensor()]),
    "resize": lambda t: t.Compose([t.Resize(20), t.ToTensor()]),
    "resize to": lambda t: t.Compose([t.Resize((17, 33)), t.ToTensor()]),
    "centre": lambda t: t.Compose([t.CenterCrop((20, 45)), t.ToTensor()]),
    "pad": lambda t: t.Compose([t.Pad((1, 2, 3, 4), fill=7), t.ToTensor()]),
    "resized crop": lambda t: t.Compose([t.RandomResizedCrop(16), t.ToTensor()]),
    "grey": lambda t: t.Compose([t.Grayscale(), t.ToTensor()]),
    "random grey": lambda t: t.Compose([t.RandomGrayscale(0.5), t.ToTensor()]),
    "jitter": lambda t: t.Compose([t.ColorJitter(0.4, 0.4, 0.4, 0.1), t.ToTensor()]),
    "erasing": lambda t: t.Compose([t.ToTensor(), t.RandomErasing(0.7)]),
    "apply": lambda t: t.Compose([t.RandomApply([t.RandomHorizontalFlip(1.0)], 0.5), t.ToTensor()]),
    "choice": lambda t: t.Compose([t.RandomChoice([t.CenterCrop(20), t.Resize((20, 20))]), t.ToTensor()]),
    "tensors": lambda t: t.Compose([t.ToTensor(), t.RandomCrop(20, padding=2), t.RandomHorizontalFlip(), t.Pad(1)]),
    "blur": lambda t: t.Compose([t.GaussianBlur(5), t.ToTensor()]),
    "blur of tensors": lambda t: t.Compose([t.ToTensor(), t.GaussianBlur((3, 7), (0.5, 1.5))]),
    "solarise": lambda t: t.Compose([t.RandomSolarize(100), t.ToTensor()]),
    "posterise": lambda t: t.Compose([t.RandomPosterize(3), t.ToTensor()]),
    "sharpness": lambda t: t.Compose([t.RandomAdjustSharpness(2.5), t.ToTensor()]),
    "contrast": lambda t: t.Compose([t.RandomAutocontrast(), t.ToTensor()]),
    "equalise": lambda t: t.Compose([t.RandomEqualize(), t.ToTensor()]),
    "bytes": lambda t: t.Compose([t.PILToTensor(), t.RandomPosterize(2), t.GaussianBlur(3)]),
    "five": lambda t: t.Compose([t.FiveCrop(12), t.Lambda(lambda five: five[3]), t.ToTensor()]),
    "ten": lambda t: t.Compose([t.ToTensor(), t.TenCrop((9, 11), True), t.Lambda(lambda ten: ten[5] + ten[9])]),
    "lambda": lambda t: t.Compose([t.PILToTensor(), t.Lambda(lambda x: x.float() / 2)]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_drawn_and_given(torchs, case):
    ours, theirs = CASES[case](transforms), CASES[case](torchs)
    npnn.manual_seed(5), torch.manual_seed(5)
    for i in range(6):
        random.seed(i)
        a = ours(picture())
        random.seed(i)
        b = theirs(picture())
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=f"{case} {i}")
    assert npnn.get_rng_state().tolist() == torch.get_rng_state().tolist()


def test_pictures_out_of_tensors(tmp_path):
    x = npnn.rand(5, 1, 4, 6)
    grid = utils.make_grid(x, nrow=3, padding=1, pad_value=0.5)
    assert grid.shape == (3, 2 * 5 + 1, 3 * 7 + 1)
    np.testing.assert_array_equal(grid[0, 1:5, 8:14].numpy(), x[1, 0].numpy())
    utils.save_image(x, tmp_path / "grid.png", nrow=3)
    with Image.open(tmp_path / "grid.png") as saved:
        assert saved.size == (3 * 8 + 2, 2 * 6 + 2)


def test_a_folder_of_pictures(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for i in range(3):
            picture(size=(8, 6)).save(tmp_path / kind / f"{i}.png")
    found = datasets.ImageFolder(tmp_path, transform=transforms.ToTensor())
    assert (len(found), found.classes, found.class_to_idx) == (6, ["cat", "dog"], {"cat": 0, "dog": 1})
    x, y = next(iter(npnn.utils.data.DataLoader(found, batch_size=6)))
    assert (x.shape, y.tolist()) == ((6, 3, 6, 8), [0, 0, 0, 1, 1, 1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        datasets.ImageFolder(tmp_path)


def test_cifar100_is_read_without_running_its_pickles(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    for part in ("train", "test"):
        (folder / part).write_bytes(pickle.dumps({"data": pixels, "fine_labels": [3, 1, 4, 1]}))
    found = datasets.CIFAR100(tmp_path, train=False)
    assert found.targets == [3, 1, 4, 1]
    np.testing.assert_array_equal(np.asarray(found[2][0]).transpose(2, 0, 1).reshape(-1), pixels[2])
    with pytest.raises(DataError, match="cifar-100-python"):
        datasets.CIFAR100(tmp_path / "elsewhere")


def test_a_data_set_that_is_not_there_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("NPNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="download=True"):
        datasets.MNIST(tmp_path)


def test_both_ways_make_the_same_numbers_of_bytes():
    """Those of npnn.data, which reads whole arrays, and ToTensor's, which reads picture by picture."""
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    by_picture = transforms.ToTensor()(every).numpy()
    np.testing.assert_array_equal(unit_images(every.transpose(2, 0, 1), "float32"), by_picture)
    assert (by_picture.min(), by_picture.max()) == (0, 1)


def test_fake_data_and_models():
    found = datasets.FakeData(3, (3, 4, 5), transform=transforms.ToTensor())
    assert found[1][0].shape == (3, 4, 5)
    assert found[1][0].equal(found[1][0])
    with pytest.raises(AttributeError, match="models"):
        npnn.vision.models  # noqa: B018


FUNCTIONS = {
    "crop": lambda f, x: f.crop(x, -2, 3, 20, 18), "center_crop": lambda f, x: f.center_crop(x, 16),
    "resized_crop": lambda f, x: f.resized_crop(x, 1, 2, 20, 18, (9, 11)), "hflip": lambda f, x: f.hflip(x),
    "vflip": lambda f, x: f.vflip(x), "pad": lambda f, x: f.pad(x, [1, 2]), "resize": lambda f, x: f.resize(x, 15),
    "rotate": lambda f, x: f.rotate(x, 25), "grey": lambda f, x: f.to_grayscale(x, 3),
    "invert": lambda f, x: f.invert(x), "brightness": lambda f, x: f.adjust_brightness(x, 1.4),
    "contrast": lambda f, x: f.adjust_contrast(x, 0.6), "saturation": lambda f, x: f.adjust_saturation(x, 1.7),
    "hue": lambda f, x: f.adjust_hue(x, -0.2), "blur": lambda f, x: f.gaussian_blur(x, (5, 3)),
    "blur with widths": lambda f, x: f.gaussian_blur(x, 5, [0.7, 1.3]), "solarize": lambda f, x: f.solarize(x, 90),
    "posterize": lambda f, x: f.posterize(x, 3), "sharpness": lambda f, x: f.adjust_sharpness(x, 0.3),
    "autocontrast": lambda f, x: f.autocontrast(x), "equalize": lambda f, x: f.equalize(x),
    "five": lambda f, x: f.five_crop(x, 10)[4], "ten": lambda f, x: f.ten_crop(x, 10)[7],
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_draw_nothing(torchs, name):
    theirs = importlib.import_module("torchvision.transforms.functional")
    before = npnn.get_rng_state().tolist()
    given = [np.asarray(FUNCTIONS[name](f, picture())) for f in (transforms.functional, theirs)]
    np.testing.assert_array_equal(*given)
    assert npnn.get_rng_state().tolist() == before
    tensors = [
        f.normalize(f.to_tensor(FUNCTIONS[name](f, picture())), [0.5] * 3, [0.2] * 3)
        for f in (transforms.functional, theirs)
    ]
    np.testing.assert_allclose(*[x.numpy() for x in tensors], rtol=1e-5)
    assert transforms.functional.get_image_size(picture()) == [37, 29]


OF_TENSORS = [
    n for n in FUNCTIONS if n not in ("grey", "solarize", "posterize", "equalize")
]  # of bytes or PIL images only


@pytest.mark.parametrize("name", OF_TENSORS)
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_functions_of_tensors(torchs, name, kind):
    theirs = importlib.import_module("torchvision.transforms.functional")
    pixels = np.asarray(picture()).transpose(2, 0, 1)
    pixels = pixels.copy() if kind == "uint8" else (pixels / 255).astype(np.float32)
    ours, expected = (FUNCTIONS[name](f, m.tensor(pixels)) for f, m in ((transforms.functional, npnn), (theirs, torch)))
    assert str(ours.dtype) == str(expected.dtype)
    rounding = 1 if kind == "uint8" and "resize" in name else 1e-5  # PIL's resampling, plane by plane
    np.testing.assert_allclose(ours.numpy().astype(float), expected.numpy().astype(float), atol=rounding)


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_other_pictures(torchs, name, mode):
    theirs = importlib.import_module("torchvision.transforms.functional")
    results = []
    for f in (transforms.functional, theirs):
        try:
            results.append(np.asarray(FUNCTIONS[name](f, picture(mode))))
        except (OSError, NotImplementedError, TypeError) as error:  # what PIL does not do for this mode
            results.append(type(error).__name__)
    np.testing.assert_array_equal(*results)


def test_picture_files(tmp_path):
    picture().save(tmp_path / "a.png")
    x = io.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(x.numpy(), np.asarray(picture()).transpose(2, 0, 1))
    assert io.read_image(str(tmp_path / "a.png"), io.ImageReadMode.GRAY).shape == (1, 29, 37)
    assert io.read_image(tmp_path / "a.png", "RGB_ALPHA").shape == (4, 29, 37)
    io.write_png(x, tmp_path / "b.png")
    np.testing.assert_array_equal(io.decode_image(tmp_path / "b.png"), x)
    io.write_jpeg(npnn.full((3, 16, 16), 100, dtype=npnn.uint8), tmp_path / "c.jpg", quality=95)
    np.testing.assert_allclose(io.read_image(tmp_path / "c.jpg"), 100, atol=2)
    (tmp_path / "d.png").write_text("no picture")
    with pytest.raises(RuntimeError, match="cannot identify"):
        io.read_image(tmp_path / "d.png")
    with pytest.raises(RuntimeError, match="picture of bytes"):
        io.write_png(x.float(), tmp_path / "e.png")
