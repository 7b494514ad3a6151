"""What a user sees while the network learns: a bar in a terminal or notebook, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Progress"]

BAR_EVERY = 0.1  # seconds
LINE_EVERY = 1.0  # seconds: a log of a short run stays short


class Progress:
    """Shows loss, accuracy, learning rate and time left; nothing at all if ``show`` is false.

    ``total`` is the number of steps of the whole run, None if nobody knows; ``done`` those that an
    earlier process did.  ``watched`` is what to call the data that each record looks at.  ``step``,
    called after every step, costs one look at the clock.
    """

    def __init__(self, total: int | None, done: int = 0, show: bool = True, watched: str = "validation"):
        self.total, self.first, self.done, self.show, self.watched = total, done, done, show, watched
        self.start = time.perf_counter()
        self.latest: Mapping[str, Any] = {}
        self.printed: Mapping[str, Any] = self.latest
        self.next_line = self.start
        self.next_draw = float("inf")  # never, without a bar
        self.bar: Any = None
        terminal = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()  # a program without a console has no stderr
        if show and (terminal or "ipykernel" in sys.modules):
            from tqdm.auto import tqdm  # imported by those who watch

            self.bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)
            self.next_draw = self.start

    def step(self, loss: float, lr: float) -> None:
        self.done += 1
        if time.perf_counter() >= self.next_draw:
            self._draw(loss, lr)

    def record(self, record: Mapping[str, Any]) -> None:
        """The history has one more record."""
        self.latest = record
        if self.bar is not None:
            self.bar.set_description(f"epoch {record['epoch']}", refresh=False)
            self._draw(record["train_loss"], record["lr"])
        elif time.perf_counter() >= self.next_line:
            self._print()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.update(self.done - self.bar.n)
            self.bar.close()
        elif self.latest is not self.printed:
            self._print()

    def _draw(self, loss: float, lr: float) -> None:
        accuracy = self._both(self.latest, "accuracy", ".1%")
        self.bar.set_postfix_str(f"loss {loss:.4g}, {accuracy}lr {lr:.3g}", refresh=False)
        self.bar.update(self.done - self.bar.n)
        self.next_draw = time.perf_counter() + BAR_EVERY

    def _print(self) -> None:
        record, now = self.latest, time.perf_counter()
        self.printed, self.next_line = record, now + LINE_EVERY
        if not self.show:
            return
        seconds = now - self.start
        left = ""
        if self.total and self.done > self.first:
            left = f", {seconds * (self.total - self.done) / (self.done - self.first):.0f} s left"
        print(
            f"epoch {record['epoch']}, step {record['step']}: {self._both(record, 'loss', '.4f')}"
            f"{self._both(record, 'accuracy', '.1%')}lr {record['lr']:.3g}, {seconds:.0f} s{left}",
            file=sys.stderr,
            flush=True,
        )

    def _both(self, record: Mapping[str, Any], figure: str, form: str) -> str:
        """A figure of the train and of the watched set, of those that the record has."""
        train, watched = record.get(f"train_{figure}"), record.get(f"validation_{figure}")
        if train is None:
            return ""
        return f"{figure} {train:{form}}" + (f" ({self.watched} {watched:{form}}), " if watched is not None else ", ")
