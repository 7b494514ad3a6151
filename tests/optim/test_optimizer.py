"""What all optimisers share: groups, gradients, errors, saving and loading."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import npnn
from npnn import optim
from npnn.nn.module import Parameter


def parameter(shape=(2, 3), grad=True):
    p = Parameter(np.ones(shape, np.float32))
    if grad:
        p.grad = npnn.tensor(np.full(shape, 0.5, np.float32))
    return p


def test_a_parameter_without_gradient_stays_and_gets_no_state():
    moved, still = parameter(), parameter(grad=False)
    optimizer = optim.Adam([moved, still])
    optimizer.step()
    assert (moved.array != 1).all()
    assert (still.array == 1).all()
    assert still not in optimizer.state
    assert list(optimizer.state_dict()["state"]) == [0]


def test_zero_grad():
    p = parameter()
    gradient = p.grad.array
    optimizer = optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.array is gradient
    assert not gradient.any()
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_is_called_with_gradients_on_and_its_loss_returned():
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with npnn.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 6.0
    np.testing.assert_allclose(p.array, 0.8, rtol=1e-6)
    assert optim.SGD([p]).step() is None


def test_the_step_counts_as_an_in_place_change():
    p = parameter(grad=False)
    optimizer = optim.SGD([p])
    y = (p * p).sum()
    p.grad = npnn.tensor(np.ones((2, 3), np.float32))
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_the_step_is_in_place():
    p = parameter()
    array = p.array
    optim.Adam([p]).step()
    assert p.array is array


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_gradient_in_another_memory_order(order):
    g = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    p = parameter((3, 4), grad=False)
    p.grad = npnn.tensor(np.array(g, order=order))
    p.grad.array.flags.writeable = False
    optim.SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(p.array, 1 - g)


def test_a_gradient_of_the_wrong_shape():
    p = parameter((2, 3), grad=False)
    with pytest.raises(RuntimeError, match="assigned grad has shape"):
        p.grad = npnn.tensor(np.ones((2, 1), np.float32))


def test_a_cast_model_goes_on_training():
    p = parameter()
    optimizer = optim.Adam([p])
    optimizer.step()
    p.array, p.grad = p.array.astype(np.float64), npnn.tensor(np.ones((2, 3)))
    optimizer.step()
    assert p.array.dtype == np.float64
    assert np.isfinite(p.array).all()


class SignSGD(optim.Optimizer):
    """A rule of one's own: the sign of the running sum of gradients."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def init(self, p, group):
        return {"total": np.zeros_like(p)}

    def update(self, p, g, state, group):
        state["total"] += g
        p -= group["lr"] * np.sign(state["total"])


def test_a_rule_of_ones_own():
    p = parameter()
    optimizer = SignSGD([p], lr=0.25)
    for gradient in (1.0, -3.0, 1.0):
        p.grad = npnn.tensor(np.full((2, 3), gradient, np.float32))
        optimizer.step()
    assert (p.array == 1.25).all()
    assert (optimizer.state_dict()["state"][0]["total"].array == -1).all()


# ---- what the constructor accepts


def test_named_parameters_keep_their_names():
    a, b = parameter(), parameter()
    optimizer = optim.SGD([("a", a), ("b", b)])
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    optimizer.step()
    assert (b.array != 1).all()
    with pytest.raises(ValueError, match="all parameters have names or none"):
        optim.SGD([("a", a), b])


def test_a_group_may_hold_one_tensor_or_a_generator():
    a, b = parameter(), parameter()
    optimizer = optim.SGD([{"params": a}, {"params": (p for p in [b]), "lr": 7.0}])
    assert [group["params"] for group in optimizer.param_groups] == [[a], [b]]
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 7.0]


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adadelta"])
def test_a_learning_rate_may_be_a_tensor_of_one_number(name):
    p, q = parameter(), parameter()
    getattr(optim, name)([p], lr=npnn.tensor(0.25)).step()
    getattr(optim, name)([q], lr=0.25).step()
    assert np.array_equal(p.array, q.array)
    with pytest.raises(ValueError, match=r"Invalid learning rate: -0\.25"):
        getattr(optim, name)([p], lr=npnn.tensor(-0.25))


def test_the_callers_dict_is_left_alone():
    group = {"params": [parameter()]}
    optim.SGD([group])
    assert list(group) == ["params"]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ValueError, "empty parameter list"),
        (parameter(), TypeError, "must be a list of Tensors or of dicts, got one Parameter"),
        ({"params": [parameter()]}, TypeError, "got one dict"),
        ([np.ones(3)], TypeError, "can only optimize Tensors, but one of the params is ndarray"),
        ([{"params": {parameter()}}], TypeError, "set have no fixed order"),
        ([parameter() * 2], ValueError, "can't optimize a non-leaf Tensor"),
    ],
)
def test_bad_parameters(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params)


def test_a_parameter_given_twice():
    p = parameter()
    with pytest.raises(ValueError, match=r"more than once: one of shape \(2, 3\)"):
        optim.SGD([p, p])
    optimizer = optim.SGD([p])
    with pytest.raises(ValueError, match="more than once"):
        optimizer.add_param_group({"params": [parameter(), p]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -0.1}, "Invalid learning rate: -0.1"),
        ("SGD", {"lr": float("nan")}, "Invalid learning rate: nan"),
        ("SGD", {"momentum": -1}, "Invalid momentum value: -1"),
        ("SGD", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        ("SGD", {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "Nesterov"),
        ("Momentum", {"lr": -1.0}, "Invalid learning rate"),
        ("Adam", {"lr": -1.0}, "Invalid learning rate"),
        ("Adam", {"eps": -1.0}, "Invalid epsilon value: -1.0"),
        ("Adam", {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        ("Adam", {"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
        ("AdamW", {"weight_decay": -1.0}, "Invalid weight_decay value"),
        ("RMSprop", {"alpha": -1.0}, "Invalid alpha value: -1.0"),
        ("RMSprop", {"momentum": -1.0}, "Invalid momentum value"),
        ("Adagrad", {"lr_decay": -1.0}, "Invalid lr_decay value: -1.0"),
        ("NAdam", {"momentum_decay": -1.0}, "Invalid momentum_decay value: -1.0"),
        ("RAdam", {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        ("Adamax", {"eps": -1.0}, "Invalid epsilon value: -1.0"),
        ("Adadelta", {"rho": -0.1}, "Invalid rho value: -0.1"),
        ("Adadelta", {"rho": 1.1}, "Invalid rho value: 1.1"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "Invalid initial_accumulator_value value: -1.0"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([parameter()], **options)
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([{"params": [parameter()], **options}])


# ---- saving and loading


def test_loading_a_state_dict_that_does_not_fit_changes_nothing():
    trained = optim.Adam([parameter(), parameter((4,))])
    trained.step()
    state = trained.state_dict()
    for params, message in [
        ([{"params": [parameter()]}, {"params": [parameter()]}], "has 1 parameter groups, the optimizer 2"),
        ([parameter()], "group 0 of the state_dict has 2 parameters, the optimizer's 1"),
        ([parameter(), parameter((5,))], r"exp_avg in the state_dict has shape \(4,\), its parameter \(5,\)"),
    ]:
        optimizer = optim.Adam(params, lr=0.7)
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
        assert not optimizer.state
        assert optimizer.param_groups[0]["lr"] == 0.7


def test_the_loaded_state_is_a_copy_in_the_parameters_dtype_and_memory_order():
    p = Parameter(np.zeros((2, 3, 3, 4), np.float32).transpose(0, 3, 1, 2))
    p.grad = npnn.tensor(np.ones(p.shape, np.float32))
    source = optim.Adam([p])
    source.step()
    state = source.state_dict()
    state["state"][0]["exp_avg"] = np.ones(p.shape, np.float64)
    target = optim.Adam([p])
    target.load_state_dict(state)
    loaded = target.state[p]
    assert loaded["exp_avg"].dtype == np.float32
    assert loaded["exp_avg_sq"].strides == p.array.strides
    assert not np.shares_memory(loaded["exp_avg_sq"], source.state[p]["exp_avg_sq"])


def test_adamw_takes_a_state_of_adam_but_not_its_decay():
    p = parameter()
    plain = optim.Adam([p], weight_decay=0.1)
    plain.step()
    decoupled = optim.AdamW([p])
    decoupled.load_state_dict(plain.state_dict())
    assert decoupled.param_groups[0]["decoupled_weight_decay"]
    assert decoupled.param_groups[0]["weight_decay"] == 0.1


def test_a_deep_copy_trains_its_own_parameters():
    model = {"weight": parameter()}
    optimizer = optim.Momentum(model.values(), lr=0.1)
    optimizer.step()
    twin, other = copy.deepcopy((model, optimizer))
    other.step()
    assert np.array_equal(other.param_groups[0]["params"][0].array, twin["weight"].array)
    assert not np.array_equal(twin["weight"].array, model["weight"].array)


def test_repr_names_the_options():
    assert repr(optim.SGD([parameter()], lr=0.5)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.5\n    maximize: False\n    momentum: 0\n"
        "    nesterov: False\n    weight_decay: 0\n)"
    )
