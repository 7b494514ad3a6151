"""What all optimisers share: groups of parameters, state for each parameter, saving and loading.

An optimiser is a rule for one array.  A subclass writes two methods: ``init(p, group)`` returns the
state that a parameter starts with, and ``update(p, g, state, group)`` takes one step, in place, along
the gradient ``g``.  Here is the loop that applies the rule to every parameter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.hooks import Handle
from npnn.modes import set_grad_enabled
from npnn.tensor import Tensor, _from_array

__all__ = ["Optimizer"]

# Options that must not be negative, as torch's errors call them.
_NOT_NEGATIVE = {"lr": "learning rate", "eps": "epsilon value"} | {
    name: f"{name} value"
    for name in "momentum weight_decay alpha rho lr_decay momentum_decay initial_accumulator_value".split()
}
# State that is one number for all elements of a parameter, or one for each row or column of a matrix (and the axis
# that it has not); all other state has the parameter's shape.
_NUMBERS = {"step": int, "mu_product": float, "eta": float, "mu": float}
_WITHOUT_AXIS = {"row_var": -1, "col_var": -2}


def _without_choices(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that also takes the arguments by which PyTorch chooses among its implementations.

    Errors: NotImplementedError for ``differentiable=True``: a step cannot be differentiated here.
    """

    @functools.wraps(init)
    def call(
        self: Any, *args: Any, foreach: bool | None = None, fused: bool | None = None, capturable: bool = False,
        differentiable: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        if differentiable:
            raise NotImplementedError("differentiable=True: a step changes weights in place, which is not recorded")
        init(self, *args, **options)

    return call


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step that calls the hooks that were registered, if any, before and after it."""

    @functools.wraps(step)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        if self._step_hooks is None or type(self).step is not call:  # not twice, if a subclass calls its parent's
            return step(self, *args, **options)
        for hook in list(self._step_hooks["pre"]):
            args, options = hook(self, args, options) or (args, options)
        result = step(self, *args, **options)
        for hook in list(self._step_hooks["post"]):
            hook(self, args, options)
        return result

    return call


class Optimizer:
    """Base class of all optimisers.

    ``params`` are Tensors, pairs (name, Tensor), or dicts: groups with options of their own, as in
    ``[{"params": body}, {"params": head, "lr": 1e-3}]``.  ``defaults`` holds the options of groups
    that do not set them.  ``param_groups`` lists the groups with all options, which may be changed
    at any time; ``state`` maps a parameter to its arrays and numbers.
    Errors: ValueError without parameters, for a parameter given twice, or for an invalid option;
    TypeError for something that is not a Tensor.
    """

    _step_hooks: dict[str, list[Any]] | None = None

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _without_choices(cls.__init__)  # type: ignore[method-assign]
        if "step" in vars(cls):
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, (Tensor, Mapping)):
            raise TypeError(f"params must be a list of Tensors or of dicts, got one {type(params).__name__}")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # ---- the rule

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter that was never updated."""
        return {}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change ``p`` and ``state`` in place: one step along the gradient ``g``."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def _register(self, when: str, hook: Callable[..., Any]) -> Handle:
        if self._step_hooks is None:
            self._step_hooks = {"pre": [], "post": []}
        self._step_hooks[when].append(hook)
        return Handle(self._step_hooks[when], hook)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; a pair that it returns replaces the arguments."""
        return self._register("pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._register("post", hook)

    @_with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        ``closure``, if given, computes the loss and its gradients anew; its result is returned.
        """
        loss = None
        if closure is not None:
            with set_grad_enabled(True):
                loss = closure()
        for group in self.param_groups:
            maximize = group.get("maximize", False)
            for parameter in group["params"]:
                gradient = parameter._grad
                if gradient is None:
                    continue
                p, g = parameter.array, gradient.array
                if g.shape != p.shape:
                    raise RuntimeError(f"a parameter of shape {p.shape} has a gradient of shape {g.shape}")
                state = self.state.get(parameter)
                if state is None:
                    state = self.state[parameter] = self.init(p, group)
                self.update(p, -g if maximize else g, state, group)
                parameter._mark_changed("an optimizer's step")
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; or fill them with zeros, which keeps the parameters in the next step."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    p._grad.array.fill(0)

    # ---- groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters, for example of a layer that is no longer frozen, with their own options."""
        group = {"params": None, **self.defaults, **param_group}
        given = group["params"]
        if isinstance(given, set):
            raise TypeError("parameters in a set have no fixed order: pass a list")
        items = [given] if isinstance(given, Tensor) else list(given)
        names = [item[0] for item in items if isinstance(item, tuple)]
        if names and len(names) != len(items):
            raise ValueError("either all parameters have names or none")
        if self.param_groups and bool(names) != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group with names to the "
                "optimizer, or one without names to an optimizer with names"
            )
        if names:
            group["param_names"] = names
        group["params"] = params = [item[1] if names else item for item in items]
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor: pass the tensor that it was computed from")
            if id(p) in taken:
                raise ValueError(f"some parameters appear more than once: one of shape {p.array.shape}")
            taken.add(id(p))
        if isinstance(group.get("lr"), Tensor):
            group["lr"] = group["lr"].item()
        _check_options(group)
        self.param_groups.append(group)

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {i: {...}}, "param_groups": [{..., "params": [i, ...]}]}``, i counting the parameters.

        Keys and layout are torch's.  The tensors share memory with the optimiser's own.
        """
        numbers = {p: i for i, p in enumerate(self._parameters())}
        state = {
            numbers[p]: {k: _from_array(v) if isinstance(v, np.ndarray) else v for k, v in entries.items()}
            for p, entries in self.state.items()
            if entries
        }
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state_dict of this kind of optimiser, of either framework.

        Errors: ValueError if the groups or the shapes are not those of the parameters; nothing is
        changed then.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"the state_dict has {len(saved)} parameter groups, the optimizer {len(self.param_groups)}"
            )
        for i, (old, new) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(old["params"]) != len(new["params"]):
                raise ValueError(
                    f"group {i} of the state_dict has {len(new['params'])} parameters, "
                    f"the optimizer's {len(old['params'])}"
                )
        numbers = [i for group in saved for i in group["params"]]
        state = {
            p: {name: _restored(name, value, p.array) for name, value in state_dict["state"][i].items()}
            for i, p in zip(numbers, self._parameters(), strict=True)
            if i in state_dict["state"]
        }
        self.state = state
        self.param_groups = [
            {**old, **new, "params": old["params"]} for old, new in zip(self.param_groups, saved, strict=True)
        ]

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _check_options(group: dict[str, Any]) -> None:
    for name, what in _NOT_NEGATIVE.items():
        if name in group and not isinstance(group[name], tuple) and not group[name] >= 0:
            raise ValueError(f"Invalid {what}: {group[name]}")
    if group.get("rho", 0) > 1:
        raise ValueError(f"Invalid rho value: {group['rho']}")
    for i, beta in enumerate(group.get("betas", ())):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    if group.get("nesterov") and "dampening" in group and (group["momentum"] <= 0 or group["dampening"] != 0):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")


def _restored(name: str, value: Any, p: NDArray[Any]) -> Any:
    """One saved entry as this optimiser keeps it: a number, or an array in the memory order of ``p``."""
    if value is None:
        return None
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if name in _NUMBERS:
        return _NUMBERS[name](array)
    like = p
    if name in _WITHOUT_AXIS and p.ndim > 1:
        like = np.empty_like(p.take([0], axis=_WITHOUT_AXIS[name]))
    if array.shape != like.shape:
        raise ValueError(f"{name} in the state_dict has shape {array.shape}, its parameter {p.shape}")
    own = np.empty_like(like)
    np.copyto(own, array, casting="same_kind")
    return own
