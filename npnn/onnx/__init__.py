"""ONNX: models written so that other programs can run them, and read so that npnn can train them on.

``export(model, example_input, path)`` runs the model and writes down which operations it applied;
``load(path)`` makes a Module of such a file.  An operation's way there and its way back stand side by
side, in the file of its family (elementwise, shape, reductions, linear, convolution, ...).  The onnx
package is imported when it is first needed: ``pip install npnn[onnx]``.
"""

from npnn.onnx import families
from npnn.onnx.export import export
from npnn.onnx.load import Graph, load
from npnn.onnx.table import ONNXError

__all__ = ["Graph", "ONNXError", "export", "families", "load"]
