"""The table of results, RESULTS.md: what was reported, what npnn and torch reach, in which time.

Made from the numbers in experiments/results alone, so that everyone can make it again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import experiments
from experiments.harness import numbers as numbers_of
from experiments.harness.config import UserError, replace
from experiments.harness.job import Job
from experiments.harness.registry import Experiment, Reported, experiment, names
from experiments.harness.results import Folders, save_figure
from npnn.io.atomic import atomic_write
from npnn.train import History

__all__ = ["Row", "mean_and_spread", "render", "rows", "stale", "uncited", "update"]

README = Path(experiments.__path__[0]).parent / "README.md"

HEAD = """# Results

Made by `python -m experiments results` from the numbers in `experiments/results`; do not edit.

- **npnn** and **torch**: accuracy on the test set in %, mean ± standard deviation over seeds (their number in
  brackets); torch started from npnn's initial weights and saw the same batches. **train**: npnn's accuracy on the
  training set during the last record, dropout and augmentation included (first seed). **loss**: on the test set.
- **length**: what was done, of what was planned where a run stopped early. Where examples were *held out* of the
  training set, the model was chosen by them (their accuracy in % is given) and the test set measured once; else the
  history looks at the test set.
- **seconds** of training without evaluation and **ms** a step, medians over seeds, on so many **threads**: of npnn /
  of torch.
- Every command begins with `python -m experiments`.
"""


@dataclass
class Row:
    """The runs of one variant, those of the first seed first."""

    experiment: Experiment
    variant: str
    npnn: list[dict[str, Any]] = field(default_factory=list)
    torch: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> Any:
        return self.experiment.VARIANTS[self.variant]

    @property
    def job(self) -> Job:
        return Job(self.experiment, self.variant, self.config)

    @property
    def reported(self) -> Reported | None:
        return self.experiment.REPORTED.get(self.variant)

    @property
    def accuracies(self) -> list[float]:
        """npnn's, one for each seed."""
        return [run["metrics"]["test_accuracy"] for run in self.npnn]

    @property
    def torch_accuracies(self) -> list[float]:
        return [run["metrics"]["test_accuracy"] for run in self.torch]

    @property
    def history(self) -> History:
        """Of npnn's first seed."""
        return numbers_of.history_of(self.npnn[0])


def rows(found: Experiment, folders: Folders) -> dict[str, Row]:
    """A row for each variant that has run or has something reported, in the order of the variants."""
    made = {variant: Row(found, variant) for variant in found.VARIANTS}
    for numbers in sorted(_all(folders), key=lambda run: run["config"]["seed"]):
        if numbers["experiment"] == found.name and _is_current(numbers):
            row = made[numbers["variant"]]
            (row.npnn if numbers["backend"] == "npnn" else row.torch).append(numbers)
    return {variant: row for variant, row in made.items() if row.npnn or row.torch or row.reported}


def _all(folders: Folders) -> Iterator[dict[str, Any]]:
    for path in sorted(folders.results.glob("*.json")):
        numbers = numbers_of.read(path)
        if numbers is not None and numbers["finished"]:
            yield numbers


def _is_current(numbers: Mapping[str, Any]) -> bool:
    """True for a run of a variant as it is now, whatever the seed."""
    try:
        job = numbers_of.job_of(numbers)
    except UserError:
        return False
    return job.config == replace(job.experiment.VARIANTS[job.variant], seed=job.config.seed)


def stale(folders: Folders) -> list[str]:
    """The commands of runs that are in no row: their settings are, or have become, others than the variant's."""
    return [numbers["command"] for numbers in _all(folders) if not _is_current(numbers)]


def render(folders: Folders) -> str:
    """The text of RESULTS.md."""
    tables = {name: rows(experiment(name), folders) for name in names()}
    parts = [HEAD, _machines([row for table in tables.values() for row in table.values()])]
    for name, table in tables.items():
        if table:
            parts.append(f"\n## {name}\n\n{experiment(name).question}\n")
            if folders.figure(name).exists():
                parts.append(f"![{name}]({_link(folders.figure(name), folders)})\n")
            parts.append(_table(COLUMNS, [_cells(row, folders) for row in table.values()]))
    kept = [row for table in tables.values() for row in table.values() if row.npnn and "weights" in row.npnn[0]]
    if kept:
        parts.append(
            "\n## Saved models\n\nThe accuracy is measured from the file; `evaluate FILE` measures it again.\n"
        )
        parts.append(_table(("model", "MB", "weights", "parameters", "test"), [_model(row, folders) for row in kept]))
    return "\n".join(parts)


COLUMNS = ("row", "command", "reported", "npnn", "torch", "train", "loss", "length", "seconds", "ms", "threads",
           "figure", "remark")  # fmt: skip


def _cells(row: Row, folders: Folders) -> Sequence[str]:
    reported = row.reported or Reported("", "")
    figure = folders.figure(row.job.stem)
    count = max(len(row.npnn), len(row.torch))
    seeds = f" --seeds {count}" if count > 1 else ""
    command = f"`{row.job.command.removeprefix('python -m experiments ')}{seeds}`"
    either = row.npnn or row.torch

    def pair(get: Callable[[dict[str, Any]], float], form: str = ".3g") -> str:
        """The median over the seeds of npnn's runs / of torch's."""
        medians = (
            format(np.median([get(run) for run in runs]), form) if runs else "–" for runs in (row.npnn, row.torch)
        )
        return " / ".join(medians) if either else ""

    trained = row.npnn[0]["history"]["train_accuracy"][-1] if row.npnn else None
    return (
        reported.row,
        command,
        reported.figure,
        mean_and_spread(row.accuracies) or "not run",
        mean_and_spread(row.torch_accuracies),
        "" if trained is None else f"{100 * trained:.2f}",
        pair(lambda run: run["metrics"]["test_loss"], ".4g"),
        length(either[0]) if either else "",
        pair(lambda run: run["seconds"]),
        pair(lambda run: run["step_ms"]),
        pair(lambda run: run["threads"], ".0f"),
        f"[figure]({_link(figure, folders)})" if figure.exists() else "",
        reported.note,
    )


def _model(row: Row, folders: Folders) -> Sequence[str]:
    run, path = row.npnn[0], folders.weights(row.job)
    return (
        f"[{path.name}]({_link(path, folders)})",
        f"{run['weights']['bytes'] / 1e6:.2f}",
        run["weights"]["dtype"],
        f"{run['parameters']:,}",
        f"{100 * run['metrics']['test_accuracy']:.2f}",
    )


def mean_and_spread(accuracies: Sequence[float]) -> str:
    """In per cent: "98.80", or "98.80 ± 0.36 (5)" for five seeds."""
    if len(accuracies) < 2:
        return "".join(f"{100 * a:.2f}" for a in accuracies)
    return f"{100 * np.mean(accuracies):.2f} ± {100 * np.std(accuracies, ddof=1):.2f} ({len(accuracies)})"


def length(run: Mapping[str, Any]) -> str:
    """How long a run was: "300 steps", "37 of 200 epochs, 5,000 held out: 71.20"."""
    config = run["config"]
    unit = "steps" if config["steps"] else "epochs"
    done = run["step"] if config["steps"] else run["epoch"]
    early = f" of {config[unit]:,}" if done < config[unit] else ""
    held_out = ""
    if config["validation"]:
        held_out = f", {config['validation']:,} held out: {100 * run['validation_accuracy']:.2f}"
    return f"{done:,}{early} {unit}{held_out}"


def _machines(table: Sequence[Row]) -> str:
    """The machines and versions that the runs were made with, and how many with each."""
    count: Counter[str] = Counter()
    for row in table:
        for run in (*row.npnn, *row.torch):
            versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if k != "torch")
            count[f"{run['machine']}; {versions}"] += 1
        count.update({f"torch {run['versions']['torch']}": 1 for run in row.torch})
    return "\n".join(f"- {text}: {n} runs" for text, n in sorted(count.items())) + "\n"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells) + "\n"


def _link(path: Path, folders: Folders) -> str:
    return Path(os.path.relpath(path, folders.results.parent)).as_posix()


def update(folders: Folders) -> Path:
    """Draw the overviews and write RESULTS.md beside the folder of the numbers."""
    for name in names():
        found = experiment(name)
        run = {variant: row for variant, row in rows(found, folders).items() if row.npnn}
        figure = found.overview(run) if run else None
        if figure is not None:
            save_figure(figure, folders, name)
    path = folders.results.parent / "RESULTS.md"
    with atomic_write(path) as file:
        file.write(render(folders).encode())
    return path


def uncited(folders: Folders) -> list[Path]:
    """The files in figs/ and best_models/ that neither RESULTS.md nor the README points to."""
    cited = {
        (place / link).resolve()
        for place, text in ((folders.results.parent, render(folders)), (README.parent, README.read_text()))
        for link in re.findall(r"\]\(([^)#:]+)\)", text)
    }
    files = (path for folder in (folders.figs, folders.models) if folder.is_dir() for path in sorted(folder.iterdir()))
    return [path for path in files if path.resolve() not in cited]
