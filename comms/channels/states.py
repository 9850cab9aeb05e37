"""What state a channel is in and why: all codes at once, the state by the first of them in a fixed order.

Words: CANON section 11. Only ``online`` and ``channel_degraded`` let packets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from comms.channel_plan import ChannelKind, ChannelSpec, QosClass
from comms.channels.transmit_level import TransmitStep
from comms.emcon import TRAFFIC, EmconGate, Transmitter
from fdir.codes import Code

__all__ = [
    "OPEN_STATES", "RATE_CLASSES", "STATE_OF", "ChannelCondition", "ChannelStanding", "ChannelState", "judge_channel",
    "rate_class",
]


@unique
class ChannelState(StrEnum):
    """States of a channel."""

    ONLINE = "online"
    DEGRADED = "channel_degraded"
    POWER_BLOCK = "power_block"
    THERMAL_BLOCK = "thermal_block"
    EMCON_BLOCK = "EMCON_block"
    SAFE_BLOCK = "SAFE_block"
    AUTHORIZATION_MISSING = "authorization_missing"
    NOT_IMPLEMENTED = "not_implemented"


STATE_OF: dict[Code, ChannelState] = {
    Code.COMMS_NOT_IMPLEMENTED: ChannelState.NOT_IMPLEMENTED,
    Code.COMMS_UNAUTHORIZED: ChannelState.AUTHORIZATION_MISSING,
    Code.EMCON_BLOCK: ChannelState.EMCON_BLOCK,
    Code.SAFE_LOCKED: ChannelState.SAFE_BLOCK,
    Code.COMMS_THERMAL_BLOCK: ChannelState.THERMAL_BLOCK,
    Code.COMMS_POWER_BLOCK: ChannelState.POWER_BLOCK,
    Code.COMMS_UNAVAILABLE: ChannelState.DEGRADED,
    Code.COMMS_DEGRADED: ChannelState.DEGRADED,
}
"""State that a code stands for; this is also the order in which codes are listed. A line that is down leaves its
channels waiting, so they count as degraded."""
OPEN_STATES = frozenset({ChannelState.ONLINE, ChannelState.DEGRADED})
SAFE_CLASSES = frozenset({QosClass.CONTROL, QosClass.TELEMETRY})
"""Classes that SAFE leaves (P): it takes what costs energy and serves no way out."""
RATE_CLASSES = (("none", 0.0), ("low", 64_000.0), ("medium", 256_000.0))
"""Rate classes by the bit rate below which they end; from 256 kbit/s on it is "high"."""


@dataclass(frozen=True, slots=True)
class ChannelCondition:
    """What a channel's state depends on.

    Attributes:
        transmitter: what its packets go out through.
        transmit: step of power and rate that heat and charge leave.
        authorised: a session with keys is there.
        in_safe: the craft is in SAFE; ``None``, unknown, counts as that.
        line_up: the line takes packets.
        lossy: it loses more than it should.
    """

    transmitter: Transmitter
    transmit: TransmitStep
    authorised: bool
    in_safe: bool | None = None
    line_up: bool = True
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class ChannelStanding:
    """State of a channel and everything that it comes from."""

    state: ChannelState
    codes: tuple[Code, ...] = ()

    @property
    def open(self) -> bool:
        """Whether packets go out."""
        return self.state in OPEN_STATES and Code.COMMS_UNAVAILABLE not in self.codes


ONLINE = ChannelStanding(ChannelState.ONLINE)


def judge_channel(spec: ChannelSpec, condition: ChannelCondition, emcon: EmconGate, now_ns: int) -> ChannelStanding:
    """State of one channel now. The emergency channel has gates of its own (``comms.nbl.gates``) and is online here."""
    if spec.kind is ChannelKind.NBL:
        return ONLINE
    transmit = condition.transmit
    against = {
        Code.COMMS_UNAUTHORIZED: not condition.authorised,
        Code.EMCON_BLOCK: emcon.may(condition.transmitter, TRAFFIC[spec.qos], now_ns) is not None,
        Code.SAFE_LOCKED: condition.in_safe is not False and spec.qos not in SAFE_CLASSES,
        Code.COMMS_THERMAL_BLOCK: spec.qos in transmit.cut_by_heat,
        Code.COMMS_POWER_BLOCK: spec.qos in transmit.cut_by_charge,
        Code.COMMS_UNAVAILABLE: not condition.line_up,
        Code.COMMS_DEGRADED: transmit.reduced or condition.lossy,
    }
    codes = tuple(code for code in STATE_OF if against.get(code))
    return ChannelStanding(STATE_OF[codes[0]], codes) if codes else ONLINE


def rate_class(bit_rate: float) -> str:
    """Rate class of a line: none, low under 64, medium under 256, high from 256 kbit/s."""
    if not bit_rate > 0.0:
        return "none"
    return next((name for name, below in RATE_CLASSES[1:] if bit_rate < below), "high")
