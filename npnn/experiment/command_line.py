"""The experiments' command line.  Without a command it lists the experiments; COMMAND --help says more."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from npnn.errors import CheckpointError, DataError, TrainingDiverged
from npnn.experiment import commands, many
from npnn.experiment.config import UserError, flag, settings
from npnn.experiment.registry import Experiment, experiment, names, question
from npnn.experiment.results import Folders
from npnn.experiment.run import Interrupted
from npnn.train.parallel import Single, world

EXIT_CODES = "exit codes: 0 done; 1 failed, or out of tolerance; 2 wrong command line; 130 interrupted by Ctrl-C"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that answers a mistake in one line, and a misspelling with a suggestion."""

    def __init__(self, **kwargs: Any):
        super().__init__(epilog=EXIT_CODES, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """An unknown option is an error of the command that it was given to, not of the whole command line."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = [option[2:] for action in self._actions for option in action.option_strings if option[:2] == "--"]
            near = difflib.get_close_matches(unknown[0].lstrip("-").split("=")[0], known, n=1)
            hint = f": did you mean '--{near[0]}'?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return namespace, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = difflib.get_close_matches(str(value), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise argparse.ArgumentError(action, f"no {str(value)!r}: {hint}")


def parser(argv: Sequence[str], program: str) -> Parser:
    """The whole command line.  The options of an experiment are the fields of its Config, and those of the one
    that ``argv`` names are read: a file that is broken disturbs nobody who did not ask for it."""
    top = Parser(prog=program, description=__doc__)
    top.set_defaults(perform=commands.list_all, name=None, program=program)
    words = top.add_subparsers(metavar="COMMAND", parser_class=Parser)
    add_list(words)
    help = "run one variant of an experiment: figure, weights, numbers; or, with --missing, what was not run yet"
    run = words.add_parser("run", help=help, description="run NAME, or run --missing (run --missing --help)")
    compare = words.add_parser("compare", help="run a variant in npnn and in torch, from one seed")
    queued = list(argv[:1]) == ["run"] and "--missing" in argv
    if queued:
        add_queue(run)
    for word, perform in ((run, commands.run), (compare, commands.compare))[queued:]:
        for one, found in add_names(word, argv):
            one.set_defaults(perform=perform, experiment=found)
            add_settings(one, found)
            if perform is commands.run:
                add_run_options(one)
            else:
                help = "compute in float64, where rounding errors stay too small to grow"
                one.add_argument("--float64", action="store_true", help=help)
            add_folders(one, Folders._fields if perform is commands.run else ("figs", "runs"))
    add_sweep(words, argv)
    demo = words.add_parser("demo", help="run one variant of each family, with a table at the end")
    demo.set_defaults(perform=commands.demo)
    add_folders(demo, ("figs", "models", "runs"))
    evaluate = words.add_parser("evaluate", help="measure saved models on their test sets again")
    evaluate.add_argument(
        "files", nargs="+", type=Path, metavar="FILE",
        help="a .safetensors file that a run wrote; a few examples may come out otherwise on another processor",
    )  # fmt: skip
    evaluate.set_defaults(perform=commands.evaluate)
    predict = words.add_parser("predict", help="name the class of pictures of your own, with its probability")
    predict.add_argument("file", type=Path, metavar="FILE", help="a .safetensors file that a run on pictures wrote")
    predict.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="PNG, JPEG, ...")
    predict.add_argument("--top", type=int, default=3, metavar="K", help="classes that are named (default: 3)")
    predict.set_defaults(perform=commands.predict)
    add_new(words)
    add_outputs(words)
    return top


def add_queue(run: Parser) -> None:
    """``run --missing``: no experiment is named."""
    run.set_defaults(perform=many.queue)
    run.add_argument("--missing", action="store_true", help="run what has no finished run yet, the shortest first")
    run.add_argument(
        "--budget", metavar="TIME", help="stop after so long (90m, 2h, 45s); the next time goes on from there"
    )
    run.add_argument("--only", nargs="+", metavar="NAME", help="of these experiments (default: all)")
    run.add_argument("--dry-run", action="store_true", help="only say what would run, and how long it may take")
    add_many(run)


def add_names(word: Parser, argv: Sequence[str]) -> Iterator[tuple[Parser, Experiment]]:
    """The experiments as words after ``word``; of the one that is asked for, the parser that needs its options."""
    asked = argv[1] if len(argv) > 1 and argv[0] == word.prog.split()[-1] else ""
    every = word.add_subparsers(metavar="NAME", required=True, help="an experiment, or the path of a file")
    for name in [*names(), *([asked] if asked.endswith(".py") else [])]:
        if name == asked:
            found = experiment(name)
            yield every.add_parser(name, description=found.question), found
        else:
            every.add_parser(name, help=_help(name))


def _help(name: str) -> str:
    try:
        return question(name).replace("%", "%%")
    except UserError as error:
        return f"cannot be run: {error}".replace("%", "%%")


def add_list(words: Any) -> None:
    one = words.add_parser("list", help="list the experiments, or the variants of one with what they reached")
    one.add_argument("name", nargs="?", metavar="NAME", help=f"one of {', '.join(names())}, or the path of a file")
    one.set_defaults(perform=commands.list_all)
    add_folders(one, ("results",))


def add_sweep(words: Any, argv: Sequence[str]) -> None:
    sweep = words.add_parser("sweep", help="run many variants, seeds and backends side by side; finished ones are kept")
    for one, found in add_names(sweep, argv):
        one.set_defaults(perform=many.sweep, experiment=found)
        variants = f"some of {', '.join(found.VARIANTS)} (default: all)"
        one.add_argument("--variants", nargs="+", choices=found.VARIANTS, metavar="V", help=variants)
        add_many(one)


def add_many(one: Parser) -> None:
    """The options of a command that runs many."""
    one.add_argument("--seeds", type=int, default=1, metavar="K", help="seeds of each (default: 1)")
    one.add_argument(
        "--backends", nargs="+", choices=("npnn", "torch"), default=["npnn"], metavar="B",
        help="npnn, torch or both (default: npnn)",
    )  # fmt: skip
    one.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="J",
        help="processes, of one thread each (default: one for each core)",
    )  # fmt: skip
    add_folders(one, Folders._fields)


def add_new(words: Any) -> None:
    one = words.add_parser("new", help="write a file for a question of your own, which runs at once")
    one.add_argument("file", type=Path, metavar="FILE", help="its path, such as mine or questions/mine.py")
    one.set_defaults(perform=commands.new)


def add_outputs(words: Any) -> None:
    """What is made from runs that are finished."""
    results = words.add_parser("results", help="write the table of results; name the files that it does not cite")
    results.add_argument("--prune", action="store_true", help="delete those files")
    results.set_defaults(perform=commands.results)
    report = words.add_parser("report", help="one self-contained HTML page of runs: figures, tables, configuration")
    stems = "names of runs, as run prints them: the file names in experiments/results, or the folders in runs"
    files = "; a .py file stands for all of its runs"
    report.add_argument("stems", nargs="*", metavar="STEM", help=f"{stems}{files} (default: every row of the table)")
    report.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: report.html")
    report.set_defaults(perform=commands.report)
    draw = words.add_parser("draw", help="draw the figures of finished runs again")
    draw.add_argument("stems", nargs="+", metavar="STEM", help=stems)
    draw.set_defaults(perform=commands.draw)
    for one in (results, report, draw):
        add_folders(one, Folders._fields)


def add_settings(one: Parser, found: Experiment) -> None:
    default = next(iter(found.VARIANTS))
    one.add_argument(
        "--variant", choices=found.VARIANTS, default=default, metavar="V",
        help=f"{', '.join(found.VARIANTS)} (default: {default})",
    )  # fmt: skip
    group = one.add_argument_group("settings", f"to change the variant's; in brackets what {default} has")
    for setting in settings(found.Config):
        value = getattr(found.VARIANTS[default], setting.name)
        help = (setting.help + ("" if value is None else f" [{value}]")).replace("%", "%%")
        kwargs: dict[str, Any] = {"dest": f"set_{setting.name}", "default": argparse.SUPPRESS, "help": help}
        if setting.read is bool:
            group.add_argument(flag(setting.name), action=argparse.BooleanOptionalAction, **kwargs)
        else:
            metavar = None if setting.choices else setting.read.__name__.upper()  # None: the choices
            kwargs |= {"type": setting.read, "choices": setting.choices, "metavar": metavar}
            group.add_argument(flag(setting.name), **kwargs)


def add_run_options(one: Parser) -> None:
    one.add_argument(
        "--backend", choices=("npnn", "torch"), default="npnn", metavar="B",
        help="npnn, or torch, which draws the same from one seed (default: npnn)",
    )  # fmt: skip
    one.add_argument(
        "--seeds", type=int, default=1, metavar="K",
        help="run with K seeds in turn and print mean and spread; all numbers are kept, but figure and weights of "
        "the first only (default: 1)",
    )  # fmt: skip
    one.add_argument(
        "--stop-after", type=int, metavar="N",
        help="end after N epochs of those that are planned, with the schedule of all of them",
    )  # fmt: skip
    one.add_argument("--resume", action="store_true", help="go on where this command was interrupted")


def add_folders(one: Parser, which: tuple[str, ...]) -> None:
    helps = {
        "figs": "for the figures of variants",
        "models": "for the weights of the best models",
        "runs": "for other weights, for runs that go on, and for all of a run with other settings than a variant's",
        "results": "for the numbers of finished variants",
    }
    for name in which:
        default = Folders._field_defaults[name]
        help = f"folder {helps[name]} (default: {default})"
        one.add_argument(f"--{name}", type=Path, default=default, metavar="DIR", help=help)


def main(argv: list[str] | None = None, program: str = "python -m experiments") -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if argv is None else argv
    processes = Single()
    try:
        arguments = parser(words, program).parse_args(words)
        processes = world()
        if processes.size > 1 and arguments.perform is not commands.run:
            if processes.rank == 0:
                print("error: mpiexec is for `run`: others are one process, or start their own", file=sys.stderr)
            return 1
        return arguments.perform(arguments)
    except Interrupted as stop:  # this and divergence come to all processes
        if processes.rank == 0:
            print(stop, file=sys.stderr)
        return 130
    except TrainingDiverged as error:
        if processes.rank == 0:
            print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        processes.abort("interrupted", 130)
        return 130
    except BrokenPipeError:  # ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, CheckpointError, DataError, ImportError, OSError) as error:
        processes.abort(f"error: {error}")
        return 1
