"""What the experiments on CIFAR-10 share: the pictures, and the settings that every network may be trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from npnn.data import TrainTest
from npnn.data.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip
from npnn.experiment.config import RunConfig, option
from npnn.experiment.registry import Schedule

__all__ = ["CifarConfig", "loss", "normalised", "optimizer", "schedule", "transform"]


@dataclass(frozen=True, kw_only=True)
class CifarConfig(RunConfig):
    optimizer: str = option("adam", "which one", choices=("adam", "adamw", "rmsprop", "sgd"))
    lr: float = option(1e-4, "learning rate; the largest one of a cycle")
    momentum: float = option(0.0, "of sgd, in Nesterov's form")
    decay: float = option(0.0, "weight decay; not of biases, nor of what normalisation learns")
    cycle: bool = option(False, "the rate rises to lr for a fifth of the run and falls to 0 for the rest")
    drop_every: int | None = option(None, "epochs after which the rate falls to a tenth, again and again")
    softmax: bool = option(False, "the softmax is applied twice, by the network and by the loss")
    sigmoid: bool = option(False, "the network's outputs go through a sigmoid before the loss")
    smoothing: float = option(0.0, "share of each label that is dealt out to all classes")
    shift: int = option(0, "mirror pictures, and shift them by up to so many pixels, at random")
    batch_norm: bool = option(False, "batch normalisation before each activation")
    dropout: float = option(0.0, "probability that a hidden unit is dropped while training")
    pixels: str = option("standard", "standardised, or from -1 to 1", choices=("standard", "symmetric"))


def normalised(data: TrainTest, config: CifarConfig) -> TrainTest:
    """Each channel with mean 0 and variance 1 over the training set, or from -1 to 1: half as large."""
    normal = Normalize.fit(data.train_x) if config.pixels == "standard" else Normalize([0.5] * 3, [0.5] * 3)
    return replace(data, train_x=normal(data.train_x), test_x=normal(data.test_x))


def transform(config: CifarConfig) -> Callable[..., Any] | None:
    if not config.shift:
        return None
    return Compose([RandomHorizontalFlip(), RandomCrop(32, config.shift, "reflect")])


def optimizer(optim: Any, model: Any, config: CifarConfig) -> Any:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "sgd":
        return optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return {"adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop}[config.optimizer](groups, lr=config.lr)


def schedule(lr_scheduler: Any, optimizer: Any, config: CifarConfig, steps_per_epoch: int) -> Schedule | None:
    if config.drop_every:
        return Schedule(lr_scheduler.StepLR(optimizer, config.drop_every, 0.1))
    if not config.cycle:
        return None
    steps = config.total_steps(steps_per_epoch)
    cycle = lr_scheduler.OneCycleLR(
        optimizer, config.lr, steps, pct_start=0.2, anneal_strategy="linear", cycle_momentum=False
    )
    return Schedule(cycle, "step")


def loss(nn: Any, config: CifarConfig) -> Callable[[Any, Any], Any]:
    """Cross-entropy.  Behind a softmax or a sigmoid it cannot fall below log(e + 9) - 1 = 1.4612."""
    if config.sigmoid:
        sigmoid, cross_entropy = nn.Sigmoid(), nn.CrossEntropyLoss()
        return lambda outputs, targets: cross_entropy(sigmoid(outputs), targets)
    if not config.softmax:
        return nn.CrossEntropyLoss(label_smoothing=config.smoothing)
    softmax, log_softmax, surprise = nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.NLLLoss()
    return lambda outputs, targets: surprise(log_softmax(softmax(outputs)), targets)
