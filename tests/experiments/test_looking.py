"""The figures of what is seen of a network draw from a few steps."""

from __future__ import annotations

import pytest

from experiments import looking


@pytest.mark.filterwarnings("ignore:there are only 1,000 palindromes:UserWarning")
def test_every_figure_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "FIGS", tmp_path / "figs")
    monkeypatch.setattr(looking, "OPTIMIZERS", {name: looking.OPTIMIZERS[name] for name in ("SGD", "Adam")})
    figures = {
        **looking.film(epochs=1),
        **looking.landscape(epochs=1, resolution=3),
        **looking.memory((5,), steps=2),
    }
    assert set(figures) == {
        "look-film",
        "look-values",
        "look-change",
        "look-surface-mlp",
        "look-surface-cnn",
        "look-memory",
    }
    for name, figure in figures.items():
        looking.plot.save(figure, tmp_path / f"{name}.png")
    assert (tmp_path / "figs" / "look-film.gif").stat().st_size > 1000
