"""Thrust profiles: segments of open-loop push whose mean over every window is exact, each checked when it starts.

A segment is a trapezoid in time: a straight ramp to its level, the level, a straight ramp down (CANON section 4). The
level is a share of a ceiling in the segment's direction, and pulsed valves take it as on-time. What a window is asked
for is the integral over that window, so segments need not begin or end with one. Before each segment starts a budget
is asked; what it refuses ends the profile before anything of that segment is pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import pairwise
from math import hypot, isfinite, radians
from typing import Any, Protocol

import numpy as np

from comms.dictionary import MOST_SEGMENTS, SEGMENT_FIELDS
from fdir.codes import Code, Severity
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.burn_needs import AllocatorCeiling, Ceiling, SegmentNeeds, Slice, burn_needs
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Phase, Target
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import IDENTITY, Quaternion, Vec3, rotate_inverse, scale, unit
from hal.profile.body import BodyConfig

__all__ = [
    "Budget", "FlyOverride", "FlyProfile", "Level", "Note", "ProfileError", "Segment", "ThrustProfile", "needs",
    "profile_of",
]

NS = 1_000_000_000
LONGEST_PROFILE_S = 120.0
"""All segments together: at the level of one shortest pulse in ten windows the tank lasts longer, no burn does."""
RAMP_SLICES = 6
"""Pieces in which a ramp is costed. Needs are linear in the level until a nozzle is full, so few are enough."""
MISSED_WINDOWS = 1.5
"""Windows without an update after which a profile counts as interrupted: its time has gone on, its push has not."""


class ProfileError(ValueError):
    """A profile that can't be: which segment, what is wrong with it, what is allowed."""


@unique
class Level(StrEnum):
    """Whose ceiling the level is a share of (CANON section 4)."""

    ZTT = "ZTT"
    """Greatest torque-free force in the segment's direction."""
    FTG = "FTG"
    """The common ceiling: what is there torque-free in every direction."""
    ADAPTIVE = "ADAPTIVE"
    """Ceiling of ZTT; torque before force where both can't be made."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. ``direction`` is a unit vector, in ``frame`` body or inertial; ramps are part of ``duration_s``.

    Raises ProfileError for what the dictionary's bounds do not allow.
    """

    duration_s: float
    level_pct: float
    direction: Vec3
    frame: str = "body"
    ramp_in_s: float = 0.0
    ramp_out_s: float = 0.0
    level: Level = Level.ZTT

    def __post_init__(self) -> None:
        for key in ("duration_s", "level_pct", "ramp_in_s", "ramp_out_s"):
            value, field = getattr(self, key), SEGMENT_FIELDS[key]
            assert field.low is not None
            assert field.high is not None
            if not isfinite(value) or not field.low <= value <= field.high:
                raise ProfileError(f"{key} is {value:g} {field.unit}; {field.low:g}..{field.high:g} is allowed")
        if self.frame not in SEGMENT_FIELDS["frame"].choices:
            raise ProfileError(f"frame is {self.frame!r}; allowed: {', '.join(SEGMENT_FIELDS['frame'].choices)}")
        if not abs(hypot(*self.direction) - 1.0) < 1e-6:
            raise ProfileError(f"direction is {self.direction}; a unit vector is allowed")
        if self.ramp_in_s + self.ramp_out_s > self.duration_s + 1e-9:
            raise ProfileError(
                f"ramps of {self.ramp_in_s:g} and {self.ramp_out_s:g} s do not fit into duration_s {self.duration_s:g}"
            )

    def level_seconds(self, start_s: float, end_s: float) -> float:
        """Integral of the level (0..1) between two times since the segment's start, s. Outside it the level is 0."""
        return 0.01 * self.level_pct * (self._area(end_s) - self._area(start_s))

    def _area(self, t: float) -> float:
        """Area of the trapezoid of height 1 up to ``t``."""
        rise, fall, length = self.ramp_in_s, self.ramp_out_s, self.duration_s
        t = min(max(t, 0.0), length)
        area = t - 0.5 * rise
        if t < rise:
            area = 0.5 * t * t / rise
        into_fall = t - (length - fall)
        if into_fall > 0.0 and fall > 0.0:
            area -= 0.5 * into_fall * into_fall / fall
        return area

    def force(self, ceiling: Ceiling, attitude: Quaternion) -> Vec3:
        """Force at level 1, N, body axes, for a craft that has this attitude (body to inertial)."""
        direction = self.body_direction(attitude)
        return scale(direction, ceiling.force_n(direction, self.level is Level.FTG))

    def body_direction(self, attitude: Quaternion) -> Vec3:
        """The direction in body axes."""
        return self.direction if self.frame == "body" else rotate_inverse(attitude, self.direction)

    def slices(self, force: Vec3) -> list[Slice]:
        """The segment in pieces of constant push, for its needs; ``force`` is that at level 1, N, body axes."""
        edges = [self.ramp_in_s * n / RAMP_SLICES for n in range(RAMP_SLICES)] if self.ramp_in_s > 0.0 else []
        edges += [self.ramp_in_s]
        fall = self.duration_s - self.ramp_out_s
        if fall > self.ramp_in_s:
            edges += [fall]
        if self.ramp_out_s > 0.0:
            edges += [fall + self.ramp_out_s * n / RAMP_SLICES for n in range(1, RAMP_SLICES + 1)]
        pieces = []
        for start, end in pairwise(edges):
            mean = self.level_seconds(start, end) / (end - start)
            pieces.append(Slice((*scale(force, mean), 0.0, 0.0, 0.0), end - start))
        return pieces


@dataclass(frozen=True, slots=True)
class ThrustProfile:
    """One to sixteen segments, flown one after the other. Raises ProfileError beyond that or beyond 120 s."""

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.segments) <= MOST_SEGMENTS:
            raise ProfileError(f"{len(self.segments)} segments; 1 to {MOST_SEGMENTS} are allowed")
        if self.duration_s > LONGEST_PROFILE_S:
            raise ProfileError(f"{self.duration_s:g} s in all; {LONGEST_PROFILE_S:g} s are allowed")

    @property
    def duration_s(self) -> float:
        """Length of all segments."""
        return sum(segment.duration_s for segment in self.segments)


def profile_of(arguments: Mapping[str, Any]) -> ThrustProfile:
    """The profile of a command's arguments: ``segments``, or the keys of one segment by themselves.

    Raises ProfileError, which names the segment, the key and what is allowed.
    """
    alone = "segments" not in arguments
    own = {key: value for key, value in arguments.items() if key in SEGMENT_FIELDS}
    records = (own,) if alone else arguments["segments"]
    segments = []
    for index, record in enumerate(records):
        try:
            direction = unit(record["direction"])
            level = Level(record.get("level", Level.ZTT))
            segments.append(Segment(**{**record, "direction": direction, "level": level}))
        except ProfileError as error:
            raise ProfileError(str(error) if alone else f"segments[{index}]: {error}") from None
    return ThrustProfile(tuple(segments))


def needs(
    segment: Segment, allocator: Allocator, body: BodyConfig, ceiling: Ceiling | None = None,
    attitude: Quaternion = IDENTITY, failed: int = 0,
) -> SegmentNeeds:
    """What one segment by itself needs of a body that has this attitude; ``failed`` masks nozzles out of use."""
    limit = AllocatorCeiling(body, allocator) if ceiling is None else ceiling
    return burn_needs(segment.slices(segment.force(limit, attitude)), allocator, body, failed)


class Budget(Protocol):
    """What is asked before a segment starts."""

    def refusals(self, segment: Segment, needs: SegmentNeeds) -> tuple[Code, ...]:
        """Every reason against the segment now; empty lets it start."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a burn did, for the event log."""

    code: Code
    severity: Severity
    text: str


class _Burn:
    """What all open-loop burns share: notes, and an end that is given or that comes."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self.aborted: tuple[Code, ...] = ()
        """Why it ended before its time; empty if it did not."""
        self.ended = False

    def take_notes(self) -> list[Note]:
        """What happened since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def abort(self, codes: tuple[Code, ...], why: str) -> None:
        """End it now; nothing more is pushed. A burn that has ended stays as it ended."""
        if not self.ended:
            self.ended, self.aborted = True, codes
            self._notes.append(Note(Code.PROFILE_ABORTED, Severity.WARNING, f"{why}: {', '.join(codes)}"))

    def stop(self, why: str) -> None:
        """End it now because something else was ordered; nothing more is pushed."""
        if not self.ended:
            self.ended = True
            self._notes.append(Note(Code.PROFILE_CUT, Severity.INFO, why))

    def _finish(self, text: str) -> None:
        self.ended = True
        self._notes.append(Note(Code.PROFILE_DONE, Severity.INFO, text))


class FlyProfile(_Burn):
    """Flies a profile with the attitude of its first window held, and ends in a coast that holds it on.

    Args:
        limits: of the craft.
        profile: what to fly.
        ceiling: what a level is a share of.
        needs: what a segment with this body force at level 1 needs now.
        budget: asked at the start of each segment.
    """

    def __init__(
        self, limits: GuidanceLimits, profile: ThrustProfile, ceiling: Ceiling,
        needs: Callable[[Segment, Vec3], SegmentNeeds], budget: Budget,
    ) -> None:
        super().__init__()
        self._limits = limits
        self._segments = profile.segments
        self._ceiling = ceiling
        self._needs = needs
        self._budget = budget
        self._starts = [0.0]
        for segment in profile.segments:
            self._starts.append(self._starts[-1] + segment.duration_s)
        self._begun: list[float] = []
        """Ceiling in N of every segment that has started."""
        self._started_ns: int | None = None
        self._last_ns = 0
        self._attitude: Quaternion | None = None
        self._elapsed = 0.0

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self._starts[-1]

    @property
    def progress(self) -> tuple[int, int, float]:
        """Segments begun, segments in all, and share of the whole time that has passed."""
        share = min(1.0, self._elapsed / self._starts[-1])
        return len(self._begun), len(self._segments), share

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the last segment has ended; never after an abort."""
        if self._started_ns is None:
            self._started_ns, self._last_ns, self._attitude = now_ns, now_ns, nav.quaternion
        window = self._limits.window_s
        if not nav.attitude_known:
            self.abort((Code.ATTITUDE_UNKNOWN,), f"segment {len(self._begun)}")
        elif now_ns - self._last_ns > MISSED_WINDOWS * window * NS:
            self.abort((Code.RCS_UNAVAILABLE,), f"segment {len(self._begun)}: windows were missed")
        self._last_ns = now_ns
        if self.ended:
            return self._target(None, nav)
        start = self._elapsed = (now_ns - self._started_ns) * 1e-9
        end = start + window
        # A segment that starts inside this window is asked for now: none is half flown before it is refused.
        while not self.ended and len(self._begun) < len(self._segments) and self._starts[len(self._begun)] < end - 1e-9:
            self._begin()
        if not self.ended and start >= self._starts[-1] - 1e-9:
            self._finish(f"{len(self._segments)} segments flown")
            return self._target(None, nav)
        return self._target(self._mean(start, end, nav.quaternion), nav)

    def _begin(self) -> None:
        index = len(self._begun)
        segment = self._segments[index]
        assert self._attitude is not None
        force = segment.force(self._ceiling, self._attitude)
        codes: tuple[Code, ...] = ()
        if segment.level_pct > 0.0:
            codes = self._budget.refusals(segment, self._needs(segment, force))
        if codes:
            self.abort(codes, f"segment {index}")
            return
        self._begun.append(hypot(*force))
        text = f"segment {index}: {segment.level} {segment.level_pct:g} % of {self._begun[-1]:.0f} N"
        self._notes.append(Note(Code.PROFILE_SEGMENT, Severity.INFO, f"{text} for {segment.duration_s:g} s"))

    def _mean(self, start: float, end: float, attitude: Quaternion) -> Vec3 | None:
        """Mean force of the window, N, body axes; None where no segment pushes."""
        fx = fy = fz = 0.0
        pushes = False
        for segment, begins, ceiling in zip(self._segments, self._starts, self._begun, strict=False):
            share = segment.level_seconds(start - begins, end - begins) / self._limits.window_s
            if share > 0.0:
                pushes = True
                x, y, z = segment.body_direction(attitude)
                fx, fy, fz = fx + share * ceiling * x, fy + share * ceiling * y, fz + share * ceiling * z
        return (fx, fy, fz) if pushes else None

    def _mode(self, push: Vec3 | None) -> ThrustMode:
        """AUTO up to the common ceiling, at which it caps; what an accepted ZTT segment pushes beyond is torque-free
        as well, and torque comes first there. What is carried from the window before may top up a push a little."""
        if push is None:
            return ThrustMode.AUTO
        adaptive = self._segments[len(self._begun) - 1].level is Level.ADAPTIVE
        above = hypot(*push) > 0.9 * self._ceiling.force_n((1.0, 0.0, 0.0), True)
        return ThrustMode.ADAPTIVE if adaptive or above else ThrustMode.AUTO

    def _target(self, push: Vec3 | None, nav: NavState) -> Target:
        limits = self._limits
        known = nav.attitude_known
        return Target(
            Phase.COAST if push is None else Phase.BURN, self.ended and not self.aborted,
            attitude=self._attitude if known else None, rate=None if known else (0.0, 0.0, 0.0),
            attitude_deadband_rad=limits.attitude_deadband_rad, rate_limit_rad_s=limits.slew_rate_rad_s,
            push_n=push, mode=self._mode(push),
        )


class FlyOverride(_Burn):
    """Makes one wrench for a time, open loop, and then leaves the craft alone.

    The force is pushed as it is. The torque is given as the body rate that it leads to, ``J^-1`` times its integral
    from the rate at the start: what a window can't emit is then in the next one's rate error, and is not lost.
    """

    def __init__(self, limits: GuidanceLimits, body: BodyConfig, wrench: tuple[float, ...], duration_s: float) -> None:
        super().__init__()
        self._limits = limits
        self._force: Vec3 = (wrench[0], wrench[1], wrench[2])
        inverse = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
        x, y, z = (inverse @ np.array(wrench[3:])).tolist()
        self._turn: Vec3 = (x, y, z)
        self._duration = duration_s
        self._started_ns: int | None = None
        self._rate: Vec3 = (0.0, 0.0, 0.0)

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self._duration

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when its time is over."""
        if self._started_ns is None:
            self._started_ns, self._rate = now_ns, nav.rate
        start = (now_ns - self._started_ns) * 1e-9
        if not self.ended and start >= self._duration - 1e-9:
            self._finish(f"override of {self._duration:g} s fired")
        if self.ended:
            return Target(Phase.COAST, not self.aborted)
        window = self._limits.window_s
        end = min(start + window, self._duration)
        (wx, wy, wz), (ax, ay, az) = self._rate, self._turn
        return Target(
            Phase.BURN, False, rate=(wx + ax * end, wy + ay * end, wz + az * end), rate_deadband_rad_s=radians(0.05),
            rate_limit_rad_s=self._limits.rate_rad_s, push_n=scale(self._force, (end - start) / window),
            mode=ThrustMode.MANUAL_OVERRIDE,
        )
