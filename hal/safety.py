"""Safety plane: the lines that let valves move at all, and the watchdog that takes them away.

Valves need two independent lines, arm and enable, and a watchdog that is kicked; the enable line falls by hardware
100 ms after the last kick. Nothing here decides; fdir does.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from drivers.bus.protocol import GpioBus
from drivers.errors import DeviceError
from hal.profile.board import LinesConfig

__all__ = ["BoardSafetyPlane", "SafetyPlane"]


class SafetyPlane(Protocol):
    """What fdir drives."""

    def set_arm(self, level: bool) -> bool:
        """Drive the arm line; returns whether the line reads back as asked."""

    def set_enable(self, level: bool) -> bool:
        """Drive the enable line; returns whether the line reads back as asked."""

    def kick(self, now_ns: int) -> None:
        """Feed the watchdog once."""


class BoardSafetyPlane:
    """Safety plane over three GPIO lines. Every write is read back; a refusal is counted by cause."""

    def __init__(self, gpio: GpioBus, lines: LinesConfig) -> None:
        self._gpio = gpio
        self._lines = lines
        self._level = False
        self.kicks = 0
        self.failures: Counter[str] = Counter()

    def set_arm(self, level: bool) -> bool:
        """See SafetyPlane."""
        return self._drive(self._lines.valve_arm, level)

    def set_enable(self, level: bool) -> bool:
        """See SafetyPlane."""
        return self._drive(self._lines.valve_enable, level)

    def kick(self, now_ns: int) -> None:  # noqa: ARG002 - an edge carries no time
        """See SafetyPlane. Each kick is one edge."""
        self._level = not self._level
        try:
            self._gpio.set(self._lines.watchdog_kick, self._level)
            self.kicks += 1
        except DeviceError as error:
            self.failures[error.cause.value] += 1

    def _drive(self, line: str, level: bool) -> bool:
        try:
            self._gpio.set(line, level)
            return self._gpio.get(line) == level
        except DeviceError as error:
            self.failures[error.cause.value] += 1
            return False
