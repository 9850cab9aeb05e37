"""A serial line as a transport: framed, non-blocking, opened anew when it comes back, and noise is only counted."""

from __future__ import annotations

from comms.bounded import BoundedQueue
from comms.transports.paced import PacedTransport, plain_bytes
from comms.transports.pacer import Pacer
from comms.transports.port import Datagram
from comms.transports.serial_frame import Deframer, encode_frame, framed_bytes
from drivers.bus.protocol import ReopenableBus, SerialBus
from drivers.errors import Cause, DeviceError

__all__ = ["SerialTransport"]

REOPEN_PERIOD_NS = 1_000_000_000
READ_BYTES = 4096
"""Bytes taken from the port at once: what a Linux tty holds."""
WAITING = 64
"""Payloads that wait for somebody to take them."""


class SerialTransport(PacedTransport):
    """A serial port, real or simulated, with framing; a ``Transport``.

    Args:
        name: for people and events.
        port: the line: drivers.bus.protocol.SerialBus.
        mtu: longest datagram, bytes.
        pacer: of the line. Its queue should fit the port's own buffer (4,096 bytes on Linux), so that no write waits.
        framed: ``False`` when the modem itself keeps datagrams apart and hands each over at once; what one read brings
            is then one datagram.
    """

    def __init__(self, name: str, port: SerialBus, *, mtu: int, pacer: Pacer, framed: bool = True) -> None:
        super().__init__(name, mtu, pacer, framed_bytes if framed else plain_bytes)
        self._port = port
        self._framed = framed
        self._deframer = Deframer(mtu)
        self._waiting: BoundedQueue[bytes] = BoundedQueue(WAITING, keep_new=True)
        self._down_ns: int | None = None
        """When opening it anew was last tried; ``None`` while it is up."""
        self.reopened = 0

    @property
    def deframer(self) -> Deframer:
        """What cuts the stream; for its counts."""
        return self._deframer

    def close(self) -> None:
        """See Transport."""
        close = getattr(self._port, "close", None)
        if close is not None:
            close()

    def _ready(self, now_ns: int) -> bool:
        return self._down_ns is None or self._reopen(now_ns)

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:
        if to not in ("", self.name):
            return False
        try:
            self._port.write(encode_frame(payload) if self._framed else payload)
        except DeviceError as error:
            self._failed(error, now_ns)
            return False
        return True

    def _take(self, most: int, now_ns: int) -> list[Datagram]:
        if self._down_ns is None or self._reopen(now_ns):
            self._read(most, now_ns)
        return [Datagram(payload, self.name) for payload in self._waiting.take_all(most)]

    def _read(self, most: int, now_ns: int) -> None:
        counts, waiting = self.counts, self._waiting
        while len(waiting) < most:
            try:
                arrived = self._port.read(READ_BYTES)
            except DeviceError as error:
                self._failed(error, now_ns)
                break
            if not arrived:
                break
            if self._framed:
                for payload in self._deframer.feed(arrived):
                    waiting.put(payload)
                if len(arrived) < READ_BYTES:
                    break
            elif len(arrived) <= self.mtu:
                waiting.put(arrived)
            else:
                counts.noise += 1
        if self._framed:
            counts.noise = self._deframer.counts.noise
        counts.overruns = waiting.dropped

    def _failed(self, error: DeviceError, now_ns: int) -> None:
        self.fault = str(error)
        if error.cause is Cause.ABSENT and isinstance(self._port, ReopenableBus):
            self._down_ns = now_ns
            self._deframer.clear()

    def _reopen(self, now_ns: int) -> bool:
        if self._down_ns is not None and now_ns - self._down_ns < REOPEN_PERIOD_NS:
            return False
        self._down_ns = now_ns
        if isinstance(self._port, ReopenableBus):
            try:
                self._port.reopen()
            except DeviceError as error:
                self.fault = str(error)
                return False
        self._down_ns = None
        self.fault = ""
        self.reopened += 1
        return True
