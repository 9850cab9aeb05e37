"""What a burn needs of a craft: charge, propellant, heat, torque and time open of its nozzles, before it is made.

Every figure comes from the duties of the allocator for the forces in question, so it is what the nozzles would really
be asked for, the trim of an off-centre mass included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from hal.frames import Vec3
from hal.profile.body import BodyConfig

__all__ = ["AllocatorCeiling", "BurnClock", "Ceiling", "SegmentNeeds", "Slice", "burn_needs"]

Array = npt.NDArray[np.float64]
STANDARD_GRAVITY = 9.80665
USED = 1e-6
"""Duty from which a nozzle counts as used."""
TRIM = 0.02
"""Duty up to which a nozzle only trims: its pulses are short and rare, and need not meet the others'."""
FULL = 1.0 - 1e-9
"""Duty from which a nozzle counts as full."""
PARALLEL = 1e-12
"""Share of a wrench that may lie aside of another's direction."""


class Ceiling(Protocol):
    """What a level of 100 % is."""

    def force_n(self, direction: Vec3, common: bool) -> float:
        """Greatest torque-free force along a unit vector in body axes, N, or the one common to all directions."""


class AllocatorCeiling:
    """Ceilings of a body by its allocator.

    ``common_n`` is the FTG ceiling; by default that of the whole body, so that a level keeps its meaning when a nozzle
    is lost.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, common_n: float | None = None) -> None:
        self._allocator = allocator
        self._common = force_ceiling_n(body) if common_n is None else common_n

    def force_n(self, direction: Vec3, common: bool) -> float:
        """See Ceiling."""
        return self._common if common else self._allocator.largest_scale((*direction, 0.0, 0.0, 0.0))


class Slice(NamedTuple):
    """A stretch of constant wrench: N and N m about the centre of mass, body axes, and its length in s."""

    wrench: tuple[float, ...]
    length_s: float


@dataclass(frozen=True, slots=True)
class SegmentNeeds:
    """What one segment takes.

    ``energy_j`` is drawn by its valves, at most ``peak_w`` with every nozzle that is used open at once,
    ``cluster_heat_j`` goes into each cluster. ``residual_torque_n_m`` and
    ``residual_force_n`` are what the nozzles make beside the wanted wrench, at worst. ``peak_duty`` is that of the
    busiest nozzle, ``longest_burn_s`` the longest time that a nozzle has to stay open without a pause, and
    ``early_s`` by how much a nozzle is wanted before its cooldown from an earlier longest burn has ended.
    ``impulse_n_s`` is along the force, what is really made.
    """

    energy_j: float
    propellant_kg: float
    cluster_heat_j: dict[str, float]
    residual_torque_n_m: float
    residual_force_n: float
    peak_duty: float
    longest_burn_s: float
    early_s: float
    impulse_n_s: Vec3
    peak_w: float = 0.0


class BurnClock:
    """How long nozzles stay open without a pause and when they have cooled, along a sequence of slices.

    Up to the duty that leaves room for the shortest pause in every window (88 %), each window has a pulse of its own.
    Above it a nozzle counts as open throughout: the pauses that its mean would allow are the modulator's to place,
    which may give other nozzles the difference. A burn within a window of the longest one counts as that and is
    followed by the cooldown, as the modulator keeps it.
    """

    def __init__(self, body: BodyConfig) -> None:
        prop = body.propulsion
        self._pause = prop.min_off_ms * 1e-3
        self._window = prop.window_ms * 1e-3
        self._most = prop.max_burn_ms * 1e-3
        self._cooldown = prop.cooldown_ms * 1e-3
        count = len(prop.nozzles)
        self._t = 0.0
        self._saved = [0.0] * count
        self._open = [0.0] * count
        self._cold_at = [0.0] * count
        self.longest_s = 0.0
        """Longest burn since the last ``restart``."""
        self.early_s = 0.0
        """Longest time that a nozzle was wanted before its cooldown's end since the last ``restart``."""

    def restart(self) -> None:
        """Begin new maxima; burns that run go on."""
        self.longest_s = self.early_s = 0.0

    def add(self, duty: Sequence[float], length_s: float) -> None:
        """The next slice."""
        for nozzle, share in enumerate(duty):
            if share < USED:
                if self._open[nozzle] > 0.0:
                    self._close(nozzle, self._t)
            else:
                self.early_s = max(self.early_s, self._cold_at[nozzle] - self._t)
                self._burn(nozzle, min(share, 1.0), length_s)
        self._t += length_s

    def _burn(self, nozzle: int, share: float, length: float) -> None:
        pulsed = 1.0 - share >= self._pause / self._window - USED
        open_s = share * (min(length, self._window) if pulsed else length)
        self._open[nozzle] += open_s
        self.longest_s = max(self.longest_s, self._open[nozzle])
        if pulsed:
            self._saved[nozzle] += (1.0 - share) * length
            if self._saved[nozzle] >= self._pause - USED:
                self._close(nozzle, self._t + min(length, self._window))

    def _close(self, nozzle: int, at: float) -> None:
        burned, self._open[nozzle], self._saved[nozzle] = self._open[nozzle], 0.0, 0.0
        if burned + self._window > self._most + 1e-9:
            self._cold_at[nozzle] = at + self._cooldown


class _Firing(NamedTuple):
    """How a wrench is made: duties (n,), the force they make (3,), what is off of force and torque, greatest duty, and
    whether all of it is made."""

    wrench: tuple[float, ...]
    duty: Array
    made: Array
    force_off: float
    torque_off: float
    peak: float
    whole: bool

    @staticmethod
    def of(wrench: tuple[float, ...], allocator: Allocator, failed: int) -> _Firing:
        """The allocator's duties for a wrench."""
        duty, share = allocator.allocate(wrench, allocator.failed | failed) if any(wrench) else (
            np.zeros(allocator.count), 1.0
        )
        made = allocator.wrenches @ duty
        off = (made - wrench).tolist()
        return _Firing(wrench, duty, made[:3], hypot(*off[:3]), hypot(*off[3:]), float(duty.max()), share >= 1.0)

    def share_of(self, wrench: tuple[float, ...]) -> float | None:
        """How much of this firing is the cheapest for ``wrench``; None unless it is so for certain: the same direction,
        made as a whole, and no nozzle full. The least cost of a wrench grows with it until then."""
        size, ours = max(map(abs, wrench)), max(map(abs, self.wrench))
        if ours == 0.0 or self.peak >= FULL or not self.whole:
            return 0.0 if size == 0.0 else None
        share = size / ours
        if share * self.peak >= FULL or max(abs(a - share * b) for a, b in zip(wrench, self.wrench, strict=True)) > (
            PARALLEL * size
        ):
            return None
        return share


def burn_needs(
    slices: Iterable[Slice], allocator: Allocator, body: BodyConfig, failed: int = 0, clock: BurnClock | None = None
) -> SegmentNeeds:
    """What slices of wrench need of a body.

    ``failed`` masks nozzles beyond those that the allocator leaves out; ``clock`` has the burns that came before.
    """
    prop = body.propulsion
    clock = BurnClock(body) if clock is None else clock
    clock.restart()
    on = np.zeros(allocator.count)
    impulse = np.zeros(3)
    torque = force = peak = 0.0
    used = 0
    firing = _Firing.of((0.0,) * 6, allocator, failed)
    for wrench, length in slices:
        share = firing.share_of(wrench)
        if share is None:
            firing, share = _Firing.of(wrench, allocator, failed), 1.0
        torque, force = max(torque, share * firing.torque_off), max(force, share * firing.force_off)
        peak = max(peak, share * firing.peak)
        used = max(used, int(np.count_nonzero(firing.duty * share > TRIM)), int(share * firing.peak > USED))
        on += firing.duty * (share * length)
        impulse += firing.made * (share * length)
        clock.add((firing.duty * share).tolist(), length)
    heat: dict[str, float] = {}
    for nozzle, seconds in zip(prop.nozzles, on.tolist(), strict=True):
        heat[nozzle.cluster] = heat.get(nozzle.cluster, 0.0) + prop.cluster_heat_w * seconds
    x, y, z = impulse.tolist()
    return SegmentNeeds(
        prop.valve_power_w * float(on.sum()),
        float(allocator.thrust @ on) / (prop.specific_impulse_s * STANDARD_GRAVITY),
        heat, torque, force, peak, clock.longest_s, clock.early_s, (x, y, z), prop.valve_power_w * used,
    )
