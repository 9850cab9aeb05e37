"""One SocketCAN controller: every frame the kernel kept, every frame it lost counted, its error states told as errors.

A raw AF_CAN socket without a library between: the kernel filters by id (CAN_RAW_FILTER), so that frames which no driver
wants cost nothing, and hands over the controller's own notices (CAN_RAW_ERR_FILTER), which are counted. After a bus-off
notice every call raises BUS_OFF, once what had arrived before is read, until the controller says that it was restarted
(``ip link set can0 type can restart-ms 100`` lets the kernel do that) or its interface goes down.

The receive buffer is enlarged: the kernel accounts several hundred bytes for each 16-byte frame, and the default buffer
overflows in a burst of 2000. What it still loses is counted by SO_RXQ_OVFL. The kernel's count is cumulative, so it is
read with every 32nd frame and the others take the shorter way.

Nothing here waits but ``send``, and that only for a socket that is full, no longer than the bus's time-out. A full
transmit queue of the interface (ENOBUFS) can't be waited for and is refused at once.

Frame layout, flags, notices: Linux include/uapi/linux/can.h, can/raw.h, can/error.h; Documentation/networking/can.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass

from drivers.bus.counted import opening_error
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError

__all__ = [
    "MAX_DATA", "CanCounters", "DropCount", "SocketCanBus", "check_frame", "enlarge_receive_buffer",
    "interface_up",
]

AF_CAN = 29
CAN_RAW = 1
SOL_CAN_RAW = 101
CAN_RAW_FILTER = 1
CAN_RAW_ERR_FILTER = 2
SO_RXQ_OVFL = 40
SO_RCVBUFFORCE = 33
SIOCGIFFLAGS = 0x8913
IFF_UP = 1
"""Numbers of Linux, spelled out because the socket module of other systems lacks them."""

EXTENDED = 0x8000_0000
REMOTE = 0x4000_0000
NOTICE = 0x2000_0000
STANDARD_MASK = 0x7FF
EXTENDED_MASK = 0x1FFF_FFFF
MAX_DATA = 8
MAX_FILTERS = 512
"""CAN_RAW_FILTER_MAX."""

# Classes of a notice, in its id (can/error.h).
TX_TIMEOUT = 0x001
ARBITRATION_LOST = 0x002
CONTROLLER = 0x004
PROTOCOL_VIOLATION = 0x008
TRANSCEIVER = 0x010
NO_ACK = 0x020
BUS_OFF = 0x040
BUS_ERROR = 0x080
RESTARTED = 0x100
ERROR_COUNTERS = 0x200
ALL_NOTICES = 0x3FF
# What a CONTROLLER notice says in data[1].
OVERRUN = 0x01 | 0x02
WARNING = 0x04 | 0x08
PASSIVE = 0x10 | 0x20

RECEIVE_BUFFER_BYTES = 4 << 20
LOOK_EVERY = 32
"""Frames between two looks at the kernel's drop count."""
NOTICES_A_CALL = 64
"""Notices read in one call before it gives up: a disconnected bus can bring thousands a second."""

_FRAME = struct.Struct("=IB3x8s")
_FRAME_BYTES = _FRAME.size
_DROPS = struct.Struct("=I")
_IFREQ = struct.Struct("16sH14x")
"""Name and flags of an interface (struct ifreq)."""
_ANCILLARY = 32
_new = tuple.__new__
# A NamedTuple made by tuple.__new__ costs half of one made by its own class.

_SEND_FULL = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOMEM})
_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENETDOWN, errno.ENETUNREACH, errno.EBADF, errno.ECONNREFUSED,
                   errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_NO_SOCKETCAN = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPFNOSUPPORT, errno.ESOCKTNOSUPPORT})


@dataclass(slots=True)
class CanCounters:
    """What a controller did since the bus was made; a reopened socket goes on counting."""

    sent: int = 0
    received: int = 0
    dropped: int = 0
    """Frames that found the receive buffer full, as of the last look."""
    malformed: int = 0
    remote: int = 0
    """Remote frames, which nothing here answers."""
    tx_full: int = 0
    notices: int = 0
    bus_off: int = 0
    restarted: int = 0
    error_warning: int = 0
    error_passive: int = 0
    arbitration_lost: int = 0
    no_ack: int = 0
    controller_overrun: int = 0
    protocol_violations: int = 0
    transceiver: int = 0
    bus_errors: int = 0
    tx_timeouts: int = 0
    tx_errors: int | None = None
    """The controller's own transmit error counter (ISO 11898-1), if it was told."""
    rx_errors: int | None = None
    reopens: int = 0


def check_frame(bus: str, can_id: int, length: int, extended: bool) -> None:
    """ValueError for a frame that classic CAN cannot carry."""
    if length > MAX_DATA or not 0 <= can_id <= (EXTENDED_MASK if extended else STANDARD_MASK):
        raise ValueError(f"{bus}: id {can_id:x}h with {length} bytes is no classic CAN frame")


def enlarge_receive_buffer(sock: socket.socket, wanted: int = RECEIVE_BUFFER_BYTES) -> int:
    """Ask for a receive buffer beyond the system's limit, then within it; what the kernel granted, bytes."""
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, wanted)
        except OSError:
            continue  # only root may go beyond net.core.rmem_max
        break
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


class DropCount:
    """The kernel's count of datagrams that a socket lost, which it sends along with a datagram (SO_RXQ_OVFL)."""

    __slots__ = ("_before", "total")

    def __init__(self) -> None:
        self._before = 0
        self.total = 0

    def enable(self, sock: socket.socket) -> None:
        """Ask for the count; a socket that can't tell it leaves the total as it is."""
        self._before = self.total
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        except OSError:
            return

    def read(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        """Total after the ancillary data of one datagram."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) >= _DROPS.size:
                return self.total_of(int(_DROPS.unpack_from(data)[0]))
        return self.total

    def total_of(self, count: int) -> int:
        """Total after a count that came along with a datagram."""
        self.total = self._before + count
        return self.total


def interface_up(sock: socket.socket, interface: str) -> bool:
    """Whether the interface that a socket is bound to still exists and is up (netdevice(7), SIOCGIFFLAGS)."""
    try:
        if not sock.getsockname()[0]:  # its interface was removed; one of the same name is another
            return False
        flags = fcntl.ioctl(sock.fileno(), SIOCGIFFLAGS, _IFREQ.pack(interface.encode(), 0))
    except OSError:
        return False
    return bool(_IFREQ.unpack(flags)[1] & IFF_UP)


class SocketCanBus:
    """One SocketCAN interface; a ``CanBus``.

    Args:
        name: of the bus in the board description.
        interface: network interface, such as ``can0``. Its bit rate is set by ``ip link``, not here.
        timeout_ms: how long ``send`` may wait for room in the socket, ms.
        filters: 11-bit ids to receive; ``None`` for every data frame.
        sock: an open datagram socket to use instead of a CAN one; it carries the same 16-byte frames.
        speed_hz: bit rate, only for the advice that an error gives.
        is_up: tells whether the interface that the socket is bound to exists and is up.

    Raises:
        DeviceError: ABSENT without such an interface or without SocketCAN, PERMISSION.
    """

    def __init__(
        self, name: str, interface: str, timeout_ms: int, *, filters: Collection[int] | None = None,
        sock: socket.socket | None = None, speed_hz: int | None = None,
        is_up: Callable[[socket.socket, str], bool] | None = None,
    ) -> None:
        self.name = name
        self._is_up = interface_up if is_up is None else is_up
        self.interface = interface
        self.counters = CanCounters()
        self.receive_buffer_bytes = 0
        self._timeout_ms = timeout_ms
        self._rate = str(speed_hz) if speed_hz else "<bit rate>"
        self._filters = filters
        self._given = sock is not None
        self._buffer = bytearray(_FRAME_BYTES)
        self._drops = DropCount()
        self._off = False
        self._down = ""
        self._until_look = 0
        if sock is None:
            sock = self._open()
        self._adopt(sock)

    # -- CanBus

    def send(self, frame: CanFrame) -> None:
        """See drivers.bus.protocol.CanBus. Raises BUS_OFF, TIMEOUT, ABSENT, PERMISSION; ValueError for no CAN frame."""
        can_id, data, extended = frame
        length = len(data)
        if length > MAX_DATA or not 0 <= can_id <= STANDARD_MASK or extended:
            check_frame(self.name, can_id, length, extended)
            if extended:
                can_id |= EXTENDED
        if self._off:
            raise self._bus_off()
        packed = _FRAME.pack(can_id, length, data)
        try:
            self._send(packed)
        except OSError as error:
            self._send_again(packed, error)
        self._down = ""
        self.counters.sent += 1

    def receive(self) -> CanFrame | None:
        """See drivers.bus.protocol.CanBus. Raises BUS_OFF, ABSENT, once everything that had arrived is read."""
        for _ in range(NOTICES_A_CALL):
            try:
                if self._until_look:
                    self._until_look -= 1
                    size = self._recv_into(self._buffer)
                else:
                    size = self._look()
            except BlockingIOError:
                break
            except OSError as error:
                raise self._lost(error) from None
            raw, length, data = _FRAME.unpack_from(self._buffer)
            if raw <= STANDARD_MASK and length <= MAX_DATA and size == _FRAME_BYTES:
                self.counters.received += 1
                return _new(CanFrame, (raw, data[:length], False))
            frame = self._uncommon(raw, length, data, size)
            if frame is not None:
                return frame
        self._refuse_if_off()
        return None

    # -- more

    def drain(self, limit: int) -> list[CanFrame]:
        """Up to ``limit`` frames that have arrived, oldest first. Raises as ``receive`` when there is none."""
        frames: list[CanFrame] = []
        buffer, recv_into, unpack = self._buffer, self._recv_into, _FRAME.unpack_from
        for _ in range(limit + NOTICES_A_CALL):
            if len(frames) >= limit:
                return frames
            try:
                if self._until_look:
                    self._until_look -= 1
                    size = recv_into(buffer)
                else:
                    size = self._look()
            except BlockingIOError:
                break
            except OSError as error:
                lost = self._lost(error)
                if frames:
                    return frames  # the next call tells
                raise lost from None
            raw, length, data = unpack(buffer)
            if raw <= STANDARD_MASK and length <= MAX_DATA and size == _FRAME_BYTES:
                self.counters.received += 1
                frames.append(_new(CanFrame, (raw, data[:length], False)))
            else:
                frame = self._uncommon(raw, length, data, size)
                if frame is not None:
                    frames.append(frame)
        if not frames:
            self._refuse_if_off()
        return frames

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """Receive data frames with these 11-bit ids only; ``None`` for everything. A reopened socket keeps it.

        Raises ABSENT for a socket that was closed or has lost its interface; the next one takes the filters over.
        """
        self._filters = can_ids
        if self._given:
            return
        try:
            self._filter(self._sock)
        except OSError as error:
            raise self._lost(error) from None

    @property
    def is_bus_off(self) -> bool:
        """Whether the controller has left the bus, as far as its notices were read."""
        return self._off

    def reopen(self) -> None:
        """Close the socket and open a new one; what had arrived is lost. Raises as opening does, or PROTOCOL."""
        if self._given:
            raise DeviceError(self.name, None, Cause.PROTOCOL, "a socket that was handed in can't be opened anew")
        self._sock.close()
        self.counters.reopens += 1
        try:
            self._adopt(self._open())
        except DeviceError as error:
            self._down = error.detail
            raise

    def fileno(self) -> int:
        """Descriptor that is readable when a frame or a notice has come, for who waits for one."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket; every later call raises ABSENT."""
        self._sock.close()

    # -- inside

    def _open(self) -> socket.socket:
        try:
            sock = socket.socket(AF_CAN, socket.SOCK_RAW, CAN_RAW)
        except OSError as error:
            if error.errno in _NO_SOCKETCAN:
                why = "this kernel has no SocketCAN; on Linux try: sudo modprobe can_raw"
                raise DeviceError(self.name, None, Cause.ABSENT, why) from None
            raise opening_error(self.name, None, self.interface, error) from None
        try:
            self._filter(sock)
            sock.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, _DROPS.pack(ALL_NOTICES))
            self.receive_buffer_bytes = enlarge_receive_buffer(sock)
            sock.bind((self.interface,))
        except OSError as error:
            sock.close()
            # A name longer than an interface's can be is refused by Python, without a number.
            if error.errno in (errno.ENODEV, errno.ENXIO, None):
                raise DeviceError(self.name, None, Cause.ABSENT, self._missing()) from None
            raise opening_error(self.name, None, self.interface, error) from None
        return sock

    def _adopt(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._drops.enable(sock)
        self._sock = sock
        self._send: Callable[[bytes], int] = sock.send
        self._recv_into: Callable[[bytearray], int] = sock.recv_into
        self._off = False
        self._down = ""
        self._until_look = 0

    def _filter(self, sock: socket.socket) -> None:
        ids = self._filters
        if ids is None or len(ids) > MAX_FILTERS:
            # Matches everything; a longer list than the kernel takes is left to whoever sorts the frames.
            rules = struct.pack("=II", 0, 0)
        else:
            # The flags in the mask keep out extended and remote frames of the same number.
            mask = STANDARD_MASK | EXTENDED | REMOTE
            rules = b"".join(struct.pack("=II", can_id & STANDARD_MASK, mask) for can_id in sorted(ids))
        sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, rules)

    def _look(self) -> int:
        """One frame by the longer way, with the kernel's drop count."""
        size, ancillary, _, _ = self._sock.recvmsg_into((self._buffer,), _ANCILLARY)
        self._until_look = LOOK_EVERY - 1
        if ancillary:
            self.counters.dropped = self._drops.read(ancillary)
        return size

    def _uncommon(self, raw: int, length: int, data: bytes, size: int) -> CanFrame | None:
        """An extended frame; ``None`` after counting a notice, a remote frame or what is no frame."""
        counters = self.counters
        if size != _FRAME_BYTES or length > MAX_DATA:
            counters.malformed += 1
        elif raw & NOTICE:
            self._notice(raw & EXTENDED_MASK, data)
        elif raw & REMOTE:
            counters.remote += 1
        elif raw & EXTENDED:
            counters.received += 1
            return CanFrame(raw & EXTENDED_MASK, data[:length], True)
        else:
            counters.malformed += 1
        return None

    def _notice(self, kind: int, data: bytes) -> None:
        counters = self.counters
        counters.notices += 1
        if kind & TX_TIMEOUT:
            counters.tx_timeouts += 1
        if kind & ARBITRATION_LOST:
            counters.arbitration_lost += 1
        if kind & CONTROLLER:
            state = data[1]
            if state & OVERRUN:
                counters.controller_overrun += 1
            if state & WARNING:
                counters.error_warning += 1
            if state & PASSIVE:
                counters.error_passive += 1
        if kind & PROTOCOL_VIOLATION:
            counters.protocol_violations += 1
        if kind & TRANSCEIVER:
            counters.transceiver += 1
        if kind & NO_ACK:
            counters.no_ack += 1
        if kind & BUS_ERROR:
            counters.bus_errors += 1
        if kind & ERROR_COUNTERS:
            counters.tx_errors, counters.rx_errors = data[6], data[7]
        if kind & BUS_OFF:
            counters.bus_off += 1
            self._off = True
        if kind & RESTARTED:
            counters.restarted += 1
            self._off = False

    def _send_again(self, packed: bytes, error: OSError) -> None:
        """Wait for room where the socket can say that there is; otherwise the error that fits. One repeat."""
        code = error.errno
        if code in (errno.EAGAIN, errno.EWOULDBLOCK) and self._timeout_ms:
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            if poll.poll(self._timeout_ms):
                try:
                    self._send(packed)
                    return
                except OSError as again:
                    code = again.errno
        if code in _SEND_FULL:
            self.counters.tx_full += 1
            raise DeviceError(self.name, None, Cause.TIMEOUT, "transmit queue full") from None
        raise self._lost(OSError(code, "")) from None

    def _lost(self, error: OSError) -> DeviceError:
        """The error of a failed reception; a socket that has lost its interface stays refused."""
        failure = self._failure(error.errno)
        if failure.cause is Cause.ABSENT:
            self._down = failure.detail
            self._until_look = 0
        return failure

    def _failure(self, code: int | None) -> DeviceError:
        if code in _GONE:
            detail = self._missing()
            if code == errno.ENETDOWN:
                # A controller comes up error-active: what was known of its state ended with the interface.
                self._off = False
                detail = (
                    f"interface {self.interface} is down; "
                    f"sudo ip link set {self.interface} up type can bitrate {self._rate} restart-ms 100"
                )
            return DeviceError(self.name, None, Cause.ABSENT, detail)
        cause = Cause.PERMISSION if code in _DENIED else Cause.PROTOCOL
        return DeviceError(self.name, None, cause, f"{self.interface}: {os.strerror(code or 0)}")

    def _missing(self) -> str:
        return f"no CAN interface {self.interface}; `ip -details link show type can` lists them (overlay, adapter)"

    def _bus_off(self) -> DeviceError:
        why = f"{self.interface} left the bus; sudo ip link set {self.interface} type can restart-ms 100 restarts it"
        return DeviceError(self.name, None, Cause.BUS_OFF, why)

    def _refuse_if_off(self) -> None:
        if self._off:
            raise self._bus_off()
        # A frame that is read now may have waited since before the interface went down: it proves nothing.
        if self._down and not self._is_up(self._sock, self.interface):
            raise DeviceError(self.name, None, Cause.ABSENT, self._down)
        self._down = ""
