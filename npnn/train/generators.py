"""The state of every generator that a run draws from, so that a resumed run draws the same numbers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from npnn import random

__all__ = ["get_generators", "set_generators"]


def get_generators(loader: Any = None) -> dict[str, Any]:
    """npnn's own state, torch's if torch is in use, and that of the loader's ``generator`` if it has one."""
    states: dict[str, Any] = {"npnn": random.get_rng_state()}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state().numpy()
    own = getattr(loader, "generator", None)
    if own is not None:
        states["loader"] = own.bit_generator.state if _is_numpy(own) else own.get_state().numpy()
    return states


def set_generators(states: Mapping[str, Any], loader: Any = None) -> None:
    """Go on from states that get_generators returned, as far as their owners are here."""
    random.set_rng_state(states["npnn"])
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in states:
        torch.set_rng_state(torch.from_numpy(np.array(states["torch"], np.uint8)))
    own = getattr(loader, "generator", None)
    if own is not None and "loader" in states:
        if _is_numpy(own):
            own.bit_generator.state = states["loader"]
        else:
            own.set_state(sys.modules["torch"].from_numpy(np.array(states["loader"], np.uint8)))


def _is_numpy(generator: Any) -> bool:
    return isinstance(generator, np.random.Generator)
