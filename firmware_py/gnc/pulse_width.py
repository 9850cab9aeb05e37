"""Centred pulse-width modulation whose un-emitted wrench is carried on, so that no momentum builds up over the windows.

Every window the allocator turns the demand and the carried remainder into duties; each duty becomes one centred pulse,
rounded *down* to the grid of lengths. What is left out (duties below the shortest pulse, the rest of a grid step, the
gap between the longest pulse and the whole window) is itself a non-negative sum of the same nozzles. So the remainder
after a window that is not saturated never exceeds one shortest pulse (or grid step) of each nozzle in use, whatever was
demanded before; and a steady demand keeps to the allocator's cheapest basis and costs no more than it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Carry, Modulator
from firmware_py.gnc.pulse_book import NOTHING, Array, Impulse, Times
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

__all__ = ["CarryingModulator", "PulseWidthModulator"]

ROUNDING_MS = 1e-6
"""On-time by which a duty may fall short of a length through rounding of the allocation alone."""


class CarryingModulator(Modulator):
    """A modulator that adds the remainder of every window to the next demand, asked or not.

    Args:
        body, allocator, tick_ms: see Modulator.
        always_carry: a closed loop sees by itself what was not emitted, and would count it twice: give False there and
            ask for it with ``plan(..., carry=True)`` in open-loop pushes.
    """

    def __init__(
        self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0, *, always_carry: bool = True
    ) -> None:
        super().__init__(body, allocator, tick_ms)
        self._always_carry = always_carry

    def plan(
        self, impulse: Impulse, now_ns: int, failed: int = 0, *, carry: Carry | bool = Carry.NONE, **options: Any
    ) -> tuple[PulsePlan, Impulse]:
        """See Modulator (``options`` are its other keywords); the remainder is carried unless the demand is not finite:
        then the window stays shut."""
        if not all(map(isfinite, impulse)):
            carry = Carry.NONE
        elif not carry and self._always_carry:
            carry = Carry.WRENCH
        return super().plan(impulse, now_ns, failed, carry=carry, **options)

    def shut(self, now_ns: int) -> PulsePlan:
        """See Modulator: nothing fires, not even the remainder, which stays carried."""
        return super().plan(NOTHING, now_ns)[0]


class PulseWidthModulator(CarryingModulator):
    """One centred pulse a nozzle and window, as long as its duty.

    Args:
        body, allocator, tick_ms, always_carry: see CarryingModulator.
        grid_ms: step between two lengths, from the shortest pulse upwards (30 for valves that know no other).

    Raises ValueError for a grid that is not positive.
    """

    def __init__(
        self,
        body: BodyConfig,
        allocator: Allocator,
        tick_ms: float = 5.0,
        *,
        grid_ms: int = 1,
        always_carry: bool = True,
    ) -> None:
        if grid_ms < 1:
            raise ValueError(f"grid of {grid_ms} ms: it must be at least 1 ms")
        super().__init__(body, allocator, tick_ms, always_carry=always_carry)
        book = self._book
        lengths = np.arange(book.min_on_ms, book.max_pulse_ms + 1, grid_ms)
        self._legal: Array = np.concatenate([[0.0], lengths, [book.window_ms]])

    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool  # noqa: ARG002
    ) -> Times:
        duty, share = self._allocator.allocate(wanted / self._window_s, barred)
        if share < 1.0:
            self.counters.saturated += 1
        step = np.searchsorted(self._legal, duty * self._book.window_ms + ROUNDING_MS, side="right") - 1
        on_ms: Times = self._legal[step].astype(np.int64)
        return on_ms
