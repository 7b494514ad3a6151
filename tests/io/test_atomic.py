"""Writing: the old file or the new one, whole, whatever happens."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from npnn import io
from npnn.io import atomic
from npnn.io.atomic import atomic_write

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and signals of POSIX")


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


def test_a_new_file_and_a_replaced_one(tmp_path):
    path = tmp_path / "x"
    write(path, b"old")
    assert path.read_bytes() == b"old"
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_on_the_way_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "x"
    write(path, b"old")
    with pytest.raises(error), atomic_write(path) as file:  # noqa: PT012  the block is what is tested
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "weights"
    io.save_file({"x": np.arange(3)}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "write":

        class FullDisk:
            def __init__(self, *args):
                self.file = open(*args)  # noqa: SIM115  closed below

            def __enter__(self):
                return self

            def __exit__(self, *exc):
                self.file.close()

            def write(self, content):
                self.file.write(bytes(content)[:5])
                full()

        monkeypatch.setattr(atomic, "open", FullDisk, raising=False)
    else:
        monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        io.save_file({"x": np.arange(100_000)}, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["weights"]
    np.testing.assert_array_equal(io.load_file(path)["x"], np.arange(3))


def test_the_bytes_reach_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b)))
    write(tmp_path / "x")
    assert events == ["sync", "replace", "sync"] if os.name == "posix" else events[:2] == ["sync", "replace"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_the_umasks(tmp_path, umask):
    before = os.umask(umask)
    try:
        write(tmp_path / "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~umask


@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "x", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "real" / "y")
    write(dangling)
    assert (tmp_path / "real" / "y").read_bytes() == b"new"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="not a regular file"):
        write(loop)


def test_folders_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write(tmp_path / "none" / "x")
    assert os.listdir(tmp_path) == []


@posix
def test_devices_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(OSError, match="not a regular file"):
            write(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(io.CheckpointError, match="a folder or a device"):
        io.load_file(tmp_path / "pipe")


# Children that save without a pause are killed at random moments; what they leave must load each time.
KILLER = """
import os, random, signal, sys, time
import numpy as np
from npnn import io

path, moments, last = sys.argv[1], random.Random(0), 0
for kills in range(20):
    child = os.fork()
    if child == 0:
        while True:
            last += 1
            io.save_checkpoint({"weights": np.full(200_000, last, np.float32), "step": last}, path)
    while not os.path.exists(path):
        time.sleep(0.001)
    time.sleep(moments.random() * 0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    saved = io.load_checkpoint(path)
    assert saved["step"] >= last and (saved["weights"] == saved["step"]).all(), (saved["step"], last)
    last = saved["step"]
print("survived", kills + 1, "kills and", last, "files")
"""


@posix
def test_killed_while_saving_the_last_file_always_loads(tmp_path):
    command = [sys.executable, "-c", KILLER, str(tmp_path / "run.safetensors")]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process with threads should not fork
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("survived 20 kills")
