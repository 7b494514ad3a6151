"""Training in forked and spawned processes, in several Python threads, and beside PyTorch's own threads.

Each test runs a program of its own, where it matters with each of numba's two pools: OpenMP, which ends
a forked child at its first parallel loop, and workqueue, which ends a process that runs two such loops at once.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from npnn.kernels import _jit

ROOT = Path(__file__).parent.parent

PROGRAM = """
import os, sys, threading
import numpy as np
import npnn
from npnn import nn

def train(seed=0):
    "The loss after two steps of a network whose products, loops and sums are shared among the threads."
    rng = np.random.default_rng(seed)
    images, labels = npnn.tensor(rng.standard_normal((256, 400), np.float32)), npnn.tensor(np.arange(256) % 10)
    model = nn.Sequential(nn.Linear(400, 300), nn.ReLU(), nn.Linear(300, 10))
    with npnn.no_grad():
        for p in model.parameters():
            p.copy_(0.1 * rng.standard_normal(p.shape))
    optimizer = npnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(images), labels)
        loss.backward()
        optimizer.step()
    return round(loss.item(), 4)

def worker(seed):
    return train(seed), npnn.get_num_threads()

def pool_of_numba():
    if "numba" in sys.modules:
        import numba
        return numba.threading_layer()  # an error if nothing ran in parallel

if __name__ == "__main__":
    npnn.set_num_threads(2)
"""


@pytest.fixture
def run(tmp_path):
    """run(body) runs the body after PROGRAM in a fresh process; pool is the one of numba's that must have worked."""

    def run(body, pool=""):
        if pool == "omp" and _jit.enabled() and importlib.util.find_spec("numba.np.ufunc.omppool") is None:
            pytest.skip("numba has no OpenMP pool here")
        script = tmp_path / "program.py"
        script.write_text(PROGRAM + "".join(f"    {line}\n" for line in body.strip().splitlines()))
        inherited = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        result = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            timeout=300,
            env={**inherited, "PYTHONPATH": str(ROOT), "NUMBA_THREADING_LAYER": pool or "default"},
        )
        assert result.returncode == 0, result.stderr
        if _jit.enabled():
            assert result.stdout.strip() in ([pool] if pool else ["tbb", "omp", "workqueue"]), "nothing ran in parallel"

    return run


both_pools = pytest.mark.parametrize("pool", ["omp", "workqueue"])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@both_pools
def test_python_threads(run, pool):
    """First with all of it at once, looking numba up, loading or compiling, starting the pool; then in full work."""
    run(
        """
def at_once(jobs):
    others = [threading.Thread(target=job) for job in jobs]
    for other in others: other.start()
    for other in others: other.join()

results = []
at_once([lambda: results.append(train())] * 3)
print(pool_of_numba())
assert results == [train()] * 3, "the first calls"

expected = [train(seed) for seed in range(4)]
results = [[] for _ in expected]
def compute(seed):
    for _ in range(3):
        results[seed].append(train(seed))
at_once([lambda seed=seed: compute(seed) for seed in range(4)])
assert results == [[loss] * 3 for loss in expected], "in full work"
""",
        pool,
    )


@needs_fork
@both_pools
def test_forked_children(run, pool):
    """Also of a process whose other thread computes: the child must not wait for locks that only it could open."""
    run(
        """
from npnn.kernels import _jit, threads
expected = train()
print(pool_of_numba())

def forked(compute):
    child = os.fork()
    if child == 0:
        try:
            import signal
            signal.alarm(60)
            os._exit(0 if compute() else 1)
        finally:
            os._exit(2)
    return child

def told_otherwise():
    npnn.set_num_threads(2)
    return worker(0) == (expected, 1)

assert os.waitpid(forked(told_otherwise), 0)[1] == 0
assert train() == expected, "the parent goes on"

inside, leave = threading.Event(), threading.Event()
def hold():
    with threads._pool_lock, threads._blas_lock, _jit._making:
        inside.set()
        leave.wait()
other = threading.Thread(target=hold)
other.start()
inside.wait()
child = forked(lambda: npnn.tensor([1.0]).exp().tanh() is not None and train() == expected)  # kernels old and new
leave.set()
other.join()
assert os.waitpid(child, 0)[1] == 0

if _jit.enabled():  # a thread that compiles: the fork waits until it is done, and the child can compile, too
    import numba
    from numba.core.compiler_lock import global_compiler_lock
    compiling, forking = threading.Event(), threading.Event()
    def compile():
        with global_compiler_lock:
            compiling.set()
            forking.wait(1)
    other = threading.Thread(target=compile)
    other.start()
    compiling.wait()
    child = forked(lambda: numba.njit(lambda x: x + 1)(1) == 2)
    other.join()
    assert os.waitpid(child, 0)[1] == 0

import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(worker, [0, 0, 0]) == [(expected, 1)] * 3
""",
        pool,
    )


def test_spawned_children(run):
    run("""
expected = train()
print(pool_of_numba())
import multiprocessing
with multiprocessing.get_context("spawn").Pool(1) as pool:
    assert pool.map(worker, [0, 0]) == [(expected, 1)] * 2, "siblings share the cores: one thread each"
os.environ["NPNN_NUM_THREADS"] = "2"
with multiprocessing.get_context("spawn").Pool(1) as pool:
    assert pool.map(worker, [0]) == [(expected, 2)], "unless the user wants more"
""")


def test_workers_of_joblib(run):
    pytest.importorskip("joblib", reason="joblib comes with scikit-learn")
    run("""
expected = train()
print(pool_of_numba())
from joblib import Parallel, cpu_count, delayed
share = max(cpu_count() // 2, 1)
results = Parallel(n_jobs=2)(delayed(worker)(0) for _ in range(3))
assert results == [(expected, share)] * 3, results
results = Parallel(n_jobs=2, backend="threading")(delayed(worker)(0) for _ in range(3))
assert results == [(expected, 2)] * 3, results
""")


def test_beside_pytorch(run):
    """PyTorch brings an OpenMP of its own, which numba's pool may then share; neither may disturb the other."""
    pytest.importorskip("torch", reason="torch is not installed")
    run("""
import torch
torch.set_num_threads(1)
assert torch.get_num_threads() == 1
matrix = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
product = matrix @ matrix
expected = train()
print(pool_of_numba())
assert torch.get_num_threads() == 1, "starting numba's pool changed the number of PyTorch's threads"
torch.set_num_threads(2)
results = []
def compute():
    for _ in range(20):
        results.append(bool(torch.allclose(torch.relu(matrix @ matrix), torch.relu(product), atol=1e-3)))
other = threading.Thread(target=compute)
other.start()
assert [train() for _ in range(5)] == [expected] * 5
other.join()
assert results == [True] * 20
assert torch.get_num_threads() == 2
assert npnn.get_num_threads() == 2
""")


def test_nothing_global_is_left_changed(run):
    """By a training run with all that belongs to it, and by one that diverges."""
    run("""
import gc, locale, logging, random, signal, tempfile, warnings
from threadpoolctl import threadpool_info
from npnn.train import Checkpoint, Trainer

def look():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "floating-point errors": np.geterr(), "error call": np.geterrcall(), "printing": np.get_printoptions(),
        "NumPy's generator": np.random.get_state()[1].tolist(), "Python's generator": random.getstate(),
        "warnings": list(warnings.filters), "signals": [signal.getsignal(s) for s in signal.valid_signals()],
        "environment": dict(os.environ), "folder": os.getcwd(), "umask": umask,
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook), "recursion": sys.getrecursionlimit(),
        "collector": (gc.isenabled(), gc.get_threshold()), "logging": (logging.root.level, logging.root.handlers[:]),
        "threads": [thread.name for thread in threading.enumerate()], "gradients": npnn.is_grad_enabled(),
        "pools": {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()},
    }

train()  # loads what is loaded late
print(pool_of_numba())
before = look()
train()
with tempfile.TemporaryDirectory() as folder:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = npnn.optim.Adam(model.parameters())
    data = npnn.data.TensorDataset(np.ones((9, 4), np.float32), np.arange(9) % 2)
    loader = npnn.data.DataLoader(data, 4, shuffle=True, prefetch=2)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[Checkpoint(folder)], progress=False)
    trainer.fit(loader, 2, loader)
    Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[Checkpoint(folder)], progress=False).fit(
        loader, 3, loader, resume_from=folder + "/last.safetensors")
    trainer.predict(np.ones((3, 4), np.float32))
    try:
        trainer.fit([(np.full((4, 4), np.nan, np.float32), np.arange(4) % 2)], 1)
    except npnn.train.TrainingDiverged:
        pass
after = look()
assert after == before, [name for name in before if after[name] != before[name]]
""")


def test_the_import_changes_nothing_global():
    script = """
import os, random, signal, subprocess, sys, threading, warnings
import numpy as np
def look():
    return {
        "floating-point errors": np.geterr(), "generators": (np.random.get_state()[1].tolist(), random.getstate()),
        "warnings": list(warnings.filters), "signals": [signal.getsignal(s) for s in signal.valid_signals()],
        "environment": dict(os.environ), "hooks": (sys.excepthook, threading.excepthook), "path": list(sys.path),
        "threads": threading.active_count(), "recursion": sys.getrecursionlimit(),
    }
before = look()
import npnn, npnn.train, npnn.data, npnn.io
after = look()
assert after == before, [name for name in before if after[name] != before[name]]
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
