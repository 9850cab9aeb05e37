"""Energy bookkeeping on board: sources = loads + losses + what the stores have gained, and what is left unexplained.

A step is booked only when everything in its balance was measured, from its beginning to its end; any other step is
counted as unknown time, and what the stores did meanwhile is kept apart. Nothing is guessed and nothing is spread out.
Sums are compensated (Neumaier, ZAMM 54, 1974, 39-51), so that a month of 20 Hz steps loses nothing to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, inf, isfinite

from firmware_py.energy.power_rule import Flows

__all__ = ["EnergyLedger", "LedgerTotals", "Powers"]


@dataclass(frozen=True, slots=True)
class Powers:
    """Mean powers of one step, W; ``None`` where nothing is known.

    Measured ones may stray below zero: an offset around zero must average out, not be cut off on one side. ``dock_w``
    is negative when power flows back. Losses are those inside the stores and their converters, never below zero.
    """

    array_w: float | None
    dock_w: float | None
    loads_w: float | None
    peaks_w: float | None
    battery_loss_w: float | None
    supercap_loss_w: float | None
    spilled_w: float | None = None
    """Outside the balance, like ``unserved_w``: without them a step is booked all the same."""
    unserved_w: float | None = None

    @classmethod
    def of(cls, flows: Flows, battery_loss_w: float | None, supercap_loss_w: float | None) -> Powers:
        """The powers of the sharing rule, with the losses."""
        return cls(
            flows.array_w, flows.dock_w, flows.loads_w, flows.peaks_w, battery_loss_w, supercap_loss_w,
            flows.spilled_w, flows.unserved_w,
        )


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Energies since the start, J, over the known time; times in s.

    ``harvested_j + dock_j = loads_j + peaks_j + battery_loss_j + supercap_loss_j + growth_j + unexplained_j``.
    """

    harvested_j: float
    dock_j: float
    loads_j: float
    peaks_j: float
    battery_loss_j: float
    supercap_loss_j: float
    growth_j: float
    unexplained_j: float
    unexplained_share: float | None
    """Size of the unexplained against what was turned over; ``None`` before anything was."""
    spilled_j: float
    unserved_j: float
    known_s: float
    unknown_s: float
    """Time that is in no sum but ``gap_growth_j``: what the stores gained in it."""
    gap_growth_j: float
    spilled_unknown_s: float
    """Part of the known time in which nobody knew what was spilled; likewise ``unserved_unknown_s``."""
    unserved_unknown_s: float


class _Sum:
    """Compensated sum."""

    __slots__ = ("carry", "total")

    def __init__(self) -> None:
        self.total = self.carry = 0.0

    def add(self, value: float) -> None:
        total = self.total
        after = total + value
        self.carry += (total - after) + value if abs(total) >= abs(value) else (value - after) + total
        self.total = after

    @property
    def value(self) -> float:
        return self.total + self.carry


class EnergyLedger:
    """The books of one flight. ``add`` every step; ``totals`` at any time."""

    def __init__(self, battery_j: float | None = None, supercap_j: float | None = None) -> None:
        """Energies of the stores at the start, J. Without them the first step is unknown."""
        self._array, self._dock, self._loads, self._peaks = _Sum(), _Sum(), _Sum(), _Sum()
        self._battery_loss, self._cap_loss, self._growth, self._gap = _Sum(), _Sum(), _Sum(), _Sum()
        self._spilled, self._unserved, self._known, self._unknown = _Sum(), _Sum(), _Sum(), _Sum()
        self._spilled_unknown, self._unserved_unknown = _Sum(), _Sum()
        self._stored: tuple[float, float] | None = self._energies(battery_j, supercap_j)
        self._open = self._stored is not None
        """The present step's beginning is known."""

    def add(self, dt_s: float, powers: Powers, battery_j: float | None, supercap_j: float | None) -> bool:
        """Book a step of ``dt_s`` with its mean powers and the energies of the stores at its end, J.

        Returns whether it could be booked: every power of the balance and both ends of the stores are known. What is
        not finite, a loss or an energy below zero, is not known. Raises ValueError for a step that is not above 0 s.
        """
        if not 0.0 < dt_s < inf:
            raise ValueError(f"dt_s is {dt_s}; a finite time above 0 s is needed")
        now = self._energies(battery_j, supercap_j)
        grown = None
        if now is not None and self._stored is not None:
            grown = (now[0] - self._stored[0]) + (now[1] - self._stored[1])
        booked = False
        if self._open and grown is not None and self._book(dt_s, powers):
            self._growth.add(grown)
            self._known.add(dt_s)
            booked = True
        else:
            self._unknown.add(dt_s)
            if grown is not None:
                self._gap.add(grown)
        self._open = now is not None
        if now is not None:
            self._stored = now
        return booked

    def _energies(self, battery_j: float | None, supercap_j: float | None) -> tuple[float, float] | None:
        if battery_j is None or supercap_j is None:
            return None
        return (battery_j, supercap_j) if 0.0 <= battery_j < inf and 0.0 <= supercap_j < inf else None

    def _book(self, dt_s: float, powers: Powers) -> bool:
        array, dock, loads, peaks = powers.array_w, powers.dock_w, powers.loads_w, powers.peaks_w
        battery_loss, cap_loss = powers.battery_loss_w, powers.supercap_loss_w
        if array is None or dock is None or loads is None or peaks is None:
            return False
        # A sum is finite only if all its parts are.
        if not isfinite(array + dock + loads + peaks):
            return False
        if battery_loss is None or cap_loss is None or not 0.0 <= battery_loss < inf or not 0.0 <= cap_loss < inf:
            return False
        self._array.add(array * dt_s)
        self._dock.add(dock * dt_s)
        self._loads.add(loads * dt_s)
        self._peaks.add(peaks * dt_s)
        self._battery_loss.add(battery_loss * dt_s)
        self._cap_loss.add(cap_loss * dt_s)
        self._beside(self._spilled, self._spilled_unknown, powers.spilled_w, dt_s)
        self._beside(self._unserved, self._unserved_unknown, powers.unserved_w, dt_s)
        return True

    @staticmethod
    def _beside(energy: _Sum, unknown: _Sum, watts: float | None, dt_s: float) -> None:
        if watts is not None and 0.0 <= watts < inf:
            energy.add(watts * dt_s)
        else:
            unknown.add(dt_s)

    def totals(self) -> LedgerTotals:
        """The books as they stand."""
        given, taken = (self._array, self._dock), (self._loads, self._peaks, self._battery_loss, self._cap_loss)
        growth = self._growth.value
        unexplained = fsum(
            [part for entry in given for part in (entry.total, entry.carry)]
            + [-part for entry in (*taken, self._growth) for part in (entry.total, entry.carry)]
        )
        # What came in, of the sources or out of the stores, or what went out: whichever is more.
        turned = max(
            sum(entry.value for entry in given) + max(0.0, -growth),
            sum(entry.value for entry in taken) + max(0.0, growth),
        )
        return LedgerTotals(
            self._array.value, self._dock.value, self._loads.value, self._peaks.value, self._battery_loss.value,
            self._cap_loss.value, growth, unexplained, abs(unexplained) / turned if turned > 0.0 else None,
            self._spilled.value, self._unserved.value, self._known.value, self._unknown.value, self._gap.value,
            self._spilled_unknown.value, self._unserved_unknown.value,
        )
