"""Frames from what drivers say: each part's own frame, angles and delays turned into those of an observation.

A row is what the part measured and nothing else. A radar list is flat, so its rows have no elevation, and it tells no
signal-to-noise ratio; both stay missing. What a part did not measure, or distrusts, is no row. Frames count on by
themselves where a part's own counter is short or missing.

Times. A frame's event is when it was measured: its arrival less what the part is known to need. The radar tells in one
cycle what it measured in the one before. A turn of the lidar takes a tenth of a second; its frame is of the turn's
middle, and every point is turned to where the sensor looked then, by the craft's rate. How far sensor and body moved
towards each other meanwhile is not known to one scan and not taken out: at most relative speed times half a turn.
"""

from __future__ import annotations

from math import tau
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from drivers.samples import LidarScan, RadarScan, RangeSample
from firmware_py.perception.mounts import CraftPose, Mount, mount_pose
from firmware_py.perception.observation import Frame, SensorKind, bands_of, split_bands
from firmware_py.perception.transponder_join import TransponderJoin
from hal.frames import Vec3, rotate_inverse

__all__ = [
    "BEAM_LATENCY_NS", "LIDAR_LATENCY_NS", "RADAR_LATENCY_NS", "BeamFrames", "FrameCounter", "LidarFrames",
    "RadarFrames", "level_turn",
]

Floats = NDArray[np.float64]

RADAR_LATENCY_NS = 77_000_000
"""One cycle: a list tells what was measured in the cycle before."""
LIDAR_LATENCY_NS = 12_000_000
"""From the last point of a turn to its scan: one packet, and on average half the time between two looks at the port."""
BEAM_LATENCY_NS = 10_000_000
"""One measurement."""
_LISTED = attrgetter("x_m", "y_m", "vx_m_s", "vy_m_s", "rcs_dbsm")
SLOWEST_RAD_S = tau
"""A lidar that turns slower than once a second is no lidar."""


class FrameCounter:
    """Numbers of frames that only grow, from a part's own counter of so many bits, or from none.

    The same count again gives the same number again. A part that restarts begins anew, and the numbers go on.
    """

    __slots__ = ("_last", "_modulus", "number")

    def __init__(self, bits: int | None = None) -> None:
        self._modulus = None if bits is None else 1 << bits
        self._last: int | None = None
        self.number = 0

    def next(self, count: int | None = None) -> int:
        """Number of a frame with this count of the part."""
        if self._modulus is None or count is None:
            self.number += 1
        elif self._last is None:
            self.number = count
        else:
            self.number += (count - self._last) % self._modulus
        self._last = count
        return self.number


class RadarFrames:
    """Frames of one radar.

    Args:
        sensor_id: the device's name.
        mount: where it sits.
        sr_threshold_m: short range up to here, long range beyond.
        join: gives short-range rows what transponders said; ``None`` for none.
        latency_ns: from the measurement to the arrival of the whole list.
    """

    __slots__ = ("_counter", "_join", "_latency_ns", "_mount", "_sensor_id", "_threshold_m")

    def __init__(
        self, sensor_id: str, mount: Mount, sr_threshold_m: float, join: TransponderJoin | None = None,
        latency_ns: int = RADAR_LATENCY_NS,
    ) -> None:
        self._sensor_id = sensor_id
        self._mount = mount
        self._threshold_m = sr_threshold_m
        self._join = join
        self._latency_ns = latency_ns
        self._counter = FrameCounter(16)

    def frame(self, scan: RadarScan, ingest_ns: int, craft: CraftPose) -> Frame:
        """One list as a frame. A list of which objects are missing is a frame of those that came."""
        event_ns = ingest_ns - self._latency_ns
        listed = np.array(
            list(map(_LISTED, scan.objects)), np.float64
        ).reshape(len(scan.objects), 5)
        x, y, vx, vy, rcs = listed.T
        distance = np.hypot(x, y)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (x * vx + y * vy) / distance
        frame = Frame(
            self._sensor_id, SensorKind.RADAR, self._counter.next(scan.counter), event_ns, ingest_ns,
            mount_pose(craft, self._mount, event_ns), distance, np.arctan2(y, x), np.full(len(distance), np.nan),
            radial_velocity_m_s=rate, rcs_dbsm=rcs.copy(), band=bands_of(distance, self._threshold_m),
        )
        return frame if self._join is None else self._join.join(frame)


class LidarFrames:
    """Frames of one scanning lidar, a row each echo. Arguments as those of ``RadarFrames``."""

    __slots__ = ("_counter", "_latency_ns", "_mount", "_sensor_id", "_threshold_m")

    def __init__(
        self, sensor_id: str, mount: Mount, sr_threshold_m: float, latency_ns: int = LIDAR_LATENCY_NS
    ) -> None:
        self._sensor_id = sensor_id
        self._mount = mount
        self._threshold_m = sr_threshold_m
        self._latency_ns = latency_ns
        self._counter = FrameCounter()

    def frame(self, scan: LidarScan, ingest_ns: int, craft: CraftPose) -> Frame:
        """One turn as a frame. Points without an echo, and angles without a distance, are left out."""
        rate = max(scan.rate_rad_s, SLOWEST_RAD_S)
        count = min(len(scan.angle_rad), len(scan.range_m))
        clockwise = np.array(scan.angle_rad[:count], np.float64)
        distance = np.array([np.nan if r is None else r for r in scan.range_m[:count]], np.float64)
        # The last point was measured when the turn ended; the first one most of a turn before.
        span_s = float(clockwise[-1] - clockwise[0]) / rate if count else 0.0
        event_ns = ingest_ns - self._latency_ns - round(0.5e9 * span_s)
        there = np.isfinite(distance)
        distance, clockwise = distance[there], clockwise[there]
        since_s = (clockwise - (scan.angle_rad[0] if count else 0.0)) / rate - 0.5 * span_s
        bearing, elevation = level_turn(
            -clockwise, since_s, rotate_inverse(self._mount.orientation, craft.rate_rad_s)
        )
        frame = Frame(
            self._sensor_id, SensorKind.LIDAR, self._counter.next(), event_ns, ingest_ns,
            mount_pose(craft, self._mount, event_ns), distance, bearing, elevation,
        )
        return split_bands(frame, self._threshold_m)


class BeamFrames:
    """Frames of one range finder: one row straight ahead, or none. Arguments as those of ``RadarFrames``."""

    __slots__ = ("_counter", "_latency_ns", "_mount", "_sensor_id", "_threshold_m")

    def __init__(
        self, sensor_id: str, mount: Mount, sr_threshold_m: float, latency_ns: int = BEAM_LATENCY_NS
    ) -> None:
        self._sensor_id = sensor_id
        self._mount = mount
        self._threshold_m = sr_threshold_m
        self._latency_ns = latency_ns
        self._counter = FrameCounter()

    def frame(self, sample: RangeSample, ingest_ns: int, craft: CraftPose) -> Frame:
        """One measurement as a frame; without a distance it is a frame of nothing seen."""
        event_ns = ingest_ns - self._latency_ns
        distance = np.array([] if sample.range_m is None else [sample.range_m], np.float64)
        frame = Frame(
            self._sensor_id, SensorKind.RANGE, self._counter.next(), event_ns, ingest_ns,
            mount_pose(craft, self._mount, event_ns), distance, np.zeros(len(distance)), np.zeros(len(distance)),
        )
        return split_bands(frame, self._threshold_m)


def level_turn(bearing_rad: Floats, since_s: Floats, rate_rad_s: Vec3) -> tuple[Floats, Floats]:
    """Bearing and elevation, at one moment, of directions in the sensor's plane that were taken at others.

    Args:
        bearing_rad: (n,), each in the sensor's plane as it lay when it was taken.
        since_s: (n,), when, from that moment; negative before it.
        rate_rad_s: of the sensor, in its own axes, held to be constant.
    """
    x, y = np.cos(bearing_rad), np.sin(bearing_rad)
    speed = float(np.sqrt(sum(w * w for w in rate_rad_s)))
    if speed * float(np.max(np.abs(since_s), initial=0.0)) < 1e-9:
        return np.arctan2(y, x), np.zeros(len(x))
    # Rodrigues: by the angle that the sensor turned from the moment to the point.
    kx, ky, kz = (w / speed for w in rate_rad_s)
    cosine, sine = np.cos(speed * since_s), np.sin(speed * since_s)
    along = (kx * x + ky * y) * (1.0 - cosine)
    turned_x = x * cosine - kz * y * sine + kx * along
    turned_y = y * cosine + kz * x * sine + ky * along
    turned_z = (kx * y - ky * x) * sine + kz * along
    return np.arctan2(turned_y, turned_x), np.arcsin(np.clip(turned_z, -1.0, 1.0))
