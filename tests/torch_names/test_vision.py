"""torchvision's transforms and data sets: what they draw and give, beside torchvision where it is installed."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest

import npnn
from npnn.data.dataset import unit_images
from npnn.errors import DataError
from npnn.vision import datasets, transforms, utils
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
