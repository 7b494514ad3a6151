"""The file that ``new`` writes: a small experiment that runs as it is, to be changed line by line."""

from __future__ import annotations

from pathlib import Path

from npnn.experiment.config import UserError

__all__ = ["write"]

TEXT = '''"""How many hidden units does it take to tell two half moons apart?"""

from dataclasses import dataclass

from npnn.data import make_toy


@dataclass
class Config:
    hidden: int = 20
    noise: float = 0.1
    lr: float = 1e-2


def data(config):
    return make_toy("moons", noise=config.noise)


def build(nn, config):
    return nn.Sequential(nn.Linear(2, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2))


VARIANTS = {"twenty": Config(), "two": Config(hidden=2)}
'''


def write(path: Path) -> None:
    """Errors: UserError for a file that is there, or a name that Python cannot import."""
    if not path.stem.isidentifier():
        raise UserError(f"{path.stem!r} cannot be the name of an experiment: use letters, digits and _")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEXT)
    except FileExistsError:
        raise UserError(f"{path} is there already") from None
