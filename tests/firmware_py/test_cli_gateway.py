"""The gateway's sockets and its loop: telecommands over UDP and TCP reach the link, telemetry reaches every reader."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from spacepackets.ecss.tc import PusTc
from spacepackets.ecss.tm import PusTm
from typer.testing import CliRunner

from comms.bounded import BoundedQueue
from comms.ccsds import CcsdsGateway
from comms.ccsds.craft_time import TIME_BYTES
from comms.dictionary.fixed import APID, encode_arguments
from comms.dictionary.messages import Pong
from comms.flight_port import CommandStage, EventNote
from comms.link.ground import Arrival
from firmware_py.cli.gateway import StationLink, gateway_command, run_gateway, turn
from firmware_py.cli.gateway_sockets import GatewayEnds, GatewaySockets, may_command
from tests.comms.link_pair import Bench

LOCAL = "127.0.0.1:0"
PING = bytes(PusTc(service=17, message_subtype=1, apid=APID, seq_count=5).pack())


class FakeStation:
    """A ground station whose craft answers pings at once."""

    def __init__(self) -> None:
        self.arrivals: BoundedQueue[Arrival] = BoundedQueue(64)
        self.connected = True
        self.orders = SimpleNamespace(orders={})
        self.steps = 0

    def step(self, now_ns: int) -> None:
        self.steps += 1

    def ping(self, number: int) -> bool:
        self.say(Pong(number, 1000))
        return True

    def ask_parameters(self, first: int) -> bool:
        return True

    def order(self, name: str, arguments: Any, now_ns: int, **options: Any) -> Any:
        order = SimpleNamespace(number=len(self.orders.orders) + 1, end="", options=options, name=name)
        self.orders.orders[order.number] = order
        return order

    def say(self, what: Any) -> None:
        self.arrivals.put(Arrival(0, what))


class Setup:
    """Station, gateway and sockets."""

    def __init__(self, ends: GatewayEnds, trusted: tuple[str, ...] = ()) -> None:
        self.station = FakeStation()
        self.link = StationLink(self.station, lambda: 0)  # type: ignore[arg-type]
        self.gateway = CcsdsGateway(self.link)
        self.sockets = GatewaySockets(ends, trusted)

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.sockets.wait(0.2)
            turn(self.station, self.link, self.gateway, self.sockets, 0)

    def tcp(self, address: str) -> socket.socket:
        host, _, port = address.rpartition(":")
        client = socket.create_connection((host, int(port)), timeout=2.0)
        self.turn(1)
        return client


@contextmanager
def opened(ends: GatewayEnds, trusted: tuple[str, ...] = ()) -> Iterator[Setup]:
    made = Setup(ends, trusted)
    try:
        yield made
    finally:
        made.sockets.close()


def kinds(data: bytes) -> list[tuple[int, int]]:
    found = []
    while data:
        packet = PusTm.unpack(data, TIME_BYTES)
        found.append((packet.service, packet.message_subtype))
        data = data[packet.packet_len :]
    return found


ANSWERS = [(1, 1), (1, 3), (17, 2), (1, 7)]


def test_telecommands_come_and_telemetry_goes_over_udp() -> None:
    reader = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reader.bind(("127.0.0.1", 0))
    reader.settimeout(2.0)
    with opened(GatewayEnds(tc_udp=LOCAL, tm_udp=f"127.0.0.1:{reader.getsockname()[1]}")) as made:
        host, _, port = made.sockets.addresses.tc_udp.rpartition(":")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(PING, (host, int(port)))
        made.turn(1)
        assert [kinds(reader.recv(2000)) for _ in range(4)] == [[kind] for kind in ANSWERS]
        sender.close()
    reader.close()


def test_one_tcp_connection_may_carry_both() -> None:
    with opened(GatewayEnds(tc_tcp="127.0.0.1:0", tm_tcp="127.0.0.1:0")) as made:
        client = made.tcp(made.sockets.addresses.tc_tcp)
        client.sendall(PING[:7])
        made.turn(1)
        client.sendall(PING[7:])
        made.turn(1)
        assert kinds(client.recv(65536)) == ANSWERS
        client.close()
        made.turn(1)
        assert made.sockets.counts.clients == 1


def test_every_reader_gets_everything_and_may_not_command() -> None:
    with opened(GatewayEnds(tm_tcp=LOCAL)) as made:
        clients = [made.tcp(made.sockets.addresses.tm_tcp) for _ in range(3)]
        clients[0].sendall(PING)
        made.station.say(EventNote(0, "BAT_LOW", "warning", "x"))
        made.turn()
        assert [kinds(client.recv(65536)) for client in clients] == [[(5, 2)]] * 3
        for client in clients:
            client.close()


def test_a_reader_that_does_not_read_holds_nobody_up_and_loses_whole_packets() -> None:
    with opened(GatewayEnds(tm_tcp=LOCAL)) as made:
        lazy = made.tcp(made.sockets.addresses.tm_tcp)
        for _ in range(400):
            for _ in range(60):
                made.station.say(EventNote(0, "BAT_LOW", "warning", "x" * 96))
            turn(made.station, made.link, made.gateway, made.sockets, 0)
            if made.sockets.counts.dropped:
                break
        for _ in range(200):  # more than the kernel's own buffers hold
            made.sockets.send([b"\x08" * 4000] * 8)
        assert made.sockets.counts.dropped > 0
        lazy.close()


def test_what_is_no_stream_of_packets_ends_the_connection() -> None:
    with opened(GatewayEnds(tc_tcp=LOCAL)) as made:
        client = made.tcp(made.sockets.addresses.tc_tcp)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        made.turn(1)
        assert client.recv(100) == b""
        assert made.sockets.counts.broken == 1
        client.close()


def test_connections_are_bounded() -> None:
    with opened(GatewayEnds(tm_tcp=LOCAL)) as made:
        clients = [made.tcp(made.sockets.addresses.tm_tcp) for _ in range(10)]
        made.turn()
        assert made.sockets.counts.clients == 8
        for client in clients:
            client.close()


@pytest.mark.parametrize(("host", "may"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.5", True),
    ("::ffff:192.0.2.5", True), ("192.0.2.4", False), ("2001:db8::1", False), ("fe80::1%eth0", False),
])
def test_strangers_may_not_command(host: str, may: bool) -> None:
    assert may_command(host, {"192.0.2.5"}) is may


def test_a_command_that_nobody_answered_is_told_once() -> None:
    with opened(GatewayEnds(tm_tcp=LOCAL)) as made:
        hold = PusTc(service=8, message_subtype=1, apid=APID, app_data=encode_arguments("hold", {}))
        made.gateway.telecommand(bytes(hold.pack()))
        made.station.orders.orders[1].end = "expired"
        turn(made.station, made.link, made.gateway, made.sockets, 0)
        turn(made.station, made.link, made.gateway, made.sockets, 0)
        assert made.gateway.counts.reports == 1
        made.station.say(CommandStage(0, 1, "op:1", "op", "hold", "allowed"))
        turn(made.station, made.link, made.gateway, made.sockets, 0)
        assert made.gateway.counts.reports == 2


def test_an_unconnected_station_is_asked_for_nothing() -> None:
    station = FakeStation()
    station.connected = False
    link = StationLink(station, lambda: 0)  # type: ignore[arg-type]
    assert link.order("hold", {}, False, None) is None
    assert not link.ping(1)
    assert not link.ask_parameters(0)


def test_the_loop_serves_until_it_is_told_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    station = FakeStation()
    turns = iter([True, True, False])

    @contextmanager
    def opening() -> Iterator[Any]:
        yield station

    assert run_gateway(opening, tc_udp=LOCAL, tm_udp="", keep_going=lambda: next(turns)) == 0
    assert station.steps == 2
    text = capsys.readouterr().out
    assert "telecommands, UDP" in text
    assert "craft answers" in text


def command() -> Callable[..., None]:
    def opening(to: str, keys: Any, passphrase_file: Any, seal_key: Any) -> Any:
        raise AssertionError("not to be opened")

    return gateway_command(opening)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--tc-udp", "localhost:1"], "127.0.0.1:10025"),
    (["--trust", "somebody"], "somebody"),
])
def test_bad_input_is_refused_with_the_next_step(arguments: list[str], says: str) -> None:
    app = typer.Typer()
    app.command()(command())
    result = CliRunner().invoke(app, ["--to", "x", *arguments])
    assert result.exit_code == 2
    assert says in result.output


def test_a_port_in_use_is_named() -> None:
    with opened(GatewayEnds(tc_tcp=LOCAL)) as made:
        app = typer.Typer()
        app.command()(command())
        address = made.sockets.addresses.tc_tcp
        result = CliRunner().invoke(app, ["--to", "x", "--tc-udp", "", "--tc-tcp", address])
        assert result.exit_code == 2
        assert address in result.output


def test_a_telecommand_goes_over_a_sealed_link_and_its_reports_come_back() -> None:
    bench = Bench().connected()
    link = StationLink(bench.ground, lambda: bench.now)
    gateway = CcsdsGateway(link)
    bench.ground.arrivals.take_all()
    hold = PusTc(service=8, message_subtype=1, apid=APID, app_data=encode_arguments("hold", {}))
    gateway.telecommand(bytes(hold.pack()))
    gateway.telecommand(PING)
    got: list[bytes] = []

    def served() -> bool:
        for arrival in bench.ground.arrivals.take_all():
            gateway.message(arrival.what)
        got.extend(gateway.take())
        return not gateway.waiting and any((packet[7], packet[8]) == (3, 25) for packet in got)

    assert bench.run(10.0, served)
    assert [request.name for request in bench.requests] == ["hold"]
    found = [kind for packet in got for kind in kinds(packet)]
    assert {(1, 1), (1, 3), (1, 7), (17, 2), (3, 25)} <= set(found)
    assert found.count((1, 7)) == 2
    assert not gateway.counts.declined
