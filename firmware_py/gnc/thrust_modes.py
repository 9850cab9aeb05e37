"""How a wrench may be made: what each thrust mode keeps, caps and refuses, before it is allocated.

The allocator makes any attainable wrench exactly. What to give up where a wrench is not attainable, and how strong a
push may be at all, is a matter of the mode (CANON section 4):

====================  ================================================  =========================================
mode                  force                                             torque
====================  ================================================  =========================================
``auto``              at most the common ceiling, the same in every     kept with the force in proportion, down to
                      direction; never with a torque beside it that     half of both; first where less would be left;
                      was not asked for, beyond the body's tolerance    what can't be made at all is dropped
``adaptive``          what is left beside the torque; where no torque   first
                      is to be had without a push, the push it takes
``brake``             what is left beside the torque, no ceiling        first
``manual_override``   as asked, by the closest fit                      as asked; refused beyond the body's largest
====================  ================================================  =========================================
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum, unique
from math import copysign, hypot, isfinite

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from hal.profile.body import BodyConfig

__all__ = ["Shaped", "ThrustMode", "ThrustPolicy", "Verdict"]

Array = npt.NDArray[np.float64]
Wrench = tuple[float, float, float, float, float, float]
NO_WRENCH: Wrench = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ATTAINABLE = 1.0 - 1e-9
LEAST_PROPORTION = 0.5
"""Share of force and torque down to which AUTO shortens both alike. A craft with all its nozzles never needs less: each
can be made alone, and so half of both together. One that has lost some must not lose its attitude over a push."""
LIVE = 1e-6
"""Share of a wrench under which its direction counts as out of reach."""
ROUNDING = 1.0 + 1e-9
"""Factor on a limit that control keeps exactly: impulses over a window and back to torques are not."""
LONGEST = 1e3
"""Force or torque, in all nozzles together, beyond which more is only a direction."""


@unique
class ThrustMode(StrEnum):
    """Modes of allocation (CANON section 4)."""

    AUTO = "auto"
    ADAPTIVE = "adaptive"
    MANUAL_OVERRIDE = "manual_override"
    BRAKE = "brake"


@unique
class Verdict(StrEnum):
    """What became of a demand."""

    AS_ASKED = "as asked"
    CAPPED = "capped at the common ceiling"
    SATURATED = "shortened to what the nozzles reach"
    PARTLY = "a part that the nozzles left cannot make is dropped"
    NOT_FINITE = "not finite: valves shut"
    TORQUE_ABOVE_LIMIT = "refused: torque above the body's limit"


@dataclass(frozen=True, slots=True)
class Shaped:
    """A wrench that may be allocated, and how it came to be: N and N m, body frame, about the centre of mass.

    ``residual`` is what was asked for less what is left of it.
    """

    wrench: Wrench
    verdict: Verdict
    residual: Wrench

    @property
    def refused(self) -> bool:
        """Whether nothing may be made of it."""
        return self.verdict in (Verdict.NOT_FINITE, Verdict.TORQUE_ABOVE_LIMIT)


class ThrustPolicy:
    """Brings demands within what a mode allows. ``counts`` says how often each verdict fell.

    Args:
        body: limits of torque, and the tolerance of torque that a push may bring along.
        allocator: what the nozzles reach.
        ceiling_n: greatest force in any direction (the common ceiling of every direction of push).
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, ceiling_n: float) -> None:
        self._allocator = allocator
        self._torque_max = body.limits.torque_max_n_m
        self._tolerance = body.limits.residual_torque_n_m
        strength: Array = LONGEST * np.abs(allocator.wrenches).sum(axis=1)
        self._longest_n, self._longest_n_m = float(strength[:3].max()), float(strength[3:].max())
        self.ceiling_n = ceiling_n
        self.counts: Counter[Verdict] = Counter()

    def shape(self, mode: ThrustMode, wrench: Wrench, failed: int = 0) -> Shaped:
        """The part of ``wrench`` that may be made in ``mode`` without the nozzles in ``failed``."""
        if not all(map(isfinite, wrench)):
            return self._told(NO_WRENCH, Verdict.NOT_FINITE, NO_WRENCH)
        if wrench == NO_WRENCH:
            return Shaped(NO_WRENCH, Verdict.AS_ASKED, NO_WRENCH)
        if mode is ThrustMode.MANUAL_OVERRIDE:
            return self._manual(wrench, failed)
        capped = self._bounded(wrench)
        fx, fy, fz, tx, ty, tz = capped
        if mode is ThrustMode.AUTO:
            size = hypot(fx, fy, fz)
            if size > self.ceiling_n:
                s = self.ceiling_n / size
                capped = (s * fx, s * fy, s * fz, tx, ty, tz)
        scale = self._allocator.largest_scale(capped, failed)
        if scale >= ATTAINABLE:
            return self._told(capped, Verdict.AS_ASKED if capped is wrench else Verdict.CAPPED, wrench)
        if mode is ThrustMode.AUTO and scale >= LEAST_PROPORTION:
            return self._told(_times(scale, capped), Verdict.SATURATED, wrench)
        return self._torque_first(capped, wrench, failed, mode)

    def _bounded(self, wrench: Wrench) -> Wrench:
        """The same, its force and its torque no longer than counts."""
        fx, fy, fz, tx, ty, tz = wrench
        force, torque = max(abs(fx), abs(fy), abs(fz)), max(abs(tx), abs(ty), abs(tz))
        if force <= self._longest_n and torque <= self._longest_n_m:
            return wrench
        f, t = min(1.0, self._longest_n / max(force, 1.0)), min(1.0, self._longest_n_m / max(torque, 1.0))
        return (f * fx, f * fy, f * fz, t * tx, t * ty, t * tz)

    def _torque_first(self, capped: Wrench, wrench: Wrench, failed: int, mode: ThrustMode) -> Shaped:
        """The torque as far as it can be made, then as much of the force as fits beside it."""
        allocator = self._allocator
        fx, fy, fz, tx, ty, tz = capped
        verdict = Verdict.SATURATED
        torque: Wrench = (0.0, 0.0, 0.0, tx, ty, tz)
        reach = allocator.largest_scale(torque, failed) if torque != NO_WRENCH else np.inf
        if reach < LIVE:
            mixed = self._mixed(capped, failed) if mode is ThrustMode.ADAPTIVE else None
            if mixed is not None:
                return self._told(mixed, Verdict.PARTLY, wrench)
            torque, verdict = self._live_torque(torque, failed), Verdict.PARTLY
        elif reach < 1.0:
            shortened = _times(reach * ATTAINABLE, torque)
            # A hair about an axis that is lost must not shorten the rest to nothing.
            live = self._live_torque(torque, failed) if reach < LEAST_PROPORTION else shortened
            if _along(live, torque) > _along(shortened, torque):
                torque, verdict = live, Verdict.PARTLY
            else:
                torque = shortened
        force: Wrench = (fx, fy, fz, 0.0, 0.0, 0.0)
        if force == NO_WRENCH:
            return self._told(torque, verdict, wrench)
        beside = allocator.largest_scale_beside(torque, force, failed)
        if beside < LIVE:
            # Not a pure push, then: the closest one, as far as the torque that it brings along stays tolerable.
            force, verdict = self._closest_push(force, failed, mode), Verdict.PARTLY
            beside = allocator.largest_scale_beside(torque, force, failed) if force != NO_WRENCH else 0.0
        share = max(0.0, min(1.0, beside * ATTAINABLE))
        px, py, pz, qx, qy, qz = _times(share, force)
        _, _, _, tx, ty, tz = torque
        made = (px, py, pz, tx + qx, ty + qy, tz + qz)
        return self._told(made, verdict, wrench)

    def _mixed(self, capped: Wrench, failed: int) -> Wrench | None:
        """The closest fit, torque before force, if it makes at least half of the torque and no more than is allowed."""
        duty, _ = self._allocator.allocate(capped, failed)
        made = _wrench(self._allocator.wrenches @ duty)
        wanted = hypot(*capped[3:])
        along = sum(m * w for m, w in zip(made[3:], capped[3:], strict=True)) / wanted
        most = max(abs(t) for t in made[3:])
        if along < LEAST_PROPORTION * min(wanted, self._torque_max):
            return None
        return made if most <= self._torque_max else _times(self._torque_max / most, made)

    def _live_torque(self, torque: Wrench, failed: int) -> Wrench:
        """The torque without the axes about which the nozzles left can't turn that way."""
        live = [0.0] * 6
        # As much about each axis as there is in all: a hair of it could be made of rounding.
        size = hypot(*torque[3:])
        for axis in (3, 4, 5):
            single = [0.0] * 6
            single[axis] = copysign(size, torque[axis])
            if torque[axis] and self._allocator.largest_scale(tuple(single), failed) > LIVE:
                live[axis] = torque[axis]
        kept = (0.0, 0.0, 0.0, live[3], live[4], live[5])
        if kept == NO_WRENCH:
            return NO_WRENCH
        return _times(min(1.0, self._allocator.largest_scale(kept, failed)) * ATTAINABLE, kept)

    def _closest_push(self, force: Wrench, failed: int, mode: ThrustMode) -> Wrench:
        """The closest fit of a push that can't be made without torque, its torque within the body's tolerance."""
        duty, _ = self._allocator.allocate(force, failed)
        made: Array = self._allocator.wrenches @ duty
        along = float(made[:3] @ np.array(force[:3]))
        if along <= 0.0:
            return NO_WRENCH
        torque = float(np.linalg.norm(made[3:]))
        limit = self._tolerance if mode is ThrustMode.AUTO else self._torque_max
        share = min(1.0, limit / torque) if torque > 0.0 else 1.0
        return _times(share, _wrench(made))

    def _manual(self, wrench: Wrench, failed: int) -> Shaped:
        """As asked, or the closest fit of it; that may not make more torque than may be asked for either."""
        if max(abs(t) for t in wrench[3:]) > self._torque_max * ROUNDING:
            return self._told(NO_WRENCH, Verdict.TORQUE_ABOVE_LIMIT, wrench)
        duty, share = self._allocator.allocate(wrench, failed)
        if share >= 1.0:
            return self._told(wrench, Verdict.AS_ASKED, wrench)
        made = _wrench(self._allocator.wrenches @ duty)
        torque = max(abs(t) for t in made[3:])
        if torque > self._torque_max:
            made = _times(self._torque_max / torque, made)
        return self._told(made, Verdict.SATURATED, wrench)

    def _told(self, made: Wrench, verdict: Verdict, wanted: Wrench) -> Shaped:
        self.counts[verdict] += 1
        a, b, c, d, e, f = (w - m for w, m in zip(wanted, made, strict=True))
        return Shaped(made, verdict, (a, b, c, d, e, f))


def _along(made: Wrench, wanted: Wrench) -> float:
    return made[3] * wanted[3] + made[4] * wanted[4] + made[5] * wanted[5]


def _times(s: float, w: Wrench) -> Wrench:
    return (s * w[0], s * w[1], s * w[2], s * w[3], s * w[4], s * w[5])


def _wrench(values: Array) -> Wrench:
    a, b, c, d, e, f = values.tolist()
    return (a, b, c, d, e, f)
