"""Questions to a model that need no gradient: who knows its layers and parameters, and which mode are they in?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from npnn.testing.finding import Finding
from npnn.train.patient import Patient

__all__ = ["examine_modes", "examine_parameters", "examine_registration"]


def examine_registration(model: Any) -> Iterator[Finding]:
    """Layers and parameters in a plain list, tuple or dict."""
    for where, part in _unregistered(model):
        kind = "layer" if hasattr(part, "named_parameters") else "parameter"
        container = "nn.ModuleList or nn.ModuleDict" if kind == "layer" else "nn.ParameterList or nn.ParameterDict"
        yield Finding(
            "not registered", where,
            f"a {kind} in a plain list or dict is not part of the model: it is neither trained nor saved, and eval() "
            f"does not reach it; use {container}",
        )  # fmt: skip


def _unregistered(model: Any) -> list[tuple[str, Any]]:
    modules, parameters = {id(m) for m in model.modules()}, {id(p) for p in model.parameters()}
    known = modules | parameters
    found: dict[int, tuple[str, Any]] = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") or not isinstance(value, (list, tuple, Mapping)):
                continue
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, part in items:
                is_part = hasattr(part, "named_parameters") or type(part).__name__ == "Parameter"
                if is_part and id(part) not in known:
                    found.setdefault(id(part), (".".join(filter(None, (path, f"{name}[{key!r}]"))), part))
    return list(found.values())


def examine_parameters(model: Any, loss: Any, optimizer: Any, backend: Any) -> Iterator[Finding]:
    """Does the optimiser hold what the model has, and are the gradients gone?"""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    own = {id(p) for p in named.values()}
    if hasattr(loss, "parameters"):
        own |= {id(p) for p in loss.parameters()}
    own |= {
        id(p)
        for _, part in _unregistered(model)
        for p in (part.parameters() if hasattr(part, "parameters") else [part])
    }
    strange = held - own
    if strange and not held & own:
        yield Finding(
            "other parameters", "optimizer",
            "the optimiser holds none of the model's parameters: it was built for another model, or before the "
            "parameters were replaced; build it after the model is as it stays",
        )  # fmt: skip
        return
    if strange:
        yield Finding(
            "other parameters", "optimizer",
            f"{len(strange)} of the optimiser's parameters are not the model's: they were replaced after it was built",
        )  # fmt: skip
    for name, p in named.items():
        if p.requires_grad and id(p) not in held:
            yield Finding("not trained", name, "it wants a gradient, and the optimiser does not hold it")
    left = [n for n, p in named.items() if p.grad is not None and np.any(backend.array(p.grad))]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield Finding(
            "gradients left", left[0] + more,
            "there are gradients already, to which the next backward adds: call optimizer.zero_grad() in each step",
        )  # fmt: skip


def examine_modes(model: Any, patient: Patient) -> Iterator[Finding]:
    """Is everything in training mode now, and does eval() reach it?"""
    if not model.training:
        yield Finding(
            "mode", "model",
            "it is in evaluation mode: dropout does nothing, and batch normalisation learns no statistics; model.train()",
        )  # fmt: skip
    elif any(not m.training for m in model.modules()):
        name = next(n for n, m in model.named_modules() if not m.training)
        if any(p.requires_grad for p in dict(model.named_modules())[name].parameters()):
            yield Finding("mode", name, "it is in evaluation mode while the model is in training mode: model.train()")
    for training, call in ((False, "eval()"), (True, "train()")):
        patient.model.train(training)
        for name, module in patient.model.named_modules():
            if module.training is not training:
                yield Finding(
                    "mode", name or "model", f"model.{call} does not reach it: call super().train(mode) in train"
                )
                return
