"""Plays an interrogator and receiver of transponders on CAN: a round twice a second, its state each second.

Facts: docs/protocols/transponder.md, this project's own protocol; there is no real part behind it. Frames at 680h + 10h
x unit: 680h round (u16 counter, u8 replies, u8 flags with bit 0 for asked, u16 age in ms, u8 version 1, 0), 681h
measured (u8 slot, u8 counter's low byte, u16 range in 0.5 m or FFFFh, i16 bearing in 0.01 deg positive to the left,
i8 level in dBm, u8 mode in bits 0-1 and authentication in bits 2-3), 682h identity (u8 slot, u8 counter's low byte,
u32 identity, u16 CRC-16/CCITT-FALSE over the whole 681h and the six bytes before it), 683h configuration in (u16 period
in ms, u8 flags, u8 version), 684h state (u16 period, u8 flags, u8 faults, u8 unit, u8 version, u16 serial).

A round is heard when it begins and told 20 ms later, which its header says as the age. At most 32 replies are told, the
loudest. Frames of a round follow each other without a gap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import degrees

from drivers.bus.protocol import CanFrame

__all__ = ["HeardReply", "TransponderRx"]

_STATE_PERIOD_NS = 1_000_000_000
_MS = 1_000_000
_VERSION = 1
_MOST_REPLIES = 32
_ROUND, _MEASURED, _IDENTITY, _CONFIGURE, _STATE = 0x680, 0x681, 0x682, 0x683, 0x684
_FIRST_NODE = 0x68
_SHORTEST_MS, _LONGEST_MS = 100, 5000
_FACTORY_MS = 1000
_LISTENING_MS = 20
"""From the question to the end of listening: replies from 3000 km would be back."""


@dataclass(frozen=True, slots=True)
class HeardReply:
    """One transponder as the antenna hears it. ``bearing_rad`` positive to the left of the receiver's front.

    ``mode`` 1 on, 2 silent; ``range_m`` ``None`` for one that spoke unasked; ``authentic`` 0 unchecked, 1 good, 2 bad.
    """

    transponder_id: int
    range_m: float | None
    bearing_rad: float
    level_dbm: float = -60.0
    mode: int = 1
    authentic: int = 1


def _crc(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class TransponderRx:
    """A receiver on a SimCanBus.

    Attributes:
        replies: what the next round tells.
        sense: asked for the replies of a round when it begins, with the time and whether it asks; ``None``: the rig
            sets ``replies``.
        faults: bits of its state: 1 transmitter, 2 receiver, 4 antenna, 8 temperature.
        lost: base id (for example 682h) to how many next frames of it are lost.
        silent: sends nothing and hears nothing.
        counter: of rounds, 16 bits.
    """

    def __init__(self, unit: int = 0, serial: int = 1, start_ns: int = 0) -> None:
        """A receiver that asks once a second, switched on at ``start_ns``. ValueError for a unit outside 0..5."""
        if not 0 <= unit <= 5:
            raise ValueError(f"unit {unit} is outside 0..5")
        self.node_id = _FIRST_NODE + unit
        self.replies: list[HeardReply] = []
        self.sense: Callable[[int, bool], list[HeardReply]] | None = None
        self.faults = 0
        self.lost: dict[int, int] = {}
        self.silent = False
        self.counter = 0
        self._unit = unit
        self._serial = serial
        self._transmit: Callable[[CanFrame, int], None] | None = None
        self._now_ns = self.next_event_ns = start_ns
        self.reset()

    def reset(self) -> None:
        """Power-on: factory configuration, counter at 0."""
        self._period_ms = _FACTORY_MS
        self._asking = True
        self.counter = 0
        self._next_state_ns = self._now_ns + _STATE_PERIOD_NS
        self._begin(self._now_ns)

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        """Take the function that puts a frame on the bus."""
        self._transmit = transmit

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        """Hear one frame: its configuration. One that can't be is ignored without a sign."""
        if frame.extended or self.silent or frame.can_id != _CONFIGURE + 0x10 * self._unit or len(frame.data) != 8:
            return
        period_ms, flags, version = struct.unpack("<HBB4x", frame.data)
        if version == _VERSION and _SHORTEST_MS <= period_ms <= _LONGEST_MS and flags <= 1:
            self._period_ms, self._asking = period_ms, bool(flags)
            self._begin(t_ns)

    def advance(self, t_ns: int) -> None:
        """Send what is due until and at ``t_ns``."""
        while t_ns >= self.next_event_ns:
            at = self.next_event_ns
            if at >= self._next_state_ns:
                self._next_state_ns += _STATE_PERIOD_NS
                state = struct.pack(
                    "<HBBBBH", self._period_ms, self._asking, self.faults, self._unit, _VERSION, self._serial
                )
                self._send(_STATE, state, at)
            if at >= self._listen_ns:
                self._listen_ns += self._period_ms * _MS
                if self.sense is not None:
                    self.replies = self.sense(at, self._asking)
            if at >= self._tell_ns:
                self._tell_ns += self._period_ms * _MS
                self._tell(at)
            self.next_event_ns = min(self._next_state_ns, self._listen_ns, self._tell_ns)
        self._now_ns = t_ns

    def _begin(self, t_ns: int) -> None:
        self._listen_ns = t_ns + self._period_ms * _MS
        self._tell_ns = self._listen_ns + _LISTENING_MS * _MS
        self.next_event_ns = min(self._next_state_ns, self._listen_ns)

    def _tell(self, t_ns: int) -> None:
        self.counter = (self.counter + 1) & 0xFFFF
        told = sorted(self.replies, key=lambda reply: -reply.level_dbm)[:_MOST_REPLIES]
        self._send(
            _ROUND, struct.pack("<HBBHBB", self.counter, len(told), self._asking, _LISTENING_MS, _VERSION, 0), t_ns
        )
        for slot, reply in enumerate(told):
            first = self._measured(slot, reply)
            second = struct.pack("<BBI", slot, self.counter & 0xFF, reply.transponder_id)
            self._send(_MEASURED, first, t_ns)
            self._send(_IDENTITY, second + struct.pack("<H", _crc(first + second)), t_ns)

    def _measured(self, slot: int, reply: HeardReply) -> bytes:
        range_m = reply.range_m
        distance = 0xFFFF if range_m is None else max(0, min(0xFFFE, round(range_m * 2.0)))
        bearing = max(-18_000, min(18_000, round(degrees(reply.bearing_rad) * 100.0)))
        level = max(-128, min(127, round(reply.level_dbm)))
        kind = reply.authentic << 2 | reply.mode
        return struct.pack("<BBHhbB", slot, self.counter & 0xFF, distance, bearing, level, kind)

    def _send(self, base: int, data: bytes, t_ns: int) -> None:
        left = self.lost.get(base, 0)
        if left:
            self.lost[base] = left - 1
            return
        if self._transmit is not None and not self.silent:
            self._transmit(CanFrame(base + 0x10 * self._unit, data), t_ns)
