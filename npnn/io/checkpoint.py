"""Checkpoints: everything that a run needs to go on, in one safetensors file.

A checkpoint is a dict, with whatever is in it: state_dicts of models, optimisers and schedules, the
states of random generators, epoch, history, configuration.  Its arrays become the tensors of the
file, under the path that leads to them (``model.0.weight``, ``optimizer.state.0.exp_avg``); the rest is
JSON in the file's metadata.  Both come back bit for bit.

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

# JSON has no arrays of ours, no tuples, and no keys that are numbers; each is a dict with one of these keys.
_ARRAY, _TUPLE, _PAIRS = "$array", "$tuple", "$pairs"


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
    the newest checkpoint of the same folder that is sound.
    """
    try:
        return _load(path)
    except CheckpointError as error:
        for other in reversed(_by_age(Path(path).parent, f"*{Path(path).suffix}")):
            if other.name != Path(path).name and _is_sound(other):
                raise CheckpointError(path, f"{error.reason}; {other} is sound") from error
        raise


def keep_last(folder: str | os.PathLike[str], k: int, pattern: str = "*.safetensors") -> list[Path]:
    """Delete all but the ``k`` newest files of ``folder`` that match ``pattern``; returns those, oldest first."""
    if k < 1:
        raise ValueError(f"at least one file must be kept, got k={k}")
    files = _by_age(Path(folder), pattern)
    for old in files[:-k]:
        old.unlink()
    return files[-k:]


def _load(path: str | os.PathLike[str]) -> dict[str, Any]:
    arrays, metadata = read(path)
    if "checkpoint" not in metadata:
        raise CheckpointError(path, "it holds weights, but no checkpoint: read it with load_file")
    return _unpack(json.loads(metadata["checkpoint"]), arrays)


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
        items = [child(i, value) for i, value in enumerate(tree)]
        return {_TUPLE: items} if isinstance(tree, tuple) else items
    raise TypeError(
        f"a checkpoint holds arrays, numbers, strings, None, and dicts, lists and tuples of them; "
        f"{path or 'it'} is a {type(tree).__name__}"
    )


def _unpack(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(tree, list):
        return [_unpack(value, arrays) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if _ARRAY in tree:
        return arrays[tree[_ARRAY]]
    if _TUPLE in tree:
        return tuple(_unpack(value, arrays) for value in tree[_TUPLE])
    if _PAIRS in tree:
        return {_unpack(key, arrays): _unpack(value, arrays) for key, value in tree[_PAIRS]}
    return {key: _unpack(value, arrays) for key, value in tree.items()}
