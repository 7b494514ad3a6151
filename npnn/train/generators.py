"""The state of every generator that a run draws from, so that a resumed run draws the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npnn import generator, random
from npnn.io.torch_interop import loaded_torch

__all__ = ["get_generators", "set_generators"]


def get_generators(loader: Any = None) -> dict[str, Any]:
    """npnn's own state, torch's if torch is in use, and that of the loader's ``generator`` if it has one."""
    states: dict[str, Any] = {"npnn": random.generator().state_bytes()}
    torch = loaded_torch()
    if torch is not None:
        states["torch"] = torch.get_rng_state().numpy()
    own = getattr(loader, "generator", None)
    if own is not None:
        states["loader"] = np.asarray(own.get_state())
    return states


def set_generators(states: Mapping[str, Any], loader: Any = None) -> None:
    """Go on from states that get_generators returned, as far as their owners are here.

    Errors: ValueError for the state of npnn's former generator, which was another (PCG64).
    """
    if isinstance(states["npnn"], Mapping):
        raise ValueError(
            "this run was saved by an npnn whose random numbers were not torch's yet: it cannot go on where it was. "
            "To train on from its weights with fresh random numbers, load them with load_state_dict"
        )
    random.generator().set_state_bytes(np.asarray(states["npnn"], np.uint8))
    torch = loaded_torch()
    if torch is not None and "torch" in states:
        torch.set_rng_state(torch.from_numpy(np.array(states["torch"], np.uint8)))
    own = getattr(loader, "generator", None)
    if own is not None and "loader" in states:
        state = np.array(states["loader"], np.uint8)
        own.set_state(state if isinstance(own, generator.Generator) else loaded_torch().from_numpy(state))
