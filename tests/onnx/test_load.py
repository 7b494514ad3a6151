"""load: the way back, graphs that other programs wrote, training on, and what is refused."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import CheckpointError
from npnn.onnx import Graph, ONNXError, export, load
from npnn.testing import assert_close, gradcheck
from tests.onnx.common import example, function, onnx, runtime
from tests.parity import randomise

README = Path(__file__).parent.parent.parent / "README.md"
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def network():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    )
    randomise(model)
    return model


# ---- there and back


def test_the_state_dict_is_the_same_again(tmp_path):
    model = network()
    export(model, *example((2, 1, 6, 6)), tmp_path / "model.onnx")
    graph = load(tmp_path / "model.onnx")
    ours, theirs = graph.state_dict(), model.state_dict()
    assert list(ours) == [name for name in theirs if not name.endswith("num_batches_tracked")]
    for name, t in ours.items():
        np.testing.assert_array_equal(t.numpy(), theirs[name].numpy())
    assert [n for n, _ in graph.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert [n for n, _ in graph.named_buffers() if "running" in n] == ["1.running_mean", "1.running_var"]
    missing, unexpected = model.load_state_dict(ours, strict=False)
    assert (missing, unexpected) == (["1.num_batches_tracked"], [])


def test_gradients_are_the_models():
    cases = [(network().eval(), example((2, 1, 6, 6))[0])]
    cases += [(layer(3, 4, 2, bidirectional=True), example((5, 2, 3))[0]) for layer in (nn.RNN, nn.LSTM, nn.GRU)]
    for model, x in cases:
        randomise(model)
        graph = load(export(model, x))
        for m in (model, graph):
            m.zero_grad()
            outputs = m(npnn.tensor(x))
            (outputs[0] if isinstance(outputs, tuple) else outputs).square().sum().backward()
        ours, theirs = dict(graph.named_parameters()), dict(model.named_parameters())
        assert ours.keys() == theirs.keys()
        for name, p in ours.items():
            assert_close(p.grad, theirs[name].grad, rtol=1e-3, atol=1e-4, what=name)


def test_a_graph_can_be_trained_cast_copied_and_written_again():
    x = example((8, 1, 6, 6))[0]
    graph = load(export(network(), x))
    optimizer = npnn.optim.Adam(graph.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = nn.CrossEntropyLoss()(graph(npnn.tensor(x)), npnn.tensor(np.arange(8) % 5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    expected = graph(npnn.tensor(x)).detach()
    for again in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), load(export(graph, x))):
        np.testing.assert_array_equal(again(npnn.tensor(x)).detach().numpy(), expected.numpy())
    double = copy.deepcopy(graph).double()
    y = double(npnn.tensor(x.astype(np.float64)))
    assert y.dtype == np.float64
    assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_buffers_and_constants_are_not_trained():
    model = function(lambda x, weight: x * weight + model.shift + npnn.tensor(X[0]), weight=X[0])
    model.register_buffer("shift", npnn.tensor(X[1]))
    graph = load(export(model, X))
    assert [name for name, _ in graph.named_parameters()] == ["weight"]
    assert list(graph.state_dict()) == ["weight", "shift"]
    assert graph.double()(npnn.tensor(X.astype(np.float64))).dtype == np.float64


def test_it_says_what_it_is():
    assert "input -> output, 2 nodes" in repr(load(export(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), X)))
    with pytest.raises(TypeError, match=r"takes 1 inputs \(input\), got 2"):
        load(export(nn.Linear(4, 2), X))(X, X)


# ---- graphs that others wrote


def graph_of(*nodes, inputs, outputs=("y",), weights=None, opset=21):
    """A ModelProto of nodes, given as (operator, inputs, outputs, attributes)."""
    make = onnx.helper.make_node
    made = [make(op, names.split(), results.split(), f"the {op}", **a) for op, names, results, a in nodes]
    kind = onnx.helper.np_dtype_to_tensor_dtype
    graph = onnx.helper.make_graph(
        made, "test",
        [onnx.helper.make_tensor_value_info(name, kind(a.dtype), a.shape) for name, a in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in (weights or {}).items()],
    )  # fmt: skip
    for value in graph.output:
        value.type.ClearField("tensor_type")
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10))


def float32(*shape):
    return example(shape)[0]


def ints(*values):
    return np.array(values, np.int64)


IMAGE, SEQUENCE = float32(2, 4, 7, 6), float32(2, 4, 9)
W, R, BIAS = (float32(2, rows, n) for rows, n in ((16, 3), (16, 4), (1, 32)))

FOREIGN = {
    "Gemm": ("x w c", {"alpha": 2.0, "beta": 0.5, "transA": 1}, X, float32(3, 5), float32(4, 5)),
    "Gemm, a bias of one number": ("x w c", {"transB": 1}, X, float32(5, 4), float32(1)),
    "Conv, padded on one side": ("x w", {"pads": [0, 1, 2, 0], "strides": [2, 1]}, IMAGE, float32(5, 4, 3, 2)),
    "Conv, sequences": ("x w b", {"group": 2}, SEQUENCE, float32(6, 2, 3), float32(6)),
    "ConvTranspose": (
        "x w b", {"strides": [2, 3], "output_padding": [1, 2], "pads": [0, 1, 1, 0]},
        IMAGE, float32(4, 3, 3, 3), float32(3),
    ),
    "MaxPool": ("x", {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0], "strides": [2, 2], "ceil_mode": 1}, IMAGE),
    "MaxPool, dilated": ("x", {"kernel_shape": [2, 2], "dilations": [3, 2]}, IMAGE),
    "AveragePool": ("x", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, IMAGE),
    "AveragePool, padding counted": (
        "x", {"kernel_shape": [3], "pads": [1, 1], "strides": [2], "count_include_pad": 1}, SEQUENCE,
    ),
    "GlobalAveragePool": ("x", {}, IMAGE),
    "GlobalMaxPool": ("x", {}, IMAGE),
    "BatchNormalization": ("x s b m v", {"epsilon": 0.1, "momentum": 0.5}, IMAGE, *[np.abs(float32(4)) + 1] * 4),
    "LayerNormalization": ("x s", {"axis": 1}, X, float32(4)),
    "Flatten": ("x", {"axis": 2}, IMAGE),
    "Flatten, from the end": ("x", {"axis": -1}, IMAGE),
    "Reshape": ("x s", {}, IMAGE, ints(0, -1, 0)),
    "Squeeze": ("x", {}, float32(2, 1, 3, 1)),
    "Squeeze, one axis": ("x a", {}, float32(2, 1, 3, 1), ints(-1)),
    "Unsqueeze": ("x a", {}, X, ints(-1, 0)),
    "Transpose": ("x", {}, IMAGE),
    "Slice": ("x s e", {}, IMAGE, ints(1, -3), ints(2, 100)),
    "Slice, backwards": ("x s e a t", {}, IMAGE, ints(5, -1), ints(-100, -4), ints(2, 3), ints(-2, -1)),
    "Slice, backwards to the second": ("x s e a t", {}, IMAGE, ints(9), ints(0), ints(-1), ints(-1)),
    "Pad": ("x p v", {}, X, ints(1, 0, 2, 3), np.float32(7)),
    "Pad, reflect": ("x p", {"mode": "reflect"}, X, ints(1, 2, 0, 1)),
    "Pad, edge of one axis": ("x p v a", {"mode": "edge"}, X, ints(2, 1), np.float32(0), ints(-1)),
    "Gather, counted from the end": ("x i", {}, X, ints(-1, 0, -1)),
    "Gather, one row": ("x i", {"axis": 1}, X, np.int64(2)),
    "GatherElements": ("x i", {"axis": 1}, X, np.array([[0, -1], [1, 1], [2, 0]])),
    "Split": ("x s", {"axis": 1}, X, ints(1, 3)),
    "Expand": ("x s", {}, float32(3, 1), ints(2, 1, 4)),
    "Clip": ("x lo", {}, X, np.float32(0.1)),
    "Clip, without limits": ("x", {}, X),
    "ReduceSum, all": ("x", {"keepdims": 0}, X),
    "ReduceSum, nothing": ("x", {"noop_with_empty_axes": 1}, X),
    "ReduceProd": ("x", {"keepdims": 0}, X),
    "ArgMax": ("x", {"axis": 1, "keepdims": 0}, X),
    "ArgMin": ("x", {}, X),
    "CumSum": ("x a", {}, X, np.int64(-1)),
    "Max": ("x z", {}, X, float32(4)),
    "Elu": ("x", {"alpha": 0.3}, X),
    "Selu": ("x", {}, X),
    "Gelu": ("x", {"approximate": "tanh"}, X),
    "Softmax": ("x", {}, X),
    "Dropout": ("x", {}, X),
    "Cast": ("x", {"to": 7}, X),
    "LSTM": ("x w r b", {"hidden_size": 4, "direction": "bidirectional"}, float32(5, 2, 3), W, R, BIAS[:, 0]),
    "LSTM, a state, no bias": (
        "x w r _ _ h c", {"hidden_size": 4}, float32(5, 2, 3), W[:1], R[:1], float32(1, 2, 4), float32(1, 2, 4),
    ),
    "GRU": (
        "x w r b", {"hidden_size": 4, "linear_before_reset": 1, "direction": "bidirectional"},
        float32(5, 2, 3), W[:, :12], R[:, :12], BIAS[:, 0, :24],
    ),
    "RNN": (
        "x w r b", {"hidden_size": 4, "activations": ["Tanh", "Relu"], "direction": "bidirectional"},
        float32(5, 2, 3), W[:, :4], R[:, :4], BIAS[:, 0, :8],
    ),
    "RNN, backwards": (
        "x w r", {"hidden_size": 4, "direction": "reverse"}, float32(5, 2, 3), W[:1, :4], R[:1, :4],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_operators_of_other_programs(name):
    if name == "ReduceSum, nothing" and runtime.__version__.startswith("1.23."):  # the last for Python 3.10
        pytest.skip("onnxruntime 1.23 does not run it: it asks for one number")
    names, attributes, x, *rest = FOREIGN[name]
    op_type = name.split(",")[0]
    weights = dict(zip([n for n in names.split()[1:] if n != "_"], rest, strict=True))
    results = {"Split": "y z", "LSTM": "y z t", "GRU": "y z", "RNN": "y z"}.get(op_type, "y")
    proto = graph_of((op_type, names, results, attributes), inputs={"x": x}, outputs=results.split(), weights=weights)
    proto.graph.node[0].input[:] = ["" if n == "_" else n for n in proto.graph.node[0].input]
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    found = load(proto)(npnn.tensor(x))
    for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert a.numpy().dtype == b.dtype if not a.requires_grad else True


def test_weights_of_other_programs_are_trained_and_statistics_are_not():
    four = np.ones(4, np.float32)
    proto = graph_of(
        ("BatchNormalization", "x scale shift mean var", "n", {}),
        ("Clip", "n limit", "c", {}),
        ("Mul", "c two", "m", {}),
        ("Gemm", "m net/weight:0", "y", {}),
        inputs={"x": X},
        weights={
            "scale": four, "shift": four, "mean": four, "var": four, "limit": np.float32(0), "two": np.float32(2),
            "net/weight:0": float32(4, 2),
        },
    )  # fmt: skip
    graph = load(proto)
    assert [name for name, _ in graph.named_parameters()] == ["scale", "shift", "net/weight:0"]
    assert list(graph.state_dict()) == ["scale", "shift", "net/weight:0", "mean", "var", "limit"]


def test_names_that_cannot_be_attributes_of_a_module():
    weights = {"forward": float32(4), "a": float32(4), "a.b": float32(4), "training": float32(4), "..": float32(4)}
    names = ["x", *weights]
    nodes = [
        ("Add", f"{a} {b}", f"{b}+", {}) for a, b in zip(["x", *[f"{n}+" for n in names[1:]]], names[1:], strict=False)
    ]
    proto = graph_of(*nodes, inputs={"x": X}, outputs=["..+"], weights=weights)
    y = load(proto)(npnn.tensor(X))
    assert_close(y, X + 5 * weights["a"], rtol=1e-5, atol=1e-5)
    assert len(load(proto).state_dict()) == 5


def test_shapes_worked_out_in_the_graph():
    """As torch writes x.view(x.size(0), -1)."""
    proto = graph_of(
        ("Shape", "x", "s", {}), ("Gather", "s zero", "n", {"axis": 0}), ("Unsqueeze", "n axis", "n1", {}),
        ("Concat", "n1 rest", "shape", {"axis": 0}), ("Reshape", "x shape", "flat", {}),
        ("ConstantOfShape", "shape2", "half", {"value": onnx.numpy_helper.from_array(np.full(1, 0.5, np.float32))}),
        ("Mul", "flat half", "y", {}),
        inputs={"x": IMAGE}, weights={"zero": np.int64(0), "axis": ints(0), "rest": ints(-1), "shape2": ints(1)},
    )  # fmt: skip
    np.testing.assert_array_equal(load(proto)(npnn.tensor(IMAGE)).numpy(), IMAGE.reshape(2, -1) / 2)


def test_constants_of_every_kind():
    proto = graph_of(
        ("Constant", "", "a", {"value_float": 2.0}), ("Constant", "", "s", {"value_ints": [4, 3]}),
        ("Mul", "x a", "z", {}), ("Reshape", "z s", "y", {}), inputs={"x": X},
    )  # fmt: skip
    y = load(proto)(npnn.tensor(X))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), 2 * X.reshape(4, 3))


def test_an_older_opset_is_brought_up_to_date():
    proto = graph_of(
        ("Squeeze", "x", "s", {"axes": [1]}), ("Softmax", "s", "y", {"axis": 1}), inputs={"x": X[:, None]}, opset=11
    )
    assert_close(load(proto)(npnn.tensor(X[:, None])), nn.functional.softmax(npnn.tensor(X), 1), rtol=1e-6, atol=1e-6)


def test_functions_in_the_file_are_put_in_place():
    double = onnx.helper.make_function(
        "mine", "Double", ["a"], ["b"], [onnx.helper.make_node("Add", ["a", "a"], ["b"])],
        [onnx.helper.make_opsetid("", 21)],
    )  # fmt: skip
    proto = graph_of(("Relu", "x", "y", {}), inputs={"x": X})
    proto.graph.node.insert(0, onnx.helper.make_node("Double", ["x"], ["two"], "twice", domain="mine"))
    proto.graph.node[1].input[0] = "two"
    proto.functions.append(double)
    proto.opset_import.append(onnx.helper.make_opsetid("mine", 1))
    np.testing.assert_array_equal(load(proto)(npnn.tensor(X)).numpy(), np.maximum(2 * X, 0))


# ---- what is refused

REFUSED = {
    "Hardmax": ("x", {}, "there is no translation of this operator"),
    "Conv": ("x w", {"auto_pad": "SAME_UPPER"}, "only auto_pad='NOTSET' can be read"),
    "GRU": ("x w r", {"hidden_size": 4}, "only linear_before_reset=1 can be read"),
    "LSTM": ("x w r", {"hidden_size": 4, "clip": 3.0}, "the attribute clip cannot be read"),
    "MaxPool": ("x", {"kernel_shape": [2], "storage_order": 1}, "only storage_order=0"),
    "BatchNormalization": ("x w r b v", {"training_mode": 1}, "only training_mode=0"),
}


@pytest.mark.parametrize("op_type", REFUSED)
def test_refused_when_it_is_read(op_type):
    names, attributes, message = REFUSED[op_type]
    weights = {name: float32(4) for name in names.split()[1:]}
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node(op_type, names.split(), ["y"], "here", **attributes)], "test",
            [onnx.helper.make_tensor_value_info("x", 1, None)], [onnx.helper.make_tensor_value_info("y", 1, None)],
            [onnx.numpy_helper.from_array(a, name) for name, a in weights.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 21)],
    )  # fmt: skip
    with pytest.raises(ONNXError, match=f"node 'here' \\({op_type}\\) cannot be read: {message}"):
        Graph(proto)


def test_refused_when_it_is_computed():
    volume = float32(1, 2, 3, 3, 3)
    conv = load(graph_of(("Conv", "x w", "y", {}), inputs={"x": volume}, weights={"w": volume}))
    with pytest.raises(ONNXError, match=r"node 'the Conv' \(Conv\): only sequences and images"):
        conv(npnn.tensor(volume))
    pool = load(graph_of(("MaxPool", "x", "y i", {"kernel_shape": [2]}), inputs={"x": SEQUENCE}, outputs=["y", "i"]))
    with pytest.raises(ONNXError, match=r"node 'the MaxPool' \(MaxPool\): its output 1 cannot be computed"):
        pool(npnn.tensor(SEQUENCE))


def test_weights_of_a_dtype_that_tensors_do_not_have():
    proto = graph_of(("Add", "x w", "y", {}), inputs={"x": X}, weights={"w": X.astype(np.float16)})
    with pytest.raises(ONNXError, match=r"w cannot be read: .*float16"):
        load(proto)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(CheckpointError, match="no such file"):
        load(path)
    whole = export(nn.Linear(4, 2), X).SerializeToString()
    for content in (b"", b"PK\x03\x04 not a model", whole[:40], whole[:-9]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not an ONNX model, or damaged"):
            load(path)


@pytest.mark.parametrize("place", ["w.bin", "../w.bin", "/etc/hostname", "missing.bin"])
def test_weights_in_a_file_of_their_own(tmp_path, place):
    """Beside the model they are read, also where an initialiser is an input; no path leaves the folder."""
    w = float32(4, 3)
    (tmp_path / "models").mkdir()
    for folder in (tmp_path, tmp_path / "models"):
        (folder / "w.bin").write_bytes(w.tobytes())
    tensor = onnx.numpy_helper.from_array(w, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("length", str(w.nbytes))):
        tensor.external_data.add(key=key, value=value)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "test", [info("x", 1, (2, 4)), info("w", 1, (4, 3))],
        [info("y", 1, None)], [tensor],
    )  # fmt: skip
    path = tmp_path / "models" / "model.onnx"
    path.write_bytes(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7
        ).SerializeToString()
    )
    if place == "w.bin":
        x = float32(2, 4)
        np.testing.assert_allclose(load(path)(npnn.tensor(x)).detach().numpy(), x @ w, rtol=1e-5)
    else:
        with pytest.raises(CheckpointError, match="should be"):
            load(path)


def test_every_reader_can_be_differentiated():
    """The finite difference of whole graphs, in double precision."""
    x = example((3, 4, 6), dtype="float64")[0]
    model = nn.Sequential(
        nn.Conv1d(4, 4, 3, padding=1), nn.GELU(), nn.GroupNorm(2, 4), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(12, 3),
        nn.LayerNorm(3), nn.LogSoftmax(1),
    ).double()  # fmt: skip
    randomise(model)
    gradcheck(load(export(model, x)), x)


def test_the_readmes_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(from npnn.onnx import .*?)```", README.read_text(), re.DOTALL)
    scope = {"model": network(), "x": example((2, 1, 6, 6))[0]}
    exec(code, scope)
    assert isinstance(scope["graph"], Graph)
