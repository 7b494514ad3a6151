"""Learning rate schedules: each a function of the step, under torch's names."""

from npnn.optim.lr_scheduler.base import LRScheduler
from npnn.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from npnn.optim.lr_scheduler.cyclic import CyclicLR, MultiplicativeLR
from npnn.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from npnn.optim.lr_scheduler.one_cycle import OneCycleLR
from npnn.optim.lr_scheduler.plateau import ReduceLROnPlateau

_LRScheduler = LRScheduler  # an old spelling

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
