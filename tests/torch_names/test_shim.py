"""``import torch`` answered by npnn: four ways in, what is missing, and processes that inherit it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent

SCRIPT = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset, Dataset, random_split
from torch.autograd import Variable
from torch.nn.parameter import Parameter
import torchvision.transforms as transforms
from torchvision import datasets, utils

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.backends.cudnn.deterministic = True
torch.cuda.manual_seed_all(0)
torch.manual_seed(0)
model = nn.DataParallel(nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 2))).to(device)
x, y = Variable(torch.FloatTensor(20, 4).normal_()), torch.LongTensor(20).random_(0, 2)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(2):
    for a, b in DataLoader(TensorDataset(x, y), batch_size=5, shuffle=True):
        optimizer.zero_grad()
        loss = F.nll_loss(F.log_softmax(model(a.to(device)), dim=1), b, size_average=True)
        loss.backward()
        optimizer.step()
values, indices = torch.max(model(x), 1)
print("args", sys.argv[1:], type(torch).__name__, torch.Tensor.__module__)
print(indices.eq(y.view_as(indices)).sum().item(), "%.4f" % loss.data.item(), x.shape, x.dtype)
torch.save(model.state_dict(), "m.ckpt")
model.load_state_dict(torch.load("m.ckpt", map_location="cpu", weights_only=True))
"""


def run(words, folder, **env):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def test_a_script_with_its_arguments(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    ran = run(["-m", "npnn.torch", "train.py", "--epochs", "3"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "args ['--epochs', '3'] _Alias npnn.tensor" in ran.stdout
    assert "torch.Size([20, 4]) torch.float32" in ran.stdout
    assert (tmp_path / "m.ckpt").exists()


def test_a_module_and_what_it_starts(tmp_path):
    package = tmp_path / "course"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "start.py").write_text(
        textwrap.dedent("""
        import subprocess, sys
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Squares(Dataset):
            def __len__(self):
                return 10
            def __getitem__(self, i):
                return {"x": torch.full((2,), float(i)), "name": str(i)}

        if __name__ == "__main__":
            for batch in DataLoader(Squares(), 4, num_workers=2):
                print(batch["x"].sum().item(), batch["name"])
            print(subprocess.run([sys.executable, "-c", "import torch; print(torch.Tensor.__module__)"],
                                 capture_output=True, text=True).stdout)
    """)
    )
    ran = run(["-m", "npnn.torch", "-m", "course.start"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "12.0 ['0', '1', '2', '3']" in ran.stdout
    assert "npnn.tensor" in ran.stdout


def test_installing_and_uninstalling(tmp_path):
    code = """
        import npnn.torch
        npnn.torch.install()
        import torch, npnn
        assert torch.relu is npnn.relu
        from torch.optim.lr_scheduler import StepLR
        assert StepLR is npnn.optim.lr_scheduler.StepLR
        npnn.torch.uninstall()
        import sys
        assert "torch" not in sys.modules and not npnn.torch.installed()
        print("fine")
    """
    ran = run(["-c", textwrap.dedent(code)], tmp_path)
    assert ran.stdout == "fine\n", ran.stderr


def test_after_pytorch_itself_it_refuses(tmp_path):
    pytest.importorskip("torch")
    ran = run(["-c", "import torch, npnn.torch; npnn.torch.install()"], tmp_path)
    assert "PyTorch itself has been imported already" in ran.stderr


def test_check_names_what_is_missing(tmp_path):
    (tmp_path / "a.py").write_text(
        "import torch\nfrom torch import nn\nx = torch.fft.fft(torch.ones(3))\nl = nn.CrossMapLRN2d(2)\n"
        "from torchvision import models\n"
    )
    ran = run(["-m", "npnn.torch", "--check", "a.py"], tmp_path)
    assert ran.returncode == 1
    assert [line.split(": ", 1)[0] for line in ran.stdout.splitlines()] == ["a.py:3", "a.py:4", "a.py:5"]
    assert "torch.nn.CrossMapLRN2d  (it is LocalResponseNorm)" in ran.stdout
    (tmp_path / "b.py").write_text(SCRIPT)
    ran = run(["-m", "npnn.torch", "--check", "b.py"], tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "b.py: npnn has every name of torch that it uses\n")
    assert run(["-m", "npnn.torch", "--check", "nowhere.py"], tmp_path).returncode == 2


def test_missing_names_say_so_at_run_time(tmp_path):
    code = """
        import npnn.torch
        npnn.torch.install()
        import torch
        for use in (lambda: torch.fft, lambda: torch.nn.CrossMapLRN2d, lambda: torch.nowhere):
            try:
                use()
            except AttributeError as error:
                print(error)
        try:
            import torch.distributed
        except ImportError as error:
            print(error)
        assert not isinstance(torch.ones(2), torch.cuda.FloatTensor)
        for use in (lambda: torch.ones(2).cuda(), lambda: torch.ones(2, device="cuda"), lambda: torch.nn.Linear(2, 2).to("cuda"),
                    lambda: torch.ones(2).type(torch.cuda.LongTensor)):
            try:
                use()
            except AssertionError as error:
                print(error)
    """
    ran = run(["-c", textwrap.dedent(code)], tmp_path)
    lines = ran.stdout.splitlines()
    assert lines[0] == "npnn has no torch.fft (there are no complex numbers)"
    assert "torch.nowhere" in lines[2]
    assert "npnn.train.parallel" in lines[3]
    assert all("not compiled with CUDA" in line for line in lines[4:])
    assert len(lines) == 8, ran.stderr


def test_a_notebook(tmp_path):
    pytest.importorskip("IPython")
    code = """
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "npnn.torch")
        shell.run_cell("import torch; print(torch.Tensor.__module__)")
    """
    ran = run(["-c", textwrap.dedent(code)], tmp_path)
    assert "npnn.tensor" in ran.stdout, ran.stderr


def test_printing_is_torchs():
    torch = pytest.importorskip("torch")
    import npnn

    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((3, 4)), rng.standard_normal(5) * 1e5, np.arange(12).reshape(2, 2, 3), np.array(3.5),
        np.array([1.0, 2.0, 3.0]), rng.standard_normal((40, 40)), np.array([np.nan, 1.5, -np.inf]), np.zeros((0, 3)),
        np.array([True, False]), np.array([1e-8, 1.0]), rng.standard_normal(30), np.array([], np.int64),
        rng.integers(-500, 500, (3, 30)), np.array([0.0, -0.0]), rng.standard_normal((2, 3, 4)) * 1e-3,
    ]  # fmt: skip
    for a in arrays:
        for dtype in ("float32", "float64") if a.dtype.kind == "f" else (str(a.dtype),):
            ours, theirs = npnn.tensor(a.astype(dtype)), torch.tensor(a.astype(dtype))
            assert repr(ours) == repr(theirs)
            assert f"{ours.shape} {ours.dtype} {ours.device}" == f"{theirs.shape} {theirs.dtype} {theirs.device}"
    x, t = npnn.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    assert repr(x) == repr(t)
    assert repr((x * 2).sum()) == repr((t * 2).sum())
    assert repr(npnn.nn.Parameter(npnn.ones(2))) == repr(torch.nn.Parameter(torch.ones(2)))
    for lib in (npnn, torch):
        lib.set_printoptions(precision=2, sci_mode=False)
    try:
        assert repr(npnn.tensor(arrays[1])) == repr(torch.tensor(arrays[1]))
    finally:
        for lib in (npnn, torch):
            lib.set_printoptions(profile="default")


def test_layers_are_found_in_torchs_files(tmp_path):
    (tmp_path / "a.py").write_text(
        textwrap.dedent("""
        from torch.nn.modules.batchnorm import _BatchNorm
        from torch.nn.modules.conv import _ConvNd, Conv2d
        from torch.nn.modules.loss import _Loss, CrossEntropyLoss
        from torch.nn.modules.utils import _pair
        from torch.nn.modules.module import Module
        from torch.nn.modules.rnn import LSTM
        from torch.nn.parameter import Parameter
        from torch.optim.sgd import SGD
        from torch.optim.rmsprop import RMSprop
        from torch.distributions.multinomial import Multinomial
        from torch.distributions.categorical import Categorical
        import torch.nn.modules as modules
        from torch import nn
        assert isinstance(nn.BatchNorm2d(3), _BatchNorm) and isinstance(Conv2d(1, 1, 1), _ConvNd)
        assert isinstance(CrossEntropyLoss(), _Loss) and _pair(3) == (3, 3) and issubclass(LSTM, Module)
        assert modules.Linear is nn.Linear and isinstance(nn.Linear(1, 1).weight, Parameter)
        print("fine")
    """)
    )
    ran = run(["-m", "npnn.torch", "a.py"], tmp_path)
    assert ran.stdout == "fine\n", ran.stderr
