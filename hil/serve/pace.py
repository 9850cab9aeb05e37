"""Holds the rig's time to the machine's: small steps, bounded catching up, and a lag that is too long written off.

A lag beyond ``slip_ns`` is written off, so that a rig that got no processor never shows the craft a jump of its world,
and never takes its own delay for a watchdog that was not kicked. Each is counted.
"""

from __future__ import annotations

__all__ = ["MS", "Pace"]

MS = 1_000_000


class Pace:
    """When the rig moves, and how far.

    Args:
        step_ns: an ordinary step.
        longest_ns: longest step of a rig that is late.
        slip_ns: lag that is written off.
        steps: most steps of one turn, before the program's requests are looked at again.

    Attributes:
        slips: how often a lag was written off.
        lost_ns: how much in all.
    """

    def __init__(
        self, step_ns: int = MS, longest_ns: int = 5 * MS, slip_ns: int = 50 * MS, steps: int = 8
    ) -> None:
        if not 0 < step_ns <= longest_ns <= slip_ns or steps < 1:
            raise ValueError(f"steps of {step_ns} to {longest_ns} ns, slip at {slip_ns} ns: each must not be less")
        self.slips = self.lost_ns = 0
        self._step_ns, self._longest_ns, self._slip_ns, self._steps = step_ns, longest_ns, slip_ns, steps
        self._origin_ns: int | None = None

    def moves(self, machine_ns: int, rig_ns: int) -> list[int]:
        """Rig times to move to now, oldest first; none if no step is due.

        Args:
            machine_ns: time of the machine, steady.
            rig_ns: time of the rig.
        """
        if self._origin_ns is None:
            self._origin_ns = machine_ns - rig_ns
        lag = machine_ns - self._origin_ns - rig_ns
        if lag > self._slip_ns:
            written_off = lag - self._step_ns
            self._origin_ns += written_off
            self.slips += 1
            self.lost_ns += written_off
            lag = self._step_ns
        step = self._step_ns if lag <= self._steps * self._step_ns else self._longest_ns
        count = min(lag // step, self._steps)
        return [rig_ns + step * number for number in range(1, count + 1)]

    def wait_s(self, machine_ns: int, rig_ns: int) -> float:
        """Time until the next step is due, s; 0 if it is."""
        if self._origin_ns is None:
            return 0.0
        return max(0.0, (rig_ns + self._step_ns + self._origin_ns - machine_ns) * 1e-9)
