"""One pytest fixture.   In conftest.py:  from npnn.testing.fixtures import right   In a test:  right(MyLinear(4, 3))"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from npnn.testing.base import seeded
from npnn.testing.layers import assert_right

__all__ = ["right"]


@pytest.fixture
def right() -> Any:
    """``assert_right``, with all streams of random numbers at one seed while the test runs."""
    check: Callable[..., None] = assert_right
    with seeded(0):
        yield check
