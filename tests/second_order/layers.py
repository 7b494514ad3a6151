"""Layers and losses that are differentiated twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.second_order.table import case, normal, of_functions, positive, share

# ---- layers

of_functions(
    "relu leaky_relu elu selu relu6 hardswish softplus silu mish gelu softsign tanhshrink logsigmoid hardtanh hardshrink "
    "softshrink celu",
    lambda m, F, n, x: getattr(F, n)(x * 2) * x, normal(4, 5),
)  # fmt: skip
case("gelu by tanh", lambda m, F, x: F.gelu(x, approximate="tanh"), normal(4, 5))
case("prelu", lambda m, F, x, w: F.prelu(x, w) * x, normal(2, 3, 4), positive(3))
case("glu", lambda m, F, x: F.glu(x, 1), normal(3, 4))
for dim in (0, 1):
    of_functions("softmax log_softmax softmin", lambda m, F, n, x, d=dim: getattr(F, n)(x, d), normal(3, 4))
case("linear", lambda m, F, x, w, b: F.linear(x, w, b), normal(2, 3, 4), normal(2, 4), normal(2))
case("bilinear", lambda m, F, a, b, w: F.bilinear(a, b, w), normal(3, 4), normal(3, 2), normal(5, 4, 2))
case("embedding", lambda m, F, w: F.embedding(m.tensor([[1, 2], [1, 0]]), w**3, padding_idx=0), normal(4, 3))
for seed in range(12):  # any geometry
    r = np.random.default_rng(seed)
    groups, dims = int(r.choice([1, 1, 2, 4])), int(r.integers(1, 3))
    stride, padding, dilation = (int(n) for n in r.integers([1, 0, 1], [4, 3, 3]))
    kernel, size = r.integers(1, 4, dims), r.integers(6, 10, dims)
    inputs, outputs = 4 * int(r.integers(1, 3)), 4 * int(r.integers(1, 3))
    case(
        f"convolution {seed}",
        lambda m, F, x, w, b, d=dims, a=(stride, padding, dilation, groups): getattr(F, f"conv{d}d")(x, w, b, *a),
        normal(2, inputs, *size), normal(outputs, inputs // groups, *kernel), normal(outputs),
    )  # fmt: skip
    case(
        f"transposed convolution {seed}",
        lambda m, F, x, w, b, d=dims, a=(stride, 0, stride - 1, groups, dilation): getattr(F, f"conv_transpose{d}d")(
            x, w, b, *a
        ),
        normal(2, inputs, *size // 2), normal(inputs, outputs // groups, *kernel), normal(outputs),
    )  # fmt: skip
case("convolution without a batch", lambda m, F, x, w: F.conv1d(x, w), normal(3, 9), normal(4, 3, 3))
case("max-pool", lambda m, F, x: F.max_pool2d(x**3, 3, 2, 1), normal(2, 3, 6, 6))
case("max-pool of a sequence", lambda m, F, x: F.max_pool1d(x**3, 2), normal(2, 3, 6))
case("average pool", lambda m, F, x: F.avg_pool2d(x**3, 2), normal(2, 3, 6, 6))
case("adaptive pool", lambda m, F, x: F.adaptive_avg_pool2d(x**3, 2), normal(2, 3, 5, 6))
case("padding", lambda m, F, x: F.pad(x**3, (1, 2), value=3.0), normal(2, 3))
case("reflection", lambda m, F, x: F.pad(x**3, (1, 1), mode="reflect"), normal(2, 3))
case("bilinear image", lambda m, F, x: F.interpolate(x**3, scale_factor=2, mode="bilinear"), normal(2, 3, 3, 3))
case("im2col", lambda m, F, x: F.unfold(x**3, 2), normal(2, 3, 4, 4))
case("col2im", lambda m, F, x: F.fold(x**3, (4, 4), 2, stride=2), normal(2, 12, 4))
case("layer_norm", lambda m, F, x, w, b: F.layer_norm(x, (4,), w, b), normal(3, 4), normal(4), normal(4))
case("layer_norm of two axes", lambda m, F, x: F.layer_norm(x, (3, 4)), normal(2, 3, 4))
case("rms_norm", lambda m, F, x, w: F.rms_norm(x, (4,), w), normal(3, 4), normal(4))
case(
    "batch_norm", lambda m, F, x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    normal(4, 3, 2, 2), normal(3), normal(3),
)  # fmt: skip
case("batch_norm of features", lambda m, F, x: F.batch_norm(x, None, None, training=True), normal(4, 3))
case(
    "batch_norm in evaluation",
    lambda m, F, x, w, b: F.batch_norm(x * x, m.zeros(3).double(), m.ones(3).double() * 2, w, b, training=False),
    normal(4, 3, 2, 2), normal(3), normal(3),
)  # fmt: skip
case("group_norm", lambda m, F, x, w, b: F.group_norm(x, 2, w, b), normal(2, 4, 3, 3), normal(4), normal(4))
case("instance_norm", lambda m, F, x: F.instance_norm(x), normal(2, 3, 4, 4))
for kind, states in (("RNN", 1), ("GRU", 1), ("LSTM", 2)):
    for bias, both_ways in ((True, False), (False, True)):

        def recurrent(m: Any, F: Any, x: Any, *parts: Any, kind: str = kind, states: int = states, bias: bool = bias,
                      both_ways: bool = both_ways) -> Any:  # fmt: skip
            layer = getattr(m.nn, kind)(3, 2, bias=bias, bidirectional=both_ways).double()
            given, weights = parts[:states], dict(zip(dict(layer.named_parameters()), parts[states:], strict=True))
            y, _ = m.func.functional_call(layer, weights, (x, given if kind == "LSTM" else given[0]))
            return y

        rows = {"RNN": 2, "GRU": 6, "LSTM": 8}[kind]
        sizes = [(rows, 3), (rows, 2)] + [(rows,)] * 2 * bias
        case(
            f"{kind} bias={bias} bidirectional={both_ways}", recurrent, normal(4, 2, 3),
            *[normal(1 + both_ways, 2, 2) for _ in range(states)], *[normal(*s) for s in sizes * (1 + both_ways)],
        )  # fmt: skip
HEADS = normal(2, 2, 3, 4), normal(2, 2, 5, 4), normal(2, 2, 5, 2)
case("attention of several heads", lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v), *HEADS)
QKV = normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 2)
case("attention", lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v), *QKV)
case("causal attention", lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *QKV)
case(
    "attention with a bias", lambda m, F, q, k, v, b: F.scaled_dot_product_attention(q, k, v, attn_mask=b),
    *QKV, normal(3, 3),
)  # fmt: skip
case(
    "attention with a mask",
    lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=m.ones(3, 3).tril(1).bool()), *QKV,
)  # fmt: skip

# ---- losses

WEIGHTS = [0.1, 0.2, 0.3, 0.4]
for red in ("mean", "sum", "none"):
    how = {"reduction": red}
    case(
        f"cross_entropy {red}",
        lambda m, F, x, how=how: F.cross_entropy(x, m.tensor([1, 0, 3]), label_smoothing=0.1, **how), normal(3, 4),
    )  # fmt: skip
    case(
        f"cross_entropy {red} weighted",
        lambda m, F, x, how=how: F.cross_entropy(
            x, m.tensor([1, -100, 3]), m.tensor(WEIGHTS).double(), label_smoothing=0.2, **how
        ),
        normal(3, 4),
    )
    case(
        f"cross_entropy {red} of images",
        lambda m, F, x, how=how: F.cross_entropy(x, m.tensor([[1, 0], [1, 2]]), **how), normal(2, 3, 2),
    )  # fmt: skip
    case(
        f"cross_entropy {red} of probabilities",
        lambda m, F, x, t, how=how: F.cross_entropy(x, t * t, label_smoothing=0.1, **how), normal(3, 4), positive(3, 4),
    )  # fmt: skip
    case(f"nll_loss {red}", lambda m, F, x, how=how: F.nll_loss(x**3, m.tensor([1, 0, 3]), **how), normal(3, 4))
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div"):
        case(
            f"{name} {red}",
            lambda m, F, x, t, n=name, how=how: getattr(F, n)(x * x, t, **how),
            normal(3, 4),
            positive(3, 4),
        )
    case(f"bce {red}", lambda m, F, x, t, how=how: F.binary_cross_entropy(x, t, **how), share(3, 4), share(3, 4))
    case(
        f"bce with logits {red}",
        lambda m, F, x, t, how=how: F.binary_cross_entropy_with_logits(
            x, t, pos_weight=m.tensor(WEIGHTS).double(), weight=m.tensor(WEIGHTS).double(), **how
        ),
        normal(3, 4), share(3, 4),
    )  # fmt: skip
case("bce with logits at 0", lambda m, F, x: F.binary_cross_entropy_with_logits(x, m.ones(3).double()), np.zeros(3))


def third(m: Any, F: Any, x: Any) -> Any:
    (gradient,) = m.autograd.grad((m.tanh(x) ** 2).sum(), x, create_graph=True)
    return gradient * x


case("third order", third, normal(4))
