"""The engine: order of the walk, accumulation, freeing, errors."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import npnn
from npnn import Function, Tensor
from tests.parity import requires_torch, torch


class Double(Function):
    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def leaf(*values, dtype="float64"):
    return npnn.tensor(np.array(values, dtype), requires_grad=True)


def test_python_floats_are_float32_and_arrays_keep_their_dtype():
    assert npnn.tensor(1.5).dtype == npnn.float32
    assert npnn.tensor([1.0, 2.0]).dtype == npnn.float32
    assert npnn.tensor(np.ones(2)).dtype == npnn.float64
    assert npnn.tensor(np.float64(1)).dtype == npnn.float64
    assert npnn.tensor([1, 2]).dtype == npnn.int64
    assert npnn.tensor([True]).dtype == npnn.bool_
    assert npnn.tensor([1, 2], dtype=npnn.float32).dtype == npnn.float32
    assert npnn.tensor(np.arange(3, dtype="uint8")).dtype == npnn.uint8


def test_arrays_of_the_other_byte_order_are_turned():
    x = npnn.tensor(np.array([1.5, 2.0], ">f4"))
    assert x.dtype == npnn.float32
    assert x.array.dtype.isnative
    assert x.tolist() == [1.5, 2.0]
    with pytest.raises(TypeError, match="tensors hold float32"):
        npnn.tensor([1.0], dtype=">f4")


def test_tensor_copies_and_from_numpy_shares():
    x = np.zeros(2, "float32")
    copied, shared = npnn.tensor(x), npnn.from_numpy(x)
    x[0] = 1
    assert copied.tolist() == [0, 0]
    assert shared.tolist() == [1, 0]


def test_a_diamond_adds_up_once():
    """Both paths must reach x before its own producer runs, however they were built."""
    x = leaf(3.0)
    a = Double.apply(x)
    b = a * a
    y = (b + a) * b
    y.sum().backward()
    # y = (4x² + 2x) 4x² = 16x⁴ + 8x³
    assert x.grad.item() == pytest.approx(64 * 27 + 24 * 9)


def test_twenty_thousand_operations_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + x
    y.sum().backward()
    assert x.grad.item() == 20_001


def test_gradients_accumulate_over_backward_calls():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_gradients_share_no_memory():
    """Add hands the same array to both inputs: each leaf must get its own."""
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf([1.0], [1.0])
    ((a + b) + c.reshape(2)).backward(np.ones(2))
    assert not np.shares_memory(a.grad.array, b.grad.array)
    assert not np.shares_memory(a.grad.array, c.grad.array)
    gradient = np.ones(2)
    a.grad = None
    a.backward(gradient)
    assert not np.shares_memory(a.grad.array, gradient)
    a.grad = None
    a.sum().backward()  # a broadcast, read-only gradient becomes an array of its own
    a.grad.array[0] = 5
    assert a.grad.tolist() == [5, 1]


def test_intermediates_are_freed_without_the_collector():
    gc.disable()
    try:
        x = leaf(1.0)
        y = Double.apply(x)
        inner, node = weakref.ref(y), weakref.ref(y.grad_fn)
        z = Double.apply(y)
        del y
        assert inner() is None  # the graph keeps functions, not tensors
        z.sum().backward()
        del z
        assert node() is None
    finally:
        gc.enable()


def test_what_an_op_saved_is_dropped_as_the_walk_passes():
    x = leaf(1.0, 2.0)
    y = x.exp()
    saved = weakref.ref(y.grad_fn.y)
    z = y.sum()
    del y
    z.backward()
    assert saved() is None


def test_backward_twice_is_refused_unless_the_graph_is_kept():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8
    with pytest.raises(RuntimeError, match="already walked and freed"):
        y.backward()


def test_backward_needs_a_number_or_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"shape \(3,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="does not have a grad_fn"):
        x.detach().sum().backward()
    (x * 2).backward(npnn.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]


def test_no_grad_records_nothing_and_is_restored_after_an_error():
    x = leaf(1.0)

    @npnn.no_grad()
    def fail():
        assert (x * 2).grad_fn is None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (x * 2).requires_grad

    @npnn.no_grad()
    def double(t):
        with npnn.set_grad_enabled(True):
            assert (t * 2).requires_grad
        return t * 2

    assert not double(x).requires_grad


def test_set_grad_enabled_acts_at_once_and_as_a_decorator_when_called():
    x = leaf(1.0)
    npnn.set_grad_enabled(False)
    try:
        assert (x * 2).grad_fn is None
        with npnn.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not npnn.is_grad_enabled()
    finally:
        npnn.set_grad_enabled(True)

    @npnn.set_grad_enabled(False)
    def plain(depth=0):
        assert not npnn.is_grad_enabled()
        return plain(depth + 1) if depth < 2 else x * 2

    assert npnn.is_grad_enabled()
    assert plain().grad_fn is None
    assert npnn.is_grad_enabled()


def test_no_grad_concerns_one_thread():
    seen = []
    with npnn.no_grad():
        other = threading.Thread(target=lambda: seen.append(npnn.is_grad_enabled()))
        other.start()
        other.join()
    assert seen == [True]


def test_a_decorated_function_may_run_in_several_threads_at_once():
    entered, left = threading.Barrier(2), threading.Event()
    after = []

    @npnn.no_grad()
    def wait(first):
        entered.wait()
        if not first:
            left.wait()

    def run(first):
        npnn.set_grad_enabled(first)
        wait(first)
        after.append(npnn.is_grad_enabled() == first)
        left.set()

    other = threading.Thread(target=run, args=(False,))
    other.start()
    run(True)
    other.join()
    assert after == [True, True]


def test_retain_grad_keeps_an_intermediate_gradient():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]
    assert x.grad.tolist() == [18, 36]
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        x.detach().retain_grad()


def test_in_place_changes_of_a_leaf_are_refused():
    x = leaf(1.0)
    for change in (lambda t: t.__iadd__(1), lambda t: t.__setitem__(0, 1.0), lambda t: t.zero_(), lambda t: t.copy_(x)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change(x)
    plain = npnn.zeros(2)
    plain += 1
    plain[0] = 5.0
    plain *= 2
    assert plain.tolist() == [10, 2]
    with npnn.no_grad():
        x -= 0.5
    assert x.tolist() == [0.5]


def test_a_weight_changed_before_backward_is_noticed():
    w, x = leaf(2.0), npnn.tensor(np.array([3.0]))
    y = (w * w * x).sum()
    with npnn.no_grad():
        w -= 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    y = (w * x).sum()
    x += 1  # data without a gradient counts as well: w's gradient is x
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_wrong_ops_are_caught_by_the_engine():
    class WrongShape(Double):
        def backward(self, dy):
            return np.ones((5, 7))

    class WrongCount(Double):
        def backward(self, dy):
            return dy, dy

    class NoBackward(Function):
        def forward(self, x):
            return x * 1

    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"WrongShape\.backward returned a gradient of shape \(5, 7\)"):
        WrongShape.apply(x).sum().backward()
    with pytest.raises(RuntimeError, match=r"WrongCount\.backward returned 2 gradients for 1 inputs"):
        WrongCount.apply(x).sum().backward()
    with pytest.raises(NotImplementedError, match="NoBackward has no backward"):
        NoBackward.apply(x).sum().backward()


def test_an_op_with_two_outputs_gets_none_for_the_unused_one():
    class Split(Function):
        def forward(self, x):
            return x[:1] * 1, x[1:] * 1, np.array([0])

        def backward(self, first, second, index):
            assert index is None
            self.seen = [first is None, second is None]
            parts = [np.zeros(1) if g is None else g for g in (first, second)]
            return np.concatenate(parts)

    x = leaf(1.0, 2.0)
    first, second, index = Split.apply(x)
    assert not index.requires_grad
    (second * 3).sum().backward()
    assert x.grad.tolist() == [0, 3]
    first, second, _ = Split.apply(x)
    (first * second).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_gradients_have_the_dtype_of_their_tensor():
    x = leaf(1.0, 2.0, dtype="float32")
    (x * leaf(1.0, 2.0, dtype="float64")).sum().backward()
    assert x.grad.dtype == npnn.float32


def test_only_floating_point_tensors_require_gradients():
    with pytest.raises(RuntimeError, match="int64"):
        npnn.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match="bool"):
        npnn.tensor([True]).requires_grad_()
    with pytest.raises(RuntimeError, match="detach"):
        (leaf(1.0) * 2).requires_grad_(False)


def test_numpy_sees_a_tensor_as_an_array_and_leaves_arithmetic_to_it():
    x = npnn.tensor([1.0, 2.0])
    assert isinstance(np.ones(2, "float32") + x, Tensor)
    assert np.asarray(x) is x.array
    assert np.array(x) is not x.array
    assert np.asarray(x, "float64").dtype == np.float64
    np.testing.assert_array_equal(np.stack([x, x]), [[1, 2], [1, 2]])
    with pytest.raises(RuntimeError, match="detach"):
        leaf(1.0).numpy()


def test_copies_and_pickles_of_leaves():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    for clone in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert clone.tolist() == x.tolist()
        assert clone.requires_grad
        assert not np.shares_memory(clone.array, x.array)
    assert copy.deepcopy(x).grad.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="detach"):
        copy.deepcopy(x * 2)


def test_what_a_tensor_says_of_itself():
    x = npnn.zeros(2, 3)
    assert (x.shape, x.size(), x.size(0), x.ndim, x.dim(), x.numel(), len(x)) == ((2, 3), (2, 3), 2, 2, 2, 6, 2)
    assert x.is_leaf
    assert repr(npnn.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert "requires_grad=True" in repr(leaf(1.0))
    assert "grad_fn=<DoubleBackward0>" in repr(Double.apply(leaf(1.0)))
    assert "dtype=torch.float64" in repr(leaf(1.0))
    assert [row.shape for row in x] == [(3,), (3,)]
    assert range(5)[npnn.tensor(2)] == 2
    assert bool(npnn.tensor(1.0)) is True
    assert (float(npnn.tensor(1.5)), int(npnn.tensor(2))) == (1.5, 2)
    with pytest.raises(TypeError, match="0-d"):
        len(npnn.tensor(1.0))
    with pytest.raises(TypeError, match="integer"):
        range(5)[npnn.tensor(2.0)]


@requires_torch
def test_accumulated_gradients_follow_torch_over_a_shared_subexpression():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 3))
    grads = []
    for lib in (npnn, torch):
        x = lib.tensor(values, requires_grad=True)
        h = x @ x.T
        for _ in range(3):
            h = (h * 0.1 + x).tanh()
        (h * h).sum().backward()
        (x.exp()).sum().backward()
        grads.append(np.asarray(x.grad))
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)


@requires_torch
@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.Tensor([1, 2]),
        lambda lib: lib.Tensor([[True, False]]),
        lambda lib: lib.Tensor(np.array([1.5, 2.5])),
        lambda lib: lib.Tensor(np.arange(3)),
        lambda lib: lib.Tensor((np.float64(1), 2)),
        lambda lib: lib.Tensor([[1], [2]]),
        lambda lib: lib.Tensor([]),
        lambda lib: lib.Tensor(),
        lambda lib: lib.zeros_like(lib.Tensor(2, 3)),
        lambda lib: lib.zeros_like(lib.Tensor(lib.ones(2, 3).size())),
        lambda lib: lib.Tensor(lib.ones(2)),
        lambda lib: lib.FloatTensor([1, 2]),
        lambda lib: lib.LongTensor([1, 2]),
        lambda lib: lib.tensor([1, 2]),
        lambda lib: lib.tensor(np.array([1.5, 2.5])),
        lambda lib: lib.as_tensor(np.arange(3)),
        lambda lib: lib.from_numpy(np.arange(3)),
    ],
)
def test_what_dtype_the_constructors_give(make):
    ours, theirs = make(npnn), make(torch)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_the_constructor_copies_and_from_numpy_shares():
    a = np.zeros(2, np.float32)
    copy, shared = npnn.Tensor(a), npnn.from_numpy(a)
    a[0] = 1
    assert (copy[0].item(), shared[0].item()) == (0.0, 1.0)


@requires_torch
@pytest.mark.filterwarnings("ignore:volatile was removed")
@pytest.mark.parametrize("lib", [npnn, pytest.param(torch, id="torch")])
def test_volatile_has_no_effect_and_says_so(lib):
    import importlib

    variable = importlib.import_module(f"{lib.__name__}.autograd").Variable
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        assert not variable(lib.ones(2), volatile=True).requires_grad
    with pytest.raises(ValueError, match="volatile and require_grad"):
        variable(lib.ones(2), requires_grad=True, volatile=True)


def test_a_node_prints_under_torchs_name():
    y = (npnn.ones(2, requires_grad=True) + 1).sum()
    assert repr(y.grad_fn).startswith("<SumBackward0 object at 0x")
    assert repr(y.grad_fn.next_functions[0][0]).startswith("<AddBackward0 object at 0x")
