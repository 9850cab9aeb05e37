"""UDP without waiting: one record is one datagram, a source is ``address:port``, a flood costs what was asked for.

Names are never looked up, because that waits: addresses are numbers. What the kernel had to drop is counted where it
tells (SO_RXQ_OVFL), with every 32nd datagram.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

from comms.transports.paced import PacedTransport
from comms.transports.pacer import Pacer
from comms.transports.port import Datagram
from drivers.bus.can_socket import DropCount, enlarge_receive_buffer
from drivers.bus.counted import opening_error

__all__ = ["UdpTransport", "parse_address"]

LOOK_EVERY = 32
_ANCILLARY = 32
ADDRESSES_KEPT = 256
"""Parsed addresses that are remembered."""
BUFFER_BYTES = 1 << 20
_Address = tuple[str, int]


def parse_address(text: str) -> _Address:
    """``192.0.2.1:5000`` or ``[2001:db8::1]:5000`` as address and port. ValueError for anything else, names too."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        number = ip_address(host)
        if port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF and len(port) <= 5:
            return str(number), int(port)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no address such as 192.0.2.1:5000; names are not looked up")


def _written(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class UdpTransport(PacedTransport):
    """One UDP socket; a ``Transport``.

    Args:
        name: for people and events.
        bind: own address and port; port 0 as ``0.0.0.0:0`` lets the system choose.
        peer: where ``to=""`` goes; the last-heard peer if not given.
        mtu: longest datagram, bytes. A longer one that comes in is counted as noise.
        pacer: of the line.

    Raises:
        ValueError: an address that is none.
        DeviceError: the socket can't be opened (address in use, not of this machine, no permission).
    """

    def __init__(self, name: str, bind: str, *, peer: str = "", mtu: int = 1200, pacer: Pacer | None = None) -> None:
        super().__init__(name, mtu, pacer or Pacer(10e6, mtu))
        host, _, port = bind.rpartition(":")
        own = (str(ip_address(host.strip("[]"))), 0) if port == "0" else parse_address(bind)
        self._peer = parse_address(peer) if peer else None
        self._last: _Address | None = None
        self._known: dict[str, _Address] = {}
        self._family = socket.AF_INET6 if ":" in own[0] else socket.AF_INET
        self._drops = DropCount()
        self._until_look = 0
        self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            enlarge_receive_buffer(self._socket, BUFFER_BYTES)
            self._drops.enable(self._socket)
            self._socket.bind(own)
        except OSError as error:
            self._socket.close()
            raise opening_error(name, None, bind, error) from None
        self.address = _written(self._socket.getsockname())
        """Own address and port."""

    def fileno(self) -> int:
        """Descriptor that is readable when something has come, for who waits for it."""
        return self._socket.fileno()

    def close(self) -> None:
        """See Transport."""
        self._socket.close()

    def _ready(self, now_ns: int) -> bool:  # noqa: ARG002
        return self._socket.fileno() >= 0

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:  # noqa: ARG002
        target = self._target(to)
        if target is None:
            return False
        try:
            self._socket.sendto(payload, target)
        except OSError as error:
            # A full buffer, no route, a peer that isn't there: none of them is more than a lost datagram.
            self.fault = error.strerror or str(error)
            return False
        self.fault = ""
        return True

    def _take(self, most: int, now_ns: int) -> list[Datagram]:  # noqa: ARG002
        datagrams: list[Datagram] = []
        counts = self.counts
        longest = self.mtu + 1
        for _ in range(most):
            try:
                if self._until_look:
                    self._until_look -= 1
                    payload, source = self._socket.recvfrom(longest)
                else:
                    payload, source = self._look(longest)
            except BlockingIOError:
                break
            except OSError as error:
                # A datagram of ours that nobody took comes back as an error here; the socket itself stays good.
                self.fault = error.strerror or str(error)
                if self._socket.fileno() < 0:
                    break
                continue
            if not 0 < len(payload) < longest:
                counts.noise += 1
                continue
            self._last = (source[0], source[1])
            datagrams.append(Datagram(payload, _written(source)))
        return datagrams

    def _look(self, longest: int) -> tuple[bytes, _Address]:
        """One datagram by the longer way, with the kernel's drop count."""
        payload, ancillary, _, source = self._socket.recvmsg(longest, _ANCILLARY)
        self._until_look = LOOK_EVERY - 1
        if ancillary:
            self.counts.overruns = self._drops.read(ancillary)
        return payload, source

    def _target(self, to: str) -> _Address | None:
        if not to:
            return self._peer or self._last
        known = self._known.get(to)
        if known is None:
            try:
                known = parse_address(to)
            except ValueError:
                return None
            if len(self._known) >= ADDRESSES_KEPT:
                self._known.clear()
            self._known[to] = known
        return known
