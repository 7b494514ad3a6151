"""Figures for print: learning curves, kernels, feature maps, confusion, mistakes, decision borders, bars by class.

The only room that knows matplotlib.  Each function takes numbers and returns a Figure.
"""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("npnn.plot draws with matplotlib, which is not installed: pip install npnn[plot]") from error

from npnn.plot.answers import attributions, space
from npnn.plot.classes import confusion_matrix, decision_boundary, per_class
from npnn.plot.curves import accuracy_against, curves, gradient_norms
from npnn.plot.gradients import gradients
from npnn.plot.images import feature_maps, kernels, mistakes
from npnn.plot.network import exciting, gallery, kernel_change, kernel_sheet, stages
from npnn.plot.speed import growth, roofline
from npnn.plot.style import COLUMN, PAGE, figure, save
from npnn.plot.training import film, film_gif, recurrence, ridgelines, surface

__all__ = [
    "COLUMN",
    "PAGE",
    "accuracy_against",
    "attributions",
    "confusion_matrix",
    "curves",
    "decision_boundary",
    "exciting",
    "feature_maps",
    "figure",
    "film",
    "film_gif",
    "gallery",
    "gradient_norms",
    "gradients",
    "growth",
    "kernel_change",
    "kernel_sheet",
    "kernels",
    "mistakes",
    "per_class",
    "recurrence",
    "ridgelines",
    "roofline",
    "save",
    "space",
    "stages",
    "surface",
]  # fmt: skip
