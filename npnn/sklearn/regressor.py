"""Regression: a number for each sample, or several."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from npnn.nn import functional as F
from npnn.sklearn.base import NeuralNet
from npnn.sklearn.ending import knows_no_end
from npnn.sklearn.objective import Objective, half_squared_error
from npnn.sklearn.words import look_up

__all__ = ["NeuralNetRegressor"]

LOSSES = {"absolute_error": F.l1_loss, "huber": F.huber_loss, "squared_error": half_squared_error}


class NeuralNetRegressor(RegressorMixin, NeuralNet):
    """A network that predicts numbers.   X (N, features), y (N,) or (N, K) -> of y's shape

    loss  "squared_error" (half of it, as in MLPRegressor), "absolute_error" (the median instead of the
          mean), "huber" (squared up to an error of 1 and absolute beyond; another δ:
          ``partial(npnn.nn.functional.huber_loss, delta=2.0)``), or a function of outputs and targets,
          both (N, K).  With several outputs it is the mean over them

    y is not scaled: an MLP learns best from targets whose standard deviation is about 1
    (sklearn.compose.TransformedTargetRegressor).  All other parameters and attributes: see
    npnn.sklearn.base.NeuralNet.
    """

    _y_numeric = True
    _one_axis: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @available_if(knows_no_end)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch on these samples, from the weights there are; they count relative to others of the same call."""
        return self._fit(X, y, sample_weight, goes_on=hasattr(self, "model_"), one_epoch=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The predicted numbers, (N,) or (N, K) as y was."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one_axis else outputs

    def _encode(self, y: Any, dtype: Any, goes_on: bool, classes: Any) -> tuple[NDArray[Any], int]:
        self._one_axis = y.ndim == 1
        targets = y.reshape(len(y), -1).astype(dtype)  # (N, K)
        return targets, targets.shape[1]

    def _objective(self, targets: NDArray[Any], weighted: bool) -> Objective:
        return Objective(look_up(LOSSES, self.loss, "loss"), _r2, targets.dtype, weighted)


def _r2(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    return float(r2_score(targets, outputs, sample_weight=weights))
