"""A serial port on a pseudo-terminal: bytes pass both ways through pyserial, and an unplugged adapter is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comms.transports.pty_line import PtyPort
from drivers.bus.serial_port import SerialPort
from drivers.errors import Cause, DeviceError
from hil.bus.serial import SimSerialBus
from hil.faults import Fault, FaultKind
from hil.serve.serial_side import SerialSide
from hil.serve.side import Poller


class Chip:
    """Remembers what it hears and speaks when told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.say: Callable[[bytes], None] = lambda data: None

    def connect(self, send: Callable[[bytes], None]) -> None:
        self.say = send

    def receive(self, data: bytes) -> None:
        self.heard += data


class Bench:
    """One port with a chip, moved by the test itself."""

    def __init__(self, folder: Path) -> None:
        self.twin, self.chip = SimSerialBus("usb0"), Chip()
        self.twin.attach(self.chip)
        self.link = folder / "usb0"
        self.side = SerialSide("usb0", self.twin, lambda: PtyPort("usb0"), self.link)
        self.poller = Poller()

    def open(self) -> SerialPort:
        return SerialPort("usb0", str(self.link), 115_200, 100, time.monotonic_ns)

    def turn(self, times: int = 3) -> None:
        for number in range(times):
            self.poller.wait(0.002)
            self.side.step(number)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.side.start(bench.poller)
    yield bench
    bench.side.close()
    bench.poller.close()


def read(bench: Bench, port: SerialPort, count: int) -> bytes:
    data = b""
    for _ in range(200):
        bench.turn(1)
        data += port.read(4096)
        if len(data) >= count:
            break
    return data


def test_bytes_pass_both_ways_whatever_they_are(bench: Bench) -> None:
    port = bench.open()
    every = bytes(range(256))
    bench.chip.say(every)
    assert read(bench, port, 256) == every  # raw: no newline, echo or control byte is touched
    port.write(every)
    bench.turn(10)
    assert bench.chip.heard == every
    assert bench.side.counts() == {"to program": 256, "from program": 256, "dropped": 0, "unplugged": 0}
    port.close()


def test_a_program_may_come_and_go(bench: Bench) -> None:
    for word in (b"first", b"second"):
        port = bench.open()
        bench.chip.say(word)
        assert read(bench, port, len(word)) == word
        port.close()


def test_what_nobody_reads_is_dropped_and_counted(bench: Bench) -> None:
    for _ in range(40):
        bench.chip.say(bytes(1000))
        bench.turn(1)
    assert bench.side.dropped > 10_000
    assert bench.side.to_program + bench.side.dropped == 40_000


def test_an_unplugged_adapter_is_absent_until_it_is_plugged_in_and_opened_again(bench: Bench) -> None:
    port = bench.open()
    handle = bench.twin.inject(Fault(FaultKind.ABSENT))
    bench.turn()
    assert not bench.link.exists()
    with pytest.raises(DeviceError) as caught:
        port.read(10)
    assert caught.value.cause is Cause.ABSENT
    with pytest.raises(DeviceError):
        port.reopen()
    bench.twin.clear(handle)
    bench.turn()
    port.reopen()
    bench.chip.say(b"back")
    assert read(bench, port, 4) == b"back"
    assert bench.side.unplugged == 1
    port.close()


def test_a_file_in_the_place_of_the_link_is_not_overwritten(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.link.write_text("somebody's notes")
    with pytest.raises(FileExistsError):
        bench.side.start(bench.poller)
    assert bench.link.read_text() == "somebody's notes"
    bench.poller.close()


def test_a_link_left_behind_is_replaced_and_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    os.symlink("/dev/pts/99999", bench.link)
    bench.side.start(bench.poller)
    assert Path(os.readlink(bench.link)).exists()
    bench.side.close()
    bench.side.close()
    assert list(tmp_path.iterdir()) == []
    bench.poller.close()


def test_what_a_line_refuses_from_the_program_is_counted(bench: Bench) -> None:
    port = bench.open()
    bench.twin.inject(Fault(FaultKind.TIMEOUT, count=1))
    port.write(b"lost")
    bench.turn(10)
    assert (bench.side.dropped, bytes(bench.chip.heard)) == (4, b"")
    port.close()
