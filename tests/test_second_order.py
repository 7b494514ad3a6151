"""Gradients of gradients: beside PyTorch's, against differences, and what is refused."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.function import Function
from npnn.testing.gradients import gradgradcheck

Case = tuple[Callable[..., Any], tuple[Any, ...]]
CASES: dict[str, Case] = {}
RNG = np.random.default_rng(7)


def case(name: str, f: Callable[..., Any], *inputs: Any) -> None:
    """f(torch or npnn, its functional module, *inputs)"""
    CASES[name] = f, inputs


def of_functions(names: str, f: Callable[..., Any], *inputs: Any) -> None:
    for name in names.split():
        case(name, lambda m, F, *x, name=name: f(m, F, name, *x), *inputs)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape)


def positive(*shape: int) -> Any:
    return np.abs(RNG.normal(size=shape)) + 0.3


def inside(*shape: int) -> Any:
    return RNG.uniform(-0.8, 0.8, size=shape)


def share(*shape: int) -> Any:
    return RNG.uniform(0.1, 0.9, size=shape)


def definite(n: int) -> Any:
    a = normal(n, n)
    return a @ a.T + n * np.eye(n)


of_functions(
    "exp expm1 sin cos tanh sigmoid erf square neg sinh cosh tan asinh atan exp2 erfc deg2rad rad2deg frac sinc nan_to_num "
    "reciprocal abs",
    lambda m, F, n, x: getattr(m, n)(x) * x, normal(3, 4),
)  # fmt: skip
of_functions("log log1p sqrt rsqrt log2 log10 acosh lgamma", lambda m, F, n, x: getattr(m, n)(x + 1), positive(3, 4))
of_functions("acos asin atanh erfinv", lambda m, F, n, x: getattr(m, n)(x), inside(3, 4))
of_functions(
    "add sub mul div hypot atan2 logaddexp logaddexp2 maximum minimum fmax fmin remainder fmod",
    lambda m, F, n, a, b: getattr(m, n)(a, b) * a, positive(3, 4), positive(4),
)  # fmt: skip
case("logit", lambda m, F, x: m.logit(x), share(3, 4))
case("logit with eps", lambda m, F, x: m.logit(x, eps=0.3), share(3, 4))
case("pow", lambda m, F, a, b: a**b, positive(3, 4), normal(3, 4))
for exponent in (-0.5, 0, 0.5, 1, 2, 3):
    case(f"pow {exponent}", lambda m, F, a, e=exponent: a**e * a, positive(3, 4))
case("2 to the x", lambda m, F, a: 2**a, normal(3, 4))
case("lerp", lambda m, F, a, b, w: m.lerp(a, b, w), normal(3), normal(3), inside(3))
case("xlogy", lambda m, F, a, b: m.xlogy(a, b), positive(3), positive(3))
case("addcmul", lambda m, F, a, b, c: m.addcmul(a, b, c, value=0.5), normal(3), normal(3), normal(3))
case("addcdiv", lambda m, F, a, b, c: m.addcdiv(a, b, c), normal(3), normal(3), positive(3))
case("clamp", lambda m, F, x: x.clamp(-0.5, 0.5) * x, normal(4, 4))
case("where", lambda m, F, x, y: m.where(x > 0, x * x, y * x), normal(4), normal(4))
case("masked_fill", lambda m, F, x: x.masked_fill(x > 0, 2.0) * x, normal(5))

# ---- reductions, orders, places

for keep in (False, True):
    for name in ("sum", "mean", "var", "std", "prod", "logsumexp", "amax"):
        case(
            f"{name} keepdim={keep}",
            lambda m, F, x, n=name, k=keep: getattr(m, n)(x * x, 1, keepdim=k) * 3,
            normal(3, 4),
        )
    case(f"max keepdim={keep}", lambda m, F, x, k=keep: (x**3).max(1, keepdim=k)[0], normal(3, 4))
case("prod with a 0", lambda m, F, x: x.prod(0), np.array([2.0, 0.0, 3.0]))
case("sum of all", lambda m, F, x: (x**3).sum(), normal(3, 4))
case("topk", lambda m, F, x: (x**3).topk(2)[0], normal(3, 4))
case("sort", lambda m, F, x: (x**3).sort()[0], normal(3, 4))
case("cumsum", lambda m, F, x: m.cumsum(x**3, 1), normal(3, 4))
case("norm", lambda m, F, x: x.norm(), normal(3, 4))
for p in (1, 2, 3):
    case(f"norm {p}", lambda m, F, x, p=p: x.norm(p, dim=1) ** 2, normal(3, 4))
case("cosine_similarity", lambda m, F, a, b: F.cosine_similarity(a, b), normal(3, 4), normal(3, 4))
case("normalize", lambda m, F, a: F.normalize(a), normal(3, 4))
case("reshape", lambda m, F, x: (x * x).reshape(4, 3) * x.reshape(4, 3), normal(3, 4))
case("permute", lambda m, F, x: (x**3).permute(2, 0, 1), normal(2, 3, 4))
case("expand", lambda m, F, x: (x * x).expand(3, 4) * x, normal(1, 4))
case("slice and list", lambda m, F, x: (x**3)[1:, [0, 2]], normal(3, 4))
case("one element", lambda m, F, x: (x**3)[0, 1], normal(3, 4))
case("a mask", lambda m, F, x: (x**3)[x > 0], normal(3, 4))
INDEX = [[0, 0], [1, 2], [3, 1]]
case("gather", lambda m, F, x: (x**3).gather(1, m.tensor(INDEX)), normal(3, 4))
case("scatter_add", lambda m, F, x, y: (x**2).scatter_add(1, m.tensor(INDEX), y**3), normal(3, 4), normal(3, 2))
case(
    "scatter",
    lambda m, F, x, y: (x**2).scatter(1, m.tensor([[0, 1], [1, 2], [3, 1]]), y**3),
    normal(3, 4),
    normal(3, 2),
)
case("index_add", lambda m, F, x, y: (x**2).index_add(0, m.tensor([0, 2, 0]), y**3), normal(3, 4), normal(3, 4))
case("index_put", lambda m, F, x, y: (x**2).index_put((m.tensor([0, 2]),), y**3), normal(3, 4), normal(2, 4))
case("cat", lambda m, F, x, y: m.cat([x * x, y**3], 1), normal(3, 4), normal(3, 2))
case("stack", lambda m, F, x, y: m.stack([x * x, y**3], 1), normal(3, 4), normal(3, 4))
case("unbind", lambda m, F, x: x.unbind(1)[0] ** 3, normal(3, 4))
case("flip and roll", lambda m, F, x: (x**3).flip(0).roll(1, 1), normal(3, 4))
case("tril", lambda m, F, x: (x**3).tril(), normal(3, 4))
case("diagonal", lambda m, F, x: m.diagonal(x**3, 1), normal(3, 4))
case("diag_embed", lambda m, F, x: m.diag_embed(x**3, 1), normal(3, 4))
case("windows", lambda m, F, x: (x**3).unfold(1, 2, 1), normal(3, 4))
case("repeat", lambda m, F, x: (x**3).repeat(2, 3), normal(3, 4))
case("in place", lambda m, F, x: (x * x).mul_(x).add_(x * x), normal(3, 4))


def in_slices(m: Any, F: Any, x: Any, y: Any) -> Any:
    z = x * x
    z[1] = y**3
    z[:, 0] *= 2
    view = z[0]
    view.mul_(x[1])
    return z


case("in place in slices", in_slices, normal(3, 4), normal(4))

# ---- products, matrices

for name, shapes in {
    "matrices": ((3, 4), (4, 2)), "batches": ((2, 3, 4), (2, 4, 2)), "a batch and a matrix": ((2, 3, 4), (4, 2)),
    "matrix and vector": ((3, 4), (4,)), "vectors": ((4,), (4,)),
}.items():  # fmt: skip
    case(f"product of {name}", lambda m, F, a, b: a @ b, normal(*shapes[0]), normal(*shapes[1]))
case("einsum", lambda m, F, a, b: m.einsum("bij,bjk->bk", a, b), normal(2, 3, 4), normal(2, 4, 2))
case("einsum of a diagonal", lambda m, F, a: m.einsum("ii->i", a * a), normal(3, 3))
case("einsum with a sum", lambda m, F, a, b: m.einsum("ij,kl->il", a, b), normal(3, 4), normal(5, 2))
case("einsum of three", lambda m, F, a, b, c: m.einsum("i,ij,j->", a, b, c), normal(3), normal(3, 4), normal(4))
case("inverse", lambda m, F, a: m.inverse(a), definite(3))
case("det", lambda m, F, a: m.det(a), definite(3))
case("logdet", lambda m, F, a: m.logdet(a), definite(3))
case("solve", lambda m, F, a, b: m.linalg.solve(a, b), definite(3), normal(3, 2))

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


def two_orders(m: Any, f: Any, inputs: Any, seed: int) -> tuple[list[Any], list[Any]]:
    """The gradient of f weighted with v, and that of the gradient weighted with w, by the inputs and by v."""
    rng = np.random.default_rng(seed)
    leaves = [m.tensor(x.copy()).requires_grad_() for x in inputs]
    y = f(m, m.nn.functional, *leaves)
    v = m.tensor(rng.normal(size=tuple(y.shape))).requires_grad_()
    first = m.autograd.grad(y, leaves, v, create_graph=True)
    total = sum((g * m.tensor(rng.normal(size=x.shape))).sum() for g, x in zip(first, inputs, strict=True))
    second = m.autograd.grad(total, [*leaves, v], allow_unused=True)
    zeros = [np.zeros(x.shape) for x in (*inputs, v)]
    numbers = [z if g is None else g.detach().numpy(force=True) for g, z in zip(second, zeros, strict=True)]
    return [g.detach().numpy(force=True) for g in first], numbers


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's opinion of kl_div's mean
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_a_gradient_is_torchs(name):
    torch = pytest.importorskip("torch")
    f, inputs = CASES[name]
    ours, theirs = (two_orders(m, f, inputs, 3) for m in (npnn, torch))
    for a, b in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * (1 + np.abs(b).max(initial=0)))


@pytest.mark.parametrize("name", [n for n in CASES if n not in {"third order", "abs"}])
def test_the_gradient_of_a_gradient_is_that_of_differences(name):
    f, inputs = CASES[name]
    leaves = tuple([npnn.tensor(x).requires_grad_() for x in inputs])
    assert gradgradcheck(lambda *x: f(npnn, npnn.nn.functional, *x), leaves, atol=1e-6, rtol=1e-5)


# ---- every function of npnn has a second derivative, or is known to have none

WITHOUT = {
    "Cholesky", "ConnectionistTemporal", "CumProd", "Distances", "LogCumSumExp", "NuclearNorm", "Position",
    "ProjectedLSTMLayer", "QR", "Question", "SVD", "SymmetricEigen",
}  # fmt: skip


def functions() -> set[type[Function]]:
    for module in pkgutil.walk_packages(npnn.__path__, "npnn."):
        if not module.name.endswith("__main__") and ".torch" not in module.name and ".experiment" not in module.name:
            import_module(module.name)
    found, waiting = set(), [Function]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("npnn.") and "backward" in dir(kind):
                found.add(kind)
    return found


def test_every_function_has_a_second_derivative_or_is_known_to_have_none():
    missing = {
        kind.__name__
        for kind in functions()
        if kind.derivative is Function.derivative
        and not hasattr(kind, "again")
        and kind.backward is not Function.backward
    }
    assert missing - {"ElementwiseLoss", "View"} == WITHOUT - {"Position", "Question"}


def test_what_has_none_says_so():
    x = npnn.rand(3, 4).requires_grad_()
    with pytest.raises(NotImplementedError, match=r"CumProd.*cannot be differentiated again"):
        npnn.autograd.grad(x.cumprod(1).sum(), x, create_graph=True)


def test_a_wrong_second_derivative_is_found():
    class Wrong(Function):
        """y = x³.   dx = 3 x² dy, whose derivative is given as that of 3 x dy"""

        def forward(self, x):
            self.x = x
            return x**3

        def backward(self, dy):
            return 3 * self.x * self.x * dy

        def derivative(self, dy):
            return 3 * self.x * self.x.detach() * dy

    with pytest.raises(RuntimeError, match="wrong gradient"):
        gradgradcheck(Wrong.apply, npnn.rand(3).double().requires_grad_())


def test_a_saved_value_of_another_shape_is_found():
    class Rows(Function):
        def forward(self, x):
            self.x = x.reshape(-1)
            return x * x

        def backward(self, dy):
            return 2 * self.x.reshape(dy.shape) * dy

        derivative = backward

    x = npnn.rand(3, 2).requires_grad_()
    with pytest.raises(AssertionError, match="saved for one of"):
        npnn.autograd.grad(Rows.apply(x).sum(), x, create_graph=True)


# ---- how it is used


def test_a_function_in_torchs_form():
    class Cube(npnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * dy

    x = npnn.rand(4).double().requires_grad_()
    assert gradgradcheck(Cube.apply, x)


def penalty(m: Any, seed: int) -> list[Any]:
    """One step of a critic with a gradient penalty (Gulrajani et al., Improved training of Wasserstein GANs, 2017)."""
    m.manual_seed(seed)
    nn = m.nn
    critic = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(0.2), nn.Conv2d(8, 4, 3, 2, 1),
        nn.LayerNorm([4, 3, 3]), nn.SiLU(), nn.Flatten(), nn.Linear(36, 1),
    ).double()  # fmt: skip
    real, fake, mix = m.randn(5, 1, 12, 12).double(), m.randn(5, 1, 12, 12).double(), m.rand(5, 1, 1, 1).double()
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    scores = critic(between)
    (gradient,) = m.autograd.grad(scores, between, m.ones_like(scores), create_graph=True, retain_graph=True)
    size = gradient.view(5, -1).norm(2, dim=1)
    loss = critic(fake).mean() - critic(real).mean() + 10 * ((size - 1) ** 2).mean()
    loss.backward()
    return [loss.item(), *[p.grad.numpy() for p in critic.parameters()]]


def test_a_critic_with_a_gradient_penalty():
    torch = pytest.importorskip("torch")
    for a, b in zip(penalty(npnn, 1), penalty(torch, 1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_an_equation_in_the_loss():
    """u'' = -u by a network whose second derivative is in the loss: the gradient is of third order."""
    npnn.manual_seed(0)
    net = npnn.nn.Sequential(npnn.nn.Linear(1, 16), npnn.nn.Tanh(), npnn.nn.Linear(16, 1)).double()
    optimizer = npnn.optim.Adam(net.parameters(), lr=2e-2)
    x = npnn.linspace(0, 2, 20).double().reshape(-1, 1).requires_grad_()
    start = npnn.zeros(1, 1).double().requires_grad_()
    for _ in range(600):
        optimizer.zero_grad()
        u = net(x)
        (du,) = npnn.autograd.grad(u.sum(), x, create_graph=True)
        (ddu,) = npnn.autograd.grad(du.sum(), x, create_graph=True)
        u0 = net(start)
        (du0,) = npnn.autograd.grad(u0.sum(), start, create_graph=True)
        loss = ((ddu + u) ** 2).mean() + (u0**2).sum() + ((du0 - 1) ** 2).sum()
        loss.backward()
        optimizer.step()
    assert np.abs(net(x).detach().numpy() - np.sin(x.detach().numpy())).max() < 0.05


def test_backward_with_create_graph_leaves_gradients_in_the_graph():
    x = npnn.tensor([2.0, 3.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    np.testing.assert_array_equal(x.grad.detach(), [12, 27])
    (second,) = npnn.autograd.grad(x.grad.sum(), x)
    np.testing.assert_array_equal(second, [12, 18])
    (x**2).sum().backward(create_graph=True)  # and add up
    np.testing.assert_array_equal(x.grad.detach(), [16, 33])


def test_backward_into_chosen_inputs():
    x, y = (npnn.tensor([2.0], requires_grad=True) for _ in range(2))
    (x**2 * y).sum().backward(create_graph=True, inputs=[x])
    assert y.grad is None
    (mixed,) = npnn.autograd.grad(x.grad.sum(), y)
    assert mixed.item() == 4


def test_a_leaf_used_twice_and_hooks():
    x = npnn.tensor([3.0], requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    y = x * x
    y.register_hook(lambda g: seen.append(g.item()))
    (gradient,) = npnn.autograd.grad(y + x, x, npnn.ones(1), create_graph=True)
    assert seen == [1, 7]
    assert npnn.autograd.grad(gradient.sum(), x)[0].item() == 2


def test_a_value_changed_since_is_refused():
    x = npnn.ones(3, requires_grad=True)
    z = x * 1
    y = z.exp()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        npnn.autograd.grad(y.sum(), x, create_graph=True)


@pytest.mark.parametrize("name", ["jacobian", "hessian", "hvp", "vhp", "jvp", "vjp"])
def test_functional_gives_what_torch_gives(name):
    torch = pytest.importorskip("torch")
    a, b = normal(3), normal(3)

    def found(m: Any) -> list[Any]:
        f = getattr(m.autograd.functional, name)
        inputs = m.tensor(a), m.tensor(b)
        if name in ("jacobian", "jvp", "vjp"):
            function: Any = lambda x, y: (x * y.sum()).sin()  # noqa: E731
        else:
            function = lambda x, y: ((x * y).sin() * y.sum()).sum()  # noqa: E731
        vector = (
            () if name in ("jacobian", "hessian") else (m.tensor(a) if name == "vjp" else (m.tensor(b), m.tensor(a)),)
        )
        return flat(f(function, inputs, *vector))

    for ours, theirs in zip(found(npnn), found(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def flat(x: Any) -> list[Any]:
    return [n for y in x for n in flat(y)] if isinstance(x, tuple) else [x.detach().numpy()]


@pytest.mark.filterwarnings("ignore:.torch.jit")  # from PyTorch, when it imports torch.func
def test_func_gives_what_torch_gives():
    torch = pytest.importorskip("torch")
    values = normal(4, 3)

    def found(m: Any) -> list[Any]:
        x, func = m.tensor(values), m.func
        m.manual_seed(0)
        layer = m.nn.Linear(3, 2).double()
        weights = {k: v.detach() for k, v in layer.named_parameters()}

        def loss(weights: Any, row: Any) -> Any:
            return func.functional_call(layer, weights, (row,)).pow(2).sum()

        each = func.vmap(func.grad(loss), in_dims=(None, 0))(weights, x)
        value, product = func.vjp(lambda x: x.sin(), x)
        return [
            each["weight"], each["bias"], func.grad(func.grad(lambda x: x.sin()))(x[0, 0]),
            func.hessian(lambda x: (x**3).sum())(x[0]), func.jacrev(lambda x: x**2)(x[0]),
            value, *product(x), *func.jvp(lambda x: x.sin(), (x,), (x * 2,)),
            func.grad_and_value(lambda x: (x * x).sum())(x)[1], func.vmap(lambda a: a.sum(), in_dims=1)(x),
        ]  # fmt: skip

    for ours, theirs in zip(found(npnn), found(torch), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10)


def test_functional_call_leaves_the_module_as_it_is():
    layer = npnn.nn.Sequential(npnn.nn.Linear(2, 2), npnn.nn.BatchNorm1d(2))
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    zeros = {k: npnn.zeros(v.shape) for k, v in layer.named_parameters()}
    assert not npnn.func.functional_call(layer, zeros, npnn.rand(3, 2)).any()
    assert inspect.signature(npnn.func.functional_call).parameters
    for k, v in before.items():
        if "running" not in k and "num" not in k:
            np.testing.assert_array_equal(layer.state_dict()[k], v)
    with pytest.raises(KeyError, match="no parameter or buffer 'other'"):
        npnn.func.functional_call(layer, {"other": npnn.zeros(1)}, npnn.rand(3, 2))


def test_vmap_refuses_batches_of_different_sizes():
    with pytest.raises(ValueError, match="one size"):
        npnn.func.vmap(lambda a, b: a + b)(npnn.rand(2), npnn.rand(3))


def test_scores_may_change_after_the_loss():
    """As in PyTorch: cross_entropy keeps probabilities, not the scores."""
    x = npnn.rand(3, 4).requires_grad_()
    scores = x * 1
    loss = npnn.nn.functional.cross_entropy(scores, npnn.tensor([0, 1, 2]))
    scores.detach().zero_()
    loss.backward()
    assert x.grad.abs().sum() > 0
