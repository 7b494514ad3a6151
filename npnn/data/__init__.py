"""Data: sets, batches, augmentation, and where the data come from.

data = npnn.data.load_mnist()
loader = npnn.data.DataLoader(data.train, batch_size=32, shuffle=True)
for x, y in loader: ...
"""

from npnn.data import transforms
from npnn.data.cifar10 import load_cifar10
from npnn.data.dataset import Dataset, Subset, TensorDataset, TrainTest, random_split
from npnn.data.digits import load_digits
from npnn.data.loader import DataLoader
from npnn.data.mnist import load_fashion_mnist, load_mnist
from npnn.data.palindromes import make_palindromes
from npnn.data.toy import TOY_SETS, make_toy

__all__ = [
    "TOY_SETS", "DataLoader", "Dataset", "Subset", "TensorDataset", "TrainTest", "load_cifar10", "load_digits",
    "load_fashion_mnist", "load_mnist", "make_palindromes", "make_toy", "random_split", "transforms",
]  # fmt: skip
