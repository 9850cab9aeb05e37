"""Plays a Continental ARS408-21 radar: its state each second, object lists thirteen times a second, configuration.

Facts: Continental "Standardized ARS Interface, Technical Documentation ARS 404-21 / ARS 408-21", as also laid out by
the field tables of public decoders: 200h configuration (a valid bit a field; maximum distance in 2 m, sensor id,
output type, power, quality, extended, sort index, store, RCS threshold), 201h state, 60Ah list header (number of
objects, measurement counter, interface version), 60Bh general (0.2 m - 500 and 0.2 m - 204.6, 0.25 m/s - 128 and - 64,
dynamic property, 0.5 dBm2 - 64), 60Ch quality, 60Dh extended, 300h and 301h speed and yaw rate in. Every id is 10h
higher for each sensor id. Most significant byte first. All 60Bh of a cycle come before all 60Ch, those before all
60Dh.

An object beyond the maximum distance or the range of 60Bh is not listed; speeds and cross sections saturate. How long
300h and 301h are missed before the state says so is not written; half a second is played. Not played: clusters (an
empty 600h is sent), filters, collision detection, software version (700h), what power and thresholds do to detection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from math import hypot, inf

from drivers.bus.protocol import CanFrame

__all__ = ["Ars408", "DynamicProperty", "RadarTarget"]

_STATE_PERIOD_NS = 1_000_000_000
_CYCLE_NS = 1_000_000_000 // 13
_MOTION_TIMEOUT_NS = 500_000_000
_MOST_OBJECTS = 100
_INTERFACE_VERSION = 1

_CONFIGURE = 0x200
_STATE = 0x201
_SPEED = 0x300
_YAW_RATE = 0x301
_CLUSTERS = 0x600
_HEADER = 0x60A
_GENERAL = 0x60B
_QUALITY = 0x60C
_EXTENDED = 0x60D

_OBJECTS_OUT, _CLUSTERS_OUT = 1, 2
_BY_RANGE, _BY_RCS = 1, 2
_NEAREST_LIMIT_M, _FARTHEST_LIMIT_M = 196, 260


@unique
class DynamicProperty(IntEnum):
    """What the radar takes an object's motion for."""

    MOVING = 0
    STATIONARY = 1
    ONCOMING = 2
    STATIONARY_CANDIDATE = 3
    UNKNOWN = 4
    CROSSING_STATIONARY = 5
    CROSSING_MOVING = 6
    STOPPED = 7


@dataclass(frozen=True, slots=True)
class RadarTarget:
    """One object before the radar: x ahead, y left, m and m/s relative to the sensor; RCS in dBm2."""

    object_id: int
    x_m: float
    y_m: float
    vx_m_s: float = 0.0
    vy_m_s: float = 0.0
    rcs_dbsm: float = 10.0
    dynamic: DynamicProperty = DynamicProperty.MOVING
    probability: int = 7
    """Of existence: 1 under 25 %, 2 under 50, 3 under 75, 4 under 90, 5 under 99, 6 under 99.9, 7 above."""
    measured: int = 2
    """0 deleted, 1 new, 2 measured, 3 predicted, 4 deleted for a merge, 5 new from a merge."""
    length_m: float = 1.0
    width_m: float = 1.0


@dataclass(slots=True)
class _Configuration:
    max_distance: int = 125  # 2 m
    sensor_id: int = 0
    output: int = _OBJECTS_OUT
    power: int = 0
    relay: int = 0
    quality: int = 0
    extended: int = 0
    sort: int = 0
    rcs_threshold: int = 0


def _clamp(value: float, highest: int) -> int:
    return max(0, min(highest, round(value)))


class Ars408:
    """An ARS408-21 on a SimCanBus.

    Attributes:
        objects: what is before it; at most the first hundred are listed.
        sense: asked at the end of each cycle for the objects that the next list tells; ``None``: the rig sets them.
        interference, temperature_error, temporary_error, voltage_error, persistent_error: flags of the state.
        measuring: False for a radar that still sends its state but no lists.
        lost: base id (for example 60Bh) to how many next frames of it are lost.
        silent: sends nothing and hears nothing.
        counter: measurement counter, 16 bits.
    """

    def __init__(self, sensor_id: int = 0, node_id: int = 0x60, start_ns: int = 0) -> None:
        """A radar that sends objects, switched on at ``start_ns``. ``node_id`` only names it to the bus.

        Raises:
            ValueError: a sensor id outside 0..7.
        """
        if not 0 <= sensor_id <= 7:
            raise ValueError(f"sensor id {sensor_id} is outside 0..7")
        self.node_id = node_id
        self.objects: list[RadarTarget] = []
        self.sense: Callable[[int], list[RadarTarget]] | None = None
        self.interference = False
        self.temperature_error = False
        self.temporary_error = False
        self.voltage_error = False
        self.persistent_error = False
        self.measuring = True
        self.lost: dict[int, int] = {}
        self.silent = False
        self.counter = 0
        self._stored = _Configuration(sensor_id=sensor_id)
        self._transmit: Callable[[CanFrame, int], None] | None = None
        self._now_ns = start_ns
        self.reset()

    def reset(self) -> None:
        """Power-on: configuration as stored, counter at 0."""
        self._config = replace(self._stored)
        self._stored_ok = False
        self._speed_ns = self._yaw_ns = -_STATE_PERIOD_NS
        self.counter = 0
        self._next_state_ns = self._now_ns + _STATE_PERIOD_NS
        self._next_cycle_ns = self._now_ns + _CYCLE_NS
        self.next_event_ns = self._next_cycle_ns

    @property
    def sensor_id(self) -> int:
        """Sensor id in use."""
        return self._config.sensor_id

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        """Take the function that puts a frame on the bus."""
        self._transmit = transmit

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        """Hear one frame: configuration, speed and yaw rate, for its own sensor id."""
        if frame.extended or self.silent:
            return
        base = frame.can_id - 0x10 * self._config.sensor_id
        if base == _CONFIGURE and len(frame.data) == 8:
            self._configure(frame.data)
        elif base == _SPEED and len(frame.data) >= 2:
            self._speed_ns = t_ns
        elif base == _YAW_RATE and len(frame.data) >= 2:
            self._yaw_ns = t_ns

    def advance(self, t_ns: int) -> None:
        """Send what is due until and at ``t_ns``."""
        while t_ns >= self.next_event_ns:
            at = self.next_event_ns
            if at >= self._next_state_ns:
                self._next_state_ns += _STATE_PERIOD_NS
                self._send(_STATE, self._state(at), at)
            if at >= self._next_cycle_ns:
                self._next_cycle_ns += _CYCLE_NS
                self._cycle(at)
                self._look(at)
            self.next_event_ns = min(self._next_state_ns, self._next_cycle_ns)
        self._now_ns = t_ns

    def _send(self, base: int, data: bytes, t_ns: int) -> None:
        left = self.lost.get(base, 0)
        if left:
            self.lost[base] = left - 1
            return
        if self._transmit is not None and not self.silent:
            self._transmit(CanFrame(base + 0x10 * self._config.sensor_id, data), t_ns)

    def _state(self, t_ns: int) -> bytes:
        c = self._config
        errors = (
            self.persistent_error << 5 | self.interference << 4 | self.temperature_error << 3
            | self.temporary_error << 2 | self.voltage_error << 1
        )
        motion = (t_ns - self._speed_ns > _MOTION_TIMEOUT_NS) | (t_ns - self._yaw_ns > _MOTION_TIMEOUT_NS) << 1
        return bytes((
            self._stored_ok << 7 | 1 << 6,
            c.max_distance >> 2,
            (c.max_distance & 3) << 6 | errors,
            c.power >> 1,
            (c.power & 1) << 7 | c.sort << 4 | c.sensor_id,
            motion << 6 | c.extended << 5 | c.quality << 4 | c.output << 2 | c.relay << 1,
            0,
            c.rcs_threshold << 2,
        ))

    def _cycle(self, t_ns: int) -> None:
        if not self.measuring:
            return
        self.counter = (self.counter + 1) & 0xFFFF
        config = self._config
        if config.output == _CLUSTERS_OUT:
            self._send(_CLUSTERS, struct.pack(">BBHB", 0, 0, self.counter, _INTERFACE_VERSION << 4), t_ns)
        if config.output != _OBJECTS_OUT:
            return
        listed = self._listed()
        self._send(_HEADER, struct.pack(">BHB", len(listed), self.counter, _INTERFACE_VERSION << 4), t_ns)
        for target in listed:
            self._send(_GENERAL, _general(target), t_ns)
        if config.quality:
            for target in listed:
                self._send(_QUALITY, _quality(target), t_ns)
        if config.extended:
            for target in listed:
                self._send(_EXTENDED, _extended(target), t_ns)

    def _look(self, t_ns: int) -> None:
        """Measure what the next list will tell: a cycle passes from the echo to the list."""
        if self.sense is not None:
            self.objects = self.sense(t_ns)

    def _listed(self) -> list[RadarTarget]:
        farthest = 2.0 * self._config.max_distance
        listed = [
            target for target in self.objects
            if hypot(target.x_m, target.y_m) <= farthest and -204.6 <= target.y_m <= 204.8
        ]
        if self._config.sort == _BY_RANGE:
            listed.sort(key=lambda target: hypot(target.x_m, target.y_m))
        elif self._config.sort == _BY_RCS:
            listed.sort(key=lambda target: -target.rcs_dbsm)
        return listed[:_MOST_OBJECTS]

    def _configure(self, data: bytes) -> None:
        valid = data[0]
        config = self._config
        distance = data[1] << 2 | data[2] >> 6
        if valid & 1 and _NEAREST_LIMIT_M <= 2 * distance <= _FARTHEST_LIMIT_M:
            config.max_distance = distance
        if valid & 1 << 2:
            config.power = min(3, data[4] >> 5)
        if valid & 1 << 3:
            config.output = data[4] >> 3 & 3
        if valid & 1 << 4:
            config.quality = data[5] >> 2 & 1
        if valid & 1 << 5:
            config.extended = data[5] >> 3 & 1
        if valid & 1 << 6:
            config.sort = data[5] >> 4 & 7
        if data[5] & 1:
            config.relay = data[5] >> 1 & 1
        if data[6] & 1:
            config.rcs_threshold = data[6] >> 1 & 7
        if valid & 1 << 1:
            config.sensor_id = data[4] & 7
        if valid & 1 << 7 and data[5] & 1 << 7:
            self._stored = replace(config)
            self._stored_ok = True


def _general(target: RadarTarget) -> bytes:
    x = _clamp((target.x_m + 500.0) * 5.0, 0x1FFF)
    y = _clamp((target.y_m + 204.6) * 5.0, 0x7FF)
    vx = _clamp((target.vx_m_s + 128.0) * 4.0, 0x3FF)
    vy = _clamp((target.vy_m_s + 64.0) * 4.0, 0x1FF)
    rcs = _clamp((target.rcs_dbsm + 64.0) * 2.0, 0xFF)
    word = ((target.object_id & 0xFF) << 13 | x) << 11 | y
    word = ((word << 10 | vx) << 9 | vy) << 2 << 3 | target.dynamic
    return (word << 8 | rcs).to_bytes(8, "big")


_RMS_TABLE_M = (
    0.005, 0.006, 0.008, 0.011, 0.014, 0.018, 0.023, 0.029, 0.038, 0.049, 0.063, 0.081, 0.105, 0.135, 0.174, 0.224,
    0.288, 0.371, 0.478, 0.616, 0.794, 1.023, 1.317, 1.697, 2.187, 2.817, 3.630, 4.676, 6.025, 7.762, 10.0, inf,
)
"""Upper bounds of the steps in which 60Ch gives standard deviations of distances, speeds and accelerations."""

_DISTANCE_RMS = next(step for step, bound in enumerate(_RMS_TABLE_M) if bound >= 0.2)
_SPEED_RMS = next(step for step, bound in enumerate(_RMS_TABLE_M) if bound >= 0.1)


def _quality(target: RadarTarget) -> bytes:
    word = target.object_id & 0xFF
    for step in (_DISTANCE_RMS, _DISTANCE_RMS, _SPEED_RMS, _SPEED_RMS, _SPEED_RMS, _SPEED_RMS, 0):
        word = word << 5 | step
    word = word << 5 << 3 | target.probability & 7
    return ((word << 3 | target.measured & 7) << 2).to_bytes(7, "big")


def _extended(target: RadarTarget) -> bytes:
    ax, ay, angle = 1000, 250, 450  # no acceleration, 0 deg
    kind = 0  # point
    word = ((target.object_id & 0xFF) << 11 | ax) << 9 | ay
    word = ((word << 1 << 3 | kind) << 10 | angle) << 6
    word = word << 8 | _clamp(target.length_m * 5.0, 0xFF)
    return (word << 8 | _clamp(target.width_m * 5.0, 0xFF)).to_bytes(8, "big")
