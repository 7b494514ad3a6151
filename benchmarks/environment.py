"""What must be set before NumPy loads."""

from __future__ import annotations

import os

__all__ = ["prepare"]

# Some systems pin OpenBLAS to the kernels of an older processor: times would then be the pin's, not the machine's.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def prepare() -> dict[str, str]:
    """Remove the pins; call before NumPy is imported.  Returns what was removed."""
    return {name: os.environ.pop(name) for name in PINS if name in os.environ}
