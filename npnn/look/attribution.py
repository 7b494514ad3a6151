"""Why this answer: which pixels a score depends on, by gradients, by class activation and by covering them.

All take pictures (N, C, H, W) and a class for each (by default the one that the model says), and return arrays of the
pictures' shape, but grad_cam and occlusion of one channel, as they tell of places only.  The score is the
model's output for the class, before any softmax.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.generator import Generator
from npnn.look.subject import BATCH, Layer, Subject, _first, subject

__all__ = [
    "grad_cam",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "integrated_gradients",
    "occlusion",
    "scores_of",
    "smooth_grad",
]  # fmt: skip


def scores_of(model: Any, images: ArrayLike, target: ArrayLike | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """The classes that are asked for (N,), and the model's scores of them (N,)."""
    net = subject(model)
    x = _pictures(net, images)
    outputs = net.outputs(x)
    if outputs.ndim != 2:
        raise ValueError(f"expected scores (N, classes) from the model, got {outputs.shape}")
    classes = outputs.argmax(axis=1) if target is None else np.broadcast_to(np.asarray(target), (len(x),))
    if classes.min() < 0 or classes.max() >= outputs.shape[1]:
        raise ValueError(f"the model has the classes 0 to {outputs.shape[1] - 1}, not {classes.tolist()}")
    return classes, outputs[np.arange(len(x)), classes]


def gradient(model: Any, images: ArrayLike, target: ArrayLike | None = None) -> NDArray[Any]:
    """d score / d x: how much the score changes with each pixel (Simonyan, Vedaldi & Zisserman 2014)."""
    net = subject(model)
    x = _pictures(net, images)
    return _gradient(net, x, scores_of(net, x, target)[0])


def _gradient(net: Subject, x: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    return net.gradients(x, _of(net, classes))[0]


def _of(net: Subject, classes: NDArray[Any]) -> Callable[[Any], Any]:
    """The scores (N,) of some classes, from outputs (N, C): a product with rows of zeros and a one."""

    def pick(outputs: Any) -> Any:
        ones = np.zeros(tuple(outputs.shape), outputs.detach().numpy().dtype)
        ones[np.arange(len(classes)), classes] = 1
        return (outputs * net.tensor(ones)).sum(1)

    return pick


def smooth_grad(
    model: Any, images: ArrayLike, target: ArrayLike | None = None, count: int = 25, noise: float = 0.15, seed: int = 0
) -> NDArray[Any]:
    """The mean gradient over ``count`` copies of each picture with normal noise (Smilkov and others 2017).

    noise   its standard deviation, as a share of the picture's range (largest less smallest value)
    """
    net = subject(model)
    x = _pictures(net, images)
    classes, _ = scores_of(net, x, target)
    generator = Generator().manual_seed(seed)
    size = noise * (x.max(axis=(1, 2, 3), keepdims=True) - x.min(axis=(1, 2, 3), keepdims=True))
    total = np.zeros(x.shape)
    for _ in range(count):
        drawn = generator.randn(*x.shape, dtype=x.dtype)
        total += _gradient(net, (x + size * drawn).astype(x.dtype), classes)
    return total / count


def integrated_gradients(
    model: Any,
    images: ArrayLike,
    target: ArrayLike | None = None,
    baseline: ArrayLike = 0.0,
    steps: int = 50,
    tolerance: float | None = 1e-3,
) -> NDArray[Any]:
    """(x - x0) times the mean gradient on the way from the baseline x0 to x (Sundararajan, Taly & Yan 2017).

    Its sum is the difference of the two scores.  The mean is Gauss-Legendre's, over ``steps`` points; where a network
    has kinks (ReLU, max-pooling) they are doubled, up to 64 times, until each sum is right to ``tolerance``
    (None: never).
    """
    net = subject(model)
    x = _pictures(net, images)
    start = np.broadcast_to(np.asarray(baseline, x.dtype), x.shape)
    classes, after = scores_of(net, x, target)
    change = after.astype(np.float64) - scores_of(net, start, classes)[1]
    found = np.zeros(x.shape)
    todo = np.arange(len(x))
    for doubling in range(7):
        found[todo] = _integrated(net, x[todo], start[todo], classes[todo], steps << doubling)
        if tolerance is None:
            break
        todo = todo[np.abs(found[todo].sum(axis=(1, 2, 3)) - change[todo]) > tolerance]
        if not len(todo):
            break
    return found


def _integrated(net: Subject, x: NDArray[Any], start: NDArray[Any], classes: NDArray[Any], steps: int) -> NDArray[Any]:
    points, weights = np.polynomial.legendre.leggauss(steps)  # on -1 .. 1
    total = np.zeros(x.shape)
    together = max(1, BATCH // len(x))
    for k in range(0, steps, together):
        at = (1 + points[k : k + together]) / 2
        way = start + at[:, None, None, None, None] * (x - start)  # (points, N, C, H, W)
        slopes = _gradient(net, way.reshape(-1, *x.shape[1:]).astype(x.dtype), np.tile(classes, len(at)))
        total += np.tensordot(weights[k : k + together] / 2, slopes.reshape(way.shape), 1)
    return (x - start) * total


def grad_cam(
    model: Any, images: ArrayLike, target: ArrayLike | None = None, layer: Any = None, positive: bool = True
) -> NDArray[Any]:
    """(N, 1, h, w): the maps of a layer, weighted by the mean gradient of the score over each (Selvaraju and others 2017).

        sum_c (mean_ij d score / d A_cij) A_c,     with ``positive`` only where it is above zero

    layer   by default the last convolution
    """
    net = subject(model)
    x = _pictures(net, images)
    at = _last_maps(net, layer)
    slope, maps, _ = net.gradients(x, _of(net, scores_of(net, x, target)[0]), at=at)
    if maps.ndim != 4:
        raise ValueError(f"{at} gives values of shape {maps.shape[1:]}, and not maps (C, H, W)")
    cam = (slope.mean(axis=(2, 3), keepdims=True) * maps).sum(axis=1, keepdims=True)
    return np.maximum(cam, 0) if positive else cam


def _last_maps(net: Subject, layer: Any) -> Layer:
    if layer is not None:
        return net.find(layer)
    return net.find(-1, ("Conv2d",))


def guided_backprop(model: Any, images: ArrayLike, target: ArrayLike | None = None) -> NDArray[Any]:
    """The gradient, of which each ReLU lets only what is positive pass back (Springenberg and others 2015).

    Errors: ValueError for a model without a ReLU layer, for which this is the gradient.
    """
    net = subject(model)
    x = _pictures(net, images)
    classes, _ = scores_of(net, x, target)
    with _guided(net):
        return _gradient(net, x, classes)


@contextlib.contextmanager
def _guided(net: Subject) -> Iterator[None]:
    layers = net.of_kind("ReLU")
    if not layers:
        raise ValueError("guided gradients need layers of the kind ReLU: there is none in this model")
    handles = [layer.module.register_full_backward_hook(_only_positive) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _only_positive(module: Any, given: Any, taken: Any) -> Any:
    return (_first(given).clamp(min=0),)


def guided_grad_cam(model: Any, images: ArrayLike, target: ArrayLike | None = None, layer: Any = None) -> NDArray[Any]:
    """guided_backprop times grad_cam, which is enlarged to the picture's size by repeating values."""
    net = subject(model)
    x = _pictures(net, images)
    cam = grad_cam(net, x, target, layer)
    return guided_backprop(net, x, target) * enlarged(cam, x.shape[2:])


def enlarged(maps: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Maps (N, C, h, w) at another size (H, W): each pixel takes the value of the place that it lies in."""
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, maps.shape[2:], strict=True))
    return maps[:, :, rows][:, :, :, columns]


def occlusion(
    model: Any,
    images: ArrayLike,
    target: ArrayLike | None = None,
    size: int = 5,
    stride: int = 2,
    baseline: float = 0.0,
) -> NDArray[Any]:
    """(N, 1, H, W): by how much the score falls when a square is covered (Zeiler & Fergus 2014).

    Each pixel has the mean over the squares that cover it.  They begin at multiples of ``stride``, until the last one
    reaches the border; one that crosses it is cut.
    """
    net = subject(model)
    x = _pictures(net, images)
    classes, before = scores_of(net, x, target)
    H, W = x.shape[2:]
    tops, lefts = ([s * stride for s in range(-(-max(n - size, 0) // stride) + 1)] for n in (H, W))
    fall, covers = np.zeros((len(x), 1, H, W)), np.zeros((H, W))
    for top in tops:
        for left in lefts:
            rows, columns = slice(top, top + size), slice(left, left + size)
            covered = x.copy()
            covered[:, :, rows, columns] = baseline
            drop = before - scores_of(net, covered, classes)[1]
            fall[:, :, rows, columns] += drop[:, None, None, None]
            covers[rows, columns] += 1
    return fall / np.maximum(covers, 1)


def _pictures(net: Subject, images: ArrayLike) -> NDArray[Any]:
    x = net.input(images)
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4:
        raise ValueError(f"expected pictures (N, C, H, W), got shape {x.shape}")
    return x
