"""What does each common fault do to the learning curve?

    python -m experiments run faults                      # without a fault
    python -m experiments run faults --variant summed     # any of those below

A network of 64 units that tells handwritten digits of 8 x 8 pixels apart, by SGD at 0.1 with momentum 0.9, has a test
accuracy of 97.8 % after 20 epochs in 0.3 s.  With one fault each: no ReLU 97.8 (digits are that easy), sigmoid before
the loss 96.7, weights from N(0, 1) 96.4, gradients divided by the batch twice 92.8, softmax before the loss 88.0, weight
decay of 0.1 67.4, ReLU after the last layer 57.7, ten times the rate 10 to 20; and 10 %, which is guessing, with a
summed loss, without zero_grad, with weights of 0 and with pixels up to 255.  The figure of all (figs/faults.png) shows
each beside the right one, and why.  Half of these faults do not look like a fault: they look like a network that is
not so good.  PyTorch has the same curves from the same seed, but where the steps are too large to forget a rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from npnn.data import TrainTest, load_digits
from npnn.experiment.config import RunConfig, option
from npnn.experiment.registry import Tolerance

HIDDEN, MOMENTUM = 64, 0.9
# name: (what is wrong, why it matters)
FAULTS = {
    "softmax": ("before the loss", "the loss has a softmax already:\ngradients are small, the loss ≥ 1.46"),
    "sigmoid": ("before the loss", "outputs in [0, 1] say little:\nno class gets over 23 %"),
    "relu": ("after the last layer", "an output below 0 has no\ngradient, and stays there"),
    "linear": ("no ReLU in between", "two linear layers are one:\nenough for digits, not for more"),
    "summed": ("the loss not averaged", "steps are 32 times as large:\na rate of 3.2"),
    "divided": ("by the batch, twice", "steps are 1/32 as large:\na rate of 0.003"),
    "accumulated": ("no zero_grad", "each step has all gradients\nthere ever were"),
    "decay": ("0.1 of each weight", "weights are pulled to 0 as\nhard as the data pull away"),
    "rate": ("ten times as large", "each step is longer than\nthe valley is wide"),
    "normal": ("all weights from N(0, 1)", "logits of ± 40 before it begins:\nsure of what is wrong"),
    "zeros": ("all weights 0", "only the last bias has a gradient:\nall units stay alike"),
    "raw": ("pixels from 0 to 255", "with inputs 255 times as large\nthe first steps are far too large"),
}


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    fault: str = option("", "what is wrong: " + ", ".join(FAULTS))
    epochs: int | None = option(20, "passes over the training set")
    lr: float = option(0.1, "learning rate of SGD")


def data(config: Config) -> TrainTest:
    found = load_digits()
    if config.fault == "raw":
        found = replace(found, train_x=255 * found.train_x, test_x=255 * found.test_x)
    return found


def build(nn: Any, config: Config) -> Any:
    between = [] if config.fault == "linear" else [nn.ReLU()]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, HIDDEN), *between, nn.Linear(HIDDEN, 10))
    if config.fault == "relu":
        model.append(nn.ReLU())
    for p in model.parameters():
        if config.fault == "normal":
            nn.init.normal_(p)
        elif config.fault == "zeros":
            nn.init.zeros_(p)
    return model


def loss(nn: Any, config: Config) -> Any:
    if config.fault not in ("softmax", "sigmoid"):
        return nn.CrossEntropyLoss(reduction="sum" if config.fault == "summed" else "mean")
    squash = nn.Softmax(dim=1) if config.fault == "softmax" else nn.Sigmoid()
    log_softmax, surprise = nn.LogSoftmax(dim=1), nn.NLLLoss()  # cross-entropy, which would warn of probabilities
    return lambda outputs, targets: surprise(log_softmax(squash(outputs)), targets)


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    class Forgetful(optim.SGD):  # type: ignore[name-defined]
        def zero_grad(self, set_to_none: bool = True) -> None:
            pass

    kind = Forgetful if config.fault == "accumulated" else optim.SGD
    rate = config.lr * {"divided": 1 / config.batch_size, "rate": 10}.get(config.fault, 1)
    decay = 0.1 if config.fault == "decay" else 0
    return kind(model.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=decay)


def draw(result: Any) -> Any:
    from npnn import plot

    return plot.curves(result.histories)


def overview(rows: Mapping[str, Any]) -> Any:
    """Test accuracy by epoch with each fault, npnn's and torch's, beside that without one, and why."""
    from npnn import plot
    from npnn.experiment.numbers import history_of
    from npnn.plot import style

    shown = [name for name in FAULTS if name in rows]
    if "right" not in rows or not shown:
        return None
    columns = 3
    lines = -(-len(shown) // columns)
    page: Any = plot.figure(plot.PAGE, 0.4 + 1.65 * lines)
    panels = page.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for ax in panels.flat[len(shown) :]:
        ax.set_axis_off()
    for i, (name, ax) in enumerate(zip(shown, panels.flat, strict=False)):
        epochs = rows["right"].history["epoch"]
        ax.plot(epochs, [100 * a for a in rows["right"].history["validation_accuracy"]], color="0.6", label="right")
        for backend in ("npnn", "torch"):
            for run in getattr(rows[name], backend)[:1]:
                history = history_of(run)
                accuracy = [100 * a for a in history["validation_accuracy"]]
                look = {**style.FRAMEWORKS[backend], "markersize": 2.5, "linewidth": 1.2}
                ax.plot(history["epoch"], accuracy, label=f"with the fault, {backend}", **look)
        wrong, why = FAULTS[name]
        style.lines(ax)
        style.describe(
            ax, "epoch" if i + columns >= len(shown) else "", "test accuracy (%)" if i % columns == 0 else ""
        )
        ax.set_title(f"{name}: {wrong}", fontsize=style.SMALL, weight="bold", loc="left", pad=24)
        ax.text(0, 1.02, why, transform=ax.transAxes, fontsize=style.SMALL - 0.5, color="0.25", va="bottom")
        ax.set_ylim(0, 102)
    style.legend(page, panels[0], columns=3)
    return page


VARIANTS = {"right": Config(), **{name: Config(fault=name) for name in FAULTS}}
TOLERANCE = Tolerance(gap=1e-3, steps=50)
