"""What a network has learned: kernels, what excites them, why an answer, the last layer's space, training as a film.

Every function takes a model of npnn or of torch, a fitted estimator, or the file of a saved run, finds layers by
name, place or kind, and returns arrays; ``npnn.plot`` draws them, and ``look`` puts all on one page.
"""

from npnn.look.ascent import Dream, visualize
from npnn.look.attribution import (
    grad_cam,
    gradient,
    guided_backprop,
    guided_grad_cam,
    integrated_gradients,
    occlusion,
    smooth_grad,
)  # fmt: skip
from npnn.look.film import Film, Frame
from npnn.look.kernels import Kernels, kernels
from npnn.look.maps import Stage, stages
from npnn.look.page import Page, look
from npnn.look.patches import Patches, exciting
from npnn.look.receptive import Field, measured_field, receptive_field
from npnn.look.recurrent import Recurrence, recurrence
from npnn.look.space import Space, space
from npnn.look.subject import Layer, Subject, subject
from npnn.look.surface import Path, Surface, surface

__all__ = [
    "Dream", "Field", "Film", "Frame", "Kernels", "Layer", "Page", "Patches", "Path", "Recurrence", "Space", "Stage",
    "Subject", "Surface", "exciting", "grad_cam", "gradient", "guided_backprop", "guided_grad_cam",
    "integrated_gradients", "kernels", "look", "measured_field", "occlusion", "receptive_field", "recurrence",
    "smooth_grad", "space", "stages", "subject", "surface", "visualize",
]  # fmt: skip
