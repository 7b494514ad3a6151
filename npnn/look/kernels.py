"""The kernels of a convolution as pictures: coloured, sorted by likeness, with their norm and what they filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.look.subject import Layer, subject

__all__ = ["Kernels", "kernels"]

DEAD = 1e-2  # of the largest norm: a kernel below it does nothing
RESPONSE = 32  # frequencies along each axis


@dataclass(frozen=True)
class Kernels:
    """The O kernels of a layer, and what there is to say of each.

    pictures   (O, KH, KW, 3 or 1), weights: of one channel grey, of three the colours; of more their first
               three principal components, which tell alike channels from unlike ones but are no colours
    explained  the share of the weights' variance in these pictures; 1 for one and three channels
    norms      (O,), of each kernel: the root of the sum of its squares
    dead       (O,), True where the norm is below 1 % of the largest
    order      (O,), the kernels sorted so that neighbours are alike: the leaves of a tree of clusters by the
               angle between kernels (average linkage)
    response   (O, 32, 32), how much each lets through of a wave: the Fourier transform's size, root mean square over
               channels; frequencies from -1/2 to 1/2 cycles a pixel, the constant in the middle
    """

    layer: str
    weight: NDArray[Any]  # (O, C, KH, KW)
    pictures: NDArray[Any]
    explained: float
    norms: NDArray[Any]
    dead: NDArray[Any]
    order: NDArray[Any]
    response: NDArray[Any]


def kernels(model: Any, layer: Any = None, shape: tuple[int, ...] | None = None) -> Kernels:
    """The kernels of a convolution: of the first, or of one given by name, place or kind.

    shape   (C, H, W) of the pictures; needed for a linear layer over them, whose weights are pictures, too
    Errors: ValueError without a convolution, with a list of the layers there are.
    """
    net = subject(model)
    found = net.find(layer, ("Conv", "LazyConv") if shape is None else ("Conv", "LazyConv", "Linear"))
    weight = _by_output(found, shape)
    count, C = weight.shape[:2]
    pictures, explained = weight.transpose(0, 2, 3, 1), 1.0
    if C not in (1, 3):
        pictures, explained = _principal(pictures)
    flat = weight.reshape(count, -1)
    norms = np.sqrt((flat**2).sum(axis=1))
    dead = norms <= DEAD * norms.max()
    waves = np.fft.fft2(weight, (RESPONSE, RESPONSE))  # (O, C, 32, 32)
    response = np.fft.fftshift(np.sqrt((np.abs(waves) ** 2).mean(axis=1)), axes=(1, 2))
    return Kernels(str(found), weight, pictures, explained, norms, dead, _alike(flat), response)


def _by_output(layer: Layer, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """The weights as (O, C, KH, KW), in float64, whatever kind of convolution they are of."""
    weight = np.asarray(layer.weight(), np.float64)
    if layer.kind == "Linear":
        if shape is None or weight.shape[1] != np.prod(shape):
            raise ValueError(f"{layer} has {weight.shape[1]} inputs, which are no pictures of shape {shape}")
        return weight.reshape(len(weight), *shape)
    if "Transpose" in layer.kind:
        g, window = layer.module.groups, weight.shape[2:]
        grouped = weight.reshape(g, -1, weight.shape[1], *window).swapaxes(1, 2)  # (groups, O / g, I / g, ...)
        weight = grouped.reshape(-1, grouped.shape[2], *window)
    if weight.ndim == 3:  # over sequences: one row of pixels
        return weight[:, :, None]
    if weight.ndim == 5:  # over volumes: slices as channels
        return weight.reshape(weight.shape[0], -1, *weight.shape[3:])
    return weight


def _principal(pictures: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Channels (..., C) turned to their three main directions (one, of two channels), and the share they keep."""
    C = pictures.shape[-1]
    flat = pictures.reshape(-1, C)
    values, vectors = np.linalg.eigh(flat.T @ flat)  # ascending; weights of zero stay zero
    count = 3 if C > 3 else 1
    main = vectors[:, ::-1][:, :count]
    main = main * np.where(main.sum(axis=0) < 0, -1.0, 1.0)  # a sign that does not depend on the library
    share = float(values[::-1][:count].sum() / (values.sum() or 1.0))
    return (flat @ main).reshape(*pictures.shape[:-1], count), share


def _alike(flat: NDArray[Any]) -> NDArray[Any]:
    if len(flat) < 3:
        return np.arange(len(flat))
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import pdist

    size = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    unit = flat / np.where(size > 0, size, 1.0)
    apart = np.clip(pdist(unit, "sqeuclidean") / 2, 0.0, None)  # 1 - cos of the angle
    tree = linkage(apart, "average")
    return leaves_list(optimal_leaf_ordering(tree, apart) if len(flat) <= 128 else tree)
