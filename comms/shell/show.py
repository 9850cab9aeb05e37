"""Values as text: always with their unit, and what is missing is called missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from textwrap import wrap
from typing import Any

__all__ = [
    "MISSING", "NO_UNIT", "as_json", "clock", "fold", "listed", "number", "percent", "plain", "plain_line", "rows",
    "seconds", "shown", "with_unit",
]

MISSING = "missing"
NS = 1_000_000_000
LONGEST_TEXT = 400
NO_UNIT = ("-", "1", "")
DEEPEST = 8
"""Tables in tables that are written as JSON."""


def number(value: Any, digits: int = 6) -> str:
    """A number in its shortest form; text otherwise, cleaned."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.{digits}g}" if abs(value) < 10**300 else "too large"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if isfinite(value) else MISSING
    return plain(value)


def plain(value: Any) -> str:
    """Text from elsewhere, without what moves a cursor, bounded."""
    text = str(value)[:LONGEST_TEXT]
    return "".join(character if character.isprintable() else "?" for character in text)


def plain_line(line: str) -> str:
    """A whole line without what could move a cursor, whoever wrote it."""
    return line if line.isprintable() else "".join(character if character.isprintable() else "?" for character in line)


def as_json(rows: Any) -> str:
    """One line of JSON in ASCII; numbers that JSON has no word for are null."""
    return json.dumps(_finite(rows), allow_nan=False, default=str, ensure_ascii=True)


def _finite(value: Any, depth: int = 0) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if depth > DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, depth + 1) for item in value]
    return value


def shown(value: Any, digits: int = 6) -> str:
    """A value of any kind in one line, without its unit."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(key)} {shown(item, digits)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        inside = ", ".join(shown(item, digits) for item in value)
        return inside if not value or (isinstance(value[0], str) and inside) else f"[{inside}]"
    return number(value, digits)


def with_unit(value: Any, unit: str, digits: int = 6) -> str:
    """A value in one line with its unit."""
    if value is None:
        return MISSING
    if isinstance(value, list | tuple) and not value:
        return "none"
    return f"{shown(value, digits)}{'' if unit in NO_UNIT else f' {unit}'}"


def percent(value: Any) -> str:
    """A share as per cent."""
    good = isinstance(value, int | float) and isfinite(value)
    return f"{100 * value:.1f} %" if good else MISSING


def seconds(t_ns: int | None, digits: int = 2) -> str:
    """A time in s."""
    return MISSING if t_ns is None else f"{t_ns / NS:.{digits}f} s"


def clock(value: Any) -> str:
    """A span in s as people say it."""
    if not isinstance(value, int | float) or not isfinite(value):
        return MISSING
    whole = round(value)
    if whole < 120:
        return f"{value:.3g} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"


def listed(values: Any, nothing: str = "none") -> str:
    """Names in one line."""
    if values is None:
        return MISSING
    if isinstance(values, Mapping):
        return ", ".join(f"{plain(key)} {shown(item)}" for key, item in values.items()) or nothing
    if not isinstance(values, list | tuple):
        return shown(values)
    return ", ".join(shown(item) for item in values) or nothing


def fold(text: str, columns: int, indent: int = 0) -> list[str]:
    """A line as lines no longer than the terminal is wide, the following ones indented."""
    room = max(20, columns - 1)
    if len(text) <= room:
        return [text]
    indent = min(indent, room // 4)
    return wrap(text, room, subsequent_indent=" " * indent, break_long_words=True, break_on_hyphens=False)


def rows(table: Sequence[Sequence[str]], columns: int, *, cut: bool = False) -> list[str]:
    """A table in aligned columns; the last one is folded under itself, or ``cut`` to one line."""
    if not table:
        return []
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]) - 1)]
    indent = sum(widths) + 2 * len(widths)
    lines: list[str] = []
    for row in table:
        head = "".join(cell.ljust(width) + "  " for cell, width in zip(row, widths, strict=False))
        if cut:
            line = (head + row[-1]).rstrip()
            lines.append(line if len(line) < columns else line[:max(16, columns - 4)].rstrip() + "...")
        else:
            lines += _under(head, row[-1], columns, indent)
    return lines


def _under(head: str, text: str, columns: int, indent: int) -> list[str]:
    room = columns - 1 - indent
    if room < 16:
        return fold((head + text).rstrip(), columns, 4)
    parts: Iterable[str] = wrap(text, room, break_on_hyphens=False) or [""]
    return [((head if at == 0 else " " * indent) + part).rstrip() for at, part in enumerate(parts)]
