"""Tables of results, as Markdown, for the terminal and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["markdown", "startup_table", "step_table"]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up as plain text; all but the first column right-aligned."""
    widths = [max(len(str(r[i])) for r in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        return (
            "| "
            + " | ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))])
            + " |"
        )

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])]) + "|"
    return "\n".join([line(header), rule, *(line(r) for r in rows)])


def _milliseconds(t: float | None) -> str:
    return "" if t is None else f"{t:.3f}" if t < 10 else f"{t:.1f}"


def step_table(rows: Sequence[dict[str, Any]], threads: int) -> str:
    """One line per workload: npnn, each peer, the ratio to torch and its target, what the products alone take at the
    machine's peak, and the gain of the threads."""
    by: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for row in rows:
        by.setdefault(row["workload"], {})[row["peer"], row["threads"]] = row
    peers = [p for p in dict.fromkeys(row["peer"] for row in rows) if p != "npnn"]
    header = ["workload", "npnn ms", *[f"{p} ms" for p in peers], "npnn / torch", "target", "products at peak, ms", "± %",
              "1 thread / all", "npnn MB", "torch MB"]  # fmt: skip
    lines = []
    for name, cells in by.items():
        mine = cells["npnn", threads]
        torch = cells.get(("torch", threads), {})
        one = cells.get(("npnn", 1))
        lines.append(
            [
                f"{name}: {mine['text']}" if "," not in name else name,
                _milliseconds(mine["median_ms"]),
                *[_milliseconds(cells.get((p, threads), {}).get("median_ms")) for p in peers],
                f"{mine['ratio_to_torch']:.2f}" if mine["ratio_to_torch"] else "",
                f"{mine['target']:.2f}",
                _milliseconds(mine.get("bound_ms")),
                f"{mine['spread'] * 100:.0f}",
                f"{one['median_ms'] / mine['median_ms']:.2f}" if one and threads > 1 else "",
                f"{mine['peak_mb']:.0f}" if mine["peak_mb"] else "",
                f"{torch['peak_mb']:.0f}" if torch.get("peak_mb") else "",
            ]
        )
    return markdown(header, lines)


def startup_table(rows: Sequence[dict[str, Any]]) -> str:
    """import time and times to the first step."""
    return markdown(
        ["start", "seconds", "target"], [[r["what"], f"{r['seconds']:.2f}", f"{r['target']:.2f}"] for r in rows]
    )
