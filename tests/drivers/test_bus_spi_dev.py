"""LinuxSpiBus over a stand-in for spidev's handle: one handle a chip select, lengths, deadline, error numbers."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.protocol import ReopenableBus, SpiBus
from drivers.bus.spi_dev import LinuxSpiBus
from drivers.errors import Cause, DeviceError


class Handle:
    """``spidev.SpiDev`` on a file: answers with the complement of what is sent."""

    opened: list[Handle]

    def __init__(self, path: str) -> None:
        self.path = path
        self.stream = Path(path).open("r+b")  # noqa: SIM115 - closed by close, as spidev's handle is
        self.sets: list[tuple[str, int]] = []
        self.closed = False
        self.fault: int | None = None
        self.drop = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("mode", "max_speed_hz", "bits_per_word"):
            if name == "max_speed_hz" and value > 100_000_000:
                raise OSError(errno.EINVAL, "Invalid argument")
            self.sets.append((name, value))
        object.__setattr__(self, name, value)

    def fileno(self) -> int:
        return self.stream.fileno()

    def xfer2(self, values: bytes) -> list[int]:
        assert not self.closed
        if self.fault is not None:
            raise OSError(self.fault, "told to")
        return [value ^ 0xFF for value in values][self.drop :]

    def close(self) -> None:
        self.closed = True
        self.stream.close()


class Bench:
    """A controller with two chip selects, as files, and the bus over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = str(folder / "spidev0")
        self.handles: list[Handle] = []
        self.now_ns = 0
        for select in (0, 1):
            (folder / f"spidev0.{select}").touch()

    def open(self, path: str) -> Handle:
        handle = Handle(path)
        self.handles.append(handle)
        return handle

    def bus(self, timeout_ms: int = 10, max_hz: int | None = None) -> LinuxSpiBus:
        return LinuxSpiBus(
            "spi0", self.base, timeout_ms, lambda: self.now_ns, max_hz=max_hz, opener=self.open,
            bufsiz=self.folder / "bufsiz",
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refusal(call: Any, *arguments: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    assert caught.value.bus == "spi0"
    return caught.value


def test_it_is_what_drivers_and_the_ladder_ask_for(bench: Bench) -> None:
    assert isinstance(bench.bus(), SpiBus)
    assert isinstance(bench.bus(), ReopenableBus)


def test_each_chip_select_has_its_own_handle_mode_and_clock(bench: Bench) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    bus.configure(1, 0, 8_000_000)
    assert [handle.path for handle in bench.handles] == [f"{bench.base}.0", f"{bench.base}.1"]
    assert bench.handles[0].sets == [("mode", 3), ("max_speed_hz", 1_000_000), ("bits_per_word", 8)]
    assert bench.handles[1].sets == [("mode", 0), ("max_speed_hz", 8_000_000), ("bits_per_word", 8)]
    assert bus.transfer(1, b"\x00\x0f") == b"\xff\xf0"
    assert bus.counters.transfers == 1


def test_the_board_s_clock_caps_the_part_s(bench: Bench) -> None:
    bench.bus(max_hz=1_000_000).configure(0, 3, 24_000_000)
    assert ("max_speed_hz", 1_000_000) in bench.handles[0].sets


def test_configuring_again_costs_nothing_and_differently_opens_anew(bench: Bench) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    bus.configure(0, 3, 1_000_000)
    assert len(bench.handles) == 1
    bus.configure(0, 1, 1_000_000)
    assert bench.handles[0].closed
    assert len(bench.handles) == 2


def test_one_owner_a_chip_select(bench: Bench) -> None:
    first = bench.bus()
    first.configure(0, 3, 1_000_000)
    second = bench.bus()
    error = refusal(second.configure, 0, 3, 1_000_000)
    assert isinstance(error, InUse)
    assert error.address == 0
    second.configure(1, 3, 1_000_000)
    first.close()
    second.configure(0, 3, 1_000_000)


def test_a_controller_without_nodes_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        LinuxSpiBus("spi0", str(tmp_path / "spidev7"), 10, lambda: 0, opener=Handle)
    assert caught.value.cause is Cause.ABSENT


def test_a_missing_chip_select_is_absent_and_leaves_the_others(bench: Bench) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    error = refusal(bus.configure, 2, 3, 1_000_000)
    assert (error.cause, error.address) == (Cause.ABSENT, 2)
    assert refusal(bus.transfer, 2, b"\x00").cause is Cause.ABSENT
    assert bus.transfer(0, b"\x00") == b"\xff"
    (bench.folder / "spidev0.2").touch()
    bus.configure(2, 3, 1_000_000)
    assert bus.transfer(2, b"\x00") == b"\xff"


@pytest.mark.parametrize(("mode", "hz"), [(4, 1000), (-1, 1000), (0, 0), (3, 200_000_000)])
def test_what_the_controller_cannot_do_is_refused(bench: Bench, mode: int, hz: int) -> None:
    assert refusal(bench.bus().configure, 0, mode, hz).cause is Cause.PROTOCOL
    assert all(handle.closed for handle in bench.handles)


def test_lengths_beyond_spidev_s_buffer_are_refused(bench: Bench) -> None:
    bus = bench.bus(timeout_ms=1000)
    bus.configure(0, 3, 50_000_000)
    assert bus.bufsiz == 4096
    assert len(bus.transfer(0, bytes(4096))) == 4096
    error = refusal(bus.transfer, 0, bytes(4097))
    assert error.cause is Cause.PROTOCOL
    assert "bufsiz" in error.detail
    assert refusal(bus.transfer, 0, b"").cause is Cause.PROTOCOL


@pytest.mark.parametrize(("text", "size"), [
    ("65536\n", 65535), ("8192\n", 8192), ("0\n", 4096), ("garbage", 4096), ("-1", 4096), ("", 4096),
])
def test_the_buffer_s_size_is_the_kernel_s(bench: Bench, text: str, size: int) -> None:
    (bench.folder / "bufsiz").write_text(text)
    assert bench.bus().bufsiz == size


def test_a_transfer_whose_clocks_outlast_the_deadline_is_refused(bench: Bench) -> None:
    bus = bench.bus(timeout_ms=10)
    bus.configure(0, 3, 1_000_000)
    assert len(bus.transfer(0, bytes(1250))) == 1250  # exactly 10 ms
    error = refusal(bus.transfer, 0, bytes(1251))
    assert error.cause is Cause.PROTOCOL
    assert "10.0 ms; the bus has 10 ms" in error.detail


@pytest.mark.parametrize(("number", "cause"), [
    (errno.ETIMEDOUT, Cause.TIMEOUT), (errno.ESHUTDOWN, Cause.ABSENT), (errno.EMSGSIZE, Cause.PROTOCOL),
    (errno.EIO, Cause.PROTOCOL), (errno.EPERM, Cause.PERMISSION),
])
def test_error_numbers_have_their_causes_and_nothing_is_repeated(bench: Bench, number: int, cause: Cause) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    bench.handles[0].fault = number
    error = refusal(bus.transfer, 0, b"\x01")
    assert (error.cause, error.address) == (cause, 0)
    assert bus.counters.by_cause == {cause: 1}


def test_fewer_bytes_than_were_sent_are_a_short_read(bench: Bench) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    bench.handles[0].drop = 1
    assert refusal(bus.transfer, 0, b"\x01\x02").cause is Cause.SHORT_READ


def test_reopening_brings_every_chip_select_back(bench: Bench) -> None:
    bus = bench.bus()
    bus.configure(0, 3, 1_000_000)
    bus.configure(1, 0, 2_000_000)
    bus.close()
    assert refusal(bus.transfer, 0, b"\x00").cause is Cause.ABSENT
    bus.reopen()
    assert bus.transfer(0, b"\x00") == b"\xff"
    assert bus.transfer(1, b"\x00") == b"\xff"
    assert bench.handles[3].sets == bench.handles[1].sets
    assert bus.counters.reopens == 1


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spidev", None)
    with pytest.raises(MissingLibrary, match="spidev"):
        LinuxSpiBus("spi0", bench.base, 10, lambda: 0)


def test_the_real_library_refuses_a_file_that_is_no_controller(bench: Bench) -> None:
    pytest.importorskip("spidev", reason="spidev comes with the extra [board]")
    bus = LinuxSpiBus("spi0", bench.base, 10, lambda: 0)
    assert refusal(bus.configure, 0, 3, 1_000_000).cause is Cause.PROTOCOL
    assert refusal(bus.configure, 5, 3, 1_000_000).cause is Cause.ABSENT
