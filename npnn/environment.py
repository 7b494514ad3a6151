"""What a table of times, or a report of a fault, must say about the machine and about what is installed on it."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from npnn.data.files import cache_folder
from npnn.kernels import _cache
from npnn.kernels._jit import enabled
from npnn.kernels.threads import get_num_threads

__all__ = ["describe", "report"]

PACKAGES = ("npnn", "numpy", "scipy", "numba", "torch", "jax")
OPTIONAL = ("safetensors", "threadpoolctl", "matplotlib", "scikit-learn", "onnx", "torch", "mpi4py", "jax")
VARIABLES = ("NPNN_JIT", "NPNN_NUM_THREADS", "NPNN_DATA", "OMP_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME",
             "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS", "OPENBLAS_CORETYPE")  # fmt: skip


def describe() -> dict[str, Any]:
    """Processor, cores, versions, and which BLAS kernels NumPy and SciPy run."""
    import scipy.linalg.cython_blas  # noqa: F401  loads SciPy's BLAS, so that it is listed
    from threadpoolctl import threadpool_info

    versions = {"python": platform.python_version(), **_versions(PACKAGES)}
    blas = sorted({f"{p['prefix']} {p.get('architecture', '?')}" for p in threadpool_info() if p["user_api"] == "blas"})
    return {"processor": _processor(), "cores": os.cpu_count(), "blas": blas, "versions": versions}


def report() -> str:
    """The same and more, one thing a line, for a report of a fault: ``python -m npnn`` prints it."""
    found = describe()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else found["cores"]
    lines = {
        "npnn": found["versions"].pop("npnn", "not installed: used from its folder"),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{found['processor']}, {found['cores']} cores, {usable} of them for this process",
        "threads": f"{get_num_threads()} (NPNN_NUM_THREADS, set_num_threads)",
        "kernels": _kernels(),
        "BLAS": ", ".join(found["blas"]) or "none that is known",
        "data": _data(),
        "versions": ", ".join(f"{k} {v}" for k, v in {**found["versions"], **_versions(OPTIONAL)}.items()),
    }
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    if variables:
        lines["environment"] = ", ".join(f"{name}={value}" for name, value in variables.items())
    return "\n".join(f"{name:11} {text}" for name, text in lines.items())


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _kernels() -> str:
    """Whether compiled code runs, and where it is kept."""
    if not enabled():
        return "in NumPy: NPNN_JIT=0, or numba is not there"
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if folder is None:
        here = Path(_cache.__file__).parent
        folder = str(here / "__pycache__") if _writable(here) else "numba's folder in the user's cache"
    return f"compiled, kept in {folder}"


def _data() -> str:
    """The folders where data sets are looked for."""
    folders = [Path(os.environ["NPNN_DATA"])] if os.environ.get("NPNN_DATA") else []
    return ", ".join(f"{folder}{'' if folder.is_dir() else ' (not there)'}" for folder in [*folders, cache_folder()])


def _writable(folder: Path) -> bool:
    """os.access says yes to root in a read-only file system."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
