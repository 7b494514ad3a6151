"""Both frameworks from the same weights, on the same batches, in the same order: a gap is rounding or a bug."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.experiment.config import replace
from npnn.experiment.job import Job
from npnn.experiment.registry import Tolerance
from npnn.train import History

__all__ = ["Comparison", "compare", "step_ratio"]

GAP_IN_FLOAT64 = 1e-9
TURNS, TURN = 5, 0.1  # of each framework, and how many seconds one takes


@dataclass(frozen=True)
class Comparison:
    """The histories of the two runs, and how far they may be apart."""

    npnn: History
    torch: History
    tolerance: Tolerance

    @property
    def gaps(self) -> NDArray[Any]:
        """The absolute difference of the two training losses, step by step; nan if one run ended before."""
        losses = [np.asarray(history.step_losses) for history in (self.npnn, self.torch)]
        steps = max(map(len, losses))
        ours, theirs = (np.pad(run, (0, steps - len(run)), constant_values=np.nan) for run in losses)
        return np.abs(ours - theirs)

    @property
    def largest(self) -> tuple[float, int]:
        """The largest gap among the steps that are judged, and the number of its step."""
        judged = self.gaps[: self.tolerance.steps]
        return float(judged.max()), int(judged.argmax()) + 1

    @property
    def agrees(self) -> bool:
        return self.largest[0] <= self.tolerance.gap

    def draw(self) -> Any:
        """Both runs in one figure: loss and accuracy on the left; on the right the gap, and how large it may be."""
        from npnn import plot
        from npnn.plot import style

        sheet: Any = plot.figure(plot.PAGE, 3.4)
        left, right = sheet.subfigures(1, 2)
        plot.curves({"npnn": self.npnn, "torch": self.torch}, x="step", figure=left, width=plot.COLUMN)
        ax = right.subplots()
        largest = np.maximum.accumulate(self.gaps)
        ax.semilogy(1 + np.arange(len(largest)), np.where(largest > 0, largest, np.nan), color="0.2")
        ax.hlines(self.tolerance.gap, 1, self.tolerance.steps, color="0.2", linestyle=":", label="tolerance")
        style.lines(ax)
        style.describe(ax, "step", "largest gap of the training losses so far")
        style.legend(right, ax, columns=1)
        return sheet


def compare(job: Job, progress: bool = True, double: bool = False) -> Comparison:
    """Run a job in npnn and in torch, for as many steps as the experiment's tolerance covers unless the job says.

    In float32 the rounding errors of two correct programs grow from step to step, the faster the
    deeper the network.  With ``double`` both compute in float64, where they stay too small to matter.
    """
    tolerance = job.experiment.TOLERANCE
    config = job.config
    if not {"steps", "epochs"} & job.changes.keys():
        config = replace(config, steps=tolerance.steps)
    if config.evaluate_every is None:
        config = replace(config, evaluate_every=10)
    if double:
        tolerance = Tolerance(GAP_IN_FLOAT64, config.steps or tolerance.steps)
    histories = {}
    for backend in ("npnn", "torch"):
        start = dataclasses.replace(job, backend=backend).start(progress=progress, double=double)
        histories[backend] = start.fit(config)
        if histories[backend].interrupted:
            raise KeyboardInterrupt
    return Comparison(**histories, tolerance=tolerance)


def step_ratio(job: Job) -> float:
    """The time of a training step, npnn's by torch's: taken in turns, so that other work on the machine slows both.

    The median of the turns of each; the first of each, which compiles and warms up, does not count.  The rate is 0,
    and there is no schedule, nor anything else that watches over the run: so no training diverges here, or ends.
    """
    frameworks = ("npnn", "torch")
    bare = dataclasses.replace(job.experiment, schedule=lambda *_: None, callbacks=lambda _: ())
    job = Job(bare, job.variant, replace(job.config, patience=None))
    starts = {name: dataclasses.replace(job, backend=name).start(progress=False) for name in frameworks}
    for start in starts.values():
        for group in start.trainer.optimizer.param_groups:
            group["lr"] = 0.0
    milliseconds: dict[str, list[float]] = {name: [] for name in frameworks}
    steps = 1
    for turn in range(1 + TURNS):
        for name, start in starts.items():
            few = tuple(part[: job.config.batch_size] for part in start.watched)
            history = start.trainer.fit(start.loader, None, few, max_steps=steps)
            if history.interrupted:
                raise KeyboardInterrupt
            milliseconds[name].append(1e3 * sum(history["seconds"]) / steps)
        if turn == 0:
            steps = max(1, round(1e3 * TURN / max(milliseconds["torch"])))
    ours, theirs = (float(np.median(milliseconds[name][1:])) for name in frameworks)
    return ours / theirs
