"""torch.utils.tensorboard: the SummaryWriter of the package tensorboardX, fed with npnn's tensors."""

from __future__ import annotations

from typing import Any

from npnn.tensor import Tensor

__all__ = ["SummaryWriter"]


def _arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.array
    if isinstance(value, dict):
        return {key: _arrays(v) for key, v in value.items()}
    return value


class SummaryWriter:
    """Writes curves, histograms, images and figures for TensorBoard.   Arguments are torch's.

    Errors: ModuleNotFoundError, which says how to install it, without tensorboardX.
    """

    def __init__(self, log_dir: str | None = None, *args: Any, **options: Any):
        try:
            from tensorboardX import SummaryWriter as Writer
        except ModuleNotFoundError:
            raise ModuleNotFoundError("SummaryWriter needs tensorboardX: pip install 'npnn[tensorboard]'") from None
        self._writer = Writer(log_dir, *args, **options)

    def add_graph(self, model: Any, input_to_model: Any = None, *args: Any, **options: Any) -> None:
        """Nothing: TensorBoard's picture of a graph is made by torch's tracer.  ``npnn.onnx.export`` writes one."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._writer, name)
        if not callable(method):
            return method

        def call(*args: Any, **options: Any) -> Any:
            return method(*[_arrays(a) for a in args], **{k: _arrays(v) for k, v in options.items()})

        return call

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()
