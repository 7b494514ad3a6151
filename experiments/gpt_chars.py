"""How well does a small GPT continue a text letter by letter, and does attention beat an LSTM of its size?

    python -m experiments run gpt_chars

Forty thousand lines of Shakespeare's plays: the network reads up to 64 characters and says which of 65 comes next.
The last tenth of the text is the test.  2000 steps of 32 windows, one seed each, seconds on one core of two that were
both at work:

            weights     bits a character     right     npnn    torch
    gpt     818,241     2.31                 52.3 %    473 s   526 s
    lstm  1,086,017     2.32                 52.0 %    361 s   310 s

ATTENTION OR MEMORY?  At this length neither is ahead: 64 characters are a line and a half, and what decides the next
letter is mostly the word it is in.  Both write words, lines and the names of speakers, and no sense (see the figure).

ONE SEED, TWO FRAMEWORKS.  npnn and torch draw the same initial weights and batches.  The losses on the test set are
the same to five digits for 200 steps, to 0.003 to the end of the run: rounding grows, and the curves stay together.

Source: Radford and others, Language models are unsupervised multitask learners, 2019 (the blocks); Karpathy, The
unreasonable effectiveness of recurrent neural networks, 2015 (the text and the LSTM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments import _text_figure
from npnn.data import TrainTest, character_windows, load_shakespeare
from npnn.experiment.config import RunConfig, UserError, option
from npnn.experiment.registry import Schedule, Tolerance
from npnn.experiment.results import Result

CHARACTERS = 65  # that are different in the text


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    net: str = option("gpt", "the network", choices=("gpt", "lstm"))
    length: int = option(64, "characters that are read before the one that is predicted, at most")
    width: int = option(128, "numbers for each character, in every layer")
    layers: int = option(4, "blocks of attention, or layers of the LSTM")
    heads: int = option(4, "of attention; the width must be a multiple")
    dropout: float = option(0.0, "probability that a number is dropped while training")
    decay: float = option(0.1, "weight decay of matrices")
    steps: int | None = option(2000, "optimiser steps, instead of epochs")
    lr: float = option(3e-3, "largest learning rate: it rises for a tenth of the run and falls for the rest")
    clip_grad_norm: float | None = option(1.0, "largest norm of the gradient")
    evaluate_every: int | None = option(200, "steps from one record of the history to the next")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.net == "gpt" and self.width % self.heads:
            raise UserError(f"--width must be a multiple of --heads, got {self.width} and {self.heads}")


def data(config: Config) -> TrainTest:
    return character_windows(load_shakespeare(), config.length)


def build(nn: Any, config: Config) -> Any:
    """Indices of characters (N, T) -> scores of what comes next at each place, (N, 65, T)."""
    body = {"gpt": gpt, "lstm": lstm}[config.net](nn, config)

    class Reader(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.letter = nn.Embedding(CHARACTERS, config.width)
            self.body = body
            self.scores = nn.Linear(config.width, CHARACTERS)
            nn.init.normal_(self.letter.weight, 0.0, 0.02)

        def forward(self, x: Any) -> Any:  # (N, T)
            h = self.body(self.letter(x))  # (N, T, D)
            return self.scores(h).transpose(1, 2)  # (N, 65, T), as the loss wants it

    return Reader()


def gpt(nn: Any, config: Config) -> Any:
    """Blocks that first look back at all places (attention), then think about each (two linear layers).

    Each adds to what it got, and normalises before it looks.  The place of a letter is a learned vector.
    Source: Radford and others, Language models are unsupervised multitask learners, 2019.
    """
    D, H = config.width, config.heads

    class Attention(nn.Module):  # type: ignore[name-defined, misc]
        """softmax(Q Kᵀ / √(D / H)) V in each head, over the places up to one's own."""

        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(D, 3 * D)
            self.out = nn.Linear(D, D)

        def forward(self, x: Any) -> Any:  # (N, T, D)
            N, T, _ = x.shape
            q, k, v = self.qkv(x).view(N, T, 3, H, D // H).permute(2, 0, 3, 1, 4)  # each (N, H, T, D / H)
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(N, T, D))

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.look = nn.Sequential(nn.LayerNorm(D), Attention(), nn.Dropout(config.dropout))
            self.think = nn.Sequential(
                nn.LayerNorm(D), nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D), nn.Dropout(config.dropout)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.look(x)
            return x + self.think(x)

    class GPT(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Embedding(config.length, D)
            self.blocks = nn.Sequential(*[Block() for _ in range(config.layers)], nn.LayerNorm(D))
            for name, p in self.named_parameters():
                if name.endswith("weight") and p.ndim == 2:
                    nn.init.normal_(p, 0.0, 0.02)

        def forward(self, x: Any) -> Any:  # (N, T, D)
            return self.blocks(x + self.place.weight[: x.shape[1]])

    return GPT()


def lstm(nn: Any, config: Config) -> Any:
    """What was read is one vector per layer, and each letter changes it."""

    class Memory(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(config.width, config.width, config.layers, batch_first=True, dropout=config.dropout)

        def forward(self, x: Any) -> Any:  # (N, T, D)
            return self.lstm(x)[0]

    return Memory()


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": config.decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99))


def schedule(lr_scheduler: Any, optimizer: Any, config: Config, steps_per_epoch: int) -> Schedule | None:
    steps = config.total_steps(steps_per_epoch)
    cycle = lr_scheduler.OneCycleLR(optimizer, config.lr, steps, pct_start=0.1, cycle_momentum=False)
    return Schedule(cycle, "step")


def draw(result: Result) -> Any:
    """Loss and accuracy, and how the network goes on with a line that it has never seen."""
    return _text_figure.sheet(result)


VARIANTS = {
    "gpt": Config(),
    "lstm": Config(net="lstm", layers=2, width=256),
}
TOLERANCE = Tolerance(gap=1e-4, steps=100)
BEST = {"gpt": "float16"}
