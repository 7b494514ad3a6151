"""What the words among an estimator's parameters stand for: layers, an optimiser, a schedule; and what is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any

from npnn import nn, optim
from npnn.optim import lr_scheduler

__all__ = ["check_parameters", "look_up", "make_model", "make_optimizer", "make_schedule", "set_decay"]

ACTIVATIONS = {
    "elu": nn.ELU, "gelu": nn.GELU, "identity": nn.Identity, "leaky_relu": nn.LeakyReLU, "logistic": nn.Sigmoid,
    "mish": nn.Mish, "relu": nn.ReLU, "selu": nn.SELU, "silu": nn.SiLU, "tanh": nn.Tanh,
}  # fmt: skip
SOLVERS = {
    solver.__name__.lower(): solver
    for solver in (
        optim.Adadelta, optim.Adagrad, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.RMSprop,
        optim.SGD,
    )
}  # fmt: skip
SCHEDULES = ("adaptive", "constant", "cosine", "one_cycle")
DTYPES = ("auto", "float32", "float64")

#: Parameter -> its kind of number, the condition, and the condition in words.  Layers and losses check their own.
_NUMBERS: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "alpha": (Real, lambda v: 0 <= v < math.inf, "a number of at least 0"),
    "learning_rate_init": (Real, lambda v: 0 < v < math.inf, "a positive number"),
    "max_iter": (Integral, lambda v: v >= 1, "a whole number of at least 1"),
    "tol": (Real, lambda v: v >= 0, "a number of at least 0"),
    "momentum": (Real, lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "label_smoothing": (Real, lambda v: 0 <= v <= 1, "a number from 0 to 1"),
    "validation_fraction": (Real, lambda v: 0 < v < 1, "a number between 0 and 1"),
    "n_iter_no_change": (
        Real,
        lambda v: v >= 1 and (v == math.inf or v % 1 == 0),
        "a whole number of at least 1, or inf",
    ),
}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what is out of range before any work is done.  Errors: ValueError naming the parameter."""
    for name, (kind, holds, words) in _NUMBERS.items():
        value = parameters.get(name)
        if name in parameters and not (isinstance(value, kind) and holds(value)):
            raise ValueError(f"{name} must be {words}, got {value!r}")
    size = parameters["batch_size"]
    if size != "auto" and not (isinstance(size, Integral) and int(size) >= 1):
        raise ValueError(f"batch_size must be 'auto' or a whole number of at least 1, got {size!r}")
    if parameters["dtype"] not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {parameters['dtype']!r}")
    schedule = parameters["learning_rate"]
    if schedule not in SCHEDULES and not callable(schedule):
        raise ValueError(f"learning_rate must be one of {', '.join(SCHEDULES)}, or a function, got {schedule!r}")


def look_up(table: Mapping[str, Any], value: Any, parameter: str) -> Any:
    """What the word stands for; a function or class stands for itself.  Errors: ValueError listing the words."""
    if callable(value):
        return value
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{parameter} must be one of {', '.join(table)}, or a function, got {value!r}")
    return table[value]


# ---- the network


def make_model(parameters: Mapping[str, Any], n_features: int, n_outputs: int) -> nn.Module:
    """The network: ``module`` if there is one (a copy, or what the function returns), else an MLP.

    Errors: TypeError for a module that is none; ValueError for sizes that are no whole numbers.
    """
    module = parameters["module"]
    if isinstance(module, nn.Module):
        return copy.deepcopy(module)
    if module is not None:
        model = module(n_features, n_outputs) if callable(module) else module
        if not isinstance(model, nn.Module):
            raise TypeError(
                "module must be an npnn.nn.Module or a function of (n_features, n_outputs) that returns one, "
                f"got {type(model).__name__}"
            )
        return model
    return _mlp(parameters, n_features, n_outputs)


def _mlp(parameters: Mapping[str, Any], n_features: int, n_outputs: int) -> nn.Module:
    sizes = parameters["hidden_layer_sizes"]
    sizes = [sizes] if isinstance(sizes, Integral) else list(sizes)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be whole numbers of at least 1, got {sizes}")
    activation = look_up(ACTIVATIONS, parameters["activation"], "activation")
    layers: list[nn.Module] = []
    for size in map(int, sizes):
        layers += [nn.Linear(n_features, size), activation()]
        if parameters["dropout"]:
            layers.append(nn.Dropout(parameters["dropout"]))
        n_features = size
    return nn.Sequential(*layers, nn.Linear(n_features, n_outputs))


# ---- the optimiser and its schedule


def make_optimizer(parameters: Mapping[str, Any], model: nn.Module) -> optim.Optimizer:
    """The optimiser.  Errors: ValueError for a network without parameters."""
    solver = look_up(SOLVERS, parameters["solver"], "solver")
    if solver is optim.SGD:
        momentum = float(parameters["momentum"])
        solver = partial(solver, momentum=momentum, nesterov=bool(parameters["nesterovs_momentum"] and momentum))
    groups = optim.param_groups(model)
    if not groups:
        raise ValueError("the module has no parameters to train")
    return solver(groups, lr=float(parameters["learning_rate_init"]))


def set_decay(optimizer: optim.Optimizer, weight_decay: float) -> None:
    """Give the group of the weights this decay, and that of biases and scales none."""
    for group in optimizer.param_groups:
        group["weight_decay"] = weight_decay if group["params"][0].ndim > 1 else 0.0


def make_schedule(parameters: Mapping[str, Any], optimizer: optim.Optimizer, steps_per_epoch: int) -> dict[str, Any]:
    """The Trainer's arguments for the schedule: what it is, and whether it is stepped per epoch or per step."""
    name, epochs, rate = parameters["learning_rate"], int(parameters["max_iter"]), optimizer.param_groups[0]["lr"]
    if callable(name):
        return {"scheduler": name(optimizer)}
    if name == "cosine":
        return {"scheduler": lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)}
    if name == "one_cycle":
        steps = epochs * steps_per_epoch
        cycle = lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, cycle_momentum=False)
        return {"scheduler": cycle, "schedule_per": "step"}
    return {}
