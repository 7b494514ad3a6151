"""Resize as the operator's own cases and another runtime compute it, in old and new opsets; and Mod's and the like."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import npnn
from npnn.onnx import ONNXError, load
from npnn.testing import gradcheck
from tests.onnx.common import onnx, runtime

with warnings.catch_warnings():  # of cases of other operators, while they are made
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    CASES = {case.name: case for case in collect_testcases("Resize") + collect_testcases("Mod")}
    CASES |= {case.name: case for case in collect_testcases(None) if "array_feature" in case.name}
NO_DTYPE = ("float16", "uint16", "uint32", "uint64")  # that tensors do not have


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith(NO_DTYPE) and "float16" not in name])
def test_the_operators_own_cases(name):
    graph = load(CASES[name].model)
    for inputs, outputs in CASES[name].data_sets:
        y = graph(*[npnn.tensor(np.asarray(x)) for x in inputs]).numpy()
        assert y.shape == outputs[0].shape
        np.testing.assert_allclose(y, outputs[0], rtol=1e-5, atol=1e-6)


def resize(opset, x, scales=None, sizes=None, **attributes):
    """A model of one Resize, or Upsample, as a program of that opset would have written it: without a shape."""
    operator = "Upsample" if opset < 10 else "Resize"
    held = {"roi": np.zeros(0, np.float32), "scales": np.float32([] if scales is None else scales)}
    if sizes is not None:
        held["sizes"] = np.int64(sizes)
    names = ["x", "scales"] if opset < 11 else ["x", *held]
    if opset < 9:
        names, attributes = ["x"], attributes | {"scales": held["scales"].tolist()}
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in held.items() if name in names]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, names, ["y"], "it", **attributes)], "test",
        [onnx.helper.make_tensor_value_info("x", 1, x.shape)],
        [onnx.helper.make_tensor_value_info("y", 1, None)], weights,
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=6)


def test_random_graphs_beside_another_runtime(tmp_path):
    """Read from a file, whose output has no shape: sizes, scales, modes and opsets at random."""
    rng = np.random.default_rng(0)
    for trial in range(60):
        opset = int(rng.choice([7, 9, 10, 11, 13, 18, 19]))
        attributes = {"mode": str(rng.choice(["nearest", "linear", "cubic"][: 3 if opset > 10 else 2]))}
        if opset > 10:
            attributes["coordinate_transformation_mode"] = str(
                rng.choice(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
            )
        if attributes["mode"] == "nearest" and opset > 10:
            attributes["nearest_mode"] = str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
        x = rng.standard_normal((2, 3, *rng.integers(2, 7, 2))).astype(np.float32)
        scales = [1, 1, *(rng.integers(2, 9, 2) / 4 + (opset < 10))]  # Upsample only makes larger
        sizes = [2, 3, *rng.integers(1, 9, 2)] if opset > 10 and rng.random() < 0.5 else None
        if sizes is None and "align_corners" in attributes.values():
            scales = [1, 1, 2, 3]  # the other runtime rounds the size first, the operator's own cases do not
        proto = resize(opset, x, None if sizes is not None else scales, sizes, **attributes)
        (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
        y = load(tmp_path / "model.onnx")(npnn.tensor(x)).numpy()
        theirs = runtime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
        what = f"{trial}: opset {opset}, {x.shape}, {scales}, {sizes}, {attributes}"
        assert y.shape == theirs.shape, what
        np.testing.assert_allclose(y, theirs, rtol=1e-4, atol=1e-5, err_msg=what)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_gradients(mode):
    x = np.random.default_rng(1).standard_normal((1, 2, 4, 5))
    gradcheck(load(resize(18, x, [1, 1, 0.6, 1.7], mode=mode, antialias=int(mode != "nearest"))), x)


def test_what_cannot_be_computed_is_said():
    x = np.zeros((1, 1, 2, 2), np.float32)
    for attributes, message in (
        ({"mode": "wave"}, "mode='wave' cannot be read"),
        ({"mode": "linear", "coordinate_transformation_mode": "there"}, "coordinate_transformation_mode='there'"),
    ):
        with pytest.raises(ONNXError, match=f"node 'it' \\(Resize\\): {message}"):
            load(resize(18, x, [1, 1, 2, 2], **attributes))(npnn.tensor(x))
    with pytest.raises(ONNXError, match="neither scales nor sizes"):
        load(resize(18, x))(npnn.tensor(x))
