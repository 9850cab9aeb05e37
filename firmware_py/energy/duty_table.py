"""Rates of sensors and computer by profile, who is used in which mode, and the order in which they are degraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique

from fdir.modes import Motion

__all__ = [
    "DEPTHS", "DOCKING", "LOWEST", "ORDER", "ORDER_DOCKING", "RATES", "STEPS", "USES", "Consumer", "EnergyLevel",
    "Profile", "Use", "ladder", "modes_profile",
]


@unique
class Consumer(StrEnum):
    """What the duty cycle sets the rate of. ``COMPUTE`` is a share 0..1, all others are in Hz."""

    LIDAR = "lidar"
    SPECTROMETER = "spectrometer"
    RADIATION = "radiation"
    MAGNETOMETER = "magnetometer"
    COMPUTE = "compute"
    TELEMETRY = "telemetry"
    PROXIMITY = "proximity"
    RADAR = "radar"


@unique
class Profile(IntEnum):
    """Sensor profiles of CANON section 7; a consumer that is degraded may be one further, off."""

    FAST = 0
    BALANCED = 1
    ECO = 2
    OFF = 3


@unique
class EnergyLevel(IntEnum):
    """How much energy there is for other than staying alive."""

    FULL = 0
    SAVING = 1
    LOW = 2
    SHORT = 3
    CRITICAL = 4


@unique
class Use(StrEnum):
    """Whether a mode uses a consumer."""

    OFF = "off"
    ASKED = "when asked for"
    ON = "on"
    KEPT = "as long as any energy allows"


_C, _M, _U = Consumer, Motion, Use

RATES: Mapping[Consumer, tuple[float, float, float, float]] = {
    # Fast, balanced, eco, off. CANON section 7 has: lidar 10 Hz while docking, spectrometer 0.2, magnetometer 10,
    # radiation 1..5 (use 2), proximity 10, radar 1 (old) to 4 frames a second, telemetry at the 20 Hz of temperatures
    # and currents. The others are a half to a tenth of them (P); 1 Hz radar is the low-power one of SAFE.
    _C.LIDAR: (10.0, 5.0, 1.0, 0.0),
    _C.SPECTROMETER: (0.2, 0.1, 0.02, 0.0),
    _C.RADIATION: (2.0, 1.0, 1.0, 0.0),
    _C.MAGNETOMETER: (10.0, 5.0, 2.0, 2.0),
    _C.COMPUTE: (1.0, 0.7, 0.4, 0.4),
    _C.TELEMETRY: (20.0, 10.0, 2.0, 2.0),
    _C.PROXIMITY: (10.0, 5.0, 2.0, 0.0),
    _C.RADAR: (4.0, 2.0, 1.0, 1.0),
}
"""What cannot be off keeps its eco rate there: a craft that does not look, think, speak or know north is lost."""
NEVER_OFF = frozenset({_C.COMPUTE, _C.TELEMETRY, _C.RADAR, _C.MAGNETOMETER})
LOWEST: Mapping[Consumer, Profile] = {c: Profile.ECO if c in NEVER_OFF else Profile.OFF for c in Consumer}

ORDER: tuple[Consumer, ...] = (
    _C.LIDAR, _C.SPECTROMETER, _C.RADIATION, _C.MAGNETOMETER, _C.COMPUTE, _C.TELEMETRY, _C.PROXIMITY, _C.RADAR,
)
"""Who is degraded first: lidar (CANON section 12), then science, then what a craft flies with, radar last."""
ORDER_DOCKING: tuple[Consumer, ...] = (
    _C.SPECTROMETER, _C.RADIATION, _C.MAGNETOMETER, _C.COMPUTE, _C.TELEMETRY, _C.RADAR, _C.PROXIMITY, _C.LIDAR,
)
"""The same near a dock, where lidar and proximity lead and radar is the guard ring (CANON section 12)."""
DOCKING = frozenset({Motion.DOCK})

_SCIENCE = {_C.SPECTROMETER: _U.ON, _C.RADIATION: _U.ON, _C.MAGNETOMETER: _U.ON}
_ALWAYS = {_C.COMPUTE: _U.ON, _C.TELEMETRY: _U.ON, _C.RADAR: _U.ON}
_CRUISE = {**_ALWAYS, **_SCIENCE, _C.LIDAR: _U.ASKED, _C.PROXIMITY: _U.ASKED}
_THRUST = {**_CRUISE, _C.SPECTROMETER: _U.OFF}
USES: Mapping[Motion, Mapping[Consumer, Use]] = {
    _M.BOOT: _CRUISE, _M.IDLE: _CRUISE, _M.COAST: _CRUISE, _M.BRIDGE: _CRUISE, _M.MANOEUVRE: _THRUST, _M.BURN: _THRUST,
    _M.BRAKE: {**_THRUST, _C.LIDAR: _U.ON},
    _M.DOCK: {**_THRUST, _C.LIDAR: _U.KEPT, _C.PROXIMITY: _U.KEPT},
    _M.SAFE: {**_ALWAYS, **dict.fromkeys(
        (_C.LIDAR, _C.PROXIMITY, _C.SPECTROMETER, _C.RADIATION), _U.OFF), _C.MAGNETOMETER: _U.ON},
}
"""Radar always, lidar on request; braking looks ahead with all it has; SAFE is low-power radar and the inertial unit,
of which CANON section 7 counts the magnetometer a part."""

_FAST = frozenset({_M.MANOEUVRE, _M.BURN, _M.BRAKE, _M.DOCK})


def modes_profile(motion: Motion) -> Profile:
    """The profile of a mode where nobody has chosen one: fast while something happens, eco in SAFE."""
    if motion is Motion.SAFE:
        return Profile.ECO
    return Profile.FAST if motion in _FAST else Profile.BALANCED


@dataclass(frozen=True, slots=True)
class Step:
    """One step of degradation: this consumer is at best at that level from here on."""

    consumer: Consumer
    level: Profile


def ladder(order: tuple[Consumer, ...]) -> tuple[Step, ...]:
    """All steps of an order, first one first: each consumer down to its lowest before the next one is touched."""
    return tuple(
        Step(consumer, level)
        for consumer in order for level in (Profile.BALANCED, Profile.ECO, Profile.OFF) if level <= LOWEST[consumer]
    )


STEPS = len(ladder(ORDER))
DEPTHS: Mapping[EnergyLevel, int] = {
    EnergyLevel.FULL: 0,
    EnergyLevel.SAVING: 4,
    EnergyLevel.LOW: 9,
    EnergyLevel.SHORT: 15,
    EnergyLevel.CRITICAL: STEPS,
}
"""How many steps are taken at each level. In ``ORDER``: SAVING has the lidar off and the spectrometer halved; LOW all
science off; SHORT magnetometer, computer and telemetry at their least; CRITICAL all."""
