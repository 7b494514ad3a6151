"""A run as TensorBoard shows it: figures over the steps, histograms of weights and gradients, pictures."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from npnn.data._optional import require
from npnn.train.callbacks import Callback

if TYPE_CHECKING:
    from npnn.train.trainer import Trainer

__all__ = ["TensorBoard"]

MOST_KERNELS = 64  # in one picture
ENLARGED = 8  # screen pixels for each weight


class TensorBoard(Callback):
    """Write each record of the run for TensorBoard: ``tensorboard --logdir log_dir``.

    histograms  of every weight, and of its gradient at the last step before the record
    images      the kernels of the first convolution
    figures     more pictures: a dict of functions that make a matplotlib figure of the trainer, such as
                ``lambda trainer: npnn.plot.gradient_norms(...)``

    Figures of training and of validation share a diagram: train_loss is "loss/train".  When a run is
    resumed, TensorBoard is told to forget what was written after the checkpoint was.
    Errors: ImportError, when training begins, without tensorboardX (``pip install npnn[tensorboard]``).
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        histograms: bool = True,
        images: bool = True,
        figures: Mapping[str, Callable[[Trainer], Any]] | None = None,
    ):
        self.log_dir, self.histograms, self.images, self.figures = log_dir, histograms, images, dict(figures or {})
        self.writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        tensorboard = require("tensorboardX", "TensorBoard", "tensorboard")
        step = trainer.run.step
        self.writer = tensorboard.SummaryWriter(
            os.fspath(self.log_dir),
            purge_step=step + 1 if step else None,
            filename_suffix=f".{secrets.token_hex(4)}",  # else two files of one second would have one name
        )

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        step = record["step"]
        for name, value in record.items():
            for tag, number in _numbers(_tag(name), value):
                self.writer.add_scalar(tag, number, step)
        array = trainer.backend.array
        named = list(trainer.model.named_parameters())
        if self.histograms:
            for name, p in named:
                self._histogram(f"weights/{name}", array(p), step)
                if p.grad is not None:
                    self._histogram(f"gradients/{name}", array(p.grad), step)
        kernels = next(((name, array(p)) for name, p in named if p.ndim == 4), None)
        if self.images and kernels is not None:
            self.writer.add_images(f"kernels/{kernels[0]}", _tiles(kernels[1]), step)
        for name, draw in self.figures.items():
            self.writer.add_figure(name, draw(trainer), step)
        self.writer.flush()

    def on_train_end(self, trainer: Trainer) -> None:
        self.writer.close()

    def _histogram(self, tag: str, values: NDArray[Any], step: int) -> None:
        finite = values[np.isfinite(values)]
        if finite.size:
            self.writer.add_histogram(tag, finite, step)


def _tag(name: str) -> str:
    for part in ("train", "validation"):
        if name.startswith(f"{part}_"):
            return f"{name.removeprefix(part)[1:]}/{part}"
    return name


def _numbers(tag: str, value: Any) -> Iterator[tuple[str, float]]:
    """The number, or each of a list of them; not what is missing, the step and the epoch."""
    if isinstance(value, list):
        for i, v in enumerate(value):
            yield from _numbers(f"{tag}/{i}", v)
    elif value is not None and tag not in ("step", "epoch"):
        yield tag, float(value)


def _tiles(weight: NDArray[Any]) -> NDArray[Any]:
    """Kernels (O, C, KH, KW) as pictures in 0..1, in colour if C is 3, each channel by itself otherwise.

    On one scale, where mid-grey is 0.   -> (N, 3 or 1, ENLARGED KH + 2, ENLARGED KW + 2), with a white border
    """
    C, KH, KW = weight.shape[1:]
    tiles = weight if C == 3 else weight.reshape(-1, 1, KH, KW)
    limit = float(np.abs(weight).max(initial=0)) or 1.0
    large = (tiles[:MOST_KERNELS] / (2 * limit) + 0.5).repeat(ENLARGED, 2).repeat(ENLARGED, 3)
    return np.pad(large, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=1.0)
