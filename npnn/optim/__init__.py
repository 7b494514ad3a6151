"""Optimisers and learning rate schedules, under torch's names."""

from npnn.optim import lr_scheduler
from npnn.optim.adagrad import Adagrad
from npnn.optim.adam import Adam, AdamW
from npnn.optim.optimizer import Optimizer
from npnn.optim.rmsprop import RMSprop
from npnn.optim.sgd import SGD, Momentum

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Momentum", "Optimizer", "RMSprop", "lr_scheduler"]
