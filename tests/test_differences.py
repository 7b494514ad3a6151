"""What PyTorch takes and npnn refuses, and where the two answer differently: DIFFERENCES.md is made of these tables.

Each call is made in both frameworks: PyTorch must take it, npnn must refuse it with the error named.
After a change here: python -m tests.test_differences
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from tests.parity import requires_torch, torch

ROOT = Path(__file__).parent.parent


class Refusal(NamedTuple):
    what: str
    call: Callable[[Any], Any]  # of the framework
    error: type[Exception]
    instead: str
    arguments: tuple[str, ...] = ()  # of constructors and functions, which npnn's signatures lack
    in_torch: bool = True  # False where PyTorch's own answer cannot be asked for


def parameter(lib: Any) -> Any:
    return lib.nn.Parameter(lib.ones(2))


def schedule(lib: Any) -> Any:
    return lib.optim.lr_scheduler.StepLR(lib.optim.SGD([parameter(lib)], lr=0.1), 1)


REFUSED = [
    Refusal(
        "`differentiable=True` of optimisers",
        lambda lib: lib.optim.Adam([parameter(lib)], differentiable=True),
        NotImplementedError,
        "a step changes weights in place, which is not recorded",
        ("differentiable",),
    ),
    Refusal(
        "`scatter_reduce` with another reduction than sum, in the graph",
        lambda lib: lib.ones(2, requires_grad=True).scatter_reduce(0, lib.tensor([0]), lib.ones(1), "amax"),
        NotImplementedError,
        "`scatter_add`",
    ),
    Refusal(
        '`device=` other than `"cpu"`',
        lambda lib: lib.nn.Linear(2, 3, device="meta"),
        RuntimeError,
        "there is one device",
    ),
    Refusal(
        "`dtype=` complex, float16 or bfloat16",
        lambda lib: lib.zeros(2, dtype=getattr(lib, "complex64", "complex64")),
        TypeError,
        "tensors hold float32, float64, integers and booleans",
    ),
    Refusal(
        "losses of an input and a target that broadcast",
        lambda lib: lib.nn.functional.mse_loss(lib.zeros(3), lib.zeros(3, 1)),
        ShapeError,
        "reshape one of them: (N,) against (N, 1) compares every pair",
    ),
    Refusal(
        "`Embedding(sparse=True)`",
        lambda lib: lib.nn.Embedding(5, 2, sparse=True),
        NotImplementedError,
        "gradients are dense arrays",
    ),
    Refusal(
        "`max_pool` with a dilation that leaves a window nothing but padding",
        lambda lib: lib.nn.functional.max_pool2d(lib.zeros(1, 1, 1, 1), 2, padding=1, dilation=2),
        ShapeError,
        "such a window has no largest element; PyTorch answers -inf, and writes outside its memory in backward",
        in_torch=False,
    ),
    Refusal(
        "`linear` with a bias that broadcasts",
        lambda lib: lib.nn.functional.linear(lib.zeros(2, 3), lib.zeros(4, 3), lib.zeros(1)),
        ShapeError,
        "a bias of shape (O,)",
    ),
    Refusal(
        "one parameter twice in a group of an optimiser",
        lambda lib: (lambda p: lib.optim.SGD([p, p]))(parameter(lib)),
        ValueError,
        "PyTorch warns, and steps twice",
    ),
    Refusal(
        "a learning rate of nan",
        lambda lib: lib.optim.SGD([parameter(lib)], lr=float("nan")),
        ValueError,
        "it would spoil every weight",
    ),
]

ANSWERED = [
    (
        "`torch.embedding_bag` has three more results, which say what was in each bag: here they are empty",
        lambda lib: str([len(t) for t in lib.embedding_bag(lib.ones(2, 2), lib.tensor([0, 1]), lib.tensor([0]))[1:]]),
        "[0, 0, 0]",
        "[0, 1, 1]",
    ),
    (
        "`torch.load` gives float16 and bfloat16 as float32, and refuses foreign classes whatever `weights_only` says",
        lambda lib: str(reload_half(lib)),
        "torch.float32",
        "torch.float16",
    ),
    (
        "integers of any type as class indices, for embeddings and for one_hot: PyTorch insists on int64",
        lambda lib: lib.nn.functional.one_hot(lib.tensor(np.array([1, 0], "uint8"))).tolist(),
        [[0, 1], [1, 0]],
        RuntimeError,
    ),
    (
        "the loss of a float32 input and a float64 target is float32: the target is cast",
        lambda lib: str(lib.nn.functional.mse_loss(lib.zeros(2), lib.zeros(2, dtype=lib.float64)).dtype),
        "torch.float32",
        "torch.float64",
    ),
    (
        "slices with a negative step go backwards, as in NumPy",
        lambda lib: lib.tensor([3.0, -1.0])[::-1].tolist(),
        [-1.0, 3.0],
        ValueError,
    ),
    (
        "`AdaptiveAvgPool1d(None)` keeps the size",
        lambda lib: tuple(lib.nn.AdaptiveAvgPool1d(None)(lib.zeros(1, 2, 5)).shape),
        (1, 2, 5),
        TypeError,
    ),
    (
        "`GroupNorm` of images without pixels: the gradient of the weight is 0, in PyTorch nan",
        lambda lib: group_norm_of_nothing(lib),
        [0.0, 0.0],
        "[nan, nan]",
    ),
    (
        "the slope of `hardsigmoid` in float64 is 1/6; PyTorch's is 1/6 rounded to float32",
        lambda lib: slope_of_hardsigmoid(lib),
        1 / 6,
        "0.1666666716337204",
    ),
    (
        "`isin`, `rsub` and `float_power` take two numbers, too",
        lambda lib: lib.rsub(7, 3).item(),
        -4,
        TypeError,
    ),
]


def reload_half(lib: Any) -> Any:
    """The dtype in which a file with a half-precision tensor, as PyTorch writes it, is read."""
    if torch is None:
        return "torch.float32"
    file = io.BytesIO()
    torch.save(torch.ones(2).half(), file)
    file.seek(0)
    return lib.load(file).dtype


def slope_of_hardsigmoid(lib):
    x = lib.zeros(1, dtype=lib.float64, requires_grad=True)
    lib.nn.functional.hardsigmoid(x).backward()
    return x.grad.item()


def group_norm_of_nothing(lib: Any) -> Any:
    layer = lib.nn.GroupNorm(1, 2)
    layer(lib.zeros(1, 2, 0)).sum().backward()
    return layer.weight.grad.tolist()


def document() -> str:
    """DIFFERENCES.md."""
    rows = [f"| {r.what} | {r.error.__name__} | {r.instead} |" for r in REFUSED]
    answers = [f"- {what}." for what, *_ in ANSWERED]
    return "\n".join(
        [
            "# What PyTorch takes and npnn refuses",
            "",
            "Written by `python -m tests.test_differences`. Every line is a test: PyTorch takes the call, npnn raises",
            "the error. Layers, functions, optimisers and schedules that npnn has not got are not listed. Those it",
            "has take every other argument of PyTorch's, in PyTorch's order and with its defaults.",
            "",
            "| refused | error | instead, or why |",
            "|---------|-------|-----------------|",
            *rows,
            "",
            "# Where npnn answers and PyTorch does not, or otherwise",
            "",
            *answers,
            "",
            "# The random stream",
            "",
            "Compared with the CPU build of PyTorch 2.13.0 on an Intel Xeon with AVX-512: draws, states and the order of",
            "drawing (`tests/random`). That build has no call of MKL's random numbers, so `bernoulli_` comes from the",
            "Mersenne Twister there as on other processors, and here. A build of PyTorch that takes `bernoulli_` from MKL's",
            "stream on Intel processors draws other numbers there; npnn does not follow it. Normal numbers agree to the",
            "rounding of logarithm and cosine; what passes through LAPACK (`orthogonal_`) to 1e-5.",
            "",
        ]
    )


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda r: r.what)
def test_refused(refusal):
    with pytest.raises(refusal.error):
        refusal.call(npnn)


@requires_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("refusal", [r for r in REFUSED if r.in_torch], ids=lambda r: r.what)
def test_torch_takes_it(refusal):
    refusal.call(torch)


@pytest.mark.parametrize(("call", "answer"), [row[1:3] for row in ANSWERED], ids=[row[0] for row in ANSWERED])
def test_answered(call, answer):
    assert call(npnn) == answer


@requires_torch
@pytest.mark.parametrize(("call", "otherwise"), [row[1::2] for row in ANSWERED], ids=[row[0] for row in ANSWERED])
def test_torch_answers_otherwise(call, otherwise):
    if isinstance(otherwise, type):
        with pytest.raises(otherwise):
            call(torch)
    else:
        assert str(call(torch)) == otherwise


def test_the_document_is_that_of_the_tables():
    """If this fails: python -m tests.test_differences"""
    assert (ROOT / "DIFFERENCES.md").read_text() == document()


def test_the_readme_counts_them():
    (counted,) = re.findall(r"the (\d+) kinds of\s+arguments that it refuses", (ROOT / "README.md").read_text())
    assert int(counted) == len(REFUSED)


if __name__ == "__main__":
    (ROOT / "DIFFERENCES.md").write_text(document())
