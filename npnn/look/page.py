"""One page that shows what a network has learned: in a notebook, or as an HTML file that needs nothing else."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from numpy.typing import ArrayLike

from npnn.io.atomic import atomic_write
from npnn.look.parts import Part, Parts
from npnn.look.style import STYLE
from npnn.look.subject import subject

__all__ = ["Page", "Part", "look"]


@dataclass
class Page:
    """All parts.  In a notebook it shows itself; ``save`` writes it."""

    title: str
    parts: list[Part]

    def _repr_html_(self) -> str:
        return f"<style>{STYLE}</style><div class='look'>{self._body()}</div>"

    def html(self) -> str:
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
            f'<body class="look">\n{self._body()}\n</body>\n</html>\n'
        )

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the page; its size in bytes."""
        text = self.html().encode()
        with atomic_write(path) as file:
            file.write(text)
        return len(text)

    def _body(self) -> str:
        links = "".join(f'<li><a href="#{p.name}">{escape(p.title)}</a></li>' for p in self.parts)
        sections = "\n".join(_section(part) for part in self.parts)
        return f"<h1>{escape(self.title)}</h1>\n<nav><ol>{links}</ol></nav>\n{sections}"


def _section(part: Part) -> str:
    lines = [f'<section id="{part.name}">\n<h2>{escape(part.title)}</h2>', f"<p>{escape(part.text)}</p>"]
    if part.problem:
        lines.append(f'<p class="problem">{escape(part.problem)}</p>')
    if part.table:
        head, *rows = ("".join(f"<{tag}>{escape(c)}</{tag}>" for c in row) for tag, row in _tagged(part.table))
        lines.append(
            f'<div class="wide"><table><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in rows)}</table></div>'
        )
    for png, alt in part.figures:
        data = base64.b64encode(png).decode()
        lines.append(f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{data}"></figure>')
    lines.append(f"<p class='time'>{part.seconds:.1f} s</p>\n</section>")
    return "\n".join(lines)


def _tagged(table: list[Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    return (("th" if i == 0 else "td", row) for i, row in enumerate(table))


def look(
    model: Any,
    images: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    picture: ArrayLike | None = None,
    layers: Sequence[Any] | None = None,
    title: str = "What the network has learned",
    progress: bool = True,
) -> Page:
    """The page of a model.  A part that cannot be drawn says why, and the others are drawn.

    images   (N, C, H, W) of the data, as the model wants them; of a recurrent model sequences (N, T, I); points (N, 2)
    labels   (N,) their classes, called ``names``
    picture  (C, H, W), the one that is followed through the layers; by default the first of the images
    layers   whose units are shown; by default three convolutions from the first to the last
    """
    found = Parts(subject(model), images, labels, names, picture, layers)
    parts: list[Part] = []
    for part, draw in found.parts():
        begun = time.perf_counter()
        try:
            draw(part)
        except (ValueError, TypeError, ImportError, MemoryError) as error:
            part.problem = f"This part cannot be drawn: {error}."
        part.seconds = time.perf_counter() - begun
        parts.append(part)
        if progress:
            done = "left out" if part.problem and not part.figures else f"{len(part.figures)} figures"
            print(f"{part.title}: {done}, {part.seconds:.1f} s", flush=True)
    return Page(title, parts)
