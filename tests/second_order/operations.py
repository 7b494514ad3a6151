"""Operations that are differentiated twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.second_order.table import case, definite, inside, normal, of_functions, positive, share

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
