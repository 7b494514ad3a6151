"""The picture of a wrong gradient beside the right one."""

from __future__ import annotations

import numpy as np
import pytest

from npnn import plot
from npnn.testing import Finding


def test_three_pictures_on_one_scale():
    right = np.random.default_rng(0).standard_normal((3, 2, 4))
    finding = Finding("scale", "W", "half", right / 2, right)
    figure = plot.gradients(finding)
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == ["backward", "finite differences", "difference"]
    assert {ax.images[0].get_clim() for ax in panels} == {(-np.abs(right).max(), np.abs(right).max())}
    np.testing.assert_allclose(panels[2].images[0].get_array(), -right.reshape(6, 4) / 2)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"this finding \(random\) is not about a gradient"):
        plot.gradients(Finding("random", "output", "two calls differ"))
    with pytest.raises(ValueError, match="different shapes"):
        plot.gradients(np.ones((2, 3)), np.ones((3, 2)))
