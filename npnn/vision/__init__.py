"""What scripts use of torchvision for data: data sets, transforms, and pictures out of tensors.  No models."""

from typing import Any

from npnn.vision import datasets, io, transforms, utils

__all__ = ["datasets", "io", "transforms", "utils"]

__version__ = "0.28.0"  # the torchvision whose transforms these draw like


def __getattr__(name: str) -> Any:
    if name == "models":
        raise AttributeError("npnn offers no torchvision.models: build the network from npnn.nn, or copy its file")
    raise AttributeError(f"module 'npnn.vision' has no attribute {name!r}")
