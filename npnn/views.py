"""How a tensor looks at memory: its sizes, and, if the memory is another tensor's, where it was cut from."""

from __future__ import annotations

import math
from typing import Any

from npnn.modes import mode

__all__ = ["_UNWATCHED", "Cut", "Size", "Unwatched"]


class Size(tuple[int, ...]):
    """The sizes of the axes: a tuple that prints as torch's does and counts elements."""

    __slots__ = ()

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class Cut:
    """How a tensor that is a view knows where it was cut from.

    ``seen`` is the base's node at the time of the cut.  When the base has another one, it was changed
    in place, and the view's own node is made anew from it at its next use (``refresh``).
    """

    __slots__ = ("base", "recorded", "seen", "several")

    watched = True  # a change through this view is noted
    cut_anew: Any  # lent by npnn.inplace: gives a view a node made from its base as it is now

    def __init__(self, base: Any, recorded: bool):
        self.base, self.recorded, self.seen, self.several = base, recorded, base._node, False

    def again(self) -> Cut:
        """The same base, for a view of the view."""
        new = Cut(self.base, self.recorded and mode.enabled)
        new.several = self.several
        return new

    def refresh(self, view: Any) -> None:
        if self.seen is not self.base._node and self.recorded:
            self.seen = self.base._node
            self.cut_anew(self.base, view)


class Unwatched:
    """In place of a Cut: this tensor came from ``.data``, and what is done to it is its user's business."""

    watched, recorded, several, base = False, False, False, None

    def again(self) -> Unwatched:
        return self

    def refresh(self, view: Any) -> None:
        pass


_UNWATCHED = Unwatched()
