"""The matrix of a campaign as a picture: faults by phases, survived of flown in every cell."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from firmware_py.cli.campaign.matrix import Grid

__all__ = ["draw_matrix"]

COLOURS = {"": "#ffffff", "ok": "#c9ebdf", "lost": "#dfe4e8", "no": "#f7c5a5"}
"""As on the page: nothing flown, survived, only what is known to be hopeless was lost, something broke."""
INK, SOFT = "#1f2933", "#5a6774"
ROW_IN, HEAD_IN = 0.235, 0.95
WIDTH_IN = 11.5
MOST_ROWS = 60
"""A picture of more rows cannot be read; the page has them all."""


def draw_matrix(path: Path, grid: Grid, title: str) -> Path:
    """Draw the first rows of a grid. The same grid gives the same pixels."""
    rows = grid.rows[:MOST_ROWS]
    height_in = HEAD_IN + ROW_IN * max(1, len(rows))
    picture = Figure(figsize=(WIDTH_IN, height_in), dpi=110, facecolor="white")
    FigureCanvasAgg(picture)
    axes = picture.add_axes((0.24, 0.02, 0.745, 1.0 - 0.02 - HEAD_IN / height_in))
    axes.set_xlim(0.0, max(1, len(grid.columns)))
    axes.set_ylim(max(1, len(rows)), 0.0)
    for y, (_, name) in enumerate(rows):
        for x, column in enumerate(grid.columns):
            cell = grid.cell(name, column)
            axes.add_patch(Rectangle((x, y), 1.0, 1.0, facecolor=COLOURS[cell.kind], edgecolor="white", linewidth=1.5))
            axes.text(x + 0.5, y + 0.52, cell.text, ha="center", va="center", fontsize=7.5, color=INK,
                      fontweight="bold" if cell.kind == "no" else "normal")
    axes.set_xticks([x + 0.5 for x in range(len(grid.columns))], list(grid.columns))
    axes.set_yticks([y + 0.5 for y in range(len(rows))], [name for _, name in rows])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    left = len(grid.rows) - len(rows)
    more = f"; {left} more on the page" if left else ""
    picture.text(0.012, 1.0 - 0.24 / height_in, title, fontsize=12, fontweight="bold", color=INK, va="center")
    picture.text(0.012, 1.0 - 0.48 / height_in,
                 f"survived of flown, by the step in which the fault began; orange: something broke{more}",
                 fontsize=8.5, color=SOFT, va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path)
    return path
