"""CANopen codecs for a flight computer: every frame decodes to a value or a named rejection, never to an exception.

NMT, SYNC, heartbeat, EMCY and expedited SDO, and the client side of one SDO channel as a state machine that waits for
nothing. Source: CiA 301 version 4.2.0, sections 7.2.2 (PDO, SYNC, EMCY), 7.2.4 (SDO), 7.2.8 (NMT and
heartbeat), 7.3.3 (predefined connection set). Identifiers are 11-bit, multi-byte values little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, unique

from drivers.bus.protocol import CanFrame

__all__ = [
    "EMCY_BASE", "HEARTBEAT_BASE", "NEVER_NS", "RPDO1_BASE", "RPDO2_BASE", "RPDO3_BASE", "SDO_ANSWER_BASE",
    "SDO_REQUEST_BASE", "SYNC_FRAME", "TPDO1_BASE", "TPDO2_BASE", "Emergency", "NmtCommand", "NmtState", "Rejection",
    "SdoClient", "SdoOutcome", "SdoStatus", "abort_name", "consumer_heartbeat", "decode_emergency",
    "decode_heartbeat", "decode_sdo_answer", "encode_nmt", "encode_sdo_read", "encode_sdo_write", "heartbeat_frame",
]

# Predefined connection set, CiA 301 7.3.3, tables 38 and 39; the node id is added to each base.
EMCY_BASE = 0x080
TPDO1_BASE = 0x180
RPDO1_BASE = 0x200
TPDO2_BASE = 0x280
RPDO2_BASE = 0x300
RPDO3_BASE = 0x400
SDO_ANSWER_BASE = 0x580
SDO_REQUEST_BASE = 0x600
HEARTBEAT_BASE = 0x700

SYNC_FRAME = CanFrame(0x080, b"")
"""SYNC without counter (CiA 301 7.2.5)."""

NEVER_NS = 1 << 63
"""A time later than any the flight clock reaches: a timer that is not running."""

_LARGEST_NODE_ID = 127
_COMMAND_MASK = 0xE0
_READ_REQUEST = 0x40
_READ_ANSWER = 0x40
_WRITE_REQUEST = 0x20
_WRITE_ANSWER = 0x60
_ABORT = 0x80
_EXPEDITED = 0x02
_SIZE_INDICATED = 0x01
_SDO_HEAD = struct.Struct("<BHB")
_EMCY = struct.Struct("<HB5s")


@unique
class NmtCommand(IntEnum):
    """Command byte of an NMT frame (CiA 301 7.2.8.3.1)."""

    START = 0x01
    STOP = 0x02
    PRE_OPERATIONAL = 0x80
    RESET_NODE = 0x81
    RESET_COMMUNICATION = 0x82


@unique
class NmtState(IntEnum):
    """State byte of a heartbeat (CiA 301 7.2.8.3.2)."""

    BOOT_UP = 0x00
    STOPPED = 0x04
    OPERATIONAL = 0x05
    PRE_OPERATIONAL = 0x7F


@unique
class Rejection(Enum):
    """Why a received frame was not used. The value is the name of its counter."""

    WRONG_LENGTH = "wrong_length"
    UNKNOWN_ID = "unknown_id"
    EXTENDED_ID = "extended_id"
    OWN_ID = "own_id"
    """Another station sends the flight computer's heartbeat."""
    UNKNOWN_STATE = "unknown_state"
    SDO_NOT_AWAITED = "sdo_not_awaited"
    """Nothing was asked, or the answer is for another object or another kind of request."""
    SDO_NOT_EXPEDITED = "sdo_not_expedited"
    SDO_WRONG_SIZE = "sdo_wrong_size"
    SDO_UNKNOWN_COMMAND = "sdo_unknown_command"


_HEARTBEATS = {bytes((state,)): state for state in NmtState}

_ABORTS: dict[int, str] = {  # CiA 301 table 22
    0x0503_0000: "toggle_not_alternated",
    0x0504_0000: "timed_out",
    0x0504_0001: "unknown_command",
    0x0504_0005: "out_of_memory",
    0x0601_0000: "unsupported_access",
    0x0601_0001: "write_only",
    0x0601_0002: "read_only",
    0x0602_0000: "no_object",
    0x0604_0041: "not_mappable",
    0x0604_0042: "pdo_too_long",
    0x0604_0043: "parameter_incompatible",
    0x0604_0047: "internally_incompatible",
    0x0606_0000: "hardware_error",
    0x0607_0010: "wrong_length",
    0x0607_0012: "too_long",
    0x0607_0013: "too_short",
    0x0609_0011: "no_sub_index",
    0x0609_0030: "value_out_of_range",
    0x0609_0031: "value_too_high",
    0x0609_0032: "value_too_low",
    0x0609_0036: "maximum_below_minimum",
    0x060A_0023: "no_resource",
    0x0800_0000: "general_error",
    0x0800_0020: "cannot_store",
    0x0800_0021: "local_control",
    0x0800_0022: "wrong_state",
    0x0800_0023: "no_dictionary",
    0x0800_0024: "no_data",
}


def abort_name(code: int) -> str:
    """Name of an SDO abort code; ``other`` for a code that CiA 301 does not list, so that names stay bounded."""
    return _ABORTS.get(code, "other")


def encode_nmt(command: NmtCommand, node_id: int) -> CanFrame:
    """NMT command frame for one node, or for all with ``node_id`` 0. Raises ValueError for an impossible id."""
    if not 0 <= node_id <= _LARGEST_NODE_ID:
        raise ValueError(f"node id {node_id} is not in 0..{_LARGEST_NODE_ID}")
    return CanFrame(0x000, bytes((command, node_id)))


def heartbeat_frame(node_id: int, state: NmtState) -> CanFrame:
    """Heartbeat (or boot-up) frame of ``node_id``."""
    return CanFrame(HEARTBEAT_BASE + node_id, bytes((state,)))


def consumer_heartbeat(producer: int, time_ms: int) -> int:
    """Value of object 1016h: watch the heartbeat of node ``producer`` with this time-out (CiA 301 7.5.2.15)."""
    return producer << 16 | time_ms


def decode_heartbeat(data: bytes) -> NmtState | Rejection:
    """State that a heartbeat reports."""
    state = _HEARTBEATS.get(data)
    if state is not None:
        return state
    return Rejection.UNKNOWN_STATE if len(data) == 1 else Rejection.WRONG_LENGTH


@dataclass(frozen=True, slots=True)
class Emergency:
    """One EMCY frame (CiA 301 7.2.7). ``code`` 0 means that an error is gone; ``detail`` is five bytes of the maker."""

    t_ns: int
    code: int
    register: int
    detail: bytes


def decode_emergency(data: bytes, t_ns: int) -> Emergency | Rejection:
    """EMCY frame that arrived at ``t_ns``."""
    if len(data) != _EMCY.size:
        return Rejection.WRONG_LENGTH
    code, register, detail = _EMCY.unpack(data)
    return Emergency(t_ns, code, register, detail)


def encode_sdo_read(node_id: int, index: int, subindex: int) -> CanFrame:
    """Request to upload one object."""
    return CanFrame(SDO_REQUEST_BASE + node_id, _SDO_HEAD.pack(_READ_REQUEST, index, subindex) + bytes(4))


def encode_sdo_write(node_id: int, index: int, subindex: int, value: int, size: int) -> CanFrame:
    """Request for an expedited download of an unsigned value of 1..4 bytes.

    Raises:
        ValueError: ``size`` is not 1..4, or ``value`` does not fit.
    """
    if not 1 <= size <= 4 or not 0 <= value < 1 << 8 * size:
        raise ValueError(f"{value} is no unsigned value of {size} bytes")
    command = _WRITE_REQUEST | (4 - size) << 2 | _EXPEDITED | _SIZE_INDICATED
    return CanFrame(
        SDO_REQUEST_BASE + node_id, _SDO_HEAD.pack(command, index, subindex) + value.to_bytes(4, "little")
    )


@unique
class SdoStatus(Enum):
    """How a request ended."""

    DONE = "done"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class SdoOutcome:
    """The end of one SDO request. ``value`` is set by a read that is DONE, ``abort_code`` by ABORTED."""

    index: int
    subindex: int
    status: SdoStatus
    value: int | None = None
    abort_code: int | None = None


def decode_sdo_answer(data: bytes, index: int, subindex: int, size: int | None) -> SdoOutcome | Rejection:
    """What a server answers to the request for one object.

    Args:
        data: the frame's data.
        index: object that was asked for.
        subindex: its sub-index.
        size: bytes that a read must bring, ``None`` if the request was a write.
    """
    if len(data) != 8:
        return Rejection.WRONG_LENGTH
    head, answer_index, answer_subindex = _SDO_HEAD.unpack_from(data)
    command = head & _COMMAND_MASK
    if command not in (_READ_ANSWER, _WRITE_ANSWER, _ABORT):
        return Rejection.SDO_UNKNOWN_COMMAND
    if answer_index != index or answer_subindex != subindex:
        return Rejection.SDO_NOT_AWAITED
    if command == _ABORT:
        return SdoOutcome(index, subindex, SdoStatus.ABORTED, abort_code=int.from_bytes(data[4:], "little"))
    if (command == _WRITE_ANSWER) != (size is None):
        return Rejection.SDO_NOT_AWAITED
    if size is None:
        return SdoOutcome(index, subindex, SdoStatus.DONE)
    if not head & _EXPEDITED:
        return Rejection.SDO_NOT_EXPEDITED
    # A server may leave the size out (s = 0); then the object's own size is taken.
    if head & _SIZE_INDICATED and 4 - (head >> 2 & 0x03) != size:
        return Rejection.SDO_WRONG_SIZE
    return SdoOutcome(index, subindex, SdoStatus.DONE, int.from_bytes(data[4 : 4 + size], "little"))


class SdoClient:
    """Client side of one node's SDO channel: one request at a time, repeated only when nothing answers.

    The owner calls :meth:`on_answer` with every frame of the channel and :meth:`on_time` once ``due_ns`` has passed.
    A request is repeated only as often as its caller allows; allow it for reads and for writes that may be done twice.

    Args:
        node_id: server.
        send: takes a frame to the bus; its errors pass through.
        timeout_ns: how long one attempt waits for its answer.
    """

    __slots__ = ("_frame", "_index", "_left", "_node_id", "_send", "_size", "_subindex", "_timeout_ns", "due_ns",
                 "repeats")

    def __init__(self, node_id: int, send: Callable[[CanFrame], None], timeout_ns: int) -> None:
        self._node_id = node_id
        self._send = send
        self._timeout_ns = timeout_ns
        self._frame: CanFrame | None = None
        self._index = 0
        self._subindex = 0
        self._size: int | None = None
        self._left = 0
        self.due_ns = NEVER_NS
        self.repeats = 0

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._frame is not None

    def read(self, now_ns: int, index: int, subindex: int, size: int, repeats: int) -> None:
        """Ask for an object of ``size`` bytes. A request that still waits is given up."""
        self._begin(now_ns, encode_sdo_read(self._node_id, index, subindex), index, subindex, size, repeats)

    def write(self, now_ns: int, index: int, subindex: int, value: int, size: int, repeats: int) -> None:
        """Write an unsigned value of ``size`` bytes. A request that still waits is given up."""
        frame = encode_sdo_write(self._node_id, index, subindex, value, size)
        self._begin(now_ns, frame, index, subindex, None, repeats)

    def cancel(self) -> None:
        """Forget the request; an answer that comes later is not awaited."""
        self._frame = None
        self.due_ns = NEVER_NS

    def on_answer(self, data: bytes) -> SdoOutcome | Rejection:
        """Take a frame of the channel: the end of the request, or why the frame is not its end."""
        if self._frame is None:
            return Rejection.SDO_NOT_AWAITED if len(data) == 8 else Rejection.WRONG_LENGTH
        result = decode_sdo_answer(data, self._index, self._subindex, self._size)
        if isinstance(result, SdoOutcome):
            self.cancel()
        return result

    def on_time(self, now_ns: int) -> SdoOutcome | None:
        """Repeat the request if its time is over and repeats are left; otherwise its end, TIMED_OUT."""
        if self._frame is None or now_ns < self.due_ns:
            return None
        if self._left == 0:
            self.cancel()
            return SdoOutcome(self._index, self._subindex, SdoStatus.TIMED_OUT)
        self._left -= 1
        self.repeats += 1
        self.due_ns = now_ns + self._timeout_ns
        self._send(self._frame)
        return None

    def _begin(
        self, now_ns: int, frame: CanFrame, index: int, subindex: int, size: int | None, repeats: int
    ) -> None:
        self._frame = frame
        self._index = index
        self._subindex = subindex
        self._size = size
        self._left = repeats
        self.due_ns = now_ns + self._timeout_ns
        self._send(frame)
