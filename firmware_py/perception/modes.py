"""What the sensors look for: five modes, what each asks of every sensor at each level of energy, and who may choose.

A plan never exceeds what the duty cycle allows: energy decides how fast a sensor may go, the mode how fast it needs to.
The craft's motion overrules an operator's choice where both cannot be had, and the choice waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from math import inf, isfinite
from types import MappingProxyType

from fdir.modes import Motion
from firmware_py.energy.duty_table import Consumer, EnergyLevel
from firmware_py.perception.tracks import SensorModel

__all__ = ["LEADS", "MAPS", "MOTIONS", "SENSORS", "WANTS", "ModeSwitch", "PerceptionMode", "SensorPlan", "model_for",
           "plan"]


@unique
class PerceptionMode(StrEnum):
    """What is looked for."""

    NAVIGATION = "navigation"
    """What is in the way: radar always, lidar on request."""
    APPROACH = "approach"
    """A dock: lidar first, radar as guard ring."""
    CARTOGRAPHY = "cartography"
    """Surroundings: lidar and radar into the grid."""
    SCIENCE = "science"
    """Surfaces and fields: spectrometer and magnetometer first."""
    SAFE = "safe"
    """Low radar and the inertial unit."""


_C, _P, _M = Consumer, PerceptionMode, Motion

SENSORS: tuple[Consumer, ...] = (_C.RADAR, _C.LIDAR, _C.PROXIMITY, _C.SPECTROMETER, _C.MAGNETOMETER)
"""What a plan speaks of."""
LEADS: Mapping[PerceptionMode, tuple[Consumer, ...]] = {
    _P.NAVIGATION: (_C.RADAR,),
    _P.APPROACH: (_C.LIDAR, _C.PROXIMITY),
    _P.CARTOGRAPHY: (_C.LIDAR, _C.RADAR),
    _P.SCIENCE: (_C.SPECTROMETER, _C.MAGNETOMETER),
    _P.SAFE: (_C.RADAR,),
}
_OFF = (0.0, 0.0, 0.0, 0.0, 0.0)
_LOW_RADAR = (1.0, 1.0, 1.0, 1.0, 1.0)
_NORTH = (2.0, 2.0, 2.0, 2.0, 2.0)
WANTS: Mapping[PerceptionMode, Mapping[Consumer, tuple[float, float, float, float, float]]] = {
    # Hz at full, saving, low, short and critical energy (P, within the rates of the duty cycle): lidar goes first and
    # near a dock last, radar never below 1 Hz.
    _P.NAVIGATION: {
        _C.RADAR: (4.0, 4.0, 2.0, 1.0, 1.0), _C.LIDAR: (5.0, 1.0, 0.0, 0.0, 0.0), _C.PROXIMITY: _OFF,
        _C.SPECTROMETER: _OFF, _C.MAGNETOMETER: _NORTH,
    },
    _P.APPROACH: {
        _C.RADAR: (2.0, 2.0, 2.0, 1.0, 1.0), _C.LIDAR: (10.0, 10.0, 10.0, 5.0, 1.0),
        _C.PROXIMITY: (10.0, 10.0, 10.0, 5.0, 2.0), _C.SPECTROMETER: _OFF, _C.MAGNETOMETER: _NORTH,
    },
    _P.CARTOGRAPHY: {
        _C.RADAR: (4.0, 2.0, 2.0, 1.0, 1.0), _C.LIDAR: (10.0, 5.0, 1.0, 0.0, 0.0), _C.PROXIMITY: _OFF,
        _C.SPECTROMETER: (0.1, 0.02, 0.0, 0.0, 0.0), _C.MAGNETOMETER: _NORTH,
    },
    _P.SCIENCE: {
        _C.RADAR: (2.0, 2.0, 1.0, 1.0, 1.0), _C.LIDAR: _OFF, _C.PROXIMITY: _OFF,
        _C.SPECTROMETER: (0.2, 0.1, 0.02, 0.0, 0.0), _C.MAGNETOMETER: (10.0, 10.0, 5.0, 2.0, 2.0),
    },
    _P.SAFE: {
        _C.RADAR: _LOW_RADAR, _C.LIDAR: _OFF, _C.PROXIMITY: _OFF, _C.SPECTROMETER: _OFF, _C.MAGNETOMETER: _NORTH,
    },
}
MAPS: Mapping[PerceptionMode, tuple[bool, bool]] = {
    # Occupancy grid; maps of composition and field.
    _P.NAVIGATION: (True, False), _P.APPROACH: (True, False), _P.CARTOGRAPHY: (True, True), _P.SCIENCE: (False, True),
    _P.SAFE: (False, False),
}
_CHOICES = frozenset({_P.NAVIGATION, _P.APPROACH, _P.CARTOGRAPHY, _P.SCIENCE})
_FLYING = _CHOICES - {_P.SCIENCE}
MOTIONS: Mapping[Motion, tuple[PerceptionMode, frozenset[PerceptionMode]]] = {
    # What a motion mode brings by itself, and what an operator may choose instead.
    _M.BOOT: (_P.NAVIGATION, frozenset({_P.NAVIGATION})),
    _M.IDLE: (_P.NAVIGATION, _CHOICES),
    _M.COAST: (_P.NAVIGATION, _CHOICES),
    # The spectrometer is off while thrusters work.
    _M.MANOEUVRE: (_P.NAVIGATION, _FLYING),
    _M.BURN: (_P.NAVIGATION, frozenset({_P.NAVIGATION, _P.CARTOGRAPHY})),
    _M.BRAKE: (_P.NAVIGATION, frozenset({_P.NAVIGATION})),
    _M.DOCK: (_P.APPROACH, frozenset({_P.APPROACH})),
    # Joined to another craft there is little to see, and much time for it.
    _M.BRIDGE: (_P.NAVIGATION, frozenset({_P.NAVIGATION, _P.SCIENCE})),
    _M.SAFE: (_P.SAFE, frozenset({_P.SAFE})),
}
_LIDAR_BY_ITSELF = frozenset({_M.BRAKE})
"""Motions in which navigation uses the lidar unasked: braking looks ahead with all it has."""


@dataclass(frozen=True, slots=True)
class SensorPlan:
    """What is asked of the sensors now.

    ``rate_hz`` has every sensor, 0 is off; ``wanted`` whether its load is to be on; ``asked`` those that the duty cycle
    gives only on request; ``short`` those that it leaves slower than the mode needs.
    """

    mode: PerceptionMode
    rate_hz: Mapping[Consumer, float]
    wanted: Mapping[Consumer, bool]
    asked: frozenset[Consumer]
    short: tuple[Consumer, ...]
    grid: bool
    maps: bool


def plan(
    mode: PerceptionMode, motion: Motion, level: EnergyLevel, allowed_hz: Mapping[Consumer, float], *,
    lidar: bool = False,
) -> SensorPlan:
    """What a mode asks of every sensor, and gets.

    Args:
        mode, motion: what is looked for, what the craft does.
        level: of energy.
        allowed_hz: rates of the duty cycle: upper bounds. A sensor it does not name, or a rate that is no number, is
            off.
        lidar: navigation is to use the lidar too.
    """
    rates: dict[Consumer, float] = {}
    asked, short = set(), []
    for sensor in SENSORS:
        needed = WANTS[mode][sensor][level]
        if sensor is _C.LIDAR and mode is _P.NAVIGATION and not (lidar or motion in _LIDAR_BY_ITSELF):
            needed = 0.0
        if needed > 0.0 and sensor in (_C.LIDAR, _C.PROXIMITY):
            asked.add(sensor)
        bound = allowed_hz.get(sensor, 0.0)
        rates[sensor] = min(needed, bound) if isfinite(bound) and bound > 0.0 else 0.0
        if rates[sensor] < needed:
            short.append(sensor)
    wanted = {sensor: rate > 0.0 for sensor, rate in rates.items()}
    grid, maps = MAPS[mode]
    return SensorPlan(
        mode, MappingProxyType(rates), MappingProxyType(wanted), frozenset(asked), tuple(short), grid, maps,
    )


def model_for(model: SensorModel, rate_hz: float, delivered: float = 1.0) -> SensorModel:
    """A sensor as it is used now: its true time between two looks, and the probability that a look is there and sees.

    Args:
        model: the sensor at work.
        rate_hz: of the plan; 0: the sensor is off, no look is to be missed.
        delivered: share of the expected frames that came of late, 0..1; what is lost on a bus is no miss of the target.

    Raises:
        ValueError: the rate is negative or no number, or the share is not within 0..1.
    """
    if not (isfinite(rate_hz) and rate_hz >= 0.0):
        raise ValueError(f"rate_hz is {rate_hz}; from 0 on is allowed")
    if not 0.0 <= delivered <= 1.0:
        raise ValueError(f"delivered is {delivered}; 0..1 is allowed")
    if rate_hz == 0.0:
        return replace(model, revisit_s=inf, detection_probability=0.0)
    # A sensor that is faster by itself than it is asked is looked at less often; one that is slower stays what it is.
    revisit_s = max(model.revisit_s, 1.0 / rate_hz)
    return replace(model, revisit_s=revisit_s, detection_probability=model.detection_probability * delivered)


class ModeSwitch:
    """Which mode is on.

    Attributes:
        mode: the mode.
        changes: how often it has changed.
        refused: choices that were not allowed at once, since start; they wait.
    """

    def __init__(self) -> None:
        self.mode = PerceptionMode.NAVIGATION
        self.changes = 0
        self.refused = 0
        self._choice: PerceptionMode | None = None
        self._motion = Motion.BOOT

    @property
    def choice(self) -> PerceptionMode | None:
        """What an operator chose; None: the craft's motion decides."""
        return self._choice

    def choose(self, mode: PerceptionMode | None) -> str:
        """Choose a mode, or none; returns why it is not on at once, in words, or nothing. SAFE cannot be chosen."""
        if mode is PerceptionMode.SAFE:
            self.refused += 1
            return f"safe is not chosen, it follows the craft; allowed: {', '.join(sorted(_CHOICES))}"
        self._choice = mode
        if mode is None or mode in MOTIONS[self._motion][1]:
            return ""
        self.refused += 1
        return f"{mode} waits: not in {self._motion}"

    def step(self, motion: Motion) -> PerceptionMode:
        """The mode for a motion."""
        self._motion = motion
        default, allowed = MOTIONS[motion]
        mode = self._choice if self._choice is not None and self._choice in allowed else default
        self.changes += mode is not self.mode
        self.mode = mode
        return mode
