"""Runs on one HTML page that needs nothing else: to hand in, to print, to open without a network."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from npnn.experiment import numbers as numbers_of
from npnn.experiment.config import UserError, settings
from npnn.experiment.job import Job
from npnn.experiment.registry import Experiment, experiment, experiments
from npnn.experiment.results import Folders, finished, named
from npnn.experiment.rows import Row, length, mean_and_spread, median, rows

__all__ = ["page"]

STYLE = """
:root { color-scheme: light; }
body { margin: 3rem auto; max-width: 46rem; padding: 0 1.25rem; color: #1a1a1a; background: #fff;
       font: 1.02rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", "DejaVu Serif", Georgia, serif; }
h1, h2, h3 { line-height: 1.25; font-weight: 600; text-wrap: balance; }
h1 { font-size: 1.9rem; margin-bottom: .3rem; }
h2 { font-size: 1.4rem; margin: 3.5rem 0 .4rem; padding-top: .8rem; border-top: 2px solid #1a1a1a; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; }
.lead { color: #444; font-size: 1.08rem; }
a { color: #0057a3; text-decoration-thickness: 1px; text-underline-offset: .15em; }
figure { margin: 1.2rem 0; }
img { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; line-height: 1.35;
        font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: .28rem .6rem .28rem 0; text-align: right; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #1a1a1a; }
td { border-bottom: 1px solid #e3e3e3; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
td.changed { font-weight: 600; }
td code { white-space: nowrap; }
code, pre { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .84em; overflow-wrap: anywhere; }
pre { padding: .6rem .8rem; background: #f5f5f3; white-space: pre-wrap; }
@page { margin: 18mm 16mm; }
@media print {
  body { margin: 0; max-width: none; padding: 0; font-size: 10.5pt; }
  h2 { break-before: page; border: 0; margin-top: 0; }
  h2, h3 { break-after: avoid; }
  figure, table, pre { break-inside: avoid; }
  img { width: auto; max-width: 100%; max-height: 165mm; margin: 0 auto; }
  a { color: inherit; text-decoration: none; }
}
"""


def page(stems: Sequence[str], folders: Folders) -> str:
    """The page of the runs of these names; without any, of all rows of the table that have run.

    Errors: UserError for a name without a finished run.
    """
    named_runs = (run for stem in stems for run in _named(stem, folders))  # a run and its twin in torch are one
    runs = list({job.stem: (job, row) for job, row in named_runs}.values()) or list(_all(folders))
    if not runs:
        raise UserError(f"there are no finished runs in {folders.results}")
    overview = [
        [
            f'<a href="#{job.stem}">{escape(job.stem)}</a>',
            escape(row.said.figure),
            mean_and_spread(row.accuracies),
            mean_and_spread(row.torch_accuracies),
        ]
        for job, row in runs
    ]
    sections = []
    opened = set()
    for job, row in runs:
        name = job.experiment.name
        sections.append(_section(job, row, folders, opening=name not in opened))
        opened.add(name)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{len(runs)} experiments with npnn</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            "<h1>Experiments with npnn</h1>",
            "<p>Accuracies are means ± standard deviations where several seeds were run (their number in brackets); "
            "losses and seconds are medians over them, curves are of the first. "
            "Made by <code>python -m experiments report</code>.</p>",
            _table(["run", "reported", "npnn, test %", "torch, test %"], overview),
            *sections,
            "</body>\n</html>\n",
        ]
    )


def _named(stem: str, folders: Folders) -> list[tuple[Job, Row]]:
    """A run of any settings; if they are the variant's, with all of its seeds.  Of a file all of its variants."""
    if stem.endswith(".py"):
        return list(_ran(experiment(stem), folders))
    job = dataclasses.replace(numbers_of.job_of(named(stem, folders)), backend="npnn")
    if not job.changes:
        return [(job, rows(job.experiment, folders)[job.variant])]
    pair = (finished(dataclasses.replace(job, backend=backend), folders) for backend in ("npnn", "torch"))
    return [(job, Row(job.experiment, job.variant, *([run] if run else [] for run in pair)))]


def _all(folders: Folders) -> Iterator[tuple[Job, Row]]:
    for found in experiments():
        yield from _ran(found, folders)


def _ran(found: Experiment, folders: Folders) -> Iterator[tuple[Job, Row]]:
    for row in rows(found, folders).values():
        if row.npnn or row.torch:
            yield row.job, row


def _picture(path: Path) -> list[str]:
    if not path.exists():
        return []
    picture = base64.b64encode(path.read_bytes()).decode()
    return [f'<figure><img alt="{escape(path.stem)}" src="data:image/png;base64,{picture}"></figure>']


def _section(job: Job, row: Row, folders: Folders, opening: bool) -> str:
    """One run; the first of its experiment also has the question, and the figure of all variants together."""
    first = (row.npnn or row.torch)[0]
    parts = [f'<section id="{job.stem}">\n<h2>{escape(job.stem)}</h2>']
    if opening:
        overview = _picture(folders.overview(job.experiment.name))
        parts.append(f'<p class="lead">{escape(job.experiment.question)}</p>')
        parts += ["<h3>All variants together</h3>", *overview, "<h3>This one</h3>"] if overview else []
    if row.reported:
        said = row.said
        told = [f"reported {said.figure}"] * bool(said.figure) + [said.note] * bool(said.note)
        parts.append(f"<p>{escape(said.row)}: {escape('; '.join(told))}.</p>")
    outcomes = [_outcome(runs) for runs in (row.npnn, row.torch) if runs]
    parts.append(_table(["", "test %", "test loss", "train %", "length", "seconds", "ms a step", "threads"], outcomes))
    parts += _picture(folders.figure(job))
    parts.append(f"<h3>Command</h3>\n<pre>{escape(job.command)}</pre>")
    parts += [
        "<h3>On the way</h3>",
        _history(first, job.config.watched),
        "<h3>Settings</h3>",
        _settings(job, first["parameters"]),
    ]
    versions = ", ".join(f"{name} {version}" for name, version in (row.torch or row.npnn)[0]["versions"].items())
    parts.append(f"<p><small>{escape(first['machine'])}; {versions}.</small></p>\n</section>")
    return "\n".join(parts)


def _outcome(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The seeds of one framework: the mean of the accuracies, the medians of the rest, the length of the first."""
    return [
        runs[0]["backend"],
        mean_and_spread([run["metrics"]["test_accuracy"] for run in runs]),
        median(runs, lambda run: run["metrics"]["test_loss"], ".4g"),
        median(runs, lambda run: 100 * run["history"]["train_accuracy"][-1], ".2f"),
        length(runs[0]),
        median(runs, lambda run: run["seconds"]),
        median(runs, lambda run: run["step_ms"]),
        median(runs, lambda run: run["threads"], ".0f"),
    ]


def _history(run: Mapping[str, Any], watched: str, lines: int = 10) -> str:
    """Some records, evenly spread, the last of them among them."""
    records = numbers_of.history_of(run).records
    count = min(lines, len(records))
    chosen = [records[(k + 1) * len(records) // count - 1] for k in range(count)]
    names = {
        "epoch": "epoch", "step": "step", "train_loss": "train loss", "train_accuracy": "train %",
        "validation_loss": f"{watched} loss", "validation_accuracy": f"{watched} %", "grad_norm": "gradient norm",
        "lr": "rate",
    }  # fmt: skip
    shown = [name for name in names if name in records[-1]]
    cells = [[_figure(name, record[name]) for name in shown] for record in chosen]
    return _table([names[name] for name in shown], cells)


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _settings(job: Job, parameters: int) -> str:
    """Every setting with what it means; bold where the experiment or the variant chose another than the usual."""
    usual = {f.name: f.default for f in dataclasses.fields(job.experiment.Config)}
    lines = []
    for setting in settings(job.experiment.Config):
        value = getattr(job.config, setting.name)
        shown = "–" if value is None else f"{value:,}" if type(value) is int else str(value)
        mark = ' class="changed"' if value != usual[setting.name] else ""
        lines.append(
            f"<tr><td><code>{setting.name}</code></td><td{mark}>{shown}</td><td>{escape(setting.help)}</td></tr>"
        )
    lines.append(f"<tr><td>parameters</td><td>{parameters:,}</td><td>numbers that are learned</td></tr>")
    head = "<tr><th>setting</th><th>value</th><th>meaning</th></tr>"
    return f'<div class="wide"><table class="text">{head}{"".join(lines)}</table></div>'


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The cells are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>\n" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
