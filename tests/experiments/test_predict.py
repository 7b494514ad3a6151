"""python -m experiments predict: a person's own picture, and the classes it may be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from npnn.data import TrainTest, load_digits
from npnn.data.drawing import centred
from npnn.experiment.command_line import main
from npnn.experiment.config import UserError
from npnn.experiment.picture import _box, read_picture
from tests.demo.test_demo import MODELS, seven


def digits_like_mnist(count=60):
    """Bright strokes whose longer side is 20 of 28 pixels."""
    pictures = load_digits().test_x[:count, 0]
    return np.stack([centred((255 * np.kron(x, np.ones((9, 9)))).astype(np.uint8)) for x in pictures])[:, None]


@pytest.fixture
def mnist(monkeypatch):
    """Digits in the place of MNIST's."""
    from experiments import mnist

    x, y = digits_like_mnist(), load_digits().test_y[:60]
    monkeypatch.setattr(mnist, "load_mnist", lambda: TrainTest(x, y, x, y, tuple("0123456789")))


def test_the_box_of_drawings_is_learnt_from_the_data():
    like = digits_like_mnist()
    assert abs(_box(like) - 20) <= 1
    assert _box(np.random.default_rng(0).random((40, 1, 28, 28))) is None
    assert _box(load_digits().test_x) is None  # they fill all of their 8 pixels


@pytest.mark.parametrize("ink", ["bright on dark", "dark on bright", "pencil on grey paper"])
def test_a_drawing_of_any_ink_is_the_same_picture(tmp_path, ink):
    drawing = seven()
    pixels = {
        "bright on dark": drawing,
        "dark on bright": 255 - drawing,
        "pencil on grey paper": np.where(drawing > 0, 40, 200).astype(np.uint8),
    }[ink]
    Image.fromarray(pixels).save(tmp_path / "seven.png")
    found, said = read_picture(tmp_path / "seven.png", digits_like_mnist())
    assert found.shape == (1, 28, 28)
    assert len(said) == 1 + (ink != "bright on dark")
    np.testing.assert_allclose(found[0] / found.max(), centred(drawing, 28, _box(digits_like_mnist())), atol=0.02)


def test_an_empty_paper_is_told(tmp_path):
    Image.new("L", (50, 50), 255).save(tmp_path / "white.png")
    with pytest.raises(UserError, match="nothing is drawn"):
        read_picture(tmp_path / "white.png", digits_like_mnist())


def test_the_command_names_the_class(tmp_path, monkeypatch, capsys, mnist):
    Image.fromarray(255 - seven()).save(tmp_path / "seven.png")
    words = ["predict", str(MODELS / "mnist-best-cnn.safetensors"), str(tmp_path / "seven.png")]
    assert main([*words, "--top", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path / 'seven.png'}: 7 ")
    assert out.count("%") == 2
    assert "dark on bright" in err
    assert main([*words, "--top", "0"]) == 1
    assert "--top must be at least 1" in capsys.readouterr().err
