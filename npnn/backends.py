"""torch.backends: settings of libraries that npnn does not use.  They can be set and read, and do nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


def _answers(value: Any) -> Any:
    return lambda *args, **options: value


cudnn = SimpleNamespace(
    enabled=True,
    benchmark=False,
    deterministic=False,
    allow_tf32=True,
    is_available=_answers(False),
    version=_answers(None),
)
cuda = SimpleNamespace(
    matmul=SimpleNamespace(allow_tf32=False), is_built=_answers(False), sdp_kernel=_answers(None),
    enable_flash_sdp=_answers(None), enable_mem_efficient_sdp=_answers(None), enable_math_sdp=_answers(None),
)  # fmt: skip
mps = SimpleNamespace(is_available=_answers(False), is_built=_answers(False))
mkl = SimpleNamespace(is_available=_answers(False))
mkldnn = SimpleNamespace(is_available=_answers(False), enabled=False)
openmp = SimpleNamespace(is_available=_answers(False))
cpu = SimpleNamespace(get_cpu_capability=_answers("DEFAULT"))
