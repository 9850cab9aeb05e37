"""Interrogator and receiver of transponders on CAN: a round of replies is whole, or says how many are missing.

Protocol: docs/protocols/transponder.md. Ids are 680h + 10h x unit, little-endian words:

====  ======================================================================================================
680h  round: counter, number of replies, flags, age, version of the protocol
681h  reply, what was measured: slot, low byte of the counter, range, bearing, level, mode and authentication
682h  reply, who: slot, low byte of the counter, identity, CRC-16 over both halves
683h  configuration, to the receiver
684h  state, once a second: configuration in force, faults
====  ======================================================================================================

A reply counts only with both halves, of this round, and a CRC that ties them. A round is handed out with its last
reply; when the next one begins first, what did come is handed out with ``announced`` larger than its length, and
counted. Its age is that of the moment in which it is handed out. A round of which nothing follows for two seconds is
dropped. While 684h tells a fault, or after ``configuration_frames`` another configuration than the ordered one, every
round is withheld: so the part falls silent for its owner, who then sets it up again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.protocol import CanBus, CanFrame
from drivers.checksum import crc16_ccitt_false
from drivers.configuration_watch import ConfigurationWatch
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import TransponderReply, TransponderSample

__all__ = [
    "ADDRESSES", "CODECS", "ORACLES", "REGISTERS", "Counters", "Device", "Header", "Measured", "ReceiverState",
    "Settings", "encode_configuration", "header", "identity", "measured", "receiver_state",
]

ORACLES = (Oracle(OracleKind.NOTHING, "the protocol is this project's own; its CRC is held against the check value"),)

ADDRESSES = range(0x68, 0x6E)
"""Node addresses of units 0..5."""
FIRST_ID = 0x680
UNIT_STEP = 0x10
HEADER, MEASURED, IDENTITY, CONFIGURATION, STATE = range(5)
"""Offsets of the frames' ids."""
VERSION = 1
MAX_REPLIES = 32
LONGEST_ROUND_NS = 2_000_000_000

NS_PER_MS = 1_000_000
RANGE_LSB_M = 0.5
NO_RANGE = 0xFFFF
CDEG_TO_RAD = math.radians(0.01)
HALF_TURN_CDEG = 18_000
INTERROGATING = 1 << 0
MODES = {1: "on", 2: "silent"}
AUTHENTIC: dict[int, bool | None] = {0: None, 1: True, 2: False}
NO_IDENTITY = (0, 0xFFFFFFFF)
FAULTS = ("transmitter", "receiver", "antenna", "temperature")

_HEADER = Layout("<HBBHBB")
_MEASURED = Layout("<BBHhbB")
_IDENTITY = Layout("<BBIH")
_CONFIGURATION = Layout("<HBB4x")
_STATE = Layout("<HBBBBH")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``period_ms``: time between two rounds. ``interrogate``: ask; otherwise only listen to who speaks unasked."""

    period_ms: Annotated[int, Meta(ge=100, le=5000)] = 500
    interrogate: bool = True


@dataclass(slots=True)
class Counters:
    """What came since start. ``short``: rounds with fewer replies than announced; ``stray``: halves of no round."""

    frames: int = 0
    rounds: int = 0
    short: int = 0
    stray: int = 0
    refused: int = 0
    withheld: int = 0


class Header(NamedTuple):
    """680h."""

    counter: int
    replies: int
    interrogating: bool
    age_ms: int


class Measured(NamedTuple):
    """681h. ``range_m`` is ``None`` for a transponder that spoke unasked."""

    slot: int
    counter_low: int
    range_m: float | None
    bearing_rad: float
    level_dbm: int
    mode: str
    authentic: bool | None


class ReceiverState(NamedTuple):
    """684h. ``faults`` are words, empty when the receiver is well."""

    period_ms: int
    interrogate: bool
    faults: tuple[str, ...]
    unit: int
    serial: int


def header(data: bytes, place: Place = NOWHERE) -> Header:
    """680h. Raises SHORT_READ, PROTOCOL for another version, IMPLAUSIBLE for more replies than a round can have."""
    counter, replies, flags, age_ms, version, reserved = _HEADER.unpack(whole(data, 8, place))
    if version != VERSION:
        raise place.error(Cause.PROTOCOL, f"version {version} of the protocol instead of {VERSION}")
    if replies > MAX_REPLIES or flags > INTERROGATING or reserved:
        raise place.error(Cause.IMPLAUSIBLE, f"{replies} replies, flags {flags:02x}h, reserved {reserved:02x}h")
    return Header(counter, replies, bool(flags & INTERROGATING), age_ms)


def measured(data: bytes, place: Place = NOWHERE) -> Measured:
    """681h. Raises SHORT_READ, and IMPLAUSIBLE for a slot, bearing, mode or authentication that can't be."""
    slot, low, distance, bearing, level, kind = _MEASURED.unpack(whole(data, 8, place))
    mode = MODES.get(kind & 3)
    if slot >= MAX_REPLIES or abs(bearing) > HALF_TURN_CDEG or mode is None or kind >> 2 not in AUTHENTIC:
        raise place.error(Cause.IMPLAUSIBLE, f"slot {slot}, bearing {bearing / 100:.2f} deg, kind {kind:02x}h")
    range_m = None if distance == NO_RANGE else distance * RANGE_LSB_M
    return Measured(slot, low, range_m, bearing * CDEG_TO_RAD, level, mode, AUTHENTIC[kind >> 2])


def identity(data: bytes, place: Place = NOWHERE) -> tuple[int, int, int, int]:
    """682h: slot, low byte of the counter, identity, CRC. Raises SHORT_READ, and IMPLAUSIBLE for no identity."""
    slot, low, number, crc = _IDENTITY.unpack(whole(data, 8, place))
    if slot >= MAX_REPLIES or number in NO_IDENTITY:
        raise place.error(Cause.IMPLAUSIBLE, f"slot {slot}, identity {number:08x}h")
    return slot, low, number, crc


def receiver_state(data: bytes, place: Place = NOWHERE) -> ReceiverState:
    """684h. Raises SHORT_READ, PROTOCOL for another version, IMPLAUSIBLE for flags and units that don't exist."""
    period_ms, flags, faults, unit, version, serial = _STATE.unpack(whole(data, 8, place))
    if version != VERSION:
        raise place.error(Cause.PROTOCOL, f"version {version} of the protocol instead of {VERSION}")
    if flags > INTERROGATING or faults >= 1 << len(FAULTS) or unit >= len(ADDRESSES):
        raise place.error(Cause.IMPLAUSIBLE, f"flags {flags:02x}h, faults {faults:02x}h of unit {unit}")
    words = tuple(word for bit, word in enumerate(FAULTS) if faults >> bit & 1)
    return ReceiverState(period_ms, bool(flags & INTERROGATING), words, unit, serial)


def encode_configuration(period_ms: int, interrogate: bool) -> bytes:
    """Data of 683h. Raises ValueError for a period that its word can't carry."""
    if not 0 <= period_ms <= 0xFFFF:
        raise ValueError(f"period of {period_ms} ms is not in 0..65535")
    return _CONFIGURATION.pack(period_ms, INTERROGATING if interrogate else 0, VERSION)


class Device:
    """One receiver.

    Args:
        bus: where its configuration is sent.
        address: 68h..6Dh for units 0..5, which shifts all its ids.
        settings: see Settings.

    ``state`` is what 684h last said.

    Raises:
        ValueError: an address that is no unit's.
    """

    def __init__(self, bus: CanBus, address: int | None, settings: Settings) -> None:
        if address is None or address not in ADDRESSES:
            raise ValueError(f"address {address} is not in 0x{ADDRESSES[0]:02x}..0x{ADDRESSES[-1]:02x}")
        self.place = Place(bus.name, address)
        self.counters = Counters()
        self.state: ReceiverState | None = None
        self._bus = bus
        self._settings = settings
        self._unit = ADDRESSES.index(address)
        base = self._base = FIRST_ID + self._unit * UNIT_STEP
        self._handlers: dict[int, Callable[[bytes], TransponderSample | None]] = {
            base + HEADER: self._on_header, base + MEASURED: self._on_measured, base + IDENTITY: self._on_identity,
            base + STATE: self._on_state,
        }
        self._header: Header | None = None
        self._began_ns = 0
        self._heard_ns = 0
        self._halves: dict[int, tuple[Measured, bytes]] = {}
        self._replies: dict[int, TransponderReply] = {}
        self._configuration = ConfigurationWatch("period", "interrogate")
        self._fault: tuple[Cause, str] | None = None

    @property
    def can_ids(self) -> Collection[int]:
        """See FrameDevice."""
        return tuple(self._handlers)

    def configuration_frames(self) -> tuple[CanFrame, ...]:
        """What to send at start; from then on the state must show this configuration."""
        self._configuration.ordered()
        data = encode_configuration(self._settings.period_ms, self._settings.interrogate)
        return (CanFrame(self._base + CONFIGURATION, data),)

    def initialise(self) -> Generator[None, None, None]:
        """Send the configuration: one frame. Raises what the bus raises."""
        self._header = None
        yield from ()
        for frame in self.configuration_frames():
            self._bus.send(frame)

    def take(self, frame: CanFrame, now_ns: int) -> TransponderSample | None:
        """See FrameDevice. Raises SHORT_READ, CHECKSUM, IMPLAUSIBLE, RESET, WRONG_ID; PROTOCOL also for an id that
        isn't its own."""
        handler = self._handlers.get(frame.can_id)
        if handler is None or frame.extended:
            raise self.place.error(Cause.PROTOCOL, f"id {frame.can_id:x}h is none of this receiver's")
        self.counters.frames += 1
        self._heard_ns = now_ns
        try:
            sample = handler(frame.data)
            if sample is not None:
                if self._fault is not None:
                    self.counters.withheld += 1
                    raise self.place.error(*self._fault)
                self.counters.rounds += 1
        except DeviceError:
            self.counters.refused += 1
            raise
        return sample

    # -- inside

    def _on_header(self, data: bytes) -> TransponderSample | None:
        before, self._header = self._header, None
        began_ns, self._began_ns = self._began_ns, self._heard_ns
        this = header(data, self.place)
        cut = None
        if before is not None:
            self.counters.short += 1
            if self._replies and self._heard_ns - began_ns <= LONGEST_ROUND_NS:
                cut = self._round(before, began_ns)
        self._halves.clear()
        self._replies.clear()
        if not this.replies:
            # Only one round can be handed out, and the newer one is it.
            return self._round(this, self._began_ns)
        self._header = this
        return cut

    def _on_measured(self, data: bytes) -> None:
        half = measured(data, self.place)
        if self._of_this_round(half.slot, half.counter_low):
            self._halves[half.slot] = (half, data)

    def _on_identity(self, data: bytes) -> TransponderSample | None:
        slot, low, number, crc = identity(data, self.place)
        if not self._of_this_round(slot, low):
            return None
        other = self._halves.pop(slot, None)
        if other is None:
            self.counters.stray += 1
            return None
        half, first = other
        if crc16_ccitt_false(first + data[:6]) != crc:
            raise self.place.error(Cause.CHECKSUM, f"the halves of reply {slot} do not belong together")
        self._replies[slot] = TransponderReply(
            number, half.mode, half.range_m, half.bearing_rad, float(half.level_dbm), half.authentic
        )
        this = self._header
        if this is None or len(self._replies) < this.replies:
            return None
        self._header = None
        return self._round(this, self._began_ns)

    def _of_this_round(self, slot: int, counter_low: int) -> bool:
        this = self._header
        if this is None or slot >= this.replies or counter_low != this.counter & 0xFF or slot in self._replies:
            self.counters.stray += 1
            return False
        return True

    def _round(self, this: Header, began_ns: int) -> TransponderSample:
        """What came of a round that began at ``began_ns``, as old as it is now."""
        replies = tuple(self._replies[slot] for slot in sorted(self._replies))
        age_ns = this.age_ms * NS_PER_MS + self._heard_ns - began_ns
        return TransponderSample(this.counter, this.replies, age_ns, this.interrogating, replies)

    def _on_state(self, data: bytes) -> None:
        state = receiver_state(data, self.place)
        self.state = state
        self._fault = self._judge(state)
        if self._fault is not None:
            raise self.place.error(*self._fault)

    def _judge(self, state: ReceiverState) -> tuple[Cause, str] | None:
        if state.faults:
            return Cause.IMPLAUSIBLE, f"the receiver reports a fault of its {', '.join(state.faults)}"
        if state.unit != self._unit:
            return Cause.WRONG_ID, f"unit {state.unit} in the frames of unit {self._unit}"
        wanted = self._settings
        lost = self._configuration.lost((state.period_ms, state.interrogate), (wanted.period_ms, wanted.interrogate))
        return None if lost is None else (Cause.RESET, lost)


CODECS: tuple[Codec, ...] = (
    Codec("round (680h)", header, 8),
    Codec("reply, measured (681h)", measured, 8),
    Codec("reply, identity (682h)", identity, 8),
    Codec("state (684h)", receiver_state, 8),
)
REGISTERS: tuple[Register, ...] = ()
