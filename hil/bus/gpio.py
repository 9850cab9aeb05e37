"""Twin of a GPIO chip: named lines whose every change of level reaches the listeners at its instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet

__all__ = ["SimGpioBus"]

_KINDS = frozenset({FaultKind.ALL_ONES, FaultKind.ALL_ZEROS, FaultKind.FROZEN, FaultKind.ABSENT})

Listener = Callable[[str, bool, int], None]


class SimGpioBus:
    """Named digital lines, low at power-on. Implements drivers.bus.protocol.GpioBus.

    ALL_ONES and ALL_ZEROS hold a line high or low, FROZEN holds the level it has; the line follows its driver again
    when the fault is cleared. ABSENT takes the line away. These faults hold without gaps, so ``probability`` and
    ``count`` are refused.
    """

    def __init__(
        self,
        name: str,
        lines: Iterable[str] | Mapping[str, bool],
        now_ns: Callable[[], int],
        rng: np.random.Generator | None = None,
    ) -> None:
        """Lines by name, or by name with their level at power-on; ``now_ns`` gives the instant of a change."""
        self.name = name
        self._driven: dict[str, bool] = dict(lines) if isinstance(lines, Mapping) else dict.fromkeys(lines, False)
        self._level = dict(self._driven)
        self._now_ns = now_ns
        self._listeners: list[Listener] = []
        self._faults = FaultSet(name, _KINDS, rng)
        self._active = self._faults.active

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the lines."""
        return tuple(self._driven)

    def on_change(self, listener: Listener) -> None:
        """Call ``listener(line, level, now_ns)`` after every change of a line's level."""
        self._listeners.append(listener)

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault on ``fault.line``, or on all lines. Raises ValueError for what makes no sense on lines."""
        if fault.probability != 1.0 or fault.count is not None:
            raise ValueError(f"{self.name}: a fault of a line holds until it is cleared")
        if fault.line is not None and fault.line not in self._driven:
            raise ValueError(f"{self.name}: no line {fault.line}")
        handle = self._faults.inject(fault)
        self._settle_all()
        return handle

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all of this chip."""
        self._faults.clear(handle)
        self._settle_all()

    def set(self, line: str, level: bool) -> None:
        """See drivers.bus.protocol.GpioBus."""
        self._check(line)
        self._drive(line, level)

    def get(self, line: str) -> bool:
        """See drivers.bus.protocol.GpioBus."""
        self._check(line)
        return self._level[line]

    def drive(self, line: str, level: bool) -> None:
        """Drive an input line from outside. Raises KeyError for a line that is not there."""
        if line not in self._driven:
            raise KeyError(line)
        self._drive(line, level)

    def _check(self, line: str) -> None:
        if line not in self._driven:
            raise DeviceError(self.name, None, Cause.ABSENT, f"no line {line}")
        for handle in self._active:
            if handle.fault.kind is FaultKind.ABSENT and handle.fault.line in (None, line):
                handle.hits += 1
                raise DeviceError(self.name, None, Cause.ABSENT, f"line {line}, injected")

    def _drive(self, line: str, level: bool) -> None:
        self._driven[line] = level
        if self._level[line] != level:
            self._settle(line)

    def _settle(self, line: str) -> None:
        level = self._driven[line]
        for handle in self._active:
            fault = handle.fault
            if fault.line not in (None, line):
                continue
            if fault.kind is FaultKind.ALL_ONES:
                level = True
            elif fault.kind is FaultKind.ALL_ZEROS:
                level = False
            elif fault.kind is FaultKind.FROZEN:
                level = self._level[line]
        if level != self._level[line]:
            self._level[line] = level
            now = self._now_ns()
            for listener in self._listeners:
                listener(line, level, now)

    def _settle_all(self) -> None:
        for line in self._driven:
            self._settle(line)
