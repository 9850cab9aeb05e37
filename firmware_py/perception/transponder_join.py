"""Gives short-range detections what transponders said: nearest in range and bearing, one to one, and not for long.

The receiver tells no height and sits elsewhere on the craft, so a reply is laid into the detecting sensor's frame
through both poses and compared there by range and bearing alone. A reply that came unasked has no range: it is joined
only where a single detection lies in its direction. Long range never gets an identity.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from drivers.samples import TransponderReply, TransponderSample
from firmware_py.perception.mounts import CraftPose, Mount, mount_pose
from firmware_py.perception.observation import Band, Frame, Pose, TransponderMode
from hal.frames import add, rotate, rotate_inverse, subtract

__all__ = ["JoinGates", "TransponderJoin", "mode_of"]

Floats = NDArray[np.float64]
MAX_REPLIES = 128
"""Remembered at most: four whole rounds."""


@dataclass(frozen=True, slots=True)
class JoinGates:
    """How near a reply must be to a detection, and how old it may be.

    ``drift_m_s``: by how much the gates widen with the time between both, for what is not known of the motion.
    """

    range_m: float = 10.0
    bearing_rad: float = radians(5.0)
    age_s: float = 1.5
    drift_m_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Kept:
    reply: TransponderReply
    event_ns: int
    pose: Pose


def mode_of(reply: TransponderReply) -> TransponderMode:
    """Mode of a transponder by its reply: one that can't prove its identity deceives."""
    if reply.authentic is False:
        return TransponderMode.SPOOF
    return TransponderMode.SILENT if reply.mode == "silent" else TransponderMode.ON


class TransponderJoin:
    """Remembers what one receiver said, and joins it to frames.

    Args:
        mount: where the receiver's antenna sits.
        gates: see ``JoinGates``.

    ``joined`` and ``left`` count replies that found a detection in a frame and those that found none.
    """

    __slots__ = ("_gates", "_kept", "_mount", "joined", "left")

    def __init__(self, mount: Mount, gates: JoinGates | None = None) -> None:
        self._mount = mount
        self._gates = JoinGates() if gates is None else gates
        self._kept: deque[_Kept] = deque(maxlen=MAX_REPLIES)
        self.joined = 0
        self.left = 0

    def hear(self, sample: TransponderSample, ingest_ns: int, craft: CraftPose) -> None:
        """One round of replies; what it says of an identity takes the place of what was said before."""
        event_ns = ingest_ns - sample.age_ns
        pose = mount_pose(craft, self._mount, event_ns)
        said = {reply.transponder_id for reply in sample.replies}
        kept = [k for k in self._kept if k.reply.transponder_id not in said]
        kept += [_Kept(reply, event_ns, pose) for reply in sample.replies]
        self._kept = deque(kept, MAX_REPLIES)

    def join(self, frame: Frame) -> Frame:
        """The frame with mode and identity in the short-range rows that a fresh reply fits."""
        fresh = [k for k in self._kept if abs(frame.event_ns - k.event_ns) <= self._gates.age_s * 1e9]
        if not fresh:
            return frame
        rows = np.flatnonzero((frame.band == Band.SR) & np.isfinite(frame.range_m) & np.isfinite(frame.bearing_rad))
        if not len(rows):
            self.left += len(fresh)
            return frame
        pairs: list[tuple[float, int, int]] = []
        for index, kept in enumerate(fresh):
            costs = self._costs(kept, frame, rows)
            fitting = np.flatnonzero(costs <= 1.0)
            if kept.reply.range_m is None and len(fitting) != 1:
                continue
            pairs += [(float(costs[at]), index, int(rows[at])) for at in fitting.tolist()]
        mode, identity = frame.transponder_mode.copy(), frame.transponder_id.copy()
        used: set[int] = set()
        taken: set[int] = set()
        for _, index, row in sorted(pairs):
            if index in used or row in taken:
                continue
            used.add(index)
            taken.add(row)
            mode[row] = mode_of(fresh[index].reply)
            identity[row] = fresh[index].reply.transponder_id
        self.joined += len(used)
        self.left += len(fresh) - len(used)
        return replace(frame, transponder_mode=mode, transponder_id=identity) if used else frame

    def _costs(self, kept: _Kept, frame: Frame, rows: NDArray[np.int64]) -> Floats:
        """How far each row is from a reply: at most 1 within the gates."""
        gates, reply, pose = self._gates, kept.reply, frame.pose
        between_s = (frame.event_ns - kept.event_ns) * 1e-9
        rate = frame.radial_velocity_m_s[rows]
        distance = frame.range_m[rows] - np.where(np.isfinite(rate), rate, 0.0) * between_s
        far = reply.range_m if reply.range_m is not None else float(np.max(distance))
        ahead = (far * cos(reply.bearing_rad), far * sin(reply.bearing_rad), 0.0)
        there = add(kept.pose.position_m, rotate(kept.pose.quaternion, ahead))
        # Seen from where the detecting sensor was: the lever arms and the turn between both are in it.
        x, y, z = rotate_inverse(pose.quaternion, subtract(there, pose.position_m))
        drift = gates.drift_m_s * abs(between_s)
        turn = np.abs((frame.bearing_rad[rows] - np.arctan2(y, x) + pi) % (2.0 * pi) - pi)
        cost = (turn / (gates.bearing_rad + drift / np.maximum(frame.range_m[rows], 1.0))) ** 2
        if reply.range_m is not None:
            cost = cost + ((distance - np.sqrt(x * x + y * y + z * z)) / (gates.range_m + drift)) ** 2
        return np.asarray(cost)
