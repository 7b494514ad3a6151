"""The table of results, RESULTS.md: what was reported, what npnn and torch reach, in which time.

Made from the numbers in experiments/results alone, so that everyone can make it again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npnn.experiment import answers, summary
from npnn.experiment.registry import Experiment, experiments, names
from npnn.experiment.results import Folders, save_figure
from npnn.experiment.rows import Row, length, mean_and_spread, median, pairs, rows
from npnn.io.atomic import atomic_write

__all__ = ["made_by_run", "render", "uncited", "update"]

PAGES = (Path("README.md"), Path("docs"))  # what may point to a figure, beside RESULTS.md

HEAD = """# Results

Made by `python -m experiments results` from the numbers in `experiments/results`; do not edit.
"""

LEGEND = """
## The runs

- **npnn** and **torch**: accuracy on the test set in %, mean ± standard deviation over seeds (their number in
  brackets); torch started from the same seed, with nothing copied. **train**: npnn's accuracy on the
  training set during the last record, dropout and augmentation included (first seed). **loss**: on the test set.
- **length**: what was done, of what was planned where a run stopped early. Where examples were *held out* of the
  training set, settings, and with patience the epoch, were chosen by them (their accuracy in % is given) and the
  test set measured once; else the history looks at the test set.
- **seconds** of training without evaluation and **ms** a step, medians over seeds, on so many **threads**: of npnn /
  of torch.
- **apart**: the largest difference between the accuracies of npnn and torch from one seed, in points, in any record of
  both and at the end; **ratio**: the time of a step, npnn's by torch's, for the newer runs taken in turns. Both over the seeds
  that both have. Where torch ended early ("after 2"), only so far.
- Every command begins with `python -m experiments`, and gives the column npnn; with `--backend torch` at its end it
  gives the column torch.
"""


def render(folders: Folders) -> str:
    """The text of RESULTS.md."""
    tables = [(found, rows(found, folders)) for found in experiments()]
    every = [row for _, table in tables for row in table.values()]
    lines = summary.lines(every, lambda row: _figure(row, folders, row.variant) or row.variant)
    parts = [HEAD, answers.render(tables), summary.LEGEND, _table(summary.COLUMNS, lines), LEGEND, _machines(every)]
    for found, table in tables:
        name = found.name
        if table:
            parts.append(f"\n## {name}\n\n{found.question}\n")
            if folders.overview(name).exists():
                parts.append(f"![{name}]({_link(folders.overview(name), folders)})\n")
            parts.append(_table(COLUMNS, _lines(found, table, folders)))
    kept = [row for row in every if row.npnn and "weights" in row.npnn[0]]
    if kept:
        parts.append(
            "\n## Saved models\n\nThe accuracy is measured from the file; `evaluate FILE` measures it again.\n"
        )
        parts.append(_table(("model", "MB", "weights", "parameters", "test"), [_model(row, folders) for row in kept]))
    return "\n".join(parts)


COLUMNS = ("row", "command", "reported", "npnn", "torch", "apart", "ratio", "train", "loss", "length", "seconds", "ms", "threads",
           "figure", "remark")  # fmt: skip


def _lines(found: Experiment, table: Mapping[str, Row], folders: Folders) -> list[Sequence[str]]:
    """A line for each row, or for each group of them where its first one would be."""
    group_of = {variant: label for label, variants in found.GROUPS.items() for variant in variants}
    lines = {}
    for variant, row in table.items():
        label = group_of.get(variant)
        if label is None:
            lines[f"--variant {variant}"] = _cells(row, folders)
        elif label not in lines:
            members = [table.get(v, Row(found, v)) for v in found.GROUPS[label]]
            lines[label] = _group(label, members, folders)
    return list(lines.values())


def _cells(row: Row, folders: Folders) -> Sequence[str]:
    said = row.said
    count = max(len(row.npnn), len(row.torch))
    seeds = f" --seeds {count}" if count > 1 else ""
    either = row.npnn or row.torch
    trained = row.npnn[0]["history"]["train_accuracy"][-1] if row.npnn else None
    return (
        said.row,
        f"`{row.job.command.removeprefix('python -m experiments ')}{seeds}`",
        said.figure,
        mean_and_spread(row.accuracies) or "not run",
        _of_torch(row),
        *_beside([row]),
        "" if trained is None else f"{100 * trained:.2f}",
        _medians([row], lambda run: run["metrics"]["test_loss"], ".4g"),
        length(either[0]) if either else "",
        _medians([row], lambda run: run["seconds"]),
        _medians([row], lambda run: run["step_ms"]),
        _medians([row], lambda run: run["threads"], ".0f"),
        _figure(row, folders, "figure"),
        said.note,
    )


def _of_torch(row: Row) -> str:
    """Torch's accuracies, with the epoch where it ended before its time."""
    ends = {run["stop_after"] for run in row.torch if "stop_after" in run}
    return mean_and_spread(row.torch_accuracies) + "".join(f" after {end}" for end in sorted(ends))


def _beside(members: Sequence[Row]) -> tuple[str, str]:
    """How far the two frameworks are from each other, and the ratio of their times."""
    both = [pair for row in members for pair in pairs(row)]
    if not both:
        return "", ""
    return f"{max(pair.furthest for pair in both):.2f}", f"{np.median([pair.ratio for pair in both]):.2f}"


def _group(label: str, members: Sequence[Row], folders: Folders) -> Sequence[str]:
    """Variants that are told together: the lowest of their accuracies, the medians of the rest."""
    ours, theirs = ([run["metrics"]["test_accuracy"] for run in runs] for runs in _runs(members))
    ran = sum(bool(row.npnn) for row in members)
    figures = (_figure(row, folders, row.variant) for row in members)
    return (
        ", ".join(dict.fromkeys(row.said.row for row in members if row.said.row)),
        f"{label}: {len(members)} variant{'s' * (len(members) > 1)}"
        + (f", {ran} of them run" if ran < len(members) else ""),
        "",
        f"lowest of {len(ours)}: {100 * min(ours):.2f}" if ours else "not run",
        f"lowest of {len(theirs)}: {100 * min(theirs):.2f}" if theirs else "",
        *_beside(members),
        "",
        _medians(members, lambda run: run["metrics"]["test_loss"], ".4g"),
        "",
        _medians(members, lambda run: run["seconds"]),
        _medians(members, lambda run: run["step_ms"]),
        _medians(members, lambda run: run["threads"], ".0f"),
        " ".join(filter(None, figures)),
        "",
    )


def _runs(table: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """npnn's and torch's."""
    return [run for row in table for run in row.npnn], [run for row in table for run in row.torch]


def _medians(table: Sequence[Row], get: Callable[[Mapping[str, Any]], float], form: str = ".3g") -> str:
    """The median over npnn's runs / over torch's."""
    ours, theirs = _runs(table)
    return f"{median(ours, get, form)} / {median(theirs, get, form)}" if ours or theirs else ""


def _model(row: Row, folders: Folders) -> Sequence[str]:
    run, path = row.npnn[0], folders.weights(row.job)
    return (
        f"[{path.name}]({_link(path, folders)})",
        f"{run['weights']['bytes'] / 1e6:.2f}",
        run["weights"]["dtype"],
        f"{run['parameters']:,}",
        f"{100 * run['metrics']['test_accuracy']:.2f}",
    )


def _machines(table: Sequence[Row]) -> str:
    """The machines and versions that the runs were made with, and how many with each."""
    count: Counter[str] = Counter()
    for row in table:
        for run in (*row.npnn, *row.torch):
            versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if k != "torch")
            count[f"{run['machine']}; {versions}"] += 1
        count.update({f"torch {run['versions']['torch']}": 1 for run in row.torch})
    return "\n".join(f"- {text}: {n} run{'s' * (n > 1)}" for text, n in sorted(count.items())) + "\n"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells) + "\n"


def _figure(row: Row, folders: Folders, text: str) -> str:
    """``text`` as a link to the figure of a row, "" if there is none."""
    figure = folders.figure(row.job)
    return f"[{text}]({_link(figure, folders)})" if figure.exists() else ""


def _link(path: Path, folders: Folders) -> str:
    return Path(os.path.relpath(path, folders.results.parent)).as_posix()


def update(folders: Folders) -> Path:
    """Draw the overviews and write RESULTS.md beside the folder of the numbers."""
    for found in experiments():
        run = {variant: row for variant, row in rows(found, folders).items() if row.npnn}
        figure = found.overview(run) if run else None
        if figure is not None:
            save_figure(figure, folders.overview(found.name))
    path = folders.results.parent / "RESULTS.md"
    with atomic_write(path) as file:
        file.write(render(folders).encode())
    return path


def uncited(folders: Folders) -> list[Path]:
    """The files in figs/ and best_models/ that neither RESULTS.md, the README nor a guide points to.

    Hidden files are another program's, at work: they are passed over.
    """
    pages = [page for place in PAGES for page in (sorted(place.rglob("*.md")) if place.is_dir() else [place])]
    texts = [(page.parent, page.read_text()) for page in pages if page.is_file()]
    cited = {
        (place / link).resolve()
        for place, text in ((folders.results.parent, render(folders)), *texts)
        for either in re.findall(r"\]\(([^)#:]+)\)|<([^>#:]+)>`", text)
        for link in either
        if link
    }
    files = (path for folder in (folders.figs, folders.models) if folder.is_dir() for path in sorted(folder.iterdir()))
    return [path for path in files if path.resolve() not in cited and path.is_file() and path.name[0] != "."]


def made_by_run(path: Path) -> bool:
    """True for a file that has the name of an experiment's figure or weights."""
    return bool(re.fullmatch(rf"({'|'.join(names())})(-.+)?\.(png|safetensors)", path.name))
