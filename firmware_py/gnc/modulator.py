"""What every modulator shares: a wanted impulse in, one legal window of pulses out, and the remainder carried on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum, unique
from math import isfinite

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.pulse_book import NOTHING, Array, Impulse, PulseBook, TickImpulse, Times
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

__all__ = ["Carry", "Modulator"]

MOST_CARRIED = 4.0
"""Windows of full authority that a remainder may amount to: what can never be met must not pile up for ever."""


@unique
class Carry(IntEnum):
    """What of a demand is added to the next one if a window does not emit it. What a feedback asks for comes again by
    itself and must not be carried; what is asked open-loop must be."""

    NONE = 0
    WRENCH = 1
    """All six components: nothing is fed back."""
    FORCE = 2
    """The push is open-loop, the attitude is controlled. The first window without it forgets what is left of it."""


class Modulator(ABC):
    """Plans the valve pulses of each window.

    Args:
        body: limits, geometry and mass of the craft.
        allocator: shared with whoever marks nozzles as failed.
        tick_ms: length of a fast tick, for the expected impulse per tick; must divide the window (else ValueError).

    One call of ``plan`` a window, in order of time; the plan is taken to start when it is made, and a call before the
    last window's end cuts that window short.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> None:
        self._allocator = allocator
        self._book = PulseBook(body, allocator, tick_ms)
        self._window_s = body.propulsion.window_ms * 1e-3
        self._carry: Array = np.zeros(6)
        self._carrying = Carry.NONE
        self._wanted: Array = np.zeros(6)
        self._emitted: Array = np.zeros(6)
        self._mean: Array = np.zeros(6)
        """What every window to come will ask for besides."""
        self.counters = self._book.counters

    @property
    def window_ms(self) -> int:
        """Length of a window."""
        return self._book.window_ms

    @property
    def carried(self) -> Impulse:
        """The un-emitted remainder that the next carrying window adds to its demand."""
        return _impulse(self._carry)

    def drop_carry(self) -> None:
        """Forget the remainder: at the end of a burn profile, or when closed-loop control takes over."""
        self._carry = np.zeros(6)
        self._carrying = Carry.NONE

    def blocked(self, now_ns: int) -> int:
        """Mask of the nozzles in cooldown after a longest burn."""
        return self._book.blocked(now_ns)

    def plan(
        self,
        impulse: Impulse,
        now_ns: int,
        failed: int = 0,
        *,
        rate_tolerance: float = 1e-3,
        velocity_tolerance: float = 5e-3,
        carry: Carry | bool = Carry.NONE,
        mean: Impulse = NOTHING,
    ) -> tuple[PulsePlan, Impulse]:
        """Pulses for the window that starts now, and the impulse they make in it.

        ``impulse`` is wanted over the window, body frame, about the centre of mass. ``failed`` masks nozzles beyond
        those the allocator already leaves out. The tolerances (rad/s, m/s) say how much error is worth correcting.
        With ``carry`` (open-loop profiles; True means the whole wrench) what this window doesn't emit is added to the
        next demand. ``mean`` is what every window to come will ask for besides (an open-loop push, the momentum of a
        lasting disturbance), so that this window's pulses can be those of the cheapest firing of it. A demand that is
        not finite leaves the valves shut and is counted; a mean that is not finite is taken for none.
        """
        book = self._book
        book.counters.windows += 1
        missed = book.begin(now_ns)
        if self._carrying and missed.any():
            # The window was cut short: what it did not come to is still owed.
            self._keep(self._emitted - missed)
        carry = Carry(carry)
        if not all(map(isfinite, impulse)):
            book.counters.refused_demands += 1
            impulse, carry = NOTHING, Carry.NONE
        if self._carrying is Carry.FORCE and carry is Carry.NONE:
            # The push is over: what is left of it must not come back with another one, in another attitude.
            self._carry = np.zeros(6)
        self._mean = np.array(mean if all(map(isfinite, mean)) else NOTHING)
        wanted = np.array(impulse)
        if carry:
            wanted += self._carry
        on_ms = np.zeros(book.count, dtype=np.int64)
        if wanted.any():
            barred = failed | book.blocked(now_ns) | book.overdue() | self._allocator.failed
            on_ms = self._choose(wanted, barred, rate_tolerance, velocity_tolerance, carry is not Carry.NONE)
        plan, emitted = book.place(on_ms)
        self._carrying, self._wanted, self._emitted = carry, wanted, emitted
        self._keep(emitted)
        return plan, _impulse(emitted)

    def flown(self, plan: PulsePlan) -> Impulse:
        """Tell what was commanded in place of the last ``plan`` (a pulse was vetoed); returns the impulse of it.

        Books, expected impulses and the carried remainder follow.
        """
        emitted = self._emitted = self._book.amend(plan)
        self._keep(emitted)
        return _impulse(emitted)

    def shut(self, now_ns: int) -> PulsePlan:
        """A window without pulses, in place of ``plan``: bookkeeping of pauses and burns goes on."""
        return self.plan(NOTHING, now_ns)[0]

    def expected(self, tick: int) -> TickImpulse | None:
        """See ``PulseBook.expected``."""
        return self._book.expected(tick)

    @abstractmethod
    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool
    ) -> Times:
        """Open time of each nozzle (n,), ms: 0, shortest to longest pulse, or the whole window; none of ``barred``."""

    def _keep(self, emitted: Array) -> None:
        if self._carrying is Carry.NONE:
            return
        remainder = self._wanted - emitted
        if self._carrying is Carry.FORCE:
            remainder[3:] = 0.0
        self._carry = self._bounded(remainder)

    def _bounded(self, remainder: Array) -> Array:
        reach = self._allocator.largest_scale(remainder / self._window_s) if remainder.any() else 1.0
        least = 1.0 / MOST_CARRIED
        return remainder if reach >= least else remainder * (reach / least)


def _impulse(values: Array) -> Impulse:
    fx, fy, fz, tx, ty, tz = values.tolist()
    return (fx, fy, fz, tx, ty, tz)
