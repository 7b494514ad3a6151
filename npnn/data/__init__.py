"""Data: sets, batches, augmentation, and where the data come from.

data = npnn.data.load_mnist()
loader = npnn.data.DataLoader(data.train, batch_size=32, shuffle=True)
for x, y in loader: ...
"""

from npnn.data import transforms
from npnn.data.cifar10 import load_cifar10
from npnn.data.collate import default_collate, default_convert
from npnn.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    TrainTest,
    random_split,
)
from npnn.data.digits import load_digits
from npnn.data.loader import DataLoader
from npnn.data.mnist import load_fashion_mnist, load_mnist
from npnn.data.palindromes import make_palindromes
from npnn.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from npnn.data.text import character_windows, load_shakespeare
from npnn.data.toy import TOY_SETS, make_toy
from npnn.data.workers import get_worker_info

__all__ = [
    "TOY_SETS", "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset",
    "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset", "SubsetRandomSampler",
    "TensorDataset", "TrainTest", "WeightedRandomSampler", "character_windows", "default_collate",
    "default_convert", "get_worker_info", "load_cifar10", "load_digits", "load_fashion_mnist", "load_mnist",
    "load_shakespeare", "make_palindromes", "make_toy", "random_split", "transforms",
]  # fmt: skip
