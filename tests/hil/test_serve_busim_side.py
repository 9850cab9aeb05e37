"""I2C and SPI behind a kernel's nodes: what the module asks reaches the twins, and what they refuse has its number."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from drivers.errors import Cause, DeviceError
from hil.serve.busim_side import I2C, SPI, BusimNode, BusimSide, Segment, read_segments
from hil.serve.side import Poller

REQUEST, SEGMENT, ANSWER = struct.Struct("<IBBHI"), struct.Struct("<HHIIBBH"), struct.Struct("<Ii")


class Twin:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.refusal: Cause | None = None

    def _do(self, *what: object) -> None:
        if self.refusal is not None:
            raise DeviceError("bus", None, self.refusal)
        self.asked.append(what)

    def write(self, address: int, data: bytes) -> None:
        self._do("write", address, data)

    def read(self, address: int, count: int) -> bytes:
        self._do("read", address, count)
        return bytes(range(count))

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        self._do("write_read", address, data, count)
        return bytes(range(16, 16 + count))

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        self._do("configure", select, mode, max_hz)

    def transfer(self, select: int, data: bytes) -> bytes:
        self._do("transfer", select, data)
        return bytes(255 - byte for byte in data)


class Kernel:
    """The module's end: one request a datagram, as one read of the node."""

    def __init__(self) -> None:
        self.port, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        far.setblocking(False)
        self.node = BusimNode(opener=lambda _path, _flags: far.detach())
        self.poller = Poller()
        self.number = 0

    def ask(self, kind: int, bus: int, *segments: tuple[int, int, int, bytes]) -> tuple[int, bytes]:
        self.number += 1
        body = b"".join(SEGMENT.pack(w, f, n, 1_000_000, 8, 0, 3) + data for w, f, n, data in segments)
        self.port.send(REQUEST.pack(self.number, kind, bus, len(segments), len(body)) + body)
        self.poller.wait(1.0)
        answer = self.port.recv(1 << 16)
        number, result = ANSWER.unpack_from(answer)
        assert number == self.number
        return result, answer[ANSWER.size:]


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.port.close()
    made.poller.close()


def i2c(kernel: Kernel, twin: Twin, number: int = 0) -> BusimSide:
    side = BusimSide("i2c_a", "i2c", twin, number, "/dev/i2c-1", kernel.node)
    side.start(kernel.poller)
    return side


def test_a_register_read_is_one_combined_transfer(kernel: Kernel) -> None:
    twin = Twin()
    side = i2c(kernel, twin)
    assert kernel.ask(I2C, 0, (0x40, 0, 1, b"\x3e"), (0x40, 1, 2, b"")) == (0, bytes((16, 17)))
    assert twin.asked == [("write_read", 0x40, b"\x3e", 2)]
    assert side.counts() == {"served": 1, "failed": 0, "stale": 0, "refused": 0}


def test_other_messages_stay_apart(kernel: Kernel) -> None:
    twin = Twin()
    i2c(kernel, twin)
    result, data = kernel.ask(I2C, 0, (0x40, 0, 2, b"ab"), (0x41, 1, 3, b""), (0x42, 0, 0, b""))
    assert (result, data) == (0, bytes(range(3)))
    assert twin.asked == [("write", 0x40, b"ab"), ("read", 0x41, 3), ("write", 0x42, b"")]


@pytest.mark.parametrize(
    ("cause", "number"),
    [
        (Cause.NACK_ADDRESS, errno.ENXIO), (Cause.NACK_DATA, errno.EIO), (Cause.TIMEOUT, errno.ETIMEDOUT),
        (Cause.STUCK_BUS, errno.EBUSY), (Cause.ARBITRATION, errno.EAGAIN), (Cause.SILENT, errno.EIO),
    ],
)
def test_what_a_twin_refuses_is_the_kernels_error_number(kernel: Kernel, cause: Cause, number: int) -> None:
    twin = Twin()
    side = i2c(kernel, twin)
    twin.refusal = cause
    assert kernel.ask(I2C, 0, (0x40, 1, 1, b"")) == (-number, b"")
    assert side.failed == 1


def test_buses_share_one_node_and_a_bus_that_nobody_plays_does_not_answer(kernel: Kernel) -> None:
    first, third = Twin(), Twin()
    one, other = i2c(kernel, first), i2c(kernel, third, 2)
    kernel.ask(I2C, 2, (0x20, 1, 1, b""))
    assert (first.asked, third.asked) == ([], [("read", 0x20, 1)])
    assert kernel.ask(I2C, 1, (0x20, 1, 1, b"")) == (-errno.ENXIO, b"")
    other.close()
    assert kernel.ask(I2C, 2, (0x20, 1, 1, b"")) == (-errno.ENXIO, b"")
    one.close()
    one.close()


def test_a_bus_has_one_player(kernel: Kernel) -> None:
    i2c(kernel, Twin())
    with pytest.raises(ValueError, match="played already"):
        i2c(kernel, Twin())


def test_spi_is_configured_as_the_kernel_asks_once_and_answers_only_what_is_wanted(kernel: Kernel) -> None:
    twin = Twin()
    side = BusimSide("spi0", "spi", twin, 0, None, kernel.node)
    side.start(kernel.poller)
    assert kernel.ask(SPI, 0, (1, 3, 2, b"\x01\x02"), (1, 1, 1, b"\x03"), (1, 2, 2, b"")) == (0, b"\xfe\xfd\xff\xff")
    assert twin.asked == [
        ("configure", 1, 3, 1_000_000), ("transfer", 1, b"\x01\x02"), ("transfer", 1, b"\x03"),
        ("transfer", 1, b"\0\0"),
    ]


def test_cut_requests_are_refused_and_counted(kernel: Kernel) -> None:
    side = i2c(kernel, Twin())
    kernel.port.send(REQUEST.pack(9, I2C, 0, 1, 0) + SEGMENT.pack(0x40, 0, 50, 0, 8, 0, 0) + b"short")
    kernel.poller.wait(1.0)
    assert ANSWER.unpack(kernel.port.recv(64)) == (9, -errno.EPROTO)
    kernel.port.send(b"xy")
    kernel.poller.wait(1.0)
    assert side.counts()["refused"] == 2


def test_segments_are_read_with_their_bytes() -> None:
    request = bytes(REQUEST.size) + SEGMENT.pack(0x40, 0, 2, 400_000, 8, 0, 0) + b"ab"
    assert read_segments(I2C, 1, request) == [Segment(0x40, 0, 2, 400_000, 0, b"ab")]
    with pytest.raises(ValueError, match="cut short"):
        read_segments(I2C, 2, request)


def test_only_i2c_and_spi_are_played_so() -> None:
    with pytest.raises(ValueError, match="busim plays i2c and spi"):
        BusimSide("can0", "can", Twin(), 0, None, BusimNode())


def test_an_answer_that_is_late_is_counted(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    side = i2c(kernel, Twin())

    def stale(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ESTALE, "gave up")

    monkeypatch.setattr(os, "write", stale)
    kernel.port.send(REQUEST.pack(1, I2C, 0, 1, 0) + SEGMENT.pack(0x40, 1, 1, 0, 8, 0, 0))
    kernel.poller.wait(1.0)
    assert side.counts()["stale"] == 1
