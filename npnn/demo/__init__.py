"""Draw a digit and watch a saved network answer: ``python -m npnn.demo``, a page on this computer only."""

from npnn.data.drawing import centred
from npnn.demo.answer import Answer, Network
from npnn.demo.server import serve

__all__ = ["Answer", "Network", "centred", "serve"]
