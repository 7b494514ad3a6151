"""export: names, sizes that grow with the batch, what is refused, and the file."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.onnx import ONNXError, export, load
from tests.onnx.common import assert_same_everywhere, example, function, onnx

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def sizes(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


# ---- what a graph looks like


def test_weights_keep_their_names_and_inputs_are_called_as_in_forward():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    proto = export(model, X)
    assert [i.name for i in proto.graph.initializer] == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias",
    ]  # fmt: skip
    assert [n.name for n in proto.graph.node] == ["0/Gemm", "1/BatchNormalization", "2/Relu", "3/Gemm"]
    assert [(i.name, sizes(i)) for i in proto.graph.input] == [("input", ["batch", 4])]
    assert [(o.name, sizes(o)) for o in proto.graph.output] == [("output", ["batch", 2])]
    assert proto.opset_import[0].version >= 18


def test_several_inputs_and_outputs_have_names():
    model = function(lambda left, right: {"sum": left + right, "parts": (left * 1, right[:, :2])})
    proto = export(model, (X, X))
    assert [i.name for i in proto.graph.input] == ["inputs", "input_1"]  # forward(self, *inputs)
    assert [o.name for o in proto.graph.output] == ["sum", "parts_0", "parts_1"]


def test_nested_inputs_and_the_batch_elsewhere():
    class Decoder(nn.Module):
        def __init__(self):
            self.lstm = nn.LSTM(4, 5, batch_first=True)

        def forward(self, x, state):
            return self.lstm(x, state)

    x, h, c = example((2, 6, 4), (1, 2, 5), (1, 2, 5))
    proto = export(Decoder(), (x, (h, c)), batch_dim=(0, 1, 1))
    assert [(i.name, sizes(i)) for i in proto.graph.input] == [
        ("x", ["batch", 6, 4]), ("state_0", [1, "batch", 5]), ("state_1", [1, "batch", 5]),
    ]  # fmt: skip


def test_sizes_that_grow_with_the_batch_are_declared_as_such():
    proto = export(function(lambda x: (x.flatten(), x.T)), X)
    assert [sizes(o) for o in proto.graph.output] == [["4 batch"], [4, "batch"]]


def test_an_input_returned_and_a_result_returned_twice():
    def forward(x):
        y = x * 2
        return x, y, y

    assert_same_everywhere(function(forward), X)


def test_tied_weights_are_written_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    proto = assert_same_everywhere(model, X)
    assert [i.name for i in proto.graph.initializer] == ["0.weight", "0.bias", "2.bias"]


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    model[1].eval()
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    export(model, X)
    assert [m.training for m in model.modules()] == [True, True, False, True]
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name])
    x = npnn.tensor(X)
    assert model(x).requires_grad


def test_states_that_start_from_zeros_of_the_batch():
    class Reader(nn.Module):
        """A loop written by hand, which starts from zeros and reads the steps one by one."""

        def __init__(self):
            self.cell, self.out = nn.GRUCell(4, 5), nn.Linear(5, 2)

        def forward(self, x):
            h = npnn.zeros(x.shape[0], 5)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.out(h)

    assert_same_everywhere(Reader(), *example((3, 6, 4)))


def test_attention_written_by_hand():
    class Attention(nn.Module):
        def __init__(self):
            self.project, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x):
            N, T, D = x.shape
            q, k, v = self.project(x).view(N, T, 3, 2, D // 2).permute(2, 0, 3, 1, 4)  # 3 x (N, 2, T, D/2)
            weights = nn.functional.softmax(q @ k.transpose(-2, -1) / (D // 2) ** 0.5, dim=-1)
            mask = npnn.tensor(np.tri(T, dtype=bool))
            y = npnn.where(mask, weights, 0.0) @ v
            return self.out(y.transpose(1, 2).reshape(N, T, D)) + x

    assert_same_everywhere(Attention(), *example((3, 6, 8)))


# ---- recurrent layers and the axis of the batch


def test_the_batch_axis_is_found_where_a_recurrent_layer_has_it():
    class Reader(nn.Module):
        def __init__(self):
            self.rnn = nn.RNN(4, 5)

        def forward(self, x):
            return self.rnn(x)[0][-1]

    proto = assert_same_everywhere(Reader(), *example((6, 3, 4)), dims=(1,))
    assert sizes(proto.graph.input[0]) == [6, "batch", 4]
    assert sizes(export(nn.LSTM(4, 5), example((6, 3, 4))[0]).graph.input[0]) == [6, "batch", 4]


def test_the_time_axis_named_as_the_batch_is_refused():
    with pytest.raises(ONNXError, match=r"RNNLayer cannot be written as ONNX: .*time axis.*batch_dim"):
        export(nn.RNN(4, 5), example((6, 3, 4))[0], batch_dim=0)


# ---- what is refused, and in what words


def test_an_operation_without_translation_is_named_with_its_layer():
    class Twice(npnn.Function):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    model = nn.Sequential(nn.Linear(4, 4), function(Twice.apply))
    with pytest.raises(ONNXError, match="layer 1: Twice cannot be written as ONNX: there is no translation"):
        export(model, X)


REFUSED = {
    "a loss": (lambda x: nn.functional.cross_entropy(x, npnn.zeros(len(x), dtype=int)), "CrossEntropy"),
    "dropout that is always on": (lambda x: nn.functional.dropout(x, 0.5), "DropoutFunction.*even in evaluation"),
    "a mask": (lambda x: x[x > 0], "Index.*a mask .*that is computed"),
    "a mask over two axes": (lambda x: x[None, :, :, None][:, :, np.eye(4, 1) > 0], "Index.*mask over several axes"),
    "two arrays of numbers": (lambda x: x[:, [0, 1]][[0, 1], [1, 0]], "Index.*several arrays"),
    "a detour through NumPy": (lambda x: x + npnn.tensor(np.sort(x.array)), "Add.*not recorded"),
    "a number taken out": (lambda x: x * float(x.sum()), "Mul.*not recorded"),
    "in place": (lambda x: _doubled_in_place(x * 2), "changed in place"),
    "a size that is no multiple": (lambda x: npnn.cat([x, npnn.zeros(1, 4)]), "was 4 at batch size 3 and 5 at 4"),
    "half of the batch": (lambda x: x[: len(x) // 2], "Index.*a size was|Index.*batch size"),
    "another path": (lambda x: x if len(x) % 2 else x * 2, "other operations"),
    "a number returned": (lambda x: (x, 3), "output_1: an ONNX graph returns arrays only"),
    "indices of a pool": (lambda x: nn.functional.max_pool1d(x[:, None], 2, return_indices=True), "return_indices"),
    "an image without a batch": (lambda x: nn.functional.max_pool1d(x, 2), "without a batch axis"),
    "a variance over the batch": (lambda x: x.var(0), "depends on the batch size"),
    "the batch's size squared": (lambda x: x * x.shape[0] ** 2, "Mul.*a size was 9 at batch size 3 and 16 at 4"),
    "an empty tuple": (lambda x: (), "returns nothing"),
}  # fmt: skip


def _doubled_in_place(x):
    x += x
    return x


def test_fixed_sizes():
    """What computes with the batch size has a graph of its own size; others have all sizes fixed, if wanted."""
    places = function(lambda x: x + npnn.arange(x.shape[0]).reshape(-1, 1))
    with pytest.raises(ONNXError, match="not recorded"):
        export(places, X)
    proto = export(places, X, dynamic=False)
    assert sizes(proto.graph.input[0]) == list(X.shape)
    np.testing.assert_allclose(load(proto)(npnn.tensor(X)).numpy(), places(npnn.tensor(X)).numpy())
    with pytest.raises(ONNXError, match="not recorded"):  # what depends on the values is seen at one size, too
        export(function(lambda x: x + npnn.tensor(np.sort(x.array))), X, dynamic=False)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    forward, message = REFUSED[name]
    with pytest.raises(ONNXError, match=message):
        export(function(forward), X)


def test_a_path_that_depends_on_the_size_is_found_by_trying_more_sizes():
    def forward(x):
        return x * 1.0 if x.shape[0] < 5 else x * 2.0

    with pytest.raises(ONNXError, match=r"at batch size 5.*same for every batch size"):
        export(function(forward), X)


def test_inputs_that_do_not_fit():
    model = nn.Linear(4, 2)
    with pytest.raises(ONNXError, match=r"does not run at batch size 3, with input \(3, 4\).*in_features=5"):
        export(nn.Linear(5, 2), X)
    with pytest.raises(ONNXError, match=r"has no axis 2 for the batch"):
        export(model, X, batch_dim=2)
    with pytest.raises(ValueError, match="batch_dim has 2 axes for 1 inputs: input"):
        export(model, X, batch_dim=(0, 0))
    with pytest.raises(ONNXError, match="one batch size of at least 1"):
        export(model, X[:0])
    with pytest.raises(TypeError, match="needs an npnn Module, got int"):
        export(3, X)


# ---- the file


def test_the_file_is_what_is_returned(tmp_path):
    path = tmp_path / "model.onnx"
    proto = export(nn.Linear(4, 2), X, path)
    assert onnx.load(path) == proto
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_refused_model_leaves_the_file_alone(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ONNXError):
        export(function(lambda x: x.sort()), X, path)
    assert path.read_bytes() == b"old"
    with pytest.raises(OSError, match="no such folder"):
        export(nn.Linear(4, 2), X, tmp_path / "nowhere" / "model.onnx")


def run_without(packages, code):
    hide = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))"
    return subprocess.run([sys.executable, "-c", f"{hide}\n{code}"], capture_output=True, text=True, check=False)


EXPORT = "import npnn, npnn.onnx; print(npnn.onnx.export(npnn.nn.Linear(4, 2), npnn.randn(3, 4)).producer_name)"


def test_no_torch_is_needed():
    assert run_without(["torch"], EXPORT).stdout == "npnn\n"


def test_without_onnx_one_line_says_what_to_install():
    error = run_without(["onnx"], EXPORT).stderr.strip().split("\n")[-1]
    assert error == "ImportError: npnn.onnx needs onnx: pip install npnn[onnx]"
    error = run_without(["onnx"], "import npnn.onnx; npnn.onnx.load('model.onnx')").stderr.strip().split("\n")[-1]
    assert error == "ImportError: npnn.onnx needs onnx: pip install npnn[onnx]"
