"""The picture of the house: the rooms of npnn, each above all that it imports."""

from __future__ import annotations

import ast
from pathlib import Path

from docs.reference.names import ROOT

__all__ = ["draw", "floors", "rooms"]

SMALL = 60  # lines: a room below this is a door, and left out of the picture


def rooms() -> dict[str, set[str]]:
    """Each room, a folder or a file of npnn, and the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "npnn").rglob("*.py")):
        room = _room(path)
        if room not in ("__init__", "__main__"):
            found.setdefault(room, set()).update(_imports(path) - {room})
    return {room: used & found.keys() for room, used in found.items()}


def floors(used: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room: 0 if it imports no other, else one above the highest that it imports."""
    found: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in found:
            found[room] = 1 + max((floor(other) for other in used[room]), default=-1)
        return found[room]

    for room in used:
        floor(room)
    return found


def sizes() -> dict[str, int]:
    """Lines of code of each room."""
    found: dict[str, int] = {}
    for path in (ROOT / "npnn").rglob("*.py"):
        found[_room(path)] = found.get(_room(path), 0) + len(path.read_text().splitlines())
    return found


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "npnn").parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npnn":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("npnn.")}
    return found


def below(room: str, used: dict[str, set[str]]) -> set[str]:
    """All rooms that a room stands on, directly or not."""
    return used[room] | {far for near in used[room] for far in below(near, used)}


def draw(folder: Path) -> Path:
    """Write house.png: a line from each room to those that it imports, where no other room lies between them."""
    from npnn import plot

    used, size = rooms(), sizes()
    joined = {room for room in used if used[room] or any(room in others for others in used.values())}
    shown = {room for room in joined if size[room] >= SMALL}
    used = {room: used[room] & shown for room in shown}
    level = floors(used)
    heights = sorted(set(level.values()))
    figure = plot.figure(7.0, 0.52 * len(heights) + 0.3)
    axes = figure.subplots()
    places = {}
    for height in heights:
        row = sorted((room for room in shown if level[room] == height), key=lambda room: (-size[room], room))
        for i, room in enumerate(row):
            places[room] = ((i + 0.5) / len(row), height)
    for room, others in used.items():
        for other in others - {far for near in others for far in below(near, used)}:
            (x, y), (u, v) = places[room], places[other]
            axes.plot([x, u], [y, v], color="0.55", linewidth=0.6, zorder=1)
    for room, (x, y) in places.items():
        face = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "0.3", "linewidth": 0.7}
        axes.text(x, y, f"{room}\n{size[room]:,}", ha="center", va="center", fontsize=5.5, bbox=face, zorder=2)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.5, max(heights) + 0.5)
    axes.set_yticks(heights)
    axes.set_ylabel("floor")
    axes.set_xticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    path = folder / "house.png"
    plot.save(figure, path)
    return path
