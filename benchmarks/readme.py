"""Put the tables of the recorded results into the README and the guides, between their markers, the others into RESULTS.md.

python -m benchmarks --json benchmarks/results/steps.json
python -m benchmarks --workloads C1,C2,C3,C4,C5,C6,C7,C8,C9 --json benchmarks/results/course.json
python -m benchmarks startup --json benchmarks/results/startup.json
python -m benchmarks ops --json benchmarks/results/ops.json
python -m benchmarks growth --json benchmarks/results/growth.json
python -m benchmarks layers --json benchmarks/results/layers.json
python -m benchmarks drift --json benchmarks/results/drift.json
python -m benchmarks sklearn --json benchmarks/results/sklearn.json
python -m benchmarks mpi --json benchmarks/results/mpi.json
python -m benchmarks readme
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks import drift, growth, layers, mpi, ops, sklearn_mlp, table
from npnn.experiment.commands import DEMO
from npnn.experiment.numbers import read
from npnn.experiment.registry import experiment, names

__all__ = ["render", "results", "update"]

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def _rows(name: str) -> list[dict[str, Any]]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _machine(row: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in row["versions"].items())
    return f"{row['processor']}, {row['cores']} cores; BLAS: {', '.join(row['blas'])}; {versions}."


def _steps(name: str = "steps") -> str:
    rows = _rows(name)
    threads = max(r["threads"] for r in rows)
    return f"{table.step_table(rows, threads)}\n\n{_machine(rows[0])}"


def _startup() -> str:
    return table.startup_table(_rows("startup"))


def _sklearn() -> str:
    rows = _rows("sklearn")
    threads = rows[0]["threads"]
    note = f"{threads} thread{'s' * (threads > 1)}; scikit-learn {rows[0]['scikit-learn']}."
    return f"{sklearn_mlp.table(rows)}\n\n{note}"


def _experiment(name: str, variant: str) -> tuple[dict[str, Any], list[str]]:
    """The recorded run of a variant; its parameters and its test accuracy."""
    run = read(ROOT / "experiments" / "results" / f"{name}-{variant}.json")
    return run, [f"{run['parameters']:,}", f"{run['metrics']['test_accuracy'] * 100:.2f} %"]


def _experiments() -> str:
    lines = []
    for name, variant in sorted(DEMO):
        run, reached = _experiment(name, variant)
        lines.append([f"`{run['command']}`", *reached, f"{run['seconds']:.1f}"])
    return table.markdown(["command", "parameters", "test accuracy", "seconds"], lines)


def _models() -> str:
    lines = []
    for name in names():
        for variant in experiment(name).BEST:
            run, reached = _experiment(name, variant)
            minutes = f"{run['seconds'] / 60:.1f}" if run["seconds"] > 30 else "less than 1"
            lines.append([f"`{name}-{variant}.safetensors`", *reached, minutes])
    return table.markdown(["best_models/", "parameters", "test accuracy", "minutes of training"], lines)


SECTIONS = {
    "steps": _steps, "course": lambda: _steps("course"), "startup": _startup, "sklearn": _sklearn,
    "experiments": _experiments, "models": _models,
}  # fmt: skip


# the pages with tables, and which
PAGES = {
    "README.md": ("experiments",),
    "docs/guide/experiments.md": ("models",),
    "docs/guide/speed.md": ("steps", "course", "startup", "sklearn"),
}


def render(page: str) -> str:
    """A page with each of its sections between ``<!-- NAME -->`` and ``<!-- /NAME -->`` made anew.

    Errors: LookupError for a page without one of them.
    """
    text = (ROOT / page).read_text()
    for name in PAGES[page]:
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise LookupError(f"{page} has no section {name}")
        text = pattern.sub(lambda found, name=name: f"{found[1]}{SECTIONS[name]()}\n{found[2]}", text)
    return text


def results() -> str:
    """What benchmarks/RESULTS.md says."""
    sizes, drifts, course = _rows("ops"), _rows("drift"), _rows("layers")
    threads = course[0]["threads"]
    return "\n\n".join(
        [
            "# Single layers, and rounding",
            f"Written by `python -m benchmarks readme`. {_machine(sizes[0])}",
            "## Layers at the shapes of courses",
            "Forward and backward of one layer, correctness first, then time in turn (`python -m benchmarks layers`; "
            "with `--random 200 --seed 1` at random shapes). A ratio below 1 means that npnn is ahead. "
            f"{threads} thread{'s' * (threads > 1)}; {_machine(course[0])}",
            layers.table(course),
            "## Layers over sizes",
            "Forward and backward of one layer (`python -m benchmarks ops`), each framework on images in the order of "
            "memory that it uses between layers. GFLOP/s count the multiplications and additions of the plain "
            "formula: Winograd's algorithm, which needs fewer, can be above the roof.",
            "![The roofline](results/roofline.png)",
            ops.table(sizes),
            *_growth(),
            "## Rounding",
            f"The largest difference from PyTorch's training loss within {drifts[0]['steps']} steps of a network with "
            "three 3×3 convolutions, from the same weights on the same batches (`python -m benchmarks drift`): median "
            f"and range over {1 + max(r['seed'] for r in drifts)} seeds. PyTorch differs from itself as much as npnn "
            "from PyTorch, as soon as its sums are taken in another order; in float64 the difference vanishes.",
            drift.table(drifts),
            *_processes(),
            "",
        ]
    )


def _growth() -> list[str]:
    """The section on how time grows, once that has been measured."""
    if not (RESULTS / "growth.json").exists():
        return []
    rows = _rows("growth")
    threads = rows[0]["threads"]
    return [
        "## How time grows",
        "A whole training step with SGD (`python -m benchmarks growth`) over the batch, the width, the side of the image "
        f"and the length of the sequence; {threads} thread{'s' * (threads > 1)}.",
        "![How time grows](results/growth.png)",
        growth.table(rows),
    ]


def _processes() -> list[str]:
    """The section on several processes, once that has been measured."""
    if not (RESULTS / "mpi.json").exists():
        return []
    return [
        "## Processes",
        "A training step of one global batch (`python -m benchmarks mpi`), from the loader to the update: in one "
        "process with one thread, in two such processes (`mpiexec -n 2`), which sum their gradients in every step, "
        "and in one process with two threads, which have nothing to exchange. Processes are for more than one "
        "machine, and pay where the batch takes longer than the exchange of all gradients.",
        mpi.table(_rows("mpi")),
    ]


def update() -> int:
    """Rewrite the pages and RESULTS.md."""
    for page in PAGES:
        (ROOT / page).write_text(render(page))
    (RESULTS.parent / "RESULTS.md").write_text(results())
    return 0
