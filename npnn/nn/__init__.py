"""Layers, losses and initialisation, under torch's names."""

from npnn.nn.conv import Conv1d, Conv2d
from npnn.nn.module import Module, Parameter

__all__ = ["Conv1d", "Conv2d", "Module", "Parameter"]
