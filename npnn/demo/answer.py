"""What a saved network says to a drawing: how sure it is of each class, and the maps of its layers."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.drawing import centred
from npnn.errors import LayerError
from npnn.experiment.config import UserError
from npnn.experiment.results import restored
from npnn.look.maps import stages
from npnn.nn.functional import softmax
from npnn.tensor import of_array

__all__ = ["Answer", "Network"]

SIDES = {
    28: 20,
    8: 8,
}  # of the squares that saved networks know, MNIST's and scikit-learn's: pixels, those of the digit
MAPS = 8  # of each layer


@dataclass(frozen=True)
class Answer:
    """picture (side, side), probabilities (C,), and of each layer with maps its name and (M, h, w) from 0 to 1."""

    picture: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    layers: list[tuple[str, NDArray[np.float32]]]

    def message(self) -> dict[str, Any]:
        """For the page: numbers, and grey pictures as bytes in base64."""
        return {
            "picture": _grey(self.picture),
            "probabilities": [round(float(p), 4) for p in self.probabilities],
            "layers": [{"name": name, "maps": [_grey(one) for one in maps]} for name, maps in self.layers],
        }


def _grey(values: NDArray[np.float32]) -> dict[str, Any]:
    data = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return {"height": data.shape[0], "width": data.shape[1], "data": base64.b64encode(data.tobytes()).decode()}


class Network:
    """A saved network of grey pictures.

    Errors: CheckpointError for a damaged file, UserError for one that no run wrote, or that takes other pictures.
    """

    def __init__(self, path: str | os.PathLike[str]):
        saved = restored(path)
        self.model = saved.model.eval()
        self.title = f"{saved.run['experiment']}, {saved.run['variant']}"
        self.side = self._side(path)

    def _side(self, path: Any) -> int:
        for side in SIDES:
            try:
                stages(self.model, np.zeros((1, side, side), np.float32))
            except (LayerError, ValueError, IndexError):
                continue
            return side
        sizes = " or ".join(f"{side}×{side}" for side in SIDES)
        raise UserError(f"{path} is no network of grey pictures of {sizes} pixels: draw for one of those")

    def answer(self, drawing: NDArray[np.uint8]) -> Answer | None:
        """The answer to a drawing (H, W); None if nothing is drawn."""
        picture = centred(drawing, self.side, SIDES[self.side])
        if picture is None:
            return None
        found = stages(self.model, picture[None])
        probabilities = softmax(of_array(found[-1].values), 0).numpy()
        kinds = ("Conv", "ReLU", "GELU", "Tanh", "Sigmoid", "MaxPool", "AvgPool")
        layers = [
            (f"{stage.name} ({stage.kind})", _scaled(stage.values[:MAPS]))
            for stage in found
            if stage.values.ndim == 3 and stage.kind.startswith(kinds) and stage.values.shape[1] > 1
        ]
        return Answer(picture, probabilities, layers)


def _scaled(maps: NDArray[Any]) -> NDArray[np.float32]:
    """Of one layer: its smallest value black, its largest white."""
    low, high = maps.min(), maps.max()
    return ((maps - low) / max(high - low, 1e-12)).astype(np.float32)
