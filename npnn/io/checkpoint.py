"""Checkpoints: everything that a run needs to go on, in one safetensors file.

A checkpoint is a dict, with whatever is in it: state_dicts of models, optimisers and schedules, the
states of random generators, epoch, history, configuration.  Its arrays become the tensors of the
file, under the path that leads to them (``model.0.weight``, ``optimizer.state.0.exp_avg``), and so do
long lists of numbers (``history.train_loss``); the rest is JSON in the file's metadata.  All come back
bit for bit.

    save_checkpoint({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3,
                     "random": npnn.get_rng_state()}, "run.safetensors")

    saved = load_checkpoint("run.safetensors")
    model.load_state_dict(saved["model"])           # of a torch model: to_torch(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    npnn.set_rng_state(saved["random"])
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import CheckpointError
from npnn.io.torch_interop import as_array
from npnn.io.weights import read, save_file

__all__ = ["keep_last", "load_checkpoint", "save_checkpoint"]

_LOOK_AT = 5

# JSON has no arrays of ours, no tuples, and no keys that are numbers; each is a dict with one of these keys.
_ARRAY, _TUPLE, _PAIRS = "$array", "$tuple", "$pairs"
# So is a long list, of numbers (kept as an array) or of dicts with the same keys (kept as a dict of lists).
_NUMBERS, _ROWS = "$numbers", "$rows"
_LONG = 32
_DTYPES = {float: np.float64, int: np.int64, bool: np.bool_}


def save_checkpoint(checkpoint: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write nested dicts, lists and tuples of arrays, tensors, numbers, strings and None, atomically.

    Errors: TypeError for anything else, naming where it is; OSError if the disk refuses, and then
    the checkpoint that was there before still is.
    """
    arrays: dict[str, NDArray[Any]] = {}
    tree = _pack(checkpoint, "", arrays)
    save_file(arrays, path, {"checkpoint": json.dumps(tree)})


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The dict that save_checkpoint was given, with NumPy arrays where there were arrays or tensors.

    Errors: CheckpointError if the file is missing, damaged or no checkpoint; its reason then names
    the newest checkpoint of the same folder that is sound, if it is among the newest five files.
    """
    try:
        return _load(path)
    except CheckpointError as error:
        for other in reversed(_by_age(Path(path).parent, f"*{Path(path).suffix}")[-_LOOK_AT:]):
            if other.name != Path(path).name and _is_sound(other):
                raise CheckpointError(path, f"{error.reason}; {other} is sound") from error
        raise


def keep_last(folder: str | os.PathLike[str], k: int, pattern: str = "*.safetensors") -> list[Path]:
    """Delete all but the ``k`` newest files of ``folder`` that match ``pattern``; returns those, oldest first."""
    if k < 1:
        raise ValueError(f"at least one file must be kept, got k={k}")
    files = _by_age(Path(folder), pattern)
    for old in files[:-k]:
        old.unlink(missing_ok=True)  # another process may keep this folder short as well
    return files[-k:]


def _load(path: str | os.PathLike[str]) -> dict[str, Any]:
    arrays, metadata = read(path)
    if "checkpoint" not in metadata:
        raise CheckpointError(path, "it holds weights, but no checkpoint: read it with load_file")
    try:
        tree = json.loads(metadata["checkpoint"], object_hook=lambda node: _unpack(node, arrays))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(path, f"it holds no tree that save_checkpoint wrote ({error})") from error
    if not isinstance(tree, dict):
        raise CheckpointError(path, f"it holds a {type(tree).__name__} instead of a dict")
    return tree


def _is_sound(path: Path) -> bool:
    try:
        _load(path)
    except CheckpointError:
        return False
    return True


def _by_age(folder: Path, pattern: str) -> list[Path]:
    return sorted((p for p in folder.glob(pattern) if p.is_file()), key=lambda p: (p.stat().st_mtime_ns, p.name))


def _pack(tree: Any, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """The tree as JSON can hold it; its arrays go to ``arrays``."""

    def child(key: Any, value: Any) -> Any:
        return _pack(value, f"{path}.{key}" if path else str(key), arrays)

    tree = as_array(tree)
    if isinstance(tree, np.generic):
        tree = tree.item()
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, np.ndarray):
        while path in arrays:  # {"a.b": x, "a": {"b": y}}
            path += "'"
        arrays[path] = tree
        return {_ARRAY: path}
    if isinstance(tree, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in tree):
            return {key: child(key, value) for key, value in tree.items()}
        return {_PAIRS: [[_pack(key, path, arrays), child(key, value)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        items = _pack_long(list(tree), path, arrays) or [child(i, value) for i, value in enumerate(tree)]
        return {_TUPLE: items} if isinstance(tree, tuple) else items
    raise TypeError(
        f"a checkpoint holds arrays, numbers, strings, None, and dicts, lists and tuples of them; "
        f"{path or 'it'} is a {type(tree).__name__}"
    )


def _pack_long(items: list[Any], path: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """A long list of numbers, of lists of numbers, or of records, so that it takes no room in the tree."""
    if len(items) < _LONG:
        return None
    dtype = _DTYPES.get(_kind(items))  # type: ignore[arg-type]
    if dtype is not None:
        try:
            return {_NUMBERS: _pack(np.array(items, dtype), path, arrays)}
        except (ValueError, OverflowError):  # rows of unequal length; beyond 64 bits
            return None
    names = list(items[0]) if isinstance(items[0], dict) else []
    if names and all(isinstance(item, dict) and list(item) == names for item in items):
        return {_ROWS: _pack({name: [item[name] for item in items] for name in names}, path, arrays)}
    return None


def _kind(items: list[Any]) -> type | None:
    """The one type of all that is in a list, or in the lists in it."""
    kinds = {_kind(item) if isinstance(item, list) else type(item) for item in items}
    return kinds.pop() if len(kinds) == 1 else None


def _unpack(node: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What a dict of the tree stands for; the dicts in it are unpacked already."""
    if _ARRAY in node:
        return arrays[node[_ARRAY]]
    if _TUPLE in node:
        return tuple(node[_TUPLE])
    if _PAIRS in node:
        return dict(node[_PAIRS])
    if _NUMBERS in node:
        return node[_NUMBERS].tolist()
    if _ROWS in node:
        return [dict(zip(node[_ROWS], row, strict=True)) for row in zip(*node[_ROWS].values(), strict=True)]
    return node
