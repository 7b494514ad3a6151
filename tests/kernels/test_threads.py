"""The thread pool: how many threads, nothing global left changed, and every parallel loop through one door."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from npnn.kernels import _jit, elementwise, reduce, threads
from npnn.kernels.blas import affine, matmul
from npnn.kernels.softmax import cross_entropy
from tests.parity import random_input

needs_numba = pytest.mark.skipif(not _jit.enabled(), reason="numba is missing or switched off: there is no pool")

KERNELS = Path(threads.__file__).parent


@pytest.fixture
def restored():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


# ---- how many threads


@pytest.mark.parametrize("n", [1, 2, 7, 1024, np.int64(3)])
def test_any_whole_number_may_be_set(restored, n):
    threads.set_num_threads(n)
    assert threads.get_num_threads() == n
    assert type(threads.get_num_threads()) is int
    assert threads.split(threads.PARALLEL_THRESHOLD) == n
    assert threads.split(threads.PARALLEL_THRESHOLD - 1) == 1


@pytest.mark.parametrize("n", [0, -1, 1025, 10**30, 2.0, True, None, "2", [2]])
def test_anything_else_is_refused(n):
    with pytest.raises(ValueError, match="the number of threads must be a whole number from 1 to 1024, got"):
        threads.set_num_threads(n)


@pytest.mark.parametrize("text", ["0", "-1", "two", "2.0", "1025", " ", "²"])
def test_a_bad_environment_variable_is_refused(monkeypatch, text):
    monkeypatch.setenv("NPNN_NUM_THREADS", text)
    with pytest.raises(ValueError, match="NPNN_NUM_THREADS must be a whole number from 1 to 1024, got"):
        threads._from_environment()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 8),
        ({"PMI_SIZE": "32", "MPI_LOCALNRANKS": "2"}, 4),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "3"}, 2),
        ({"PMI_SIZE": "16"}, 1),
    ],
)
def test_processes_that_mpiexec_started_share_the_cores(monkeypatch, variables, expected):
    monkeypatch.setattr(threads, "_num_threads", None)
    monkeypatch.setattr(threads, "_cores", lambda: 8)
    monkeypatch.setattr(threads, "_is_worker", lambda: False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert threads.get_num_threads() == expected


def test_the_refusal_meets_the_eye():
    run = subprocess.run(
        [sys.executable, "-c", "import npnn"], capture_output=True, text=True, env={"NPNN_NUM_THREADS": "x"}
    )
    assert run.stderr.endswith("ValueError: NPNN_NUM_THREADS must be a whole number from 1 to 1024, got 'x'\n")


@pytest.mark.parametrize(
    ("ours", "common", "expected"),
    [("3", "1", 3), ("", "1", 1), (None, "1,4", 1), (None, "999999", threads._cores())]
    + [(None, nonsense, None) for nonsense in (None, "", "0", "many", "-2")],
)
def test_the_environment(monkeypatch, ours, common, expected):
    for name, value in (("NPNN_NUM_THREADS", ours), ("OMP_NUM_THREADS", common)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert threads._from_environment() == expected


def run_some_kernels():
    """Parts of every kind: products with BLAS, plain loops, sums over chunks."""
    x, w, b = random_input((70, 90), "float32"), random_input((80, 90), "float32"), random_input((80,), "float32")
    target = np.arange(70) % 90
    results = [matmul(x, w, False, True), affine(x, w, b), elementwise.relu(x)]
    return results + list(cross_entropy(x, target, np.empty(0, x.dtype), -100, 0.1))


@needs_numba
@pytest.mark.parametrize("n", [1, 2, 3, 8, 200])
def test_results_do_not_depend_on_the_number_of_threads(restored, monkeypatch, n):
    """Threads may be more than the pool has, and more than there are rows."""
    threads.set_num_threads(1)
    expected = run_some_kernels()
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    threads.set_num_threads(n)
    for actual, result in zip(run_some_kernels(), expected, strict=True):
        np.testing.assert_allclose(actual, result, rtol=1e-5, atol=1e-4)
    for actual, again in zip(run_some_kernels(), run_some_kernels(), strict=True):
        np.testing.assert_array_equal(actual, again)


@needs_numba
def test_a_forked_child_is_serial_even_if_told_otherwise(num_threads, monkeypatch):
    expected = run_some_kernels()
    monkeypatch.setattr(threads, "_in_forked_child", True)
    monkeypatch.setattr(threads, "_start_pool", lambda: pytest.fail("a forked child must not start threads"))
    assert threads.get_num_threads() == 1
    assert threads.split(10**9) == 1
    for actual, result in zip(run_some_kernels(), expected, strict=True):
        np.testing.assert_allclose(actual, result, rtol=1e-5, atol=1e-4)
    v, y = random_input((9,), "float32"), np.empty((9, 5), "float32")
    threads.run(reduce._spread_rows, 4, v, y)  # the number of chunks was taken before the fork
    np.testing.assert_array_equal(y, np.repeat(v[:, None], 5, axis=1))


# ---- nothing global is left changed


def pools():
    import scipy.linalg.cython_blas  # noqa: F401  loads SciPy's BLAS, so that it is listed
    from threadpoolctl import threadpool_info

    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


@needs_numba
def test_every_pool_keeps_its_threads(num_threads):
    import numba

    run_some_kernels()
    before, mask = pools(), numba.get_num_threads()
    run_some_kernels()
    assert pools() == before
    assert numba.get_num_threads() == mask


@pytest.fixture
def blas():
    """SciPy's BLAS with three threads; nothing to hold where the library cannot be told."""
    held = threads.single_threaded_blas()
    if not isinstance(held, threads._OneBlasThread):
        pytest.skip("this BLAS has no functions for its threads")
    before = held.get_threads()
    held.set_threads(3)
    if held.get_threads() != 3:
        pytest.skip("this BLAS cannot have three threads")
    yield held
    assert held.inside == 0
    held.set_threads(before)


def test_only_the_blas_of_compiled_code_is_held(blas):
    before = pools()
    with threads.single_threaded_blas():
        inside = pools()
    assert pools() == before
    changed = {path for path in before if inside[path] != before[path]}
    assert [inside[path] for path in changed] == [1]
    if any("scipy.libs" in path for path in before):
        assert all("scipy.libs" in path for path in changed)


def test_an_error_inside_gives_the_threads_back(blas):
    with pytest.raises(KeyboardInterrupt), threads.single_threaded_blas():
        raise KeyboardInterrupt
    assert blas.get_threads() == 3


def test_one_inside_the_other(blas):
    with threads.single_threaded_blas():
        with threads.single_threaded_blas():
            assert blas.get_threads() == 1
        assert blas.get_threads() == 1
    assert blas.get_threads() == 3


def test_the_last_thread_to_leave_gives_the_threads_back(blas):
    second_is_inside, first_has_left = threading.Event(), threading.Event()
    seen = []

    def second():
        with threads.single_threaded_blas():
            second_is_inside.set()
            assert first_has_left.wait(60)
            seen.append(blas.get_threads())

    other = threading.Thread(target=second)
    with threads.single_threaded_blas():
        other.start()
        assert second_is_inside.wait(60)
    first_has_left.set()
    other.join()
    assert seen == [1]
    assert blas.get_threads() == 3


def test_one_thread_is_not_touched(blas, monkeypatch):
    blas.set_threads(1)
    monkeypatch.setattr(blas, "set_threads", lambda n: pytest.fail("there is nothing to change"))
    with threads.single_threaded_blas():
        pass


# ---- one door


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.py")), ids=lambda p: p.stem)
def test_parallel_loops_run_through_threads_run(path):
    """workqueue, the pool where there is no OpenMP, ends the process if two regions run at once."""
    tree = ast.parse(path.read_text())
    forms = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "parallel"]
    assert len(forms) == {"threads": 1}.get(path.stem, 0), "only threads.run takes the parallel form of a loop"
    compilers = {"numba.njit", "numba.jit", "numba.vectorize", "numba.guvectorize"}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) in compilers]
    assert not found or path.stem == "_cache", "functions are compiled in one place"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "what is this"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
    ],
)
def test_a_container_grants_no_more_than_its_share(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert threads._granted(tmp_path) == expected
    monkeypatch.setattr(threads, "_granted", lambda: expected)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(3), raising=False)
    assert threads._cores() == min(3, expected or 3)
