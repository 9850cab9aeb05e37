"""One packet of the emergency channel: what it is, what it costs, what became of it.

Fields and words: CANON section 11. Sending is never proof of delivery: the last state of a packet that went out
unanswered is ``delivery_unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite

from fdir.codes import Code

__all__ = [
    "BITS_PER_S", "CRITICALITY_ALIASES", "LONGEST_BITS", "LONGEST_BYTES", "MEAN_W", "PAYLOAD_ALIASES", "PEAK_W",
    "THERMAL_NODE", "Confidence", "Criticality", "NblPacket", "NblProfile", "NblState", "PayloadClass", "air_time_ns",
    "criticality_of", "energy_j", "expected_latency_s", "payload_class_of",
]

BITS_PER_S = 64
PEAK_W = 150.0
MEAN_W = 20.0
"""Most that the bus gives the emergency transmitter on average."""
LONGEST_BITS = 1024
"""The whole packet on the air, its record's head and tag included."""
LONGEST_BYTES = LONGEST_BITS // 8
THERMAL_NODE = "core"
"""Node that a packet warms; 2.1 K for the longest."""
LIGHT_M_S = 299_792_458.0
NS_PER_BYTE = 8 * 1_000_000_000 // BITS_PER_S


@unique
class Criticality(StrEnum):
    """How much is at stake, most first."""

    CRITICAL = "critical"
    EMERGENCY = "emergency"
    NON_CRITICAL = "non-critical"

    @property
    def rank(self) -> int:
        """Order of service; 0 first."""
        return tuple(Criticality).index(self)


@unique
class PayloadClass(StrEnum):
    """What a packet may carry; there are no others."""

    DISTRESS = "distress"
    MINIMAL_STATE = "minimal state"
    BEACON = "beacon"
    COMMAND_ACK = "command ack"


@unique
class NblProfile(StrEnum):
    """How the emergency channel is to be used."""

    PACKET = "packet"
    STREAM = "stream"
    """Locked, and marked exotic: no source has physics for it, so it answers NBL_NOT_IMPLEMENTED."""

    @property
    def exotic(self) -> bool:
        """Whether it stands here only to be named."""
        return self is NblProfile.STREAM


@unique
class NblState(StrEnum):
    """States of the channel (the first two) and of a packet."""

    CRITICAL_ONLY = "critical_only"
    EMERGENCY_ONLY = "emergency_only"
    """Emergencies and what is critical."""
    PACKET_ALLOWED = "packet_allowed"
    """Taken, and waiting for its gates or its next attempt."""
    PACKET_REJECTED = "packet_rejected"
    """Nothing that could change would let it through; or it was pushed out of the queue."""
    PACKET_SENT = "packet_sent"
    """At least one attempt went out whole; more may follow."""
    PACKET_FAILED = "packet_failed"
    """Given up, and no attempt went out whole."""
    DELIVERY_UNKNOWN = "delivery_unknown"
    """All attempts are made, at least one whole, and nobody has answered."""


@unique
class Confidence(StrEnum):
    """How sure it is that a packet arrived; there is no "high"."""

    NONE = "none"
    """No attempt went out whole."""
    LOW = "low"
    """It went out."""
    MEDIUM = "medium"
    """A sealed answer of a peer names it."""


CRITICALITY_ALIASES = {"distress": Criticality.EMERGENCY}
PAYLOAD_ALIASES = {
    "distress_packet": PayloadClass.DISTRESS,
    "last_state_packet": PayloadClass.MINIMAL_STATE,
    "emergency_beacon": PayloadClass.BEACON,
    "minimal_state": PayloadClass.MINIMAL_STATE,
    "command_ack": PayloadClass.COMMAND_ACK,
}


@dataclass(frozen=True, slots=True)
class NblPacket:
    """Record of one packet; a new one at every change.

    Attributes:
        packet_id: number within this start of the craft.
        criticality: ``None`` for a word that nobody knows: such a packet is refused; so with the class.
        payload_size_bits: useful part, without the record around it.
        transmit_attempts: attempts begun.
        power_cost_w: power while one attempt is on the air.
        cap_cost_j: energy of one attempt.
        energy_used_j: energy of all attempts so far.
        thermal_node: node that it warms.
        expected_latency_s: range / c; ``None`` without a range. Never less, and time on the air is beside it.
        delivery_confidence: see Confidence.
        audit_required: every attempt is an audit event.
        blackbox_relevance: the recorder keeps what surrounds it.
        reason_codes: what stands against it now, or why it ended.
    """

    packet_id: int
    criticality: Criticality | None
    payload_class: PayloadClass | None
    payload_size_bits: int
    created_ns: int
    state: NblState = NblState.PACKET_ALLOWED
    transmit_attempts: int = 0
    power_cost_w: float = PEAK_W
    cap_cost_j: float = 0.0
    energy_used_j: float = 0.0
    thermal_node: str = THERMAL_NODE
    expected_latency_s: float | None = None
    delivery_confidence: Confidence = Confidence.NONE
    audit_required: bool = True
    blackbox_relevance: bool = True
    reason_codes: tuple[Code, ...] = ()


def criticality_of(text: str) -> Criticality | None:
    """A criticality from its word; ``distress`` is an emergency. ``None`` for any other word."""
    try:
        return CRITICALITY_ALIASES.get(text) or Criticality(text)
    except ValueError:
        return None


def payload_class_of(text: str) -> PayloadClass | None:
    """A payload class from its word or its older code name; ``None`` for any other word."""
    try:
        return PAYLOAD_ALIASES.get(text) or PayloadClass(text)
    except ValueError:
        return None


def air_time_ns(size_bytes: int) -> int:
    """Time on the air of a packet of that many bytes, record included."""
    return size_bytes * NS_PER_BYTE


def energy_j(size_bytes: int) -> float:
    """Energy of one attempt: 18.75 J a byte, 2.4 kJ for the longest."""
    return PEAK_W * size_bytes * 8 / BITS_PER_S


def expected_latency_s(range_m: float | None) -> float | None:
    """Time of light over the range; ``None`` for a range that is unknown or no distance."""
    if range_m is None or not isfinite(range_m) or range_m < 0.0:
        return None
    return range_m / LIGHT_M_S
