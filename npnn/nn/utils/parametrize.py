"""A parameter that is computed from others: ``module.weight`` is then a function of what is trained.

    register_parametrization(layer, "weight", Symmetric())    # layer.weight is Symmetric()(what the optimiser sees)

The module gets a child ``parametrizations``, in which the trained tensors are called ``original`` (or
``original0``, ``original1``, where there are several), and a class of its own whose ``weight`` is computed
whenever it is asked for.
"""

from __future__ import annotations

from typing import Any

from npnn.modes import no_grad
from npnn.nn.container import ModuleDict
from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor

__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]


class ParametrizationList(Module):
    """The steps from the trained tensors to the parameter that a layer uses, each a Module, one after the other."""

    def __init__(self, first: Module, original: Tensor):
        values = first.right_inverse(original) if hasattr(first, "right_inverse") else original
        self.several = isinstance(values, tuple)
        for i, value in enumerate(values) if self.several else [("", values)]:
            trained = original.requires_grad and value.array.dtype.kind == "f"
            setattr(self, f"original{i}", Parameter(value.detach(), requires_grad=trained))
        self.add_module("0", first)

    @property
    def steps(self) -> list[Any]:
        return [m for name, m in self.named_children() if name.isdecimal()]

    def originals(self) -> list[Parameter]:
        """What is trained."""
        return [p for _, p in self.named_parameters(recurse=False)]

    def forward(self) -> Tensor:
        first, *rest = self.steps
        value = first(*self.originals())
        for step in rest:
            value = step(value)
        return value  # type: ignore[no-any-return]

    def assign(self, value: Tensor) -> None:
        """Set what is trained so that the parameter is ``value``, which must be reachable.

        Errors: RuntimeError for a step that has no right_inverse.
        """
        with no_grad():
            inverse: Any = value.detach()
            for step in reversed(self.steps):
                if not hasattr(step, "right_inverse"):
                    raise RuntimeError(f"{type(step).__name__} has no right_inverse: its result cannot be assigned")
                inverse = step.right_inverse(inverse)
            for original, new in zip(self.originals(), inverse if self.several else (inverse,), strict=True):
                original.copy_(new)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """From now on ``module.<tensor_name>`` is ``parametrization`` of what was there, which goes on being trained.

    Its method ``right_inverse``, if there is one, says what to train so that the parameter starts as it was.
    Errors: ValueError if the module has no such parameter, or a step would change its shape or dtype unless ``unsafe``.
    """
    if is_parametrized(module, tensor_name):
        steps = module.parametrizations[tensor_name]  # type: ignore[attr-defined]
        steps.add_module(str(len(steps.steps)), parametrization)
        return module
    original = vars(module).get(tensor_name)
    if not isinstance(original, Parameter):
        raise ValueError(f"{module._get_name()} has no parameter {tensor_name!r}")
    steps = ParametrizationList(parametrization, original)
    with no_grad():
        value = steps()
    if not unsafe and (value.array.shape, value.array.dtype) != (original.array.shape, original.array.dtype):
        raise ValueError(
            f"the parametrization makes {tensor_name} of shape {value.shape} and {value.dtype}, "
            f"it was {original.shape} and {original.dtype}"
        )
    if not is_parametrized(module):
        module.__class__ = type(f"Parametrized{type(module).__name__}", (type(module),), {"_plain": type(module)})
        module.parametrizations = ModuleDict()  # type: ignore[attr-defined]
    delattr(module, tensor_name)
    setattr(type(module), tensor_name, _computed(tensor_name))
    module.parametrizations[tensor_name] = steps  # type: ignore[attr-defined]
    return module


def _computed(name: str) -> property:
    return property(
        lambda self: self.parametrizations[name](), lambda self, value: self.parametrizations[name].assign(value)
    )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """True if a parameter (the named one) of the module is computed from others."""
    found = vars(module).get("parametrizations")
    return found is not None and (tensor_name is None or tensor_name in found)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make ``module.<tensor_name>`` a parameter again: as it is now, or, if not ``leave_parametrized``, the original.

    Errors: ValueError if it is not computed from others, or there are several originals to choose from.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{module._get_name()} has no parametrization of {tensor_name!r}")
    steps: Any = module.parametrizations[tensor_name]  # type: ignore[attr-defined]
    if not leave_parametrized and steps.several:
        raise ValueError("cannot leave what several tensors are trained for: leave_parametrized=True")
    value = steps() if leave_parametrized else steps.originals()[0]
    trained = any(p.requires_grad for p in steps.originals())
    del module.parametrizations[tensor_name]  # type: ignore[attr-defined]
    delattr(type(module), tensor_name)
    if not len(module.parametrizations):  # type: ignore[attr-defined]
        module.__class__ = type(module)._plain  # type: ignore[attr-defined]
        delattr(module, "parametrizations")
    setattr(module, tensor_name, Parameter(value.detach(), requires_grad=trained))
    return module
