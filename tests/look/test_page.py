"""The page: whole by itself, readable to everybody, and with a sentence for each part that cannot be drawn."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import npnn
from npnn import look, nn
from npnn.experiment.picture import read_picture
from npnn.look.__main__ import main
from tests.look.networks import chain, pictures, twins
from tests.look.test_training import reader, trained

Image = pytest.importorskip("PIL.Image", reason="matplotlib is not installed: no figures")
plot = pytest.importorskip("npnn.plot", reason="matplotlib is not installed: no figures")
pytest.importorskip("sklearn", reason="scikit-learn is not installed: no t-SNE")


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.alts, self.links, self.ids, self.sources, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "img":
            self.alts.append(found.get("alt", ""))
            self.sources.append(found["src"])
        if tag == "a":
            self.links.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    text = page.html()
    found = Reader(text)
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    assert set(found.links) <= {f"#{name}" for name in found.ids}
    assert all(len(alt) > 10 for alt in found.alts)
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    assert "http" not in re.sub(r'base64,[^"]+', "", text)
    assert "viewport" in text
    assert "prefers-color-scheme: dark" in text
    return {part.name: part for part in page.parts}


def test_a_page_of_a_convolutional_network_of_either_framework(capsys):
    x, y = pictures(40), np.arange(40) % 5
    for model in twins(chain, 2):
        parts = checked(look.look(model, x, y, list("abcde")))
        assert list(parts) == ["network", "kernels", "units", "classes", "stages", "answer", "space"]
        assert [part.problem for part in parts.values()] == [""] * 7
        assert "Kernels: 1 figures" in capsys.readouterr().out
    page = look.look(model, x, y, layers=["Conv2d"], progress=False)
    assert len(page.parts[2].figures) == 1
    assert capsys.readouterr().out == ""
    assert page._repr_html_().startswith("<style>")


@pytest.mark.parametrize("given", ["nothing", "no labels", "one picture"])
def test_what_can_be_drawn_is_drawn(given):
    x = None if given == "nothing" else pictures(1 if given == "one picture" else 30)
    parts = checked(look.look(chain(nn, 0), x, progress=False))
    drawn = {name for name, part in parts.items() if part.figures}
    assert {"kernels"} <= drawn
    if given == "no labels":
        assert drawn == {"kernels", "units", "classes", "stages", "answer", "space"}
    if given == "nothing":
        assert drawn == {"kernels"}
        assert parts["units"].problem == "This part cannot be drawn: there are no pictures to show it with."


def test_networks_without_convolutions():
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(768, 12), nn.ReLU(), nn.Linear(12, 5))
    parts = checked(look.look(mlp, pictures(30), np.arange(30) % 5, progress=False))
    assert "weights of the first layer" in parts["kernels"].text
    assert "Grad-CAM: there is no layer of the kind Conv2d" in parts["answer"].problem
    assert all(parts[name].figures for name in ("kernels", "units", "classes", "stages", "answer", "space"))
    x = np.random.default_rng(0).normal(size=(12, 6, 3)).astype(np.float32)
    parts = checked(look.look(reader(nn), x, np.arange(12) % 4, progress=False))
    assert list(parts) == ["network", "recurrence"]
    assert parts["recurrence"].figures
    plane = look.look(nn.Linear(2, 2), x[:, 0, :2], np.arange(12) % 2, progress=False)
    assert checked(plane)["border"].figures
    words = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(24, 2))
    parts = checked(look.look(words, np.zeros((4, 6), np.int64), np.zeros(4, np.int64), progress=False))
    assert "an input has the shape (6,), which is no picture" in parts["inputs"].problem
    waves = nn.Sequential(nn.Conv1d(4, 2, 3), nn.Flatten(), nn.Linear(12, 3))
    parts = checked(look.look(waves, np.zeros((4, 4, 8), np.float32), progress=False))
    assert parts["kernels"].figures
    assert "an input has the shape (4, 8)" in parts["inputs"].problem
    with pytest.raises(ValueError, match="12 inputs and 3 labels"):
        look.look(mlp, x, np.arange(3))


# ---- the command


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The file of a run on coloured pictures, and its data in a folder."""
    text = """
import numpy as np

def data(config):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(60, 3, 8, 8))
    return x[:40], np.arange(40) % 3, x[40:], np.arange(20) % 3

def build(nn, config):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "colours.py").write_text(text)
    from npnn.experiment.command_line import main as run

    assert run(["run", "colours.py"]) == 0
    return tmp_path / "runs" / "colours-default" / "weights.safetensors"


def test_one_command_makes_the_page(saved, capsys, tmp_path):
    Image.fromarray(np.full((30, 20), 99, np.uint8)).save(tmp_path / "grey.png")
    words = [str(saved), "--image", str(tmp_path / "grey.png"), "--layers", "0"]
    assert main([*words, "--out", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert "is grey; the network knows coloured pictures" in out
    assert "has 20×30 pixels; its middle was taken and made 8×8" in out
    size = (tmp_path / "page.html").stat().st_size
    assert size < 3e6
    text = (tmp_path / "page.html").read_text()
    assert "colours, default: what the network has learned" in text
    assert "for the picture that was given" in text
    np.savez(tmp_path / "own.npz", images=pictures(10, shape=(3, 8, 8)))
    assert main([str(saved), "--data", str(tmp_path / "own.npz"), "--out", str(tmp_path / "own.html")]) == 0


def test_what_is_wrong_is_one_sentence(saved, capsys, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(saved.read_bytes()[:-9])
    (tmp_path / "text.png").write_text("no picture")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    npnn.io.save_file({"w": np.ones(2)}, tmp_path / "strange.safetensors")
    for words, message in (
        (["broken.safetensors"], "broken.safetensors"),
        (["nobody.safetensors"], "nobody.safetensors"),
        (["strange.safetensors"], "does not say which experiment it belongs to"),
        ([str(saved), "--layers", "9"], "no layer '9' in this model; it has 0 (Conv2d), 1 (ReLU)"),
        ([str(saved), "--image", "text.png"], "text.png is no picture that can be read"),
        ([str(saved), "--image", "no.png"], "there is no file no.png"),
        ([str(saved), "--data", "nowhere"], "--data nowhere is neither a folder nor an .npz file"),
        ([str(saved), "--data", "other.npz"], "has no array 'images', but x"),
    ):
        assert main([*words, "--out", "p.html"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert message in said
        assert said.count("\n") == 1
    assert not (tmp_path / "p.html").exists()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_kind_become_those_of_the_data(tmp_path, mode, channels):
    like = np.linspace(-2, 3, 2 * channels * 36, dtype=np.float32).reshape(2, channels, 6, 6)
    Image.new("L", (12, 12), 255).convert(mode).save(tmp_path / "white.png")
    found, said = read_picture(tmp_path / "white.png", like)
    assert found.shape == (channels, 6, 6)
    np.testing.assert_allclose(found, np.broadcast_to(like.max(axis=(0, 2, 3))[:, None, None], found.shape), rtol=1e-6)
    assert len(said) == 1 + (mode in ("RGB", "RGBA", "P") if channels == 1 else mode in ("L", "1", "LA"))


# ---- figures


def test_figures_of_training(tmp_path):
    film = look.Film(pictures(4), every=3)
    trainer = trained([film])
    assert len(plot.film(film.frames, count=3).axes) == 3
    assert [ax.get_ylabel() for ax in plot.ridgelines(film.frames).axes][:2] == ["0", "1"]
    plot.film_gif(film.frames, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as moving:
        assert moving.n_frames == len(film.frames) == 4
    before, after = look.kernels(chain(nn, 0)), look.kernels(trainer.model)
    plot.kernel_change(before, after)
    with pytest.raises(ValueError, match="are not of one layer"):
        plot.kernel_change(before, look.kernels(nn.Conv2d(2, 2, 2)))
    without = look.Film(np.ones((2, 3), np.float32))
    without.frames = [without._frame(nn.Linear(3, 2), 1)]
    for draw in (plot.film, lambda frames: plot.film_gif(frames, tmp_path / "no.gif")):
        with pytest.raises(ValueError, match="no kernels in this film"):
            draw(without.frames)
    x, y = pictures(6), np.arange(6) % 5
    bowl = look.surface(trainer.model, nn.CrossEntropyLoss(), x, y, resolution=4)
    panels = plot.surface({"a": bowl, "b": bowl}).axes
    assert [ax.get_title() for ax in panels[:2]] == ["a", "b"]


def test_the_record_of_a_film_is_plain():
    film = look.Film(pictures(2), every=6)
    trained([film])
    assert json.dumps([frame["gradients"] for frame in film.state_dict()["frames"]])
