"""A doctor for training: what goes wrong without a word, found before the first step.

    for finding in check(model, loss, optimizer, (x, y)):
        print(finding)

Source of the questions: Karpathy, A recipe for training neural networks, 2019.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from npnn.testing.finding import Finding
from npnn.train.backend import backend_of
from npnn.train.check_data import examine_inputs, examine_labels
from npnn.train.check_model import examine_modes, examine_parameters, examine_registration
from npnn.train.check_signal import examine_batch, examine_loss, examine_overfitting, examine_step
from npnn.train.generators import get_generators, set_generators
from npnn.train.patient import Patient

__all__ = ["check", "look"]


def check(model: Any, loss: Any, optimizer: Any, batch: Any) -> list[Finding]:
    """What is likely to be wrong with a training that is about to begin; [] when all is well.

    ``model`` is an npnn or a torch module, ``loss`` is called with (outputs, targets), ``batch`` is a pair (inputs,
    targets) of arrays or tensors.  Model, optimiser, loss and the streams of random numbers are left as they were: copies
    are run.  It takes about as long as a hundred steps on ten items, at most a few seconds.  Kinds:

    not registered   a layer or parameter in a plain list or dict: neither trained, nor saved, nor switched
    not trained      a parameter that wants a gradient and that no optimiser holds
    other parameters the optimiser holds parameters that are not the model's
    gradients left   gradients of earlier steps are still there: zero_grad was forgotten
    mode             evaluation mode where training begins, or model.eval() that does not reach a layer
    other items      in evaluation mode the output for one item depends on the others of the batch
    inputs           not normalised, constant, or with nan
    labels           no relation between inputs and labels, as after shuffling one of them
    softmax          scores that pass a softmax, a sigmoid or a ReLU before the cross-entropy
    first loss       far above log(classes), where a network that knows nothing stands
    no gradient      a parameter that the loss does not depend on
    dead units, saturated units      more than half of a layer, for all items of the batch
    vanishing, exploding             the gradient of the first weights beside that of the last
    step size        a first step that changes weights by more than their size, or by next to nothing
    cannot overfit   ten items are not learnt by heart in a hundred steps of Adam

    Errors: what the model or the loss itself raises; TypeError for a model of neither framework.
    """
    backend = backend_of(model)
    x, y = (backend.tensor(np.asarray(part) if isinstance(part, (list, tuple)) else part) for part in batch)
    states = get_generators()
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a layer or loss would warn of is among the findings
            return list(_examine(model, loss, optimizer, x, y, backend))
    finally:
        set_generators(states)


def _examine(model: Any, loss: Any, optimizer: Any, x: Any, y: Any, backend: Any) -> Iterator[Finding]:
    yield from examine_registration(model)
    yield from examine_parameters(model, loss, optimizer, backend)
    yield from examine_inputs(backend.array(x))
    yield from examine_labels(backend.array(x), backend.array(y))
    patient = Patient(*copy.deepcopy((model, loss, optimizer)), x, y, backend)
    yield from examine_modes(model, patient)
    yield from examine_batch(patient)
    yield from examine_loss(patient)
    yield from examine_step(patient)
    yield from examine_overfitting(Patient(*copy.deepcopy((model, loss, optimizer)), x, y, backend))


def look(trainer: Any, loader: Any) -> list[Finding]:
    """What ``check`` finds with the first batch of a trainer's loader, also printed to stderr; the loader begins anew.

    Nothing is looked at where the first batch would be lost, as an iterator can be gone through only once.
    """
    if hasattr(loader, "__next__"):
        return []
    states = get_generators(loader)
    try:
        first = next(iter(copy.copy(loader)), None)  # a copy: the loader itself keeps its place
    finally:
        set_generators(states, loader)
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        return []
    found = check(trainer.model, trainer.loss, trainer.optimizer, first)
    for finding in found:
        print(f"check: {finding}", file=sys.stderr)
    return found
