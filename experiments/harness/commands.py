"""What each word of the command line does, and what it prints.  Each returns an exit code."""

from __future__ import annotations

import textwrap
import time
from argparse import Namespace
from collections.abc import Sequence

import numpy as np

from experiments.harness.compare import compare as compare_job
from experiments.harness.config import UserError, replace
from experiments.harness.job import Job
from experiments.harness.numbers import job_of, read
from experiments.harness.registry import experiment, names
from experiments.harness.report import page
from experiments.harness.results import Folders, Result, draw_again, finished, save_figure
from experiments.harness.results import evaluate as evaluate_file
from experiments.harness.run import run as run_job
from experiments.harness.run import seeds
from experiments.harness.sweep import jobs
from experiments.harness.sweep import sweep as run_all
from experiments.harness.table import stale, uncited
from experiments.harness.table import update as update_table
from npnn.train.parallel import world

__all__ = ["compare", "demo", "draw", "evaluate", "list_all", "report", "results", "run", "sweep"]

#: One experiment of each family: the main job.
DEMO = (("mlp_toy", "moons-lr0.1"), ("cnn_digits", "dropout"), ("rnn_palindrome", "T10"))


def list_all(arguments: Namespace) -> int:
    for name in names():
        found = experiment(name)
        variants = textwrap.wrap(
            f"variants: {', '.join(found.VARIANTS)}", 100, initial_indent="    ", subsequent_indent=" " * 14,
            break_on_hyphens=False,
        )  # fmt: skip
        print("\n".join([name, f"    {found.question}", *variants, ""]))
    print("python -m experiments run NAME --variant V runs one; run NAME --help lists its settings")
    return 0


def run(arguments: Namespace) -> int:
    job, folders, count = _job(arguments, arguments.backend), _folders(arguments), arguments.seeds
    if count < 1:
        raise UserError(f"--seeds must be at least 1, got {count}")
    if count > 1 and arguments.resume:
        raise UserError("--resume goes on with a single run: leave --seeds out")
    if world().rank == 0:
        print(job.stem)
    accuracies = []
    for k, one in enumerate(seeds(job, count)):
        result = run_job(one, folders, resume=arguments.resume, keep=k == 0)
        if result is None:  # this process helps another, which has the result
            continue
        accuracies.append(result.metrics["accuracy"])
        if k == 0:
            print(
                f"test accuracy {result.metrics['accuracy']:.2%}, test loss {result.metrics['loss']:.4f} "
                f"after {_length(result)} in {_seconds(result):.1f} s\n"
                f"{folders.figure(job.stem)}, {folders.weights(job)} and {folders.numbers(job.stem)}"
            )
    if len(accuracies) > 1:
        mean, spread = float(np.mean(accuracies)), float(np.std(accuracies, ddof=1))
        print(f"{count} seeds: {mean:.2%} ± {spread:.2%}  ({', '.join(f'{a:.2%}' for a in accuracies)})")
    return 0


def sweep(arguments: Namespace) -> int:
    from tqdm.auto import tqdm

    folders = _folders(arguments)
    for name in ("seeds", "jobs"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    found = arguments.experiment
    every = jobs(found.name, arguments.variants or list(found.VARIANTS), arguments.seeds, arguments.backends)
    todo = [(job, keep) for job, keep in every if not finished(job, folders)]
    problems = []
    with tqdm(total=len(every), initial=len(every) - len(todo), unit="run", disable=None) as bar:
        for outcome in run_all(todo, folders, arguments.jobs):
            bar.update()
            said = f"test accuracy {outcome.accuracy:.2%}" if outcome.accuracy is not None else outcome.problem
            bar.write(f"{outcome.stem}: {said}")
            problems += [outcome.stem] * (outcome.accuracy is None)
    print(f"{len(todo) - len(problems)} of {len(todo)} runs done, {len(every) - len(todo)} were done before")
    if problems:
        raise UserError(f"these failed: {', '.join(problems)}")
    return 0


def results(arguments: Namespace) -> int:
    folders = _folders(arguments)
    print(update_table(folders))
    for command in stale(folders):
        print(f"in no row, as the settings are not those of the variant: {command}")
    for path in uncited(folders):
        if arguments.prune:
            path.unlink()
        print(f"{'deleted' if arguments.prune else 'not in the table (--prune deletes it)'}: {path}")
    return 0


def report(arguments: Namespace) -> int:
    stems, folders = arguments.stems, _folders(arguments)
    text = page(stems, folders)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}, {len(text) / 1e6:.1f} MB")
    return 0


def draw(arguments: Namespace) -> int:
    folders = _folders(arguments)
    for stem in arguments.stems:
        numbers = read(folders.numbers(stem))
        path = numbers and draw_again(job_of(numbers), folders)
        if not path:
            raise UserError(f"there is no finished run {stem} whose weights are at hand")
        print(path)
    return 0


def compare(arguments: Namespace) -> int:
    job = _job(arguments)
    outcome = compare_job(job, double=arguments.float64)
    stem = f"{job.stem}-compare" + "-float64" * arguments.float64
    path = save_figure(outcome.draw(), _folders(arguments), stem)
    gap, step = outcome.largest
    judged = min(outcome.tolerance.steps, len(outcome.gaps))
    print(
        f"{job.stem}: largest gap between the training losses {gap:.2e} at step {step} of {judged}, "
        f"{'within' if outcome.agrees else 'OUT OF'} the tolerance of {outcome.tolerance.gap:.0e}\n{path}"
    )
    return 0 if outcome.agrees else 1


def demo(arguments: Namespace) -> int:
    folders, begin = _folders(arguments), time.perf_counter()
    folders = folders._replace(results=folders.runs)  # the recorded results stay as they are
    rows: list[Sequence[str]] = [
        ("experiment", "data", "parameters", "backend", "length", "test accuracy", "seconds", "figure")
    ]
    for name, variant in DEMO:
        found = experiment(name)
        print(f"\n{name}-{variant}: {found.question}", flush=True)
        rows.append(_row(run_job(Job(found, variant, found.VARIANTS[variant]), folders), folders))
    print("\n" + table(rows))
    print(f"\n{time.perf_counter() - begin:.0f} s in all; weights are in {folders.models}, numbers in {folders.runs}")
    return 0


def evaluate(arguments: Namespace) -> int:
    measured, saved = evaluate_file(arguments.file)
    accuracy, before = measured["test_accuracy"], saved["test_accuracy"]
    print(f"{arguments.file}: test accuracy {accuracy:.2%}, test loss {measured['test_loss']:.4f}")
    if accuracy != before:
        raise UserError(f"the accuracy saved with the file is another: {before:.2%}")
    return 0


def _length(result: Result) -> str:
    run = result.trainer.run
    return f"{run.step:,} steps" if result.config.steps else f"{run.epoch:,} epochs"


def _seconds(result: Result) -> float:
    """Of the training steps, without evaluation, in all processes that took part."""
    return sum(result.history["seconds"])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns, a line under the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _row(result: Result, folders: Folders) -> Sequence[str]:
    return (
        f"{result.job.experiment.name}-{result.job.variant}",
        f"{len(result.data.train):,} + {len(result.data.test):,}",
        f"{result.parameters:,}",
        result.job.backend,
        _length(result),
        f"{result.metrics['accuracy']:.2%}",
        f"{_seconds(result):.1f}",
        str(folders.figure(result.job.stem)),
    )


def _job(arguments: Namespace, backend: str = "npnn") -> Job:
    found, variant = arguments.experiment, arguments.variant
    changes = {name[4:]: value for name, value in vars(arguments).items() if name.startswith("set_")}
    return Job(found, variant, replace(found.VARIANTS[variant], **changes), backend)


def _folders(arguments: Namespace) -> Folders:
    return Folders(**{name: getattr(arguments, name) for name in Folders._fields if name in arguments})
