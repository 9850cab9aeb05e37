"""Records over a CAN bus by ISO-TP: one identifier each way, so that a docked neighbour is a line like any other."""

from __future__ import annotations

from comms.transports.isotp import IsoTp, IsoTpConfig, can_frames
from comms.transports.paced import PacedTransport
from comms.transports.pacer import Pacer
from comms.transports.port import Datagram
from drivers.bus.protocol import CanBus, CanFrame, ReopenableBus
from drivers.errors import Cause, DeviceError

__all__ = ["CAN_FRAME_BYTES", "CanTransport", "can_bytes"]

CAN_FRAME_BYTES = 17
"""A frame of 8 data bytes on the wire, stuffed at worst: 135 bits with an 11-bit identifier (Davis et al., "Controller
Area Network (CAN) schedulability analysis", Real-Time Systems 35, 2007)."""
FRAMES_A_TURN = 128
"""Frames that are read, and frames that are written, in one call."""
REOPEN_PERIOD_NS = 1_000_000_000


def can_bytes(length: int) -> int:
    """Bytes on the bus for a datagram of ``length`` bytes, its flow control included."""
    frames = can_frames(length)
    return CAN_FRAME_BYTES * (frames + (frames > 1))


class CanTransport(PacedTransport):
    """ISO-TP between two identifiers; a ``Transport``.

    Args:
        name: for people and events.
        bus: drivers.bus.protocol.CanBus, real or simulated. This transport is its only reader: frames with other
            identifiers are counted and dropped. SocketCAN gives every program a reader of its own.
        tx_id: identifier of the frames it sends; the peer has both the other way round.
        rx_id: identifier of the frames it takes.
        pacer: of the line.
        extended: 29-bit identifiers.
        mtu: longest datagram, bytes.
        config: timing of ISO-TP; its ``longest`` is raised or lowered to ``mtu``.

    Attributes:
        foreign: frames with other identifiers.
    """

    def __init__(
        self, name: str, bus: CanBus, tx_id: int, rx_id: int, *, pacer: Pacer, extended: bool = False, mtu: int = 1200,
        config: IsoTpConfig | None = None,
    ) -> None:
        highest = 0x1FFF_FFFF if extended else 0x7FF
        if not (0 <= tx_id <= highest and 0 <= rx_id <= highest and tx_id != rx_id):
            raise ValueError(f"{name}: identifiers {tx_id:#x}, {rx_id:#x}; two different ones up to {highest:#x} are "
                             "allowed")
        super().__init__(name, mtu, pacer, can_bytes)
        base = config or IsoTpConfig()
        self.isotp = IsoTp(IsoTpConfig(base.block_size, base.st_min, base.n_as_ms, base.n_bs_ms, base.n_cr_ms,
                                       base.most_waits, mtu, base.queue, base.padding))
        self.foreign = 0
        self._bus = bus
        self._tx_id = tx_id
        self._rx_id = rx_id
        self._extended = extended
        self._source = f"{rx_id:x}"
        self._down_ns: int | None = None
        self._failed = 0

    def close(self) -> None:
        """See Transport."""
        close = getattr(self._bus, "close", None)
        if close is not None:
            close()

    def step(self, now_ns: int) -> None:
        """Read and write frames; ``receive`` and ``send`` do it too, so a line that is polled needs nothing more."""
        if self._down_ns is not None and not self._reopen(now_ns):
            return
        try:
            self._hear(now_ns)
            self._speak(now_ns)
        except DeviceError as error:
            self.fault = str(error)
            if error.cause is not Cause.TIMEOUT:  # a full queue is no more than a moment
                self._down_ns = now_ns

    def _ready(self, now_ns: int) -> bool:  # noqa: ARG002
        return self._down_ns is None and self.isotp.idle

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:
        if to not in ("", self._source) or not self.isotp.begin(payload, now_ns):
            return False
        self.step(now_ns)
        return True

    def _take(self, most: int, now_ns: int) -> list[Datagram]:
        self.step(now_ns)
        datagrams: list[Datagram] = []
        while len(datagrams) < most and (message := self.isotp.take()) is not None:
            datagrams.append(Datagram(message, self._source))
        counts = self.isotp.counts
        self.counts.overruns = counts.overruns
        self.counts.noise = sum(counts.faults.values()) - counts.failed
        self.counts.refused += counts.failed - self._failed
        self._failed = counts.failed
        return datagrams

    def _hear(self, now_ns: int) -> None:
        for _ in range(FRAMES_A_TURN):
            frame = self._bus.receive()
            if frame is None:
                return
            if frame.can_id == self._rx_id and frame.extended == self._extended:
                self.isotp.hear(frame.data, now_ns)
                if self.isotp.due(now_ns) is not None:
                    self._speak(now_ns)  # flow control at once: the peer waits for it
            else:
                self.foreign += 1

    def _speak(self, now_ns: int) -> None:
        for _ in range(FRAMES_A_TURN):
            data = self.isotp.due(now_ns)
            if data is None:
                return
            self._bus.send(CanFrame(self._tx_id, data, self._extended))
            self.isotp.passed(now_ns)

    def _reopen(self, now_ns: int) -> bool:
        if self._down_ns is not None and now_ns - self._down_ns < REOPEN_PERIOD_NS:
            return False
        self._down_ns = now_ns
        if isinstance(self._bus, ReopenableBus):
            try:
                self._bus.reopen()
            except DeviceError as error:
                self.fault = str(error)
                return False
        self._down_ns = None
        self.fault = ""
        return True
