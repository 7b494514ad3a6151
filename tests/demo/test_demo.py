"""The page on which one draws a digit: the drawing made like MNIST's, the network's answer, the server."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from npnn.data import load_digits
from npnn.demo import Network, centred, serve
from npnn.demo.__main__ import main
from npnn.experiment.config import UserError

MODELS = Path(__file__).parent.parent.parent / "best_models"
SIDE = 280


def seven() -> np.ndarray:
    """A bar on top and a stroke down to the left, 22 pixels wide."""
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[60:82, 80:200] = 255
    for i in range(130):
        drawing[80 + i, 178 - i // 2 : 200 - i // 2] = 255
    return drawing


@pytest.fixture(scope="module")
def network():
    return Network(MODELS / "mnist-best-cnn.safetensors")


def test_a_drawing_is_centred_and_keeps_its_shape():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawing = np.zeros((SIDE, SIDE), np.uint8)
        h, w = rng.integers(1, 150, 2)
        top, left = rng.integers(0, SIDE - 150, 2)
        drawing[top : top + h, left : left + w] = 255
        picture = centred(drawing, 28)
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        assert max(len(rows), len(columns)) == 20
        assert abs(len(rows) / len(columns) - h / w) < 0.06 * max(1, h / w) + h / w  # to the next whole pixel
        for where in (rows, columns):
            assert abs((where[0] + where[-1]) / 2 - 13.5) <= 0.5
        assert picture.max() == pytest.approx(1, abs=1e-5)


def test_ink_is_averaged_not_sampled():
    drawing = np.zeros((280, 280), np.uint8)
    drawing[::2] = 255  # every other row
    assert centred(drawing, 28)[5:-5, 5:-5].mean() == pytest.approx(0.5, abs=0.02)


def test_an_empty_paper_has_no_answer(network):
    assert centred(np.zeros((9, 9), np.uint8), 28) is None
    assert network.answer(np.zeros((SIDE, SIDE), np.uint8)) is None


def test_the_network_reads_a_seven(network):
    found = network.answer(seven())
    assert found.probabilities.argmax() == 7
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert len(found.layers) > 3
    for _, maps in found.layers:
        assert maps.min() >= 0
        assert maps.max() == pytest.approx(1)


def test_another_size_of_pictures():
    network = Network(MODELS / "cnn_digits-dropout.safetensors")
    assert network.side == 8
    digits = load_digits()
    enlarged = np.kron(digits.test_x[:40, 0], np.ones((35, 35)))  # to 280 pixels
    right = [network.answer((255 * x).astype(np.uint8)).probabilities.argmax() for x in enlarged]
    assert np.mean(right == digits.test_y[:40]) > 0.5  # centred anew, they are not quite those of the data


def test_a_network_of_coloured_pictures_is_refused():
    with pytest.raises(UserError, match="no network of grey pictures"):
        Network(MODELS / "cnn_cifar10-best.safetensors")


@pytest.fixture
def address(network):
    server = serve(network, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address
    server.shutdown()
    server.server_close()
    thread.join()


def ask(address, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(*address)
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


def test_the_server_answers(address, network):
    status, text = ask(address, "GET", "/")
    assert status == 200
    assert network.title.encode() in text
    status, text = ask(address, "POST", "/answer", seven().tobytes())
    said = json.loads(text)
    assert status == 200
    assert int(np.argmax(said["probabilities"])) == 7
    assert (said["picture"]["height"], said["picture"]["width"]) == (28, 28)
    assert ask(address, "POST", "/answer", bytes(SIDE * SIDE)) == (200, b"{}")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/etc/passwd", None, {}, 404),
        ("POST", "/answer", b"short", {}, 400),
        ("POST", "/other", bytes(SIDE * SIDE), {}, 400),
        ("GET", "/", None, {"Host": "example.org:80"}, 403),
        ("POST", "/answer", bytes(SIDE * SIDE), {"Host": "example.org"}, 403),
    ],
)
def test_what_is_not_for_it_is_refused(address, method, path, body, headers, status):
    assert ask(address, method, path, body, **headers)[0] == status


def test_a_wrong_file_or_port_is_told(tmp_path, capsys, address):
    assert main([str(tmp_path / "none.safetensors"), "--no-browser"]) == 1
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    assert main([str(tmp_path / "bad.safetensors"), "--no-browser"]) == 1
    taken = ["--port", str(address[1]), "--no-browser", str(MODELS / "mnist-best-cnn.safetensors")]
    assert main(taken) == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 3
    assert "--port 0" in said
