"""Reported faults of numbers: gradients, losses, layers, tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.reported.log import reported


def gradient(function, values):
    x = npnn.tensor(values, requires_grad=True)
    function(x).sum().backward()
    return x.grad.numpy()


@reported("karpathy/micrograd#2", "A value that is used twice passes its gradient on once for each use", "holds")
@pytest.mark.parametrize("depth", [1, 3, 20])
def test_a_value_used_twice(depth):
    def doubled(x):
        for _ in range(depth):
            x = x + x
        return x

    np.testing.assert_allclose(gradient(doubled, [1.0, -2.0]), 2.0**depth)


@reported(
    "karpathy/micrograd#21", "A backward pass by recursion ends at the depth of the stack", "holds: 20,000 operations"
)
def test_a_deep_graph():
    x = npnn.ones(1, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1


@reported("sebgao/cTensor#5", "Several paths to the loss: a middle value is walked back too often (7 for 6)", "holds")
def test_several_paths_to_the_loss():
    def f(x):
        xa, x2 = x * 1, x * x
        return x * xa + x2 + x * xa

    np.testing.assert_allclose(gradient(f, [1.0]), [6.0])


@reported("TrenTorch/TrenTorch#182", "A middle tensor with two users loses the gradient of one", "holds")
def test_a_diamond():
    def f(x):
        y = x * 3
        return y * 2 + y * 5

    np.testing.assert_allclose(gradient(f, [2.0]), [21.0])


@reported(
    "karpathy/micrograd#102",
    "backward twice on one graph adds up in the middle, too",
    "holds: leaves add up, middles begin anew",
)
def test_backward_twice():
    x = npnn.tensor([3.0], requires_grad=True)
    y = x * x
    z = y * y
    z.backward(retain_graph=True)
    first = x.grad.clone()
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first.numpy())


@reported("FluxML/NNlib.jl#205", "Maximum pooling whose windows overlap gives the winner one share only", "holds")
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 1, 0), (3, 2, 1), (3, 1, 1), (5, 2, 2)])
def test_overlapping_maximum_windows(kernel, stride, padding):
    x = np.random.default_rng(0).permutation(144).reshape(1, 1, 12, 12).astype(np.float64)
    got = gradient(lambda t: F.max_pool2d(t, kernel, stride, padding), x)[0, 0]
    want = np.zeros((12, 12))
    for i in range(-padding, 12 + padding - kernel + 1, stride):
        for j in range(-padding, 12 + padding - kernel + 1, stride):
            rows, columns = range(max(i, 0), min(i + kernel, 12)), range(max(j, 0), min(j + kernel, 12))
            best = max(((r, c) for r in rows for c in columns), key=lambda at: x[0, 0][at])
            want[best] += 1
    np.testing.assert_array_equal(got, want)


@reported("FluxML/Flux.jl#1197", "MaxPool 3x3, stride 2, padding 1: one large pixel wins four windows", "holds")
def test_one_pixel_that_wins_four_windows():
    x = np.arange(36.0).reshape(1, 1, 6, 6)
    x[0, 0, 1, 1] = 99
    assert gradient(lambda t: F.max_pool2d(t, 3, 2, 1), x)[0, 0, 1, 1] == 4


@reported(
    "tensorflow/tensorflow#40122",
    "Maximum pooling over equal values: the gradient goes to a wrong place",
    "holds: to the first",
)
def test_maximum_pooling_over_equal_values():
    x = np.zeros((1, 1, 4, 4))
    got = gradient(lambda t: F.max_pool2d(t, 2), x)[0, 0]
    np.testing.assert_array_equal(got, [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


@reported(
    "tinygrad/tinygrad#12296", "max over 70,000 equal values: each share is counted in a type that overflows", "holds"
)
def test_a_maximum_of_many_equal_values():
    got = gradient(lambda t: t.max(), np.ones(70_000, np.float32))
    assert got.sum() == pytest.approx(1, rel=1e-3)
    assert (got > 0).all()


@reported("pytorch/pytorch#2421", "The gradient of a norm at zero is nan", "holds: 0, as there now")
@pytest.mark.parametrize("p", [1, 2, 3, math.inf])
def test_a_norm_at_zero(p):
    np.testing.assert_array_equal(gradient(lambda t: t.norm(p), np.zeros(3)), np.zeros(3))


@reported(
    "pytorch/pytorch#44452",
    "A norm with p < 1 of a vector that has a zero: nan",
    "was so for every p but 1, 2 and inf; now 0 there",
)
@pytest.mark.parametrize("p", [0.5, 1.5, 3.0, -1.0])
def test_a_norm_of_zeros_with_any_p(p):
    for values in ([0.0, 4.0, -3.0], [0.0, 0.0], [2.0, -1.0]):
        got = gradient(lambda t: t.norm(p), np.array(values))
        size = np.abs(values)
        y = (size**p).sum() ** (1 / p) if p > 0 or size.all() else 0.0
        want = [np.sign(v) * (abs(v) / y) ** (p - 1) if v and y else 0.0 for v in values]
        np.testing.assert_allclose(got, want)


@reported(
    "pytorch/pytorch#6394", "sqrt of 0 has an infinite slope, and 0 times it is nan", "the same: it is mathematics"
)
def test_the_square_root_of_zero():
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isinf(gradient(npnn.sqrt, np.zeros(1)))[0]


@reported("pytorch/pytorch#3264", "normalize with p = 1 of a vector with zeros: nan", "holds")
def test_normalize_with_zeros():
    got = gradient(lambda t: F.normalize(t, p=1, dim=1), np.array([[0, 0, 0, 0, 0.1996]]))
    assert np.isfinite(got).all()


@reported("keras-team/keras#23075", "normalize of a vector of zeros: a gradient of nan", "holds: finite")
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_normalize_a_vector_of_zeros(p):
    assert np.isfinite(gradient(lambda t: F.normalize(t, p=p, dim=1), np.zeros((2, 3)))).all()


@reported("FluxML/NNlib.jl#68", "Softmax and cross-entropy of scores such as 427 and -1047 overflow", "holds")
@pytest.mark.parametrize("scores", [[-431.0, 279.0, 427.0], [-1047.0, -981.0, 1891.0], [-1e30, 0.0, 1e30]])
def test_scores_of_any_size(scores):
    x = npnn.tensor([scores], requires_grad=True)
    loss = F.cross_entropy(x, npnn.tensor([0]))
    loss.backward()
    assert math.isfinite(loss.item())
    np.testing.assert_allclose(x.grad.numpy(), [[-1, 0, 1]], atol=1e-6)


@reported(
    "makeyourownneuralnetwork/makeyourownneuralnetwork#25",
    "A sigmoid by its formula warns of an overflow in exp",
    "holds",
)
def test_a_sigmoid_of_any_size():
    x = np.array([-1e4, -800, 0, 800, 1e4])
    np.testing.assert_allclose(npnn.sigmoid(npnn.tensor(x)).numpy(), [0, 0, 0.5, 1, 1], atol=1e-300)
    assert np.isfinite(gradient(npnn.sigmoid, x)).all()


@reported(
    "pytorch/pytorch#116349",
    "Cross-entropy where all targets are ignored is nan",
    "the same: the mean of nothing; gradient 0",
)
def test_all_targets_ignored():
    x = npnn.zeros(3, 4, requires_grad=True)
    loss = F.cross_entropy(x, npnn.tensor([-100, -100, -100]))
    loss.backward()
    assert math.isnan(loss.item())
    np.testing.assert_array_equal(x.grad.numpy(), 0)


@reported(
    "pytorch/pytorch#12670",
    "A label that is no class and is not ignored passes unseen",
    "holds: IndexError with its place",
)
@pytest.mark.parametrize("label", [-4, 5, -1, 1 << 40])
def test_a_label_that_is_no_class(label):
    with pytest.raises(IndexError, match=str(label)):
        F.cross_entropy(npnn.zeros(3, 5), npnn.tensor([0, 1, label]), ignore_index=-100)


@reported("pytorch/pytorch#15508", "ignore_index=255 works for the mean, and not with reduction='none'", "holds")
def test_ignored_without_reduction():
    losses = F.cross_entropy(npnn.zeros(3, 4), npnn.tensor([0, 255, 1]), ignore_index=255, reduction="none")
    np.testing.assert_allclose(losses.numpy(), [math.log(4), 0, math.log(4)], rtol=1e-6)


@reported(
    "pytorch/pytorch#16045",
    "MSELoss of (N, 1) against (N,) broadcasts to N x N in silence",
    "holds: refused, which is stricter than there",
)
@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_a_loss_of_unequal_shapes(loss):
    with pytest.raises(ShapeError, match="broadcasting would compare every pair"):
        loss(npnn.zeros(5, 1), npnn.zeros(5))


@reported("pytorch/pytorch#4938", "MSELoss that broadcasts divides by another number than the mean does", "refused")
def test_a_loss_that_broadcasts():
    with pytest.raises(ShapeError, match="expected a target of the input's shape"):
        F.mse_loss(npnn.tensor([[1.0], [2.0]]), npnn.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))


@reported("pytorch/pytorch#92680", "An array with a negative stride cannot become a tensor", "holds: it can")
def test_a_negative_stride():
    x = np.arange(6.0)[::-1]
    np.testing.assert_array_equal(npnn.tensor(x).numpy(), x)
    np.testing.assert_array_equal(npnn.from_numpy(x).numpy(), x)
    weights = npnn.from_numpy(np.ones((3, 6))[:, ::-1])
    np.testing.assert_array_equal(F.linear(npnn.from_numpy(x[None].copy()[:, ::-1]), weights).numpy(), [[15, 15, 15]])


@reported("numpy/numpy#23349", "A negative stride along an axis of length 1 survives ascontiguousarray", "holds")
def test_a_negative_stride_of_an_axis_of_one():
    x = np.zeros((1, 3, 4))[::-1]
    assert npnn.from_numpy(np.ascontiguousarray(x)).shape == (1, 3, 4)
    assert nn.Conv2d(1, 2, 3)(npnn.from_numpy(np.ones((1, 1, 5, 5), np.float32)[::-1, ::-1])).shape == (1, 2, 3, 3)


@reported("pytorch/pytorch#7716", "BatchNorm of a batch of one", "the same error, which says what to do")
def test_batch_normalisation_of_one():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm1d(7)(npnn.zeros(1, 7))
    assert nn.BatchNorm2d(7)(npnn.zeros(1, 7, 2, 2)).shape == (1, 7, 2, 2)
    assert nn.BatchNorm1d(7).eval()(npnn.zeros(1, 7)).shape == (1, 7)


@reported("dlsyscourse/hw2#13", "Dropout is no identity in evaluation mode, and no test sees it", "holds")
@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout1d(0.5), nn.AlphaDropout(0.5)])
def test_dropout_in_evaluation(layer):
    x = npnn.randn(3, 4, 5)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())
