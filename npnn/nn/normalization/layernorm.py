"""Layer normalisation and its simpler relative, RMS normalisation: each sample's own features, brought to one scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import layernorm as kernels
from npnn.nn.checks import check_floating, check_same_dtype
from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor

__all__ = ["LayerNorm", "RMSNorm", "layer_norm", "rms_norm"]

Shape = int | list[int] | tuple[int, ...]


class LayerNormalization(Function):
    """y = γ (x - μ) r + β,  r = 1 / √(σ² + ε), μ and σ² over the last axes; μ = 0 unless ``centred``.   x (*, D)

    Gradient: with x̂ = (x - μ) r, g = γ dy and ⟨ ⟩ the mean over a row, dx = r (g - ⟨g⟩ - x̂ ⟨g x̂⟩),
    without ⟨g⟩ unless ``centred``; dγ = Σ dy x̂, dβ = Σ dy over the rows.
    """

    called = "NativeLayerNorm"

    def forward(
        self, x: NDArray[Any], weight: Any, bias: Any, shape: tuple[int, ...], eps: float, centred: bool
    ) -> NDArray[Any]:
        D = math.prod(shape)
        rows = np.ascontiguousarray(x).reshape(x.size // D, D)  # (M, D)
        flat_weight = np.ones(D, x.dtype) if weight is None else np.ascontiguousarray(weight).reshape(D)
        flat_bias = np.zeros(D, x.dtype) if bias is None else np.ascontiguousarray(bias).reshape(D)
        y, mean, r = kernels.layer_norm(rows, flat_weight, flat_bias, eps, centred)
        self.saved = rows, flat_weight, mean, r, centred
        self.shape, self.eps = shape, eps
        return y.reshape(x.shape)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        rows = np.ascontiguousarray(dy).reshape(self.saved[0].shape)
        dx, dw, db = kernels.layer_norm_backward(rows, *self.saved)
        return dx.reshape(dy.shape), dw.reshape(self.shape), db.reshape(self.shape)

    def derivative(self: Any, dy: Tensor) -> tuple[Any, ...]:
        rows, flat_weight, _, _, centred = self.saved
        axes = list(range(dy.ndim - len(self.shape), dy.ndim))
        x = self.input(0, rows.reshape(dy.array.shape))
        w = self.input(1, flat_weight.reshape(self.shape))
        c = x - x.mean(axes, keepdim=True) if centred else x
        r = ((c * c).mean(axes, keepdim=True) + self.eps).rsqrt()
        normal, g = c * r, dy * w
        dx = g - normal * (g * normal).mean(axes, keepdim=True)
        if centred:
            dx = dx - g.mean(axes, keepdim=True)
        return r * dx, dy * normal, dy


def _apply(
    input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float, centred: bool
) -> Tensor:
    """Check everything, then apply."""
    name = "layer_norm" if centred else "rms_norm"
    check_floating(name, input)
    shape = tuple(normalized_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"{name}: expected a normalized_shape of positive sizes, got {shape}")
    if input.shape[-len(shape) :] != shape:
        raise ShapeError(f"expected an input of shape (*, {', '.join(map(str, shape))}), got {input.shape}")
    for which, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != shape:
            raise ShapeError(f"expected a {which} of shape {shape}, got {v.shape}")
    check_same_dtype(input, weight=weight, bias=bias)
    return LayerNormalization.apply(input, weight, bias, shape=shape, eps=float(eps), centred=centred)


def layer_norm(
    input: Tensor,
    normalized_shape: list[int] | tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = γ (x - μ) / √(σ² + ε) + β, with μ and σ² over the last axes, which are ``normalized_shape``.

    (*, normalized_shape) -> the same; γ and β are of shape ``normalized_shape``.
    Gradient: see LayerNormalization.
    Errors: ShapeError for an input or parameters of another shape, DtypeError for mixed dtypes.
    Source: Ba, Kiros & Hinton, Layer normalization, 2016, section 3.
    """
    return _apply(input, normalized_shape, weight, bias, eps, True)


def rms_norm(
    input: Tensor,
    normalized_shape: list[int] | tuple[int, ...],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """y = γ x / √(⟨x²⟩ + ε), with ⟨ ⟩ the mean over the last axes, which are ``normalized_shape``.

    ``eps=None`` is the dtype's machine epsilon.  Shapes and errors as for layer_norm.
    Source: Zhang & Sennrich, Root mean square layer normalization, 2019.
    """
    if eps is None:
        eps = float(np.finfo(input.dtype if input.dtype.kind == "f" else np.float32).eps)
    return _apply(input, normalized_shape, weight, None, eps, False)


class LayerNorm(Module):
    """Layer normalisation: see layer_norm.   (*, normalized_shape) -> the same

    ``weight`` starts at 1, ``bias`` at 0, both of shape ``normalized_shape``.
    """

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        dtype = of_parameters(device, dtype)
        self.weight = Parameter(np.empty(self.normalized_shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.empty(self.normalized_shape, dtype)) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            self.weight.array.fill(1)
        if self.bias is not None:
            self.bias.array.fill(0)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """RMS normalisation: see rms_norm.   (*, normalized_shape) -> the same

    ``weight`` starts at 1.
    """

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        dtype = of_parameters(device, dtype)
        self.weight = Parameter(np.empty(self.normalized_shape, dtype)) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            self.weight.array.fill(1)

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def _shape(normalized_shape: Shape) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
