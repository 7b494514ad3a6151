"""Figures of images: a convolution's kernels, what they make of an image, and what was taken for something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from npnn.plot.network import mosaic
from npnn.plot.style import COLUMN, NORMAL, PAGE, SMALL, canvas, color_bar, describe, image

__all__ = ["feature_maps", "kernels", "mistakes"]


def kernels(
    weights: Any,
    columns: int = 8,
    title: str | None = None,
    figure: FigureBase | None = None,
    width: float = COLUMN,
) -> Any:
    """The kernels of a convolution, side by side on one scale.

    weights  (O, C, KH, KW), or a layer or a model, of npnn or torch: its first convolution of images is drawn.
             One input channel is drawn in grey; three in colour, where mid-grey is a weight of zero; of any
             other number, each channel of each kernel in grey, one kernel a row.
    title    by default their number and shape
    """
    if hasattr(weights, "named_parameters"):
        model, weights = weights, first_convolution(weights)
        if weights is None:
            kinds = dict.fromkeys(type(m).__name__ for m in model.modules() if not list(m.children()))
            raise ValueError(f"there is no convolution of images in this model, it has {', '.join(kinds)}")
    w = np.asarray(weights.detach().numpy() if hasattr(weights, "detach") else weights, float)
    if w.ndim != 4:
        raise ValueError(f"expected the weights of a 2-d convolution, (O, C, KH, KW), got shape {w.shape}")
    count, C, KH, KW = w.shape
    if C == 3:
        tiles = w.transpose(0, 2, 3, 1)  # (O, KH, KW, 3)
    else:
        tiles = w.reshape(count * C, KH, KW, 1)
        columns = C if C > 1 else columns
    limit = float(np.abs(w).max()) or 1.0
    picture = mosaic(tiles / (2 * limit) + 0.5, min(len(tiles), columns))
    target = canvas(figure, width, 0.4 + (width - 0.7) * len(picture) / picture.shape[1])
    ax = target.subplots()
    shown = ax.imshow(picture if C == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for i in range(len(tiles)):
        corner = (i % columns * (KW + 1) - 0.5, i // columns * (KH + 1) - 0.5)
        ax.add_patch(Rectangle(corner, KW, KH, fill=False, edgecolor="black", linewidth=0.4, clip_on=False))
    channels = "1 channel" if C == 1 else f"{C} channels"
    describe(ax, title=f"{count} kernels of {KH}×{KW}, {channels}" if title is None else title)
    image(ax)
    ax.spines[:].set_visible(False)
    if C != 3:
        bar = color_bar(ax, shown, "weight", ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels([f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"])
    return target


def first_convolution(model: Any) -> Any:
    """The weights of the first layer that has kernels for images, of npnn or torch; None without one."""
    found = (p for name, p in model.named_parameters() if name.split(".")[-1] == "weight" and p.ndim == 4)
    return next(found, None)


def feature_maps(
    images: ArrayLike, maps: ArrayLike, count: int = 8, figure: FigureBase | None = None, width: float = PAGE
) -> Any:
    """Images, one a row, and what the first ``count`` channels of a layer make of each.

    images  (N, 1 or 3, H, W), in 0..1 or normalised
    maps    (N, C, H', W'), all on one scale
    """
    pictures, found = _pictures(images), np.asarray(maps)
    if found.ndim != 4 or len(pictures) != len(found):
        raise ValueError(f"expected maps (N, C, H, W) of {len(pictures)} images, got {found.shape}")
    count = min(count, found.shape[1])
    low, high = float(found[:, :count].min()), float(found[:, :count].max())
    rows, columns = len(pictures), count + 1
    target = canvas(figure, width, 0.35 + rows * (width - 0.5) / columns)
    panels = target.subplots(rows, columns, squeeze=False)
    for row, picture, channels in zip(panels, pictures, found, strict=True):
        row[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
        for ax, channel in zip(row[1:], channels, strict=False):
            shown = ax.imshow(channel, cmap="viridis", vmin=low, vmax=high)
    for ax in panels.flat:
        image(ax)
    for ax, title in zip(panels[0], ["input", *(f"map {i}" for i in range(count))], strict=True):
        ax.set_title(title, fontsize=SMALL)
    bar = target.colorbar(shown, ax=panels, fraction=0.03, pad=0.01, aspect=12 * rows)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("activation", fontsize=NORMAL)
    return target


def mistakes(
    images: ArrayLike,
    outputs: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str] | None = None,
    count: int = 16,
    columns: int = 8,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """The images of which a classifier was most sure, and wrong: above what it says, below what is right.

    images   (N, 1 or 3, H, W), in 0..1 or normalised
    outputs  (N, C) logits
    labels   (N,) the right classes
    """
    logits, right = np.asarray(outputs, float), np.asarray(labels)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    sureness = powers.max(axis=1) / powers.sum(axis=1)  # (N,)
    wrong = np.flatnonzero(logits.argmax(axis=1) != right)
    worst = wrong[np.argsort(-sureness[wrong], kind="stable")][:count]
    pictures = _pictures(images)[worst]
    rows = max(1, -(-len(worst) // columns))
    target = canvas(figure, width, 0.2 + rows * (width / columns + 0.45))
    panels = target.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels:
        ax.set_axis_off()
    for ax, i, picture in zip(panels, worst, pictures, strict=False):
        seen, truth = (str(k) if names is None else names[k] for k in (logits[i].argmax(), right[i]))
        ax.set_axis_on()
        image(ax)
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"says {seen}\n{100 * sureness[i]:.1f} %", fontsize=SMALL - 1)
        ax.set_xlabel(f"is {truth}", fontsize=SMALL - 1)
    return target


def _pictures(images: ArrayLike) -> NDArray[Any]:
    """Images (N, C, H, W) as matplotlib wants them, (N, H, W, 3) or (N, H, W), in 0..1.

    Those of another range were normalised: each channel's smallest value becomes 0 and its largest 1.
    """
    given = np.asarray(images, np.float32)
    if given.ndim != 4 or given.shape[1] not in (1, 3):
        raise ValueError(f"expected images (N, 1 or 3, H, W), got {given.shape}")
    low, high = given.min(axis=(0, 2, 3), keepdims=True), given.max(axis=(0, 2, 3), keepdims=True)
    if (low < 0).any() or (high > 1).any():
        given = (given - low) / np.where(high > low, high - low, 1)
    return given[:, 0] if given.shape[1] == 1 else given.transpose(0, 2, 3, 1)
