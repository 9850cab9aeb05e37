"""I2C, SPI and GPIO on a socket: chips answer as in one process, faults keep their cause, nobody can wedge a bus."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.bus.counted import InUse
from drivers.bus.protocol import ClearableBus, GpioBus, I2cBus, ReopenableBus, SpiBus
from drivers.bus.remote_buses import RemoteGpioBus, RemoteI2cBus, RemoteSpiBus
from drivers.bus.remote_frames import (
    CAUSES_BY_NUMBER,
    IN_USE,
    KINDS,
    LARGEST,
    VERSION,
    Answer,
    Operation,
    pack_request,
    read_answer,
)
from drivers.errors import Cause, DeviceError
from hil.bus.gpio import SimGpioBus
from hil.bus.i2c import SimI2cBus
from hil.bus.spi import SimSpiBus
from hil.chips.mb85rc256v import Mb85rc256v
from hil.faults import RAISES, Fault, FaultKind, Recovery
from hil.serve.side import Poller
from hil.serve.socket_side import REFUSALS_KEPT_OPEN, SocketSide
from tests.hil.serving import serving

ADDRESS = 0x50
PATIENCE_MS = 500


class Echo:
    """An SPI chip that turns every byte round."""

    spi_modes = frozenset({0, 3})
    max_hz = 1_000_000

    def transfer(self, data: bytes) -> bytes:
        return bytes(byte ^ 0xFF for byte in data)


class Bench:
    """An I2C bus with a memory on a socket."""

    def __init__(self, folder: Path) -> None:
        self.contacts = 0
        self.twin = SimI2cBus("i2c_a")
        self.memory = Mb85rc256v()
        self.twin.attach(ADDRESS, self.memory)
        self.path = folder / "i2c_a.sock"
        self.side = self.make()

    def make(self) -> SocketSide:
        return SocketSide("i2c_a", "i2c", self.twin, self.path, PATIENCE_MS, self._count)

    def _count(self) -> None:
        self.contacts += 1

    def connect(self) -> RemoteI2cBus:
        assert self.side.endpoint is not None
        return RemoteI2cBus("i2c_a", self.side.endpoint, 10, time.monotonic_ns)

    def raw(self) -> socket.socket:
        """A connection that speaks for itself."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(2.0)
        connection.connect(str(self.path))
        return connection


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with serving(bench.side):
        yield bench


def ask(connection: socket.socket, packet: bytes) -> Answer:
    connection.send(packet)
    answer = read_answer(connection.recv(LARGEST))
    assert answer is not None
    return answer


def hello(connection: socket.socket, kind: str = "i2c") -> Answer:
    return ask(connection, pack_request(1, Operation.HELLO, KINDS[kind], 0, VERSION))


# -- transfers


def test_bytes_written_to_a_chip_are_read_back(bench: Bench) -> None:
    bus = bench.connect()
    assert isinstance(bus, I2cBus)
    assert isinstance(bus, ClearableBus)
    assert isinstance(bus, ReopenableBus)
    bus.write(ADDRESS, b"\x01\x00" + b"kept")
    assert bus.write_read(ADDRESS, b"\x01\x00", 4) == b"kept"
    bus.write(ADDRESS, b"\x01\x02")
    assert bus.read(ADDRESS, 2) == b"pt"
    bus.close()
    assert bench.contacts == 1
    assert bench.side.counts()["served"] == 5


@pytest.mark.parametrize("kind", [kind for kind in RAISES if kind not in (FaultKind.ABSENT, FaultKind.BUS_OFF)])
def test_every_fault_of_the_bus_arrives_with_its_cause(bench: Bench, kind: FaultKind) -> None:
    bus = bench.connect()
    handle = bench.twin.inject(Fault(kind))
    with pytest.raises(DeviceError) as caught:
        bus.read(ADDRESS, 1)
    assert (caught.value.cause, caught.value.address) == (RAISES[kind], ADDRESS)
    assert caught.value.detail == "injected"
    bench.twin.clear(handle)
    bus.read(ADDRESS, 1)
    assert bench.side.failed >= 1
    bus.close()


def test_an_address_nobody_has_is_refused_as_on_copper(bench: Bench) -> None:
    bus = bench.connect()
    with pytest.raises(DeviceError) as caught:
        bus.write(0x51, b"\x00")
    assert caught.value.cause is Cause.NACK_ADDRESS
    bus.close()


def test_nine_clocks_and_reopening_reach_the_twin(bench: Bench) -> None:
    bus = bench.connect()
    bench.twin.inject(Fault(FaultKind.STUCK_BUS, until=Recovery.CLEAR))
    with pytest.raises(DeviceError):
        bus.read(ADDRESS, 1)
    bus.clear_bus()
    bus.read(ADDRESS, 1)
    bus.reopen()
    assert (bench.twin.cleared, bench.twin.reopened, bench.side.owners) == (1, 1, 2)
    bus.close()


def test_an_spi_transfer_is_one_request_under_one_select(tmp_path: Path) -> None:
    twin = SimSpiBus("spi0")
    twin.attach(1, Echo())
    side = SocketSide("spi0", "spi", twin, tmp_path / "spi0.sock", PATIENCE_MS, lambda: None)
    with serving(side):
        bus = RemoteSpiBus("spi0", side.endpoint or "", 10, time.monotonic_ns)
        assert isinstance(bus, SpiBus)
        with pytest.raises(DeviceError) as caught:
            bus.transfer(1, b"\x00")
        assert caught.value.cause is Cause.PROTOCOL  # not configured
        bus.configure(1, 3, 1_000_000)
        before = side.served
        assert bus.transfer(1, bytes(range(22))) == bytes(b ^ 0xFF for b in range(22))
        assert side.served == before + 1
        bus.configure(2, 0, 1_000_000)
        assert bus.transfer(2, b"\x12\x34") == b"\xff\xff"  # nobody drives the input
        bus.close()


def test_lines_follow_and_a_missing_line_is_absent(tmp_path: Path) -> None:
    twin = SimGpioBus("gpio", ("GPIO22", "GPIO27"), lambda: 0)
    side = SocketSide("gpio", "gpio", twin, tmp_path / "gpio.sock", PATIENCE_MS, lambda: None)
    with serving(side):
        bus = RemoteGpioBus("gpio", side.endpoint or "", 10, time.monotonic_ns)
        assert isinstance(bus, GpioBus)
        bus.set("GPIO22", True)
        assert (bus.get("GPIO22"), bus.get("GPIO27")) == (True, False)
        assert twin.get("GPIO22")
        for call in (lambda: bus.set("GPIO1", True), lambda: bus.get("GPIO1")):
            with pytest.raises(DeviceError) as caught:
                call()
            assert caught.value.cause is Cause.ABSENT
        bus.reopen()  # a twin without an adapter to open anew
        bus.close()


# -- owners


def test_a_bus_has_one_owner_and_the_next_may_come_when_it_has_gone(bench: Bench) -> None:
    first = bench.connect()
    with pytest.raises(InUse):
        bench.connect()
    assert first.read(ADDRESS, 1)
    first.close()
    second = bench.connect()
    second.read(ADDRESS, 1)
    second.close()
    assert (bench.side.owners, bench.side.turned_away) == (2, 1)


def test_an_owner_that_dies_in_the_middle_of_a_request_leaves_the_bus_to_the_next(bench: Bench) -> None:
    dying = bench.raw()
    hello(dying)
    for number in range(50):  # asks and never listens
        dying.send(pack_request(number, Operation.READ, ADDRESS, 200, b""))
    dying.close()
    bus = bench.connect()
    assert len(bus.read(ADDRESS, 8)) == 8
    bus.close()


def test_an_owner_that_never_reads_is_put_out_and_nobody_waits_for_it(bench: Bench) -> None:
    deaf = bench.raw()
    hello(deaf)
    put_out = False
    for _ in range(10_000):
        try:
            deaf.send(pack_request(1, Operation.READ, ADDRESS, 8000, b""))
        except OSError:
            put_out = True
            break
    assert put_out
    deaf.close()
    bus = bench.connect()
    bus.read(ADDRESS, 1)
    bus.close()


# -- bad requests


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\x01\x02\x03", "are no request"),
        (pack_request(9, 77, ADDRESS, 0, b""), "no operation 77"),
        (pack_request(9, Operation.TRANSFER, 0, 1, b"\x00"), "i2c has no operation TRANSFER"),
        (pack_request(9, Operation.HELLO, 1, 0, VERSION), "i2c has no operation HELLO"),
        (pack_request(9, Operation.READ, ADDRESS, 60_000, b""), "60000 bytes to read"),
        (bytes(LARGEST + 1), "at most"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_counted_and_survived(bench: Bench, packet: bytes, why: str) -> None:
    with bench.raw() as connection:
        hello(connection)
        answer = ask(connection, packet)
        assert CAUSES_BY_NUMBER[answer.status] is Cause.PROTOCOL
        assert why in answer.data.decode()
        assert bench.side.refused == 1
        assert ask(connection, pack_request(10, Operation.READ, ADDRESS, 3, b"")).status == 0


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (pack_request(1, Operation.READ, ADDRESS, 1, b""), "say hello first"),
        (pack_request(1, Operation.HELLO, KINDS["i2c"], 0, b"qiki-bus 9"), "say hello first"),
        (pack_request(1, Operation.HELLO, KINDS["spi"], 0, VERSION), "i2c_a is i2c"),
    ],
)
def test_nothing_is_done_before_a_good_hello(bench: Bench, packet: bytes, why: str) -> None:
    with bench.raw() as connection:
        assert why in ask(connection, packet).data.decode()
        assert (bench.contacts, bench.side.served) == (0, 0)
        assert hello(connection).data == VERSION


def test_who_sends_nothing_but_rubbish_is_put_out(bench: Bench) -> None:
    with bench.raw() as connection:
        for _ in range(REFUSALS_KEPT_OPEN):
            assert ask(connection, b"rubbish").status
        assert connection.recv(100) == b""
    bus = bench.connect()
    bus.close()


def test_transfers_and_settings_of_a_wrong_length_are_refused(tmp_path: Path) -> None:
    twin = SimSpiBus("spi0")
    side = SocketSide("spi0", "spi", twin, tmp_path / "spi0.sock", PATIENCE_MS, lambda: None)
    with serving(side), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(tmp_path / "spi0.sock"))
        hello(connection, "spi")
        for packet in (
            pack_request(2, Operation.TRANSFER, 0, 3, b"\x00"), pack_request(2, Operation.CONFIGURE, 0, 0, b"\x00"),
            pack_request(2, Operation.CLEAR, 0, 0, b""),
        ):
            assert CAUSES_BY_NUMBER[ask(connection, packet).status] is Cause.PROTOCOL
        assert side.refused == 3


def test_a_line_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    side = SocketSide(
        "gpio", "gpio", SimGpioBus("gpio", ("A",), lambda: 0), tmp_path / "g.sock", PATIENCE_MS, lambda: None
    )
    with serving(side), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(tmp_path / "g.sock"))
        hello(connection, "gpio")
        assert b"text" in ask(connection, pack_request(2, Operation.GET, 0, 1, b"\xff")).data
        assert ask(connection, pack_request(2, Operation.SET, 2, 0, b"A")).status not in (0, IN_USE)


# -- the socket itself


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(bench: Bench) -> None:
    other = bench.make()
    poller = Poller()
    with pytest.raises(FileExistsError, match="another rig"):
        other.start(poller)
    other.close()
    bus = bench.connect()  # the first one goes on
    bus.close()
    bench.side.close()
    assert not bench.path.exists()
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.bind(str(bench.path))
    left.close()
    with serving(other):
        assert bench.path.stat().st_mode & 0o777 == 0o660
        bench.connect().close()
    poller.close()


def test_what_is_no_socket_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(file)
    poller = Poller()
    for path in (file, link):
        side = SocketSide("gpio", "gpio", SimGpioBus("gpio", ("A",), lambda: 0), path, PATIENCE_MS, lambda: None)
        with pytest.raises(FileExistsError, match="not a socket"):
            side.start(poller)
        side.close()
    assert file.read_text() == "mine"
    assert link.is_symlink()
    poller.close()


def test_a_path_too_long_for_a_socket_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter folder"):
        SocketSide("i2c_a", "i2c", None, tmp_path / ("x" * 120), PATIENCE_MS, lambda: None)
