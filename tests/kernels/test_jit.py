"""Which form of a kernel runs, what is said about it, and compiled code on a disk: shared, damaged or full."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import npnn.kernels
from npnn.kernels import _cache, _jit

ROOT = Path(__file__).parent.parent.parent
needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is missing: there is nothing to compile"
)

MODULE = """
import numpy as np
from npnn.kernels._jit import jit, kernel

@kernel
def cube(x):
    return ("NumPy form", (x * x * x).tolist())

@cube.fast
def cube(x):
    out = np.empty_like(x)
    _cube(x, out)
    return ("twin", out.tolist())

@jit
def _cube(x, out):
    for i in range(x.size):
        out[i] = _third_power(x[i])

@jit
def _third_power(value):
    return value * value * value
"""
USE = (
    "import numpy as np, powers; print(*powers.cube(np.arange(3, dtype='{dtype}'))); powers.cube(np.ones(1, '{dtype}'))"
)
COMPILING = "npnn: compiling kernels for this machine, the first run takes a while ..."
NOT_KEPT = "npnn: compiled kernels cannot be kept, each run compiles them; NUMBA_CACHE_DIR can name a folder for them"


@pytest.fixture
def user(tmp_path):
    """A user whose module ``powers`` has one kernel; run(code) returns stdout and the lines of stderr."""
    (tmp_path / "powers.py").write_text(MODULE)

    def run(code="", dtype="float64", **environment):
        inherited = {k: v for k, v in os.environ.items() if k not in ("NPNN_JIT", "NUMBA_CACHE_DIR")}
        result = subprocess.run(
            [sys.executable, "-c", f"{code}\n{USE.format(dtype=dtype)}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip(), result.stderr.splitlines()

    return run


# ---- which form runs


def test_numpy_forms_on_request(user):
    watch = "import atexit, sys; atexit.register(lambda: print('numba' in sys.modules))"
    assert user(watch, NPNN_JIT="0") == ("NumPy form [0.0, 1.0, 8.0]\nFalse", [])


@needs_numba
def test_numpy_forms_where_numba_was_told_not_to_compile(user):
    assert user(NUMBA_DISABLE_JIT="1") == ("NumPy form [0.0, 1.0, 8.0]", [])


def test_numpy_forms_without_numba_and_one_line_that_says_so(user):
    out, err = user("import sys; sys.modules['numba'] = None")
    assert out == "NumPy form [0.0, 1.0, 8.0]"
    assert len(err) == 1
    assert err[0].startswith("npnn: numba cannot be imported (")
    assert err[0].endswith("), so the NumPy kernels run, which are slower")


def test_numpy_forms_where_numba_does_not_work(user, tmp_path):
    reason = "Numba needs NumPy 2.2 or less. Got NumPy 2.9."
    (tmp_path / "numba.py").write_text(f"raise ImportError({reason!r} + '\\nand more')")
    out, err = user()
    assert out == "NumPy form [0.0, 1.0, 8.0]"
    assert err == [f"npnn: numba cannot be imported ({reason}), so the NumPy kernels run, which are slower"]


def test_a_network_is_trained_without_numba(user):
    code = """
import sys; sys.modules["numba"] = None
import numpy as np, npnn
from npnn import nn
npnn.manual_seed(0)
features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
model = nn.Sequential(features, nn.Flatten(), nn.Linear(676, 9))
optimizer = npnn.optim.Adam(model.parameters())
images, labels = npnn.randn(64, 1, 28, 28), npnn.tensor(np.arange(64) % 9)
losses = []
for _ in range(3):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0], losses
"""
    assert len(user(code)[1]) == 1


def test_two_threads_may_make_the_first_call_at_once(monkeypatch):
    """Looking numba up takes a moment; who calls meanwhile must not find a half-made kernel."""
    inside, go_on = threading.Event(), threading.Event()

    def slow_look_up():
        inside.set()
        assert go_on.wait(60)
        return False

    monkeypatch.setattr(_jit, "enabled", slow_look_up)
    monkeypatch.setattr(_jit, "KERNELS", [])
    kernel = _jit.kernel(lambda x: x + 1).fast(lambda x: x + 2)
    results = []
    threads = [threading.Thread(target=lambda: results.append(kernel(1))) for _ in range(2)]
    threads[0].start()
    assert inside.wait(60)
    inside.clear()
    threads[1].start()
    assert inside.wait(60)
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == [2, 2]
    assert kernel(1) == 2


def test_a_twin_has_the_signature_of_its_numpy_form():
    for module in pkgutil.iter_modules(npnn.kernels.__path__):
        importlib.import_module(f"npnn.kernels.{module.name}")
    assert _jit.KERNELS
    for kernel in _jit.KERNELS:
        expected = list(inspect.signature(kernel.reference).parameters)
        assert list(inspect.signature(kernel.twin).parameters) == expected, kernel
        assert kernel.__doc__, kernel


# ---- compiled code on disk


@needs_numba
def test_compiling_is_announced_and_a_warm_cache_is_silent(user, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert user(**cache) == ("twin [0.0, 1.0, 8.0]", [COMPILING])
    assert user(**cache) == ("twin [0.0, 1.0, 8.0]", [])
    for pattern, length in (("*.nbc", 1000), ("*.nbi", 0)):  # damaged files are compiled anew
        files = list((tmp_path / "cache").rglob(pattern))
        assert files
        for file in files:
            file.write_bytes(file.read_bytes()[:length])
        assert user(**cache) == ("twin [0.0, 1.0, 8.0]", [COMPILING])
    assert user(**cache) == ("twin [0.0, 1.0, 8.0]", [])


@needs_numba
def test_without_a_folder_to_write_to(user, tmp_path):
    (tmp_path / "file").touch()  # no folder can be made where a file is: not even the superuser can
    (tmp_path / "__pycache__").touch()
    nowhere = str(tmp_path / "file" / "folder")
    out, err = user(NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere, HOME=nowhere)
    assert out == "twin [0.0, 1.0, 8.0]"
    assert sorted(err) == sorted([COMPILING, NOT_KEPT])


@needs_numba
def test_with_a_full_disk(user, tmp_path):
    pytest.importorskip("resource", reason="no limits on file sizes here")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"  # the index fits, the code not
    assert user(full, **cache) == ("twin [0.0, 1.0, 8.0]", [COMPILING, NOT_KEPT])
    assert user(**cache) == ("twin [0.0, 1.0, 8.0]", [COMPILING])
    assert user(full, **cache) == ("twin [0.0, 1.0, 8.0]", [])


@needs_numba
def test_processes_that_compile_at_once(user, tmp_path):
    """numba alone may give float32 and float64 one file, and the numbers are garbage ever after."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    results = []
    threads = [
        threading.Thread(target=lambda dtype=dtype: results.append(user(dtype=dtype, **cache)[0]))
        for dtype in ("float32", "float64")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["twin [0.0, 1.0, 8.0]"] * 2
    assert user(USE.format(dtype="float32"), **cache) == ("twin [0.0, 1.0, 8.0]\ntwin [0.0, 1.0, 8.0]", [])


def test_one_process_at_a_time_writes(tmp_path):
    pytest.importorskip("fcntl", reason="no locks on files here")
    inside = []

    class Probe:
        cache_path = str(tmp_path)

        def save_overload(self, signature, compiled):
            inside.append(signature)
            time.sleep(0.01)  # long enough for another one to come in, were the door open
            assert inside == [signature]
            inside.remove(signature)
            saved.append(signature)

    saved = []
    threads = [threading.Thread(target=_cache._SharedCache(Probe()).save_overload, args=(i, None)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(saved) == [0, 1, 2, 3]


def test_a_change_in_an_imported_file_makes_compiled_code_stale(tmp_path):
    stamp = _cache._stamp.__wrapped__
    (tmp_path / "caller.py").write_text(
        "from npnn.kernels.helper import (\n    a,\n)\nfrom npnn.kernels import threads"
    )
    (tmp_path / "helper.py").write_text("from npnn.kernels.deeper import b")
    (tmp_path / "deeper.py").write_text("from npnn.kernels.caller import c  # round and round")
    (tmp_path / "threads.py").write_text("not compiled")
    before = stamp(tmp_path / "caller.py")
    assert stamp(tmp_path / "caller.py") == before
    (tmp_path / "threads.py").write_text("changed, but not compiled")
    assert stamp(tmp_path / "caller.py") == before
    (tmp_path / "deeper.py").write_text("changed")
    assert stamp(tmp_path / "caller.py") != before


@needs_numba
def test_numba_takes_the_stamp(tmp_path):
    def function(x):
        return x

    compiled = _cache.compile_with_cache(function)
    index = compiled._cache.cache._cache_file
    assert index._source_stamp == _cache._stamp(Path(__file__))
    assert compiled(np.ones(1)) == 1
    assert index._load_index()
    compiled._cache.cache.flush()
