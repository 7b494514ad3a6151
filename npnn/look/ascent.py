"""A picture made to excite a unit: gradient ascent on the picture, so that it shows something and not noise.

The picture is written as waves (Olah, Mordvintsev & Schubert, Feature visualization, 2017): with S the spectrum that
is learned and f the frequency,

    z = irfft2(S / max(f, 1 / size)),      x = low + (high - low) / (1 + exp(-z))

so that large and small structures grow equally fast, and values stay within those of the data.  At each
step the picture is shifted at random by a few pixels (what needs exact places is noise), and differences between
neighbours cost something (total variation).  Adam takes the steps, in NumPy; of the model only
the gradient of the score with respect to the picture is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.generator import Generator
from npnn.look.receptive import receptive_field
from npnn.look.subject import Subject, subject

__all__ = ["Dream", "visualize"]


@dataclass(frozen=True)
class Dream:
    """Pictures (U, C, H, W), one for each unit, and the value (U,) that each excites it to."""

    layer: str
    units: NDArray[Any]
    pictures: NDArray[Any]
    scores: NDArray[Any]


def visualize(
    model: Any,
    layer: Any,
    units: ArrayLike,
    images: ArrayLike,
    steps: int = 128,
    lr: float = 0.1,
    jitter: int | None = None,
    variation: float = 0.2,
    whole: bool = False,
    seed: int = 0,
) -> Dream:
    """One picture for each unit (channel) of a layer, or for each class score (``layer`` None: the outputs).

    images     pictures of the data (N, C, H, W): their size, and their range in each channel
    jitter     the largest shift in pixels; by default a twelfth of what the unit sees
    whole      excite the mean of the whole channel, and not the unit in the middle of its map only
    variation  what differences of neighbours cost, as a share of the gradient's mean size
    """
    net = subject(model)
    data = net.input(images)
    if data.ndim != 4:
        raise ValueError(f"expected pictures (N, C, H, W), got shape {data.shape}")
    target = None if layer is None else net.find(layer)
    chosen = np.asarray(units)
    low, high = data.min(axis=(0, 2, 3)), data.max(axis=(0, 2, 3))
    low, high = (side[:, None, None].astype(np.float64) for side in (low, high))
    shape = (len(chosen), *data.shape[1:])
    if jitter is None:
        field = None if target is None else receptive_field(net, target, shape[1:])
        jitter = round(min(shape[2], *(field.size if field else shape[2:])) / 12)
    generator = Generator().manual_seed(seed)
    scale = _scale(*shape[2:])
    spectrum = 0.1 * np.fft.rfft2(generator.randn(*shape, dtype=np.float64), norm="ortho")
    first, second = np.zeros_like(spectrum), np.zeros(spectrum.shape)

    def score(outputs: Any) -> Any:
        return _excitement(net, outputs, chosen, whole)

    for step in range(1, steps + 1):
        z = np.fft.irfft2(spectrum * scale, shape[2:], norm="ortho")
        shrunk = 1 / (1 + np.exp(-z))
        x = low + (high - low) * shrunk
        rows, columns = (int(v) - jitter for v in generator.randint(0, 2 * jitter + 1, (2,)))
        moved = np.roll(x, (rows, columns), (2, 3)).astype(net.dtype)
        slope, _, _ = net.gradients(moved, score, target)
        slope = np.roll(slope.astype(np.float64), (-rows, -columns), (2, 3))
        slope /= np.abs(slope).mean(axis=(1, 2, 3), keepdims=True) + 1e-12
        slope -= variation * _variation_slope(shrunk)
        slope *= (high - low) * shrunk * (1 - shrunk)
        back = np.fft.rfft2(slope, norm="ortho") * scale  # irfft2's adjoint, but for the double weight of most waves
        first = 0.9 * first + 0.1 * back
        second = 0.99 * second + 0.01 * np.abs(back) ** 2
        spectrum += lr * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    z = np.fft.irfft2(spectrum * scale, shape[2:], norm="ortho")
    pictures = (low + (high - low) / (1 + np.exp(-z))).astype(net.dtype)
    _, _, scores = net.gradients(pictures, score, target)
    return Dream("the outputs" if target is None else str(target), chosen, pictures, scores)


def _scale(height: int, width: int) -> NDArray[Any]:
    """1 / f for each wave of rfft2, and as much for the constant as for the slowest; 1 in the mean of squares."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    scale = 1 / np.maximum(np.sqrt(rows**2 + columns**2), 1 / max(height, width))
    return scale / np.sqrt((scale**2).mean())


def _variation_slope(x: NDArray[Any]) -> NDArray[Any]:
    """The gradient of the sum of absolute differences of neighbours, smoothed around zero."""
    slope = np.zeros_like(x)
    for axis in (2, 3):
        difference = np.diff(x, axis=axis)
        sign = difference / np.sqrt(difference**2 + 1e-4)
        ahead, behind = [[(0, 0)] * 4 for _ in range(2)]
        ahead[axis], behind[axis] = (1, 0), (0, 1)
        slope += np.pad(sign, ahead) - np.pad(sign, behind)
    return slope


def _excitement(net: Subject, outputs: Any, units: NDArray[Any], whole: bool) -> Any:
    """Picture u's value of unit u: (U,), from what a layer gives, (U, C, h, w) or (U, F)."""
    shape = tuple(outputs.shape)
    if len(shape) not in (2, 4):
        raise ValueError(f"the layer gives values of shape {shape[1:]}, which are no units of a picture")
    if units.size and not -shape[1] <= units.min() <= units.max() < shape[1]:
        raise ValueError(f"the layer has the units 0 to {shape[1] - 1}, not {units.tolist()}")
    ones = np.zeros(shape, outputs.detach().numpy().dtype)
    each = np.arange(len(units))
    if len(shape) == 2:
        ones[each, units] = 1
    elif whole:
        ones[each, units] = 1 / (shape[2] * shape[3])
    else:
        ones[each, units, shape[2] // 2, shape[3] // 2] = 1
    return (outputs * net.tensor(ones)).reshape(len(units), -1).sum(1)
