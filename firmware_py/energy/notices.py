"""Turns states that last into events at their edges: what begins is told once, and so is its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fdir.codes import Code, Severity

__all__ = ["Notices", "Tell"]

Tell = Callable[[int, Code, Severity, str], None]
"""Takes an event: time, code, severity, text."""


class Notices:
    """Edges of what stands in a list of (code, what about it)."""

    __slots__ = ("_standing", "_tell")

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._standing: dict[str, frozenset[tuple[Code, str]]] = {}

    def update(self, now_ns: int, source: str, standing: Iterable[tuple[Code, str]], severity: Severity) -> None:
        """Tell what of ``source`` is new, and what of it is over."""
        now = frozenset(standing)
        before = self._standing.get(source, frozenset())
        if now == before:
            return
        self._standing[source] = now
        for code, about in sorted(now - before):
            self._tell(now_ns, code, severity, about)
        for code, about in sorted(before - now):
            self._tell(now_ns, code, Severity.INFO, f"{about}: over")
