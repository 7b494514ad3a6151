"""The command line as a user calls it: in a process of its own, judged by exit code and output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import npnn
from npnn.experiment.command_line import main
from npnn.experiment.numbers import read, runs
from npnn.experiment.registry import experiment, names
from npnn.io import load_file
from tests.parity import requires_torch

ROOT = Path(__file__).parent.parent.parent
TINY = ["--steps", "3", "--batch-size", "8"]
WITHOUT_TERMINAL = {**os.environ, "COLUMNS": "100"}


def call(*words, **options):
    command = [sys.executable, "-m", "experiments", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=WITHOUT_TERMINAL, **options)


def into(folder, names=("figs", "models", "runs", "results")):
    return [word for name in names for word in (f"--{name}", folder / name)]


def test_without_a_command_the_experiments_are_listed():
    done = call()
    assert done.returncode == 0, done.stderr
    for name in names():
        assert name in done.stdout
        assert experiment(name).question in done.stdout
    assert "24 variants, moons by default" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 130


def test_the_variants_of_one_experiment_are_listed_with_what_they_reached(tmp_path, capsys):
    assert main(["run", "mlp_toy", *map(str, into(tmp_path))]) == 0
    accuracy = f"{100 * read(tmp_path / 'results' / 'mlp_toy-moons.json')['metrics']['test_accuracy']:.2f}"
    capsys.readouterr()
    assert main(["list", "mlp_toy", "--results", str(tmp_path / "results")]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert set(experiment("mlp_toy").VARIANTS) < set(lines)
    assert lines["moons"].split()[1:5] == ["S2-1,", "S3-1", accuracy, lines["moons"].split()[-1]]
    assert lines["blobs-softmax"].endswith("not run  –        dataset blobs, softmax True")


def test_help_names_the_commands_and_the_settings(capsys):
    for words, expected in {
        ("--help",): ["run", "compare", "demo", "evaluate", "sweep", "results", "report", "draw", "exit codes"],
        ("run", "--help"): names(),
        ("run", "mlp_toy", "--help"): ["--variant", "--backend", "--seeds", "--resume", "--lr", "[0.01]", "--figs"],
        ("run", "mnist", "--help"): ["--model {mlp,conv,", "--activation {ReLU,Sigmoid}", "--lr FLOAT"],
        ("compare", "mlp_toy", "--help"): ["--variant", "--steps", "--figs", "--runs"],
        ("list", "--help"): ["NAME", "mlp_toy"],
        ("demo", "--help"): ["--models"],
        ("evaluate", "--help"): ["FILE"],
        ("sweep", "mlp_toy", "--help"): ["--variants", "--seeds", "--backends", "--jobs", "--results"],
        ("results", "--help"): ["--prune"],
        ("report", "--help"): ["STEM", "--out"],
    }.items():
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert all(word in text for word in expected), words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "no 'rnu': did you mean 'run'?"),
        (["run"], "required: NAME"),
        (["run", "mlp_tow"], "no 'mlp_tow': did you mean 'mlp_toy'?"),
        (["run", "resnet50000"], "no 'resnet50000': there are cifar10_94, cnn_"),
        (["run", "mlp_toy", "--variant", "moon"], "no 'moon': did you mean 'moons'?"),
        (["run", "mlp_toy", "--dataset", "circle"], "did you mean 'circles'?"),
        (["run", "mlp_toy", "--backend", "jax"], "no 'jax': there are npnn, torch"),
        (["run", "mlp_toy", "--lr", "fast"], "argument --lr: invalid float value: 'fast'"),
        (["run", "mlp_toy", "--colour", "red"], "unrecognized arguments: --colour red (see python -m experiments run"),
        (["run", "mlp_toy", "--lrr=3"], "--lrr=3: did you mean '--lr'? (see python -m experiments run mlp_toy --help)"),
        (["--versoin"], "unrecognized arguments: --versoin (see python -m experiments --help)"),
        (["evaluate"], "required: FILE"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert message in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "mlp_toy", "--lr", "-1"], "--lr must be a positive number, got -1.0"),
        (["run", "mlp_toy", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["run", "mlp_toy", "--steps", "3", "--epochs", "2"], "give one of them"),
        (["run", "mlp_toy", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["run", "mlp_toy", "--seeds", "2", "--resume"], "leave --seeds out"),
        (["run", "mlp_toy", "--n-samples", "0"], "n_samples"),
        (["run", "cnn_digits", "--dropout", "1.5"], "dropout"),
        (["run", "mlp_toy", *TINY, "--resume"], "there is nothing to resume"),
        (["run", "mlp_toy", "--lr", "1e30", "--steps", "50"], "at learning rate 1e+30"),
        (["evaluate", "missing.safetensors"], "missing.safetensors"),
    ],
)
def test_what_the_user_can_put_right_is_told_in_one_line(words, message, capsys, tmp_path):
    folders = [str(word) for word in into(tmp_path)] if words[0] == "run" else []
    assert main([*words, *folders]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_a_mistake_is_one_line_without_traceback_in_a_process_of_its_own():
    done = call("run", "mlp_toy", "--lr", "-1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: --lr must be a positive number, got -1.0\n"


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["run", "mlp_toy", *TINY, *map(str, into(tmp_path / "file"))]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_run_then_evaluate(tmp_path, capsys):
    assert main(["run", "mlp_toy", *TINY, *map(str, into(tmp_path))]) == 0
    out = capsys.readouterr().out
    (weights,) = (tmp_path / "runs").glob("*/weights.safetensors")
    assert str(weights) in out
    assert main(["evaluate", str(weights)]) == 0
    numbers = read(tmp_path / "results" / "mlp_toy-moons.json", weights.parent.name)
    line = f"{weights}: test accuracy {numbers['metrics']['test_accuracy']:.2%}, test loss"
    assert capsys.readouterr().out.startswith(line)
    assert main(["evaluate", str(weights), str(weights)]) == 0
    assert capsys.readouterr().out.count("; as recorded\n") == 2


def test_a_run_of_other_settings_stays_in_its_own_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mlp_toy", *TINY, "--lr", "0.5"]) == 0
    own = Path("runs/mlp_toy-moons+steps=3+batch_size=8+lr=0.5")
    assert [path.name for path in Path().iterdir()] == ["runs"]
    assert sorted(path.name for path in own.iterdir()) == ["figure.png", "run.json", "weights.safetensors"]
    out = capsys.readouterr().out
    assert all(str(own / name) in out for name in ("figure.png", "run.json", "weights.safetensors"))
    assert "brings the table up to date" not in out
    (own / "figure.png").unlink()
    assert main(["draw", own.name]) == 0
    assert capsys.readouterr().out == f"{own / 'figure.png'}\n"
    assert main(["report", own.name]) == 0
    assert "<section" in Path("report.html").read_text()


def test_another_seed_is_recorded_but_its_figure_is_its_own(tmp_path, capsys, monkeypatch):
    small = experiment("mlp_toy").Config(steps=3, n_samples=50, batch_size=8)
    monkeypatch.setitem(experiment("mlp_toy").VARIANTS, "moons", small)
    monkeypatch.chdir(tmp_path)
    for seed in ("0", "1"):
        assert main(["run", "mlp_toy", "--seed", seed]) == 0
        said = capsys.readouterr().out
        assert said.endswith("\npython -m experiments results brings the table up to date\n")
    assert [path.name for path in Path("figs").iterdir()] == ["mlp_toy-moons.png"]
    assert Path("runs/mlp_toy-moons-seed1/figure.png").exists()
    (file,) = Path("experiments/results").iterdir()
    assert set(runs(file)) == {"mlp_toy-moons", "mlp_toy-moons-seed1"}


@pytest.mark.parametrize("word", ["report", "draw"])
def test_a_name_that_is_nearly_right_is_suggested(word, tmp_path, capsys):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "mlp_toy-moons.json").write_text('{"runs": {"mlp_toy-moons": {"finished": false}}}')
    assert main([word, "mlp_toy-moon", "--results", str(folder)]) == 1
    assert "no finished run 'mlp_toy-moon': did you mean 'mlp_toy-moons'?" in capsys.readouterr().err
    assert main([word, "resnet", "--results", str(folder)]) == 1
    assert f"no finished run 'resnet': they are in the files of {folder}" in capsys.readouterr().err


def test_evaluate_sees_weights_that_do_not_belong_to_the_numbers(tmp_path, capsys):
    assert main(["run", "mlp_toy", "--steps", "200", *map(str, into(tmp_path))]) == 0
    (weights,) = (tmp_path / "runs").glob("*/weights.safetensors")
    arrays, notes = npnn.io.weights.read(weights)
    run = json.loads(notes["run"])
    accuracy = run["metrics"]["test_accuracy"]
    run["metrics"]["test_accuracy"] = accuracy - 1 / 200  # one of the points on another processor
    run["variant"] = "crescents"  # what moons were called once
    npnn.io.save_file(arrays, weights, {"run": json.dumps(run)})
    assert main(["evaluate", str(weights)]) == 0
    assert "as recorded but for 1 of 200 examples, by rounding" in capsys.readouterr().out
    arrays["2.bias"] = arrays["2.bias"] + np.float32([9, 0])
    npnn.io.save_file(arrays, weights, notes)
    assert main(["evaluate", str(weights)]) == 1
    said = capsys.readouterr()
    assert f"recorded was {accuracy:.2%}" in said.out
    assert f"the accuracy saved with the file is another: {weights} ({accuracy:.2%})" in said.err
    npnn.io.save_file(arrays, weights)
    assert main(["evaluate", str(weights)]) == 1
    assert "does not say which experiment" in capsys.readouterr().err


def test_several_seeds_give_mean_and_spread(tmp_path, capsys):
    assert main(["run", "mlp_toy", *TINY, "--seeds", "3", *map(str, into(tmp_path))]) == 0
    assert "3 seeds: " in capsys.readouterr().out
    (file,) = (tmp_path / "results").glob("*.json")
    assert sorted(run["config"]["seed"] for run in runs(file).values()) == [0, 1, 2]
    assert len(list((tmp_path / "figs").iterdir())) == len(list((tmp_path / "runs").glob("*/weights.safetensors"))) == 1


def _hear_ctrl_c():
    """A job in the background is deaf to it, and so would be the processes that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("backend", "steps"), [("npnn", 3000), pytest.param("torch", 800, marks=requires_torch)])
def test_interrupted_and_resumed_equals_unbroken(backend, steps, tmp_path):
    """Ctrl-C falls where it falls: the result may not depend on it."""
    words = ["run", "mlp_toy", "--steps", steps, "--batch-size", "16", "--evaluate-every", "7", "--backend", backend]
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert call(*words, *into(unbroken)).returncode == 0

    command = [sys.executable, "-m", "experiments", *map(str, [*words, *into(broken)])]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
    )
    while not (broken / "runs").exists() and process.poll() is None:  # training has not begun
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130, errors
    assert "interrupted after step" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert not (broken / "results").exists(), "an unfinished run must not look finished"
    (sofar,) = (broken / "runs").glob("*/run.json")
    stands = json.loads(sofar.read_text())
    assert not stands["finished"]
    assert stands["metrics"] is None
    assert 0 < stands["step"] < steps

    done = call(*words, *into(broken), "--resume")
    assert done.returncode == 0, done.stderr
    (one,) = (unbroken / "runs").glob("*/weights.safetensors")
    stem = one.parent.name
    other = broken / "runs" / stem / one.name
    for key, array in load_file(one).items():
        np.testing.assert_array_equal(array.view(np.int32), load_file(other)[key].view(np.int32), err_msg=key)
    histories = [read(folder / "results" / "mlp_toy-moons.json", stem)["history"] for folder in (unbroken, broken)]
    for history in histories:
        del history["seconds"]
    assert histories[0] == histories[1]
    figures = [(folder / "figs" / f"{stem}.png").read_bytes() for folder in (unbroken, broken)]
    assert figures[0] == figures[1]


def test_the_demo_ends_with_a_table(tmp_path, monkeypatch, capsys):
    from npnn.experiment import commands

    monkeypatch.setattr(commands, "DEMO", (("mlp_toy", "moons"),))
    monkeypatch.setitem(
        experiment("mlp_toy").VARIANTS, "moons", experiment("mlp_toy").Config(steps=3, n_samples=50, batch_size=8)
    )
    assert main(["demo", *map(str, into(tmp_path, ("figs", "models", "runs")))]) == 0
    head, _, row = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert head.split("  ")[0] == "experiment"
    assert "test accuracy" in head
    assert "mlp_toy-moons" in row
    assert str(tmp_path / "figs" / "mlp_toy-moons.png") in row
