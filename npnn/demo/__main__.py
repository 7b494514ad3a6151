"""Draw a digit and watch a saved network answer: python -m npnn.demo best_models/mnist-best-cnn.safetensors"""

from __future__ import annotations

import argparse
import contextlib
import sys
import webbrowser
from pathlib import Path

from npnn.demo.answer import Network
from npnn.demo.server import HOST, serve
from npnn.errors import CheckpointError
from npnn.experiment.config import UserError

USUAL = Path("best_models/mnist-best-cnn.safetensors")


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m npnn.demo", description=__doc__)
    found.add_argument("file", type=Path, nargs="?", default=USUAL, metavar="FILE",
                       help=f"a .safetensors file that a run on digits wrote; default: {USUAL}")  # fmt: skip
    found.add_argument("--port", type=int, default=8000, help="default: 8000; 0 is any that is free")
    found.add_argument("--no-browser", action="store_true", help="open no browser")
    return found


def main(argv: list[str] | None = None) -> int:
    """Serve until Ctrl-C; the exit code."""
    arguments = parser().parse_args(argv)
    try:
        server = serve(Network(arguments.file), arguments.port)
    except (UserError, CheckpointError, FileNotFoundError, OverflowError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: port {arguments.port}: {error.strerror}; --port 0 takes one that is free", file=sys.stderr)
        return 1
    address = f"http://{HOST}:{server.server_port}/"
    print(f"{address}   Ctrl-C ends", flush=True)
    if not arguments.no_browser:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
