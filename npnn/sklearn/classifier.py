"""Classification: one class a sample, or any number of labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from npnn.nn import functional as F
from npnn.sklearn.base import NeuralNet
from npnn.sklearn.ending import knows_no_end
from npnn.sklearn.objective import Objective, binary_cross_entropy
from npnn.sklearn.samples import dense
from npnn.sklearn.words import look_up
from npnn.tensor import _from_array

__all__ = ["NeuralNetClassifier"]


class NeuralNetClassifier(ClassifierMixin, NeuralNet):
    """A network that tells classes apart.   X (N, features), y (N,) -> y (N,), probabilities (N, classes)

    y holds labels of any kind that NumPy can sort, or, (N, labels), zeros and ones: then each label is
    a question of its own.  The network has an output for each class, also if there are two.

    loss             "cross_entropy" (softmax for classes, sigmoid for labels), or a function of the
                     outputs and int64 class indices (N,) or labels (N, labels)
    label_smoothing  ε takes ε of the right class's probability and shares it out among all
    class_weight     a dict from class to weight (for labels a list of dicts, whose weights multiply), or
                     "balanced" for weights that make up for rare classes; multiplies sample_weight

    All other parameters and attributes: see npnn.sklearn.base.NeuralNet.  ``classes_`` holds the labels
    in the order of the columns of predict_proba.
    """

    _y_numeric = False
    _multilabel: bool
    classes_: NDArray[Any]

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        module: Any = None,
        dropout: float = 0.0,
        loss: Any = "cross_entropy",
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        clip_grad_norm: float | None = None,
        dtype: str = "auto",
    ):
        super().__init__(
            hidden_layer_sizes, activation, module=module, dropout=dropout, loss=loss, solver=solver, alpha=alpha,
            batch_size=batch_size, learning_rate=learning_rate, learning_rate_init=learning_rate_init,
            max_iter=max_iter, shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose,
            warm_start=warm_start, momentum=momentum, nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, clip_grad_norm=clip_grad_norm, dtype=dtype,
        )  # fmt: skip
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    # ---- training

    @available_if(knows_no_end)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """One epoch on these samples, from the weights there are.  The first call must name all ``classes``.

        Weights are relative to those of the same call.  Errors: ValueError as in fit, for missing,
        changed or unknown classes, and for class_weight="balanced", which needs all samples at once.
        """
        if self.class_weight == "balanced":
            raise ValueError("partial_fit sees a part of the samples: give class_weight as a dict, not 'balanced'")
        if classes is not None:
            classes = np.unique(classes)
        if not hasattr(self, "model_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            return self._fit(X, y, sample_weight, goes_on=False, one_epoch=True, classes=classes)
        if classes is not None and not np.array_equal(self.classes_, classes):
            raise ValueError(f"classes are not those of the first call to partial_fit: {classes}, not {self.classes_}")
        return self._fit(X, y, sample_weight, goes_on=True, one_epoch=True)

    def _encode(self, y: Any, dtype: Any, goes_on: bool, classes: Any) -> tuple[NDArray[Any], int]:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
        if goes_on:
            classes = self.classes_
            if multilabel != self._multilabel:
                raise ValueError("y must hold classes in every call, or labels (N, labels) in every call")
        if multilabel:
            targets = dense(y).astype(dtype)  # (N, labels)
            here = np.arange(targets.shape[1])
        else:
            here, targets = np.unique(column_or_1d(y, warn=True), return_inverse=True)  # (N,)
        if classes is None:
            classes = here
        unknown = np.setdiff1d(here, classes)
        if unknown.size:
            raise ValueError(f"y has classes that are not among those known, {classes}: {unknown}")
        self.classes_, self._multilabel = classes, multilabel
        return targets if multilabel else np.searchsorted(classes, here)[targets], len(classes)

    def _class_weights(self, y: Any) -> NDArray[Any] | None:
        return None if self.class_weight is None else compute_sample_weight(self.class_weight, y)

    def _objective(self, targets: NDArray[Any], weighted: bool) -> Objective:
        entropy = binary_cross_entropy if self._multilabel else F.cross_entropy
        loss = look_up({"cross_entropy": partial(entropy, label_smoothing=self.label_smoothing)}, self.loss, "loss")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise ValueError("label_smoothing belongs to loss='cross_entropy'")
        return Objective(loss, _label_accuracy if self._multilabel else _accuracy, targets.dtype, weighted)

    # ---- prediction

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each sample, (N,); or the labels with a probability above 1/2, (N, labels)."""
        outputs = self._outputs(X)
        return (outputs > 0).astype(np.int64) if self._multilabel else self.classes_[outputs.argmax(1)]

    def decision_function(self, X: Any) -> NDArray[Any]:
        """The scores before softmax or sigmoid, (N, n_outputs_); for 2 classes the lead of the second, (N,)."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 and not self._multilabel else outputs

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, in rows of sum 1, or of each label.   (N, n_outputs_)"""
        outputs = _from_array(self._outputs(X))
        return (F.sigmoid(outputs) if self._multilabel else F.softmax(outputs, 1)).array

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of predict_proba, finite also where that is 0."""
        outputs = _from_array(self._outputs(X))
        return -F.softplus(-outputs).array if self._multilabel else F.log_softmax(outputs, 1).array


def _accuracy(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    return float(np.average(outputs.argmax(1) == targets, weights=weights))


def _label_accuracy(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """The share of samples with every label right."""
    return float(np.average(((outputs > 0) == (targets > 0)).all(1), weights=weights))
