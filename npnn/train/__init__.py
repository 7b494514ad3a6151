"""Training: the loop, what it remembers, what may happen beside it, and how good the result is."""

from npnn.errors import TrainingDiverged
from npnn.train.callbacks import Callback, Checkpoint, EarlyStopping
from npnn.train.history import History
from npnn.train.metrics import accuracy, class_accuracy, confusion_matrix, top_k_accuracy
from npnn.train.trainer import Trainer

__all__ = [
    "Callback", "Checkpoint", "EarlyStopping", "History", "Trainer", "TrainingDiverged", "accuracy",
    "class_accuracy", "confusion_matrix", "top_k_accuracy",
]  # fmt: skip
