"""How fast a training step could be at most: its multiplications and additions at the peak of the machine.

Counted are products of matrices and convolutions in the plain formula, forward and backward; what else a step does
(activations, normalisation, the optimiser) is not.  Winograd's algorithm needs fewer multiplications than counted.
"""

from __future__ import annotations

import functools
from typing import Any

from benchmarks.peers import Torch, initial_state
from benchmarks.timing import alternate
from benchmarks.workloads import Workload

__all__ = ["flops", "milliseconds", "peak"]


def flops(workload: Workload) -> float:
    """Floating-point operations of a training step.

    Linear, convolutional and recurrent layers are counted here, other products of stacks of matrices by PyTorch: it does
    not see groups in backward passes, nor some recurrent layers.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    peer = Torch(workload, initial_state(workload))
    counted = 0.0

    def layer(module: Any, inputs: Any, output: Any) -> None:
        nonlocal counted
        seen = inputs[0] if getattr(module, "transposed", False) else output
        counted += 2 * seen.numel() * module.weight[0].numel() * (3 if inputs[0].requires_grad else 2)

    def recurrent(module: Any, inputs: Any, output: Any) -> None:
        nonlocal counted
        rows, weights = inputs[0].numel() // inputs[0].shape[-1], dict(module.named_parameters())
        for name, weight in weights.items():  # of the first layer's input no gradient may be wanted
            passes = 3 if "_hh_" in name or inputs[0].requires_grad or not name.endswith("l0") else 2
            counted += 2 * rows * weight.numel() * passes if weight.ndim == 2 else 0

    for module in peer.model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)):
            module.register_forward_hook(layer)
        elif isinstance(module, torch.nn.RNNBase):
            module.register_forward_hook(recurrent)
    with FlopCounterMode(display=False) as counter:
        peer.trainer(workload.batch())()
    products = counter.get_flop_counts()["Global"]
    return counted + sum(n for op, n in products.items() if "bmm" in str(op))


@functools.cache
def peak(threads: int) -> float:
    """FLOP/s of a product of two float32 matrices of 1024 x 1024, the best of npnn's and PyTorch's."""
    import torch

    import npnn

    npnn.set_num_threads(threads), torch.set_num_threads(threads)
    ours, theirs = npnn.randn(1024, 1024), torch.randn(1024, 1024)
    times = alternate({"npnn": lambda: ours @ ours, "torch": lambda: theirs @ theirs}, steps=10, rounds=5)
    return 2 * 1024**3 / min(t.min for t in times.values())


def milliseconds(workload: Workload, threads: int) -> float | None:
    """The time that a step's products take at the machine's peak; None without PyTorch, which counts them."""
    return 1e3 * flops(workload) / peak(threads) if Torch.available() else None
