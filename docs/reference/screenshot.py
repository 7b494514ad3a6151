"""Draws a digit on the page of ``python -m npnn.demo`` and keeps what one sees: python -m docs.reference.screenshot"""

from __future__ import annotations

import io
import shutil
import threading

from docs.reference.names import ROOT
from npnn.demo import Network, serve

STROKES = [[(0.32, 0.3), (0.45, 0.2), (0.62, 0.24), (0.62, 0.4), (0.48, 0.48)],
           [(0.48, 0.48), (0.66, 0.56), (0.68, 0.72), (0.52, 0.82), (0.34, 0.76)]]  # fmt: skip


def main() -> None:
    """Write figs/demo.png."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    server = serve(Network(ROOT / "best_models" / "mnist-best-cnn.safetensors"), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 960, "height": 760})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        box = page.locator("#paper").bounding_box()
        assert box is not None
        for stroke in STROKES:
            for i, (x, y) in enumerate(stroke):
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
                if not i:
                    page.mouse.down()
            page.mouse.up()
        page.wait_for_function("document.querySelectorAll('.layer canvas').length > 8")
        page.wait_for_timeout(500)
        picture = page.screenshot()
        browser.close()
    server.shutdown()
    Image.open(io.BytesIO(picture)).convert("P", palette=Image.Palette.ADAPTIVE).save(
        ROOT / "figs" / "demo.png", optimize=True
    )


if __name__ == "__main__":
    main()
