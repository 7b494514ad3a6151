"""What a model is made of: every layer's output shape, parameters and multiply-adds, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.modes import no_grad
from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor, of_array

__all__ = ["Layer", "Summary", "summary"]


@dataclass(frozen=True)
class Layer:
    """One call of one module: where it is, what came out, what it holds itself (not its children) and multiplies."""

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The layers in the order of their calls, and the totals.  Printed, it is a table."""

    layers: tuple[Layer, ...]
    total_parameters: int
    trainable_parameters: int

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass with a batch of 1."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __str__(self) -> str:
        rows = [("layer", "output shape", "parameters", "multiply-adds")]
        for layer in self.layers:
            name = f"{layer.path} ({layer.kind})" if layer.path else layer.kind
            rows.append((name, str(tuple(layer.output_shape)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}"))
        rows.append(("total", "", f"{self.total_parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ["  ".join((a.ljust(widths[0]), b.ljust(widths[1]), c.rjust(widths[2]), d.rjust(widths[3]))).rstrip()
                 for a, b, c, d in rows]  # fmt: skip
        rule = "-" * max(map(len, lines))
        frozen = self.total_parameters - self.trainable_parameters
        notes = [f"of the parameters {frozen:,} are frozen"] if frozen else []
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *notes])

    __repr__ = __str__


def summary(model: Module, input_shape: Sequence[int], dtype: Any = None) -> Summary:
    """Run the model on zeros of shape (1, *input_shape) and note what each module gives out.

    ``dtype`` is that of the input, by default the model's; give an integer one to a model that
    begins with an Embedding.  The run is in evaluation mode and records nothing; the model is
    afterwards as it was.  Multiply-adds count matrix products and convolutions, which is where
    the time goes, of one example.
    """
    parameters = list(model.parameters())
    if dtype is None:
        dtype = parameters[0].dtype if parameters else dtypes.float32
    layers: list[Layer] = []
    before = [(m, {k: v for k, v in vars(m).items() if k in ("forward", "training")}) for m in model.modules()]
    try:
        for path, module in model.named_modules():
            # an attribute hides the method of the class: Module.__call__ finds this one
            vars(module)["forward"] = _recorder(path, module, module.forward, layers)
        model.eval()
        with no_grad():
            model(of_array(np.zeros((1, *input_shape), dtypes.resolve(dtype))))
    finally:
        for module, own in before:
            for name in ("forward", "training"):
                vars(module).pop(name, None)
            vars(module).update(own)
    return Summary(
        tuple(layers), sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
    )


def _recorder(path: str, module: Module, forward: Callable[..., Any], layers: list[Layer]) -> Callable[..., Any]:
    def record(*args: Any, **kwargs: Any) -> Any:
        at = len(layers)
        output = forward(*args, **kwargs)
        first = output[0] if isinstance(output, tuple) else output
        own = [p for p in vars(module).values() if isinstance(p, Parameter)]
        count = 0 if hasattr(module, "normalized_shape") else _multiply_adds(own, args[0], first)
        if own or at == len(layers):  # leave out pure containers
            layers.insert(at, Layer(path, type(module).__name__, first.shape, sum(p.numel() for p in own), count))
        return output

    return record


def _multiply_adds(own: list[Parameter], input: Any, output: Tensor) -> int:
    """Each matrix or filter is applied once at every position (batch, time step, pixel) of the output."""
    matrices = [p for p in own if p.ndim > 1]
    if not matrices or not output.numel() or getattr(input, "dtype", dtypes.float32).kind != "f":
        return 0  # an Embedding looks its rows up: it multiplies nothing
    convolution = any(p.ndim > 2 for p in matrices)
    features = output.shape[-matrices[0].ndim + 1] if convolution else output.shape[-1]
    return output.numel() // features * sum(p.numel() for p in matrices)
