"""From an ONNX graph to a Module that computes it, node by node, and that can be trained further."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from npnn import dtypes
from npnn.errors import CheckpointError
from npnn.nn.module import Module, Parameter
from npnn.onnx.table import READERS, ONNXError
from npnn.onnx.writer import OPSET, onnx_package
from npnn.tensor import of_array

__all__ = ["Graph", "load"]

STANDARD = ("", "ai.onnx")  # the names of ONNX's own set of operators
OLDEST = 18  # the opset from which on the operators mean what the readers take them for
ASKS_WHERE = 11  # the opset from which on a Resize says where a pixel lies; before it was always at its corner

# Inputs that are not trained, by operator and position: running statistics and limits
NOT_TRAINED = {"BatchNormalization": (3, 4), "Clip": (1, 2), "Pad": (2,)}


def load(path_or_proto: Any) -> Graph:
    """The Module that computes an ONNX graph, read from a file or a ModelProto.

    Weights become Parameters under their names in the graph, so that a model that was exported has the
    same keys in its state_dict again; running statistics become buffers.  Gradients flow through every
    operator.  The graph is one for evaluation: batch normalisation, for example, uses the
    statistics that it has, also in training mode.

    Errors: ONNXError that names the node and the operator that cannot be computed; CheckpointError for a
    file that is missing or no ONNX model; ImportError without the onnx package.
    """
    onnx = onnx_package()
    if isinstance(path_or_proto, onnx.ModelProto):
        return Graph(path_or_proto)
    try:
        proto = onnx.load(os.fspath(path_or_proto))
        onnx.checker.check_model(_with_shapes(proto))
    except OSError as error:
        raise CheckpointError(path_or_proto, (error.strerror or str(error)).lower()) from error
    except Exception as error:  # protobuf's and the checker's have no base in common
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(path_or_proto, f"not an ONNX model, or damaged ({reason})") from error
    return Graph(proto)


@dataclass(frozen=True)
class Node:
    """One operator: the names of what it takes and gives, and of what no one needs after it."""

    name: str
    op_type: str
    arguments: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    done: tuple[str, ...]


class Graph(Module):
    """A Module that computes an ONNX graph: see load.   The graph's inputs, in its order -> its output, or a tuple."""

    def __init__(self, proto: Any):
        onnx = onnx_package()
        proto, opsets = _readable(onnx, proto)
        graph = proto.graph
        self._where: dict[str, tuple[Module, str]] = {}  # name in the graph -> a module of the tree, and an attribute
        self.constants = Module()
        not_trained = {n.input[i] for n in graph.node for i in NOT_TRAINED.get(n.op_type, ()) if i < len(n.input)}
        for tensor in graph.initializer:
            kind = tensor.doc_string
            if kind not in ("parameter", "buffer"):  # written by another program
                trained = len(tensor.dims) > 0 and tensor.name not in not_trained
                kind = "buffer" if tensor.name in not_trained else "parameter" if trained else "constant"
            self._hold(tensor.name, kind, _array(onnx, tensor))
        for n in graph.node:
            if n.op_type == "Constant":
                ((name, value),) = _attributes(onnx, n.attribute).items()
                self._hold(n.output[0], "constant", _array(onnx, value) if name == "value" else dtypes.as_array(value))
        self._inputs = tuple(value.name for value in graph.input if value.name not in self._where)
        self._outputs = tuple(value.name for value in graph.output)
        operators = [n for n in graph.node if n.op_type != "Constant"]
        self._nodes = _nodes(onnx, operators, opsets, {"", *self._outputs, *self._where})

    def _hold(self, name: str, kind: str, array: NDArray[Any]) -> None:
        """Make an array of the graph a part of the tree: ``a.b.weight`` is the attribute weight of the module a.b."""
        if kind == "constant":
            owner, attribute = self.constants, f"constant_{len(vars(self.constants))}"
            owner.register_buffer(attribute, of_array(array), persistent=False)  # no weight, but cast with them
        else:
            owner, attribute = self._place(name)
            if kind == "parameter" and array.dtype.kind == "f":
                setattr(owner, attribute, Parameter(array))
            else:
                owner.register_buffer(attribute, of_array(array))
        self._where[name] = owner, attribute

    def _place(self, name: str) -> tuple[Module, str]:
        *path, attribute = name.split(".")
        owner: Module = self
        for part in path:
            if not hasattr(owner, part):
                setattr(owner, part, Module())
            owner = getattr(owner, part)
            if not isinstance(owner, Module):
                break
        if not isinstance(owner, Module) or hasattr(owner, attribute):
            return self, f"weight_{len(self._where)}"  # a name that cannot be one in the tree
        return owner, attribute

    def forward(self, *inputs: Any) -> Any:
        if len(inputs) != len(self._inputs):
            names = ", ".join(self._inputs)
            raise TypeError(f"the graph takes {len(self._inputs)} inputs ({names}), got {len(inputs)}")
        values: dict[str, Any] = {"": None}
        values |= {name: getattr(owner, attribute) for name, (owner, attribute) in self._where.items()}
        values |= dict(zip(self._inputs, inputs, strict=True))
        for node in self._nodes:
            try:
                result = READERS[node.op_type].function(*[values[name] for name in node.inputs], **node.arguments)
            except ONNXError as error:
                raise ONNXError(f"node {node.name!r} ({node.op_type}): {error}") from None
            results = result if isinstance(result, tuple) else (result,)
            if len(node.outputs) > len(results):
                raise ONNXError(f"node {node.name!r} ({node.op_type}): its output {len(results)} cannot be computed")
            values |= {name: y for name, y in zip(node.outputs, results, strict=False) if name}
            for name in node.done:
                del values[name]
        outputs = tuple([values[name] for name in self._outputs])
        return outputs if len(outputs) > 1 else outputs[0]

    def extra_repr(self) -> str:
        return f"{', '.join(self._inputs)} -> {', '.join(self._outputs)}, {len(self._nodes)} nodes"


def _with_shapes(proto: Any) -> Any:
    """A copy whose inputs and outputs all have a shape, as the checker asks; other programs leave them out."""
    checked = type(proto)()
    checked.CopyFrom(proto)
    for value in (*checked.graph.input, *checked.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    return checked


def _readable(onnx: Any, proto: Any) -> tuple[Any, dict[str, int]]:
    """The model without functions of its own, in an opset that the readers know, and the opsets by domain."""
    if proto.functions:
        from onnx.inliner import inline_local_functions

        proto = inline_local_functions(proto)
    opsets = {"": OPSET} | {"" if i.domain in STANDARD else i.domain: i.version for i in proto.opset_import}
    if opsets[""] >= OLDEST:
        return proto, opsets
    try:
        converted = onnx.version_converter.convert_version(proto, OPSET)
    except Exception as error:  # whatever the converter, which is not written in Python, throws
        raise ONNXError(f"the model is of opset {opsets['']} and cannot be brought to {OPSET}: {error}") from error
    if opsets[""] < ASKS_WHERE:
        for node in converted.graph.node:
            if node.op_type == "Resize":
                for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                    node.attribute.append(onnx.helper.make_attribute(name, value))
    return converted, opsets | {"": OPSET}


def _array(onnx: Any, tensor: Any) -> NDArray[Any]:
    """A TensorProto's array, on memory of its own.  Errors: ONNXError for a dtype that tensors do not have."""
    try:
        return of_array(onnx.numpy_helper.to_array(tensor).copy()).array
    except TypeError as error:
        raise ONNXError(f"{tensor.name or 'a constant'} cannot be read: {error}") from None


def _nodes(onnx: Any, nodes: Sequence[Any], opsets: dict[str, int], kept: set[str]) -> list[Node]:
    """The nodes in order, each with the names that are in no one's way any more after it, unless ``kept``.

    Errors: ONNXError for one that cannot be computed.
    """
    found = []
    needed = set(kept)
    for n in reversed(nodes):
        operator, arguments = _operator(onnx, n, opsets)
        done = tuple({*n.input, *n.output} - needed)
        needed.update(n.input)
        found.append(Node(n.name or n.output[0], operator, arguments, tuple(n.input), tuple(n.output), done))
    return found[::-1]


def _operator(onnx: Any, node: Any, opsets: dict[str, int]) -> tuple[str, dict[str, Any]]:
    """The name of the operator in READERS, and the node's attributes as its reader takes them."""
    domain = "" if node.domain in STANDARD else node.domain
    operator = f"{domain}.{node.op_type}" if domain else node.op_type
    try:
        if operator not in READERS:
            raise ONNXError("there is no translation of this operator")
        schema = onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain)
        defaults = [a.default_value for a in schema.attributes.values()]
        given = _attributes(onnx, node.attribute)
        return operator, READERS[operator].arguments(given, _attributes(onnx, [a for a in defaults if a.name]))
    except ONNXError as error:
        raise ONNXError(f"node {node.name or node.output[0]!r} ({operator}) cannot be read: {error}") from None


def _attributes(onnx: Any, attributes: Iterable[Any]) -> dict[str, Any]:
    """Attributes by name: numbers, strings, and lists of them."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    return {a.name: plain(onnx.helper.get_attribute_value(a)) for a in attributes}
