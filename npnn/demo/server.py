"""The server of the page: Python's own, for this computer only."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from npnn.demo.answer import Network
from npnn.demo.page import page

__all__ = ["HOST", "serve"]

HOST = "127.0.0.1"
SIDE = 280  # pixels of the paper


def serve(network: Network, port: int = 8000) -> ThreadingHTTPServer:
    """A server that is ready: ``serve_forever()`` begins, ``shutdown()`` ends.  Port 0 is any that is free.

    Only this computer reaches it, and only under its own name, so that no page of another site can ask it.
    Errors: OSError for a port that is taken.
    """
    text, alone = page(network.title).encode(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._is_ours():
                return
            if self.path != "/":
                self._send(404, b"there is one page: /", "text/plain")
                return
            self._send(200, text, "text/html")

        def do_POST(self) -> None:
            if not self._is_ours():
                return
            length = self.headers.get("Content-Length", "")
            if self.path != "/answer" or length != str(SIDE * SIDE):
                self._send(400, f"a drawing is {SIDE * SIDE} bytes for /answer".encode(), "text/plain")
                return
            drawing = np.frombuffer(self.rfile.read(SIDE * SIDE), np.uint8)
            if drawing.size != SIDE * SIDE:  # the page went away
                return
            with alone:
                found = network.answer(drawing.reshape(SIDE, SIDE))
            self._send(200, json.dumps({} if found is None else found.message()).encode(), "application/json")

        def _is_ours(self) -> bool:
            name, _, _ = self.headers.get("Host", "").rpartition(":")
            if name in (HOST, "localhost"):
                return True
            self._send(403, b"this page is for this computer only", "text/plain")
            return False

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass  # a line for each stroke helps nobody

    return ThreadingHTTPServer((HOST, port), Handler)
