"""Finding, fetching and checking files, against a small server on the loopback interface."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from npnn.data import files
from npnn.data.download import Remote
from npnn.data.files import cache_folder, locate
from npnn.errors import DataError

CONTENTS = bytes(range(256)) * 500
SHA256 = hashlib.sha256(CONTENTS).hexdigest()


class Mirror(http.server.BaseHTTPRequestHandler):
    """/good/ serves the file, also a part of it; /whole/ knows no parts; /other/ serves other bytes; /short/
    breaks off half-way; anything else is missing."""

    def do_GET(self):
        kind = self.path.split("/")[1]
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.asked.append(f"{kind} from {begin}" if begin else kind)
        if kind not in ("good", "whole", "other", "short"):
            self.send_error(404)
            return
        body = CONTENTS[::-1] if kind == "other" else CONTENTS
        if begin >= len(body) and kind != "whole":
            self.send_error(416)
            return
        self.send_response(206 if begin and kind != "whole" else 200)
        body = body if kind == "whole" else body[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "short" else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, and no NPNN_DATA."""
    monkeypatch.delenv("NPNN_DATA", raising=False)
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def remote(mirror, *kinds):
    return Remote("thing.bin", SHA256, [f"{mirror.url}{kind}/" for kind in kinds])


def fetch(mirror, *kinds):
    pytest.importorskip("requests")
    return locate(["thing", "thing.bin"], ["things", "."], remote(mirror, *kinds))


def everything_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_file_that_is_there_is_not_fetched(cache, mirror, tmp_path, monkeypatch):
    (cache / "things").mkdir(parents=True)
    (cache / "things" / "thing.bin").write_bytes(b"from the cache")
    assert locate(["thing", "thing.bin"], ["things"], remote(mirror)).read_bytes() == b"from the cache"
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("NPNN_DATA", str(own))
    assert locate(["thing", "thing.bin"], ["things"], remote(mirror)).read_bytes() == b"from the cache"
    (own / "thing").write_bytes(b"from NPNN_DATA")
    assert locate(["thing", "thing.bin"], ["things", "."], remote(mirror)).read_bytes() == b"from NPNN_DATA"
    assert mirror.asked == []


def test_download_goes_to_the_cache(cache, mirror):
    path = fetch(mirror, "good")
    assert path == cache / "things" / "thing.bin"
    assert path.read_bytes() == CONTENTS
    assert fetch(mirror, "good") == path
    assert mirror.asked == ["good"], "the second time it is there"


def test_download_goes_to_npnn_data_if_that_is_set(cache, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("NPNN_DATA", str(tmp_path))
    assert fetch(mirror, "good") == tmp_path / "things" / "thing.bin"
    assert not cache.exists()


@pytest.mark.parametrize("broken", ["other", "short", "missing"])
def test_a_broken_mirror_is_passed_over_for_the_next(cache, mirror, broken):
    path = fetch(mirror, broken, "good")
    assert path.read_bytes() == CONTENTS
    assert mirror.asked[0] == broken
    assert re.fullmatch(r"good from \d+" if broken == "short" else "good", mirror.asked[1])
    assert everything_in(cache) == ["things/thing.bin"], "nothing of the failed download may stay"


HALF = len(CONTENTS) // 2


def test_a_download_that_broke_off_goes_on_where_it_stopped(cache, mirror):
    with pytest.raises(DataError):
        fetch(mirror, "short")
    assert everything_in(cache) == ["things/thing.bin.part"]
    assert HALF * 0.8 < (cache / "things" / "thing.bin.part").stat().st_size <= HALF
    path = fetch(mirror, "short", "short", "good")  # half of the rest, half of that, and the rest
    assert path.read_bytes() == CONTENTS
    begun = [int(re.fullmatch(r"(short|good) from (\d+)", asked)[2]) for asked in mirror.asked[1:]]
    assert 0 < begun[0] < begun[1] < begun[2]


@pytest.mark.parametrize(
    ("begun", "kind", "asked"),
    [
        (CONTENTS[:HALF], "whole", [f"whole from {HALF}"]),  # all of it comes, and replaces what was there
        (CONTENTS, "good", [f"good from {len(CONTENTS)}"]),  # only the name was missing
        (CONTENTS[::-1][:HALF], "good", [f"good from {HALF}", "good"]),  # the beginning was wrong
        (CONTENTS + b"more", "good", [f"good from {len(CONTENTS) + 4}", "good"]),
    ],
)
def test_whatever_an_earlier_attempt_left(cache, mirror, begun, kind, asked):
    (cache / "things").mkdir(parents=True)
    (cache / "things" / "thing.bin.part").write_bytes(begun)
    assert fetch(mirror, kind).read_bytes() == CONTENTS
    assert mirror.asked == asked
    assert everything_in(cache) == ["things/thing.bin"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the second waits where files can be locked")
def test_two_that_fetch_at_once_get_one_file(cache, mirror):
    pytest.importorskip("requests")
    found = []
    others = [threading.Thread(target=lambda: found.append(fetch(mirror, "good"))) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [path.read_bytes() == CONTENTS for path in found] == [True] * 4
    assert mirror.asked == ["good"]


def test_when_every_mirror_is_broken_the_error_says_what_to_do(cache, mirror):
    with pytest.raises(DataError) as caught:
        fetch(mirror, "other", "short", "missing")
    text = str(caught.value)
    for part in (
        "thing.bin was not found", "Looked for thing or thing.bin in:", str(cache / "things"), SHA256, "404",
        f"{mirror.url}short/thing.bin", "by hand", "set NPNN_DATA",
    ):  # fmt: skip
        assert part in text
    assert f"other/thing.bin: it has the SHA-256 {hashlib.sha256(CONTENTS[::-1]).hexdigest()}" in text


def test_no_connection(cache, mirror):
    nobody = Remote("thing.bin", SHA256, ["http://127.0.0.1:9/"])
    pytest.importorskip("requests")
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/thing.bin"):
        locate(["thing"], ["."], nobody)


def test_npnn_data_must_be_a_folder(cache, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("NPNN_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"NPNN_DATA is set to .*typo.*, which is not a folder"):
        locate(["thing"], ["."], remote(mirror, "good"))


def test_without_requests_one_line_says_how_to_get_it(cache, mirror, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ImportError, match=r"downloading thing.bin needs requests: pip install npnn\[data\]"):
        locate(["thing"], ["."], remote(mirror, "good"))


def test_without_scikit_learn_one_line_says_how_to_get_it(monkeypatch):
    from npnn.data import load_digits, make_toy

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for call in (load_digits, lambda: make_toy("moons")):
        with pytest.raises(ImportError, match=r"needs scikit-learn: pip install npnn\[experiments\]"):
            call()


@pytest.mark.parametrize(("platform", "variable", "expected"), [
    ("linux", "XDG_CACHE_HOME", "base/npnn"),
    ("win32", "LOCALAPPDATA", "base/npnn/Cache"),
    ("linux", None, "home/.cache/npnn"),
    ("darwin", None, "home/Library/Caches/npnn"),
])  # fmt: skip
def test_cache_folder(platform, variable, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(files.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "base"))
    assert cache_folder() == tmp_path / expected


def test_a_user_without_a_home_directory(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert tmp_path in files.cache_folder().parents
