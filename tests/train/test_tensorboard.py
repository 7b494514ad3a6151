"""TensorBoard: the event files, read back."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest

from npnn import nn
from npnn.train import Checkpoint, TensorBoard, Trainer
from tests.train.common import FRAMEWORKS, batches, data, trainer, weights

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install npnn[tensorboard]")
from tensorboardX.proto.event_pb2 import Event


def events(folder):
    """Every event of the files of a folder, oldest file first: records of length, checksum, bytes, checksum."""
    found = []
    for path in sorted(folder.glob("events*")):
        file = io.BytesIO(path.read_bytes())
        while head := file.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            found.append(Event.FromString(file.read(length)))
            file.read(4)
    return found


def values(folder, kind):
    """(tag, step) -> value of a kind: "simple_value", "histo", "image"."""
    return {
        (value.tag, event.step): getattr(value, kind)
        for event in events(folder)
        for value in event.summary.value
        if value.HasField(kind)
    }


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_figures_and_histograms(name, tmp_path):
    driven = trainer(name, callbacks=[TensorBoard(tmp_path)], clip_grad_norm=1.0)
    history = driven.fit(batches(), epochs=2, validation=data())
    scalars = values(tmp_path, "simple_value")
    names = {"loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "grad_norm", "lr", "seconds"}
    assert scalars.keys() == {(tag, step) for tag in names for step in (3, 6)}
    for i, step in enumerate((3, 6)):
        assert scalars["loss/train", step] == pytest.approx(history["train_loss"][i])
        assert scalars["accuracy/validation", step] == pytest.approx(history["validation_accuracy"][i])
    histograms = values(tmp_path, "histo")
    assert {tag for tag, _ in histograms} == {
        f"{kind}/{layer}.{which}"
        for kind in ("weights", "gradients")
        for layer in (0, 3)
        for which in ("weight", "bias")
    }
    last = weights(driven.model)["0.weight"]
    found = histograms["weights/0.weight", 6]
    assert (found.num, found.min, found.max) == (16, pytest.approx(last.min()), pytest.approx(last.max()))
    gradient = np.asarray(driven.model[3].bias.grad)
    assert histograms["gradients/3.bias", 6].sum == pytest.approx(gradient.sum(), abs=1e-6)


def test_kernels_and_figures_of_ones_own(tmp_path):
    from npnn import optim, plot

    X = np.random.default_rng(0).random((8, 3, 6, 6), np.float32)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 2))
    figures = {"curves": lambda trainer: plot.curves({"npnn": trainer.history})}
    board = TensorBoard(tmp_path, histograms=False, figures=figures)
    driven = Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[board], progress=False
    )
    driven.fit([(X, np.arange(8) % 2)], epochs=2)
    images = values(tmp_path, "image")
    assert set(images) == {(tag, step) for tag in ("kernels/0.weight", "curves") for step in (1, 2)}
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images.values())
    assert images["kernels/0.weight", 1].colorspace == 3
    assert not values(tmp_path, "histo")


def test_a_figure_for_each_class_is_a_curve_for_each(tmp_path):
    metrics = {"per_class": lambda outputs, targets: np.array([0.25, np.nan, 0.75])}
    trainer(callbacks=[TensorBoard(tmp_path, False, False)], metrics=metrics).fit(batches(), epochs=1)
    scalars = values(tmp_path, "simple_value")
    assert scalars["per_class/train/0", 3] == 0.25
    assert scalars["per_class/train/2", 3] == 0.75
    assert ("per_class/train/1", 3) not in scalars


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path):
    for epochs, resume in ((2, None), (3, tmp_path / "last.safetensors")):
        driven = trainer(callbacks=[TensorBoard(tmp_path / "board"), Checkpoint(tmp_path, None)])
        driven.fit(batches(), epochs=epochs, resume_from=resume)
    starts = [event.step for event in events(tmp_path / "board") if event.session_log.status == 1]
    assert starts == [7]
    steps = [step for tag, step in values(tmp_path / "board", "simple_value") if tag == "loss/train"]
    assert sorted(steps) == [3, 6, 9]


def test_without_tensorboardx_one_line_says_what_to_install():
    code = (
        "import sys; sys.modules['tensorboardX'] = None\n"
        "from npnn import nn, optim; from npnn.train import TensorBoard, Trainer\n"
        "model = nn.Linear(2, 2)\n"
        "Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[TensorBoard('x')],"
        " metrics=(), progress=False).fit([([[1., 2.]], [[1., 2.]])], epochs=1)"
    )
    error = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert error.strip().split("\n")[-1] == "ImportError: TensorBoard needs tensorboardX: pip install npnn[tensorboard]"
