"""Writing: the old file or the new one, whole, whatever happens."""

from __future__ import annotations

import errno
import os
import signal
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


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_disk_that_fails_late_leaves_the_old_file(tmp_path, monkeypatch, failing):
    """Some disks tell only then that they are full."""
    path = tmp_path / "weights"
    io.save_file({"x": np.arange(3)}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        io.save_file({"x": np.arange(100_000)}, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["weights"]
    np.testing.assert_array_equal(io.load_file(path)["x"], np.arange(3))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk):
    path = small_disk / "run.safetensors"
    first = np.arange(100_000, dtype=np.float32)  # 0.4 of the megabyte
    io.save_checkpoint({"weights": first}, path)
    with pytest.raises(OSError, match="No space left"):
        io.save_checkpoint({"weights": np.zeros(250_000, np.float32)}, path)  # 1.0 do not fit beside it
    assert os.listdir(small_disk) == [path.name]
    np.testing.assert_array_equal(io.load_checkpoint(path)["weights"], first)
    io.save_checkpoint({"weights": -first}, path)  # as much as before does, again
    np.testing.assert_array_equal(io.load_checkpoint(path)["weights"], -first)


# A limit on the size of a file stops the writing half-way, as a full disk does, and needs no rights.
TOO_LARGE = """
import errno, os, resource, sys
import numpy as np
from npnn import io

path, size = sys.argv[1], 100_000
io.save_checkpoint({"weights": np.ones(size)}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (size * 10, size * 10))
try:
    io.save_checkpoint({"weights": np.zeros(2 * size)}, path)
except OSError as error:
    assert error.errno == errno.EFBIG, error
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert (io.load_checkpoint(path)["weights"] == 1).all()
    print("the old file is whole")
"""


@posix
def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path):
    assert in_a_new_process(TOO_LARGE, tmp_path / "run.safetensors") == "the old file is whole\n"


@posix
def test_what_a_killed_process_left_is_cleared_by_the_next_save_of_the_same_file(tmp_path):
    path, other = tmp_path / "x", tmp_path / "y"
    write(other)
    for target in (path, other):
        left = subprocess.run([sys.executable, "-c", DIES, str(target)])
        assert left.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 3
    write(path)
    assert len([name for name in os.listdir(tmp_path) if name.startswith(".npnn-")]) == 1  # of the other one
    write(other)
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]


DIES = """
import os, signal, sys
from npnn.io.atomic import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_writers_of_one_file_do_not_clear_each_other(tmp_path):
    path = tmp_path / "x"
    with atomic_write(path) as slow:
        slow.write(b"slow")
        write(path, b"quick")
        assert path.read_bytes() == b"quick"
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["x"]


@posix
def test_a_file_that_was_cleared_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    flock, names = atomic.fcntl.flock, []

    def late(file, operation):
        if not names:
            names.append(file.name)
            os.unlink(file.name)  # as another process that saves here would
        flock(file, operation)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    write(tmp_path / "x")
    assert names
    assert (tmp_path / "x").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@posix
def test_a_folder_without_locks_is_written_to_and_never_cleared(tmp_path, monkeypatch):
    def unsupported(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", unsupported)
    path = tmp_path / "x"
    with atomic_write(path):
        write(path)  # another writer's file must stay
    assert os.listdir(tmp_path) == ["x"]


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

path, kills = sys.argv[1], int(sys.argv[2])
folder, moments, last, while_writing = os.path.dirname(path), random.Random(), 0, 0
for _ in range(kills):
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
    left = len(os.listdir(folder)) - 1
    assert left <= 1, "the files of earlier kills were not cleared"
    while_writing += left
io.save_checkpoint({}, path)
assert os.listdir(folder) == [os.path.basename(path)]
print(f"{kills} kills, {while_writing} of them in mid-file, {last} files saved: the last one always loaded")
"""


@posix
def test_killed_while_saving_the_last_file_always_loads(tmp_path):
    """20 times, or as often as NPNN_KILLS says."""
    kills = os.environ.get("NPNN_KILLS", "20")
    result = in_a_new_process(KILLER, tmp_path / "run.safetensors", kills)
    print(result)  # for pytest -s
    assert result.startswith(f"{kills} kills")
    assert result.endswith("the last one always loaded\n")


def in_a_new_process(program, *arguments):
    """What the program prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process with threads should not fork
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout
