"""weight_norm and spectral_norm in their older form: a hook computes the weight before each forward.

The trained tensors lie beside the weight, as ``weight_g`` and ``weight_v``, or ``weight_orig``.
"""

from __future__ import annotations

from typing import Any

from npnn.modes import no_grad
from npnn.nn.module import Module, Parameter
from npnn.nn.utils import parametrizations as new
from npnn.ops.linalg import mv
from npnn.ops.reductions import sum as total
from npnn.tensor import Tensor

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Computed:
    """What both share: the parameter gives way to trained ones, and is computed from them before each forward."""

    def __init__(self, module: Module, name: str):
        self.name = name
        if any(isinstance(h, _Computed) and h.name == name for h in vars(module).get("_computed", ())):
            raise RuntimeError(f"{name} is computed by a hook already")
        weight = vars(module).get(name)
        if not isinstance(weight, Parameter):
            raise ValueError(f"{module._get_name()} has no parameter {name!r}")
        delattr(module, name)
        self.start(module, weight)
        self(module, None)
        self.handle = module.register_forward_pre_hook(self)
        module._computed = [*vars(module).get("_computed", ()), self]  # type: ignore[attr-defined]

    def start(self, module: Any, weight: Parameter) -> None:
        raise NotImplementedError

    def value(self, module: Any, training: bool) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Any, args: Any) -> None:
        setattr(module, self.name, self.value(module, module.training))

    @classmethod
    def remove(cls, module: Any, name: str, *suffixes: str) -> Any:
        """Make the weight a parameter again, as it is now.  Errors: ValueError if there is no such hook."""
        for hook in vars(module).get("_computed", ()):
            if isinstance(hook, cls) and hook.name == name:
                with no_grad():
                    weight = hook.value(module, False)
                hook.handle.remove()
                module._computed.remove(hook)
                for suffix in ("", *suffixes):
                    delattr(module, name + suffix)
                module._buffer_names = tuple([n for n in module._buffer_names if n in vars(module)])
                setattr(module, name, Parameter(weight.detach()))
                return module
        raise ValueError(f"{cls.__name__.strip('_')} of {name!r} not found in {module}")


class _WeightNorm(_Computed):
    def __init__(self, module: Module, name: str, dim: int | None):
        self.dim = dim
        super().__init__(module, name)

    def start(self, module: Any, weight: Parameter) -> None:
        setattr(module, f"{self.name}_g", Parameter(new.norm_except(weight, self.dim).detach()))
        setattr(module, f"{self.name}_v", Parameter(weight.detach()))

    def value(self, module: Any, training: bool) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / new.norm_except(v, self.dim))  # type: ignore[no-any-return]


class _SpectralNorm(_Computed):
    def __init__(self, module: Module, name: str, steps: int, eps: float, dim: int | None):
        self.steps, self.eps, self.dim = steps, eps, new.spectral_axis(module, dim)
        super().__init__(module, name)

    def start(self, module: Any, weight: Parameter) -> None:
        u, v = new.start_vectors(new.rows_first(weight.detach(), self.dim), self.eps)
        setattr(module, f"{self.name}_orig", weight)
        module.register_buffer(f"{self.name}_u", u)
        module.register_buffer(f"{self.name}_v", v)

    def __call__(self, module: Any, args: Any) -> None:
        if args is None:  # at the start the weight stays as it is
            setattr(module, self.name, getattr(module, f"{self.name}_orig").detach())
        else:
            super().__call__(module, args)

    def value(self, module: Any, training: bool) -> Tensor:
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = new.rows_first(weight, self.dim)
        if training:
            new.power_iteration(matrix.detach(), u, v, self.steps, self.eps, False)
        return weight / total(u.clone() * mv(matrix, v.clone()))  # type: ignore[no-any-return]


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / ‖v‖, with g and v trained as ``<name>_g`` and ``<name>_v``: see parametrizations.weight_norm."""
    _WeightNorm(module, name, dim)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again.  Errors: ValueError if weight_norm was not applied."""
    return _WeightNorm.remove(module, name, "_g", "_v")  # type: ignore[no-any-return]


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """w / σ(W), with w trained as ``<name>_orig``: see parametrizations.spectral_norm."""
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations must be at least 1, got {n_power_iterations}")
    _SpectralNorm(module, name, n_power_iterations, eps, dim)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again.  Errors: ValueError if spectral_norm was not applied."""
    return _SpectralNorm.remove(module, name, "_orig", "_u", "_v")  # type: ignore[no-any-return]
