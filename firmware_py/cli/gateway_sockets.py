"""Sockets of the CCSDS gateway: telecommands in and telemetry out over UDP and TCP, nothing waits for a slow reader.

Whoever reaches a telecommand port acts with the role of this station's key. Telecommands are therefore taken from this
computer and from addresses that were named, and from nobody else.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

from comms.ccsds import PacketStream
from comms.transports.udp import parse_address

__all__ = ["GatewayEnds", "GatewaySockets", "SocketCounts", "may_command"]

MOST_CLIENTS = 8
READ_BYTES = 65536
MOST_WAITING_BYTES = 1 << 20
"""Telemetry that waits for one reader; whole packets beyond it are dropped."""
MOST_PACKETS = 64
"""Telecommands taken in one turn."""
TELECOMMAND_BYTES = 8192


class GatewayEnds(NamedTuple):
    """Where the ground system is; empty ones are left out. ``tm_udp`` is its address, the others are our own.

    With one address for ``tc_tcp`` and ``tm_tcp`` a connection carries both.
    """

    tc_udp: str = ""
    tm_udp: str = ""
    tc_tcp: str = ""
    tm_tcp: str = ""


@dataclass(slots=True)
class SocketCounts:
    """Since start."""

    distrusted: int = 0
    """Datagrams and connections from addresses that may not command."""
    broken: int = 0
    """Connections that were closed because what came is no stream of packets."""
    dropped: int = 0
    """Telemetry packets that a reader did not take in time."""
    clients: int = 0


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    commands: bool
    telemetry: bool
    stream: PacketStream = field(default_factory=PacketStream)
    out: bytearray = field(default_factory=bytearray)


class GatewaySockets:
    """All sockets of one gateway.

    Args:
        ends: where they are.
        trusted: addresses besides this computer's own that may command.

    Raises:
        ValueError: an address that is none.
        OSError: a port can't be opened.
    """

    def __init__(self, ends: GatewayEnds, trusted: Collection[str] = ()) -> None:
        self.counts = SocketCounts()
        self._trusted = frozenset(str(ip_address(address)) for address in trusted)
        self._listeners: list[tuple[socket.socket, bool, bool]] = []
        self._clients: list[_Client] = []
        self._tc: socket.socket | None = None
        self._tm: socket.socket | None = None
        self._tm_to = parse_address(ends.tm_udp) if ends.tm_udp else None
        try:
            self._open(ends)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> GatewayEnds:
        """Own addresses as they were opened, with the ports that the system chose for port 0."""
        tcp = {"tc_tcp": "", "tm_tcp": ""}
        for listener, commands, telemetry in self._listeners:
            text = _written(listener)
            tcp.update({name: text for name, does in (("tc_tcp", commands), ("tm_tcp", telemetry)) if does})
        tm = "" if self._tm_to is None else f"{self._tm_to[0]}:{self._tm_to[1]}"
        return GatewayEnds("" if self._tc is None else _written(self._tc), tm, **tcp)

    def wait(self, most_s: float) -> None:
        """Wait until something comes in, or so long."""
        readers = [client.socket for client in self._clients] + [listener for listener, _, _ in self._listeners]
        if self._tc is not None:
            readers.append(self._tc)
        select.select(readers, [client.socket for client in self._clients if client.out], [], most_s)

    def telecommands(self) -> list[bytes]:
        """Packets that have come in."""
        self._accept()
        packets = self._datagrams()
        for client in list(self._clients):
            packets += self._read(client)
        return packets

    def send(self, packets: list[bytes]) -> None:
        """Give telemetry packets to everybody who reads."""
        for packet in packets:
            if self._tm is not None and self._tm_to is not None:
                try:
                    self._tm.sendto(packet, self._tm_to)
                except OSError:
                    self.counts.dropped += 1  # nobody listens there yet
            for client in self._clients:
                if not client.telemetry:
                    continue
                if len(client.out) + len(packet) > MOST_WAITING_BYTES:
                    self.counts.dropped += 1
                else:
                    client.out += packet
        for client in list(self._clients):
            self._flush(client)

    def close(self) -> None:
        """Close all of them."""
        for client in list(self._clients):
            self._drop(client)
        for listener, _, _ in self._listeners:
            listener.close()
        for end in (self._tc, self._tm):
            if end is not None:
                end.close()

    # -- inside

    def _open(self, ends: GatewayEnds) -> None:
        if ends.tc_udp:
            self._tc = _bound(ends.tc_udp, socket.SOCK_DGRAM)
        if self._tm_to is not None:
            self._tm = socket.socket(_family(self._tm_to[0]), socket.SOCK_DGRAM)
            self._tm.setblocking(False)
        if ends.tc_tcp and ends.tc_tcp == ends.tm_tcp:
            self._listeners.append((_bound(ends.tc_tcp, socket.SOCK_STREAM), True, True))
            return
        for address, commands in ((ends.tc_tcp, True), (ends.tm_tcp, False)):
            if address:
                self._listeners.append((_bound(address, socket.SOCK_STREAM), commands, not commands))

    def _trusts(self, host: str) -> bool:
        trusted = may_command(host, self._trusted)
        self.counts.distrusted += not trusted
        return trusted

    def _accept(self) -> None:
        for listener, commands, telemetry in self._listeners:
            try:
                connection, source = listener.accept()
            except OSError:
                continue  # nobody, or somebody who has gone again
            if (commands and not self._trusts(source[0])) or len(self._clients) >= MOST_CLIENTS:
                connection.close()
                continue
            connection.setblocking(False)
            self._clients.append(_Client(connection, commands, telemetry))
            self.counts.clients += 1

    def _datagrams(self) -> list[bytes]:
        packets: list[bytes] = []
        for _ in range(MOST_PACKETS if self._tc is not None else 0):
            assert self._tc is not None
            try:
                packet, source = self._tc.recvfrom(TELECOMMAND_BYTES)
            except OSError:
                break
            if self._trusts(source[0]):
                packets.append(packet)
        return packets

    def _read(self, client: _Client) -> list[bytes]:
        try:
            data = client.socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return []
        if not client.commands:
            return []
        packets = client.stream.feed(data)
        if client.stream.broken:
            self.counts.broken += 1
            self._drop(client)
        return packets

    def _flush(self, client: _Client) -> None:
        while client.out:
            try:
                taken = client.socket.send(client.out[:READ_BYTES])
            except BlockingIOError:
                return
            except OSError:
                self._drop(client)
                return
            del client.out[:taken]

    def _drop(self, client: _Client) -> None:
        client.socket.close()
        if client in self._clients:
            self._clients.remove(client)


def may_command(host: str, trusted: Collection[str]) -> bool:
    """Whether telecommands are taken from an address: this computer's own, and those that are trusted."""
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_loopback or str(address) in trusted


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bound(text: str, kind: socket.SocketKind) -> socket.socket:
    host, _, port = text.rpartition(":")
    address = (str(ip_address(host.strip("[]"))), 0) if port == "0" else parse_address(text)
    end = socket.socket(_family(address[0]), kind)
    try:
        end.setblocking(False)
        if kind is socket.SOCK_STREAM:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        end.bind(address)
        if kind is socket.SOCK_STREAM:
            end.listen(MOST_CLIENTS)
    except OSError as error:
        end.close()
        raise OSError(error.errno or errno.EIO, f"{text}: {error.strerror}") from None
    return end


def _written(end: socket.socket) -> str:
    host, port = end.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
