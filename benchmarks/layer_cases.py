"""The layers that are raced: those of courses, and some drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["COURSE", "KINDS", "Case", "at_random"]

Draw = np.random.Generator

ACTIVATIONS = (
    "ReLU LeakyReLU ELU SELU CELU ReLU6 Hardtanh Hardsigmoid Hardswish Sigmoid Tanh GELU SiLU Mish Softplus LogSigmoid "
    "Softsign Tanhshrink"
).split()

SHAPE_OPERATIONS = (
    "index rows", "embedding", "gather", "cat", "transpose", "arithmetic", "sum of rows", "mean of columns", "dropout",
    "clamp", "exp of a sum", "product",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One layer at one shape.  ``build(lib)`` gives a module, or a function of the inputs."""

    kind: str
    what: str
    build: Callable[[Any], Callable[..., Any]]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"
    below: int = 0  # inputs are whole numbers below this, if it is not 0

    def __str__(self) -> str:
        sizes = ", ".join(" x ".join(map(str, shape)) for shape in self.shapes)
        return f"{self.what}, {sizes}" + (", float64" if self.dtype == "float64" else "")


def size(rng: Draw, low: int, high: int) -> int:
    """A whole number whose logarithm is uniform."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def conv(n: int, c: int, o: int, side: int, kernel: int = 3, stride: int = 1, groups: int = 1, padding: Any = None,
         transposed: bool = False) -> Case:  # fmt: skip
    pad = kernel // 2 if padding is None else padding
    name = "ConvTranspose2d" if transposed else "Conv2d"
    kind = "transposed convolution" if transposed else "depthwise convolution" if groups > 1 else "convolution"
    what = f"{name} {c}-{o}, {kernel}x{kernel}" + f"/{stride}" * (stride > 1) + f", {groups} groups" * (groups > 1)
    return Case(
        kind, what, lambda lib: getattr(lib.nn, name)(c, o, kernel, stride, pad, groups=groups), ((n, c, side, side),)
    )


def random_conv(rng: Draw) -> Case:
    kernel = int(rng.choice([1, 2, 3, 3, 3, 4, 5, 7, 11]))
    c, o, side = size(rng, 1, 256), size(rng, 1, 256), size(rng, max(4, kernel), 64)
    n = max(1, min(size(rng, 1, 128), int(4e8 / (c * o * kernel**2 * side**2))))
    return conv(n, c, o, side, kernel, int(rng.choice([1, 1, 1, 2, 3])), padding=int(rng.integers(0, kernel // 2 + 1)))


def random_depthwise(rng: Draw) -> Case:
    kernel, c, side = int(rng.choice([3, 3, 5, 7])), size(rng, 4, 256), size(rng, 7, 64)
    n = max(1, min(size(rng, 1, 64), int(2e6 / (c * side**2))))
    return conv(n, c, c, side, kernel, int(rng.choice([1, 1, 2])), groups=c)


def random_transposed(rng: Draw) -> Case:
    kernel, c, o, side = int(rng.choice([2, 3, 4, 5])), size(rng, 1, 128), size(rng, 1, 128), size(rng, 1, 32)
    n = max(1, min(size(rng, 1, 64), int(2e8 / (c * o * kernel**2 * side**2))))
    stride = int(rng.choice([1, 2, 2]))
    room = (side - 1) * stride + kernel  # of which the padding may not take all
    return conv(n, c, o, side, kernel, stride, transposed=True, padding=int(rng.integers(0, 2 if room > 2 else 1)))


def linear(n: int, i: int, o: int, dtype: str = "float32") -> Case:
    kind = {"dtype": dtype}
    return Case(
        "linear", f"Linear {i}-{o}", lambda lib: lib.nn.Linear(i, o, dtype=getattr(lib, dtype)), ((n, i),), **kind
    )


def random_linear(rng: Draw) -> Case:
    i, o = size(rng, 1, 2048), size(rng, 1, 2048)
    return linear(min(size(rng, 1, 1024), max(1, int(2e8 / (i * o)))), i, o, str(rng.choice(["float32", "float64"])))


def activation(name: str, *shape: int, dtype: str = "float32") -> Case:
    return Case("activation", name, lambda lib: getattr(lib.nn, name)(), (shape,), dtype)


def random_activation(rng: Draw) -> Case:
    dtype = str(rng.choice(["float32", "float32", "float64"]))
    return activation(str(rng.choice(ACTIVATIONS)), size(rng, 8, 4_000_000), dtype=dtype)


def norm(name: str, *shape: int) -> Case:
    channels = shape[1]
    make = {
        "BatchNorm2d": lambda nn: nn.BatchNorm2d(channels),
        "BatchNorm1d": lambda nn: nn.BatchNorm1d(channels),
        "GroupNorm": lambda nn: nn.GroupNorm(math.gcd(channels, 8), channels),
        "InstanceNorm2d": lambda nn: nn.InstanceNorm2d(channels),
        "LayerNorm": lambda nn: nn.LayerNorm(shape[-1]),
    }[name]
    return Case("normalisation", name, lambda lib: make(lib.nn), (shape,))


def random_norm(rng: Draw) -> Case:
    name = str(rng.choice(["BatchNorm2d", "BatchNorm1d", "GroupNorm", "LayerNorm"]))
    if name == "BatchNorm1d":
        return norm(name, size(rng, 2, 2048), size(rng, 2, 1024))
    if name == "LayerNorm":
        return norm(name, size(rng, 1, 128), size(rng, 1, 128), size(rng, 8, 512))
    return norm(name, size(rng, 2, 64), size(rng, 2, 128), *[size(rng, 2, 32)] * 2)


def pool(name: str, n: int, c: int, side: int, kernel: int, stride: int | None = None, padding: int = 0) -> Case:
    what = f"{name} {kernel}/{stride or kernel}"
    return Case("pool", what, lambda lib: getattr(lib.nn, name)(kernel, stride, padding), ((n, c, side, side),))


def random_pool(rng: Draw) -> Case:
    kernel, side = int(rng.choice([2, 2, 3, 3, 5])), size(rng, 6, 64)
    c = size(rng, 1, 128)
    n = max(1, min(size(rng, 1, 128), int(3e6 / (c * side**2))))
    name, stride = str(rng.choice(["MaxPool2d", "AvgPool2d"])), int(rng.choice([1, 2, kernel]))
    return pool(name, n, c, side, kernel, stride, int(rng.integers(0, kernel // 2 + 1)))


def resample(n: int, c: int, side: int, factor: float, mode: str) -> Case:
    def build(lib: Any) -> Any:
        return lib.nn.Upsample(scale_factor=factor, mode=mode)

    return Case("resampling", f"Upsample {factor} {mode}", build, ((n, c, side, side),))


def random_resample(rng: Draw) -> Case:
    factor = float(rng.choice([0.5, 1.5, 2.0, 2.0, 3.0]))
    mode = str(rng.choice(["nearest", "nearest", "bilinear", "bicubic"]))
    return resample(size(rng, 1, 32), size(rng, 1, 128), size(rng, 4, 33), factor, mode)


def recurrent(name: str, t: int, n: int, i: int, h: int) -> Case:
    def build(lib: Any) -> Callable[..., Any]:
        layer = getattr(lib.nn, name)(i, h)

        def run(x: Any) -> Any:
            return layer(x)[0]

        run.layer = layer  # type: ignore[attr-defined]
        return run

    return Case("recurrent", f"{name} {i}-{h}", build, ((t, n, i),))


def random_recurrent(rng: Draw) -> Case:
    t, i, h = size(rng, 4, 64), size(rng, 1, 128), size(rng, 8, 256)
    n = max(1, min(size(rng, 1, 128), int(1e8 / (t * h * (h + i) * 4))))
    return recurrent(str(rng.choice(["RNN", "LSTM", "GRU"])), t, n, i, h)


def function(kind: str, what: str, build: Callable[[Any], Callable[..., Any]], *shapes: tuple[int, ...]) -> Case:
    return Case(kind, what, build, shapes)


def softmax(what: str, n: int, c: int) -> Case:
    build = {
        "softmax": lambda lib: lambda x: lib.softmax(x, -1),
        "log_softmax": lambda lib: lambda x: lib.log_softmax(x, -1),
        "cross_entropy": lambda lib: lambda x: lib.nn.functional.cross_entropy(x, lib.arange(n) % c),
    }[what]
    return function("softmax", what, build, (n, c))


def random_softmax(rng: Draw) -> Case:
    n = size(rng, 1, 4096)
    return softmax(
        str(rng.choice(["softmax", "log_softmax", "cross_entropy"])), n, min(size(rng, 2, 4096), 4_000_000 // n)
    )


def attention(n: int, heads: int, t: int, d: int, by_hand: bool = False, causal: bool = False) -> Case:
    def build(lib: Any) -> Callable[..., Any]:
        def run(q: Any, k: Any, v: Any) -> Any:
            if not by_hand:
                return lib.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
            return lib.softmax(q @ k.transpose(-2, -1) / math.sqrt(d), -1) @ v

        return run

    what = "attention by hand" if by_hand else "attention" + ", causal" * causal
    return function("attention", what, build, *[(n, heads, t, d)] * 3)


def random_attention(rng: Draw) -> Case:
    t, d, heads = size(rng, 4, 256), int(rng.choice([16, 32, 64])), int(rng.choice([1, 2, 4, 8]))
    n = max(1, min(size(rng, 1, 32), int(2e6 / (heads * t * t))))
    return attention(n, heads, t, d, bool(rng.integers(2)), bool(rng.integers(2)))


def shape_operation(what: str, n: int, m: int) -> Case:
    order = np.random.default_rng(0).integers(0, n, 2 * n)
    build: Callable[[Any], Callable[..., Any]] = {
        "index rows": lambda lib: (lambda i: lambda x: x[i])(lib.tensor(order)),
        "embedding": lambda lib: (lambda i: lambda x: lib.nn.functional.embedding(i, x))(lib.tensor(order)),
        "gather": lambda lib: (lambda i: lambda x: x.gather(0, i))(lib.tensor(order[:, None] * np.ones(m, int))),
        "cat": lambda lib: lambda x: lib.cat([x, x * 2, x], 1),
        "transpose": lambda lib: lambda x: x.t().contiguous(),
        "arithmetic": lambda lib: lambda x: (x * 2 + x * x - x / 3) * 0.5,
        "sum of rows": lambda lib: lambda x: x.sum(1),
        "mean of columns": lambda lib: lambda x: x.mean(0),
        "dropout": lambda lib: lambda x: lib.nn.functional.dropout(x, 0.5) * 0 + x,
        "clamp": lambda lib: lambda x: x.clamp(-0.5, 0.5),
        "exp of a sum": lambda lib: lambda x: (x + x.mean(1, keepdim=True)).exp(),
        "product": lambda lib: lambda x: x.t() @ x,
    }[what]
    return function("tensors", what, build, (n, m))


def random_shape_operation(rng: Draw) -> Case:
    what = str(rng.choice(SHAPE_OPERATIONS))
    n = size(rng, 2, 512 if what == "product" else 8192)
    return shape_operation(what, n, min(size(rng, 1, 1024), 2_000_000 // n))


# operations that networks and losses written by hand are made of, on a matrix; F is torch.nn.functional
OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "cumsum": lambda lib, F, x: x.cumsum(1),
    "cumprod": lambda lib, F, x: x.cumprod(1),
    "cummax": lambda lib, F, x: x.cummax(1)[0],
    "topk": lambda lib, F, x: x.topk(5, 1)[0],
    "sort": lambda lib, F, x: x.sort(1)[0],
    "median": lambda lib, F, x: x.median(1)[0],
    "std": lambda lib, F, x: x.std(1),
    "variance of columns": lambda lib, F, x: x.var(0),
    "logsumexp": lambda lib, F, x: x.logsumexp(1),
    "norm": lambda lib, F, x: x.norm(dim=1),
    "prod": lambda lib, F, x: x.prod(1),
    "amax of columns": lambda lib, F, x: x.amax(0),
    "pow": lambda lib, F, x: x**3,
    "where": lambda lib, F, x: lib.where(x > 0, x, 2 * x),
    "masked_fill": lambda lib, F, x: x.masked_fill(x > 0, 0.0),
    "tril": lambda lib, F, x: x.tril(),
    "flip": lambda lib, F, x: x.flip(1),
    "roll": lambda lib, F, x: x.roll(3, 1),
    "repeat": lambda lib, F, x: x.repeat(2, 3),
    "every second": lambda lib, F, x: x[::2, 1::2],
    "slices": lambda lib, F, x: lib.stack([row * 2 for row in x[:64].unbind(0)], 1),
    "outer": lambda lib, F, x: lib.outer(x[:, 0], x[0]),
    "cdist": lambda lib, F, x: lib.cdist(x[:200], x[:100] + 1),
    "pad reflect": lambda lib, F, x: F.pad(x[None, None], (2, 1, 1, 2), mode="reflect"),
    "pad replicate": lambda lib, F, x: F.pad(x[None, None], (2, 1, 1, 2), mode="replicate"),
    "mse_loss": lambda lib, F, x: F.mse_loss(x, x.detach() + 1),
    "smooth_l1_loss": lambda lib, F, x: F.smooth_l1_loss(x, 2 * x.detach()),
    "binary_cross_entropy_with_logits": lambda lib, F, x: F.binary_cross_entropy_with_logits(x, (x.detach() > 0) + 0.0),
    "normalize": lambda lib, F, x: F.normalize(x),
    "cosine_similarity": lambda lib, F, x: F.cosine_similarity(x, x.detach() + 1),
}


def operation(what: str, n: int, m: int) -> Case:
    def build(lib: Any) -> Callable[..., Any]:
        return lambda x: OPERATIONS[what](lib, lib.nn.functional, x)

    return function("operation", what, build, (n, m))


def random_operation(rng: Draw) -> Case:
    n = size(rng, 4, 4096)
    return operation(str(rng.choice(list(OPERATIONS))), n, min(size(rng, 8, 1024), max(8, 1_000_000 // n)))


KINDS: dict[str, Callable[[Draw], Case]] = {
    "convolution": random_conv,
    "depthwise convolution": random_depthwise,
    "transposed convolution": random_transposed,
    "linear": random_linear,
    "activation": random_activation,
    "normalisation": random_norm,
    "pool": random_pool,
    "resampling": random_resample,
    "recurrent": random_recurrent,
    "softmax": random_softmax,
    "attention": random_attention,
    "tensors": random_shape_operation,
    "operation": random_operation,
}


def at_random(n: int, seed: int) -> list[Case]:
    """n cases, the kinds in turn."""
    rng, makers = np.random.default_rng(seed), list(KINDS.values())
    return [makers[i % len(makers)](rng) for i in range(n)]


COURSE: list[Case] = [
    conv(64, 1, 6, 28, 5), conv(64, 1, 32, 28), conv(64, 3, 16, 32), conv(64, 3, 64, 32), conv(16, 3, 64, 64, 7, 2),
    conv(64, 16, 16, 32), conv(64, 32, 64, 16), conv(64, 6, 16, 14, 5, padding=0), conv(32, 64, 64, 16),
    conv(32, 20, 50, 12, 5), conv(32, 64, 128, 16, 3, 2), conv(32, 64, 128, 16, 1), conv(32, 128, 32, 8, 1),
    conv(16, 96, 256, 13, 5), conv(8, 3, 64, 64, 11, 4), conv(32, 100, 30, 10),
    conv(32, 32, 32, 32, groups=32), conv(32, 64, 64, 16, groups=64), conv(32, 64, 64, 16, 7, groups=64),
    conv(32, 64, 64, 32, 3, 2, groups=64), conv(32, 64, 64, 16, groups=8),
    conv(64, 100, 64, 4, 4, 2, transposed=True, padding=1), conv(64, 64, 32, 8, 4, 2, transposed=True, padding=1),
    conv(64, 32, 1, 14, 2, 2, transposed=True, padding=0),
    linear(1, 2, 20), linear(64, 784, 128), linear(128, 784, 400), linear(256, 3072, 1024), linear(32, 20, 10),
    *[activation(name, 64, 128) for name in ("ReLU", "Sigmoid", "Tanh", "GELU")],
    *[activation(name, 64, 64, 32, 32) for name in ACTIVATIONS],
    norm("BatchNorm2d", 64, 16, 32, 32), norm("BatchNorm2d", 64, 64, 16, 16), norm("BatchNorm1d", 64, 512),
    norm("LayerNorm", 16, 64, 64), norm("LayerNorm", 64, 128, 256), norm("GroupNorm", 32, 64, 16, 16),
    norm("InstanceNorm2d", 16, 32, 32, 32),
    pool("MaxPool2d", 64, 32, 28, 2), pool("MaxPool2d", 64, 64, 16, 3, 2, 1), pool("AvgPool2d", 64, 6, 28, 2),
    pool("AvgPool2d", 64, 64, 8, 8), pool("AvgPool2d", 32, 64, 16, 3, 1, 1),
    recurrent("RNN", 20, 128, 10, 128), recurrent("LSTM", 64, 32, 65, 256), recurrent("LSTM", 28, 100, 28, 128),
    recurrent("LSTM", 35, 20, 200, 200), recurrent("GRU", 28, 64, 28, 128), recurrent("LSTM", 10, 1, 4, 20),
    softmax("softmax", 64, 10), softmax("log_softmax", 128, 1000), softmax("cross_entropy", 64, 10),
    softmax("cross_entropy", 1024, 65),
    attention(16, 4, 64, 16), attention(16, 4, 64, 16, causal=True), attention(8, 4, 256, 32),
    attention(8, 4, 512, 64), attention(64, 4, 64, 32), attention(16, 4, 64, 16, by_hand=True),
    *[shape_operation(what, 1000, 256) for what in SHAPE_OPERATIONS],
]  # fmt: skip
