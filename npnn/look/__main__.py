"""What a saved network has learned, on one page: python -m npnn.look best_models/mnist-best-cnn.safetensors"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import CheckpointError, DataError
from npnn.experiment.config import UserError
from npnn.experiment.picture import read_picture
from npnn.experiment.results import restored
from npnn.look.page import look
from npnn.look.subject import subject


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m npnn.look", description=__doc__)
    found.add_argument("file", type=Path, metavar="FILE", help="a .safetensors file that a run of an experiment wrote")
    found.add_argument("--out", type=Path, default=Path("look.html"), metavar="PAGE", help="default: look.html")
    found.add_argument(
        "--data", type=Path, metavar="PATH",
        help="the folder of the data sets (else NPNN_DATA), or an .npz file with arrays images and labels, which are "
        "given to the network as they are",
    )  # fmt: skip
    found.add_argument("--layers", nargs="+", metavar="L", help="layers by name or kind, whose units are shown")
    found.add_argument(
        "--image", type=Path, metavar="PICTURE", help="a picture of your own, to follow through the layers"
    )
    return found


def main(argv: list[str] | None = None) -> int:
    """Write the page; its exit code."""
    arguments = parser().parse_args(argv)
    begun = time.perf_counter()
    try:
        saved = restored(arguments.file)
        net = subject(saved.model)
        for layer in arguments.layers or ():
            net.find(layer)
        x, y, names, problem = _data(saved, arguments.data)
        if problem:
            print(f"no data: {problem}", file=sys.stderr)
        picture = None
        if arguments.image is not None:
            picture, said = read_picture(arguments.image, x)
            print("\n".join(said))
        title = f"{saved.run['experiment']}, {saved.run['variant']}: what the network has learned"
        page = look(net, x, y, names, picture, arguments.layers, title)
        size = page.save(arguments.out)
    except (UserError, CheckpointError, DataError, ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}, {size / 1e6:.1f} MB, {time.perf_counter() - begun:.0f} s")
    return 0


def _data(saved: Any, path: Path | None) -> tuple[NDArray[Any] | None, NDArray[Any] | None, Any, str]:
    """The test set of the experiment or of a file, the classes' names, and why there is none."""
    if path is not None and path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise UserError(f"{path} has no array 'images', but {', '.join(arrays) or 'none'}")
            return arrays["images"], arrays.get("labels"), None, ""
    if path is not None:
        if not path.is_dir():
            raise UserError(f"--data {path} is neither a folder nor an .npz file")
        os.environ["NPNN_DATA"] = str(path)
    try:
        data = saved.experiment.data(saved.config)
    except (DataError, OSError) as error:
        return None, None, None, str(error)
    return data.test_x, data.test_y, data.classes, ""


if __name__ == "__main__":
    sys.exit(main())
