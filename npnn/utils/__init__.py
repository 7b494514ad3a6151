"""torch.utils as far as scripts use it: data, tensorboard, checkpoint."""

from npnn.utils import data

__all__ = ["data"]
