"""torchvision's data sets: MNIST, FashionMNIST, CIFAR10, CIFAR100, ImageFolder, FakeData.   Samples are PIL images.

Files are looked for in ``root`` as torchvision leaves them (``root/MNIST/raw``, ``root/cifar-10-batches-py``), then in
NPNN_DATA and the user's cache; only then, and with ``download=True``, are they fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from npnn import generator
from npnn.data import load_cifar10, load_fashion_mnist, load_mnist
from npnn.data.cifar10 import read_pickled
from npnn.data.dataset import Dataset
from npnn.data.files import also_in
from npnn.errors import DataError
from npnn.tensor import Tensor, of_array

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "DatasetFolder", "FakeData", "FashionMNIST", "ImageFolder", "VisionDataset"]

_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class VisionDataset(Dataset):
    """Base class: it keeps ``root`` and the transforms, and prints as torchvision's."""

    def __init__(
        self, root: Any = None, transforms: Any = None, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ):  # fmt: skip
        self.root, self.transforms = root, transforms
        self.transform, self.target_transform = transform, target_transform

    def _changed(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transforms is not None:
            return self.transforms(image, target)
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]  # type: ignore[arg-type]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        return "\n".join(lines)


class _InMemory(VisionDataset):
    """Images in one array, picked by number and handed out as PIL images."""

    load: Any
    classes: list[Any]
    data: Any
    targets: Any

    def __init__(
        self, root: Any = None, train: bool = True, transform: Any = None, target_transform: Any = None, download: bool = False
    ):  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.train = train
        with also_in(root, download):
            self._read()
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _read(self) -> None:
        raise NotImplementedError

    def _pixels(self, index: int) -> Any:
        return self.data[index]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        from PIL import Image

        index = int(index)
        return self._changed(Image.fromarray(self._pixels(index)), int(self.targets[index]))


class MNIST(_InMemory):
    """60,000 and 10,000 digits of 28 x 28 pixels.   ``data`` is a tensor (N, 28, 28) of bytes, ``targets`` of int64."""

    load = staticmethod(load_mnist)

    def _read(self) -> None:
        found = type(self).load("uint8")
        x, y = (found.train_x, found.train_y) if self.train else (found.test_x, found.test_y)
        self.data, self.targets = of_array(x[:, 0]), of_array(y)
        names = "zero one two three four five six seven eight nine".split()
        self.classes = [f"{i} - {name}" for i, name in enumerate(names)] if type(self) is MNIST else list(found.classes)

    def _pixels(self, index: int) -> Any:
        return self.data.array[index]

    @property
    def train_data(self) -> Tensor:
        return self.data

    test_data = train_data

    @property
    def train_labels(self) -> Tensor:
        return self.targets

    test_labels = train_labels


class FashionMNIST(MNIST):
    """60,000 and 10,000 clothes of 28 x 28 pixels."""

    load = staticmethod(load_fashion_mnist)


class CIFAR10(_InMemory):
    """50,000 and 10,000 colour images of 32 x 32 pixels.   ``data`` is an array (N, 32, 32, 3) of bytes."""

    def _read(self) -> None:
        found = load_cifar10("uint8")
        x, y = (found.train_x, found.train_y) if self.train else (found.test_x, found.test_y)
        self.data, self.targets = np.ascontiguousarray(x.transpose(0, 2, 3, 1)), y.tolist()
        self.classes = list(found.classes)


class CIFAR100(_InMemory):
    """As CIFAR10, of a hundred classes, from ``root/cifar-100-python`` (not downloaded).  Errors: DataError."""

    def _read(self) -> None:
        folder = Path(self.root or ".") / "cifar-100-python"
        path = folder / ("train" if self.train else "test")
        if not path.exists():
            raise DataError(f"{path} was not found: put cifar-100-python.tar.gz's folder there")
        pixels, table = read_pickled(path.read_bytes())
        self.data = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        self.targets = [int(v) for v in table["fine_labels"]]
        meta = folder / "meta"
        names = read_pickled(meta.read_bytes())[1].get("fine_label_names") if meta.exists() else None
        self.classes = [n.decode() if isinstance(n, bytes) else n for n in names or range(100)]


class DatasetFolder(VisionDataset):
    """A folder for each class, with the samples as files.   Errors: FileNotFoundError for a class without files."""

    def __init__(
        self, root: Any, loader: Callable[[str], Any], extensions: tuple[str, ...] | None = None, transform: Any = None,
        target_transform: Any = None, is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ):  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.loader, self.extensions = loader, extensions
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples: list[tuple[str, int]] = []
        for name in self.classes:
            before = len(self.samples)
            for folder, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True)):
                for file in sorted(files):
                    path = os.path.join(folder, file)
                    if is_valid_file(path) if is_valid_file else file.lower().endswith(extensions or _EXTENSIONS):
                        self.samples.append((path, self.class_to_idx[name]))
            if len(self.samples) == before and not allow_empty:
                raise FileNotFoundError(f"Found no valid file for the class {name}.")
        self.targets = [target for _, target in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._changed(self.loader(path), target)


def default_loader(path: str) -> Any:
    """The picture as a PIL image in colour."""
    from PIL import Image

    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


class ImageFolder(DatasetFolder):
    """A folder for each class, with its pictures."""

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None, loader: Any = default_loader,
        is_valid_file: Any = None, allow_empty: bool = False,
    ):  # fmt: skip
        super().__init__(root, loader, _EXTENSIONS, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples


class FakeData(VisionDataset):
    """Noise: image i is drawn from a generator seeded with i + random_offset, and its class likewise."""

    def __init__(
        self, size: int = 1000, image_size: tuple[int, ...] = (3, 224, 224), num_classes: int = 10, transform: Any = None,
        target_transform: Any = None, random_offset: int = 0,
    ):  # fmt: skip
        super().__init__(None, None, transform, target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        from npnn.vision.transforms import ToPILImage

        if index >= self.size:
            raise IndexError(f"{type(self).__name__} index out of range")
        draws = generator.Generator().manual_seed(int(index) + self.random_offset)
        image = of_array(draws.randn(*self.image_size))
        target = int(draws.randint(0, self.num_classes))
        return self._changed(ToPILImage()(image), target)
