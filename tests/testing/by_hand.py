# ruff: noqa: NPY002  drawn as people draw
"""Layers in plain NumPy as people write them, right, and the mistakes that people make in them.

``RIGHT`` has the right ones.  ``WRONG`` has (kind of mistake, layer, what is checked with it).
"""

from __future__ import annotations

import numpy as np

rng = np.random.default_rng(0)


class Linear:
    """y = x W + b, with parameters and gradients in dictionaries."""

    def __init__(self, n=4, m=3):
        r = np.random.default_rng(1)
        self.params = {"W": r.standard_normal((n, m)), "b": r.standard_normal(m)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads["W"] = self.x.T @ dy
        self.grads["b"] = dy.sum(axis=0)
        return dy @ self.params["W"].T


class LinearAttributes:
    """The same with attributes W, dW, b, db, in float32, and a bias of shape (1, m)."""

    def __init__(self, n=4, m=3):
        r = np.random.default_rng(2)
        self.W, self.b = r.standard_normal((n, m)).astype(np.float32), np.zeros((1, m), np.float32)
        self.dW, self.db = None, None

    def __call__(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, d_out):
        self.dW = np.dot(self.x.T, d_out)
        self.db = np.sum(d_out, axis=0, keepdims=True)
        return np.dot(d_out, self.W.T)


class LinearLists:
    """The same with lists of arrays, whose gradients are written into."""

    def __init__(self, n=4, m=3):
        r = np.random.default_rng(3)
        W, b = r.standard_normal((n, m)), r.standard_normal(m)
        self.params, self.grads = [W, b], [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        W, b = self.params
        self.x = x
        return np.matmul(x, W) + b

    def backward(self, d_out):
        W, _ = self.params
        self.grads[0][...] = np.matmul(self.x.T, d_out)
        self.grads[1][...] = d_out.sum(0)
        return np.matmul(d_out, W.T)


class LinearReturns:
    """The same, with weights (outputs, inputs), and all gradients returned by backward."""

    def __init__(self, n=4, m=3):
        r = np.random.default_rng(4)
        self.weight, self.bias = r.standard_normal((m, n)), r.standard_normal(m)

    def forward(self, x):
        self.cache = x
        return x @ self.weight.T + self.bias

    def backward(self, grad):
        return grad @ self.weight, grad.T @ self.cache, grad.sum(0)


class Parameter:
    def __init__(self, value):
        self.data, self.grad = value, np.zeros_like(value)


class LinearObjects:
    """The same with objects that hold a value and its gradient, which is added up until zero_grad."""

    def __init__(self, n=4, m=3):
        r = np.random.default_rng(5)
        self.w, self.b = Parameter(r.standard_normal((n, m))), Parameter(r.standard_normal(m))

    def zero_grad(self):
        for p in (self.w, self.b):
            p.grad[...] = 0

    def forward(self, x):
        self.x = x
        return x @ self.w.data + self.b.data

    def backward(self, dy):
        self.w.grad += self.x.T @ dy
        self.b.grad += dy.sum(0)
        return dy @ self.w.data.T


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, dy):
        return dy * (1 - self.out**2)


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dy):
        return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))


class BatchNorm:
    def __init__(self, n=4):
        r = np.random.default_rng(6)
        self.gamma, self.beta = r.uniform(0.5, 1.5, n), r.standard_normal(n)
        self.running_mean, self.running_var = np.zeros(n), np.ones(n)
        self.eps, self.momentum, self.training = 1e-5, 0.1, True

    def forward(self, x):
        if not self.training:
            return self.gamma * (x - self.running_mean) / np.sqrt(self.running_var + self.eps) + self.beta
        mean, var = x.mean(0), x.var(0)
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var
        self.std = np.sqrt(var + self.eps)
        self.x_hat = (x - mean) / self.std
        return self.gamma * self.x_hat + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.x_hat).sum(0), dy.sum(0)
        d = dy * self.gamma
        return (d - d.mean(0) - self.x_hat * (d * self.x_hat).mean(0)) / self.std


class LayerNorm:
    def __init__(self, n=5):
        r = np.random.default_rng(7)
        self.g, self.b = r.uniform(0.5, 1.5, n), r.standard_normal(n)

    def forward(self, x):
        self.std = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        self.h = (x - x.mean(-1, keepdims=True)) / self.std
        return self.h * self.g + self.b

    def backward(self, dy):
        self.dg, self.db = (dy * self.h).sum(0), dy.sum(0)
        d = dy * self.g
        return (d - d.mean(-1, keepdims=True) - self.h * (d * self.h).mean(-1, keepdims=True)) / self.std


class Conv:
    """Windows of k x k, with padding and stride, in loops."""

    def __init__(self, c=2, o=3, k=3, stride=1, pad=1):
        r = np.random.default_rng(8)
        self.W, self.b = r.standard_normal((o, c, k, k)), r.standard_normal(o)
        self.stride, self.pad = stride, pad

    def forward(self, x):
        k, s, p = self.W.shape[2], self.stride, self.pad
        self.xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        n, _, h, w = self.xp.shape
        y = np.zeros((n, len(self.W), (h - k) // s + 1, (w - k) // s + 1))
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                window = self.xp[:, :, i * s : i * s + k, j * s : j * s + k]
                y[:, :, i, j] = np.tensordot(window, self.W, ([1, 2, 3], [1, 2, 3])) + self.b
        return y

    def backward(self, dy):
        k, s, p = self.W.shape[2], self.stride, self.pad
        self.dW, self.db, dxp = np.zeros_like(self.W), dy.sum((0, 2, 3)), np.zeros_like(self.xp)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                at = (slice(None), slice(None), slice(i * s, i * s + k), slice(j * s, j * s + k))
                self.dW += np.tensordot(dy[:, :, i, j], self.xp[at], (0, 0))
                dxp[at] += np.tensordot(dy[:, :, i, j], self.W, (1, 0))
        return self.cut(dxp, p)

    def cut(self, dxp, p):
        return dxp[:, :, p : dxp.shape[2] - p, p : dxp.shape[3] - p]


class MaxPool:
    """2 x 2, without overlap."""

    def forward(self, x):
        n, c, h, w = x.shape
        self.x, tiles = x, x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        flat = tiles.reshape(n, c, h // 2, w // 2, 4)
        self.largest = flat.argmax(-1)
        return flat.max(-1)

    def backward(self, dy):
        n, c, h, w = self.x.shape
        flat = np.zeros((n, c, h // 2, w // 2, 4))
        np.put_along_axis(flat, self.largest[..., None], dy[..., None], -1)
        return flat.reshape(n, c, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h, w)


class Embedding:
    def __init__(self, n=7, m=3):
        self.W = np.random.default_rng(9).standard_normal((n, m))
        self.dW = np.zeros_like(self.W)

    def forward(self, index):
        self.index = index
        return self.W[index]

    def backward(self, dy):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.index, dy)


class Dropout:
    def __init__(self, p=0.5):
        self.p = p

    def forward(self, x, training=True):
        if not training:
            return x
        self.mask = (np.random.rand(*x.shape) >= self.p) / (1 - self.p)
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class LSTMCell:
    """One step.   (x, h, c) -> (h, c)"""

    def __init__(self, n=3, m=4):
        r = np.random.default_rng(10)
        self.Wx, self.Wh, self.b = (
            r.standard_normal((n, 4 * m)),
            r.standard_normal((m, 4 * m)),
            r.standard_normal(4 * m),
        )

    def forward(self, x, h, c):
        z = x @ self.Wx + h @ self.Wh + self.b
        i, f, o, g = np.split(z, 4, axis=1)
        i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
        c2 = f * c + i * g
        t = np.tanh(c2)
        self.cache = x, h, c, i, f, o, g, t
        return o * t, c2

    def backward(self, dh, dc):
        x, h, c, i, f, o, g, t = self.cache
        dc = dc + dh * o * (1 - t**2)
        dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g**2)])
        self.dWx, self.dWh, self.db = x.T @ dz, h.T @ dz, dz.sum(0)
        return dz @ self.Wx.T, dz @ self.Wh.T, dc * f


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.shape)


class Residual:
    """y = x + tanh(x W)"""

    def __init__(self, n=4):
        self.W = np.random.default_rng(11).standard_normal((n, n))

    def forward(self, x):
        self.x, self.t = x, np.tanh(x @ self.W)
        return x + self.t

    def backward(self, dy):
        d = dy * (1 - self.t**2)
        self.dW = self.x.T @ d
        return dy + d @ self.W.T


class RNN:
    """h_t = tanh(x_t Wx + h_(t-1) Wh), all h.   (N, T, n) -> (N, T, m)"""

    def __init__(self, n=3, m=4):
        r = np.random.default_rng(12)
        self.Wx, self.Wh = r.standard_normal((n, m)), r.standard_normal((m, m)) / 2

    def forward(self, x):
        h, self.x = np.zeros((len(x), len(self.Wh))), x
        self.h = [h]
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ self.Wx + h @ self.Wh)
            self.h.append(h)
        return np.stack(self.h[1:], axis=1)

    def backward(self, dy):
        self.dWx, self.dWh, dx, dh = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.x), 0
        for t in reversed(range(self.x.shape[1])):
            dz = (dy[:, t] + dh) * (1 - self.h[t + 1] ** 2)
            self.dWx += self.x[:, t].T @ dz
            self.dWh += self.h[t].T @ dz
            dx[:, t], dh = dz @ self.Wx.T, dz @ self.Wh.T
        return dx


class CrossEntropy:
    """The mean of -log softmax at the label."""

    def forward(self, scores, labels):
        e = np.exp(scores - scores.max(1, keepdims=True))
        self.p, self.labels = e / e.sum(1, keepdims=True), labels
        return -np.log(self.p[np.arange(len(labels)), labels]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.labels] -= 1
        return d / len(d)


class MSE:
    def forward(self, y, t):
        return ((y - t) ** 2).mean()

    def backward(self, y, t):
        return 2 * (y - t) / y.size


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)


def affine_backward(d_out, cache):
    x, w, _ = cache
    return (d_out @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ d_out, d_out.sum(0)


X = rng.standard_normal((6, 4))
IMAGES = rng.standard_normal((2, 2, 6, 6))
SEQUENCES = rng.standard_normal((3, 5, 3))
CELL = tuple(rng.standard_normal(s) for s in ((5, 3), (5, 4), (5, 4)))
LABELS = np.array([0, 2, 1, 3, 3, 0])

RIGHT = {
    "Linear": (Linear, X, "Linear"),
    "LinearAttributes": (LinearAttributes, X, "Linear"),
    "LinearLists": (LinearLists, X, "Linear"),
    "LinearReturns": (LinearReturns, X, "Linear"),
    "LinearObjects": (LinearObjects, X, "Linear"),
    "ReLU": (ReLU, X, "ReLU"),
    "Sigmoid": (Sigmoid, X, "Sigmoid"),
    "Tanh": (Tanh, X, "Tanh"),
    "Softmax": (Softmax, X, "Softmax"),
    "BatchNorm": (BatchNorm, X, "BatchNorm1d"),
    "LayerNorm": (LayerNorm, rng.standard_normal((6, 5)), "LayerNorm"),
    "Conv": (Conv, IMAGES, "Conv2d"),
    "Conv, stride": (lambda: Conv(stride=2, pad=0), rng.standard_normal((2, 2, 7, 7)), "Conv2d"),
    "MaxPool": (MaxPool, IMAGES, "MaxPool2d"),
    "Embedding": (Embedding, np.array([[1, 2, 1], [0, 6, 2]]), "Embedding"),
    "Dropout": (Dropout, X, None),
    "LSTMCell": (LSTMCell, CELL, None),
    "Flatten": (Flatten, IMAGES, "Flatten"),
    "Residual": (Residual, X, None),
    "RNN": (RNN, SEQUENCES, None),
    "a pair of functions": (
        lambda: (affine_forward, affine_backward), (X, rng.standard_normal((4, 3)), rng.standard_normal(3)), None,
    ),
}  # fmt: skip
