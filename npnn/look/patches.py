"""What excites a unit most, among the pictures that there are: the pieces of them that it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look.receptive import Field, measured_field, receptive_field
from npnn.look.subject import BATCH, Layer, Subject, subject

__all__ = ["Patches", "exciting"]


@dataclass(frozen=True)
class Patches:
    """For U units of a layer the K pictures that excite each most, the strongest first.

    pictures   (U, K, C, h, w), cut to what the unit sees; nan where that is outside of the picture
    scores     (U, K), the unit's largest value in each picture
    index      (U, K), which picture it is
    boxes      (U, K, 4), first and last row (exclusive), first and last column of what was cut
    classes    (U, K), the labels, or None
    """

    layer: str
    units: NDArray[Any]
    pictures: NDArray[Any]
    scores: NDArray[Any]
    index: NDArray[Any]
    boxes: NDArray[Any]
    classes: NDArray[Any] | None


def exciting(
    model: Any,
    layer: Any,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    units: ArrayLike | None = None,
    count: int = 9,
) -> Patches:
    """The ``count`` pictures (N, C, H, W) in which each unit (channel) of a layer has its largest value.

    units   which; by default the eight whose best picture lies furthest above the usual one
    """
    net = subject(model)
    target, x = net.find(layer), net.input(images)
    best, place, width = _largest(net, target, x)  # (N, U), (N, U)
    chosen = _choosy(best)[:8] if units is None else np.asarray(units)
    if chosen.size and not -best.shape[1] <= chosen.min() <= chosen.max() < best.shape[1]:
        raise ValueError(f"{target} has the units 0 to {best.shape[1] - 1}, not {chosen.tolist()}")
    K = min(count, len(x))
    index = np.argsort(-best[:, chosen], axis=0, kind="stable")[:K].T  # (U, K)
    scores = np.take_along_axis(best[:, chosen].T, index, axis=1)
    places = np.take_along_axis(place[:, chosen].T, index, axis=1)
    boxes = _boxes(net, target, x.shape[1:], places, width)
    h, w = (boxes[..., 1] - boxes[..., 0]).max(), (boxes[..., 3] - boxes[..., 2]).max()
    pictures = np.full((len(chosen), K, x.shape[1], h, w), np.nan)
    for u, k in np.ndindex(index.shape):
        pictures[u, k] = _cut(x[index[u, k]], boxes[u, k], h, w)
    classes = None if labels is None else np.asarray(labels)[index]
    return Patches(str(target), chosen, pictures, scores, index, boxes, classes)


def _choosy(best: NDArray[Any]) -> NDArray[Any]:
    """Units whose best picture lies furthest above the usual one, measured by the spread among pictures; those that
    hardly answer at all come last."""
    above = best.max(axis=0) - np.median(best, axis=0)
    rank = np.where(above >= np.median(above), above / (best.std(axis=0) + 1e-12), -1.0)
    return np.argsort(-rank, kind="stable")


def _largest(net: Subject, target: Layer, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Each channel's largest value in each picture (N, U), where it is (N, U), and the maps' width (0: none)."""
    values, places, width = [], [], 0
    for i in range(0, len(x), BATCH):
        maps = net.answers(x[i : i + BATCH], [target])[target.name]
        width = maps.shape[3] if maps.ndim == 4 else 0
        if maps.ndim not in (2, 4):
            raise ValueError(f"{target} gives values of shape {maps.shape[1:]}, which are no maps of a picture")
        flat = maps.reshape(*maps.shape[:2], -1)
        places.append(flat.argmax(axis=2))
        values.append(flat.max(axis=2))
    return np.concatenate(values), np.concatenate(places), width


def _boxes(net: Subject, target: Layer, shape: Any, places: NDArray[Any], width: int) -> NDArray[Any]:
    """What each unit sees; a unit of no place sees all."""
    H, W = shape[1:]
    if not width:
        return np.broadcast_to([0, H, 0, W], (*places.shape, 4))
    field: Field | None = receptive_field(net, target, shape)
    if field is not None and field.size[0] < H and field.size[1] < W:
        return np.array([[field.box(*divmod(int(p), width)) for p in row] for row in places])
    if field is not None:  # larger than the picture: what is inside
        return np.broadcast_to([0, H, 0, W], (*places.shape, 4))
    known = {int(p): measured_field(net, target, shape, *divmod(int(p), width)) for p in np.unique(places)}
    return np.array([[known[int(p)] for p in row] for row in places])


def _cut(picture: NDArray[Any], box: NDArray[Any], h: int, w: int) -> NDArray[Any]:
    """The box of a picture (C, H, W), with nan where it is outside."""
    (top, bottom, left, right), (C, H, W) = box, picture.shape
    cut = np.full((C, h, w), np.nan)
    y0, y1, x0, x1 = max(top, 0), min(bottom, H), max(left, 0), min(right, W)
    cut[:, y0 - top : y1 - top, x0 - left : x1 - left] = picture[:, y0:y1, x0:x1]
    return cut
