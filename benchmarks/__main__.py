"""Command line of the benchmarks: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.environment import prepare
from npnn.environment import describe


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time npnn beside PyTorch (and other peers, where installed): whole training steps of every "
        "workload (the default), single layers (layers), layers over sizes beside the roofline (ops), how the time of a "
        "step grows with size (growth), the first seconds of a program (startup), how far rounding drives training curves "
        "apart (drift), random draws (draws), scripts written for PyTorch (scripts), fits beside scikit-learn's MLP "
        "(sklearn), or what a second process gains (mpi); or put the tables of the last results into the README, the "
        "guides and benchmarks/RESULTS.md (readme).",
    )
    p.add_argument(
        "what",
        nargs="?",
        choices=[
            "steps",
            "layers",
            "ops",
            "growth",
            "startup",
            "drift",
            "draws",
            "scripts",
            "sklearn",
            "mpi",
            "readme",
        ],
        default="steps",
    )
    p.add_argument("files", nargs="*", type=Path, help="scripts: those to run")
    p.add_argument("--workloads", metavar="W4,W5", help="only these workloads (default: all)")
    p.add_argument("--random", type=int, metavar="N", help="layers: N of them at random, instead of those of courses")
    p.add_argument("--seed", type=int, default=0, help="layers: of the random shapes (default: 0)")
    p.add_argument("--only", metavar="KIND", default="", help="layers: of this kind only, such as activation")
    p.add_argument("--rounds", type=int, default=15, help="turns each peer gets (default: 15)")
    p.add_argument("--threads", type=int, help="threads for every peer (default: one a core)")
    p.add_argument("--no-scaling", action="store_true", help="leave out the runs with one thread")
    p.add_argument("--no-memory", action="store_true", help="leave out the peak memory of a step")
    p.add_argument("--json", metavar="FILE", type=Path, help="write the rows to this file")
    p.add_argument("--figure", metavar="FILE", type=Path, help="ops, growth: where to draw")
    return p


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    removed = prepare()
    from benchmarks import table
    from npnn import get_num_threads

    threads = args.threads or get_num_threads()
    machine = describe()
    for name, value in removed.items():
        print(f"unset {name}={value}")
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    print(f"{machine['processor']}, {machine['cores']} cores, {threads} threads; BLAS: {', '.join(machine['blas'])}")
    print(versions + "\n")

    if args.what == "readme":
        from benchmarks import readme

        return readme.update()
    if args.what == "startup":
        from benchmarks import startup

        rows = startup.measure()
        print(table.startup_table(rows))
    elif args.what == "draws":
        from benchmarks import draws

        rows = draws.measure(args.rounds)
        print(draws.table(rows))
    elif args.what == "scripts":
        from benchmarks import scripts

        if not args.files:
            raise SystemExit("which scripts? python -m benchmarks scripts FILE...")
        rows = scripts.measure(args.files, max(1, args.rounds // 5))
        print(scripts.table(rows))
    elif args.what == "drift":
        from benchmarks import drift

        rows = drift.measure()
        print(drift.table(rows))
    elif args.what == "sklearn":
        from benchmarks import sklearn_mlp

        rows = sklearn_mlp.measure(args.rounds, threads)
        print(sklearn_mlp.table(rows))
    elif args.what == "mpi":
        from benchmarks import mpi

        rows = mpi.measure(max(1, args.rounds // 3))  # each turn is a process of its own, with many steps
        print(mpi.table(rows))
    elif args.what == "layers":
        from benchmarks import layer_cases, layers

        cases = layer_cases.COURSE if args.random is None else layer_cases.at_random(args.random, args.seed)
        rows = layers.measure([c for c in cases if args.only in c.kind], max(1, args.rounds // 3), threads)
        print(layers.table(rows))
    elif args.what == "growth":
        from benchmarks import growth

        rows = growth.measure(max(1, args.rounds // 3), threads)
        print(growth.table(rows))
        growth.draw(rows, args.figure or Path("benchmarks/results/growth.png"))
    elif args.what == "ops":
        from benchmarks import ops

        rows = ops.measure(args.rounds)
        print(ops.table(rows))
        ops.draw(rows, args.figure or Path("benchmarks/results/roofline.png"))
    else:
        rows = _steps(args, threads)
        print(table.step_table(rows, threads))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        for row in rows:
            row |= machine
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _steps(args: argparse.Namespace, threads: int) -> list[dict]:
    from tqdm.auto import tqdm

    from benchmarks import steps
    from benchmarks.workloads import WORKLOADS

    wanted = args.workloads.split(",") if args.workloads else [w.name for w in WORKLOADS]
    unknown = set(wanted) - {w.name for w in WORKLOADS}
    if unknown:
        raise SystemExit(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(w.name for w in WORKLOADS)}")
    rows = []
    runs = [
        (w, n)
        for w in WORKLOADS
        if w.name in wanted
        for n in ([threads] if args.no_scaling or threads == 1 else [threads, 1])
    ]
    for workload, n in tqdm(runs, unit="run", file=sys.stderr, leave=False):
        rows += steps.measure(workload, args.rounds, n, not args.no_memory, scaling=n != threads)
    return rows


if __name__ == "__main__":
    sys.exit(main())
