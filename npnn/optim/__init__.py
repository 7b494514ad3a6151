"""Optimisers and learning rate schedules, under torch's names."""

from npnn.optim import lr_scheduler
from npnn.optim.adadelta import Adadelta
from npnn.optim.adagrad import Adagrad
from npnn.optim.adam import Adam, AdamW
from npnn.optim.adamax import Adamax
from npnn.optim.groups import param_groups
from npnn.optim.nadam import NAdam
from npnn.optim.optimizer import Optimizer
from npnn.optim.radam import RAdam
from npnn.optim.rmsprop import RMSprop
from npnn.optim.sgd import SGD, Momentum

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Momentum",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
    "param_groups",
]
