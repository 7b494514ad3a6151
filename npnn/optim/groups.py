"""Which parameters of a model weight decay should leave alone."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["param_groups"]


def param_groups(model: Any, no_decay: str | type | Iterable[str | type] | None = None) -> list[dict[str, Any]]:
    """The model's parameters in two groups for an optimiser: with weight decay, and with ``weight_decay=0``.

        optimizer = AdamW(param_groups(model), lr=1e-3, weight_decay=0.1)

    Decay keeps a layer's outputs small by keeping its weights small; a bias, or the scale of a
    normalisation, only shifts or sets that size.  So without ``no_decay`` all parameters of fewer than two
    axes are spared.  Otherwise those are that it describes: a name ("bias", or "norm" for all under a
    layer of that name), a pattern for the whole path ("encoder.*.bias"), or a class of layers.
    ``model`` may be a torch model, too.  A group without parameters is left out.
    Errors: ValueError for a name or a class that describes no parameter.
    Source: Goodfellow, Bengio & Courville, Deep Learning, 2016, section 7.1 (why biases are left out).
    """
    named = list(model.named_parameters())
    if no_decay is None:
        spared = {id(p) for _, p in named if p.ndim < 2}
    else:
        entries = [no_decay] if isinstance(no_decay, (str, type)) else no_decay
        spared = {i for entry in entries for i in _described(entry, model, named)}
    groups: list[dict[str, Any]] = [
        {"params": [(name, p) for name, p in named if id(p) not in spared]},
        {"params": [(name, p) for name, p in named if id(p) in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _described(entry: Any, model: Any, named: list[tuple[str, Any]]) -> set[int]:
    if isinstance(entry, str):
        found = {id(p) for name, p in named if entry in name.split(".") or fnmatchcase(name, entry)}
    else:
        found = {id(p) for module in model.modules() if isinstance(module, entry) for p in module.parameters()}
    if not found:
        what = repr(entry) if isinstance(entry, str) else entry.__name__
        raise ValueError(f"no_decay: {what} describes none of the parameters {', '.join(name for name, _ in named)}")
    return found
