"""The commands that run many: ``sweep`` all variants of an experiment, ``run --missing`` what has not been run yet."""

from __future__ import annotations

import time
from argparse import Namespace

from npnn.experiment.config import UserError
from npnn.experiment.queue import missing, seconds_of
from npnn.experiment.registry import experiment, experiments
from npnn.experiment.results import Folders, is_done
from npnn.experiment.sweep import jobs
from npnn.experiment.sweep import sweep as run_all

__all__ = ["folders_of", "queue", "sweep", "then"]


def folders_of(arguments: Namespace) -> Folders:
    """The folders that the command line names."""
    return Folders(**{name: getattr(arguments, name) for name in Folders._fields if name in arguments})


def then(folders: Folders) -> str:
    """What to do next."""
    return f"python -m experiments results{folders.options} brings the table up to date"


def queue(arguments: Namespace) -> int:
    """What has no finished run yet, the shortest first, until the budget is spent."""
    from tqdm.auto import tqdm

    folders = folders_of(arguments)
    _check_counts(arguments)
    budget = None if arguments.budget is None else seconds_of(arguments.budget)
    chosen = [experiment(name) for name in arguments.only] if arguments.only else list(experiments())
    todo = missing(chosen, folders, arguments.seeds, arguments.backends)
    total = sum(seconds for _, _, seconds in todo)
    print(f"{len(todo)} runs are missing; they may take {_told(total / arguments.jobs)} in {arguments.jobs} processes")
    if arguments.dry_run or not todo:
        for job, _, seconds in todo:
            print(f"{_told(seconds):>8}  {job.command}")
        return 0
    deadline = None if budget is None else time.time() + budget
    expected = {job.stem: seconds for job, _, seconds in todo}
    done, failed = 0, []
    form = "{l_bar}{bar}| {elapsed}, {remaining} left of what is expected"
    with tqdm(total=round(total), disable=None, bar_format=form) as bar:
        bar.write(f"first {', '.join(job.stem for job, _, _ in todo[: arguments.jobs])}")
        for outcome in run_all([(job, keep) for job, keep, _ in todo], folders, arguments.jobs, deadline):
            bar.update(round(expected[outcome.stem]))
            said = f"test accuracy {outcome.accuracy:.2%}" if outcome.accuracy is not None else outcome.problem
            bar.write(f"{outcome.stem}: {said}")
            done += outcome.accuracy is not None
            failed += [outcome.stem] * (outcome.accuracy is None and outcome.problem != "interrupted")
    print(
        f"{done} of {len(todo)} runs done; the same command goes on with the others"
        if done < len(todo)
        else f"all {done} done"
    )
    if failed:
        raise UserError(f"these failed: {', '.join(failed)}")
    print(then(folders))
    return 0


def _told(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _check_counts(arguments: Namespace) -> None:
    for name in ("seeds", "jobs"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(arguments, name)}")


def sweep(arguments: Namespace) -> int:
    from tqdm.auto import tqdm

    folders = folders_of(arguments)
    _check_counts(arguments)
    found = arguments.experiment
    every = jobs(found, arguments.variants or list(found.VARIANTS), arguments.seeds, arguments.backends)
    todo = [(job, keep) for job, keep in every if not is_done(job, folders)]
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
    print(then(folders) if found.file is None else f"{found.program} report {found.address} shows them on one page")
    return 0
