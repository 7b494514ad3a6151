"""The mistakes of a course report that wrote its network in NumPy, one layer each, and what a check says about them.

    python -m experiments.mistakes        # writes experiments/MISTAKES.md

The report (S4 in RESULTS.md) reached 81 % on MNIST with a network that reaches 95 % without these mistakes.  The
layers are written anew from what they did.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import npnn
from npnn.testing import Finding, check_layer, check_loss

__all__ = ["GALLERY", "page"]

PAGE = Path(__file__).parent / "MISTAKES.md"


class Linear:
    def __init__(self, n: int = 6, m: int = 4):
        self.W, self.b = npnn.randn(n, m).numpy(), np.zeros((1, m))

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy: Any) -> Any:
        self.dW = self.x.T @ dy
        self.db = dy.sum(axis=0, keepdims=True)
        return dy @ self.W.T


class LinearDividedAgain(Linear):
    def backward(self, dy: Any) -> Any:
        self.dW = self.x.T @ dy / len(dy)
        self.db = dy.sum(axis=0, keepdims=True) / len(dy)
        return dy @ self.W.T


class LinearWithDecay(Linear):
    def backward(self, dy: Any) -> Any:
        self.dW = self.x.T @ dy + 1e-4 * self.W
        self.db = dy.sum(axis=0, keepdims=True)
        return dy @ self.W.T


class Convolution:
    def __init__(self, c: int = 1, o: int = 2, k: int = 3):
        self.W, self.b = npnn.randn(o, c, k, k).numpy(), np.zeros(o)

    def windows(self, x: Any) -> Any:
        k = self.W.shape[2]
        return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))  # (N, C, OH, OW, K, K)

    def forward(self, x: Any) -> Any:
        self.x = x
        return np.einsum("nchwij,ocij->nohw", self.windows(x), self.W) + self.b[:, None, None]

    def backward(self, dy: Any) -> Any:
        self.dW = np.einsum("nchwij,nohw->ocij", self.windows(self.x), dy)
        self.db = dy.sum(axis=(0, 2, 3))
        return self.to_input(dy)

    def to_input(self, dy: Any) -> Any:
        edge = self.W.shape[2] - 1
        padded = np.pad(dy, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        return np.einsum("nohwij,ocij->nchw", self.windows(padded), self.W[:, :, ::-1, ::-1])


class ConvolutionDividedAgain(Convolution):
    def backward(self, dy: Any) -> Any:
        N = len(dy)
        self.dW = np.einsum("nchwij,nohw->ocij", self.windows(self.x), dy) / N
        self.db = dy.sum(axis=(0, 2, 3)) / N
        return self.to_input(dy) / N


class Sigmoid:
    def forward(self, x: Any) -> Any:
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy: Any) -> Any:
        return dy * self.y * (1 - self.y)


class SigmoidOfTheInput(Sigmoid):
    def forward(self, x: Any) -> Any:
        self.x = x
        return 1 / (1 + np.exp(-x))

    def backward(self, dy: Any) -> Any:
        return dy * self.x * (1 - self.x)


class CrossEntropy:
    def forward(self, scores: Any, labels: Any) -> Any:
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.p, self.labels = e / e.sum(axis=1, keepdims=True), labels
        return -np.log(self.p[np.arange(len(labels)), labels]).mean()

    def backward(self) -> Any:
        d = self.p.copy()
        d[np.arange(len(d)), self.labels] -= 1
        return d / len(d)


class CrossEntropySummed(CrossEntropy):
    def backward(self) -> Any:
        d = self.p.copy()
        d[np.arange(len(d)), self.labels] -= 1
        return d


class Dropout:
    def __init__(self, p: float = 0.3):
        self.p, self.training = p, True

    def forward(self, x: Any) -> Any:
        self.mask = npnn.rand(*x.shape).numpy() >= self.p if self.training else np.full(x.shape, 1 - self.p)
        return x * self.mask / (1 - self.p)

    def backward(self, dy: Any) -> Any:
        return dy * self.mask / (1 - self.p)


class DropoutWithoutEvaluation:
    def forward(self, x: Any) -> Any:
        self.mask = npnn.rand(*x.shape).numpy() >= 0.3
        return x * self.mask / 0.7

    def backward(self, dy: Any) -> Any:
        return dy * self.mask / 0.7


class Mistake(NamedTuple):
    title: str
    right: type
    wrong: type
    shows: str  # the method in which it is
    cost: str  # what it did to the training


GALLERY = [
    Mistake(
        "The batch is divided by twice", Linear, LinearDividedAgain, "backward",
        "The gradient of the loss is a mean already. Divided again in each layer, the steps are 1/32 as long as the rate says.",
    ),
    Mistake(
        "The same in a convolution, for the input as well", Convolution, ConvolutionDividedAgain, "backward",
        "Every layer before it gets another 1/32: with two such layers the first stands still.",
    ),
    Mistake(
        "The slope of the sigmoid from its input", Sigmoid, SigmoidOfTheInput, "backward",
        "σ' = y (1 - y) holds for the output y. With the input x (1 - x) grows without bound, and has the wrong sign.",
    ),
    Mistake(
        "A mean whose gradient is that of a sum", CrossEntropy, CrossEntropySummed, "backward",
"The report had this right; another one (S1) summed its losses. With batches of 32 the steps are 32 times as long.",
    ),
    Mistake(
        "Dropout that cannot be turned off", Dropout, DropoutWithoutEvaluation, "forward",
        "Accuracy is measured with a third of the units missing: it is lower, and another at each look.",
    ),
    Mistake(
        "Weight decay in backward and in the optimiser", Linear, LinearWithDecay, "backward",
        "The weights decay twice as fast as the setting says, and the gradient is not that of the loss.",
    ),
]  # fmt: skip


def examined(layer: type) -> list[Finding]:
    """What the check says of a layer, with an input that fits it."""
    npnn.manual_seed(0)
    scores = npnn.randn(8, 6).numpy().astype(float)
    if issubclass(layer, CrossEntropy):
        return check_loss(layer(), scores, np.arange(8) % 6)
    return check_layer(layer(), npnn.randn(5, 1, 6, 6).numpy() if issubclass(layer, Convolution) else scores)


def page() -> str:
    """MISTAKES.md: for each its code, what the check says, and what it cost."""
    intro, note = (" ".join(part.split()) for part in (__doc__ or "").split("\n\n")[::2])
    parts = ["# Mistakes, and what a check says about them", "", intro, note, ""]
    parts += [
        "`python -m experiments.mistakes` writes this page; `npnn.testing.check_layer` takes your own layers.",
        "",
    ]
    for mistake in GALLERY:
        method = inspect.getsource(getattr(mistake.wrong, mistake.shows))
        code = re.sub(r"(?m)^    ", "", method).replace(": Any", "").replace(" -> Any", "").rstrip()
        said = "\n".join(str(finding) for finding in examined(mistake.wrong))
        parts += [f"## {mistake.title}", "", "```python", code, "```", "", "```", said, "```", "", mistake.cost, ""]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
