"""What each word of the command line does, and what it prints.  Each returns an exit code."""

from __future__ import annotations

import dataclasses
import sys
import time
from argparse import Namespace
from collections.abc import Sequence

import numpy as np

from npnn.experiment.compare import compare as compare_job
from npnn.experiment.config import UserError, replace
from npnn.experiment.job import Job
from npnn.experiment.many import folders_of, then
from npnn.experiment.numbers import job_of
from npnn.experiment.picture import read_picture
from npnn.experiment.registry import Experiment, experiment, names
from npnn.experiment.report import page
from npnn.experiment.results import Folders, Result, draw_again, named, restored, save_figure
from npnn.experiment.results import evaluate as evaluate_file
from npnn.experiment.rows import Row, length, mean_and_spread, median, rows, stale
from npnn.experiment.run import run as run_job
from npnn.experiment.run import seeds
from npnn.experiment.table import made_by_run, uncited
from npnn.experiment.table import update as update_table
from npnn.experiment.template import write as write_template
from npnn.nn.functional import softmax
from npnn.tensor import of_array
from npnn.train.backend import backend_of
from npnn.train.evaluation import predict as predicted
from npnn.train.parallel import world

__all__ = [
    "compare", "demo", "draw", "evaluate", "list_all", "new", "predict", "report", "results", "run",
]  # fmt: skip

#: One variant of each family, trained within seconds.
DEMO = (("mlp_toy", "moons-lr0.1"), ("cnn_digits", "dropout"), ("rnn_palindrome", "T10"))


def list_all(arguments: Namespace) -> int:
    """The experiments, with the reason where one cannot be run; of one that is named, the variants."""
    if arguments.name is not None:
        return _list_variants(experiment(arguments.name), folders_of(arguments))
    for name in names():
        print(f"{name}\n{_described(name)}\n")
    print(f"{arguments.program} list NAME    what its variants are, and what they reached")
    print(f"{arguments.program} run NAME --variant V    runs one; run NAME --help tells its settings")
    print(f"{arguments.program} new MINE    writes a file for a question of your own; run ./MINE.py runs it")
    return 0


def _described(name: str) -> str:
    try:
        found = experiment(name)
    except UserError as error:
        return f"    cannot be run: {error}"
    first, count = next(iter(found.VARIANTS)), len(found.VARIANTS)
    said = f"    {found.question}\n" if found.question else ""
    return f"{said}    {count} variant{'s' * (count > 1)}, {first} by default"


def _list_variants(found: Experiment, folders: Folders) -> int:
    usual = {f.name: f.default for f in dataclasses.fields(found.Config)}
    recorded = rows(found, folders)
    lines: list[Sequence[str]] = [("variant", "row", "test %", "seconds", "settings other than the usual")]
    for variant, config in found.VARIANTS.items():
        row = recorded.get(variant, Row(found, variant))
        changed = {k: v for k, v in dataclasses.asdict(config).items() if v != usual[k] and v is not None}
        told = ", ".join(f"{name} {value}" for name, value in changed.items())
        seconds = median(row.npnn, lambda run: run["seconds"])
        lines.append((variant, row.said.row, mean_and_spread(row.accuracies) or "not run", seconds, told))
    print(f"{found.question}\n\n{table(lines)}")
    return 0


def run(arguments: Namespace) -> int:
    job, folders, count = _job(arguments, arguments.backend), folders_of(arguments), arguments.seeds
    if count < 1:
        raise UserError(f"--seeds must be at least 1, got {count}")
    if job.stop_after is not None and job.stop_after < 1:
        raise UserError(f"--stop-after must be at least 1, got {job.stop_after}")
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
                f"test accuracy {result.metrics['accuracy']:.2%}, test loss {result.metrics['loss']:.4f}\n"
                f"{length(result.numbers)}; {result.numbers['seconds']:.1f} s of training\n"
                f"{folders.figure(job)}, {folders.weights(job)} and {folders.numbers(job)}"
            )
    if len(accuracies) > 1:
        print(f"{count} seeds: {mean_and_spread(accuracies)}, one by one {', '.join(f'{a:.2%}' for a in accuracies)}")
    if accuracies and job.in_table:
        print(then(folders))
    return 0


def new(arguments: Namespace) -> int:
    path = arguments.file if arguments.file.suffix == ".py" else arguments.file.with_suffix(".py")
    write_template(path)
    place = path.as_posix() if path.is_absolute() else f"./{path.as_posix()}"
    print(f"{path}\n{arguments.program} run {place}    runs it; run {place} --help tells its settings")
    return 0


def results(arguments: Namespace) -> int:
    folders = folders_of(arguments)
    print(update_table(folders))
    for command in stale(folders):
        print(f"in no row, as the settings are not those of the variant: {command}")
    for path in uncited(folders):
        if not made_by_run(path):
            print(f"not in the table, nor of an experiment: {path}")
        elif arguments.prune:
            path.unlink()
            print(f"deleted: {path}")
        else:
            print(f"not in the table (--prune deletes it): {path}")
    return 0


def report(arguments: Namespace) -> int:
    stems, folders = arguments.stems, folders_of(arguments)
    text = page(stems, folders)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}, {len(text) / 1e6:.1f} MB")
    return 0


def draw(arguments: Namespace) -> int:
    folders = folders_of(arguments)
    for stem in arguments.stems:
        job = job_of(named(stem, folders))
        path = draw_again(job, folders)
        if path is None:
            raise UserError(f"{stem} cannot be drawn: {folders.weights(job)} is not there, or of other settings")
        print(path)
    return 0


def compare(arguments: Namespace) -> int:
    job = _job(arguments)
    outcome = compare_job(job, double=arguments.float64)
    path = folders_of(arguments).comparison(job, "compare" + "-float64" * arguments.float64)
    save_figure(outcome.draw(), path)
    gap, step = outcome.largest
    judged = min(outcome.tolerance.steps, len(outcome.gaps))
    print(
        f"{job.stem}: largest gap between the training losses {gap:.2e} at step {step} of {judged}, "
        f"{'within' if outcome.agrees else 'OUT OF'} the tolerance of {outcome.tolerance.gap:.0e}\n{path}"
    )
    return 0 if outcome.agrees else 1


def demo(arguments: Namespace) -> int:
    folders, begin = folders_of(arguments), time.perf_counter()
    folders = folders._replace(results=folders.runs)  # the recorded results stay as they are
    lines: list[Sequence[str]] = [
        ("experiment", "data", "parameters", "backend", "length", "test accuracy", "seconds", "figure")
    ]
    for name, variant in DEMO:
        found = experiment(name)
        print(f"\n{name}-{variant}: {found.question}", flush=True)
        result = run_job(Job(found, variant, found.VARIANTS[variant]), folders)
        assert result is not None  # there is one process
        lines.append(_line(result, folders))
    print("\n" + table(lines))
    print(f"\n{time.perf_counter() - begin:.0f} s in all; weights are in {folders.models}, numbers in {folders.runs}")
    return 0


def evaluate(arguments: Namespace) -> int:
    others = []
    for path in arguments.files:
        found = evaluate_file(path)
        before = f"{found.recorded['test_accuracy']:.2%}"
        agreement = "as recorded"
        if not found.agrees:
            others.append(f"{path} ({before})")
            agreement = f"recorded was {before}"
        elif found.apart:
            agreement = f"as recorded but for {found.apart} of {found.examples:,} examples, by rounding"
        print(f"{path}: test accuracy {found.measured['test_accuracy']:.2%}, "
              f"test loss {found.measured['test_loss']:.4f}; {agreement}", flush=True)  # fmt: skip
    if others:
        raise UserError(f"the accuracy saved with the file is another: {', '.join(others)}")
    return 0


def predict(arguments: Namespace) -> int:
    if arguments.top < 1:
        raise UserError(f"--top must be at least 1, got {arguments.top}")
    saved = restored(arguments.file)
    data = saved.experiment.data(saved.config)
    for path in arguments.pictures:
        picture, said = read_picture(path, data.test_x)
        for sentence in said:
            print(sentence, file=sys.stderr)
        scores = predicted(saved.model, backend_of(saved.model), picture[None], 1)[0]
        shares = softmax(of_array(scores), 0).numpy()
        best = np.argsort(-shares)[: arguments.top]
        print(f"{path}: " + ", ".join(f"{data.classes[k]} {shares[k]:.1%}" for k in best), flush=True)
    return 0


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells in columns, a rule under the first."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _line(result: Result, folders: Folders) -> Sequence[str]:
    return (
        f"{result.job.experiment.name}-{result.job.variant}",
        f"{len(result.data.train):,} + {len(result.data.test):,}",
        f"{result.numbers['parameters']:,}",
        result.job.backend,
        length(result.numbers),
        f"{result.metrics['accuracy']:.2%}",
        f"{result.numbers['seconds']:.1f}",
        str(folders.figure(result.job)),
    )


def _job(arguments: Namespace, backend: str = "npnn") -> Job:
    found, variant = arguments.experiment, arguments.variant
    changes = {name[4:]: value for name, value in vars(arguments).items() if name.startswith("set_")}
    return Job(
        found, variant, replace(found.VARIANTS[variant], **changes), backend, getattr(arguments, "stop_after", None)
    )
