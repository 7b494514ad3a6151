"""An ONNX graph while it is being written: nodes, the arrays that they need, and names for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data._optional import require
from npnn.onnx.sizes import Batch, Repeated, Size, Value

__all__ = ["OPSET", "Writer", "onnx_package"]

OPSET = 21  # of 2024: the first whose GroupNormalization has a weight for each channel
IR_VERSION = 10  # the file format that goes with it


def onnx_package() -> Any:
    """The onnx package.  Errors: ImportError with the line that installs it."""
    return require("onnx", "npnn.onnx", "onnx")


class Writer:
    """Collects what a GraphProto is made of.

    ``state`` are the model's own arrays, name -> (array, kind); those that a node uses are written, under
    these names, with their kind ("parameter" or "buffer") as a note.  ``batch`` says which axis of
    which input is as long as the batch.
    """

    def __init__(self, state: dict[str, tuple[NDArray[Any], str]], inputs: Sequence[Value], batch: tuple[str, int]):
        self.onnx = onnx_package()
        self.state, self.inputs, self.batch = state, inputs, batch
        self.layer = ""  # whose nodes are being written
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.taken = {*state, *(value.name for value in inputs)}
        self.constants: dict[Any, str] = {}

    def node(self, op_type: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or a tuple of names if there are several.

        Inputs are names, Values, arrays, None for one that is left out, or numbers, which take
        the dtype of the first array that is no condition.
        """
        dtypes = [x.dtype for x in inputs if isinstance(x, (Value, np.ndarray, np.generic)) and x.dtype != bool]
        names = [self._input(x, dtypes[0] if dtypes else None) for x in inputs]
        while names and not names[-1]:
            names.pop()
        name = self._unique(f"{self.layer}/{op_type}" if self.layer else op_type)
        results = [name] if outputs == 1 else [self._unique(f"{name}.{i}") for i in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(op_type, names, results, name, **given))
        return name if outputs == 1 else tuple(results)

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are written once."""
        array = np.asarray(value, dtype)
        key = array.dtype, array.shape, array.tobytes()
        if key not in self.constants:
            name = self.constants[key] = self._unique("Constant")
            tensor = self.onnx.numpy_helper.from_array(array, name)
            self.nodes.append(self.onnx.helper.make_node("Constant", [], [name], name, value=tensor))
        return self.constants[key]

    def shape(self, sizes: Sequence[Size]) -> str:
        """The name of a vector of these sizes, worked out when the graph is run if one grows with the batch."""
        if not any(isinstance(size, Batch) for size in sizes):
            return self.constant(list(sizes), np.int64)
        name, axis = self.batch
        batch = self.node("Shape", name, start=axis, end=axis + 1)
        parts = []
        for size in sizes:
            if not isinstance(size, Batch):
                parts.append(self.constant([size], np.int64))
            else:
                parts.append(batch if size.times == 1 else self.node("Mul", batch, np.array([size.times])))
        return self.node("Concat", *parts, axis=0)

    def _input(self, x: Any, dtype: Any) -> str:
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, Value):
            if x.name in self.state and x.name not in self.initializers:
                array, kind = self.state[x.name]
                tensor = self.initializers[x.name] = self.onnx.numpy_helper.from_array(array, x.name)
                tensor.doc_string = kind
            return x.name
        if isinstance(x, Repeated):
            return self.node("Expand", x.array, self.shape(x.shape))
        if isinstance(x, Batch):  # the size itself, as a number to compute with
            return self.node("Cast", self.node("Squeeze", self.shape([x])), to=self.dtype(dtype))
        return self.constant(x, None if isinstance(x, (np.ndarray, np.generic)) else dtype)

    def _unique(self, name: str) -> str:
        found, i = name, 0
        while found in self.taken:
            i += 1
            found = f"{name}_{i}"
        self.taken.add(found)
        return found

    def model(self, outputs: Sequence[tuple[str, Value]]) -> Any:
        """The ModelProto whose outputs are these Values, under these names."""
        helper = self.onnx.helper
        results = {self._unique(name): value for name, value in outputs}
        made = {name for node in self.nodes for name in node.output}
        renamed: dict[str, str] = {}
        for name, value in results.items():
            if value.name in made and value.name not in renamed:
                renamed[value.name] = name
            else:  # an input, a weight, or what is returned twice
                self.nodes.append(helper.make_node("Identity", [self._input(value, None)], [name], name))
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [renamed.get(name, name) for name in names]
        graph = helper.make_graph(
            self.nodes, "npnn", [self._info(value.name, value) for value in self.inputs],
            [self._info(name, value) for name, value in results.items()], list(self.initializers.values()),
        )  # fmt: skip
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="npnn")

    def _info(self, name: str, value: Value) -> Any:
        """The declaration of an input or output: its name, dtype and shape."""
        sizes = [size if isinstance(size, int) else f"{size.times} batch".removeprefix("1 ") for size in value.shape]
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, sizes)

    def dtype(self, dtype: Any) -> int:
        """ONNX's number for a NumPy dtype."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
