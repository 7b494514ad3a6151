"""torch.amp: mixed precision is for accelerators.  Here ``autocast`` changes nothing and ``GradScaler`` does not scale."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["GradScaler", "autocast"]


class autocast(contextlib.ContextDecorator):  # noqa: N801  torch's spelling
    """A context that changes nothing: everything is computed in the dtype that it has."""

    def __init__(self, *args: Any, **options: Any):
        pass

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class GradScaler:
    """Scales the loss by 1: gradients in float32 need no scaling."""

    def __init__(self, *args: Any, **options: Any):
        pass

    def scale(self, outputs: Any) -> Any:
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        pass

    def step(self, optimizer: Any, *args: Any, **options: Any) -> Any:
        return optimizer.step(*args, **options)

    def update(self, new_scale: Any = None) -> None:
        pass

    def get_scale(self) -> float:
        return 1.0

    def is_enabled(self) -> bool:
        return False

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Any) -> None:
        pass
