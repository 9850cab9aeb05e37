"""Every parameter has a taker, and none goes beyond the body."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import degrees, isclose, radians
from typing import Any

import pytest

from comms.parameters import PARAMETERS, SCHEMA, ParameterKind
from firmware_py.energy.duty_table import Profile as SensorProfile
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.guidance import GuidanceLimits
from firmware_py.parameters_apply import READ_AT_BOOT, applier, setters
from hal.profile import load_body

BODY = load_body("qiki-t")
LIMITS = GuidanceLimits.from_body(BODY, Allocator(BODY))
IDLE_RAD = radians(2.0)


class Commander:
    """What of the commander is set."""

    def __init__(self) -> None:
        self.arming = True
        self.safe_detumble_rad_s = self.safe_point_rad_s = 0.0
        self.limits = LIMITS
        self.idle_rad = IDLE_RAD

    def set_limits(self, limits: GuidanceLimits, idle_deadband_rad: float) -> None:
        self.limits, self.idle_rad = limits, idle_deadband_rad


@dataclass(frozen=True)
class Limits:
    """What of the craft's limits is set."""

    command_loss_s: float = 600.0
    leave_soc: float = 0.15
    leave_rate_rad_s: float = 0.0873
    bus_low_v: float = 22.0


@dataclass
class Duties:
    profile: SensorProfile | None = None


@dataclass
class Energy:
    duties: Duties = field(default_factory=Duties)


class Software:
    """Flight software as far as parameters reach."""

    def __init__(self) -> None:
        self.commander = Commander()
        self.energy = Energy()
        self.limits: Any = Limits()
        self.telemetry_every = 1
        self.self_test_limit_ns = 8_000_000_000

    @property
    def state(self) -> tuple[object, ...]:
        commander = self.commander
        return (
            commander.arming, commander.safe_detumble_rad_s, commander.safe_point_rad_s, commander.limits,
            commander.idle_rad, self.energy.duties.profile, self.limits, self.telemetry_every, self.self_test_limit_ns,
        )


def test_every_parameter_has_one_taker() -> None:
    assert set(setters(Software(), IDLE_RAD)) | READ_AT_BOOT == set(SCHEMA.by_name)
    assert not set(setters(Software(), IDLE_RAD)) & READ_AT_BOOT


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.name not in READ_AT_BOOT], ids=lambda p: p.name)
def test_every_allowed_value_reaches_something(parameter: Any) -> None:
    values: tuple[Any, ...]
    if parameter.kind is ParameterKind.FLAG:
        values = (True, False)
    elif parameter.kind is ParameterKind.CHOICE:
        values = parameter.choices
    else:
        values = (parameter.low, parameter.high)
        if parameter.kind is ParameterKind.INTEGER:
            values = tuple(int(value) for value in values)
    states = []
    for value in values:
        software = Software()
        applier(software, IDLE_RAD)(parameter.name, value)
        states.append(software.state)
    assert len(set(map(repr, states))) == len(values)


@pytest.mark.parametrize("name", sorted(READ_AT_BOOT))
def test_what_the_boot_record_reads_by_itself_is_set_nowhere(name: str) -> None:
    software = Software()
    before = software.state
    applier(software, IDLE_RAD)(name, 5)
    assert software.state == before


def test_shares_are_of_the_body_and_not_of_one_another() -> None:
    software = Software()
    apply = applier(software, IDLE_RAD)
    for share in (0.5, 0.5, 0.8):
        apply("speed_share", share)
        apply("slew_rate_share", share)
    limits = software.commander.limits
    assert limits.speed_m_s == 0.8 * LIMITS.speed_m_s
    assert limits.slew_rate_rad_s == 0.8 * LIMITS.slew_rate_rad_s
    apply("speed_share", 1.0)
    apply("slew_rate_share", 1.0)
    assert software.commander.limits == LIMITS


def test_dead_bands_are_set_each_for_itself() -> None:
    software = Software()
    apply = applier(software, IDLE_RAD)
    apply("hold_deadband_deg", 1.5)
    assert software.commander.idle_rad == IDLE_RAD
    apply("hold_deadband_m", 0.3)
    apply("idle_deadband_deg", 4.0)
    limits = software.commander.limits
    assert isclose(degrees(limits.attitude_deadband_rad), 1.5)
    assert limits.position_deadband_m == 0.3
    assert isclose(degrees(software.commander.idle_rad), 4.0)


def test_limits_of_safe_keep_what_the_body_says() -> None:
    software = Software()
    apply = applier(software, IDLE_RAD)
    apply("command_loss_s", 1800.0)
    apply("safe_leave_soc", 0.3)
    apply("safe_leave_rate_deg_s", 2.0)
    assert software.limits == Limits(1800.0, 0.3, radians(2.0), 22.0)
    apply("safe_detumble_deg_s", 4.0)
    apply("safe_point_deg_s", 0.5)
    assert isclose(software.commander.safe_detumble_rad_s, radians(4.0))
    assert isclose(software.commander.safe_point_rad_s, radians(0.5))


def test_sensors_follow_the_mode_or_a_profile() -> None:
    software = Software()
    apply = applier(software, IDLE_RAD)
    for profile in SensorProfile:
        apply("sensor_profile", profile.name.lower())
        assert software.energy.duties.profile is profile
    apply("sensor_profile", "mode")
    assert software.energy.duties.profile is None


def test_telemetry_self_test_and_arming() -> None:
    software = Software()
    apply = applier(software, IDLE_RAD)
    apply("telemetry_every", 4)
    apply("self_test_s", 12.5)
    apply("arm_at_boot", False)
    assert software.telemetry_every == 4
    assert software.self_test_limit_ns == 12_500_000_000
    assert software.commander.arming is False
