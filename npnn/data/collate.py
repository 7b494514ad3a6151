"""How single samples become a batch: tensors and arrays are stacked, numbers become tensors, containers keep their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.tensor import Tensor, of_array

__all__ = ["default_collate", "default_convert"]


def default_convert(data: Any) -> Any:
    """Arrays as tensors, in containers too; what is neither stays as it is."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "fiub":
        return of_array(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[default_convert(value) for value in data])
    if isinstance(data, (list, tuple)):
        return [default_convert(value) for value in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples of one form, put together along a new first axis.

    Tensors and arrays are stacked; floats become float64, integers int64; strings stay a list; a dict, a
    named tuple, a tuple or a list of such gives one of batches.
    Errors: RuntimeError for samples of unequal shapes or lengths; TypeError for another type.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        _same_shape([t.array.shape for t in batch])
        return of_array(np.stack([t.array for t in batch]))
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "OSU":
            raise TypeError(
                f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {first.dtype}"
            )
        _same_shape([np.shape(a) for a in batch])
        return of_array(np.stack([dtypes.as_array(a) for a in batch]))
    if isinstance(first, np.generic):
        return of_array(np.stack(list(batch)))
    if isinstance(first, float):
        return of_array(np.array(batch, np.float64))
    if isinstance(first, (bool, int)):
        return of_array(np.array(batch, np.bool_ if isinstance(first, bool) else np.int64))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*[default_collate(field) for field in zip(*batch, strict=True)])
    if isinstance(first, (list, tuple)):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(field) for field in zip(*batch, strict=True)]
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}: give the loader a collate_fn"
    )


def _same_shape(shapes: list[tuple[int, ...]]) -> None:
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    if odd is not None:
        raise RuntimeError(
            f"stack expects each tensor to be equal size, but got {list(shapes[0])} at entry 0 "
            f"and {list(shapes[odd])} at entry {odd}"
        )
