"""The figures of the experiment on MNIST: one run, and the rows of the report together."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.harness.results import Result

__all__ = ["first_layer", "reported_and_found", "sheet"]


def sheet(result: Result, best: bool) -> Any:
    """Loss and accuracy, what was taken for what, and the first layer; of the best models also what they get wrong."""
    from npnn import plot
    from npnn.train import confusion_matrix

    images, labels, classes = result.data.test_x, result.data.test_y, result.data.classes
    convolution_first = hasattr(result.model[0], "weight")
    has_maps = best and convolution_first
    heights = [2.6, 3.4, *[2.2] * best, *[1.9] * has_maps]
    page: Any = plot.figure(plot.PAGE, sum(heights))
    top, middle, *rest = page.subfigures(len(heights), 1, height_ratios=heights)
    left, right = middle.subfigures(1, 2)
    bars, below = right.subfigures(2, 1, height_ratios=[2.1, 1.3])
    plot.curves(result.histories, log_loss=result.config.faults != "none", test=result.watched, figure=top)
    plot.confusion_matrix(confusion_matrix(result.outputs, labels), classes, figure=left)
    plot.per_class(result.class_accuracies, classes, figure=bars)
    if np.nanmin([*result.class_accuracies.values()]) > 0.95:  # else nothing could be told apart
        bars.axes[0].set(ylim=(95, 100), ylabel="accuracy (%), from 95")
    plot.kernels(first_layer(result.model), figure=below)
    if not convolution_first:
        below.axes[0].title.set_text("weights of the first 16 units")
    if best:
        plot.mistakes(images, result.outputs, labels, classes, figure=rest[0])
    if has_maps:
        first = images[[int((labels == digit).argmax()) for digit in (2, 7)]]
        plot.feature_maps(first, result.predict(first, result.model[:3]), figure=rest[1])
    return page


def first_layer(model: Any) -> Any:
    """Kernels of a convolution; of a linear layer what its first 16 units look for, as images."""
    weight = next(model.parameters()).detach()
    return weight if weight.ndim == 4 else weight[:16].reshape(-1, 1, 28, 28)


def reported_and_found(rows: Any, dev: dict[str, float]) -> Any:
    """Each row of the report three times: as it was reported, with its faults, and at the same settings without."""
    from npnn import plot
    from npnn.plot import style

    names = [name for name in reversed(dev) if name in rows and f"{name}-faulted" in rows]
    page: Any = plot.figure(plot.PAGE, 0.9 + 0.27 * len(names))
    ax = page.subplots()
    ax.plot([dev[name] for name in names], range(len(names)), "x", color="0.2", label="reported")
    for backend, size in (("npnn", 5), ("torch", 9)):
        for suffix, label in (("-faulted", f"{backend}, with the faults"), ("", f"{backend}, without")):
            found = [rows[name + suffix] for name in names]
            accuracies = [row.accuracies if backend == "npnn" else row.torch_accuracies for row in found]
            places = [(100 * float(np.mean(values)), i) for i, values in enumerate(accuracies) if values]
            if places:
                look = {**style.FRAMEWORKS[backend], "linestyle": "", "markersize": size}
                fill = look["color"] if backend == "npnn" and not suffix else "none"
                ax.plot(*zip(*places, strict=True), label=label, markerfacecolor=fill, **look)
    style.lines(ax)
    style.describe(ax, "accuracy on the test set (%); reported: on 10,000 held out of the training set")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlim(0, 100)
    style.legend(page, ax, columns=5)
    return page
