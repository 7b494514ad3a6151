"""torchvision's transforms of one picture: of PIL images, and of tensors (..., C, H, W) as far as said.

What is drawn, and from which generator (torch's, or Python's ``random``), is what torchvision 0.28 draws.
Whole batches at once are changed by ``npnn.data.transforms``.
"""

from npnn.vision.transforms import functional
from npnn.vision.transforms.color import ColorJitter, Grayscale, RandomGrayscale, RandomInvert
from npnn.vision.transforms.combined import Compose, Lambda, RandomApply, RandomChoice, RandomOrder
from npnn.vision.transforms.conversion import ConvertImageDtype, Normalize, PILToTensor, ToPILImage, ToTensor
from npnn.vision.transforms.filters import (
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomPosterize,
    RandomSolarize,
)
from npnn.vision.transforms.geometry import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from npnn.vision.transforms.pixels import InterpolationMode

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "FiveCrop", "GaussianBlur", "Grayscale",
    "InterpolationMode", "Lambda", "Normalize", "PILToTensor", "Pad", "RandomAdjustSharpness", "RandomAffine",
    "RandomApply", "RandomAutocontrast", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing",
    "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPosterize",
    "RandomResizedCrop", "RandomRotation", "RandomSolarize", "RandomVerticalFlip", "Resize", "TenCrop",
    "ToPILImage", "ToTensor", "functional",
]  # fmt: skip
