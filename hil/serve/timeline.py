"""Starts and ends the faults of a mission on a served rig by their times, counted from a given instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hil.rig import Rig

__all__ = ["TimedFault", "Timeline"]


@dataclass(frozen=True, slots=True)
class TimedFault:
    """One fault of the rig: kind and parameters, when it begins and for how long, ns. No length: it stays."""

    kind: str
    at_ns: int
    for_ns: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The fault in a line."""
        details = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.kind} {details}".strip()


class Timeline:
    """Faults in the order of their times.

    Args:
        rig: on which they happen.
        faults: checked ones (``hil.rig.check_fault``).
        tell: gets the text of each fault that begins (True) or ends (False).
    """

    def __init__(self, rig: Rig, faults: Sequence[TimedFault], tell: Callable[[str, bool], None]) -> None:
        self._rig = rig
        self._waiting = sorted(faults, key=lambda fault: fault.at_ns)
        self._active: list[tuple[int, str, Callable[[], None]]] = []
        self._tell = tell
        self._origin_ns: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the times count."""
        return self._origin_ns is not None

    def begin(self) -> None:
        """Times count from now; only the first call does anything."""
        if self._origin_ns is None:
            self._origin_ns = self._rig.now_ns

    def step(self) -> None:
        """Begin and end what is due."""
        if self._origin_ns is None:
            return
        now_ns = self._rig.now_ns - self._origin_ns
        for entry in tuple(self._active):
            end_ns, text, end = entry
            if now_ns >= end_ns:
                self._active.remove(entry)
                end()
                self._tell(text, False)
        while self._waiting and self._waiting[0].at_ns <= now_ns:
            fault = self._waiting.pop(0)
            end = self._rig.inject(fault.kind, fault.parameters)
            self._tell(fault.text, True)
            if fault.for_ns is not None:
                self._active.append((now_ns + fault.for_ns, fault.text, end))
