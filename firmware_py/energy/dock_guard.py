"""When a dock's power is sound: what must hold before the switch closes, and what opens it. Two tables.

A reading that is not there, or is no number, never counts as a good one: what needs it fails, and its lack is a row of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite

from fdir.codes import Code
from hal.profile.body import DockFeedConfig, ThermalNode

__all__ = ["CHECKS", "TRIPS", "DockFault", "DockInputs", "DockView", "Response", "Trip"]

POLARITY_V = -0.5
"""Below this the dock is reversed; nearer to zero it is an offset of the measurement."""
DEAD_V = 1.0
"""Below this there is no dock's voltage at all."""
IDLE_A = 0.5
"""Most current, either way, through a switch that is open."""
OVER_SHARE = 1.1
"""Measured current or power above its limit by this: the limiter and two sensors have errors of some percent each."""


@unique
class DockFault(StrEnum):
    """What opened the switch."""

    REVERSE_CURRENT = "reverse_current"
    STUCK_CLOSED = "stuck_closed"
    REVERSED = "reversed"
    OVER_VOLTAGE = "over_voltage"
    TOO_HOT = "too_hot"
    NO_CONTACT = "no_contact"
    NO_TELEMETRY = "no_telemetry"
    NO_TEMPERATURE = "no_temperature"
    OVER_CURRENT = "over_current"
    OVER_POWER = "over_power"
    UNDER_VOLTAGE = "under_voltage"
    STAYS_OPEN = "stays_open"
    NO_POWER = "no_power"


@unique
class Response(StrEnum):
    """What follows once it is open."""

    PAUSE = "pause"
    """Wait until it is sound again."""
    FAULT = "fault"
    """Try again after a while, a few times."""
    DANGER = "danger"
    """Stay open until an operator clears it."""


@dataclass(frozen=True, slots=True)
class DockInputs:
    """Readings of one instant; ``None`` for what is not known.

    ``contact``: the umbilical is mated and locked. ``input_v``: before the switch. ``currents_a``: of every sensor that
    sees the feed, positive into the craft. ``temperature_c``: of the bridge. ``closed``, ``power_good``: what the
    switch says of itself.
    """

    contact: bool | None
    input_v: float | None
    currents_a: tuple[float | None, ...]
    temperature_c: float | None = None
    closed: bool | None = None
    power_good: bool | None = None


@dataclass(frozen=True, slots=True)
class DockView:
    """Readings that are numbers, with what the feed itself knows: the two tables look at this."""

    config: DockFeedConfig
    bridge: ThermalNode | None
    inputs: DockInputs
    volts: float | None
    amperes: tuple[float, ...]
    celsius: float | None
    ordered_closed: bool
    raised: bool
    """Closed, and past its soft start."""
    hot: bool
    """The bridge tripped and is not at its clear temperature yet."""

    @property
    def dead(self) -> bool:
        """The dock has no voltage."""
        return self.volts is not None and POLARITY_V <= self.volts < DEAD_V

    @property
    def silent(self) -> bool:
        """Voltage or current is not known."""
        return self.volts is None or not self.amperes

    @property
    def heat_unseen(self) -> bool:
        """The bridge has a sensor, and it says nothing."""
        return self.bridge is not None and self.celsius is None


def number(value: float | None) -> float | None:
    """The value, if it is there and finite."""
    return value if value is not None and isfinite(value) else None


def numbers(values: tuple[float | None, ...]) -> tuple[float, ...]:
    """Those that are there and finite."""
    return tuple(value for value in values if value is not None and isfinite(value))


@dataclass(frozen=True, slots=True)
class Trip:
    """One row: what it is, its reason code, what follows, how long it must last, and the test.

    ``closed_only``: it means nothing while the switch is ordered open.
    """

    fault: DockFault
    code: Code
    response: Response
    persist_s: float
    test: Callable[[DockView], bool]
    closed_only: bool = True


def _reverse(view: DockView) -> bool:
    return any(a < view.config.reverse_a for a in view.amperes)


def _stuck(view: DockView) -> bool:
    return not view.ordered_closed and view.inputs.closed is True


def _reversed(view: DockView) -> bool:
    return view.volts is not None and view.volts < POLARITY_V


def _over_voltage(view: DockView) -> bool:
    return view.volts is not None and view.volts > view.config.highest_v


def _under_voltage(view: DockView) -> bool:
    return view.volts is not None and view.volts < view.config.lowest_v


def _over_current(view: DockView) -> bool:
    return any(a > OVER_SHARE * view.config.current_max_a for a in view.amperes)


def _over_power(view: DockView) -> bool:
    volts = view.volts
    return volts is not None and any(volts * a > OVER_SHARE * view.config.power_max_w for a in view.amperes)


def _voltage_wrong(view: DockView) -> bool:
    """There is a voltage, and it is outside the window or reversed."""
    return not view.dead and (_over_voltage(view) or _under_voltage(view))


TRIPS: tuple[Trip, ...] = (
    # A monitor at 50 Hz or slower: one sample is more than the 5 ms of CANON section 10.2.
    Trip(DockFault.REVERSE_CURRENT, Code.BRIDGE_ELECTRICAL_UNSAFE, Response.DANGER, 0.0, _reverse, closed_only=False),
    Trip(DockFault.STUCK_CLOSED, Code.LOAD_DISOBEYS, Response.DANGER, 1.0, _stuck, closed_only=False),
    Trip(DockFault.REVERSED, Code.EXTERNAL_POWER_UNSAFE, Response.DANGER, 0.0, _reversed),
    Trip(DockFault.OVER_VOLTAGE, Code.EXTERNAL_POWER_UNSAFE, Response.FAULT, 0.0, _over_voltage),
    Trip(DockFault.TOO_HOT, Code.THERMAL_BLOCK, Response.PAUSE, 0.0, lambda v: v.hot),
    # Three samples of 20 Hz, as for a lost lock (CANON section 10.2).
    Trip(DockFault.NO_CONTACT, Code.SOURCE_UNAVAILABLE, Response.PAUSE, 0.1, lambda v: v.inputs.contact is not True),
    Trip(DockFault.NO_TELEMETRY, Code.POWER_TELEM_MISSING, Response.PAUSE, 0.2, lambda v: v.silent),
    Trip(DockFault.NO_TEMPERATURE, Code.THERMAL_TELEM_MISSING, Response.PAUSE, 5.0, lambda v: v.heat_unseen),
    Trip(DockFault.OVER_CURRENT, Code.EXTERNAL_POWER_UNSAFE, Response.FAULT, 0.1, _over_current),
    Trip(DockFault.OVER_POWER, Code.EXTERNAL_POWER_UNSAFE, Response.FAULT, 2.0, _over_power),
    Trip(DockFault.UNDER_VOLTAGE, Code.EXTERNAL_POWER_UNSAFE, Response.FAULT, 0.1, _under_voltage),
    Trip(DockFault.STAYS_OPEN, Code.LOAD_DISOBEYS, Response.FAULT, 1.0, lambda v: v.inputs.closed is False),
    Trip(
        DockFault.NO_POWER, Code.SOURCE_UNAVAILABLE, Response.FAULT, 1.0,
        lambda v: v.raised and v.inputs.power_good is False,
    ),
)
"""What opens the switch, worst first: the first row that has lasted decides."""

CHECKS: tuple[tuple[Code, Callable[[DockView], bool]], ...] = (
    (Code.SOURCE_UNAVAILABLE, lambda v: v.inputs.contact is True and not v.dead),
    (Code.POWER_TELEM_MISSING, lambda v: not v.silent),
    (Code.EXTERNAL_POWER_UNSAFE, lambda v: not _voltage_wrong(v)),
    (Code.BRIDGE_ELECTRICAL_UNSAFE, lambda v: all(abs(a) <= IDLE_A for a in v.amperes)),
    (Code.LOAD_DISOBEYS, lambda v: v.inputs.closed is not True),
    (Code.THERMAL_BLOCK, lambda v: not v.hot),
    (Code.THERMAL_TELEM_MISSING, lambda v: not v.heat_unseen),
)
"""What must hold before it closes, and the reason if it does not."""
