"""The figure of one run on images, the same for all experiments that classify them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npnn.experiment.results import Result

__all__ = ["sheet"]

SHOWN = 24  # kernels or units, in three rows


def sheet(result: Result, weight: Any, of: str = "kernels", examples: Sequence[int] = (), layers: int = 0) -> Any:
    """Loss and accuracy, what was taken for what, each class, the first weights; of the best models also mistakes.

    weight    of the first layer, (O, C, KH, KW), and what it is the weight ``of``
    examples  classes; the maps that the first ``layers`` of the model make are shown of one image of each
    """
    from npnn import plot
    from npnn.train import confusion_matrix

    images, labels, classes = result.data.test_x, result.data.test_y, result.data.classes
    mistakes = int(np.sum(result.outputs.argmax(axis=1) != labels)) if result.job.kept else 0
    heights = {"curves": 2.2, "classes": 3.4}
    if examples:
        heights["maps"] = 0.25 + 0.72 * len(examples)
    if mistakes:
        heights["mistakes"] = 1.38 if mistakes <= 8 else 2.75
    page: Any = plot.figure(plot.PAGE, sum(heights.values()))
    parts = dict(zip(heights, page.subfigures(len(heights), 1, height_ratios=[*heights.values()]), strict=True))

    x = "step" if result.config.evaluate_every else "epoch"
    plot.curves(result.histories, x, test=result.watched, figure=parts["curves"])
    left, right = parts["classes"].subfigures(1, 2)
    upper, lower = right.subfigures(2, 1, height_ratios=[2, 1.4])
    plot.confusion_matrix(confusion_matrix(result.outputs, labels), classes, figure=left)
    plot.per_class(result.class_accuracies, classes, figure=upper)
    title = f"weights of {f'the first {SHOWN} of ' * (len(weight) > SHOWN)}{len(weight)} {of}"
    plot.kernels(weight[:SHOWN], title=title, figure=lower)
    if examples:
        shown = images[[int((labels == c).argmax()) for c in examples]]
        plot.feature_maps(shown, result.predict(shown, result.model[:layers]), figure=parts["maps"])
    if mistakes:
        plot.mistakes(images, result.outputs, labels, classes, figure=parts["mistakes"])
    return page
