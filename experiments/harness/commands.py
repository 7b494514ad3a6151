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
from experiments.harness.registry import experiment, names
from experiments.harness.results import Folders, Result, save_figure, save_numbers
from experiments.harness.results import evaluate as evaluate_file
from experiments.harness.run import run as run_job
from experiments.harness.run import run_seeds

__all__ = ["compare", "demo", "evaluate", "list_all", "run"]

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
    job, folders, seeds = _job(arguments, arguments.backend), _folders(arguments), arguments.seeds
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, got {seeds}")
    if seeds > 1 and arguments.resume:
        raise UserError("--resume goes on with a single run: leave --seeds out")
    print(job.stem)
    result = run_job(job, folders, resume=arguments.resume)
    print(
        f"test accuracy {result.metrics['accuracy']:.2%}, test loss {result.metrics['loss']:.4f} "
        f"after {result.length} in {result.seconds:.1f} s\n"
        f"{result.figure(folders)}, {result.weights(folders)} and the numbers beside it"
    )
    if seeds > 1:
        accuracies = [result.metrics["accuracy"], *run_seeds(job, seeds - 1)]
        mean, spread = float(np.mean(accuracies)), float(np.std(accuracies, ddof=1))
        save_numbers(result, folders, {"test_accuracy": accuracies, "mean": mean, "standard_deviation": spread})
        print(f"{seeds} seeds: {mean:.2%} ± {spread:.2%}  ({', '.join(f'{a:.2%}' for a in accuracies)})")
    return 0


def compare(arguments: Namespace) -> int:
    job = _job(arguments)
    outcome = compare_job(job)
    path = save_figure(outcome.draw(), _folders(arguments), f"{job.stem}-compare")
    gap, step = outcome.largest
    judged = min(outcome.tolerance.steps, len(outcome.gaps))
    print(
        f"{job.stem}: largest gap between the training losses {gap:.2e} at step {step} of {judged}, "
        f"{'within' if outcome.agrees else 'OUT OF'} the tolerance of {outcome.tolerance.gap:.0e}\n{path}"
    )
    return 0 if outcome.agrees else 1


def demo(arguments: Namespace) -> int:
    folders, begin = _folders(arguments), time.perf_counter()
    rows: list[Sequence[str]] = [
        ("experiment", "data", "parameters", "backend", "length", "test accuracy", "seconds", "figure")
    ]
    for name, variant in DEMO:
        found = experiment(name)
        print(f"\n{name}-{variant}: {found.question}", flush=True)
        rows.append(_row(run_job(Job(found, variant, found.VARIANTS[variant]), folders), folders))
    print("\n" + table(rows))
    print(f"\n{time.perf_counter() - begin:.0f} s in all; weights and numbers are in {folders.models}")
    return 0


def evaluate(arguments: Namespace) -> int:
    measured, saved = evaluate_file(arguments.file)
    accuracy, before = measured["test_accuracy"], saved["test_accuracy"]
    print(f"{arguments.file}: test accuracy {accuracy:.2%}, test loss {measured['test_loss']:.4f}")
    if accuracy != before:
        raise UserError(f"the accuracy saved with the file is another: {before:.2%}")
    return 0


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
        result.length,
        f"{result.metrics['accuracy']:.2%}",
        f"{result.seconds:.1f}",
        str(result.figure(folders)),
    )


def _job(arguments: Namespace, backend: str = "npnn") -> Job:
    found, variant = arguments.experiment, arguments.variant
    changes = {name[4:]: value for name, value in vars(arguments).items() if name.startswith("set_")}
    return Job(found, variant, replace(found.VARIANTS[variant], **changes), backend)


def _folders(arguments: Namespace) -> Folders:
    return Folders(**{name: getattr(arguments, name) for name in Folders._fields if name in arguments})
