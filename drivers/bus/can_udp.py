"""A CAN bus over UDP multicast, as python-can's ``udp_multicast`` speaks it: whole frames or counted refusals.

For benches, laptops and rigs without a controller; several programs share one bus. Each datagram is a MessagePack map
(python-can 4, can/interfaces/udp_multicast/utils.py) of timestamp, arbitration_id, is_extended_id, is_remote_frame,
is_error_frame, channel, dlc, data, is_fd, bitrate_switch and error_state_indicator. It is decoded straight into a
structure; no python-can and no ``msgpack`` is needed, and peers that use them are understood and understand.

A controller doesn't hear itself. Multicast does, so each bus writes its own address and port into ``channel`` and drops
what comes back with it.

Multicast has no arbitration, no acknowledge and no authentication: whoever is on the network can send valve commands.
The default interface is therefore the loopback, and only datagrams that came in through it are taken (IP_MULTICAST_ALL
off). Peers made by python-can sit on the interface of the default route; ``interface="0.0.0.0"`` meets them there.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

import msgspec
from msgspec import Struct

from drivers.bus.batch import DatagramBatch, available
from drivers.bus.can_socket import MAX_DATA, STANDARD_MASK, DropCount, check_frame, enlarge_receive_buffer
from drivers.bus.counted import opening_error
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError

__all__ = ["LOOPBACK", "UdpCanBus", "UdpCounters"]

LOOPBACK = "127.0.0.1"
IP_MULTICAST_ALL = 49
LONGEST_DATAGRAM = 448
"""A classic frame takes about 170 bytes; what is longer is cut and refused. Python keeps objects of this size ready."""
REFUSED_A_CALL = 64
"""Datagrams refused in one call before it gives up."""
BATCH = 64
"""Datagrams that one system call takes."""
LOOK_EVERY = 32
_ANCILLARY = 32
_new = tuple.__new__
_HEAD = b"\x8b\xa9timestamp\xcb"
"""How a frame's map begins; eight bytes of time stamp follow."""
_STAMP_AT = len(_HEAD)
_SHAPE_AT = _STAMP_AT + 8
_TAIL = b"\xa5is_fd\xc2\xaebitrate_switch\xc2\xb5error_state_indicator\xc2"
"""How the map of a classic frame ends, right behind its data."""
_DATA_AT, _SHAPE_TO = -len(_TAIL), -len(_TAIL) - 8
SHAPES_KEPT = 4096
"""Identifiers that are remembered; there are 2048 of 11 bits."""

_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


class _Wire(Struct, gc=False):
    """One datagram; fields in the order in which python-can writes them."""

    timestamp: float
    arbitration_id: int
    is_extended_id: bool
    is_remote_frame: bool
    is_error_frame: bool
    channel: str | int | None
    dlc: int
    data: bytes
    is_fd: bool
    bitrate_switch: bool = False
    error_state_indicator: bool = False


@dataclass(slots=True)
class UdpCounters:
    """What the bus did since it was made."""

    sent: int = 0
    received: int = 0
    dropped: int = 0
    """Datagrams that found the receive buffer full, as of the last look."""
    malformed: int = 0
    """Datagrams that are no message, or one that contradicts itself."""
    unsupported: int = 0
    """Remote, error and CAN FD frames."""
    filtered: int = 0
    own: int = 0
    """Own frames that came back."""
    tx_full: int = 0
    reopens: int = 0


class UdpCanBus:
    """One multicast group as a CAN bus; a ``CanBus``.

    Args:
        name: of the bus in the board description.
        group: IPv4 multicast address, 224.0.0.0 to 239.255.255.255.
        port: UDP port.
        timeout_ms: how long ``send`` may wait for room, ms.
        interface: address of the local interface; ``0.0.0.0`` for the one of the default route.
        hop_limit: routers that a frame may pass, 0 for this machine only.
        filters: 11-bit ids to receive; ``None`` for every frame.

    Raises:
        ValueError: no such group, port or interface address.
        DeviceError: ABSENT, PERMISSION, PROTOCOL when the sockets can't be made.
    """

    def __init__(
        self, name: str, group: str, port: int, timeout_ms: int = 10, *, interface: str = LOOPBACK, hop_limit: int = 1,
        filters: Collection[int] | None = None,
    ) -> None:
        try:
            multicast = IPv4Address(group).is_multicast
            self._join = IPv4Address(group).packed + IPv4Address(interface).packed
        except AddressValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if not multicast:
            raise ValueError(f"{name}: {group} is no multicast address (224.0.0.0 to 239.255.255.255)")
        if not 1 <= port <= 0xFFFF:
            raise ValueError(f"{name}: {port} is no port")
        self.name = name
        self.counters = UdpCounters()
        self.receive_buffer_bytes = 0
        self._group = (group, port)
        self._timeout_ms = timeout_ms
        self._hop_limit = hop_limit
        self._filters = None if filters is None else frozenset(filters)
        self._drops = DropCount()
        self._until_look = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Wire).decode
        # All between time stamp and data of frames with eight bytes that were taken: equal bytes mean the same again.
        self._shapes: dict[bytes, tuple[int, bool]] = {}
        self._batch = DatagramBatch(LONGEST_DATAGRAM, BATCH) if available() else None
        self._open()

    # -- CanBus

    def send(self, frame: CanFrame) -> None:
        """See drivers.bus.protocol.CanBus. Raises TIMEOUT, ABSENT, PERMISSION; ValueError for no CAN frame."""
        can_id, data, extended = frame
        length = len(data)
        if length > MAX_DATA or not 0 <= can_id <= STANDARD_MASK:
            check_frame(self.name, can_id, length, extended)
        wire = self._encode(_Wire(0.0, can_id, extended, False, False, self._token, length, data, False))
        try:
            self._out.send(wire)
        except OSError as error:
            self._send_again(wire, error)
        self.counters.sent += 1

    def receive(self) -> CanFrame | None:
        """See drivers.bus.protocol.CanBus. Raises ABSENT when the socket is gone."""
        for _ in range(REFUSED_A_CALL):
            try:
                if self._until_look:
                    self._until_look -= 1
                    data = self._recv(LONGEST_DATAGRAM)
                else:
                    data = self._look()
            except BlockingIOError:
                return None
            except OSError as error:
                raise self._failure(error.errno) from None
            frame = self._frame(data)
            if frame is not None:
                self.counters.received += 1
                return frame
        return None

    # -- more

    def drain(self, limit: int) -> list[CanFrame]:
        """Up to ``limit`` frames that have arrived, oldest first. Raises as ``receive`` when there is none."""
        frames: list[CanFrame] = []
        if self._batch is None:
            self._drain_singly(frames, limit)
        else:
            self._drain_batches(self._batch, frames, limit)
        self.counters.received += len(frames)
        return frames

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """Receive these 11-bit ids only; ``None`` for everything."""
        self._filters = None if can_ids is None else frozenset(can_ids)
        self._shapes.clear()

    def reopen(self) -> None:
        """Close the sockets and join the group anew; what had arrived is lost. Raises as opening does."""
        self.close()
        self.counters.reopens += 1
        self._open()

    def fileno(self) -> int:
        """Descriptor that is readable when a frame has come, for who waits for one."""
        return self._in.fileno()

    def close(self) -> None:
        """Leave the group; every later call raises ABSENT."""
        self._in.close()
        self._out.close()

    # -- inside

    def _drain_batches(self, batch: DatagramBatch, frames: list[CanFrame], limit: int) -> None:
        append, find, frame_of, size = frames.append, self._shapes.get, self._frame, batch.size
        refused = 0
        while len(frames) < limit and refused < REFUSED_A_CALL:
            wanted = min(limit - len(frames), BATCH)
            try:
                count = batch.receive(self._in.fileno(), wanted)
            except OSError as error:
                if frames:
                    return  # the next call tells
                raise self._failure(error.errno) from None
            data, at = batch.data, 0
            for length in batch.lengths:
                end = at + length
                # As in _frame, here without a call: most frames come this way.
                known = find(data[at + _SHAPE_AT : end + _SHAPE_TO])
                if known is not None and data[end + _DATA_AT : end] == _TAIL and data[at : at + _STAMP_AT] == _HEAD:
                    append(_new(CanFrame, (known[0], data[end + _SHAPE_TO : end + _DATA_AT], known[1])))
                else:
                    frame = frame_of(data[at:end])
                    if frame is not None:
                        append(frame)
                    else:
                        refused += 1
                at += size
            if count < wanted:
                break
        if batch.drops is not None:
            self.counters.dropped = self._drops.total_of(batch.drops)

    def _drain_singly(self, frames: list[CanFrame], limit: int) -> None:
        tries = limit + REFUSED_A_CALL
        while len(frames) < limit and tries:
            tries -= 1
            try:
                frame = self._frame(self._look() if not self._until_look else self._recv(LONGEST_DATAGRAM))
            except BlockingIOError:
                return
            except OSError as error:
                if frames:
                    return
                raise self._failure(error.errno) from None
            self._until_look = max(0, self._until_look - 1)
            if frame is not None:
                frames.append(frame)

    def _open(self) -> None:
        group, port = self._group
        interface = self._join[4:]
        try:
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            raise opening_error(self.name, None, "a UDP socket", error) from None
        try:
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            self._in.close()
            raise opening_error(self.name, None, "a UDP socket", error) from None
        try:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                self._in.setsockopt(socket.SOL_SOCKET, option, 1)
            self._in.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            self.receive_buffer_bytes = enlarge_receive_buffer(self._in)
            self._in.bind((group, port))
            self._in.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._join)
            self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self._hop_limit)
            self._out.connect((group, port))
            address, own_port = self._out.getsockname()
        except OSError as error:
            self.close()
            what = f"multicast group {group}:{port} on interface {IPv4Address(interface)}"
            raise opening_error(self.name, None, what, error) from None
        self._in.setblocking(False)
        self._out.setblocking(False)
        self._drops.enable(self._in)
        self._recv = self._in.recv
        self._until_look = 0
        # Nobody else in reach of the group sends from this address and port.
        self._token = f"{address}:{own_port}"

    def _look(self) -> bytes:
        """One datagram by the longer way, with the kernel's drop count."""
        data, ancillary, _, _ = self._in.recvmsg(LONGEST_DATAGRAM, _ANCILLARY)
        self._until_look = LOOK_EVERY - 1
        if ancillary:
            self.counters.dropped = self._drops.read(ancillary)
        return data

    def _frame(self, datagram: bytes) -> CanFrame | None:
        """The frame of a datagram, or ``None`` after counting why there is none."""
        known = self._shapes.get(datagram[_SHAPE_AT:_SHAPE_TO])
        if known is not None and datagram[_DATA_AT:] == _TAIL and datagram[:_STAMP_AT] == _HEAD:
            return _new(CanFrame, (known[0], datagram[_SHAPE_TO:_DATA_AT], known[1]))
        try:
            wire = self._decode(datagram)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.counters.malformed += 1
            return None
        if wire.channel == self._token:
            self.counters.own += 1
            return None
        if wire.is_remote_frame or wire.is_error_frame or wire.is_fd:
            self.counters.unsupported += 1
            return None
        can_id, data, extended = wire.arbitration_id, wire.data, wire.is_extended_id
        length = len(data)
        if length != wire.dlc or length > MAX_DATA or not 0 <= can_id <= (0x1FFFFFFF if extended else STANDARD_MASK):
            self.counters.malformed += 1
            return None
        filters = self._filters
        if filters is not None and (extended or can_id not in filters):
            self.counters.filtered += 1
            return None
        if length == MAX_DATA and len(self._shapes) < SHAPES_KEPT and datagram[_SHAPE_TO:_DATA_AT] == data:
            self._shapes[datagram[_SHAPE_AT:_SHAPE_TO]] = (can_id, extended)
        return _new(CanFrame, (can_id, data, extended))

    def _send_again(self, wire: bytes, error: OSError) -> None:
        """Wait for room, no longer than the time-out, and send once more."""
        code = error.errno
        if code in _FULL and self._timeout_ms:
            poll = select.poll()
            poll.register(self._out, select.POLLOUT)
            if poll.poll(self._timeout_ms):
                try:
                    self._out.send(wire)
                    return
                except OSError as again:
                    code = again.errno
        if code in _FULL:
            self.counters.tx_full += 1
            raise DeviceError(self.name, None, Cause.TIMEOUT, "transmit queue full") from None
        raise self._failure(code) from None

    def _failure(self, code: int | None) -> DeviceError:
        cause = Cause.PERMISSION if code in _DENIED else Cause.ABSENT
        group, port = self._group
        return DeviceError(self.name, None, cause, f"multicast group {group}:{port}: {os.strerror(code or 0)}")
