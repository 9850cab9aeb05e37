"""ISO 15765-2 as a machine without a clock or a bus: frames in, frames out, one message each way, every time bounded.

Classic CAN frames of 8 bytes, normal addressing; messages to 4,095 bytes, longer ones by the 2016 edition's escape.
Who drives it hands in the frames of the peer (``hear``), asks for the frame that is due (``due``), puts it on the bus
and says so (``passed``). Time is a parameter, so a step of the wall clock changes nothing. Both ways run at once.

ISO 15765-2:2016: frames 9.6, flow control 9.6.5, timing 9.7, unexpected frames 9.8.3. Names of faults are N_Result's
(8.3.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum, unique

from comms.bounded import BoundedQueue

__all__ = ["FRAME_BYTES", "IsoTp", "IsoTpConfig", "IsoTpCounts", "IsoTpFault", "can_frames", "stmin_ns"]

FRAME_BYTES = 8
MS = 1_000_000
_SINGLE_MOST, _FIRST_HAS, _ESCAPED_HAS, _CONSECUTIVE_HAS = 7, 6, 2, 7
_LONGEST_SHORT_FORM = 0xFFF
_CONTINUE, _WAIT, _OVERFLOW = 0, 1, 2


@unique
class IsoTpFault(StrEnum):
    """Why a message was given up, or a frame was of no use."""

    TIMEOUT_A = "N_TIMEOUT_A"
    """The bus did not take our frame."""
    TIMEOUT_BS = "N_TIMEOUT_Bs"
    """The peer sent no flow control."""
    TIMEOUT_CR = "N_TIMEOUT_Cr"
    """The peer's next frame did not come."""
    WRONG_SN = "N_WRONG_SN"
    INVALID_FS = "N_INVALID_FS"
    UNEXP_PDU = "N_UNEXP_PDU"
    """A new message of the peer broke off its last one, or a frame came that belongs to none."""
    WFT_OVRN = "N_WFT_OVRN"
    """The peer asked to wait too often."""
    BUFFER_OVFLW = "N_BUFFER_OVFLW"
    """The message is longer than its receiver takes."""
    ERROR = "N_ERROR"
    """A frame that is none."""


@unique
class _Sending(IntEnum):
    IDLE = 0
    HEAD = 1
    """A single or first frame is due."""
    WAITING = 2
    """For flow control."""
    CONSECUTIVE = 3


@dataclass(frozen=True, slots=True)
class IsoTpConfig:
    """Timing and bounds of one end. ``st_min`` is the byte on the wire; ``padding`` fills frames up to 8 bytes."""

    block_size: int = 0
    st_min: int = 0
    n_as_ms: int = 1000
    n_bs_ms: int = 1000
    n_cr_ms: int = 1000
    most_waits: int = 8
    longest: int = 4095
    queue: int = 16
    padding: int | None = 0xCC

    def __post_init__(self) -> None:
        if not 0 <= self.block_size <= 0xFF or not 0 <= self.st_min <= 0xFF:
            raise ValueError("block_size and st_min are bytes")
        if not 1 <= self.longest <= 0xFFFF_FFFF:
            raise ValueError(f"longest {self.longest}: 1..4294967295 bytes are allowed")


@dataclass(slots=True)
class IsoTpCounts:
    """What an end did since start."""

    sent: int = 0
    failed: int = 0
    """Messages of ours that were given up."""
    received: int = 0
    overruns: int = 0
    """Whole messages that nobody took in time."""
    faults: dict[IsoTpFault, int] = field(default_factory=dict)

    def fault(self, what: IsoTpFault) -> None:
        """Count one fault."""
        self.faults[what] = self.faults.get(what, 0) + 1


def stmin_ns(code: int) -> int:
    """Separation time of a flow control's third byte, ns. Reserved codes mean the longest, 127 ms (9.6.5.4)."""
    if code <= 0x7F:
        return code * MS
    if 0xF1 <= code <= 0xF9:
        return (code - 0xF0) * 100_000
    return 0x7F * MS


def can_frames(length: int) -> int:
    """Frames of a message, flow control left out."""
    if length <= _SINGLE_MOST:
        return 1
    first = _FIRST_HAS if length <= _LONGEST_SHORT_FORM else _ESCAPED_HAS
    return 1 + (length - first + _CONSECUTIVE_HAS - 1) // _CONSECUTIVE_HAS


class IsoTp:
    """One end of one pair of identifiers."""

    def __init__(self, config: IsoTpConfig | None = None) -> None:
        self.config = config or IsoTpConfig()
        self.counts = IsoTpCounts()
        self._messages: BoundedQueue[bytes] = BoundedQueue(self.config.queue)
        # sending
        self._state = _Sending.IDLE
        self._message = b""
        self._at = 0
        self._number = 0
        self._block_left: int | None = None
        self._gap_ns = 0
        self._next_ns = 0
        self._since_ns: int | None = None
        """Since when the bus has not taken the frame that is due."""
        self._deadline_ns = 0
        self._waits = 0
        # receiving
        self._answer: bytes | None = None
        """Flow control that is due."""
        self._partial: bytearray | None = None
        self._total = 0
        self._expected = 0
        self._taken_of_block = 0
        self._late_ns = 0

    # -- sending

    @property
    def idle(self) -> bool:
        """Whether nothing is being sent."""
        return self._state is _Sending.IDLE

    @property
    def receiving(self) -> bool:
        """Whether a message has come in part."""
        return self._partial is not None

    def begin(self, message: bytes, now_ns: int) -> bool:
        """Send a message; ``False`` while another is on its way. ValueError for an empty one or one beyond 32 bits."""
        if not 0 < len(message) <= 0xFFFF_FFFF:
            raise ValueError(f"a message of {len(message)} bytes can't be sent")
        if self._state is not _Sending.IDLE:
            return False
        self._message = message
        self._state = _Sending.HEAD
        self._since_ns = now_ns
        self._at = self._waits = 0
        return True

    def due(self, now_ns: int) -> bytes | None:
        """The frame to put on the bus now, the same until ``passed``; ``None`` if there is none. Times run out here."""
        self._run_out(now_ns)
        if self._answer is not None:
            return self._answer
        if self._state is _Sending.HEAD:
            return self._head()
        if self._state is _Sending.CONSECUTIVE and now_ns >= self._next_ns:
            if self._since_ns is None:
                self._since_ns = now_ns
            return self._padded(bytes((0x20 | self._number,)) + self._message[self._at : self._at + _CONSECUTIVE_HAS])
        return None

    def passed(self, now_ns: int) -> None:
        """The frame that ``due`` gave is on the bus."""
        if self._answer is not None:
            self._answer = None
            self._late_ns = now_ns + self.config.n_cr_ms * MS
            return
        self._since_ns = None
        if self._state is _Sending.HEAD:
            length = len(self._message)
            if length <= _SINGLE_MOST:
                self._end(None)
                return
            self._at = _FIRST_HAS if length <= _LONGEST_SHORT_FORM else _ESCAPED_HAS
            self._number = 1
            self._await_flow(now_ns)
        elif self._state is _Sending.CONSECUTIVE:
            self._at += _CONSECUTIVE_HAS
            self._number = (self._number + 1) & 0xF
            self._next_ns = now_ns + self._gap_ns
            if self._at >= len(self._message):
                self._end(None)
            elif self._block_left is not None:
                self._block_left -= 1
                if not self._block_left:
                    self._await_flow(now_ns)

    # -- receiving

    def hear(self, data: bytes, now_ns: int) -> None:
        """Take one frame of the peer."""
        kind = data[0] >> 4 if data else 0xF
        if kind == 2:
            self._consecutive(data, now_ns)
        elif kind == 0:
            self._single(data)
        elif kind == 3:
            self._flow(data, now_ns)
        elif kind == 1:
            self._first(data, now_ns)
        else:
            self.counts.fault(IsoTpFault.ERROR)

    def take(self) -> bytes | None:
        """The oldest whole message, or ``None``."""
        return self._messages.take()

    # -- inside, sending

    def _head(self) -> bytes:
        message = self._message
        length = len(message)
        if length <= _SINGLE_MOST:
            return self._padded(bytes((length,)) + message)
        if length <= _LONGEST_SHORT_FORM:
            return (0x1000 | length).to_bytes(2, "big") + message[:_FIRST_HAS]
        return b"\x10\x00" + length.to_bytes(4, "big") + message[:_ESCAPED_HAS]

    def _await_flow(self, now_ns: int) -> None:
        self._state = _Sending.WAITING
        self._deadline_ns = now_ns + self.config.n_bs_ms * MS

    def _flow(self, data: bytes, now_ns: int) -> None:
        if self._state is not _Sending.WAITING:
            self.counts.fault(IsoTpFault.UNEXP_PDU)
            return
        status = data[0] & 0xF
        if status == _CONTINUE:
            if len(data) < 3:
                self.counts.fault(IsoTpFault.ERROR)
                return
            self._block_left = data[1] or None
            self._gap_ns = stmin_ns(data[2])
            self._next_ns = now_ns
            self._waits = 0
            self._state = _Sending.CONSECUTIVE
        elif status == _WAIT:
            self._waits += 1
            if self._waits > self.config.most_waits:
                self._end(IsoTpFault.WFT_OVRN)
            else:
                self._deadline_ns = now_ns + self.config.n_bs_ms * MS
        else:
            self._end(IsoTpFault.BUFFER_OVFLW if status == _OVERFLOW else IsoTpFault.INVALID_FS)

    def _end(self, fault: IsoTpFault | None) -> None:
        self._state = _Sending.IDLE
        self._message = b""
        self._since_ns = None
        if fault is None:
            self.counts.sent += 1
        else:
            self.counts.failed += 1
            self.counts.fault(fault)

    def _run_out(self, now_ns: int) -> None:
        if self._state is _Sending.WAITING:
            if now_ns > self._deadline_ns:
                self._end(IsoTpFault.TIMEOUT_BS)
        elif self._since_ns is not None and now_ns - self._since_ns > self.config.n_as_ms * MS:
            self._end(IsoTpFault.TIMEOUT_A)
        if self._partial is not None and now_ns > self._late_ns:
            self._break_off(IsoTpFault.TIMEOUT_CR)

    # -- inside, receiving

    def _single(self, data: bytes) -> None:
        length = data[0] & 0xF
        if not 0 < length <= len(data) - 1 or length > _SINGLE_MOST:
            self.counts.fault(IsoTpFault.ERROR)
            return
        if self._partial is not None:
            self._break_off(IsoTpFault.UNEXP_PDU)
        if length > self.config.longest:
            self.counts.fault(IsoTpFault.BUFFER_OVFLW)
            return
        self._store(data[1 : 1 + length])

    def _first(self, data: bytes, now_ns: int) -> None:
        if len(data) != FRAME_BYTES:
            self.counts.fault(IsoTpFault.ERROR)
            return
        length = (data[0] & 0xF) << 8 | data[1]
        begin = data[2:]
        if not length:
            length, begin = int.from_bytes(data[2:6], "big"), data[6:]
            if length <= _LONGEST_SHORT_FORM:
                self.counts.fault(IsoTpFault.ERROR)
                return
        elif length <= _SINGLE_MOST:
            self.counts.fault(IsoTpFault.ERROR)
            return
        if self._partial is not None:
            self._break_off(IsoTpFault.UNEXP_PDU)
        if length > self.config.longest or len(self._messages) >= self._messages.limit:
            self.counts.fault(IsoTpFault.BUFFER_OVFLW)
            self._answer = self._flow_control(_OVERFLOW)
            return
        self._partial = bytearray(begin)
        self._total = length
        self._expected = 1
        self._taken_of_block = 0
        self._late_ns = now_ns + self.config.n_cr_ms * MS
        self._answer = self._flow_control(_CONTINUE)

    def _consecutive(self, data: bytes, now_ns: int) -> None:
        partial = self._partial
        if partial is None:
            self.counts.fault(IsoTpFault.UNEXP_PDU)
            return
        missing = min(_CONSECUTIVE_HAS, self._total - len(partial))
        if len(data) - 1 < missing:
            self.counts.fault(IsoTpFault.ERROR)
            return
        if data[0] & 0xF != self._expected:
            self._break_off(IsoTpFault.WRONG_SN)
            return
        partial += data[1 : 1 + missing]
        self._expected = (self._expected + 1) & 0xF
        self._late_ns = now_ns + self.config.n_cr_ms * MS
        if len(partial) >= self._total:
            self._partial = None
            self._answer = None
            self._store(bytes(partial))
        elif self.config.block_size:
            self._taken_of_block += 1
            if self._taken_of_block >= self.config.block_size:
                self._taken_of_block = 0
                self._answer = self._flow_control(_CONTINUE)

    def _store(self, message: bytes) -> None:
        if self._messages.put(message):
            self.counts.received += 1
        else:
            self.counts.overruns += 1

    def _break_off(self, fault: IsoTpFault) -> None:
        self._partial = None
        self._answer = None
        self.counts.fault(fault)

    def _flow_control(self, status: int) -> bytes:
        return self._padded(bytes((0x30 | status, self.config.block_size, self.config.st_min)))

    def _padded(self, frame: bytes) -> bytes:
        padding = self.config.padding
        return frame if padding is None else frame.ljust(FRAME_BYTES, bytes((padding,)))
