"""From what single sensors said to frames in the tracker, rays in the grid and samples in the maps.

One object a sensor: it makes frames, has them admitted, and says what was done. A sensor that speaks faster than the
plan asks is left out between two looks; the radar alone is heard in full while energy allows, since a collision is seen
a few frames sooner with all of them and a list costs nothing but computing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firmware_py.energy.duty_table import Consumer
from firmware_py.perception.clusters import ClusterConfig, cluster_frame, find_clusters
from firmware_py.perception.clutter import ClutterGuard
from firmware_py.perception.config import PerceptionConfig, SensorConfig
from firmware_py.perception.from_chips import BeamFrames, LidarFrames, RadarFrames
from firmware_py.perception.grid import OccupancyGrid
from firmware_py.perception.intake import Intake, IntakeConfig, SensorLimits
from firmware_py.perception.modes import SensorPlan, model_for
from firmware_py.perception.mounts import CraftPose, Mount
from firmware_py.perception.observation import Frame, SensorKind
from firmware_py.perception.port import Scan
from firmware_py.perception.tracker import SensorHealth, Tracker
from firmware_py.perception.tracks import TrackSet
from firmware_py.perception.transponder_join import TransponderJoin
from hal.frames import to_matrix
from hal.profile import ConfigError, Profile

__all__ = ["CONSUMERS", "Sensing", "sensors_of"]

NS = 1_000_000_000
CONSUMERS = {SensorKind.RADAR: Consumer.RADAR, SensorKind.LIDAR: Consumer.LIDAR, SensorKind.RANGE: Consumer.PROXIMITY}
RESTING_S = 3600.0
"""Time between two looks of a sensor that is off: nothing is missed that nobody looked for."""
EARLY = 0.9
"""Share of a sensor's period after which the next look is due: its clock and ours are not the same."""
SUMS = ("refused_too_late", "refused_duplicate", "culled_detections", "culled", "clashes")
"""Counters of the tracker that say what was not used."""


@dataclass(frozen=True, slots=True)
class _Eye:
    """One device that measures detections."""

    config: SensorConfig
    frames: RadarFrames | LidarFrames | BeamFrames


def sensors_of(config: PerceptionConfig, profile: Profile) -> dict[str, SensorConfig]:
    """Devices of a board that measure detections, by name, in the board's order.

    Raises ConfigError for a part that is one thing on the board and another in the file.
    """
    found: dict[str, SensorConfig] = {}
    for device in profile.board.devices:
        sensor = config.sensors.get(device.part)
        if sensor is None:
            continue
        if device.role != sensor.kind:
            why = f"is {sensor.kind}, but {device.name} of board {profile.board.board} is a {device.role}"
            raise ConfigError("perception", None, f"sensors.{device.part}.kind", why)
        found[device.name] = sensor
    return found


class Sensing:
    """Owner of tracker and grid, and of the way into both.

    Args:
        config: of the perception.
        profile: body and board, for the mounts.
        mounts: of all devices.
        join: gives short-range detections what transponders said; ``None``: nobody listens for them.

    Attributes:
        tracker, grid: what sensors said so far; a board without any sensor of detections has no tracker.
        used: frames by sensor since start; ``left_out`` those that the plan did not ask for.
    """

    def __init__(
        self, config: PerceptionConfig, profile: Profile, mounts: dict[str, Mount], join: TransponderJoin | None
    ) -> None:
        makers = {SensorKind.RADAR: RadarFrames, SensorKind.LIDAR: LidarFrames, SensorKind.RANGE: BeamFrames}
        self._eyes: dict[str, _Eye] = {}
        for name, sensor in sensors_of(config, profile).items():
            more: dict[str, Any] = {"join": join} if sensor.kind is SensorKind.RADAR else {}
            self._eyes[name] = _Eye(sensor, makers[sensor.kind](
                name, mounts[name], config.sr_threshold_m, latency_ns=round(sensor.latency_s * NS), **more
            ))
        self._clutter = {name: ClutterGuard(eye.config.clutter_per_frame) for name, eye in self._eyes.items()}
        self._tracker_config = config.tracker
        self.tracker: Tracker | None = None
        self._sums: dict[str, int] = {}
        """Of trackers before this one."""
        self._last_id = self._id_base = 0
        self.begin()
        self.intake = Intake(IntakeConfig(
            {name: _limits(eye.config) for name, eye in self._eyes.items()}, config.sr_threshold_m
        ))
        self.beam_m: float | None = None
        """What the last beam of a range finder met; ``None``: nothing, or there is none."""
        self._clusters = {
            name: ClusterConfig(min_range_m=eye.config.min_range_m, max_range_m=eye.config.max_range_m)
            for name, eye in self._eyes.items()
        }
        self._last_ns: dict[str, int] = {}
        self.used = dict.fromkeys(self._eyes, 0)
        self.left_out = dict.fromkeys(self._eyes, 0)

    def begin(self) -> None:
        """Forget all that was seen. Sums and ids go on: an id once told is never given to another track."""
        self._sums, self._id_base = self.refusals, self._last_id
        models = {name: eye.config.model() for name, eye in self._eyes.items()}
        self.tracker = Tracker(self._tracker_config, models) if models else None
        self._told: TrackSet | None = None
        self.grid = OccupancyGrid()
        self._plan: SensorPlan | None = None
        self.alert = False
        """Some track is more than ok: nothing is left out now."""

    def tracks(self, t_ns: int) -> TrackSet:
        """All tracks at a time."""
        assert self.tracker is not None  # a frame has come
        tracks = self.tracker.tracks(t_ns)
        tracks = replace(tracks, track_id=tracks.track_id + self._id_base)
        self._last_id = max(self._last_id, int(tracks.track_id.max(initial=0)))
        self._told = tracks
        return tracks

    def advance(self, now_ns: int) -> None:
        """End the tracks that nobody has looked at for too long."""
        if self.tracker is not None:
            self.tracker.advance(now_ns)

    @property
    def health(self) -> tuple[SensorHealth, ...]:
        """How well each sensor agrees with the others."""
        return () if self.tracker is None else self.tracker.sensor_health()

    @property
    def refusals(self) -> dict[str, int]:
        """What the tracker did not use, and how often a sensor came to contradict the others, since start."""
        sums = dict(self._sums)
        if self.tracker is not None:
            for name in SUMS:
                sums[name] = sums.get(name, 0) + getattr(self.tracker.counters, name)
        for health in self.health:
            name = f"contradicts_{health.sensor_id}"
            sums[name] = sums.get(name, 0) + health.contradictions
        return sums | {f"clutter_{name}": guard.held for name, guard in self._clutter.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Devices that measure detections, in the order of ``TrackSet.sources``."""
        return tuple(self._eyes)

    def number_of(self, frame: Frame) -> int:
        """Number of a frame's sensor, as ``TrackSet.sources`` counts them."""
        return self.names.index(frame.sensor_id)

    def sigma_rad(self, name: str) -> float:
        """Uncertainty of a sensor's directions."""
        model = self._eyes[name].config.model()
        return max(model.sigma_bearing_rad, min(model.sigma_elevation_rad, model.half_height_rad))

    def follow(self, plan: SensorPlan) -> None:
        """Take up a new plan: the tracker is told how often each sensor looks now."""
        if plan == self._plan:
            return
        self._plan = plan
        if self.tracker is None:
            return
        for name, eye in self._eyes.items():
            model, rate_hz = eye.config.model(), self._rate_hz(eye.config)
            looked = replace(model, revisit_s=RESTING_S) if rate_hz <= 0.0 else model_for(model, rate_hz)
            self.tracker.set_sensor(name, looked)

    def observe(self, scan: Scan, craft: CraftPose, now_ns: int) -> Frame | None:
        """Work one scan in at the present, ``now_ns``; returns the frame that the tracker got, ``None`` if it was left
        out or refused."""
        eye = self._eyes.get(scan.device)
        if eye is None or self.tracker is None:
            # Parts that measure nothing that is tracked, such as the range finders of a dock.
            return None
        sample = scan.radar or scan.lidar or scan.beam
        if sample is None:
            return None
        if not self._due(scan.device, eye.config, scan.ingest_ns):
            self.left_out[scan.device] += 1
            return None
        made: Any = eye.frames
        frame = self.intake.admit(made.frame(sample, scan.ingest_ns, craft), now_ns).frame
        if frame is None:
            return None
        # What was refused moves no clock: one time of far ahead would leave out all that comes after.
        self._last_ns[scan.device] = scan.ingest_ns
        self.used[scan.device] += 1
        if frame.kind is SensorKind.RANGE:
            self.beam_m = float(frame.range_m[0]) if len(frame) else None
        if frame.kind is SensorKind.LIDAR:
            frame = self._lidar(frame, scan.device)
        elif frame.kind is SensorKind.RADAR:
            # A flat list: level with the sensor, as uncertain as its file says.
            frame = replace(frame, elevation_rad=np.where(np.isnan(frame.elevation_rad), 0.0, frame.elevation_rad))
            return self._without_clutter(self.tracker, frame)
        self.tracker.observe(frame)
        return frame

    def _without_clutter(self, tracker: Tracker, frame: Frame) -> Frame:
        """Into the tracker with what a radar may be believed now."""
        guard = self._clutter[frame.sensor_id]
        if guard.cluttered:
            frame = guard.hold(frame, self._told)
            tracker.observe(frame)
        else:
            guard.note(tracker.observe(frame).unassociated)
        return frame

    @property
    def grid_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the box that the grid holds."""
        return self.grid.box.low_m, self.grid.box.high_m

    @property
    def _grid_wanted(self) -> bool:
        return self._plan is None or self._plan.grid

    def _rate_hz(self, config: SensorConfig) -> float:
        """How often a sensor is listened to."""
        if self._plan is None or self._whole(config):
            return 1.0 / config.revisit_s
        return self._plan.rate_hz.get(CONSUMERS[config.kind], 0.0)

    def _whole(self, config: SensorConfig) -> bool:
        """Whether every frame of a sensor is heard."""
        if config.kind is not SensorKind.RADAR or self._plan is None:
            return False
        return self.alert or Consumer.RADAR not in self._plan.short

    def _due(self, name: str, config: SensorConfig, now_ns: int) -> bool:
        rate_hz = self._rate_hz(config)
        last_ns = self._last_ns.get(name)
        if rate_hz <= 0.0:
            return False
        # What is as old as the last one, or older, is the intake's to judge: late, or the same once more.
        return last_ns is None or not 0 < now_ns - last_ns < EARLY * NS / rate_hz

    def _lidar(self, frame: Frame, name: str) -> Frame:
        """Points into the grid; clusters of them for the tracker."""
        points = _points(frame)
        if self._grid_wanted and len(points):
            self.grid.add(frame.event_ns, np.array(frame.pose.position_m), _inertial(frame, points))
        clusters = find_clusters(points, self._clusters[name])
        made = cluster_frame(clusters, name, frame.frame_id, frame.event_ns, frame.ingest_ns, frame.pose)
        # What a lidar sees is the near side. The middle of the object, which is what a radar tells, lies about as far
        # behind the middle of what is seen as that reaches to its sides: exact for a ball, no worse than it for a wall.
        return replace(
            made, range_m=made.range_m + made.extent_m,
            band=np.full(len(made), frame.band[0] if len(frame) else 0, np.int8),
        )


def _limits(config: SensorConfig) -> SensorLimits:
    """What a frame of a sensor is held against. Two lists of a radar are never the same, two turns of a lidar are not
    either; a beam before a wall may be."""
    frozen = None if config.kind is SensorKind.RANGE else SensorLimits(config.kind, config.max_range_m).frozen_frames
    return SensorLimits(
        config.kind, config.max_range_m, config.min_range_m, config.max_radial_velocity_m_s, frozen
    )


def _points(frame: Frame) -> np.ndarray:
    """(n, 3) points in the sensor's frame; without elevation in its plane."""
    elevation = np.where(np.isfinite(frame.elevation_rad), frame.elevation_rad, 0.0)
    level = frame.range_m * np.cos(elevation)
    return np.stack(
        (level * np.cos(frame.bearing_rad), level * np.sin(frame.bearing_rad), frame.range_m * np.sin(elevation)),
        axis=1,
    )


def _inertial(frame: Frame, points: np.ndarray) -> np.ndarray:
    turned: np.ndarray = points @ np.array(to_matrix(frame.pose.quaternion)).T
    return turned + np.array(frame.pose.position_m)
