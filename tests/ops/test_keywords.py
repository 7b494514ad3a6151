"""Arguments by name: every name that torch takes, sizes and axes among them."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import npnn
from tests.parity import requires_torch

# calls that torch takes; t is a tensor of 2 x 3, i of indices
CALLS = """
rand(size=(2, 3)) randn(size=()) zeros(size=(2,)) ones(size=[2, 1]) empty(size=(0, 2)) full(size=(2,), fill_value=1.5)
randint(high=3, size=(2,)) randint(low=1, high=3, size=(2, 2)) randperm(n=3) eye(n=2, m=3) arange(start=0, end=3, step=1)
linspace(start=0, end=1, steps=3) normal(mean=0.0, std=1.0, size=(2,)) tensor(data=[1.0]) as_tensor(data=[1.0])
t.view(size=(3, 2)) t.view(dtype=int32) t.reshape(shape=(3, -1)) reshape(t, shape=(6,)) reshape(input=t, shape=(6,))
t.expand(size=(4, 2, 3)) t.repeat(repeats=(2, 1)) t.tile(dims=(2,)) tile(t, dims=(2, 2)) broadcast_to(t, size=(2, 2, 3))
t.permute(dims=(1, 0)) permute(t, dims=(1, 0)) permute(input=t, dims=[1, 0]) t.flip(dims=(0,)) flip(t, dims=[0, 1])
t.new_zeros(size=(2,)) t.new_ones(size=(2, 2)) t.new_full(size=(2,), fill_value=3.0) t.clone().resize_(size=(2, 2))
t.clone().squeeze_(dim=0) t.clone().unsqueeze_(dim=0) t.clone().transpose_(dim0=0, dim1=1) t.swapaxes(axis0=0, axis1=1)
swapaxes(t, axis0=0, axis1=1) t.transpose(dim0=0, dim1=1) t.unflatten(dim=1, sizes=(3, 1)) t.flatten(start_dim=0)
tensor_split(t, sections=2) tensor_split(t, indices=[1]) hsplit(t, sections=3) t.split(split_size=1, dim=1)
split(t, split_size_or_sections=[1, 1]) chunk(t, chunks=2) cat(tensors=[t, t], dim=1) stack(tensors=[t], dim=0)
concatenate([t, t], axis=0) max(t, other=0 * t) min(input=t, other=0 * t) max(t, dim=1) dot(input=t[0], tensor=t[1])
sum(t, axis=0) mean(t, dim=1, keepdims=True) std(t, dim=0, correction=0) var(t, unbiased=False) norm(t, p=2, dim=1)
t.roll(shifts=1, dims=0) rot90(t, dims=[0, 1]) movedim(t, source=0, destination=1) topk(input=t, k=1) argsort(input=t)
sort(input=t, dim=1, descending=True, stable=True) t.gather(dim=0, index=i) t.index_select(dim=0, index=i[0])
t.masked_fill(mask=t > 0, value=0) t.clone().clamp_(min=0) t.clamp(min=0, max=1) where(condition=t > 0, input=t, other=-t)
pow(input=t, exponent=2) div(input=t, other=2, rounding_mode='floor') t.clone().mul_(other=2) t.clone().pow_(exponent=2)
mm(input=t, mat2=t.T) matmul(input=t, other=t.T) addmm(input=t, mat1=t, mat2=eye(3)) t.clone().add_(other=t, alpha=2)
""".replace("\n", " ")
CALLS = re.findall(r"\S[^()]*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)(?:\.\w+\((?:[^()]|\([^()]*\))*\))*", CALLS)


def called(lib, text):
    lib.manual_seed(2)
    names = {name: getattr(lib, name) for name in re.findall(r"[a-z_]\w*", text) if hasattr(lib, name)}
    t = lib.tensor([[0.5, -1.0, 2.0], [1.5, 0.0, -3.0]])
    result = eval(text, {**names, "t": t, "i": lib.tensor([[0, 1, 1]])})
    return [np.asarray(r) for r in result] if isinstance(result, (tuple, list)) else [np.asarray(result)]


@requires_torch
@pytest.mark.parametrize("text", CALLS)
def test_a_call_by_names_is_torchs(text):
    import torch

    ours, theirs = called(npnn, text), called(torch, text)
    assert [a.shape for a in ours] == [a.shape for a in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def variadic(owner):
    """The public callables of npnn whose arguments end in any number of sizes or axes, and how these are called."""
    for name in dir(owner):
        function = getattr(owner, name)
        if name.startswith("_") or inspect.isclass(function) or not callable(function):
            continue
        for p in inspect.signature(function).parameters.values():
            if p.kind is p.VAR_POSITIONAL and p.name in ("size", "shape", "dims", "repeats"):
                yield name, p.name


VARIADIC = [("function", *found) for found in variadic(npnn)] + [("method", *found) for found in variadic(npnn.Tensor)]


def test_there_are_functions_and_methods_with_sizes():
    found = {(kind, name) for kind, name, _ in VARIADIC}
    assert found >= {("function", "zeros"), ("function", "rand"), ("method", "view"), ("method", "permute")}


@pytest.mark.parametrize(("kind", "name", "argument"), VARIADIC)
def test_sizes_and_axes_go_by_name_too(kind, name, argument):
    def call(*args, **named):
        npnn.manual_seed(1)
        t = npnn.arange(6.0).reshape(2, 3)
        if kind == "method":
            return getattr(t, name)(*args, **named)
        own = [] if name in ("zeros", "ones", "empty", "rand", "randn") else [t]
        return getattr(npnn, name)(*own, *args, **named)

    given = (1, 0) if argument == "dims" else (2, 3)
    by_place, by_name = call(given), call(**{argument: given})
    assert by_place.shape == by_name.shape
    if "empty" not in name:
        np.testing.assert_array_equal(by_place, by_name)


def own_signatures(function):
    """The names of arguments in each form that torch lists, when it is called wrongly."""
    import torch

    for args in ((), (torch.ones(2),)):
        try:
            function(*args, no_such_argument=1)
        except (TypeError, RuntimeError) as error:
            for form in re.findall(r"^ \* \((.*)\)\s*$", str(error), re.MULTILINE):
                parts = [part.split(" = ")[0].split() for part in form.split(", ")]
                yield {words[-1] for words in parts if len(words) > 1}


# what npnn leaves out, and why
LEFT_OUT = {
    "out", "layout", "device", "pin_memory", "memory_format", "requires_grad",  # asked of everything, tested elsewhere
    "self",  # a second name of input, in no documentation
    "out_dtype",  # of products of float16
    "tensor_indices_or_sections", "sorter", "element", "test_element", "storage", "storage_offset", "stride", "from",
}  # fmt: skip
LEFT_OUT_NAMES = {"result_type", "new", "set_", "to"}  # several forms, of which the first is the one that is used


def accepted(function):
    """The names that a function of npnn takes; None if it takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters} | {"dim", "keepdim", "indices", "sections", "split_size", "axis0", "axis1"}


@requires_torch
@pytest.mark.parametrize("owner", ["functions", "methods"])
def test_no_name_that_torch_lists_is_unknown(owner):
    import torch

    theirs, ours = (torch, npnn) if owner == "functions" else (torch.ones(2, 2), npnn.ones(2, 2))
    missing = {}
    for name in sorted(set(dir(theirs)) & set(dir(ours)) - LEFT_OUT_NAMES):
        their, our = getattr(theirs, name), getattr(ours, name)
        if name.startswith("_") or not inspect.isbuiltin(their) or inspect.isclass(our) or not callable(our):
            continue
        takes = accepted(our)
        if takes is not None:
            lacks = set().union(*own_signatures(their)) - takes - LEFT_OUT
            if lacks:
                missing[name] = lacks
    assert missing == {}


MAKERS = {
    "zeros": "(2)", "ones": "(2)", "empty": "(2)", "rand": "(2)", "randn": "(2)", "full": "((2,), 1.0)", "eye": "(2)",
    "randint": "(3, (2,))", "randint_like": "(t, 3)", "randperm": "(3)", "arange": "(3)", "linspace": "(0, 1, 3)",
    "logspace": "(0, 1, 3)", "normal": "(0.0, 1.0, (2,))", "tensor": "([1.0])", "as_tensor": "([1.0])",
    "scalar_tensor": "(1.0)", "zeros_like": "(t)", "ones_like": "(t)", "empty_like": "(t)", "full_like": "(t, 2.0)",
    "rand_like": "(t)", "randn_like": "(t)", "t.new_zeros": "(2)", "t.new_ones": "(2)", "t.new_empty": "(2)",
    "t.new_full": "((2,), 1.0)", "t.new_tensor": "([1.0])",
}  # fmt: skip
OPTIONS = {
    "dtype": "float32", "requires_grad": "True", "device": "'cpu'", "layout": "strided", "pin_memory": "False",
    "memory_format": "contiguous_format", "generator": "Generator()", "no_such_option": "1",
}  # fmt: skip


@requires_torch
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_tensor_is_made_with_the_options_that_torch_takes_and_no_others(maker, option):
    import torch

    text = f"{maker}{MAKERS[maker][:-1]}, {option}={OPTIONS[option]})"
    if option == "requires_grad" and maker in ("randint", "randperm", "arange"):
        text = f"{text[:-1]}, dtype=float32)"  # whole numbers have no gradient
    found = []
    for lib in (torch, npnn):
        try:
            made = eval(text, {**vars(lib), "t": lib.ones(2, 3)})
        except TypeError as error:
            found.append(type(error))
        else:
            found.append((str(made.dtype).removeprefix("torch."), made.requires_grad, tuple(made.shape)))
    assert found[0] == found[1]
