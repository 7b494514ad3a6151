"""What a table of times must say about the machine."""

from __future__ import annotations

import os
import platform
from typing import Any

__all__ = ["describe"]


def describe() -> dict[str, Any]:
    """Processor, cores, versions, and which BLAS kernels NumPy and SciPy run."""
    from importlib.metadata import PackageNotFoundError, version

    import scipy.linalg.cython_blas  # noqa: F401  loads SciPy's BLAS, so that it is listed
    from threadpoolctl import threadpool_info

    versions = {"python": platform.python_version()}
    for package in ("npnn", "numpy", "scipy", "numba", "torch", "jax"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    blas = sorted({f"{p['prefix']} {p.get('architecture', '?')}" for p in threadpool_info() if p["user_api"] == "blas"})
    return {"processor": _processor(), "cores": os.cpu_count(), "blas": blas, "versions": versions}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
