"""Proofs that a gradient is right, and tools that name the mistake if it is not.

    from npnn.testing import check_layer, report
    print(report(check_layer(MyLinear(4, 3), x, reference="Linear")))

``gradcheck`` is for npnn's operations; ``check_layer`` and ``check_loss`` take what anybody has written, in plain
NumPy, with npnn or with PyTorch.  ``assert_right`` and ``assert_same_training`` are for tests.
"""

from npnn.testing.finding import Finding, report
from npnn.testing.gradients import assert_close, gradcheck
from npnn.testing.layers import assert_right, check_layer, check_loss
from npnn.testing.training import assert_same_training

__all__ = [
    "Finding", "assert_close", "assert_right", "assert_same_training", "check_layer", "check_loss", "gradcheck",
    "report",
]  # fmt: skip
