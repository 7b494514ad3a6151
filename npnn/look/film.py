"""Training as a film: kernels, activations and gradients of each layer, kept while the network learns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look.subject import subject
from npnn.train.callbacks import Callback

__all__ = ["Film", "Frame"]

COST = 0.02  # of the time of training
SAMPLE = 5000  # values of a layer are enough for its quantiles
LEVELS = (5, 25, 50, 75, 95)  # per cent: the quantiles that are kept


@dataclass(frozen=True)
class Frame:
    """One moment.  By layer: the share of zeros and the quantiles (5, 25, 50, 75, 95 %) of what it gives; by
    parameter the norm of its gradient; and the kernels that are watched, (O, C, KH, KW)."""

    step: int
    kernels: NDArray[Any] | None
    silent: dict[str, float]
    quantiles: dict[str, NDArray[Any]]
    gradients: dict[str, float]


class Film(Callback):
    """A callback of Trainer that keeps a Frame now and then.

    images   (N, ...) a few inputs, for which the layers' values are measured, in evaluation mode
    layer    the convolution whose kernels are kept, by default the first; none where there is none
    every    steps from one frame to the next.  By default as often as costs at most 2 % of the time of
             training, and not more than ``most`` frames: when there are as many, every second is given up

    Which frames there are then depends on the machine; the training does not.
    """

    def __init__(self, images: ArrayLike, layer: Any = None, every: int | None = None, most: int = 200):
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if most < 2:
            raise ValueError(f"most must be at least 2, got {most}")
        self.images, self.layer, self.every, self.most = images, layer, every, most
        self.frames: list[Frame] = []
        self._begun = self._spent = self._last = 0.0
        self._stride = 1

    def on_train_begin(self, trainer: Any) -> None:
        self._begun, self._spent = time.perf_counter(), 0.0

    def on_step_end(self, trainer: Any) -> None:
        step = trainer.run.step
        if self.every is not None:
            if step % self.every == 0:
                self.frames.append(self._frame(trainer.model, step))
            return
        now = time.perf_counter()
        last = self.frames[-1].step if self.frames else -self._stride
        if step - last < self._stride or (self.frames and self._spent + self._last > COST * (now - self._begun)):
            return
        self.frames.append(self._frame(trainer.model, step))
        self._last = time.perf_counter() - now
        self._spent += self._last
        if len(self.frames) >= self.most:
            self.frames = self.frames[::2]
            self._stride = max(2 * self._stride, self.frames[1].step - self.frames[0].step)

    def _frame(self, model: Any, step: int) -> Frame:
        net = subject(model)
        gradients = {
            name: float(np.linalg.norm(p.grad.detach().numpy()))
            for name, p in net.model.named_parameters()
            if p.grad is not None
        }
        silent, quantiles = {}, {}
        for name, values in net.activations(self.images, net.layers, batch=len(net.input(self.images))).items():
            some = values.ravel()[:: 1 + values.size // SAMPLE]
            silent[name] = float((some == 0).mean())
            quantiles[name] = np.percentile(some, LEVELS)
        shown = None
        if self.layer is not None or net.of_kind("Conv"):
            shown = net.find(self.layer, ("Conv",)).weight().copy()
        return Frame(step, shown, silent, quantiles, gradients)

    def state_dict(self) -> dict[str, Any]:
        return {"frames": [_as_dict(frame) for frame in self.frames], "stride": self._stride}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.frames, self._stride = [Frame(**frame) for frame in state["frames"]], state["stride"]


def _as_dict(frame: Frame) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in ("step", "kernels", "silent", "quantiles", "gradients")}
