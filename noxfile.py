"""The tests on other processors, with other numbers of threads, Pythons and versions, and from the wheel.

``make matrix`` runs all of it (some hours on two cores) and prints a table; one session alone is

    nox -s "processor(sse4)" [-- tests/kernels]
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

ROOT = Path(__file__).parent
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

# What each library calls a processor.  Those of a processor that is older than this one can be tried; newer ones not.
PROCESSORS = {
    "sse4": {"NUMBA_CPU_NAME": "nehalem", "OPENBLAS_CORETYPE": "Nehalem", "ATEN_CPU_CAPABILITY": "default",
             "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"NUMBA_CPU_NAME": "haswell", "OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2",
             "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"NUMBA_CPU_NAME": "skylake-avx512", "OPENBLAS_CORETYPE": "SkylakeX", "ATEN_CPU_CAPABILITY": "avx512",
               "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}  # fmt: skip
# The oldest that pyproject.toml allows
OLDEST = ["numpy==2.0.0", "scipy==1.13.0", "numba==0.61.0", "safetensors==0.4.3", "tqdm==4.66.0", "threadpoolctl==3.2.0",
          "matplotlib==3.9.0", "requests==2.31.0", "scikit-learn==1.6.0", "joblib==1.4.0",
          "pyparsing==3.1.0"]  # fmt: skip


def tests(session: nox.Session, **env: str) -> None:
    """All tests, or those that are named after --."""
    cache = Path(session.create_tmp()) / "kernels"  # each session compiles for itself
    session.run(
        "pytest", "-q", "-n", os.environ.get("MATRIX_JOBS", "2"), *session.posargs,
        env={"NUMBA_CACHE_DIR": str(cache), **env},
    )  # fmt: skip


@nox.session
@nox.parametrize("name", [nox.param(name, id=name) for name in PROCESSORS])
def processor(session: nox.Session, name: str) -> None:
    session.install("-e", f"{ROOT}[dev,parity]")
    tests(session, **PROCESSORS[name])


@nox.session
@nox.parametrize("count", [nox.param(n, id=str(n)) for n in (1, 2, 4)])
def threads(session: nox.Session, count: int) -> None:
    session.install("-e", f"{ROOT}[dev,parity]")
    tests(session, NPNN_NUM_THREADS=str(count))


@nox.session
def without_kernels(session: nox.Session) -> None:
    session.install("-e", f"{ROOT}[dev,parity]")
    tests(session, NPNN_JIT="0")


@nox.session(python=["3.10", "3.11", "3.12", "3.13", "3.14"])
def python(session: nox.Session) -> None:
    """Without PyTorch, whose wheels for other Pythons are of some gigabytes."""
    session.install("-e", f"{ROOT}[dev]")
    tests(session)


@nox.session(python="3.10")
def oldest(session: nox.Session) -> None:
    session.install(
        "-e", f"{ROOT}[experiments,sklearn]", "pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", *OLDEST
    )
    tests(session)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel in an environment that has nothing else, without this folder."""
    session.install("build")
    out = Path(session.create_tmp()) / "dist"
    session.run("python", "-m", "build", "--wheel", "--outdir", str(out), str(ROOT))
    (found,) = out.glob("*.whl")
    session.install(f"{found}[experiments]")
    session.chdir(session.create_tmp())
    session.run("python", "-m", "npnn")
    Path("mine.py").unlink(missing_ok=True)
    session.run("python", "-m", "npnn.experiment", "new", "mine")
    session.run("python", "-m", "npnn.experiment", "run", "./mine.py")
