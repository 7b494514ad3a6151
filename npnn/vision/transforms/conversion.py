"""From a picture to a tensor and back, and the numbers in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.tensor import Tensor, _from_array, of_array
from npnn.vision.transforms.pixels import Transform

__all__ = ["ConvertImageDtype", "Normalize", "PILToTensor", "ToPILImage", "ToTensor"]


class ToTensor(Transform):
    """A PIL image or an array (H, W, C) of bytes as a tensor (C, H, W) of float32 in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        array = np.asarray(pic)
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * 255
        if array.dtype == np.uint8:
            return _from_array(np.divide(np.ascontiguousarray(array), np.float32(255), dtype=np.float32))
        return of_array(np.ascontiguousarray(array))


class PILToTensor(Transform):
    """A PIL image as a tensor (C, H, W) of its bytes."""

    def __call__(self, pic: Any) -> Tensor:
        array = np.asarray(pic)
        return of_array(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


class ToPILImage(Transform):
    """A tensor (C, H, W), or an array (H, W, C), as a PIL image; floats in [0, 1] become bytes."""

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        from PIL import Image

        array = pic.detach().numpy() if isinstance(pic, Tensor) else np.asarray(pic)
        if isinstance(pic, Tensor):
            array = array.transpose(1, 2, 0) if array.ndim == 3 else array[..., None]
            if array.dtype.kind == "f" and self.mode != "F":
                array = (array * array.dtype.type(255)).astype(np.uint8)
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        return Image.fromarray(np.ascontiguousarray(array))


class ConvertImageDtype(Transform):
    """Bytes as floats in [0, 1] and back."""

    def __init__(self, dtype: Any):
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        if image.array.dtype == np.uint8 and self.dtype.is_floating_point:
            return image.to(self.dtype) / 255
        if image.array.dtype.kind == "f" and not self.dtype.is_floating_point:
            return (image * (255 + 1 - 1e-3)).to(self.dtype)
        return image.to(self.dtype)


class Normalize(Transform):
    """(x - mean) / std, channel by channel.   Errors: TypeError for a PIL image, ValueError for a std of 0."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False):
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, tensor: Any) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        x = tensor.array
        if x.dtype.kind != "f":
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        mean, std = (np.asarray(v, x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if (std == 0).any():
            raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
        if self.inplace:
            return tensor.sub_(of_array(mean)).div_(of_array(std))
        return _from_array((x - mean) / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"
