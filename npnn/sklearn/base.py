"""What the classifier and the regressor share: from checked data through npnn's Trainer to a fitted network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from npnn.data import DataLoader
from npnn.errors import ShapeError
from npnn.generator import Generator
from npnn.modes import no_grad
from npnn.random import use_generator
from npnn.sklearn.ending import warn_if_early, watch
from npnn.sklearn.objective import Objective
from npnn.sklearn.samples import checked_weights, dataset, dense
from npnn.sklearn.words import check_parameters, make_model, make_optimizer, make_schedule, set_decay
from npnn.tensor import _from_array
from npnn.train import Trainer
from npnn.train.backend import mode

if TYPE_CHECKING:
    from npnn.nn import Module

__all__ = ["NeuralNet"]

_PREDICTED_AT_ONCE = 1024  # rows, so that the layers' outputs stay in the cache


class NeuralNet(BaseEstimator):
    """A network as an estimator.  The parameters, named as in scikit-learn's MLPClassifier where it has them:

    hidden_layer_sizes   the widths of the hidden layers of the MLP that is trained; () is a linear model
    activation           after each of them: "elu", "gelu", "identity", "leaky_relu", "logistic", "mish",
                         "relu", "selu", "silu", "tanh", or a class of layers
    module               another network instead: a function of (n_features, n_outputs) that returns a Module,
                         or a Module, which is copied for each fit and trained from the weights it has.
                         It must turn (N, ...) into (N, n_outputs) scores; X may then have more than two axes
    dropout              the share of each hidden layer's outputs that is left out in training
    loss                 a word (see the class) or a function like those of npnn.nn.functional, called as
                         ``loss(outputs, targets, reduction="mean")``, or "none" if samples have weights
    solver               "adadelta", "adagrad", "adam", "adamax", "adamw", "nadam", "radam", "rmsprop", "sgd", or
                         a class of npnn.optim or a partial of one; there is no "lbfgs"
    alpha                strength of the L2 penalty on the sum of the losses: each step's weight_decay is
                         alpha / batch size, for weights and not for biases.  As in MLPClassifier, but
                         ``loss_`` does not include it, and AdamW's decay is decoupled
    batch_size           samples per step; "auto" is 200, or all if there are fewer
    learning_rate        "constant"; "adaptive" (divided by 5, down to 1e-6, when the fit would stop for lack
                         of progress; with every solver); "cosine" and "one_cycle" over max_iter epochs; or a
                         function that makes a schedule for an optimiser, stepped once an epoch
    learning_rate_init   the learning rate that the schedule starts from, of "one_cycle" the highest
    max_iter             epochs.  ConvergenceWarning if "constant" or "adaptive" still progressed at the end
    shuffle              whether each epoch has its own order of the samples
    random_state         seeds the weights, the order, dropout and the validation split; npnn's own generator
                         is neither used nor changed
    tol                  the gain on the best loss (or validation score) that counts as progress
    n_iter_no_change     the fit ends after so many epochs without progress; inf trains for max_iter epochs
    verbose              a progress bar
    warm_start           whether fit goes on from the weights of the fit before
    momentum             of solver "sgd"
    nesterovs_momentum   whether "sgd" looks ahead
    early_stopping       whether to watch the score on a part of the data that is set aside, and to return to
                         the weights that scored best
    validation_fraction  that part's share
    clip_grad_norm       the largest norm of a step's gradient; None for no limit
    dtype                "float32" or "float64"; "auto" computes in float32 if X is float32, else in float64,
                         as scikit-learn does.  float32 is twice as fast where the network is large

    After fit: ``model_`` the network; ``n_features_in_``, ``feature_names_in_`` (for a data frame),
    ``n_outputs_``; ``n_iter_`` epochs of the last fit, ``loss_curve_`` and ``loss_``,
    ``validation_scores_`` with early_stopping, and ``history_``, all figures of the last fit.
    """

    model_: Module
    n_outputs_: int
    loss_curve_: list[float]
    validation_scores_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        module: Any = None,
        dropout: float = 0.0,
        loss: Any = "squared_error",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.module = module
        self.dropout = dropout
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.clip_grad_norm = clip_grad_norm
        self.dtype = dtype

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- what a kind of estimator adds

    _y_numeric: bool

    def _encode(self, y: Any, dtype: Any, goes_on: bool, classes: Any) -> tuple[NDArray[Any], int]:
        """y as the loss wants it, (N,) or (N, K), and the number of outputs.  ``classes`` as in partial_fit."""
        raise NotImplementedError

    def _class_weights(self, y: Any) -> NDArray[Any] | None:
        """A weight for each sample from its class; None if all count the same."""
        return None

    def _objective(self, targets: NDArray[Any], weighted: bool) -> Objective:
        raise NotImplementedError

    # ---- training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on X (N, features), dense or sparse, and y.

        A weight multiplies its sample's loss: within a batch, 2 is the same as having the sample twice.

        Errors: ValueError for bad data or parameters; TrainingDiverged if the loss becomes nan or infinite.
        """
        return self._fit(X, y, sample_weight, goes_on=self.warm_start and hasattr(self, "model_"))

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, goes_on: bool, one_epoch: bool = False, classes: Any = None
    ) -> Any:
        """Train: from new weights or, if it ``goes_on``, from those there are; for one epoch or as many as it takes."""
        parameters = self.get_params(deep=False)
        check_parameters(parameters)
        X, y = validate_data(
            self, X, y, reset=not goes_on, **self._conditions(goes_on), multi_output=True, y_numeric=self._y_numeric
        )
        targets, n_outputs = self._encode(y, X.dtype, goes_on, classes)
        if goes_on and n_outputs != self.n_outputs_:
            raise ValueError(f"y has {n_outputs} outputs, the fit before had {self.n_outputs_}")
        self.n_outputs_ = n_outputs
        weights = checked_weights(sample_weight, self._class_weights(y), len(targets))
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            X, targets, weights = X[kept], targets[kept], weights[kept]
        if not goes_on:
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            self._generator = Generator().manual_seed(int(seed))
            self.loss_curve_, self.validation_scores_ = [], []
        with use_generator(self._generator):
            if not goes_on:
                model = make_model(parameters, self.n_features_in_, n_outputs).to(X.dtype)
                if self.module is not None:
                    _check_outputs(model, X, n_outputs)
                self.model_, self._dtype = model, X.dtype
            if not (one_epoch and goes_on):
                self._optimizer = make_optimizer(parameters, self.model_)
            self._train(parameters, X, targets, weights, one_epoch)
        self.model_.eval()
        return self

    def _conditions(self, fitted: bool) -> dict[str, Any]:
        """What X must be like: after the first fit, of the network's dtype."""
        dtype = self._dtype if fitted else self.dtype
        return {
            "accept_sparse": "csr",
            "dtype": [np.float64, np.float32] if dtype == "auto" else np.dtype(dtype),
            "order": "C",
            "allow_nd": self.module is not None,
        }

    def _train(
        self, parameters: Mapping[str, Any], X: Any, targets: NDArray[Any], weights: Any, one_epoch: bool
    ) -> None:
        mean_weight = 1.0
        if weights is not None:
            mean_weight = float(weights.mean())
            weights = (weights / mean_weight).astype(X.dtype)
        objective = self._objective(targets, weights is not None)
        packed, validation = objective.pack(targets, weights), None
        if self.early_stopping:
            X, packed, validation = self._set_aside(X, packed, targets)
        batch_size = min(200 if self.batch_size == "auto" else int(self.batch_size), len(packed))
        loader = DataLoader(dataset(X, packed), batch_size, shuffle=bool(self.shuffle))
        set_decay(self._optimizer, float(self.alpha) / (batch_size * mean_weight))
        trainer = Trainer(
            self.model_,
            objective,
            self._optimizer,
            metrics={"score": objective.score} if self.early_stopping else (),
            callbacks=() if one_epoch else (watch(parameters),),
            clip_grad_norm=self.clip_grad_norm,
            progress=bool(self.verbose),
            **make_schedule(parameters, self._optimizer, len(loader)),
        )
        epochs = 1 if one_epoch else int(self.max_iter)
        self.history_ = trainer.fit(loader, epochs, validation)
        self._optimizer.zero_grad()
        self._note(trainer, parameters, one_epoch)

    def _set_aside(self, X: Any, packed: NDArray[Any], targets: NDArray[Any]) -> tuple[Any, NDArray[Any], Any]:
        """Split off the validation part, with the classes in proportion where a sample has one."""
        X, X_validation, packed, packed_validation = train_test_split(
            X, packed,
            test_size=self.validation_fraction,
            random_state=self._generator.random64() >> 32,
            stratify=targets if targets.dtype.kind == "i" else None,
        )  # fmt: skip
        if len(packed_validation) < 2:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves {len(packed_validation)} sample for "
                "early_stopping to watch, and it needs 2"
            )
        return X, packed, DataLoader(dataset(X_validation, packed_validation), _PREDICTED_AT_ONCE)

    def _note(self, trainer: Trainer, parameters: Mapping[str, Any], one_epoch: bool) -> None:
        """Set the attributes that tell how training went, and warn if it did not end well."""
        history = trainer.history
        self.n_iter_ = trainer.run.epoch
        self.loss_curve_ += [record["train_loss"] for record in history.records]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        if self.early_stopping:
            self.validation_scores_ += [record["validation_score"] for record in history.records]
        if not one_epoch:
            warn_if_early(trainer, parameters)

    # ---- prediction

    def _outputs(self, X: Any) -> NDArray[Any]:
        """The network's scores for X, (N, n_outputs).  Safe to call from several threads."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **self._conditions(fitted=True))
        if self.model_.training:  # after a fit that was broken off
            self.model_.eval()
        with no_grad():
            rows = [
                self.model_(_from_array(dense(X[i : i + _PREDICTED_AT_ONCE]))).array
                for i in range(0, X.shape[0], _PREDICTED_AT_ONCE)
            ]
        return np.concatenate(rows)


def _check_outputs(model: Module, X: Any, n_outputs: int) -> None:
    """Errors: ShapeError if the network does not put out what the estimator will read."""
    with mode(model, False), no_grad():
        shape = model(_from_array(dense(X[:1]))).shape
    if shape != (1, n_outputs):
        raise ShapeError(
            f"expected a module that turns an input of shape {X[:1].shape} into (1, {n_outputs}), got {shape}"
        )
