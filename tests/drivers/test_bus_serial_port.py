"""SerialPort over pseudo-terminals: one owner, garbage unchanged, never blocking, gone and back again."""

from __future__ import annotations

import errno
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.bus import serial_port
from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.protocol import ReopenableBus, SerialBus
from drivers.bus.serial_port import LineLosses, SerialPort
from drivers.errors import Cause, DeviceError

serial = pytest.importorskip("serial", reason="pyserial comes with the extra [board]")


class Line:
    """A pseudo-terminal: the test holds the far end and plugs the near one under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ttyUSB0"
        self.far = self.near = -1
        self.plug()

    def plug(self) -> None:
        self.far, self.near = os.openpty()
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.near))

    def unplug(self) -> None:
        for fd in (self.far, self.near):
            if fd >= 0:
                os.close(fd)
        self.far = self.near = -1

    def say(self, data: bytes) -> None:
        """Send, and wait until the near end has some of it."""
        assert os.write(self.far, data) == len(data)
        assert select.select([self.near], [], [], 5.0)[0]

    def heard(self, count: int) -> bytes:
        data = b""
        while len(data) < count and select.select([self.far], [], [], 5.0)[0]:
            data += os.read(self.far, count - len(data))
        return data


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.unplug()


@pytest.fixture
def port(line: Line) -> Iterator[SerialPort]:
    port = opened(line)
    yield port
    port.close()


def opened(line: Line, **changes: Any) -> SerialPort:
    arguments: dict[str, Any] = {"baud": 115_200, "timeout_ms": 10, "now_ns": lambda: 0}
    return SerialPort("uart2", str(line.path), **(arguments | changes))


def gather(port: SerialPort, line: Line, count: int) -> bytes:
    data = b""
    while len(data) < count and select.select([line.near], [], [], 5.0)[0]:
        data += port.read(4096)
    return data


def refusal(call: Any, *arguments: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    assert caught.value.bus == "uart2"
    return caught.value


def test_it_is_what_drivers_and_the_ladder_ask_for(port: SerialPort) -> None:
    assert isinstance(port, SerialBus)
    assert isinstance(port, ReopenableBus)


def test_reading_gives_what_is_there_and_never_waits(port: SerialPort, line: Line) -> None:
    assert port.read(100) == b""
    line.say(b"abcdef")
    assert port.read(4) == b"abcd"
    assert port.read(4) == b"ef"
    assert port.read(4) == b""
    assert port.received_bytes == 6
    assert port.counters.transfers == 2


def test_every_byte_value_passes_both_ways_unchanged(port: SerialPort, line: Line) -> None:
    everything = bytes(range(256)) * 4
    line.say(everything)
    assert gather(port, line, len(everything)) == everything
    port.write(everything)
    assert line.heard(len(everything)) == everything
    assert port.sent_bytes == len(everything)


def test_what_was_said_before_the_port_opened_is_not_heard(line: Line) -> None:
    line.say(b"old news\n")
    port = opened(line)
    line.say(b"new")
    assert gather(port, line, 3) == b"new"
    port.close()


def test_a_second_owner_is_told_so_and_the_first_goes_on(port: SerialPort, line: Line) -> None:
    error = refusal(opened, line)
    assert isinstance(error, InUse)
    line.say(b"still here")
    assert gather(port, line, 10) == b"still here"
    port.close()
    opened(line).close()


def test_a_port_that_does_not_take_bytes_times_out(port: SerialPort, line: Line) -> None:
    error = refusal(port.write, bytes(1 << 20))
    assert error.cause is Cause.TIMEOUT
    assert port.counters.by_cause == {Cause.TIMEOUT: 1}
    assert line.heard(1000) == bytes(1000)


def test_an_unplugged_port_is_absent_and_comes_back_when_it_is_reopened(port: SerialPort, line: Line) -> None:
    line.unplug()
    first = refusal(port.read, 10)
    assert first.cause is Cause.ABSENT
    assert refusal(port.read, 10).cause is Cause.ABSENT
    assert refusal(port.write, b"x").cause is Cause.ABSENT
    assert refusal(port.reopen).cause is Cause.ABSENT
    line.plug()
    port.reopen()
    line.say(b"back")
    assert gather(port, line, 4) == b"back"
    assert port.counters.reopens == 2


def test_an_unplugged_port_is_noticed_by_writing_too(port: SerialPort, line: Line) -> None:
    line.unplug()
    assert refusal(port.write, b"x").cause is Cause.ABSENT


def test_the_last_words_before_unplugging_are_not_an_error(port: SerialPort, line: Line) -> None:
    line.say(b"bye")
    assert port.read(10) == b"bye"
    line.unplug()
    assert refusal(port.read, 10).cause is Cause.ABSENT


def test_a_port_that_is_not_there_is_absent(tmp_path: Path) -> None:
    error = refusal(SerialPort, "uart2", str(tmp_path / "ttyAMA9"), 9600, 10, lambda: 0)
    assert error.cause is Cause.ABSENT


def test_a_file_that_is_no_port_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ttyAMA2").touch()
    error = refusal(SerialPort, "uart2", str(tmp_path / "ttyAMA2"), 9600, 10, lambda: 0)
    assert error.cause is Cause.PROTOCOL


def test_a_rate_that_makes_no_sense_is_refused(line: Line) -> None:
    assert refusal(lambda: opened(line, baud=-5)).cause is Cause.PROTOCOL


def test_a_rate_outside_the_table_is_set(line: Line) -> None:
    port = opened(line, baud=230_401)
    line.say(b"x")
    assert gather(port, line, 1) == b"x"
    port.close()


@pytest.mark.parametrize(("number", "cause"), [
    (errno.EACCES, Cause.PERMISSION), (errno.EBUSY, Cause.PERMISSION), (errno.ENXIO, Cause.ABSENT),
    (errno.EIO, Cause.ABSENT),
])
def test_a_node_that_does_not_open_says_why(line: Line, number: int, cause: Cause) -> None:
    def opener(**arguments: Any) -> Any:
        raise serial.SerialException(number, "told to")

    assert refusal(lambda: opened(line, opener=opener)).cause is cause


def test_the_port_is_opened_raw_without_waiting_and_for_one_owner(line: Line) -> None:
    seen: dict[str, Any] = {}

    def opener(**arguments: Any) -> Any:
        seen.update(arguments)
        return serial.Serial(**arguments)

    opened(line, opener=opener, timeout_ms=25).close()
    assert seen == {
        "port": str(line.path), "baudrate": 115_200, "timeout": 0, "write_timeout": 0.025, "exclusive": True,
    }


def test_losses_are_unknown_where_the_kernel_does_not_count(port: SerialPort) -> None:
    assert port.losses is None
    port.close()
    assert port.losses is None


def test_losses_are_the_kernel_s_counts(port: SerialPort, monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(fd: int, request: int, data: bytearray) -> int:
        assert request == 0x545D
        data[:] = struct.pack("=20i", 0, 0, 0, 0, 1000, 2000, 3, 4, 5, 6, 7, *([0] * 9))
        return 0

    monkeypatch.setattr(serial_port, "ioctl", ioctl)
    assert port.losses == LineLosses(overruns=4, buffer_overruns=7, framing=3, parity=5, breaks=6)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(MissingLibrary, match="pyserial"):
        opened(line)
