"""SAFE as records: one for telemetry and black box, and one that outlives a restart.

``SafeRecord`` says how SAFE stands (fields: CANON section 10.1). A plane of which nothing is known reads ``unknown``;
nothing is taken for well because nobody measures it. ``KeptSafe`` is what a restart must not forget: the reasons, and
whether a person has to acknowledge. Its bytes carry a checksum, and bytes that cannot be read mean SAFE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from struct import Struct
from zlib import crc32

from fdir.codes import Code
from fdir.exit_conditions import CONFLICT, CONFLICT_LEAVE_RAD_S
from fdir.facts import Facts
from fdir.modes import Emission
from fdir.safe import ExitCheck, SafeKeeper, SafeState

__all__ = [
    "MOST_REASONS", "UNREADABLE", "KeptSafe", "PlaneState", "SafeRecord", "decode_safe", "encode_safe", "kept_safe",
    "safe_record",
]

EMISSIONS = tuple(Emission)
VERSION = 2
_CRC = Struct(">I")
MOST_REASONS = 12
"""Reasons that are kept, the first ones; with more than that a person has to look in any case."""


@unique
class PlaneState(StrEnum):
    """How one plane of the craft stands."""

    NOMINAL = "nominal"
    LOW = "low"
    HOT = "hot"
    CONFLICTING = "conflicting"
    MISSING = "missing"
    UNSAFE = "unsafe"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SafeRecord:
    """How SAFE stands at one moment."""

    t_ns: int
    state: SafeState
    reason: Code | None
    """What put the craft there first; ``None`` outside SAFE."""
    codes: tuple[Code, ...]
    """Every reason, in the order in which they came, and then what speaks against leaving."""
    blocked: tuple[str, ...]
    """Classes of command that are refused now."""
    allowed: tuple[str, ...]
    exit_conditions: tuple[ExitCheck, ...]
    passes: int
    acknowledged: bool
    power: PlaneState
    thermal: PlaneState
    sensors: PlaneState
    bayonet: PlaneState
    damage: PlaneState
    blackbox: bool
    """Whether the black box keeps what led here: SAFE is one of its triggers."""


def safe_record(keeper: SafeKeeper, facts: Facts, blocked: Iterable[str], allowed: Iterable[str]) -> SafeRecord:
    """The record of now, from the keeper's state and the facts of this tick."""
    reasons = keeper.reasons
    return SafeRecord(
        t_ns=facts.t_ns, state=keeper.state, reason=reasons[0] if reasons else None,
        codes=(*reasons, *keeper.refusals()) if reasons else (), blocked=tuple(blocked), allowed=tuple(allowed),
        exit_conditions=keeper.checks(facts), passes=keeper.passes, acknowledged=keeper.acknowledged,
        power=_power(facts), thermal=_thermal(facts), sensors=_sensors(reasons, facts),
        bayonet=_bayonet(reasons, facts), damage=_damage(reasons), blackbox=bool(reasons),
    )


def _power(facts: Facts) -> PlaneState:
    battery, supercap, limits = facts.soc_battery, facts.soc_supercap, facts.limits
    if battery is None or supercap is None:
        return PlaneState.UNKNOWN
    if battery <= limits.battery_safe_soc or supercap <= limits.supercap_safe_soc:
        return PlaneState.CRITICAL
    return PlaneState.LOW if battery <= limits.leave_soc or supercap <= facts.hold_soc else PlaneState.NOMINAL


def _thermal(facts: Facts) -> PlaneState:
    share = facts.hottest_share
    if facts.energy.computer_too_hot or (share is not None and share >= 1.0):
        return PlaneState.CRITICAL
    if share is None:
        return PlaneState.UNKNOWN
    return PlaneState.HOT if share >= 0.0 else PlaneState.NOMINAL


def _sensors(reasons: tuple[Code, ...], facts: Facts) -> PlaneState:
    if not facts.imu_ok:
        return PlaneState.MISSING
    differ = facts.rate_disagreement_rad_s
    if differ is not None:
        return PlaneState.CONFLICTING if differ >= CONFLICT_LEAVE_RAD_S else PlaneState.NOMINAL
    # Nothing to compare with: a conflict that was there is not over for that.
    return PlaneState.CONFLICTING if any(code in CONFLICT for code in reasons) else PlaneState.UNKNOWN


def _bayonet(reasons: tuple[Code, ...], facts: Facts) -> PlaneState:
    reported = Code.SAFE_BAYONET_UNSAFE in reasons or Code.BRIDGE_ELECTRICAL_UNSAFE in reasons
    if reported or facts.joint_locked_unrated:
        return PlaneState.UNSAFE
    return PlaneState.NOMINAL if facts.detached or facts.bridge_allowed else PlaneState.UNKNOWN


def _damage(reasons: tuple[Code, ...]) -> PlaneState:
    return PlaneState.CRITICAL if Code.SAFE_DAMAGE_CRITICAL in reasons else PlaneState.UNKNOWN


@dataclass(frozen=True, slots=True)
class KeptSafe:
    """What of SAFE outlives a restart; without a reason the craft was not in SAFE. An acknowledgement does not: what
    was acknowledged has to be again. Raises ValueError for ``latched`` without a reason."""

    reasons: tuple[Code, ...] = ()
    latched: bool = False
    """Whether a person has to acknowledge, whatever the reasons are."""
    emission: Emission = Emission.OPEN
    disarmed: bool = False
    """An operator has taken arm and enable away."""
    closed: bool = False
    """The emission was taken from open by the loss of the link, and opens with its return."""

    def __post_init__(self) -> None:
        if self.latched and not self.reasons:
            raise ValueError("latched: needs a reason")


UNREADABLE = KeptSafe((Code.SAFE_RECORD_INVALID,), latched=True, emission=Emission.RESTRICTED)
"""What is taken up where the record cannot be read: it may have said anything, so a person has to look."""


def kept_safe(
    keeper: SafeKeeper, emission: Emission = Emission.OPEN, disarmed: bool = False, closed: bool = False
) -> KeptSafe:
    """What has to be kept of SAFE, emission and arming as they stand now."""
    latched = keeper.latched or len(keeper.reasons) > MOST_REASONS
    return KeptSafe(keeper.reasons[:MOST_REASONS], latched, emission, disarmed, closed)


def encode_safe(kept: KeptSafe) -> bytes:
    """Version, flags (latched, disarmed, emission, closed by a loss), the reasons by name, one a line, and a CRC-32
    of it all, big end first."""
    flags = kept.latched | kept.disarmed << 1 | EMISSIONS.index(kept.emission) << 2 | kept.closed << 4
    body = bytes((VERSION, flags)) + "\n".join(kept.reasons).encode()
    return body + _CRC.pack(crc32(body))


def decode_safe(payload: bytes) -> KeptSafe:
    """A record from its bytes; ``UNREADABLE`` if they are damaged, another version's, or name an unknown reason."""
    try:
        names = payload[2:-_CRC.size].decode().splitlines()
        flags = payload[1]
        codes, emission = tuple(Code(name) for name in names), EMISSIONS[flags >> 2 & 3]
        kept = KeptSafe(codes, bool(flags & 1), emission, bool(flags & 2), bool(flags & 16))
    except (ValueError, IndexError):
        return UNREADABLE
    # Written again it must be what was read: that is checksum, version and form at once.
    return kept if encode_safe(kept) == payload else UNREADABLE
