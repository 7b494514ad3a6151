"""NumPy's names of arguments, and out=: every operation takes them, with the result that it has without."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

import npnn
from npnn.ops import arithmetic, comparison, creation, drawing, table
from tests.parity import requires_torch, torch

OPERATIONS = {n: f for n, f in table.FUNCTIONS.items() if n not in {*creation.__all__, *drawing.__all__}}
X = np.random.default_rng(0).uniform(0.1, 0.9, (3, 3)).astype(np.float32)
CALLS = [lambda f, x: f(x), lambda f, x: f(x, x), lambda f, x: f(x, x, x), lambda f, x: f(x, 1), lambda f, x: f([x, x]),
         lambda f, x: f(x, (0, 1)), lambda f, x: f(x, 0, 1)]  # fmt: skip


def result(lib, name, call, **options):
    """What the operation answers, or None where it takes no such arguments."""
    x = lib.tensor(X)
    try:
        return call(lambda *args: getattr(lib, name)(*args, **options), x)
    except (TypeError, RuntimeError, ValueError, IndexError, AttributeError, NotImplementedError):
        return None


def calls(name):
    """The calls of an operation, of those above, that answer with a tensor."""
    return [call for call in CALLS if isinstance(result(npnn, name, call), npnn.Tensor)]


@pytest.mark.parametrize("name", [n for n, f in OPERATIONS.items() if "dim" in inspect.signature(f).parameters])
def test_axis_means_dim(name):
    tried = 0
    for call in CALLS:
        expected = result(npnn, name, call, dim=1)
        if isinstance(expected, npnn.Tensor):
            np.testing.assert_array_equal(result(npnn, name, call, axis=1).numpy(), expected.numpy())
            tried += 1
    method = getattr(npnn.Tensor, name, None)
    if tried and method is not None:
        assert "dim" in inspect.signature(method).parameters
    with pytest.raises(TypeError, match="which mean the same"):
        getattr(npnn, name)(npnn.tensor(X), dim=1, axis=1)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "argmin", "std", "cumsum", "sort", "all", "logsumexp", "prod"])
def test_methods_take_them_as_well(name):
    x = npnn.tensor(X)
    options = {"axis": 0} if name in ("cumsum", "sort") else {"axis": 0, "keepdims": True}
    same = {"dim": 0} if name in ("cumsum", "sort") else {"dim": 0, "keepdim": True}
    ours, expected = getattr(x, name)(**options), getattr(x, name)(**same)
    for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (ours, expected)], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(TypeError, match="out"):
        getattr(x, name)(out=npnn.empty(3))


@requires_torch
@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", OPERATIONS)
def test_out_takes_the_result(name):
    for call in calls(name):
        expected = result(npnn, name, call)
        out = npnn.empty_like(expected)
        assert result(npnn, name, call, out=out) is out
        np.testing.assert_array_equal(out.numpy(), expected.numpy())
        theirs = result(torch, name, call, out=torch.empty(0, dtype=getattr(torch, str(expected.dtype).split(".")[1])))
        if theirs is not None:  # PyTorch knows no out= for views
            np.testing.assert_allclose(out.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@requires_torch
@pytest.mark.parametrize("lib", [npnn, pytest.param(torch, id="torch")])
def test_what_out_refuses(lib):
    x, y = lib.ones(2, 3), lib.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        lib.exp(y, out=lib.empty(2, 3))
    with pytest.raises(RuntimeError, match="can't be cast"):
        lib.exp(x, out=lib.empty(2, 3, dtype=lib.int64))
    with pytest.warns(UserWarning, match="was resized"):
        assert lib.add(x, x, out=lib.empty(5)).shape == (2, 3)
    out = lib.empty(0), lib.empty(0, dtype=lib.int64)
    values, places = lib.max(x, 1, out=out)
    assert values is out[0]
    assert places is out[1]
    with pytest.raises(TypeError):
        lib.max(x, 1, out=lib.empty(0))
    with pytest.raises(TypeError):
        lib.add(x, x, out=[1])


def test_a_function_is_found_by_its_name_when_pickled():
    for name, function in table.FUNCTIONS.items():
        assert pickle.loads(pickle.dumps(function)) is function, name


@requires_torch
@pytest.mark.parametrize("name", sorted({*arithmetic.__all__, *comparison.__all__}))
def test_which_operations_take_two_numbers(name):
    answers = []
    for lib in (npnn, torch):
        try:
            answers.append(getattr(lib, name)(7, 3).item())
        except (TypeError, AttributeError):  # functions that torch has as methods only
            answers.append(None)
    more = {"float_power": 343.0, "isin": False, "rsub": -4}  # answered, where PyTorch wants a tensor
    assert answers == ([more[name], None] if name in more else [answers[1]] * 2)
