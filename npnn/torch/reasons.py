"""Why npnn lacks a name of torch's, where there is more to say than that it does."""

from __future__ import annotations

__all__ = ["reason"]

_REASONS = {
    "fft": "there are no complex numbers",
    "sparse": "tensors are dense",
    "quantization": "numbers are float32 or float64",
    "ao": "numbers are float32 or float64",
    "distributed": "training in several processes is npnn.train.parallel (mpiexec)",
    "DistributedDataParallel": "training in several processes is npnn.train.parallel (mpiexec)",
    "multiprocessing": "use Python's multiprocessing",
    "hub": "models are not downloaded",
    "models": "pretrained models are not offered; build the network from npnn.nn",
    "onnx": "use npnn.onnx.export(model, x, path)",
    "fx": "models are plain Python",
    "prune": "pruning is not offered",
    "CrossMapLRN2d": "it is LocalResponseNorm",
    "SparseAdam": "gradients are dense",
    "complex": "tensors hold no complex numbers",
    "stft": "there are no complex numbers",
    "profiler": "use a profiler for Python, such as py-spy",
    "ops": "operations for detection are not offered",
}


def reason(module: str, name: str) -> str:
    """`` (why)``, or nothing."""
    if name.startswith("Lazy"):
        return " (layers need their sizes when they are made)"
    found = _REASONS.get(name) or next((_REASONS[p] for p in module.split(".") if p in _REASONS), None)
    return f" ({found})" if found else ""
