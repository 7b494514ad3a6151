"""Layers, losses and initialisation, under torch's names."""

from npnn.nn.module import Module, Parameter

__all__ = ["Module", "Parameter"]
