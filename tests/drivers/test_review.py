"""What a driver or a transport says after something went wrong half way: nothing old, nothing unproven, nothing raw."""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from drivers import ads1115, ars408, linux_watchdog, ltc3350, max34451
from drivers import mb85rc256v as fram
from drivers.bus import can_udp
from drivers.bus.can_socket import SocketCanBus
from drivers.bus.can_udp import UdpCanBus
from drivers.bus.gpio_chip import GpioChip
from drivers.bus.protocol import CanFrame
from drivers.bus.spi_dev import LinuxSpiBus
from drivers.errors import Cause, DeviceError
from drivers.samples import RadarScan
from tests.drivers.scripted import CanPort, I2cPart, WordBank, cause_of, error_of, finish, run, word

MS = 1_000_000


# --- LTC3350 --------------------------------------------------------------------------------------------------------

CAP_ESR_PER, MON_STATUS, MEAS_CAP, MEAS_ESR = 0x04, 0x1C, 0x1E, 0x1F
BOTH_MEASURED = word(0x0218)


class Supercaps(WordBank):
    """An LTC3350 with four cells at 8 V that has measured capacitance and ESR."""

    address = 0x09

    def power_up(self) -> None:
        self.words = {
            CAP_ESR_PER: word(0), 0x1A: word(3), 0x1B: word(0x0221), MON_STATUS: word(0x0200), MEAS_CAP: word(0),
            MEAS_ESR: word(0), 0x25: word(round(28.0 / 2.21e-3)), 0x26: word(round(8.0 / 1.476e-3)), 0x29: word(100),
            0x2A: word(round((25.0 + 251.4) / 0.028)),
        }

    def measured(self) -> None:
        self.words |= {MON_STATUS: BOTH_MEASURED, MEAS_CAP: word(300), MEAS_ESR: word(40)}


def supercaps(bus: Supercaps) -> ltc3350.Device:
    settings = ltc3350.Settings(cells=4, full_voltage_v=10.0, sense_ohm=0.006, slow_every=1)
    device = ltc3350.Device(bus, bus.address, settings)
    run(bus, device.initialise())
    bus.measured()
    for _ in range(4):
        sample = run(bus, device.acquire())
    assert sample.capacitance_f is not None
    assert sample.esr_ohm is not None
    return device


def test_a_restart_right_before_the_capacitance_is_read_does_not_hide_itself_behind_refused_results() -> None:
    bus = Supercaps()
    device = supercaps(bus)
    for _ in range(2):
        run(bus, device.acquire())
    bus.power_up()
    found = []
    for _ in range(8):
        try:
            run(bus, device.acquire())
        except DeviceError as error:
            found.append(error.cause)
    assert found[0] is Cause.IMPLAUSIBLE
    assert Cause.RESET in found


@pytest.mark.parametrize("register", [MEAS_CAP, MEAS_ESR])
def test_a_refused_capacitance_or_resistance_is_not_followed_by_the_older_one(register: int) -> None:
    bus = Supercaps()
    device = supercaps(bus)
    bus.words[register] = word(0xFFFF)
    after = None
    for _ in range(4):
        try:
            after = run(bus, device.acquire())
        except DeviceError as error:
            assert error.cause is Cause.IMPLAUSIBLE  # noqa: PT017 - one of the four
            after = run(bus, device.acquire())
            break
    assert after is not None
    assert (after.capacitance_f if register == MEAS_CAP else after.esr_ohm) is None


# --- ADS1115 --------------------------------------------------------------------------------------------------------


class SlowConverter(I2cPart):
    """An ADS1115 that converts for three looks and ignores a start meanwhile; channel n has n + 1 volts."""

    name = "i2c_b"
    address = 0x48

    def power_up(self) -> None:
        self.words = {0: 0, 1: 0x8583, 2: 0x8000, 3: 0x7FFF}
        self.left = 0
        self.converting = 0

    def take(self, data: bytes) -> None:
        value = int.from_bytes(data[1:], "big")
        self.words[data[0]] = value
        if data[0] == 1 and value & 0x8000 and not self.left:
            self.left = 3
            self.converting = value >> 12 & 3

    def answer(self, data: bytes, count: int) -> bytes:
        if data[0] == 1:
            self.left = max(0, self.left - 1)
            if self.left:
                self.words[1] &= 0x7FFF
            else:
                self.words[1] |= 0x8000
                self.words[0] = round((self.converting + 1.0) / 6.144 * 0x8000)
        return self.words[data[0]].to_bytes(2, "big")[:count]


def test_a_conversion_left_running_by_a_broken_off_sample_is_not_taken_for_the_next_channel() -> None:
    bus = SlowConverter()
    inputs = [{"input": f"a{n}", "full_scale_mv": 6144} for n in range(4)]
    device = ads1115.Device(bus, bus.address, msgspec.convert({"channels": inputs}, type=ads1115.Settings))
    run(bus, device.initialise())
    whole = pytest.approx((1.0, 2.0, 3.0, 4.0), abs=1e-3)
    assert run(bus, device.acquire()).voltage_v == whole
    for cut in range(1, 20):
        steps = device.acquire()
        for _ in range(cut):
            next(steps, None)
        steps.close()
        assert run(bus, device.acquire()).voltage_v == whole


# --- MAX34451 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("byte", "on"), [(0x00, False), (0x40, False), (0x80, True), (0x94, True), (0xA8, True)])
def test_a_rail_is_on_by_what_the_part_can_say(byte: int, on: bool) -> None:
    assert bool(max34451.operation_bits(bytes((byte,))) & 0x80) is on


@pytest.mark.parametrize("data", [b"\xff", b"\x81", b"", b"\x80\x80"])
def test_a_rail_is_not_on_by_what_the_part_cannot_say(data: bytes) -> None:
    assert cause_of(max34451.operation_bits, data) in (Cause.IMPLAUSIBLE, Cause.SHORT_READ)


# --- FRAM -----------------------------------------------------------------------------------------------------------


class Memory(I2cPart):
    """32 KiB; read number ``blank_at`` gives ``level`` instead, as a data line held for one transaction does."""

    address = 0x50

    def __init__(self) -> None:
        super().__init__()
        self.memory = bytearray(0x8000)
        self.reads = 0
        self.blank_at = -1
        self.level = 0x00

    def take(self, data: bytes) -> None:
        at = int.from_bytes(data[:2], "big")
        self.memory[at : at + len(data) - 2] = data[2:]

    def answer(self, data: bytes, count: int) -> bytes:
        self.reads += 1
        at = int.from_bytes(data, "big")
        return bytes((self.level,)) * count if self.reads == self.blank_at else bytes(self.memory[at : at + count])


def memory(stores: int) -> tuple[Memory, fram.Device]:
    bus = Memory()
    device = fram.Device(bus, bus.address, fram.Settings(slots=2, slot_bytes=40))
    run(bus, device.initialise())
    for n in range(stores):
        run(bus, device.store(0, b"generation %d" % n))
    return bus, device


@pytest.mark.parametrize("level", [0x00, 0xFF])
@pytest.mark.parametrize("stores", [2, 3])
def test_one_spoilt_read_does_not_bring_an_older_payload_back(stores: int, level: int) -> None:
    for at in range(1, 8):
        bus, device = memory(stores)
        bus.level, bus.blank_at, bus.reads = level, at, 0
        assert run(bus, device.load(0)) == b"generation %d" % (stores - 1)


@pytest.mark.parametrize("stores", [2, 3])
def test_one_spoilt_read_does_not_put_the_newest_copy_at_risk(stores: int) -> None:
    for at in range(1, 5):
        bus, device = memory(stores)
        bus.blank_at, bus.reads = at, 0
        steps = device.store(0, b"cut off")
        for _ in range(8):  # the new copy is withdrawn and half written
            next(steps)
        steps.close()
        assert run(bus, device.load(0)) == b"generation %d" % (stores - 1)


# --- ARS408 ---------------------------------------------------------------------------------------------------------


def radar() -> ars408.Device:
    return ars408.Device(CanPort(), 0, ars408.Settings())


def header(objects: int, counter: int) -> CanFrame:
    return CanFrame(0x60A, bytes((objects, counter >> 8, counter & 0xFF, 0x10)))


OBJECT = CanFrame(0x60B, bytes.fromhex("0750b3e780202090"))


def test_a_scan_that_a_silence_cut_off_is_not_handed_out_as_new() -> None:
    device = radar()
    device.take(header(3, 1), 0)
    device.take(OBJECT, 1 * MS)
    assert device.take(header(1, 2), 3000 * MS) is None
    found = device.take(OBJECT, 3001 * MS)
    assert found is not None
    assert (found.counter, len(found.objects)) == (2, 1)
    assert device.counters.short == 1


def test_an_empty_scan_that_waited_through_a_silence_is_not_handed_out_as_new() -> None:
    device = radar()
    device.take(header(3, 1), 0)
    device.take(OBJECT, 1 * MS)
    cut = device.take(header(0, 2), 72 * MS)
    assert cut is not None
    assert cut.counter == 1
    assert device.take(header(2, 3), 3000 * MS) is None
    assert device.take(header(0, 4), 6000 * MS) == RadarScan(4, 0, ())


# --- Linux watchdog -------------------------------------------------------------------------------------------------


class Softdog:
    """A watchdog in software on a kernel without sysfs attributes; its first answers may fail."""

    def __init__(self, folder: Path) -> None:
        self.node = folder / "watchdog"
        self.node.touch()
        self.sys = folder / "sys"
        (self.sys / "class/watchdog/watchdog0").mkdir(parents=True)
        self.identity = b"Software Watchdog"
        self.failures = 0

    def ioctl(self, fd: int, request: int, data: bytearray) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "told to")
        if request == 0x80285700:  # WDIOC_GETSUPPORT
            data[:] = struct.pack("=II32s", 0x0180, 1, self.identity)
        elif request == 0x80045707:  # WDIOC_GETTIMEOUT
            data[:] = struct.pack("=i", 10)
        return 0

    def device(self) -> linux_watchdog.Device:
        settings = linux_watchdog.Settings(path=str(self.node))
        return linux_watchdog.Device(None, None, settings, sys=self.sys, ioctl=self.ioctl)


def test_a_watchdog_that_was_refused_is_refused_again_though_it_runs(tmp_path: Path) -> None:
    device = Softdog(tmp_path).device()
    for _ in range(3):
        assert error_of(finish, device.initialise()).cause is Cause.WRONG_ID
    assert device.running
    device.close()


def test_a_watchdog_whose_first_question_failed_is_asked_again_before_it_is_relied_on(tmp_path: Path) -> None:
    dog = Softdog(tmp_path)
    device = dog.device()
    dog.failures = 1
    assert error_of(finish, device.initialise()).cause is Cause.ABSENT
    assert error_of(finish, device.initialise()).cause is Cause.WRONG_ID
    dog.identity = b"Broadcom BCM2835 Watchdog timer"
    finish(device.initialise())
    device.close()
    dog.identity = b"Software Watchdog"
    assert error_of(finish, device.initialise()).cause is Cause.WRONG_ID
    device.close()


# --- transports -----------------------------------------------------------------------------------------------------


class SpiNode:
    """``spidev.SpiDev`` that answers with what is sent."""

    mode = max_speed_hz = bits_per_word = 0

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR)

    def fileno(self) -> int:
        return self.fd

    def xfer2(self, values: bytes) -> list[int]:
        return list(values)

    def close(self) -> None:
        os.close(self.fd)


def test_a_chip_select_that_went_away_does_not_keep_the_others_closed(tmp_path: Path) -> None:
    for select in range(3):
        (tmp_path / f"spidev0.{select}").touch()
    bus = LinuxSpiBus("spi0", str(tmp_path / "spidev0"), 10, lambda: 0, opener=SpiNode)
    for select in range(3):
        bus.configure(select, 0, 1_000_000)
    (tmp_path / "spidev0.0").unlink()
    error = error_of(bus.reopen)
    assert (error.cause, error.address) == (Cause.ABSENT, 0)
    assert cause_of(bus.transfer, 0, b"ab") is Cause.ABSENT
    assert [bus.transfer(select, b"ab") for select in (1, 2)] == [b"ab", b"ab"]
    (tmp_path / "spidev0.0").touch()
    bus.reopen()
    assert bus.transfer(0, b"ab") == b"ab"
    bus.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_node_that_is_no_spi_controller_stays_closed(tmp_path: Path) -> None:
    pytest.importorskip("spidev", reason="spidev comes with the extra [board]")
    (tmp_path / "spidev0.0").touch()
    bus = LinuxSpiBus("spi0", str(tmp_path / "spidev0"), 10, lambda: 0)
    before = descriptors()
    for _ in range(5):
        assert error_of(bus.configure, 0, 0, 1_000_000).bus == "spi0"
    assert descriptors() == before


class DyingChip:
    """A ``gpiod.Chip`` that was unplugged after it was opened."""

    def __init__(self) -> None:
        self.closed = False

    def get_info(self) -> Any:
        raise OSError(errno.ENODEV, "No such device")

    def close(self) -> None:
        self.closed = True


def test_a_gpio_chip_unplugged_while_it_is_looked_for_is_passed_over_and_closed() -> None:
    pytest.importorskip("gpiod", reason="gpiod comes with the extra [board]")
    dying = DyingChip()
    sound = SimpleNamespace(
        get_info=lambda: SimpleNamespace(name="gpiochip1", label="other", num_lines=0), close=lambda: None
    )
    chips: dict[str, Any] = {"/dev/gpiochip0": dying, "/dev/gpiochip1": sound}
    error = error_of(lambda: GpioChip(
        "gpio", "pinctrl-bcm2711", (), ("GPIO17",), lambda: 0, open_chip=chips.__getitem__, nodes=lambda: sorted(chips),
    ))
    assert (error.bus, error.cause) == ("gpio", Cause.ABSENT)
    assert dying.closed


@pytest.mark.parametrize("granted", [0, 1])
def test_a_system_without_free_descriptors_is_a_typed_error_of_the_udp_bus(
    granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = UdpCanBus("can0", "239.74.163.77", 43177)
    before = descriptors()
    real = socket.socket
    left = [granted]

    def limited(*arguments: Any) -> socket.socket:
        if not left[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        left[0] -= 1
        return real(*arguments)

    monkeypatch.setattr(can_udp.socket, "socket", limited)
    error = error_of(bus.reopen)
    assert error.bus == "can0"
    assert descriptors() == before - 2
    monkeypatch.undo()
    assert cause_of(bus.receive) is Cause.ABSENT
    bus.reopen()
    assert bus.receive() is None
    bus.close()


def test_filters_of_a_controller_that_is_gone_are_a_typed_error_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Controller(socket.socket):
        """A datagram socket in the place of one of AF_CAN; it takes a controller's options."""

        def __init__(self, *_: object) -> None:
            super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
            self.rules: list[bytes] = []

        def bind(self, _: object) -> None:
            return

        def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
            if level != 101:
                super().setsockopt(level, option, value)
                return
            if self.fileno() < 0:
                raise OSError(errno.EBADF, "Bad file descriptor")
            self.rules.append(value)

    made: list[Controller] = []

    def make(*arguments: object) -> Controller:
        made.append(Controller(*arguments))
        return made[-1]

    monkeypatch.setattr(socket, "socket", make)
    bus = SocketCanBus("can0", "can0", 10, is_up=lambda *_: True)
    bus.close()
    assert error_of(bus.set_filters, [0x181]).cause is Cause.ABSENT
    bus.reopen()
    assert struct.pack("=I", 0x181) in made[-1].rules[0]
    bus.close()
