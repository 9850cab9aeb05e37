"""Who takes each parameter's value: one setter a parameter, none of which can go beyond the body.

Parameters that the retained record itself reads at boot (``boot_loop_starts``, ``boot_healthy_s``) have no setter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import radians
from typing import Any, Protocol

from comms.parameters import Value
from fdir.facts import CraftLimits
from firmware_py.energy.duty_table import Profile as SensorProfile
from firmware_py.gnc.guidance import GuidanceLimits

__all__ = ["READ_AT_BOOT", "Tuned", "applier", "setters"]

SECOND = 1_000_000_000
READ_AT_BOOT = frozenset({"boot_loop_starts", "boot_healthy_s"})
"""Parameters that ``firmware_py/retained.py`` reads by itself."""
BY_MODE = "mode"


class Guided(Protocol):
    """What of the commander is set."""

    arming: bool
    safe_detumble_rad_s: float
    safe_point_rad_s: float

    @property
    def limits(self) -> GuidanceLimits:
        """Limits of the laws."""

    def set_limits(self, limits: GuidanceLimits, idle_deadband_rad: float) -> None:
        """Limits of the laws made from now on, and the attitude dead-band of Idle."""


class Tuned(Protocol):
    """What of the flight software is set (``firmware_py.tick.FlightSoftware``)."""

    commander: Guided
    energy: Any
    limits: CraftLimits
    telemetry_every: int
    self_test_limit_ns: int


class _Laws:
    """Limits of guidance: those of the body, and what an operator made of them."""

    def __init__(self, commander: Guided, idle_deadband_rad: float) -> None:
        self._commander = commander
        self._body = commander.limits
        self._idle_rad = idle_deadband_rad

    def speed(self, share: float) -> None:
        self._set(speed_m_s=share * self._body.speed_m_s)

    def slew(self, share: float) -> None:
        self._set(slew_rate_rad_s=share * self._body.slew_rate_rad_s)

    def attitude(self, degrees: float) -> None:
        self._set(attitude_deadband_rad=radians(degrees))

    def position(self, metres: float) -> None:
        self._set(position_deadband_m=metres)

    def idle(self, degrees: float) -> None:
        self._idle_rad = radians(degrees)
        self._set()

    def _set(self, **changed: Any) -> None:
        self._commander.set_limits(replace(self._commander.limits, **changed), self._idle_rad)


def setters(software: Tuned, idle_deadband_rad: float) -> dict[str, Callable[[Any], None]]:
    """Setter of every parameter by name. ``idle_deadband_rad``: what it is without any parameter."""
    commander, laws = software.commander, _Laws(software.commander, idle_deadband_rad)

    def of_commander(name: str) -> Callable[[float], None]:
        return lambda degrees: setattr(commander, name, radians(degrees))

    def of_limits(name: str, scale: float = 1.0) -> Callable[[float], None]:
        def change(value: float) -> None:
            software.limits = replace(software.limits, **{name: scale * value})

        return change

    def sensors(name: str) -> None:
        software.energy.duties.profile = None if name == BY_MODE else SensorProfile[name.upper()]

    def every(count: int) -> None:
        software.telemetry_every = count

    def self_test(seconds: float) -> None:
        software.self_test_limit_ns = round(seconds * SECOND)

    def arm(at_boot: bool) -> None:
        commander.arming = at_boot

    return {
        "speed_share": laws.speed,
        "slew_rate_share": laws.slew,
        "hold_deadband_deg": laws.attitude,
        "hold_deadband_m": laws.position,
        "idle_deadband_deg": laws.idle,
        "command_loss_s": of_limits("command_loss_s"),
        "safe_leave_soc": of_limits("leave_soc"),
        "safe_leave_rate_deg_s": of_limits("leave_rate_rad_s", radians(1.0)),
        "safe_detumble_deg_s": of_commander("safe_detumble_rad_s"),
        "safe_point_deg_s": of_commander("safe_point_rad_s"),
        "sensor_profile": sensors,
        "telemetry_every": every,
        "self_test_s": self_test,
        "arm_at_boot": arm,
    }


def applier(software: Tuned, idle_deadband_rad: float) -> Callable[[str, Value], None]:
    """What puts a value to work, for ``firmware_py/retained.py``."""
    table = setters(software, idle_deadband_rad)

    def apply(name: str, value: Value) -> None:
        if name not in READ_AT_BOOT:
            table[name](value)

    return apply
