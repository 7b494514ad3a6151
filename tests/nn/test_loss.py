"""Cross-entropy and negative log-likelihood: torch's numbers in every mode, and what they say about bad targets."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_function_matches_torch, random_input, requires_torch, torch

# the shape of the scores; targets have it without the axis of classes
SHAPES = [(6, 5), (1, 2), (5,), (3, 4, 2), (2, 5, 3, 2), (2, 3, 2, 1, 2), (7, 1)]


def labels(shape, seed=3, dtype="int64"):
    classes = shape[0] if len(shape) == 1 else shape[1]
    return (
        np.random.default_rng(seed).integers(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ()).astype(dtype)
    )


def distributions(shape, seed=4):
    p = np.random.default_rng(seed).random(shape)
    return p / p.sum(axis=0 if len(shape) == 1 else 1, keepdims=True)


def same(name, x, *others, **options):
    """F.name(x, *others) in both frameworks; the gradient flows to the floating-point arguments."""
    tensors = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in options.items() if not isinstance(v, np.ndarray)}

    def ours(*given):
        return getattr(F, name)(*given, **plain, **{k: npnn.tensor(v) for k, v in tensors.items()})

    def theirs(*given):
        return getattr(torch.nn.functional, name)(*given, **plain, **{k: torch.tensor(v) for k, v in tensors.items()})

    assert_function_matches_torch(ours, x, *others, torch_fn=theirs)


# ---- cross-entropy against torch


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_indices(shape, reduction, weighted, smoothing):
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["weight"] = np.linspace(0.5, 2, shape[0] if len(shape) == 1 else shape[1])
    same("cross_entropy", random_input(shape), labels(shape), **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("ignore_index", [-100, 1])
def test_ignored_targets(ignore_index, reduction, smoothing):
    target = labels((6, 5))
    target[[1, 4]] = ignore_index
    options = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": smoothing}
    same("cross_entropy", random_input((6, 5)), target, **options)
    same("cross_entropy", random_input((6, 5)), target, weight=np.linspace(0.5, 2, 5), **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES)
def test_probabilities(shape, reduction, weighted, smoothing):
    """The gradient reaches the probabilities, too."""
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["weight"] = np.linspace(0.5, 2, shape[0] if len(shape) == 1 else shape[1])
    same("cross_entropy", random_input(shape), distributions(shape), **options)


def test_float32():
    same("cross_entropy", random_input((6, 5), "float32"), labels((6, 5)))
    same("cross_entropy", random_input((2, 5, 3), "float32"), labels((2, 5, 3)), label_smoothing=0.1)
    same("cross_entropy", random_input((6, 5), "float32"), distributions((6, 5)).astype("float32"))


def test_one_hot_probabilities_are_class_indices():
    x, y = npnn.tensor(random_input((6, 5))), labels((6, 5))
    soft = F.cross_entropy(x, npnn.tensor(np.eye(5)[y]))
    assert soft.item() == pytest.approx(F.cross_entropy(x, npnn.tensor(y)).item(), rel=1e-12)


def test_the_formula():
    """-log softmax(x)[y], composed from tensor operations."""
    x, y = random_input((6, 5)), labels((6, 5))
    a, b = (npnn.tensor(x, requires_grad=True) for _ in range(2))
    F.cross_entropy(a, npnn.tensor(y)).backward()
    log_p = b - b.logsumexp(1, keepdim=True)
    (-log_p[np.arange(6), y]).mean().backward()
    np.testing.assert_allclose(a.grad.array, b.grad.array, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("layout", ["F", "channels_last", "sliced", "reversed"])
def test_any_memory_layout(layout):
    shape = (2, 3, 4, 5)
    x, y = random_input(shape), labels(shape)
    if layout == "F":
        given, target = np.asfortranarray(x), np.asfortranarray(y)
    elif layout == "channels_last":
        given, target = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), y
    elif layout == "sliced":
        given, target = np.zeros((2, 6, 4, 10))[:, ::2, :, ::2], np.zeros((2, 4, 10), np.int64)[..., ::2]
        given[...], target[...] = x, y
    else:
        given, target = x[:, ::-1].copy()[:, ::-1], y[::-1].copy()[::-1]
    same("cross_entropy", given, target)
    rows = F.nll_loss(npnn.tensor(given), npnn.tensor(target), reduction="none")
    np.testing.assert_array_equal(rows.array, F.nll_loss(npnn.tensor(x), npnn.tensor(y), reduction="none").array)


def test_the_gradient_of_a_channels_last_image_is_one():
    image = np.ascontiguousarray(random_input((2, 4, 5, 3))).transpose(0, 3, 1, 2)
    x = npnn.tensor(image, requires_grad=True)
    F.cross_entropy(x, npnn.tensor(labels((2, 3, 4, 5)))).backward()
    assert x.grad.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_labels_of_any_integer_type(dtype):
    x, y = npnn.tensor(random_input((6, 5))), labels((6, 5))
    for loss in (F.cross_entropy, F.nll_loss):
        assert loss(x, npnn.tensor(y.astype(dtype))).item() == loss(x, npnn.tensor(y)).item()


def test_the_gradient_of_a_sum_of_losses():
    """backward is only the scaling of what forward made: it must not spoil it."""
    x = npnn.tensor(random_input((6, 5)), requires_grad=True)
    loss = F.cross_entropy(x, npnn.tensor(labels((6, 5))))
    loss.backward(retain_graph=True)
    once = x.grad.array.copy()
    loss.backward()
    np.testing.assert_allclose(x.grad.array, 2 * once)


# ---- numbers at the edge


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits(dtype):
    x = npnn.tensor(np.array([[1e30, 0, -1e30], [1e30, 1e30, 0]], dtype), requires_grad=True)
    losses = F.cross_entropy(x, npnn.tensor(np.array([0, 1])), reduction="none")
    np.testing.assert_allclose(losses.array, [0, math.log(2)], rtol=1e-6)
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.array, [[0, 0, 0], [0.5, -0.5, 0]], atol=1e-6)
    assert F.cross_entropy(x, npnn.tensor(np.array([1, 1]))).item() == pytest.approx(5e29, rel=1e-6)


@requires_torch
def test_infinite_logits_and_nan():
    for row in ([0, -np.inf, 1], [np.nan, 0, 0], [np.inf, 0, 0], [-np.inf] * 3, [0, 0, np.nan]):
        x = np.array([row, [0, 0, 0]], np.float32)
        ours, theirs = npnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        a = F.cross_entropy(ours, npnn.tensor(np.array([0, 1])), reduction="none")
        b = torch.nn.functional.cross_entropy(theirs, torch.tensor([0, 1]), reduction="none")
        np.testing.assert_allclose(a.array, b.detach().numpy(), rtol=1e-6)
        a.sum().backward()
        b.sum().backward()
        np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 3), (2, 5, 0)])
def test_empty_batch(shape):
    target = np.zeros(shape[:1] + shape[2:], np.int64)
    for loss, t in ((F.cross_entropy, target), (F.nll_loss, target), (F.cross_entropy, np.zeros(shape))):
        x = npnn.tensor(np.zeros(shape), requires_grad=True)
        mean = loss(x, npnn.tensor(t))
        assert math.isnan(mean.item())
        mean.backward()
        assert x.grad.shape == shape
        assert loss(x, npnn.tensor(t), reduction="sum").item() == 0
        assert loss(x, npnn.tensor(t), reduction="none").shape == target.shape


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_all_targets_ignored(name):
    x = npnn.tensor(random_input((3, 5)), requires_grad=True)
    target = npnn.tensor(np.full(3, -100))
    loss = getattr(F, name)(x, target)
    assert math.isnan(loss.item())
    loss.backward()
    np.testing.assert_array_equal(x.grad.array, np.zeros((3, 5)))
    assert getattr(F, name)(x, target, reduction="sum").item() == 0


# ---- bad targets


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("bad", [-1, 5, 99, -99])
def test_no_such_class(name, bad):
    target = labels((6, 5))
    target[4] = bad
    target[5] = bad
    with pytest.raises(IndexError, match=rf"target {bad} at position 4 is out of range: classes are 0 to 4"):
        getattr(F, name)(npnn.tensor(random_input((6, 5))), npnn.tensor(target))


def test_no_such_class_in_an_image_and_without_a_batch():
    target = labels((2, 5, 3, 4))
    target[1, 2, 3] = 7
    with pytest.raises(IndexError, match=r"target 7 at position \(1, 2, 3\) is out of range"):
        F.cross_entropy(npnn.tensor(random_input((2, 5, 3, 4))), npnn.tensor(target))
    with pytest.raises(IndexError, match=r"target 5 at position \(\) is out of range"):
        F.cross_entropy(npnn.tensor(random_input((5,))), npnn.tensor(np.array(5)))
    with pytest.raises(IndexError, match=r"target 255 at position 0"):
        F.cross_entropy(npnn.tensor(random_input((1, 5))), npnn.tensor(np.array([255], np.uint8)))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.zeros(6), RuntimeError, r"class indices must be integers, got float64: cast them with .long\(\)"),
        (np.zeros(6, bool), RuntimeError, r"class indices must be integers, got bool"),
        (np.zeros((6, 1), int), ShapeError, r"shape \(6,\) for scores of shape \(6, 5\), got \(6, 1\); .*squeeze"),
        (np.zeros((6, 5), int), ShapeError, r"got \(6, 5\); one-hot rows: pass target.argmax\(1\)"),
        (np.zeros(5, int), ShapeError, r"expected class indices of shape \(6,\) .* got \(5,\)"),
        (np.zeros((6, 4)), ShapeError, r"got \(6, 4\)"),
        (np.zeros((), int), ShapeError, r"got \(\)"),
    ],
)
def test_targets_that_do_not_fit(name, target, error, message):
    with pytest.raises(error, match=message):
        getattr(F, name)(npnn.tensor(random_input((6, 5))), npnn.tensor(target))


def test_bad_arguments():
    x, y = npnn.tensor(random_input((6, 5))), npnn.tensor(labels((6, 5)))
    with pytest.raises(ShapeError, match=r"a weight for each of 5 classes, got shape \(4,\)"):
        F.cross_entropy(x, y, npnn.tensor(np.ones(4)))
    with pytest.raises(RuntimeError, match="label_smoothing must be between 0 and 1"):
        F.cross_entropy(x, y, label_smoothing=1.5)
    with pytest.raises(RuntimeError, match="ignore_index=2 names a class"):
        F.cross_entropy(x, x.abs(), ignore_index=2)
    for make in (nn.CrossEntropyLoss, nn.NLLLoss):
        with pytest.raises(ValueError, match="reduction must be none, mean, sum, got 'average'"):
            make(reduction="average")
    with pytest.raises(ShapeError, match="single number"):
        F.cross_entropy(npnn.tensor(np.array(1.0)), npnn.tensor(np.array(0)))


# ---- the commonest mistake


def probabilities(shape=(4, 10)):
    return npnn.tensor(distributions(shape))


def test_probabilities_instead_of_scores_warn_once():
    loss, y = nn.CrossEntropyLoss(), npnn.tensor(labels((4, 10)))
    with pytest.warns(UserWarning, match=r"10 classes cannot fall below log\(e \+ 9\) - 1 = 1\.4612"):
        loss(probabilities(), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            loss(probabilities(), y)
    with pytest.warns(UserWarning, match="look like probabilities"):
        nn.CrossEntropyLoss()(probabilities(), y)


def test_the_floor_that_the_warning_names():
    """The best that probabilities can do: all of it on the right class."""
    x = np.zeros((1, 10))
    x[0, 3] = 1
    loss = nn.CrossEntropyLoss()
    with pytest.warns(UserWarning, match="1.4612"):
        assert loss(npnn.tensor(x), npnn.tensor(np.array([3]))).item() == pytest.approx(1.4612, abs=5e-5)


@pytest.mark.parametrize(
    "x", [random_input((4, 10)), np.zeros((4, 10)), np.ones((4, 1)), np.zeros((0, 10)), np.abs(random_input((4, 10)))]
)
def test_scores_do_not_warn(x):
    target = np.zeros(len(x), np.int64)
    nn.CrossEntropyLoss()(npnn.tensor(x), npnn.tensor(target))


def test_images_of_probabilities_warn():
    with pytest.warns(UserWarning, match="3 classes"):
        nn.CrossEntropyLoss()(probabilities((2, 3, 4, 4)), npnn.tensor(labels((2, 3, 4, 4))))


def test_only_the_first_calls_look():
    loss, y = nn.CrossEntropyLoss(), npnn.tensor(labels((4, 10)))
    for _ in range(3):
        loss(npnn.tensor(random_input((4, 10))), y)
    loss(probabilities(), y)  # no warning: nothing was checked


# ---- negative log-likelihood


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES)
def test_nll(shape, reduction, weighted):
    options = {"reduction": reduction}
    if weighted:
        options["weight"] = np.linspace(0.5, 2, shape[0] if len(shape) == 1 else shape[1])
    target = labels(shape)
    same("nll_loss", random_input(shape), target, **options)
    if target.ndim:
        target.flat[0] = 0
        same("nll_loss", random_input(shape), target, ignore_index=0, **options)


# ---- the modules


@requires_torch
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_modules_pass_their_options_on(name):
    x, y = random_input((6, 5)), labels((6, 5))
    weight = np.linspace(0.5, 2, 5)
    options = {"ignore_index": 2, "reduction": "sum"}
    if name == "CrossEntropyLoss":
        options["label_smoothing"] = 0.1
    ours = getattr(nn, name)(npnn.tensor(weight), **options)
    theirs = getattr(torch.nn, name)(torch.tensor(weight), **options)
    expected = theirs(torch.tensor(x), torch.tensor(y)).item()
    assert ours(npnn.tensor(x), npnn.tensor(y)).item() == pytest.approx(expected, rel=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    assert list(getattr(nn, name)().state_dict()) == []
    assert repr(ours) == repr(theirs)
