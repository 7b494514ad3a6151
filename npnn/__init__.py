"""npnn: deep learning in NumPy, readable end to end, with PyTorch's interface."""

from npnn import nn
from npnn.tensor import Function, Tensor, is_grad_enabled, no_grad, set_grad_enabled, tensor

__version__ = "0.1.0"
