"""The built site (``make docs``): no dead link, no page wider than its window, no error in the browser, a search that finds.

Skipped where the site has not been built; what needs a browser, where there is none.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import random
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from npnn.demo import Network, serve

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "build" / "docs" / "html"
pytestmark = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: make docs")
WIDTHS = {"phone": 390, "desk": 1280}


class Links(HTMLParser):
    """The addresses that a page points to, and the places in it that can be pointed to."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


@functools.cache
def pages() -> dict[Path, Links]:
    found = (path for path in SITE.rglob("*.html") if not {"_static", "_downloads"} & set(path.parts))
    return {path: Links(path.read_text()) for path in found}


def chosen() -> list[str]:
    """All pages that somebody wrote, and some of the reference."""
    if not SITE.exists():
        return []
    found = sorted(path.relative_to(SITE).as_posix() for path in pages())
    reference = [name for name in found if name.startswith("api/npnn")]
    written = [name for name in found if name not in reference]
    return written + random.Random(0).sample(reference, min(12, len(reference)))


def test_there_are_many_pages():
    assert len(pages()) >= 60


def test_every_tutorial_ends_in_a_figure():
    """And no cell shows the name of an object in the place of a picture."""
    tutorials = [path for path in pages() if path.parent.name == "tutorials" and path.stem != "index"]
    assert len(tutorials) >= 8
    for path in [*tutorials, SITE / "guide" / "from_numpy.html"]:
        text = path.read_text()
        assert "&lt;Figure" not in text, path
        assert "&lt;Axes" not in text, path
        assert re.search(r'<img[^>]+src="\.\./_images/\w+\.png"', text), path


def test_no_link_is_dead():
    dead = []
    for path, page in pages().items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages().get(target)
            if not target.exists():
                dead.append(f"{path.relative_to(SITE)}: {link}")
            elif parts.fragment and known and unquote(parts.fragment) not in known.places:
                dead.append(f"{path.relative_to(SITE)}: {link}, a place that is not there")
    assert dead == []


def test_nothing_is_fetched_from_elsewhere():
    """The site can be read without a network."""
    fetched = set()
    for path in pages():
        fetched |= set(re.findall(r'<(?:script|img)[^>]+src="(https?:[^"]+)"', path.read_text()))
        fetched |= set(re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(https?:[^"]+)"', path.read_text()))
    assert fetched == set()


# ---- in a browser


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launch = functools.partial(playwright.chromium.launch, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        installed = shutil.which("chromium") or shutil.which("chromium-browser")
        try:
            found = launch(executable_path=installed) if installed else launch()
        except sync_api.Error:
            pytest.skip("there is no browser")
        yield found
        found.close()


@contextlib.contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def address():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))) as found:
        yield found


@pytest.fixture(params=WIDTHS)
def window(browser, request):
    """A page of the browser that remembers what went wrong in it."""
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda asked: page.wrong.append(asked.url))
    yield page
    page.close()


@pytest.mark.parametrize("name", chosen())
def test_a_page_opens(window, address, name):
    window.goto(f"{address}/{name}")
    assert window.title()
    assert window.wrong == []
    wider = window.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1, f"{name} is {wider} pixels wider than its window"


def test_the_search_finds(window, address):
    window.goto(f"{address}/search.html?q=Conv2d")
    window.wait_for_selector("#search-results li a")
    found = window.eval_on_selector_all("#search-results li a", "links => links.map(link => link.textContent)")
    assert any("Conv2d" in text for text in found), found
    assert window.wrong == []


def test_a_drawn_digit_is_answered(window):
    network = Network(ROOT / "best_models" / "mnist-best-cnn.safetensors")
    with running(serve(network, 0)) as address:
        window.goto(address)
        box = window.locator("#paper").bounding_box()
        places = [(0.3, 0.25), (0.7, 0.25), (0.5, 0.8)]  # a seven
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        window.mouse.move(*points[0])
        window.mouse.down()
        for point in points[1:]:
            window.mouse.move(*point, steps=12)
        window.mouse.up()
        window.wait_for_function("document.querySelectorAll('.layer canvas').length > 8")
        window.wait_for_function("document.getElementById('answer').textContent.startsWith('7,')")
        assert window.locator("#bars tr").count() == 10
        assert window.wrong == []
        wider = window.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 1
        window.click("#clear")
        assert window.locator(".layer").count() == 0
