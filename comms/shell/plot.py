"""A plot in characters: axes with units, and a gap wherever a value is missing.

Braille cells have two by four dots; with ``plain`` every cell is one dot, for terminals that have nothing but ASCII.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from math import floor, log10

from comms.shell.show import NO_UNIT, number

__all__ = ["braille", "draw"]

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille cell by row and column (Unicode block U+2800)."""
BLANK = 0x2800
NS = 1_000_000_000


def draw(
    title: str, unit: str, times_ns: Sequence[int], values: Sequence[float | None], span_s: float, period_ns: int,
    columns: int, height: int, *, plain: bool = False,
) -> list[str]:
    """Lines of a plot of ``values`` over the last ``span_s``, newest at the right.

    Args:
        title: above it.
        unit: of the values.
        times_ns, values: the samples, oldest first; ``None`` is missing.
        period_ns: time between two samples; where it is more than three times that, there is a gap.
        columns, height: cells that the plot may take, axes and title included.
        plain: ASCII only.
    """
    there = [value for value in values if value is not None]
    head = f"{title}{'' if unit in NO_UNIT else f', {unit}'}"
    if not there:
        return [f"{head}: missing over the last {span_s:g} s"]
    low, high = _limits(min(there), max(there))
    labels = _labels(low, high)
    margin = max(map(len, labels)) + 1
    width, rows = max(10, columns - margin - 3), max(3, height - 3)
    across, down = (width, rows) if plain else (2 * width, 4 * rows)
    gap = max(1.0 if plain else 2.0, 3.0 * period_ns / (span_s * NS) * across)
    spans = _spans(times_ns, values, (across - 1) / (span_s * NS), across - 1, gap)
    scale = (down - 1) / (high - low)
    dots = {
        x: (max(0, round((high - top) * scale)), min(down - 1, round((high - bottom) * scale)))
        for x, (bottom, top) in spans.items()
    }
    cells = _plain_cells(dots, width, rows) if plain else braille(dots, width, rows)
    lines = [head + f"  newest {number(values[-1], 5) if values[-1] is not None else 'missing'}"]
    middle = rows // 2
    for row in range(rows):
        label = labels[0] if row == 0 else labels[1] if row == middle else labels[2] if row == rows - 1 else ""
        mark = "+" if label and plain else "┤" if label else "|" if plain else "│"
        lines.append(f"{label:>{margin}}{mark}{cells[row]}".rstrip())
    corner = "+" + "-" * width if plain else "└" + "─" * width
    lines.append(" " * margin + corner)
    left, right = f"-{span_s:g} s", "now"
    missing = len(values) - len(there)
    middle_text = f"{missing} of {len(values)} missing" if missing else f"{len(values)} samples"
    lines.append(" " * (margin + 1) + left + middle_text.center(width - len(left) - len(right)) + right)
    return lines


def braille(dots: Mapping[int, tuple[int, int]], width: int, rows: int) -> list[str]:
    """Rows of Braille cells with these dots: by x from the left the topmost and the lowest y, from the top."""
    cells = [[BLANK] * width for _ in range(rows)]
    for x, (top, bottom) in dots.items():
        for y in range(top, bottom + 1):
            cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
    return ["".join(" " if cell == BLANK else chr(cell) for cell in row) for row in cells]


def _plain_cells(dots: Mapping[int, tuple[int, int]], width: int, rows: int) -> list[str]:
    cells = [[" "] * width for _ in range(rows)]
    for x, (top, bottom) in dots.items():
        for y in range(top, bottom + 1):
            cells[y][x] = "*"
    return ["".join(row) for row in cells]


def _spans(
    times_ns: Sequence[int], values: Sequence[float | None], scale: float, last: int, gap: float
) -> dict[int, tuple[float, float]]:
    """Least and greatest value of every column from 0 to ``last``, neighbours joined where they are no gap apart.

    The work is that of the columns, however many samples there are. ``scale`` is columns a nanosecond.
    """
    spans: dict[int, tuple[float, float]] = {}
    before: tuple[int, float] | None = None
    newest, begin = times_ns[-1], bisect_left(times_ns, times_ns[-1] - (last + 0.5) / scale)
    for x in range(last + 1):
        end = bisect_right(times_ns, newest - (last - x - 0.5) / scale, begin)
        piece = values[begin:end]
        begin = end
        if not piece:
            continue
        first, final = piece[0], piece[-1]
        there = [value for value in piece if value is not None]
        if there:
            low, high = spans.get(x, (there[0], there[0]))
            spans[x] = (min(low, *there), max(high, *there))
        if before is not None and first is not None and x - before[0] <= gap:
            _join(spans, before, (x, first))
        before = None if final is None else (x, final)
    return spans


def _join(spans: dict[int, tuple[float, float]], before: tuple[int, float], point: tuple[int, float]) -> None:
    (x0, y0), (x1, y1) = before, point
    for x in range(x0, x1):
        # Half of each step belongs to the column on its left, half to that on its right.
        middle = y0 + (y1 - y0) * (x + 0.5 - x0) / (x1 - x0)
        for side in (x, x + 1):
            low, high = spans.get(side, (middle, middle))
            spans[side] = (min(low, middle), max(high, middle))


def _limits(low: float, high: float) -> tuple[float, float]:
    """Limits of the axis, wider than what is plotted by nothing but rounding to two digits of its range."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        pad = max(abs(high) * 1e-3, 1e-6)
        return low - pad, high + pad
    step = 10.0 ** (floor(log10(high - low)) - 1)
    return floor(low / step) * step, -floor(-high / step) * step


def _labels(low: float, high: float) -> tuple[str, str, str]:
    """High, middle and low, with as many digits as tell them apart."""
    for digits in range(3, 10):
        labels = (f"{high:.{digits}g}", f"{(high + low) / 2:.{digits}g}", f"{low:.{digits}g}")
        if len(set(labels)) == 3 and abs(float(labels[1]) - (high + low) / 2) < 0.02 * (high - low):
            return labels
    return labels
