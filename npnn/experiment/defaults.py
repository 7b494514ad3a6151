"""What an experiment does that does not say otherwise: its data as arrays, its optimiser, its loss, its figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data import TrainTest

__all__ = ["WrongDataError", "adam", "cross_entropy", "sheet", "train_test"]

MANY = 20  # classes: more are not told apart in a small square
SHOWN = 24  # kernels


class WrongDataError(ValueError):
    """An experiment's data are not what they must be."""


def adam(optim: Any, model: Any, config: Any) -> Any:
    return optim.Adam(model.parameters(), lr=config.lr)


def cross_entropy(nn: Any, config: Any) -> Any:
    return nn.CrossEntropyLoss()


# ---- data


def train_test(found: Any) -> TrainTest:
    """What ``data(config)`` returned, as a TrainTest.

    Four arrays come as (train_x, train_y, test_x, test_y), or as scikit-learn's train_test_split returns
    them, (train_x, test_x, train_y, test_y): the lengths tell.  Errors: WrongDataError, which says what must be there.
    """
    if isinstance(found, TrainTest):
        return found
    parts = list(found) if isinstance(found, tuple | list) else []
    if len(parts) == 2:
        parts = [array for part in parts for array in _pair(part)]
    if len(parts) != 4:
        raise WrongDataError(
            "must return a TrainTest, four arrays (train_x, train_y, test_x, test_y), or two Datasets, not "
            + (f"{len(parts)} things" if parts else f"a {type(found).__name__}")
        )
    a, b, c, d = (_array(part) for part in parts)
    if len(a) == len(c) and len(b) == len(d) and (len(a) != len(b) or a.shape[1:] == b.shape[1:] != c.shape[1:]):
        a, b, c, d = a, c, b, d
    train_y, test_y = _labels("training", a, b), _labels("test", c, d)
    if a.shape[1:] != c.shape[1:]:
        raise WrongDataError(f"returned training inputs of shape {a.shape[1:]} and test inputs of {c.shape[1:]}")
    classes = 1 + int(max(train_y.max(), test_y.max()))
    return TrainTest(_inputs(a), train_y, _inputs(c), test_y, tuple(map(str, range(classes))))


def _pair(part: Any) -> tuple[Any, Any]:
    """Inputs and labels of a pair of arrays, or of a Dataset, all of whose items are taken."""
    if isinstance(part, tuple | list) and len(part) == 2:
        return part[0], part[1]
    try:
        items = [part[i] for i in range(len(part))]
        x, y = zip(*items, strict=True)
    except (TypeError, ValueError, KeyError):
        raise WrongDataError(
            f"must return a training and a test part, each of inputs and labels, not a {type(part).__name__}"
        ) from None
    return np.stack([_array(one) for one in x]), np.array([_array(one) for one in y])


def _array(value: Any) -> NDArray[Any]:
    found = np.asarray(value.detach().numpy() if hasattr(value, "detach") else value)
    if found.dtype.kind not in "biuf":
        raise WrongDataError(f"returned values of dtype {found.dtype}: they must be numbers")
    return found


def _inputs(x: NDArray[Any]) -> NDArray[Any]:
    """float32, as layers expect; indices of words stay whole numbers."""
    return x.astype(np.int64) if x.dtype.kind == "i" else x.astype(np.float32)


def _labels(part: str, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    if x.ndim == 0 or len(x) != len(y):
        raise WrongDataError(f"returned {len(np.atleast_1d(x))} {part} inputs and {len(np.atleast_1d(y))} labels")
    if not len(x):
        raise WrongDataError(f"returned no {part} examples")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        raise WrongDataError(f"returned {part} labels that are no whole numbers: an experiment tells classes apart")
    if y.min() < 0:
        raise WrongDataError(f"returned {part} labels from {y.min()} on: classes are counted from 0")
    return y.astype(np.int64)


# ---- the figure


def sheet(result: Any) -> Any:
    """Loss and accuracy; what was taken for what; and the first kernels, or the border between points in a plane."""
    from npnn import plot
    from npnn.plot.images import first_convolution
    from npnn.train import confusion_matrix

    data, classes = result.data, result.data.classes
    panels: list[Any] = []
    if result.outputs.ndim == 2 and 2 <= len(classes) <= MANY:
        found = confusion_matrix(result.outputs, data.test_y)
        panels.append(lambda figure: plot.confusion_matrix(found, classes, figure=figure))
    kernels = first_convolution(result.model) if data.test_x.ndim == 4 else None
    if kernels is not None:
        panels.append(lambda figure: plot.kernels(kernels[:SHOWN], figure=figure))
    elif data.test_x.ndim == 2 and data.test_x.shape[1] == 2:
        panels.append(lambda figure: plot.decision_boundary(result.predict, data.test_x, data.test_y, figure=figure))
    page: Any = plot.figure(plot.PAGE, 2.2 + 3.2 * bool(panels))
    parts: Sequence[Any] = page.subfigures(2, 1, height_ratios=[2.2, 3.2]) if panels else [page]
    plot.curves(result.histories, test=result.watched, figure=parts[0])
    if panels:
        places = np.atleast_1d(parts[1].subfigures(1, len(panels)))
        for draw, place in zip(panels, places, strict=True):
            draw(place)
    return page
