"""Schedules beside torch's over fifty steps: alone, together, in sequence, reloaded; and their formulas."""

from __future__ import annotations

import copy
import json
import math
import warnings

import numpy as np
import pytest

from npnn import optim
from npnn.nn.module import Parameter
from npnn.optim import lr_scheduler
from tests.parity import requires_torch, torch

# A case builds its schedules, from npnn's module or torch's, on one optimiser; the last is looked at.
ALONE = {
    "StepLR": lambda s, o: [s.StepLR(o, 3, 0.5)],
    "StepLR gamma 0": lambda s, o: [s.StepLR(o, 3, 0.0)],
    "MultiStepLR": lambda s, o: [s.MultiStepLR(o, [20, 5, 5, 2], 0.3)],
    "MultiStepLR from 0": lambda s, o: [s.MultiStepLR(o, [0, 7])],
    "ExponentialLR": lambda s, o: [s.ExponentialLR(o, 0.9)],
    "ConstantLR": lambda s, o: [s.ConstantLR(o, 0.2, 4)],
    "ConstantLR defaults": lambda s, o: [s.ConstantLR(o)],
    "LinearLR": lambda s, o: [s.LinearLR(o, 0.1, 0.9, 10)],
    "LinearLR defaults": lambda s, o: [s.LinearLR(o)],
    "LinearLR to 0": lambda s, o: [s.LinearLR(o, 1.0, 0.0, 10)],
    "LinearLR at once": lambda s, o: [s.LinearLR(o, 0.5, 1.0, 0)],
    "LinearLR never": lambda s, o: [s.LinearLR(o, 0.5, 1.0, -1)],
    "ConstantLR for ever": lambda s, o: [s.ConstantLR(o, 0.2, 0)],
    "PolynomialLR never": lambda s, o: [s.PolynomialLR(o, 0)],
    "PolynomialLR": lambda s, o: [s.PolynomialLR(o, 30, 2.0)],
    "CosineAnnealingLR": lambda s, o: [s.CosineAnnealingLR(o, 7)],
    "CosineAnnealingLR eta_min": lambda s, o: [s.CosineAnnealingLR(o, 10, 0.001)],
    "CosineAnnealingWarmRestarts": lambda s, o: [s.CosineAnnealingWarmRestarts(o, 5)],
    "CosineAnnealingWarmRestarts longer": lambda s, o: [s.CosineAnnealingWarmRestarts(o, 4, 2, 0.001)],
    "LambdaLR": lambda s, o: [s.LambdaLR(o, lambda t: 0.95**t)],
    "LambdaLR per group": lambda s, o: [s.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (1 + t)])],
    "OneCycleLR": lambda s, o: [s.OneCycleLR(o, [0.5, 0.2], total_steps=50)],
    "OneCycleLR linear": lambda s, o: [s.OneCycleLR(o, 0.5, epochs=10, steps_per_epoch=5, anneal_strategy="linear")],
    "OneCycleLR three phases": lambda s, o: [s.OneCycleLR(o, 0.5, 50, pct_start=0.25, three_phase=True)],
    "OneCycleLR no momentum": lambda s, o: [s.OneCycleLR(o, 0.5, 50, cycle_momentum=False, div_factor=10.0)],
}
TOGETHER = {
    "step, exponential": lambda s, o: [s.StepLR(o, 5, 0.5), s.ExponentialLR(o, 0.97)],
    "warm-up, cosine, exponential": lambda s, o: [
        s.LinearLR(o, 0.1, 1.0, 8),
        s.CosineAnnealingLR(o, 9, 0.0005),
        s.ExponentialLR(o, 0.99),
    ],
    "constant, polynomial, milestones": lambda s, o: [
        s.ConstantLR(o, 0.3, 6),
        s.PolynomialLR(o, 20, 1.5),
        s.MultiStepLR(o, [3, 9], 0.5),
    ],
    "cosine to 0, step": lambda s, o: [s.CosineAnnealingLR(o, 6), s.StepLR(o, 4, 0.7)],
    "exponential, lambda": lambda s, o: [s.ExponentialLR(o, 0.9), s.LambdaLR(o, lambda t: 0.95**t)],
}
COMBINED = {
    "ChainedScheduler": lambda s, o: [s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 5), s.ExponentialLR(o, 0.9)])],
    "SequentialLR": lambda s, o: [
        s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 20, 0.001)], [5])
    ],
    "SequentialLR of four": lambda s, o: [
        s.SequentialLR(
            o,
            [
                s.ConstantLR(o, 0.1, 5),
                s.ExponentialLR(o, 0.9),
                s.LambdaLR(o, lambda t: 0.5**t),
                s.CosineAnnealingWarmRestarts(o, 3),
            ],
            [4, 12, 20],
        )
    ],
    "SequentialLR of steps": lambda s, o: [s.SequentialLR(o, [s.StepLR(o, 2, 0.5), s.MultiStepLR(o, [3, 4])], [7])],
    "SequentialLR into one cycle": lambda s, o: [
        s.SequentialLR(o, [s.ExponentialLR(o, 0.9), s.OneCycleLR(o, 0.5, total_steps=60)], [6])
    ],
}
CASES = {**ALONE, **TOGETHER, **COMBINED}
STEPS = 50


def optimizer(module=optim, name="SGD", lr=0.1, **options):
    """Two groups with learning rates of their own."""
    if module is optim:
        parts = [Parameter(np.zeros(2)), Parameter(np.zeros(2))]
    else:
        parts = [torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)]
        warnings.simplefilter("ignore")  # torch wants optimizer.step() before scheduler.step()
    return getattr(module, name)([{"params": [parts[0]]}, {"params": [parts[1]], "lr": 0.03}], lr=lr, **options)


def look(opt, schedules):
    momentum = [g["betas"][0] if "betas" in g else g.get("momentum", 0) for g in opt.param_groups]
    return [g["lr"] for g in opt.param_groups] + momentum + list(schedules[-1].get_last_lr())


def assert_same_course(mine, schedules, reference, theirs, steps=STEPS):
    for t in range(steps):
        np.testing.assert_allclose(
            look(mine, schedules), look(reference, theirs), rtol=1e-9, atol=1e-15, err_msg=f"at step {t}"
        )
        for schedule in (*schedules, *theirs):
            schedule.step()


@requires_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_same_learning_rates_as_torch(case):
    mine, reference = optimizer(momentum=0.9), optimizer(torch.optim, momentum=0.9)
    assert_same_course(
        mine, CASES[case](lr_scheduler, mine), reference, CASES[case](torch.optim.lr_scheduler, reference)
    )


@requires_torch
@pytest.mark.filterwarnings("ignore")
def test_one_cycle_moves_beta1_of_adam():
    mine, reference = optimizer(name="Adam"), optimizer(torch.optim, "Adam")
    case = ALONE["OneCycleLR"]
    assert_same_course(mine, case(lr_scheduler, mine), reference, case(torch.optim.lr_scheduler, reference))
    assert mine.param_groups[0]["betas"][1] == 0.999


@requires_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [c for c in ALONE if "Cycle" not in c and "Restarts" not in c and "Lambda" not in c])
def test_learning_rates_set_by_hand_are_respected_as_in_torch(case):
    mine, reference = optimizer(momentum=0.9), optimizer(torch.optim, momentum=0.9)
    ours, theirs = CASES[case](lr_scheduler, mine), CASES[case](torch.optim.lr_scheduler, reference)
    for t in range(30):
        for group in (*mine.param_groups, *reference.param_groups):
            if t == 8:
                group["lr"] *= 0.5
        np.testing.assert_allclose(
            [g["lr"] for g in mine.param_groups], [g["lr"] for g in reference.param_groups], rtol=1e-9, atol=1e-15
        )
        ours[0].step()
        theirs[0].step()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stop", [1, 5, 13])
def test_reloaded_schedules_continue_bit_for_bit(case, stop):
    steady = optimizer(momentum=0.9)
    course = CASES[case](lr_scheduler, steady)
    moved = optimizer(momentum=0.9)
    schedules = CASES[case](lr_scheduler, moved)
    for t in range(30):
        if t == stop:
            saved = copy.deepcopy(moved.state_dict()), json.loads(json.dumps([s.state_dict() for s in schedules]))
            moved = optimizer(momentum=0.9)
            schedules = CASES[case](lr_scheduler, moved)
            moved.load_state_dict(saved[0])
            for schedule, state in zip(schedules, saved[1], strict=True):
                schedule.load_state_dict(state)
        assert look(steady, course) == look(moved, schedules), f"at step {t}"
        for schedule in (*course, *schedules):
            schedule.step()


@requires_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ["ExponentialLR", "LinearLR", "CosineAnnealingLR eta_min", "PolynomialLR"])
def test_resuming_by_last_epoch_as_in_torch(case):
    build = {
        "ExponentialLR": lambda s, o, e: s.ExponentialLR(o, 0.9, e),
        "LinearLR": lambda s, o, e: s.LinearLR(o, 0.1, 0.9, 10, e),
        "CosineAnnealingLR eta_min": lambda s, o, e: s.CosineAnnealingLR(o, 10, 0.001, e),
        "PolynomialLR": lambda s, o, e: s.PolynomialLR(o, 30, 2.0, e),
    }[case]
    mine, reference = optimizer(momentum=0.9), optimizer(torch.optim, momentum=0.9)
    ours, theirs = build(lr_scheduler, mine, -1), build(torch.optim.lr_scheduler, reference, -1)
    for _ in range(6):
        ours.step()
        theirs.step()
    assert_same_course(
        mine, [build(lr_scheduler, mine, 5)], reference, [build(torch.optim.lr_scheduler, reference, 5)], 20
    )
    with pytest.raises(KeyError, match="initial_lr"):
        build(lr_scheduler, optimizer(), 5)


# ---- closed forms, without torch


def test_a_schedule_is_a_function_of_the_step():
    opt = optimizer()
    schedule = lr_scheduler.CosineAnnealingLR(opt, 10)
    assert schedule.lr_at(5) == pytest.approx([0.05, 0.015])
    assert schedule.base_lrs == [0.1, 0.03]
    assert schedule.last_epoch == 0
    assert [g["lr"] for g in opt.param_groups] == [0.1, 0.03], "looking ahead changes nothing"


@pytest.mark.parametrize(
    ("build", "formula"),
    [
        (lambda o: lr_scheduler.StepLR(o, 4, 0.5), lambda t: 0.5 ** (t // 4)),
        (lambda o: lr_scheduler.MultiStepLR(o, [2, 6], 0.1), lambda t: 0.1 ** ((t >= 2) + (t >= 6))),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
        (lambda o: lr_scheduler.ConstantLR(o, 0.25, 3), lambda t: 0.25 if t < 3 else 1),
        (lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, 4), lambda t: 0.5 + 0.125 * min(t, 4)),
        (lambda o: lr_scheduler.PolynomialLR(o, 8, 2.0), lambda t: (1 - min(t, 8) / 8) ** 2),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 8), lambda t: math.cos(math.pi * t / 16) ** 2),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4), lambda t: math.cos(math.pi * (t % 4) / 8) ** 2),
        (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (t + 1)), lambda t: 1 / (t + 1)),
    ],
)
def test_formula(build, formula):
    opt = optimizer()
    schedule = build(opt)
    for t in range(20):
        np.testing.assert_allclose(schedule.get_last_lr(), [0.1 * formula(t), 0.03 * formula(t)], atol=1e-12)
        assert schedule.last_epoch == t
        schedule.step()


def test_one_cycle_rises_falls_and_ends():
    opt = optimizer(momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10)
    course = []
    for _ in range(10):
        course.append((opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]))
        schedule.step()
    assert course[0] == pytest.approx((1 / 25, 0.95))
    assert course[2] == pytest.approx((1.0, 0.85))
    assert course[9] == pytest.approx((1 / 25 / 1e4, 0.95))
    with pytest.raises(ValueError, match=r"Tried to step 11 times\. The specified number of total steps is 10"):
        schedule.step()


def test_combined_schedules_inside_a_sequence_start_anew():
    opt = optimizer()
    s = lr_scheduler
    chained = s.ChainedScheduler([s.ConstantLR(opt, 0.5, 2), s.ExponentialLR(opt, 0.5)])
    inner = s.SequentialLR(opt, [s.LinearLR(opt, 0.5, 1.0, 2), s.ExponentialLR(opt, 0.1)], [2])
    schedule = s.SequentialLR(opt, [s.ExponentialLR(opt, 0.9), chained, inner], [2, 5])
    course = []
    for _ in range(9):
        course.append(opt.param_groups[0]["lr"] / 0.1)
        assert schedule.get_last_lr()[0] == opt.param_groups[0]["lr"]
        schedule.step()
    assert course == pytest.approx([1, 0.9, 0.5, 0.25, 0.25, 0.5, 0.75, 1, 0.1])


# ---- plateau


@requires_torch
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"mode": "max", "patience": 1, "factor": 0.5},
        {"patience": 0, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 2, "factor": 0.7},
        {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
        {"patience": 1, "min_lr": [0.01, 0.001], "factor": 0.3},
        {"patience": 0, "eps": 0.01},
    ],
)
def test_plateau_as_in_torch(options):
    rng = np.random.default_rng(0)
    figures = np.concatenate([np.linspace(1, 0.5, 10), 0.5 + 0.1 * rng.standard_normal(40), [math.nan, 0.1]])
    mine, reference = optimizer(), optimizer(torch.optim)
    ours = lr_scheduler.ReduceLROnPlateau(mine, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, **options)
    for figure in figures:
        ours.step(figure)
        theirs.step(figure)
        np.testing.assert_allclose(
            [g["lr"] for g in mine.param_groups], [g["lr"] for g in reference.param_groups], rtol=1e-12
        )
        assert ours.get_last_lr() == [g["lr"] for g in mine.param_groups]
        assert (ours.best, ours.num_bad_epochs) == (theirs.best, theirs.num_bad_epochs)


def test_plateau_reloaded_continues():
    opt = optimizer()
    schedule = lr_scheduler.ReduceLROnPlateau(opt, patience=3)
    for _ in range(3):
        schedule.step(1.0)
    state = json.loads(json.dumps(schedule.state_dict()))
    again = lr_scheduler.ReduceLROnPlateau(opt, patience=3)
    again.load_state_dict(state)
    again.step(1.0)
    assert opt.param_groups[0]["lr"] == 0.1
    again.step(1.0)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.01)


# ---- errors


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda s, o: s.StepLR("adam", 3), TypeError, "str is not an Optimizer"),
        (lambda s, o: s.ReduceLROnPlateau(None), TypeError, "NoneType is not an Optimizer"),
        (lambda s, o: s.OneCycleLR(None, 0.1, 10), TypeError, "is not an Optimizer"),
        (lambda s, o: s.ConstantLR(o, 1.5), ValueError, "between 0 and 1"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "greater than 0"),
        (lambda s, o: s.LinearLR(o, 0.5, 2.0), ValueError, "between 0 and 1"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "Expected positive integer T_0, but got 0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 0), ValueError, "Expected integer T_mult >= 1, but got 0"),
        (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "expected 2 values of lr_lambda"),
        (lambda s, o: s.OneCycleLR(o, [0.1] * 3, 10), ValueError, "expected 2 values of max_lr"),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 0), ValueError, "Expected positive integer total_steps, but got 0"),
        (lambda s, o: s.OneCycleLR(o, 0.1, None, 2, 1.5), ValueError, "positive integer steps_per_epoch, but got 1.5"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=1.5), ValueError, "pct_start, but got 1.5"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="sine"), ValueError, "instead got sine"),
        (lambda s, o: s.OneCycleLR(optimizer(name="Adagrad"), 0.1, 10), ValueError, "must support momentum or beta1"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="best"), ValueError, "mode must be 'min' or 'max', got 'best'"),
        (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold_mode must be"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "expected 2 values of min_lr"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "1 schedulers and 1 milestones"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(optimizer(), 1)], []), ValueError, "index 0 belongs to another"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "needs a figure"),
    ],
)
def test_bad_options(build, error, message):
    with pytest.raises(error, match=message):
        build(lr_scheduler, optimizer(momentum=0.9))
