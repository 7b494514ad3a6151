"""Initial weights.  A layer learns if signals keep their size on the way through it, and gradients on the way back.

Every function fills a tensor in place and returns it, drawing as torch does (``npnn.random``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import random
from npnn.modes import no_grad
from npnn.tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


def _fill(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(values)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Evenly between a and b: mean (a + b)/2, variance (b - a)²/12."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Every element from the normal distribution N(mean, std²)."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """The normal distribution on the condition that the value lies in [a, b].

    Where the interval is likely (more than 0.3), what falls outside is drawn again from the normal
    distribution.  Else uniform candidates between a and b are accepted in proportion to their density.
    """
    with no_grad():
        inside = (1 + math.erf((b - mean) / std / math.sqrt(2))) / 2 - (
            1 + math.erf((a - mean) / std / math.sqrt(2))
        ) / 2
        draws = generator or random.generator()
        x = np.empty_like(tensor.array)
        if inside > 0.3:
            low, high = x.dtype.type(a), x.dtype.type(b)
            draws.normal_(x, mean, std)
            while (outside := (x < low) | (x > high)).any():
                x = np.where(outside, draws.normal_(np.empty_like(x), mean, std), x)
        else:
            of = x.dtype.type
            peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
            pending = np.ones(x.shape, bool)
            while pending.any():
                candidates = draws.uniform_(np.empty_like(x), a, b)
                x = np.where(pending, candidates, x)
                height = ((candidates - of(mean)) / of(std)) ** 2 * of(-0.5) - of(peak)
                with np.errstate(divide="ignore"):
                    pending &= np.log(draws.uniform_(np.empty_like(x))) > height
        return tensor.copy_(x)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element ``val``, in place."""
    return _fill(tensor, float(val))


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1, in place."""
    return _fill(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0, in place."""
    return _fill(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: a linear layer that passes its input on."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_ needs a matrix, got shape {tensor.array.shape}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its input on: 1 at the centre of channel i of filter i, per group."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_ needs convolution weights of 3 to 5 axes, got shape {tensor.array.shape}")
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: {tensor.shape[0]} output channels cannot be split into {groups} groups")
    values = np.zeros(tensor.shape)
    per_group = tensor.shape[0] // groups
    centre = [n // 2 for n in tensor.shape[2:]]
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            at = (group * per_group + channel, channel, *centre)
            values[at] = 1
    return _fill(tensor, values)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input reaches.  weight (O, I, *kernel)"""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need a weight of at least two axes, got shape {tensor.array.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must grow to make up for what the activation takes away.

    ``param`` is the negative slope of leaky_relu (0.01 if None).
    Source: He et al., Delving Deep into Rectifiers, 2015, equations 10 and 15.
    """
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, (int, float, type(None))):
            raise ValueError(f"the slope of leaky_relu must be a number, got {param!r}")
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    linear = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    gains.update(dict.fromkeys((*linear, "sigmoid"), 1.0))
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join([*gains, 'leaky_relu'])}, got {nonlinearity!r}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in ±gain √(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward networks, 2010, equation 16.
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with variance gain² 2 / (fan_in + fan_out).  Source: Glorot & Bengio 2010, equation 12."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan: He et al. 2015, equation 10 (fan_in) or 14 (fan_out)."""
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"mode must be fan_in or fan_out, got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[modes.index(mode)])


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform in ±gain √(3 / fan); ``a`` is the slope of leaky_relu.   Source: He et al. 2015, section 2.2."""
    if tensor.numel() == 0:
        return tensor
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with standard deviation gain / √fan; ``a`` is the slope of leaky_relu.   Source: He et al. 2015."""
    if tensor.numel() == 0:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer; later axes count as columns.

    Every such matrix is equally likely: QR of a normal matrix, with the diagonal of R made positive.
    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014; Mezzadri, How to
    generate random matrices from the classical compact groups, 2007, section 5 (the signs).
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_ needs at least two axes, got shape {tensor.array.shape}")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    draws = (generator or random.generator()).normal_(np.empty((rows, columns), tensor.array.dtype))
    q, r = np.linalg.qr(draws.T if rows < columns else draws)
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with the fraction ``sparsity`` of every column set to 0.

    Source: Martens, Deep learning via Hessian-free optimization, 2010, section 5.
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_ needs a matrix, got shape {tensor.array.shape}")
    generator = generator or random.generator()
    values = generator.normal_(np.empty_like(tensor.array), 0.0, std)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        values[generator.randperm(rows)[:zeros], column] = 0
    return _fill(tensor, values)


# ---- old spellings, without the line below


def _old(function: Any) -> Any:
    def old(*args: Any, **options: Any) -> Tensor:
        return function(*args, **options)

    old.__name__, old.__doc__ = function.__name__.rstrip("_"), f"An old spelling of {function.__name__}."
    return old


uniform, normal, constant, eye, dirac = (_old(f) for f in (uniform_, normal_, constant_, eye_, dirac_))
xavier_uniform, xavier_normal = _old(xavier_uniform_), _old(xavier_normal_)
kaiming_uniform, kaiming_normal = _old(kaiming_uniform_), _old(kaiming_normal_)
orthogonal, sparse = _old(orthogonal_), _old(sparse_)
