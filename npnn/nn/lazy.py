"""Layers that find out from their first input how wide it is: LazyLinear(64) instead of Linear(784, 64)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from npnn.errors import ShapeError
from npnn.nn.convolution.conv import Conv1d, Conv2d
from npnn.nn.convolution.transpose import ConvTranspose1d, ConvTranspose2d
from npnn.nn.convolution.volume import Conv3d, ConvTranspose3d
from npnn.nn.linear import Linear
from npnn.nn.module import Module
from npnn.nn.normalization.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from npnn.nn.normalization.groupnorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from npnn.nn.tree import UninitializedParameter
from npnn.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class Lazy(Module):
    """A layer whose first argument is not given, but read from the first input (or from weights that are loaded).

    Then it becomes the layer itself, with new weights drawn as ever; its Parameters stay the same objects, so that
    an optimiser may have them already.  ``cls_to_become`` is the layer's class, whose arguments it takes but the first.
    """

    cls_to_become: type[Module]
    __signature__: inspect.Signature
    _defaults: Mapping[str, Any] = {}  # where they are others than the layer's
    _axis = 1  # of an input: the one whose length is read
    _axis_of_weight = 0  # of the weight: the one that has this length, or its share of a group

    def __init_subclass__(cls) -> None:
        if "cls_to_become" in vars(cls):
            _, *arguments = inspect.signature(cls.cls_to_become).parameters.values()
            cls.__signature__ = inspect.Signature(
                [p.replace(default=cls._defaults.get(p.name, p.default)) for p in arguments]
            )

    def __init__(self, *args: Any, **options: Any):
        given = self.__signature__.bind(*args, **options)
        given.apply_defaults()
        self._options = given.arguments
        super().__init__(0, **given.arguments)  # type: ignore[call-arg]  # the layer's, which comes next in the order
        for name, p in self._parameters.items():
            setattr(self, name, UninitializedParameter(p.dtype))

    def reset_parameters(self) -> None:
        """Nothing: there are no weights yet, and nothing is drawn."""

    def forward(self, input: Tensor, *args: Any, **options: Any) -> Tensor:
        if input.ndim < max(-self._axis, self._axis + 1):
            raise ShapeError(f"{type(self).__name__} cannot read a width from an input of shape {tuple(input.shape)}")
        self._become(input.shape[self._axis])
        return self.forward(input, *args, **options)

    def _become(self, width: int) -> None:
        """Change into the layer for inputs of this width."""
        waiting = self._parameters
        if waiting:
            self._options["dtype"] = next(iter(waiting.values())).dtype
        layer = self.cls_to_become(width, **self._options)  # type: ignore[call-arg]
        for name, value in vars(layer).items():
            if name in waiting:
                waiting[name].become(value)
            else:
                setattr(self, name, value)
        del self._options
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def _before_loading(self, state: Mapping[str, Any], prefix: str) -> None:
        weight = state.get(f"{prefix}weight", state.get(f"{prefix}running_mean"))
        if weight is not None:
            self._become(weight.shape[self._axis_of_weight] * getattr(self, "groups", 1))


class LazyLinear(Lazy, Linear):
    """Linear whose ``in_features`` is the last axis of its first input.   (*, I) -> (*, O)"""

    cls_to_become, _axis, _axis_of_weight = Linear, -1, 1


class LazyConv1d(Lazy, Conv1d):
    """Conv1d whose ``in_channels`` is read from its first input.   (N, C, L) -> (N, O, OL)"""

    cls_to_become, _axis, _axis_of_weight = Conv1d, -2, 1


class LazyConv2d(Lazy, Conv2d):
    """Conv2d whose ``in_channels`` is read from its first input.   (N, C, H, W) -> (N, O, OH, OW)"""

    cls_to_become, _axis, _axis_of_weight = Conv2d, -3, 1


class LazyConv3d(Lazy, Conv3d):
    """Conv3d whose ``in_channels`` is read from its first input.   (N, C, D, H, W) -> (N, O, OD, OH, OW)"""

    cls_to_become, _axis, _axis_of_weight = Conv3d, -4, 1


class _LazyConvTranspose(Lazy):
    def _before_loading(self, state: Mapping[str, Any], prefix: str) -> None:
        if f"{prefix}weight" in state:
            self._become(len(state[f"{prefix}weight"]))  # (C, O/G, KH, KW): all channels


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """ConvTranspose1d whose ``in_channels`` is read from its first input.   (N, C, L) -> (N, O, OL)"""

    cls_to_become, _axis = ConvTranspose1d, -2


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """ConvTranspose2d whose ``in_channels`` is read from its first input.   (N, C, H, W) -> (N, O, OH, OW)"""

    cls_to_become, _axis = ConvTranspose2d, -3


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """ConvTranspose3d whose ``in_channels`` is read from its first input.   (N, C, D, H, W) -> (N, O, OD, OH, OW)"""

    cls_to_become, _axis = ConvTranspose3d, -4


class LazyBatchNorm1d(Lazy, BatchNorm1d):
    """BatchNorm1d whose ``num_features`` is read from its first input.   (N, C) or (N, C, L), result the same"""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(Lazy, BatchNorm2d):
    """BatchNorm2d whose ``num_features`` is read from its first input.   (N, C, H, W) -> (N, C, H, W)"""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(Lazy, BatchNorm3d):
    """BatchNorm3d whose ``num_features`` is read from its first input.   (N, C, D, H, W) -> (N, C, D, H, W)"""

    cls_to_become = BatchNorm3d


class _LazyInstanceNorm(Lazy):
    """As in torch, other than InstanceNorm it learns a scale and keeps running statistics unless told not to."""

    _defaults = {"affine": True, "track_running_stats": True}


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """InstanceNorm1d whose ``num_features`` is read from its first input.   (N, C, L) or (C, L), result the same"""

    cls_to_become, _axis = InstanceNorm1d, -2


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """InstanceNorm2d whose ``num_features`` is read from its first input.   (N, C, H, W) or (C, H, W), result the same"""

    cls_to_become, _axis = InstanceNorm2d, -3


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """InstanceNorm3d whose ``num_features`` is read from its first input.   (N, C, D, H, W), result the same"""

    cls_to_become, _axis = InstanceNorm3d, -4
