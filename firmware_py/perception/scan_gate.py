"""The gate before all sensors: a scan that passes is of a known device, holds its sample alone, and comes in time.

Whatever else is wrong with a sample is found by whoever works with it; what is refused here is refused by the same
names (``intake.Refusal``) and counted.
"""

from __future__ import annotations

from math import isfinite, tau

from drivers.samples import LidarScan, TransponderSample
from firmware_py.perception.intake import UNIT_TOLERANCE, Refusal
from firmware_py.perception.port import AHEAD_NS, FIELDS, Scan
from hal.profile import Profile

__all__ = ["ScanGate"]

NS = 1_000_000_000
OLDEST_NS = NS
"""Older ones are of no use: tracks cannot be rolled back further."""
MOST_REPLIES = 128
LARGEST_RANGE_M = 100_000.0
LARGEST_ANGLE_RAD = 2.0 * tau
LARGEST_ID = 2**32 - 1


class ScanGate:
    """Admits scans of the devices of a board. ``counts`` is what was refused since start, by reason."""

    def __init__(self, profile: Profile) -> None:
        self._fields = {d.name: FIELDS[d.role] for d in profile.board.devices if d.role in FIELDS}
        self.counts: dict[str, int] = {}

    def admit(self, scan: Scan, now_ns: int) -> bool:
        """Whether a scan may be worked with at ``now_ns``, flight time."""
        why = self._judge(scan, now_ns)
        if why is not None:
            self.counts[why.value] = self.counts.get(why.value, 0) + 1
        return why is None

    def _judge(self, scan: Scan, now_ns: int) -> Refusal | None:
        wanted = self._fields.get(scan.device)
        if wanted is None:
            return Refusal.UNKNOWN_SENSOR
        if any((getattr(scan, name) is not None) != (name == wanted) for name in _SAMPLES):
            return Refusal.WRONG_KIND
        if scan.ingest_ns > now_ns + AHEAD_NS:
            return Refusal.FUTURE
        if scan.ingest_ns < now_ns - OLDEST_NS:
            return Refusal.FAR_PAST
        if not _has_pose(scan):
            return Refusal.POSE
        if scan.lidar is not None:
            return _odd_turn(scan.lidar)
        return None if scan.transponder is None else _odd_replies(scan.transponder)


_SAMPLES = tuple(sorted(set(FIELDS.values())))


def _has_pose(scan: Scan) -> bool:
    """Whether the craft's place, motion and attitude are numbers, and of that moment."""
    return (
        abs(scan.pose_ns - scan.ingest_ns) <= OLDEST_NS
        and all(map(isfinite, (*scan.position_m, *scan.velocity_m_s, *scan.rate_rad_s)))
        and abs(sum(q * q for q in scan.quaternion) - 1.0) <= UNIT_TOLERANCE
    )


def _odd_turn(turn: LidarScan) -> Refusal | None:
    """What is wrong with the times of a turn: its speed and its ends give them."""
    ends = (*turn.angle_rad[:1], *turn.angle_rad[-1:])
    if not all(map(isfinite, (turn.rate_rad_s, *ends))):
        return Refusal.NOT_FINITE
    return Refusal.ANGLE if any(abs(angle) > LARGEST_ANGLE_RAD for angle in ends) else None


def _odd_replies(sample: TransponderSample) -> Refusal | None:
    """What is wrong with a round of replies. One that lies in its numbers is believed in nothing."""
    if len(sample.replies) > MOST_REPLIES:
        return Refusal.TOO_MANY
    if not 0 <= sample.age_ns <= OLDEST_NS:
        return Refusal.FAR_PAST
    for reply in sample.replies:
        if not isfinite(reply.bearing_rad) or (reply.range_m is not None and not isfinite(reply.range_m)):
            return Refusal.NOT_FINITE
        if reply.range_m is not None and not 0.0 <= reply.range_m <= LARGEST_RANGE_M:
            return Refusal.RANGE
        if abs(reply.bearing_rad) > LARGEST_ANGLE_RAD:
            return Refusal.ANGLE
        if not 0 <= reply.transponder_id <= LARGEST_ID:
            return Refusal.IDENTITY
    return None
