"""Training: the loop, what it remembers, what may happen beside it, and how good the result is."""

from npnn.errors import TrainingDiverged
from npnn.train.callbacks import Callback, Checkpoint, EarlyStopping
from npnn.train.check import check
from npnn.train.history import History
from npnn.train.loggers import CSVLogger, JSONLLogger
from npnn.train.metrics import accuracy, class_accuracy, confusion_matrix, top_k_accuracy
from npnn.train.tensorboard import TensorBoard
from npnn.train.trainer import Trainer

__all__ = [
    "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "History", "JSONLLogger", "TensorBoard", "Trainer",
    "TrainingDiverged", "accuracy", "check", "class_accuracy", "confusion_matrix", "top_k_accuracy",
]  # fmt: skip
