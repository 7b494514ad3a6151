"""Can a vanilla RNN say the last digit of a palindrome, which is the first one that it read?

    python -m experiments run rnn_palindrome --variant T10

Yes: test accuracy 100.0 ± 0.0 % (five initialisations) on palindromes that were not in the training
set, for T = 5, 10 and 20, reached after 20, 40 and 55 steps; all 300 steps take 0.3 s.  It takes no
more than digits that are told apart (one-hot) and an orthogonal recurrent matrix; the gradient then
never comes near the limit at which it would be clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.harness.config import RunConfig, option
from experiments.harness.registry import Tolerance
from experiments.harness.results import Result
from npnn.data import TrainTest, make_palindromes


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    T: int = option(5, "digits of a palindrome; the network reads all but the last")
    n_samples: int = option(1000, "palindromes, of which a fifth are for the test")
    hidden: int = option(128, "hidden units")
    steps: int | None = option(300, "optimiser steps, instead of epochs")
    batch_size: int = option(128, "palindromes per step")
    lr: float = option(1e-3, "learning rate of Adam")
    clip_grad_norm: float | None = option(10.0, "largest norm of the gradient")
    evaluate_every: int | None = option(5, "steps from one record of the history to the next")


def data(config: Config) -> TrainTest:
    return make_palindromes(config.T, config.n_samples, one_hot=True)


def build(nn: Any, config: Config) -> Any:
    """h_t = tanh(W_hx x_t + W_hh h_(t-1) + b), and the digit is read from the last h.

    An orthogonal W_hh neither shrinks nor stretches what is to be remembered, in either direction.
    """

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(10, config.hidden, batch_first=True)
            self.digit = nn.Linear(config.hidden, 10)
            nn.init.orthogonal_(self.rnn.weight_hh_l0)

        def forward(self, x: Any) -> Any:  # (N, T - 1, 10)
            h, _ = self.rnn(x)  # (N, T - 1, H)
            return self.digit(h[:, -1])  # (N, 10)

    return Reader()


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    return optim.Adam(model.parameters(), lr=config.lr)


def draw(result: Result) -> Any:
    """Loss and accuracy, and the norm of the gradient that clipping watches over."""
    from npnn import plot

    sheet: Any = plot.figure(plot.PAGE, 3.4)
    left, right = sheet.subfigures(1, 2)
    plot.curves(result.histories, test=result.watched, x="step", figure=left, width=plot.COLUMN)
    plot.gradient_norms(result.histories, result.config.clip_grad_norm, figure=right)
    return sheet


VARIANTS = {
    "T5": Config(),  # all 1000 that there are
    "T10": Config(T=10, n_samples=10_000),
    "T20": Config(T=20, n_samples=10_000),
}
TOLERANCE = Tolerance(gap=1e-3, steps=200)
BEST = {"T10": "float32"}
