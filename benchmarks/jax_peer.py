"""JAX with its compiler, as a peer: the npnn model is read layer by layer and written down as one pure function."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from benchmarks.peer import Peer, State
from benchmarks.workloads import Workload

__all__ = ["Jax"]

Parameters = dict[str, Any]


def _layer(name: str, module: Any, p: Parameters, x: Any) -> Any:
    """What one npnn layer computes, in JAX, in training mode.  ``p`` holds the model's weights by their names."""
    import jax
    import jax.numpy as jnp

    kind = type(module).__name__
    if kind == "Linear":
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]
    if kind == "ReLU":
        return jax.nn.relu(x)
    if kind == "Flatten":
        return x.reshape(len(x), -1)
    if kind == "Conv2d":
        padding = [(n, n) for n in module.padding]
        y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], module.stride, padding)
        return y + p[f"{name}.bias"][:, None, None]
    if kind == "MaxPool2d":
        k, s, n = (v if isinstance(v, tuple) else (v, v) for v in (module.kernel_size, module.stride, module.padding))
        padding = [(0, 0), (0, 0), *[(m, m) for m in n]]
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *k), (1, 1, *s), padding)
    if kind == "BatchNorm2d":
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        scale, shift = (p[f"{name}.{n}"][:, None, None] for n in ("weight", "bias"))
        return (x - mean) * jax.lax.rsqrt(var + module.eps) * scale + shift
    if kind in ("RNN", "LSTM"):
        return _recurrent(kind, [p[f"{name}.{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")], x)
    raise LookupError(f"no JAX form of {kind}")


def _recurrent(kind: str, weights: list[Any], x: Any) -> Any:
    """The states of all steps.   (N, T, I) -> (N, T, H)"""
    import jax
    import jax.numpy as jnp

    w_ih, w_hh, b_ih, b_hh = weights
    z = jnp.swapaxes(x @ w_ih.T + b_ih + b_hh, 0, 1)  # (T, N, G H)
    start = jnp.zeros((len(x), w_hh.shape[1]))

    def rnn(h: Any, z_t: Any) -> Any:
        h = jnp.tanh(z_t + h @ w_hh.T)
        return h, h

    def lstm(state: Any, z_t: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z_t + h @ w_hh.T, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    _, states = jax.lax.scan(rnn, start, z) if kind == "RNN" else jax.lax.scan(lstm, (start, start), z)
    return jnp.swapaxes(states, 0, 1)


def _forward(model: Any, p: Parameters, x: Any) -> Any:
    if hasattr(model, "rnn"):
        return _layer("linear", model.linear, p, _layer("rnn", model.rnn, p, x)[:, -1])
    for name, module in model.named_children():
        x = _layer(name, module, p, x)
    return x


def _optimizer(workload: Workload) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """init(p) -> state and update(p, g, state, t) -> (p, state), for one array."""
    import jax.numpy as jnp

    lr, decay = workload.options["lr"], workload.options.get("weight_decay", 0.0)

    def sgd(p: Any, g: Any, state: Any, t: Any) -> Any:
        return p - lr * (g + decay * p), state

    def adam(p: Any, g: Any, state: Any, t: Any) -> Any:
        m, v = 0.9 * state[0] + 0.1 * g, 0.999 * state[1] + 0.001 * g * g
        update = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return p - lr * update, (m, v)

    def rmsprop(p: Any, g: Any, state: Any, t: Any) -> Any:
        s = 0.99 * state + 0.01 * g * g
        return p - lr * g / (jnp.sqrt(s) + 1e-8), s

    return {
        "SGD": (lambda p: (), sgd),
        "Adam": (lambda p: (jnp.zeros_like(p), jnp.zeros_like(p)), adam),
        "RMSprop": (jnp.zeros_like, rmsprop),
    }[workload.optimizer]


class Jax(Peer):
    """jit of the whole step; weights and optimiser state are donated, so that they change in place."""

    name = "jax"

    @classmethod
    def available(cls) -> bool:
        return importlib.util.find_spec("jax") is not None

    def __init__(self, workload: Workload, state: State):
        import npnn

        super().__init__(workload, state)
        if workload.name[0] != "W":
            raise LookupError("JAX's twins are written for the W networks only")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        self.model = workload.build(npnn.nn)

    def set_threads(self, n: int) -> None:
        """JAX has no such switch once it runs: it always uses every core."""

    def trainer(self, batch: tuple[NDArray[Any], NDArray[Any]]) -> Callable[[], Any]:
        import jax
        import jax.numpy as jnp

        x, y = jnp.asarray(batch[0]), jnp.asarray(batch[1])
        trained = {name for name, _ in self.model.named_parameters()}
        p = {name: jnp.array(v) for name, v in self.state.items() if name in trained}
        init, update = _optimizer(self.workload)
        state = {name: init(v) for name, v in p.items()}

        def loss_of(p: Parameters, x: Any, y: Any) -> Any:
            rows = jax.nn.log_softmax(_forward(self.model, p, x))
            return -rows[jnp.arange(len(y)), y].mean()

        def step(p: Parameters, state: Any, t: Any, x: Any, y: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(p, x, y)
            pairs = {name: update(p[name], gradients[name], state[name], t) for name in p}
            return {n: a for n, (a, _) in pairs.items()}, {n: b for n, (_, b) in pairs.items()}, t + 1, loss

        compiled = jax.jit(step, donate_argnums=(0, 1, 2))
        held = [p, state, jnp.float32(1)]

        def run() -> Any:
            *held[:], loss = compiled(*held, x, y)
            return loss.block_until_ready()

        return run
