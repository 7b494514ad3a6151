"""What every test starts from, and what none may leave behind."""

from __future__ import annotations

import os
import signal

# A shell starts a program in the background with Ctrl-C ignored; the tests of interrupts need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Test processes share the cores: a thread that waits must sleep, not spin.  Read when OpenMP loads, hence first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest

import npnn
from npnn.kernels import _cache, threads
from tests.parity import torch

# The line that says so would be in whatever a test captures, if it happens to be the first that needs a kernel.
_cache._said.add("compiling kernels for this machine, the first run takes a while ...")

if torch is not None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def sealed():
    """Each test starts from one seed, and must leave the global switches as it found them."""
    before = npnn.get_num_threads()
    npnn.manual_seed(0)
    yield
    assert npnn.is_grad_enabled(), "the test left gradients switched off"
    assert npnn.get_num_threads() == before, "the test left another number of threads"


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def num_threads(request, monkeypatch):
    """Run the test with one and with two threads, sharing out even the smallest work."""
    before = npnn.get_num_threads()
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    npnn.set_num_threads(request.param)
    yield request.param
    npnn.set_num_threads(before)
