"""One end of a bus behind a socket, against a far end that is told what to answer: never late in silence or torn."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.bus.counted import InUse
from drivers.bus.remote_buses import RemoteGpioBus, RemoteI2cBus, RemoteSpiBus
from drivers.bus.remote_end import Endpoint, endpoint_of, is_remote
from drivers.bus.remote_frames import VERSION, Operation, Request, pack_answer, pack_refusal, read_request
from drivers.errors import Cause, DeviceError

Script = Callable[[Request], list[bytes] | None]


def data(payload: bytes) -> Script:
    return lambda request: [pack_answer(request.number, payload)]


class FarEnd:
    """Says hello, then answers each request by the next word of its script; ``None`` hangs up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[Request] = []
        self.script: list[Script] = []
        self.hello: Script = data(VERSION)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def device(self) -> str:
        return f"unix://{self.path}"

    def close(self) -> None:
        # Shut down, not only closed: a thread that waits in accept would keep the listener alive.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(2.0)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                self._answer_all(connection)

    def _answer_all(self, connection: socket.socket) -> None:
        while packet := connection.recv(10_000):
            request = read_request(packet)
            assert isinstance(request, Request)
            if request.operation is Operation.HELLO:
                answers = self.hello(request)
            else:
                self.heard.append(request)
                answers = self.script.pop(0)(request) if self.script else [pack_answer(request.number, b"")]
            if answers is None:
                return
            for answer in answers:
                connection.send(answer)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarEnd]:
    end = FarEnd(tmp_path / "bus.sock")
    yield end
    end.close()


@pytest.fixture
def i2c(far: FarEnd) -> Iterator[RemoteI2cBus]:
    bus = RemoteI2cBus("i2c_a", far.device, 30, time.monotonic_ns)
    yield bus
    bus.close()


def cause_of(call: Callable[[], object]) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call()
    assert caught.value.bus in ("i2c_a", "spi0", "gpio")
    return caught.value


# -- device strings


def test_a_device_string_says_where_and_how_patiently() -> None:
    assert endpoint_of("unix:///run/rig/i2c_a.sock", 10) == Endpoint("/run/rig/i2c_a.sock", 10)
    assert endpoint_of("unix:///run/rig/i2c_a.sock?patience_ms=50", 10) == Endpoint("/run/rig/i2c_a.sock", 50)
    assert endpoint_of("unix:///a?patience_ms=5", 10).patience_ms == 10  # never below the bus's own
    assert is_remote("unix:///a")
    assert not is_remote("/dev/i2c-1")


@pytest.mark.parametrize(
    "device",
    ["unix://", "unix://host/a", "unix:///a?patience_ms=0", "unix:///a?patience_ms=1001", "unix:///a?patience_ms=x",
     "unix:///a?other=1", "unix:///a?patience_ms=1&patience_ms=2", "unix:///a?patience_ms"],
)
def test_what_names_no_socket_is_protocol_and_says_what_is_allowed(device: str) -> None:
    error = cause_of(lambda: RemoteI2cBus("i2c_a", device, 10, time.monotonic_ns))
    assert error.cause is Cause.PROTOCOL


# -- opening


def test_no_socket_and_a_socket_without_an_ear_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    missing = cause_of(lambda: RemoteI2cBus("i2c_a", f"unix://{path}", 10, time.monotonic_ns))
    assert (missing.cause, str(path) in missing.detail) == (Cause.ABSENT, True)
    FarEnd(path).close()
    deaf = cause_of(lambda: RemoteI2cBus("i2c_a", f"unix://{path}", 10, time.monotonic_ns))
    assert deaf.cause is Cause.ABSENT
    assert "nobody listens" in deaf.detail


def test_another_kind_of_bus_and_another_program_are_refused(far: FarEnd) -> None:
    far.hello = lambda request: [pack_refusal(request.number, Cause.PROTOCOL, "i2c_a is i2c")]
    error = cause_of(lambda: RemoteSpiBus("spi0", far.device, 30, time.monotonic_ns))
    assert (error.cause, error.detail) == (Cause.PROTOCOL, "i2c_a is i2c")
    far.hello = data(b"HTTP/1.1 400")
    error = cause_of(lambda: RemoteSpiBus("spi0", far.device, 30, time.monotonic_ns))
    assert error.cause is Cause.PROTOCOL
    assert "HTTP" in error.detail


def test_a_bus_that_has_an_owner_is_in_use(far: FarEnd) -> None:
    far.hello = lambda request: [pack_refusal(request.number, None, "the bus has another owner")]
    with pytest.raises(InUse):
        RemoteGpioBus("gpio", far.device, 30, time.monotonic_ns)


# -- transfers


def test_a_transfer_is_one_request(far: FarEnd, i2c: RemoteI2cBus) -> None:
    far.script = [data(b"\x01\x02\x03")]
    assert i2c.write_read(0x40, b"\x05", 3) == b"\x01\x02\x03"
    [request] = far.heard
    assert request[1:] == (Operation.WRITE_READ, 0x40, 3, b"\x05")
    assert i2c.counters.transfers == 1


def test_an_answer_that_comes_too_late_is_a_timeout_and_never_taken_for_the_next(
    far: FarEnd, i2c: RemoteI2cBus
) -> None:
    late: list[bytes] = []

    def silent(request: Request) -> list[bytes]:
        late.append(pack_answer(request.number, b"\xee"))
        return []

    far.script = [silent, lambda request: [*late, pack_answer(request.number, b"\x11")]]
    begin = time.monotonic()
    error = cause_of(lambda: i2c.read(0x40, 1))
    assert error.cause is Cause.TIMEOUT
    assert 0.02 <= time.monotonic() - begin < 1.0
    assert i2c.read(0x40, 1) == b"\x11"
    assert i2c.stale == 1


def test_packets_that_are_no_answer_are_counted_and_passed_over(far: FarEnd, i2c: RemoteI2cBus) -> None:
    other: Script = lambda request: [  # noqa: E731
        b"\x01", pack_answer(request.number ^ 1, b"?"), pack_answer(request.number, b"\x22")
    ]
    far.script = [other]
    assert i2c.read(0x40, 1) == b"\x22"
    assert (i2c.strange, i2c.stale) == (1, 1)


def test_a_flood_of_other_answers_ends_as_a_timeout(far: FarEnd, i2c: RemoteI2cBus) -> None:
    far.script = [lambda request: [pack_answer(0, b"")] * 80]
    assert cause_of(lambda: i2c.write(0x40, b"\x01")).cause is Cause.TIMEOUT


@pytest.mark.parametrize("answer", [b"", b"\x01", b"\x01\x02\x03"])
def test_as_many_bytes_as_asked_for_or_short_read(far: FarEnd, i2c: RemoteI2cBus, answer: bytes) -> None:
    far.script = [data(answer)]
    error = cause_of(lambda: i2c.read(0x40, 2))
    assert (error.cause, error.address) == (Cause.SHORT_READ, 0x40)


def test_reads_are_tried_again_after_a_refused_address_and_writes_are_not(far: FarEnd, i2c: RemoteI2cBus) -> None:
    nack: Script = lambda request: [pack_refusal(request.number, Cause.NACK_ADDRESS, "injected")]  # noqa: E731
    far.script = [nack, data(b"\x33")]
    assert i2c.read(0x40, 1) == b"\x33"
    assert (i2c.counters.retries, i2c.counters.recovered) == (1, 1)
    far.script = [nack]
    error = cause_of(lambda: i2c.write(0x41, b"\x01"))
    assert (error.cause, error.address, error.detail) == (Cause.NACK_ADDRESS, 0x41, "injected")
    assert i2c.counters.failed == 1


def test_what_no_controller_can_send_is_refused_before_it_is_sent(far: FarEnd, i2c: RemoteI2cBus) -> None:
    for call in (lambda: i2c.read(0x07, 1), lambda: i2c.write(0x78, b""), lambda: i2c.read(0x40, 8193),
                 lambda: i2c.write(0x40, bytes(8193))):
        assert cause_of(call).cause is Cause.PROTOCOL
    assert far.heard == []


def test_a_far_end_that_dies_in_a_request_makes_the_bus_absent_until_it_is_opened_anew(
    far: FarEnd, i2c: RemoteI2cBus
) -> None:
    far.script = [lambda request: None]
    assert cause_of(lambda: i2c.read(0x40, 1)).cause is Cause.ABSENT
    assert "isn't open" in cause_of(lambda: i2c.read(0x40, 1)).detail
    i2c.reopen()
    assert far.heard[-1].operation is Operation.REOPEN
    far.script = [data(b"\x44")]
    assert i2c.read(0x40, 1) == b"\x44"
    assert i2c.counters.reopens == 1


def test_nine_clocks_are_the_far_ends_matter(far: FarEnd, i2c: RemoteI2cBus) -> None:
    far.script = [lambda request: [pack_refusal(request.number, Cause.STUCK_BUS, "SDA stays low")]]
    assert cause_of(i2c.clear_bus).cause is Cause.STUCK_BUS
    assert far.heard[-1].operation is Operation.CLEAR


def test_spi_selects_are_configured_once_within_the_boards_clock_and_again_after_reopening(far: FarEnd) -> None:
    bus = RemoteSpiBus("spi0", far.device, 30, time.monotonic_ns, max_hz=1_000_000)
    bus.configure(1, 3, 2_000_000)
    bus.configure(1, 3, 5_000_000)
    assert [r[1:] for r in far.heard] == [(Operation.CONFIGURE, 1, 0, bytes.fromhex("03 40420f00"))]
    far.script = [data(b"\xff" * 22)]
    assert bus.transfer(1, bytes(22)) == b"\xff" * 22
    bus.reopen()
    assert [r.operation for r in far.heard[2:]] == [Operation.REOPEN, Operation.CONFIGURE]
    assert cause_of(lambda: bus.configure(1, 4, 1)).cause is Cause.PROTOCOL
    bus.close()


def test_lines_are_asked_by_name(far: FarEnd) -> None:
    bus = RemoteGpioBus("gpio", far.device, 30, time.monotonic_ns)
    far.script = [data(b""), data(b"\x01"), data(b"")]
    bus.set("GPIO22", True)
    assert bus.get("GPIO22") is True
    assert cause_of(lambda: bus.get("GPIO22")).cause is Cause.SHORT_READ
    assert [r[1:] for r in far.heard[:2]] == [(Operation.SET, 1, 0, b"GPIO22"), (Operation.GET, 0, 1, b"GPIO22")]
    bus.close()
