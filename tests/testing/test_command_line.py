"""python -m npnn.testing FILE: the layers of a file, found, made and checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from npnn.testing.__main__ import main

ROOT = Path(__file__).parent.parent.parent
FILE = """
import numpy as np
import npnn
from npnn import nn

class Linear:
    def __init__(self, n_in, n_out):
        r = np.random.default_rng(0)
        self.W, self.b = r.standard_normal((n_in, n_out)), np.zeros(n_out)
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy / len(dy), dy.sum(0)
        return dy @ self.W.T

class Conv2d:
    def __init__(self, in_channels, out_channels, kernel_size):
        r = np.random.default_rng(0)
        self.W = r.standard_normal((out_channels, in_channels, kernel_size, kernel_size))
        self.b = np.zeros(out_channels)
    def windows(self, x):
        return np.lib.stride_tricks.sliding_window_view(x, self.W.shape[2:], axis=(2, 3))
    def forward(self, x):
        self.x = x
        return np.einsum("nchwij,ocij->nohw", self.windows(x), self.W) + self.b[:, None, None]
    def backward(self, dy):
        self.dW, self.db = np.einsum("nchwij,nohw->ocij", self.windows(self.x), dy), dy.sum((0, 2, 3))
        e = self.W.shape[2] - 1
        padded = np.pad(dy, ((0, 0), (0, 0), (e, e), (e, e)))
        return np.einsum("nohwij,ocij->nchw", self.windows(padded), self.W[:, :, ::-1, ::-1])

class Embedding:
    def __init__(self, vocab_size, dim):
        self.W = np.random.default_rng(0).standard_normal((vocab_size, dim))
    def forward(self, index):
        self.index = index
        return self.W[index]
    def backward(self, dy):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.index, dy)

class SoftmaxLoss:
    def forward(self, scores, y):
        e = np.exp(scores - scores.max(1, keepdims=True))
        self.p, self.y = e / e.sum(1, keepdims=True), y
        return -np.log(self.p[np.arange(len(y)), y]).mean()
    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        return d

class SquaredLoss:
    def forward(self, prediction, target):
        self.d = prediction - target
        return (self.d**2).mean()
    def backward(self):
        return 2 * self.d / self.d.size

def tanh_forward(x):
    y = np.tanh(x)
    return y, y

def tanh_backward(dy, y):
    return dy * (1 - y * y)

class Square(npnn.Function):
    def forward(self, x):
        self.x = x
        return x * x
    def backward(self, dy):
        return self.x * dy

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
    def forward(self, x):
        return self.layer(x).tanh()

class Broken:
    def __init__(self):
        raise RuntimeError("needs a file")
    def forward(self, x):
        return x
    def backward(self, dy):
        return dy
"""


def test_each_layer_of_a_file(tmp_path, capsys):
    path = tmp_path / "layers_of_mine.py"
    path.write_text(FILE)
    assert main([str(path)]) == 1
    lines = {
        line.split()[0]: " ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines() if line[:1].strip()
    }
    right = {name for name, verdict in lines.items() if verdict == "right"}
    assert right == {"Conv2d", "Embedding", "SquaredLoss", "tanh", "Net"}
    assert lines["Linear"].startswith("scale (W): backward is 1/8 of the right gradient: 8 is the batch size")
    assert lines["SoftmaxLoss"].startswith("scale (input): backward is 6 times")
    assert lines["Square"].startswith("scale (input): backward is 1/2 of")
    assert lines["Broken"] == "not checked: RuntimeError: needs a file"
    assert main([str(path), "--only", "Net"]) == 0


def test_files_that_hold_nothing(tmp_path, capsys):
    empty, wrong = tmp_path / "empty.py", tmp_path / "wrong.py"
    empty.write_text("x = 1\n")
    wrong.write_text("def f(:\n")
    assert main([str(empty)]) == 2
    assert "no layer in" in capsys.readouterr().out
    assert main([str(wrong)]) == 2
    assert "cannot be imported: SyntaxError" in capsys.readouterr().err
    assert main([str(tmp_path / "none.py")]) == 2
    assert "there is no Python file" in capsys.readouterr().err


def test_from_a_shell(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(FILE)
    done = subprocess.run(
        [sys.executable, "-m", "npnn.testing", str(path), "--only", "Embedding"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["Embedding", "right"])
