"""Figures for print: learning curves, kernels, feature maps, confusion, mistakes, decision borders, bars by class.

The only room that knows matplotlib.  Each function takes numbers and returns a Figure.
"""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("npnn.plot draws with matplotlib, which is not installed: pip install npnn[plot]") from error

from npnn.plot.classes import confusion_matrix, decision_boundary, per_class
from npnn.plot.curves import accuracy_against, curves, gradient_norms
from npnn.plot.gradients import gradients
from npnn.plot.images import feature_maps, kernels, mistakes
from npnn.plot.speed import roofline
from npnn.plot.style import COLUMN, PAGE, figure, save

__all__ = [
    "COLUMN", "PAGE", "accuracy_against", "confusion_matrix", "curves", "decision_boundary", "feature_maps",
    "figure", "gradient_norms", "gradients", "kernels", "mistakes", "per_class", "roofline", "save",
]  # fmt: skip
