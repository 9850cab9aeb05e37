"""Every benchmark reports alike: one aligned table, one JSON file, one exit code.

A subject is a module in this folder with ``run(report: Report) -> None``; ``python -m bench`` runs all of them,
``python -m bench world`` or ``ONLY=world python -m bench`` one. ``python -m bench --list`` names them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RESULTS", "Figure", "Report"]

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: value in ``unit``, what it is compared with, what it must reach, and whether it does."""

    figure: str
    value: float | int | str | None
    unit: str
    reference: float | int | str | None
    target: float | int | str | None
    holds: bool


class Report:
    """Collects the figures of one subject; ``finish`` prints the table and writes the JSON file."""

    def __init__(self, subject: str, folder: Path = RESULTS) -> None:
        self.subject = subject
        self.figures: list[Figure] = []
        self.more: dict[str, Any] = {}
        """Further keys of the file; with any, the figures stand under ``figures``."""
        self.stored = True
        """Whether ``finish`` writes the file; a subject that was run in part only is shown and not kept."""
        self._folder = folder

    def add(
        self,
        figure: str,
        value: float | int | str | None,
        unit: str = "",
        reference: float | int | str | None = None,
        target: float | int | str | None = None,
        holds: bool = True,
    ) -> None:
        """Add one figure.

        ``reference`` is another's number or its source, ``target`` the bound as a number or as text such as
        ``"< 25"``; ``holds`` says whether the value keeps it. ``None`` prints as ``-``. A value that is not finite
        is stored as text, since JSON has no such number, and never holds.
        """
        plain = _plain(value)
        if isinstance(plain, float) and not isfinite(plain):
            plain, holds = str(plain), False
        self.figures.append(Figure(figure, plain, unit, _plain(reference), _plain(target), bool(holds)))

    def finish(self) -> int:
        """Print the table, write ``<folder>/<subject>.json`` if it is to be stored; exit code 0 if all figures hold,
        else 1."""
        header = ("figure", "ours", "reference", "target", "holds")
        rows = [
            (
                f.figure, " ".join((_text(f.value), f.unit)).strip(), _text(f.reference), _text(f.target),
                "yes" if f.holds else "NO",
            )
            for f in self.figures
        ]
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        print(f"\n{self.subject}")
        for row in (header, tuple("-" * w for w in widths), *rows):
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        failed = sum(not f.holds for f in self.figures)
        print(f"  {len(self.figures) - failed} of {len(self.figures)} hold")
        if not self.stored:
            return 1 if failed else 0
        self._folder.mkdir(parents=True, exist_ok=True)
        figures = [asdict(f) for f in self.figures]
        stored = {"figures": figures, **self.more} if self.more else figures
        text = json.dumps(stored, indent=2, ensure_ascii=False, allow_nan=False)
        (self._folder / f"{self.subject}.json").write_text(text + "\n", encoding="utf-8")
        return 1 if failed else 0


def _plain(value: Any) -> float | int | str | None:
    """Built-in type of a numpy scalar, so that JSON takes it."""
    plain: float | int | str | None = value.item() if isinstance(value, np.generic) else value
    return plain


def _text(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
