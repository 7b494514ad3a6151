# ruff: noqa: E501, NPY002, N807  one mistake a line; drawn as people draw
"""Mistakes in layers written by hand, at least three layers for each kind:   (kind, where it shows, layer, input)."""

from __future__ import annotations

import numpy as np

from tests.testing.by_hand import (
    CELL,
    IMAGES,
    LABELS,
    MSE,
    RNN,
    SEQUENCES,
    BatchNorm,
    Conv,
    CrossEntropy,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    LinearAttributes,
    LinearObjects,
    LSTMCell,
    MaxPool,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
    X,
)  # fmt: skip

INDEX = np.array([[1, 2, 1], [0, 6, 2]])
SQUARE = np.random.default_rng(3).standard_normal((6, 4))


def changed(base, **methods):
    """A class with some methods written otherwise; ``after`` is called when backward is done, with what it gave."""
    after = methods.pop("after", None)
    if after is not None:

        def backward(self, *dy):
            return after(self, base.backward(self, *dy), *dy)

        methods["backward"] = backward
    return type(f"{base.__name__}Wrong", (base,), methods)


def grad(name, change):
    """Backward whose gradient of one parameter is changed."""

    def after(self, dx, *dy):
        if hasattr(self, "grads") and isinstance(self.grads, dict):
            self.grads[name] = change(self, self.grads[name], *dy)
        else:
            setattr(self, f"d{name}", change(self, getattr(self, f"d{name}"), *dy))
        return dx

    return after


def dx(change):
    return lambda self, dx, *dy: change(self, dx, *dy)


class RNNForgets(RNN):
    """dWh = in place of += in the loop over time."""

    def backward(self, dy):
        self.dWx, self.dWh, dx, dh = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.x), 0
        for t in reversed(range(self.x.shape[1])):
            dz = (dy[:, t] + dh) * (1 - self.h[t + 1] ** 2)
            self.dWx = self.x[:, t].T @ dz
            self.dWh += self.h[t].T @ dz
            dx[:, t], dh = dz @ self.Wx.T, dz @ self.Wh.T
        return dx


class RNNNoHistory(RNN):
    """The gradient is not passed on to the step before."""

    def backward(self, dy):
        self.dWx, self.dWh, dx = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.x)
        for t in reversed(range(self.x.shape[1])):
            dz = dy[:, t] * (1 - self.h[t + 1] ** 2)
            self.dWx += self.x[:, t].T @ dz
            self.dWh += self.h[t].T @ dz
            dx[:, t] = dz @ self.Wx.T
        return dx


class BatchNormNaive(BatchNorm):
    """Mean and variance taken for constants."""

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.x_hat).sum(0), dy.sum(0)
        return dy * self.gamma / self.std


class LayerNormNoVariance(LayerNorm):
    def backward(self, dy):
        super().backward(dy)
        d = dy * self.g
        return (d - d.mean(-1, keepdims=True)) / self.std


class LSTMNoCell(LSTMCell):
    """The gradient of the cell that comes from h is forgotten."""

    def backward(self, dh, dc):
        _, _, _, _, _, o, _, t = self.cache
        return super().backward(dh, dc - dh * o * (1 - t**2))


class LSTMForgetsC(LSTMCell):
    def backward(self, dh, dc):
        x, h, _ = super().backward(dh, dc)
        return x, h, dc * self.cache[4]


class ConvNotFlipped(Conv):
    """The kernel is not turned round for the gradient of the input."""

    def backward(self, dy):
        dx = super().backward(dy)
        W = self.W
        self.W = W[:, :, ::-1, ::-1].copy()
        saved = self.dW, self.db
        dx = super().backward(dy)
        self.W, (self.dW, self.db) = W, saved
        return dx


class MaxPoolTies(MaxPool):
    """All that equal the maximum get the gradient."""

    def backward(self, dy):
        y = self.forward(self.x)
        spread = [np.repeat(np.repeat(a, 2, axis=2), 2, axis=3) for a in (y, dy)]
        return spread[1] * (self.x == spread[0])


class MaxPoolFirst(MaxPool):
    def backward(self, dy):
        self.largest = np.zeros_like(self.largest)
        return super().backward(dy)


class MaxPoolOverlapping:
    """3 x 3 with stride 2: what two windows share gets the gradient of the last only."""

    def forward(self, x):
        self.x = x
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        flat = windows.reshape(*windows.shape[:4], 9)
        self.largest = flat.argmax(-1)
        return flat.max(-1)

    def backward(self, dy):
        dx = np.zeros_like(self.x)
        for n, c, i, j in np.ndindex(dy.shape):
            row, column = divmod(self.largest[n, c, i, j], 3)
            dx[n, c, 2 * i + row, 2 * j + column] = dy[n, c, i, j]
        return dx


class DropoutAnew(Dropout):
    """Another mask on the way back."""

    def backward(self, dy):
        return dy * (np.random.rand(*dy.shape) >= self.p) / (1 - self.p)


class DropoutNoSwitch(Dropout):
    def forward(self, x):
        return super().forward(x)


class DropoutAlways(Dropout):
    def forward(self, x, training=True):
        return super().forward(x, True)


class Noise:
    def forward(self, x):
        return x + 0.1 * np.random.randn(*x.shape)

    def backward(self, dy):
        return dy


class FreshNoise(Noise):
    def forward(self, x):
        return x + np.random.default_rng().standard_normal(x.shape)


class Shared(Tanh):
    """What forward saves belongs to the class, and only the first call saves it."""

    def forward(self, x):
        if not hasattr(self, "out"):
            self.out = np.tanh(x)
        return np.tanh(x)


class LinearStale(Linear):
    def forward(self, x):
        y = super().forward(x)
        if not hasattr(self, "first"):
            self.first = x.copy()
        self.x = self.first
        return y


class ReLUInPlace(ReLU):
    def forward(self, x):
        self.mask = x > 0
        x[~self.mask] = 0
        return x


class ReLUGradientInPlace(ReLU):
    def backward(self, dy):
        dy[~self.mask] = 0
        return dy


class SoftmaxOverTheBatch(Softmax):
    def forward(self, x):
        return super().forward(x.T).T

    def backward(self, dy):
        return super().backward(dy.T).T


class Float32(Linear):
    def forward(self, x):
        return super().forward(x).astype(np.float32)


class Float32Sigmoid(Sigmoid):
    def forward(self, x):
        return super().forward(np.asarray(x, dtype=np.float32))


class Whole(Linear):
    def forward(self, x):
        return super().forward(x).astype(int)


def accumulating(base, *names):
    def __init__(self, *a):
        base.__init__(self, *a)

    def backward(self, *dy):
        old = {n: getattr(self, f"d{n}", 0) for n in names}
        result = base.backward(self, *dy)
        for n in names:
            setattr(self, f"d{n}", getattr(self, f"d{n}") + (0 if old[n] is None else old[n]))
        return result

    return type(f"{base.__name__}Wrong", (base,), {"__init__": __init__, "backward": backward})


def overwriting(base):
    """zero_grad is there, yet each backward replaces what was there."""

    def backward(self, *dy):
        for p in (self.w, self.b):
            p.grad[...] = 0
        return base.backward(self, *dy)

    return type(f"{base.__name__}Wrong", (base,), {"backward": backward})


class Overwrites(LinearAttributes):
    def zero_grad(self):
        self.dW[...] = 0
        self.db[...] = 0


class OverwritesConv(Conv):
    def zero_grad(self):
        self.dW[...] = 0
        self.db[...] = 0


N = len(X)
IN = "input"
WRONG = [
    # ---- scale
    ("scale", "W", changed(Linear, after=grad("W", lambda s, g, dy: g / len(dy))), X),
    ("scale", "b", changed(Linear, after=grad("b", lambda s, g, dy: g / len(dy))), X),
    ("scale", "b", changed(Linear, after=grad("b", lambda s, g, dy: dy.mean(0))), X),
    ("scale", "W", changed(Conv, after=grad("W", lambda s, g, dy: g / len(dy))), IMAGES),
    ("scale", IN, changed(Conv, after=dx(lambda s, g, dy: g / len(dy))), IMAGES),
    ("scale", "gamma", changed(BatchNorm, after=grad("gamma", lambda s, g, dy: 2 * g)), X),
    ("scale", IN, changed(LayerNorm, after=dx(lambda s, g, dy: g * dy.shape[-1])), np.random.default_rng(0).standard_normal((6, 5))),
    ("scale", "W", changed(Embedding, after=grad("W", lambda s, g, dy: g / 2)), INDEX),
    # ---- sign
    ("sign", "W", changed(Linear, after=grad("W", lambda s, g, dy: -g)), X),
    ("sign", IN, changed(Tanh, after=dx(lambda s, g, dy: -g)), X),
    ("sign", "beta", changed(BatchNorm, after=grad("beta", lambda s, g, dy: -g)), X),
    ("sign", IN, changed(Softmax, after=dx(lambda s, g, dy: -g)), X),
    # ---- transposed
    ("transposed", IN, changed(Linear, after=dx(lambda s, g, dy: dy @ s.params["W"]), __init__=lambda s: Linear.__init__(s, 4, 4)), X),
    ("transposed", "W", changed(Linear, after=grad("W", lambda s, g, dy: g.T)), X),
    ("transposed", "W", changed(Linear, after=grad("W", lambda s, g, dy: dy.T @ s.x), __init__=lambda s: Linear.__init__(s, 4, 4)), X),
    ("transposed", "W", changed(Conv, after=grad("W", lambda s, g, dy: g.transpose(0, 1, 3, 2))), IMAGES),
    ("transposed", IN, ConvNotFlipped, IMAGES),
    ("transposed", "Wh", changed(RNN, after=grad("Wh", lambda s, g, dy: g.T)), SEQUENCES),
    # ---- layout
    ("layout", IN, changed(Flatten, after=dx(lambda s, g, dy: dy.reshape(s.shape[0], *s.shape[2:], s.shape[1]).transpose(0, 3, 1, 2))), IMAGES),
    ("layout", "W", changed(Linear, after=grad("W", lambda s, g, dy: g.T.reshape(g.shape))), X),
    ("layout", "W", changed(Conv, after=grad("W", lambda s, g, dy: g.transpose(1, 0, 2, 3).reshape(g.shape))), IMAGES),
    ("layout", IN, changed(RNN, after=dx(lambda s, g, dy: g[:, ::-1])), SEQUENCES),
    ("layout", IN, changed(Flatten, after=dx(lambda s, g, dy: dy.reshape(s.shape, order="F"))), IMAGES),
    # ---- not summed
    ("not summed", "b", changed(Linear, after=grad("b", lambda s, g, dy: dy)), X),
    ("not summed", "beta", changed(BatchNorm, after=grad("beta", lambda s, g, dy: dy)), X),
    ("not summed", "b", changed(Linear, after=grad("b", lambda s, g, dy: dy[-1])), X),
    ("not summed", "b", changed(Conv, after=grad("b", lambda s, g, dy: dy.sum((2, 3)))), IMAGES),
    ("not summed", "Wx", RNNForgets, SEQUENCES),
    ("not summed", "W", changed(Conv, after=grad("W", lambda s, g, dy: Conv.backward(s, np.concatenate([0 * dy[:-1], dy[-1:]])) is None or s.dW)), IMAGES),
    ("not summed", IN, MaxPoolOverlapping, np.random.default_rng(1).standard_normal((2, 2, 7, 7))),
    # ---- missing term
    ("missing term", IN, BatchNormNaive, X),
    ("missing term", IN, LayerNormNoVariance, np.random.default_rng(0).standard_normal((6, 5))),
    ("missing term", IN, changed(Residual, after=dx(lambda s, g, dy: g - dy)), X),
    ("missing term", IN, changed(Softmax, after=dx(lambda s, g, dy: dy * s.y)), X),
    ("missing term", IN, RNNNoHistory, SEQUENCES),
    ("missing term", "input 0", LSTMNoCell, CELL),
    ("missing term", "input 2", LSTMForgetsC, CELL),
    ("missing term", IN, changed(BatchNorm, after=dx(lambda s, g, dy: g / s.gamma)), X),
    ("missing term", "b", changed(Linear, after=grad("b", lambda s, g, dy: 0 * g)), X),
    ("missing term", IN, changed(Linear, after=dx(lambda s, g, dy: None)), X),
    # ---- wrong value saved
    ("wrong value saved", IN, changed(Sigmoid, after=dx(lambda s, g, dy: dy * s.x * (1 - s.x)), forward=lambda s, x: (setattr(s, "x", x), Sigmoid.forward(s, x))[1]), X),
    ("wrong value saved", IN, changed(Tanh, forward=lambda s, x: (Tanh.forward(s, x), setattr(s, "out", x))[0] * 1), X),
    ("wrong value saved", IN, Shared, X),
    ("wrong value saved", "W", LinearStale, X),
    ("wrong value saved", IN, changed(Softmax, forward=lambda s, x: (Softmax.forward(s, x), setattr(s, "y", x))[0]), X),
    # ---- mask
    ("mask", IN, changed(ReLU, after=dx(lambda s, g, dy: dy)), X),
    ("mask", IN, changed(ReLU, after=dx(lambda s, g, dy: dy * ~s.mask + g * 0)), X),
    ("mask", IN, MaxPoolTies, IMAGES),
    ("mask", IN, MaxPoolFirst, IMAGES),
    ("mask", IN, DropoutAnew, X),
    ("mask", IN, changed(ReLU, after=dx(lambda s, g, dy: dy * (dy > 0))), X),
    ("not summed", "W", changed(Embedding, after=grad("W", lambda s, g, dy: _last(s.index, dy, g))), INDEX),
    # ---- border
    ("border", IN, type("ConvWrong", (Conv,), {"cut": lambda s, dxp, p: np.pad(dxp[:, :, 2 * p : -2 * p, 2 * p : -2 * p], ((0, 0), (0, 0), (p, p), (p, p)))}), IMAGES),
    ("border", IN, changed(Conv, after=dx(lambda s, g, dy: np.pad(g[:, :, :, :-1], ((0, 0), (0, 0), (0, 0), (0, 1))))), IMAGES),
    ("border", IN, changed(MaxPool, after=dx(lambda s, g, dy: np.pad(g[:, :, :-2, :-2], ((0, 0), (0, 0), (0, 2), (0, 2))))), IMAGES),
    # ---- accumulates, overwrites
    ("accumulates", "W", accumulating(LinearAttributes, "W", "b"), X),
    ("accumulates", "gamma", accumulating(BatchNorm, "gamma"), X),
    ("accumulates", "b", accumulating(Conv, "b"), IMAGES),
    ("accumulates", IN, changed(Tanh, after=lambda s, g, dy: s.__dict__.__setitem__("sum", g + s.__dict__.get("sum", 0)) or s.sum), X),
    ("overwrites", "w", overwriting(LinearObjects), X),
    ("overwrites", "W", Overwrites, X),
    ("overwrites", "W", OverwritesConv, IMAGES),
    # ---- changes its input
    ("changes its input", IN, ReLUInPlace, X),
    ("changes its input", "gradient", ReLUGradientInPlace, X),
    ("changes its input", IN, changed(BatchNorm, forward=lambda s, x: BatchNorm.forward(s, np.subtract(x, 1, out=x))), X),
    ("changes its input", "W", changed(LinearAttributes, after=lambda s, g, dy: (np.subtract(s.W, 0.1 * s.dW, out=s.W), g)[1]), X),
    # ---- shape
    ("shape", "b", changed(Linear, after=grad("b", lambda s, g, dy: g[:, None])), X),
    ("shape", IN, changed(Flatten, after=dx(lambda s, g, dy: dy)), IMAGES),
    ("shape", IN, changed(Conv, after=dx(lambda s, g, dy: g[:, :, 1:, 1:])), IMAGES),
    # ---- dtype
    ("dtype", "output", Float32, X),
    ("dtype", "output", Float32Sigmoid, X),
    ("dtype", "output", Whole, X),
    ("dtype", IN, changed(Tanh, after=dx(lambda s, g, dy: g.astype(np.float32))), X),
    # ---- random
    ("random", "output", DropoutNoSwitch, X),
    ("random", "output", DropoutAlways, X),
    ("random", "output", Noise, X),
    ("random", "output", FreshNoise, X),
    # ---- kink
    ("kink", IN, ReLU, np.zeros((3, 4))),
    ("kink", IN, MaxPool, np.ones((1, 1, 4, 4))),
    ("kink", IN, type("Abs", (), {"forward": lambda s, x: (setattr(s, "x", x), np.abs(x))[1], "backward": lambda s, dy: dy * np.sign(s.x)}), np.round(X)),
    # ---- l2
    ("l2", "W", changed(Linear, after=grad("W", lambda s, g, dy: g + 1e-2 * s.params["W"])), X),
    ("l2", "W", changed(Conv, after=grad("W", lambda s, g, dy: g + 5e-4 * s.W)), IMAGES),
    ("l2", "gamma", changed(BatchNorm, after=grad("gamma", lambda s, g, dy: g + 0.1 * s.gamma)), X),
]  # fmt: skip


def _last(index, dy, like):
    out = np.zeros_like(like)
    out[index] = dy  # of an index that occurs twice, only the last
    return out


FORWARD = [
    ("Linear", changed(Linear, forward=lambda s, x: Linear.forward(s, x) - s.params["b"]), X),
    ("Sigmoid", changed(Sigmoid, forward=lambda s, x: Sigmoid.forward(s, 2 * x)), X),
    ("Conv2d", changed(Conv, forward=lambda s, x: 2 * Conv.forward(s, x)), IMAGES),
    ("Softmax", SoftmaxOverTheBatch, X),
    (
        "BatchNorm1d",
        changed(BatchNorm, forward=lambda s, x: BatchNorm.forward(s, x) * np.sqrt(len(x) / (len(x) - 1))),
        X,
    ),
]

LOSSES = [
    ("scale", changed(CrossEntropy, after=lambda s, g: g / len(g)), LABELS),
    ("scale", changed(CrossEntropy, after=lambda s, g: g * len(g)), LABELS),
    ("sign", changed(CrossEntropy, after=lambda s, g: -g), LABELS),
    ("missing term", changed(CrossEntropy, after=lambda s, g: s.p / len(g)), LABELS),
    ("missing term", changed(CrossEntropy, after=lambda s, g: np.where(g < 0, -1 / s.p / len(g), g)), LABELS),
    ("scale", changed(MSE, after=lambda s, g, y, t: g / 2), X),
    ("scale", changed(MSE, after=lambda s, g, y, t: g * y.shape[1]), X),
]
