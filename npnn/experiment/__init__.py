"""Experiments: a file with a question becomes runs, comparisons with PyTorch, sweeps, figures and reports.

The command line is ``python -m npnn.experiment``; what a file has to define is told in ``registry``.
"""

from npnn.experiment.config import RunConfig, option, replace
from npnn.experiment.registry import Reported, Schedule, Tolerance

__all__ = ["Reported", "RunConfig", "Schedule", "Tolerance", "option", "replace"]
