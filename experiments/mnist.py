"""Why did a network in NumPy reach only 81 % on MNIST, and what does it reach without its faults?

    python -m experiments run mnist --variant mlp600

Its mistakes (mnist_faults.py) are made again here, and left out at the same settings; --backend torch makes
them, too, from the same seed.  A figure reported stands beside "with faults": npnn's accuracy in % on
10,000 images held out of the training set, as in the report; test: on the test set, without the faults.
Mean and standard deviation of three seeds; the last two rows are of one.

                                                   reported   with faults     without         test
    S4-1  mlp600             784-600-10, SGD          80.56   81.73 ± 0.45   94.99 ± 0.10   95.38 ± 0.09
    S4-2  mlp1024            784-1024-10              83.36   83.23 ± 0.20   95.16 ± 0.10   95.54 ± 0.13
    S4-3  mlp512             784-512-256-10           88.70   88.83 ± 0.20   95.03 ± 0.10   95.45 ± 0.06
    S4-4  momentum           the same, momentum       88.56   87.41 ± 0.65   97.51 ± 0.06   97.66 ± 0.03
    S4-5  dropout            the same, dropout 0.3    88.70   67.31 ± 3.01   97.12 ± 0.07   97.31 ± 0.07
    S4-6  conv               one convolution          11.59   11.14 ± 0.04   97.47 ± 0.35   97.67 ± 0.30
    S4-7  pool               and max-pooling          37      30.1 ± 16.7    97.17 ± 0.03   97.26 ± 0.05
    S4-8  augment-momentum   S4-4, more images        77.27   74.54          98.37          98.50
    S4-9  augment-sgd        without momentum         67.93   80.11          96.20          96.55

Two rows do not come out as reported.  S4-5: with all faults but dropout's, which goes on in evaluation,
76.67 ± 4.22 are left; what the report saw is what S4-4 has, without dropout.  S4-9: neither the batch nor how
far digits were moved is told.  S4-7 depends on the seed: 0, 1 and 2 end at 11, 42 and 37 %.

What each fault costs, alone, at the settings of S4-1 (94.99 without): dividing by the batch again
leaves 85.77 ± 0.08, weights from N(0, 1) 93.49 ± 0.19, the decay that comes twice 94.97 ± 0.12.  With
ExponentialLR as the schedule 94.52 ± 0.03; if it multiplies by one more power at each step,
83.84 ± 0.31.  Dropout in evaluation, at the settings of S4-5, leaves 96.21 ± 0.08 of 97.12.  With the
false derivative of sigmoid (--variant sigmoid --faults sigmoid) the loss is nan at step 22; with the
right one it ends at 90.37 ± 0.14.

A longer run helps: 15 epochs in batches of 128, with momentum, have 98.50 ± 0.06 on the test set at a constant
rate (long-constant).  That the rate rises and falls in a cycle adds nothing here (long: 98.40 ± 0.02); digits
shifted, rotated and scaled anew for each epoch do (long-augmented: 99.05 ± 0.07).

A bottleneck network of 50,000 weights has 99.25 ± 0.08 on the test set after 5 epochs without such changes.  Of
one seed each, the best MLP has 99.29 (99.33 held out) and the best CNN 99.59 (99.49): they were chosen by what
was held out, and the test set was measured once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments import _mnist_figure as figure
from experiments import mnist_faults as faults
from experiments._sheet import sheet
from npnn import Generator
from npnn.data import TrainTest, load_mnist
from npnn.data.transforms import Compose, RandomAffine, RandomRotation, RandomShift
from npnn.experiment.answers import accuracy
from npnn.experiment.config import RunConfig, UserError, option, replace, whole_numbers
from npnn.experiment.registry import Reported, Schedule, Tolerance
from npnn.experiment.results import Result

PLAIN = ("mlp", "conv", "conv-pool")
MODELS = (*PLAIN, "mlp-norm", "bottleneck", "vgg")
SCHEDULES = ("constant", "steps", "exponential", "one-cycle")


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    model: str = option("mlp", "the kind of network", choices=MODELS)
    units: str = option("600", "units of each hidden layer that sees all of the image, such as 512-256")
    channels: int = option(32, "of the first convolution in a network that is not the report's")
    activation: str = option("ReLU", "of the hidden layers of an MLP", choices=("ReLU", "Sigmoid"))
    dropout: float = option(0.0, "probability that a hidden unit is dropped while training")
    momentum: float = option(0.0, "of SGD; one-cycle moves it, too, between 0.95 and 0.85, against the rate")
    decay: float = option(1e-4, "weight decay; not for biases")
    schedule: str = option("steps", "of the learning rate", choices=SCHEDULES)
    milestones: str = option("800-2400-4000", "steps at which the rate is multiplied by gamma")
    gamma: float = option(0.5, "factor of the learning rate")
    smoothing: float = option(0.0, "share of the label that is dealt out to all classes")
    augment: float = option(0.0, "share of the images that are shifted, rotated and scaled at random")
    faults: str = option("none", f"the report's mistakes: none, all, or some ({', '.join(faults.FAULTS)}) joined by +")
    epochs: int | None = option(5, "passes over the training set")
    lr: float = option(0.06, "learning rate of SGD, the largest one of a cycle")
    validation: int = option(
        10_000, "examples held out of the training set, to choose by; 0: records look at the test set"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("units", "milestones"):
            whole_numbers(name, getattr(self, name))
        if self.faults not in ("none", "all") and not set(self.faults.split("+")) <= set(faults.FAULTS):
            known = ", ".join(faults.FAULTS)
            raise UserError(f"--faults must be none, all, or some of {known} joined by +, got {self.faults!r}")


def data(config: Config) -> TrainTest:
    return load_mnist()


def transform(config: Config) -> Callable[..., Any] | None:
    """Shift by up to 2 pixels, rotate by up to 12 degrees, scale by up to 12 %."""
    if not config.augment:
        return None
    change: Any = RandomAffine(12, (2 / 28, 2 / 28), (0.88, 1.12))
    if faults.has(config.faults, "zoom"):
        change = Compose([RandomShift(2), RandomRotation(12), faults.ZoomAndBack((0.88, 1.12))])

    def some(x: Any, generator: Generator) -> Any:
        chosen = generator.rand(len(x)) < config.augment
        out = x.copy()
        out[chosen] = change(x[chosen], generator)
        return out

    return change if config.augment == 1 else some


def build(nn: Any, config: Config) -> Any:
    kit = faults.layers(nn, config.faults)
    parts = {"vgg": vgg, "bottleneck": bottleneck}.get(config.model, plain)(kit, config)
    model = nn.Sequential(*parts)
    if faults.has(config.faults, "normal"):
        faults.draw_normal(nn, model)
    elif config.model in PLAIN:  # He et al.: the scale at which ReLU passes on what it is given
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
    return model


def plain(nn: Any, config: Config) -> list[Any]:
    """Hidden layers that see all of the image, or all that one convolution makes of it."""
    parts, inputs = [], 28 * 28
    if config.model.startswith("conv"):
        parts, inputs = [nn.Conv2d(1, 16, 3), nn.ReLU()], 16 * 26 * 26
    if config.model == "conv-pool":
        parts, inputs = [*parts, nn.MaxPool2d(2)], 16 * 13 * 13
    parts.append(nn.Flatten())
    for width in whole_numbers("units", config.units):
        parts.append(nn.Linear(inputs, width))
        parts += [nn.BatchNorm1d(width)] * (config.model == "mlp-norm")
        parts.append(getattr(nn, config.activation)())
        parts += [nn.Dropout(config.dropout)] * (config.dropout > 0)
        inputs = width
    return [*parts, nn.Linear(inputs, 10)]


def bottleneck(nn: Any, config: Config) -> list[Any]:
    """A small residual network; its blocks squeeze the channels, look at 3 x 3 pixels, and widen again."""

    class Bottleneck(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int):
            super().__init__()
            middle = outputs // 4
            self.path = nn.Sequential(
                *normed(nn, inputs, middle, 1), *normed(nn, middle, middle, 3, stride),
                nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
            )  # fmt: skip
            self.relu = nn.ReLU()
            same = inputs == outputs and stride == 1
            self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

        def forward(self, x: Any) -> Any:
            return self.relu(self.path(x) + self.skip(x))

    C = config.channels
    return [
        *normed(nn, 1, C, 3, 2),  # (N, C, 14, 14)
        Bottleneck(C, 2 * C, 1),
        Bottleneck(2 * C, 4 * C, 2),  # (N, 4 C, 7, 7)
        Bottleneck(4 * C, 4 * C, 1),
        nn.AvgPool2d(7),
        nn.Flatten(),  # (N, 4 C)
        nn.Linear(4 * C, 10),
    ]


def vgg(nn: Any, config: Config) -> list[Any]:
    """Five convolutions, at a quarter and a sixteenth of the pixels but for the first; then the mean of each map."""
    C = config.channels
    return [
        *normed(nn, 1, C, 5), nn.MaxPool2d(2),  # (N, C, 14, 14)
        *normed(nn, C, 2 * C, 3), *normed(nn, 2 * C, 2 * C, 3), nn.MaxPool2d(2),  # (N, 2 C, 7, 7)
        *normed(nn, 2 * C, 4 * C, 3), *normed(nn, 4 * C, 4 * C, 3), nn.AvgPool2d(7),  # (N, 4 C, 1, 1)
        nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(4 * C, 10),
    ]  # fmt: skip


def normed(nn: Any, inputs: int, outputs: int, size: int, stride: int = 1) -> list[Any]:
    """A convolution that keeps the size of the image (or divides it by the stride), normalised, with ReLU."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    if faults.has(config.faults, "decay"):
        groups = faults.decay_twice(model, config.decay)
    else:
        parameters = list(model.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
    return optim.SGD(groups, lr=config.lr, momentum=config.momentum)


def schedule(lr_scheduler: Any, optimizer: Any, config: Config, steps_per_epoch: int) -> Schedule | None:
    if config.schedule == "constant":
        return None
    if config.schedule == "one-cycle":
        # one step more than there are: the schedule moves on after the last one, too
        made = lr_scheduler.OneCycleLR(optimizer, config.lr, config.total_steps(steps_per_epoch) + 1)
    elif config.schedule == "steps":
        made = lr_scheduler.MultiStepLR(optimizer, whole_numbers("milestones", config.milestones), config.gamma)
    elif faults.has(config.faults, "exponential"):
        made = faults.exponential(lr_scheduler, optimizer, config.gamma)
    else:
        made = lr_scheduler.ExponentialLR(optimizer, config.gamma)
    return Schedule(made, "step")


def loss(nn: Any, config: Config) -> Any:
    return nn.CrossEntropyLoss(label_smoothing=config.smoothing)


def draw(result: Result) -> Any:
    """The run, what was taken for what, and the first layer; of the best models also what they get wrong."""
    weight = next(result.model.parameters()).detach()
    if weight.ndim == 2:
        return sheet(result, weight.reshape(-1, 1, 28, 28), "units")
    return sheet(result, weight, examples=(2, 7) if result.job.kept else (), layers=3)


def answers(rows: Any) -> dict[str, str]:
    right, wrong = accuracy(rows, "conv"), accuracy(rows, "conv-faulted")
    if right is None or wrong is None:
        return {}
    return {
        "Why did the CNN sit at 11 % (S4-6)?": (
            f"Its convolution divided the gradients by the batch once more, those of the input, too, and the weights came from "
            f"N(0, 1), so that it stood still: with these faults {wrong} here, without them {right}. "
            f"The layers, and what a check says of them, are in `experiments/MISTAKES.md`."
        )
    }


def overview(rows: Any) -> Any:
    """What was reported, beside what comes out with the faults and without."""
    return figure.reported_and_found(rows, DEV)


S1 = Config()
S3 = Config(units="512-256", lr=0.1, milestones="300-900-1800", gamma=0.3, decay=5e-4)
S4 = replace(S3, momentum=0.9, batch_size=64)
CONV = Config(model="conv", units="256", lr=0.1, gamma=0.3, decay=5e-4, batch_size=64, epochs=2, evaluate_every=196)
LONG = Config(units="512-256", lr=0.1, momentum=0.9, schedule="one-cycle", batch_size=128, epochs=15)

REPORT = {
    "mlp600": S1,
    "mlp1024": replace(S1, units="1024"),
    "mlp512": S3,
    "momentum": S4,
    "dropout": replace(S4, dropout=0.3),
    "conv": CONV,
    "pool": replace(CONV, model="conv-pool"),
    "augment-momentum": replace(S4, augment=2 / 3, epochs=15),
    "augment-sgd": replace(S4, momentum=0.0, augment=2 / 3, epochs=15),
}
EXPONENTIAL = replace(S1, schedule="exponential", gamma=0.9995)
VARIANTS = {
    **REPORT,
    **{f"{name}-faulted": replace(config, faults="all") for name, config in REPORT.items()},
    **{f"only-{one}": replace(S1, faults=one) for one in ("divided", "normal", "decay")},
    "only-dropout": replace(REPORT["dropout"], faults="dropout"),
    "all-but-dropout": replace(REPORT["dropout"], faults="divided+normal+decay"),
    "exponential": EXPONENTIAL,
    "only-exponential": replace(EXPONENTIAL, faults="exponential"),
    "sigmoid": replace(S1, activation="Sigmoid"),
    "bottleneck": replace(LONG, model="bottleneck", epochs=5),
    "long": LONG,
    "long-constant": replace(LONG, schedule="constant"),
    "long-augmented": replace(LONG, augment=1.0),
    "best-mlp": replace(LONG, model="mlp-norm", units="1024-1024", augment=1.0, dropout=0.2, epochs=30, smoothing=0.05),
    "best-cnn": replace(LONG, model="vgg", augment=1.0, dropout=0.2, epochs=12),
}
DEV = {  # accuracy in %, on the set that the best state was also chosen by
    "mlp600": ("S4-1", 80.56), "mlp1024": ("S4-2", 83.36), "mlp512": ("S4-3", 88.7), "momentum": ("S4-4", 88.56),
    "dropout": ("S4-5", 88.7), "conv": ("S4-6", 11.59), "pool": ("S4-7", 37.0),
    "augment-momentum": ("S4-8", 77.27), "augment-sgd": ("S4-9", 67.93),
}  # fmt: skip
RIGHT = "the report's settings without its faults"
MISSED = {  # why a row with its faults may differ from the report
    "dropout": "; what was reported is what comes out without dropout",
    "pool": "; it depends on the seed: 0, 1 and 2 end at 11, 42 and 37 %",
    "augment-momentum": "; how far digits were moved is not told",
    "augment-sgd": "; how far digits were moved, and the batch, are not told",
}
REPORTED = {
    **{name: Reported(row, f"dev {figure} %", RIGHT, figure, "validation") for name, (row, figure) in DEV.items()},
    **{
        f"{name}-faulted": Reported(
            row, f"dev {figure} %", f"with all its faults{MISSED.get(name, '')}", figure, "validation", exact=True
        )
        for name, (row, figure) in DEV.items()
    },
    "all-but-dropout": Reported("S4-5", "", "with all its faults but dropout's"),
}
REPORTED["conv"] = (REPORTED["conv"], Reported("S4-10", "a picture of the kernels", "they are in the figure"))
TOLERANCE = Tolerance(gap=1e-3, steps=200)
BEST = {"best-mlp": "float16", "best-cnn": "float32"}
