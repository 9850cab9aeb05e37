"""Every gate before the emergency transmitter, as one pure function: all reasons at once, in one order.

What is not known stands against a packet. Edges are inclusive: 1024 bit, SoC_cap 0.45, SoC_bat 0.35, core at 90 deg C,
120 s after the last start, an hour after the sixth last. Source: CANON sections 5 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass

from comms.emcon import EmconLevel
from comms.nbl.packet import LONGEST_BITS, Criticality, NblProfile, NblState, PayloadClass
from fdir.codes import Code

__all__ = [
    "CAP_UNDER_WAY_SOC", "CORE_MAX_C", "HOUR_NS", "LEAST_BATTERY_SOC", "LEAST_CAP_SOC", "LIMITS", "MOST_AN_HOUR",
    "NEVER_NS", "ORDER", "PAUSE_NS", "PERMANENT", "NblAsk", "NblFacts", "NblLimits", "judge", "standing",
    "under_way_blocks",
]

SECOND = 1_000_000_000
HOUR_NS = 3600 * SECOND
LEAST_CAP_SOC = 0.45
LEAST_BATTERY_SOC = 0.35
CAP_UNDER_WAY_SOC = 0.30
"""Down to this a packet that is on the air goes on; what is below belongs to braking."""
CORE_MAX_C = 90.0
COLDEST_C, HOTTEST_C = -120.0, 160.0
"""A measurement beyond these is a broken sensor (CANON section 6)."""
PAUSE_NS = 120 * SECOND
MOST_AN_HOUR = 6
NEVER_NS = 1 << 62
"""Time since a packet that there never was."""

ORDER = (
    Code.NBL_NOT_IMPLEMENTED, Code.NBL_NOT_CRITICAL, Code.NBL_RULES_ONLY, Code.NBL_PAYLOAD_TOO_LARGE,
    Code.COMMS_UNAVAILABLE, Code.NBL_CAP_LOW, Code.NBL_BAT_LOW, Code.POWER_TELEM_MISSING, Code.NBL_PDU_DENIED,
    Code.NBL_THERMAL_BLOCK, Code.THERMAL_TELEM_MISSING, Code.EMCON_BLOCK, Code.NBL_RATE_LIMIT, Code.NBL_RCS_FIRING,
)
"""Order in which reasons are listed."""
PERMANENT = frozenset(ORDER[:4])
"""Reasons that no waiting takes away: such a packet is refused at once."""


@dataclass(frozen=True, slots=True)
class NblLimits:
    """What was ordered by ``set_nbl``, and least charges of a body that asks for more: it can only be stricter than the
    gates. Raises ValueError for less strict."""

    enabled: bool = True
    critical_only: bool = False
    most_an_hour: int = MOST_AN_HOUR
    least_cap_soc: float = LEAST_CAP_SOC
    least_battery_soc: float = LEAST_BATTERY_SOC

    def __post_init__(self) -> None:
        if not 0 <= self.most_an_hour <= MOST_AN_HOUR:
            raise ValueError(f"most_an_hour {self.most_an_hour}: 0..{MOST_AN_HOUR} is allowed")
        for name, least in (("least_cap_soc", LEAST_CAP_SOC), ("least_battery_soc", LEAST_BATTERY_SOC)):
            if not least <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: {least}..1 is allowed")


LIMITS = NblLimits()


@dataclass(frozen=True, slots=True)
class NblAsk:
    """What is to be sent; ``None``: a word that nobody knows. ``size_bits`` is the whole packet's, record included."""

    criticality: Criticality | None
    payload_class: PayloadClass | None
    size_bits: int | None
    profile: NblProfile = NblProfile.PACKET


@dataclass(frozen=True, slots=True)
class NblFacts:
    """What the gates ask of craft and channel; ``None`` is unknown. States of charge are fractions.

    Attributes:
        load_allowed: the distribution unit lets the transmitter through.
        firing: valves are open or about to open.
        sealing: packets are sealed before they go out.
        released: an operator has let a critical packet out of a silence.
        since_last_ns: since the start of the last packet; NEVER_NS if there was none.
        in_last_hour: packets started less than an hour ago.
    """

    soc_supercap: float | None = None
    soc_battery: float | None = None
    core_c: float | None = None
    core_tripped: bool | None = None
    pdu_tripped: bool | None = None
    load_allowed: bool | None = None
    firing: bool | None = None
    emcon: EmconLevel | None = None
    sealing: bool = False
    released: bool = False
    since_last_ns: int | None = None
    in_last_hour: int | None = None


def judge(ask: NblAsk, facts: NblFacts, limits: NblLimits = LIMITS) -> tuple[Code, ...]:
    """Everything that stands against sending this now, in the order of ``ORDER``; empty if nothing does."""
    found = _by_rules(ask, limits)
    _by_stores(facts, limits.least_cap_soc, limits.least_battery_soc, found)
    _by_switch_and_heat(facts, found)
    if not _emission_allows(ask, facts):
        found.append(Code.EMCON_BLOCK)
    if not _rate_allows(facts, limits):
        found.append(Code.NBL_RATE_LIMIT)
    if facts.firing is not False:
        found.append(Code.NBL_RCS_FIRING)
    return tuple(found)


def under_way_blocks(facts: NblFacts, limits: NblLimits = LIMITS) -> tuple[Code, ...]:
    """What ends a packet that is on the air. The charges to start with are not asked for any more, only T_hold of the
    supercapacitor; its own start and the release it used do not count against it. It ends too when something that has
    to be known is no longer known."""
    found: list[Code] = [] if limits.enabled else [Code.COMMS_UNAVAILABLE]
    _by_stores(facts, CAP_UNDER_WAY_SOC, 0.0, found)
    _by_switch_and_heat(facts, found)
    if facts.firing is not False:
        found.append(Code.NBL_RCS_FIRING)
    return tuple(found)


def standing(facts: NblFacts, limits: NblLimits = LIMITS) -> NblState:
    """Who is let through now, whatever the other gates say: only what is critical, or emergencies too."""
    silent = facts.emcon is None or facts.emcon >= EmconLevel.RECEIVE
    return NblState.CRITICAL_ONLY if silent or limits.critical_only else NblState.EMERGENCY_ONLY


def _by_rules(ask: NblAsk, limits: NblLimits) -> list[Code]:
    found: list[Code] = []
    if ask.profile is not NblProfile.PACKET:
        found.append(Code.NBL_NOT_IMPLEMENTED)
    too_low = ask.criticality is Criticality.EMERGENCY and limits.critical_only
    if ask.criticality is None or ask.criticality is Criticality.NON_CRITICAL or too_low:
        found.append(Code.NBL_NOT_CRITICAL)
    empty = ask.size_bits is not None and ask.size_bits <= 0
    if ask.payload_class is None or empty:
        found.append(Code.NBL_RULES_ONLY)
    if ask.size_bits is None or ask.size_bits > LONGEST_BITS:
        found.append(Code.NBL_PAYLOAD_TOO_LARGE)
    if not limits.enabled:
        found.append(Code.COMMS_UNAVAILABLE)
    return found


def _by_stores(facts: NblFacts, least_cap: float, least_battery: float, found: list[Code]) -> None:
    cap, battery = _charge(facts.soc_supercap), _charge(facts.soc_battery)
    if cap is not None and cap < least_cap:
        found.append(Code.NBL_CAP_LOW)
    if battery is not None and battery < least_battery:
        found.append(Code.NBL_BAT_LOW)
    if cap is None or battery is None:
        found.append(Code.POWER_TELEM_MISSING)


def _by_switch_and_heat(facts: NblFacts, found: list[Code]) -> None:
    if facts.load_allowed is not True:
        found.append(Code.NBL_PDU_DENIED)
    core = facts.core_c if facts.core_c is not None and COLDEST_C <= facts.core_c <= HOTTEST_C else None
    if facts.core_tripped or facts.pdu_tripped or (core is not None and core > CORE_MAX_C):
        found.append(Code.NBL_THERMAL_BLOCK)
    if core is None or facts.core_tripped is None or facts.pdu_tripped is None:
        found.append(Code.THERMAL_TELEM_MISSING)


def _charge(value: float | None) -> float | None:
    """A charge that can be one; NaN compares false."""
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _emission_allows(ask: NblAsk, facts: NblFacts) -> bool:
    if facts.emcon is None:
        return False
    if facts.emcon < EmconLevel.RECEIVE:
        return True
    return ask.criticality is Criticality.CRITICAL and facts.sealing and facts.released


def _rate_allows(facts: NblFacts, limits: NblLimits) -> bool:
    if facts.since_last_ns is None or facts.in_last_hour is None:
        return False
    return facts.since_last_ns >= PAUSE_NS and facts.in_last_hour < limits.most_an_hour
