"""Opening a board's real buses: what opens is open, what doesn't says why and what to do, and may come later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.gpio_chip import GpioChip
from drivers.bus.i2c_dev import LinuxI2cBus
from drivers.bus.i2c_recovery import BusClear
from drivers.bus.protocol import CanBus, CanFrame, GpioBus, I2cBus, ReopenableBus, SerialBus, SpiBus
from drivers.errors import Cause, DeviceError
from hal import transports
from hal.profile import BoardConfig, BusConfig, load_board
from hal.profile.board import RecoveryConfig
from hal.transports import LateBus, OpenBuses, advice, open_buses

KINDS = ("i2c", "spi", "can", "serial", "gpio")


class Clock:
    """A clock that goes on by a microsecond at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return 1000 * self.looks


class Bus:
    """Any bus; remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[tuple[Any, ...]] = []
        self.closed = 0

    def __getattr__(self, call: str) -> Any:
        if call.startswith("_"):
            raise AttributeError(call)

        def answer(*arguments: Any) -> Any:
            self.calls.append((call, *arguments))
            return b"\x01"

        return answer

    def close(self) -> None:
        self.closed += 1


class Shelf:
    """Openers that give a ``Bus``, or the error that a bus was told to have."""

    def __init__(self) -> None:
        self.errors: dict[str, DeviceError] = {}
        self.made: dict[str, Bus] = {}
        self.openers: dict[Any, Any] = dict.fromkeys(KINDS, self.open)

    def open(self, name: str, board: BoardConfig, now_ns: Any) -> Bus:
        if name in self.errors:
            raise self.errors[name]
        self.made[name] = Bus(name)
        return self.made[name]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def board() -> BoardConfig:
    plain = load_board("qiki-rpi")
    buses = {
        "i2c_a": BusConfig("i2c", "/dev/i2c-1", 100_000), "i2c_b": BusConfig("i2c", "/dev/i2c-3", 400_000),
        "spi0": BusConfig("spi", "/dev/spidev0", 1_000_000), "can0": BusConfig("can", "can0", 500_000),
        "uart2": BusConfig("serial", "/dev/ttyAMA2", 115_200), "gpio": BusConfig("gpio", "pinctrl-bcm2711"),
    }
    return msgspec.structs.replace(plain, buses=buses)


def with_buses(board: BoardConfig, **buses: BusConfig) -> BoardConfig:
    return msgspec.structs.replace(board, buses=buses)


def error(cause: Cause, detail: str = "told to", address: int | None = None) -> DeviceError:
    return DeviceError("i2c_a", address, cause, detail)


def test_all_buses_are_opened_by_name_and_closed_together(board: BoardConfig, shelf: Shelf) -> None:
    with open_buses(board, Clock(), openers=shelf.openers) as buses:
        assert list(buses) == list(board.buses)
        assert buses["i2c_a"] is shelf.made["i2c_a"]
        assert buses.failures == {}
        assert buses.complete() == dict(buses)
    assert [bus.closed for bus in shelf.made.values()] == [1] * 6
    buses.close()
    assert [bus.closed for bus in shelf.made.values()] == [1] * 6


def test_one_dead_bus_leaves_the_others_open(board: BoardConfig, shelf: Shelf) -> None:
    shelf.errors["i2c_b"] = DeviceError("i2c_b", None, Cause.ABSENT, "/dev/i2c-3: No such file or directory")
    with open_buses(board, Clock(), openers=shelf.openers) as buses:
        assert "i2c_b" not in buses
        assert len(buses) == 5
        assert buses.failures == {"i2c_b": shelf.errors["i2c_b"]}
        assert "dtoverlay=i2c3" in buses.advice()["i2c_b"]
        assert list(buses.complete()) == list(board.buses)


def test_a_mistake_while_opening_closes_what_was_open(board: BoardConfig, shelf: Shelf) -> None:
    def broken(name: str, board: BoardConfig, now_ns: Any) -> Bus:
        raise TypeError("a mistake in an opener")

    with pytest.raises(TypeError):
        open_buses(board, Clock(), openers=shelf.openers | {"gpio": broken})
    assert [bus.closed for bus in shelf.made.values()] == [1] * 5


def test_a_bus_that_fails_to_close_does_not_keep_the_others_open(board: BoardConfig, shelf: Shelf) -> None:
    class Stubborn(Bus):
        def close(self) -> None:
            raise OSError("gone")

    openers = shelf.openers | {"gpio": lambda name, board, now_ns: Stubborn(name)}
    buses = open_buses(board, Clock(), openers=openers)
    with pytest.raises(OSError, match="gone"):
        buses.close()
    assert [bus.closed for bus in shelf.made.values()] == [1] * 5


def late(board: BoardConfig, shelf: Shelf, name: str) -> tuple[OpenBuses, LateBus]:
    shelf.errors[name] = DeviceError(name, None, Cause.PERMISSION, "may not")
    buses = open_buses(board, Clock(), openers=shelf.openers)
    bus = buses.complete()[name]
    assert isinstance(bus, LateBus)
    return buses, bus


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("write", (0x40, b"\x00")), ("read", (0x40, 2)), ("write_read", (0x40, b"\x00", 2)), ("configure", (1, 3, 1000)),
    ("transfer", (1, b"\x00")), ("send", (CanFrame(1, b""),)), ("receive", ()), ("write", (b"serial",)),
    ("read", (100,)), ("set", ("GPIO17", True)), ("get", ("GPIO17",)), ("clear_bus", ()),
]


@pytest.mark.parametrize(("call", "arguments"), CALLS)
def test_a_bus_that_is_not_there_answers_every_call_with_why_and_names_no_address(
    board: BoardConfig, shelf: Shelf, call: str, arguments: tuple[Any, ...]
) -> None:
    _, bus = late(board, shelf, "i2c_a")
    with pytest.raises(DeviceError) as caught:
        getattr(bus, call)(*arguments)
    seen = caught.value
    assert (seen.bus, seen.address, seen.cause, seen.detail) == ("i2c_a", None, Cause.PERMISSION, "may not")


@pytest.mark.parametrize(("call", "arguments"), CALLS)
def test_once_reopened_it_is_the_bus_itself(
    board: BoardConfig, shelf: Shelf, call: str, arguments: tuple[Any, ...]
) -> None:
    buses, bus = late(board, shelf, "i2c_a")
    shelf.errors["i2c_a"] = DeviceError("i2c_a", None, Cause.ABSENT, "now it is gone")
    with pytest.raises(DeviceError, match="gone"):
        bus.reopen()
    assert buses.failures["i2c_a"].cause is Cause.ABSENT
    with pytest.raises(DeviceError, match="gone"):
        bus.receive()
    del shelf.errors["i2c_a"]
    bus.reopen()
    getattr(bus, call)(*arguments)
    assert shelf.made["i2c_a"].calls == [(call, *arguments)]
    assert buses.failures == {}
    assert "i2c_a" in buses
    bus.reopen()
    assert shelf.made["i2c_a"].calls[-1] == ("reopen",)
    buses.close()
    assert shelf.made["i2c_a"].closed == 1


@pytest.mark.parametrize("protocol", [I2cBus, SpiBus, CanBus, SerialBus, GpioBus, ReopenableBus])
def test_the_stand_in_is_every_kind_of_bus(board: BoardConfig, shelf: Shelf, protocol: type) -> None:
    assert isinstance(late(board, shelf, "spi0")[1], protocol)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[str]:
    far, near = os.openpty()
    yield os.ttyname(near)
    os.close(far)
    os.close(near)


def test_real_transports_open_what_there_is_and_say_what_there_is_not(
    board: BoardConfig, terminal: str, tmp_path: Path
) -> None:
    for library in ("smbus2", "spidev", "serial", "gpiod"):
        pytest.importorskip(library, reason=f"{library} comes with the extra [board]")
    small = with_buses(
        board,
        i2c_a=BusConfig("i2c", str(tmp_path / "i2c-1")), spi0=BusConfig("spi", str(tmp_path / "spidev0")),
        uart2=BusConfig("serial", terminal, 115_200), uart3=BusConfig("serial", terminal),
        gpio=BusConfig("gpio", str(tmp_path / "gpiochip0")), can0=BusConfig("can", "nocan9", 500_000),
    )
    with open_buses(small, Clock()) as buses:
        assert list(buses) == ["uart2"]
        assert buses["uart2"].read(10) == b""
        causes = {name: failure.cause for name, failure in buses.failures.items()}
    assert causes.pop("uart3") is Cause.PROTOCOL  # a serial port without a rate
    assert "speed_hz" in str(buses.failures["uart3"])
    assert set(causes) == {"i2c_a", "spi0", "gpio", "can0"}
    assert set(causes.values()) == {Cause.ABSENT}
    assert all(buses.advice().values())


def test_a_can_device_that_names_no_bus_is_a_failure_and_no_crash(board: BoardConfig) -> None:
    buses = open_buses(with_buses(board, can0=BusConfig("can", "carrier-pigeon://coop", 500_000)), Clock())
    assert buses.failures["can0"].cause is Cause.PROTOCOL


class Lines:
    """GpioChip as far as clearing needs it: SDA is released after three clocks."""

    made: list[Lines]

    def __init__(self, name: str, label: str, inputs: Any, outputs: Any, now_ns: Any, *, open_drain: Any = ()) -> None:
        self.arguments = (name, label, tuple(inputs), tuple(outputs), tuple(open_drain))
        self.clocks = 0
        self.closed = False
        self.made.append(self)

    def set(self, line: str, level: bool) -> None:
        self.clocks += line == "GPIO3" and not level

    def get(self, line: str) -> bool:
        return line == "GPIO3" or self.clocks >= 3

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the openers make, without hardware."""
    seen: dict[str, Any] = {"rebound": []}
    Lines.made = []

    def i2c(*arguments: Any, **named: Any) -> Bus:
        seen["i2c"] = (arguments, named)
        return Bus("i2c_a")

    monkeypatch.setattr(transports, "LinuxI2cBus", i2c)
    monkeypatch.setattr(transports, "GpioChip", Lines)
    monkeypatch.setattr(transports, "rebind", lambda device, bus: seen["rebound"].append((device, bus)))
    return seen


def recovering(board: BoardConfig, recovery: RecoveryConfig | None) -> BoardConfig:
    config = BusConfig("i2c", "/dev/i2c-1", 100_000, 10, recovery)
    return with_buses(board, i2c_a=config, gpio=BusConfig("gpio", "pinctrl-bcm2711"))


def test_the_board_s_lines_clear_the_bus_and_the_adapter_gets_its_pins_back(
    board: BoardConfig, seen: dict[str, Any]
) -> None:
    recovery = RecoveryConfig("GPIO3", "GPIO2", "i2c-bcm2835/fe804000.i2c", "GPIO5")
    clock = Clock()
    open_buses(recovering(board, recovery), clock)
    chip = Lines.made[-1]
    assert chip.arguments[3] == ("GPIO24", "GPIO27", "GPIO22", "GPIO5")  # the multiplexers' reset is an output too
    arguments, named = seen["i2c"]
    assert arguments[:3] == ("i2c_a", "/dev/i2c-1", 10)
    before = clock.looks
    assert named["clear"]() == BusClear(3, True, True)
    assert clock.looks - before >= 5 * 8  # half periods of 5 us
    lines = Lines.made[-1]
    assert lines.arguments == ("i2c_a", "pinctrl-bcm2711", (), (), ("GPIO3", "GPIO2"))
    assert lines.closed
    assert seen["rebound"] == [(Path("/sys/bus/platform/devices/fe804000.i2c"), "i2c_a")]


def test_a_clock_that_stands_still_does_not_hold_the_clearing(board: BoardConfig, seen: dict[str, Any]) -> None:
    open_buses(recovering(board, RecoveryConfig("GPIO3", "GPIO2")), lambda: 0)
    assert seen["i2c"][1]["clear"]().free
    assert seen["rebound"] == []


@pytest.mark.parametrize("recovery", [None, RecoveryConfig(), RecoveryConfig(scl_line="GPIO3")])
def test_without_both_lines_there_is_no_clearing(
    board: BoardConfig, seen: dict[str, Any], recovery: RecoveryConfig | None
) -> None:
    open_buses(recovering(board, recovery), Clock())
    assert seen["i2c"][1]["clear"] is None


@pytest.mark.parametrize(("kind", "device", "word"), [
    ("i2c", "/dev/i2c-1", "dtparam=i2c_arm=on"), ("i2c", "/dev/i2c-3", "dtoverlay=i2c3"),
    ("i2c", "/dev/i2c-1", "raspi-config nonint do_i2c 0"), ("i2c", "/dev/i2c-0", "dtparam=i2c_vc=on"),
    ("spi", "/dev/spidev0", "dtparam=spi=on"), ("spi", "/dev/spidev1", "dtoverlay=spi1-3cs"),
    ("serial", "/dev/ttyAMA2", "dtoverlay=uart2"), ("serial", "/dev/serial0", "enable_uart=1"),
    ("serial", "/dev/ttyUSB0", "by-id"), ("can", "can0", "mcp251xfd"),
    ("can", "can0", "sudo ip link set can0 up type can bitrate 500000"), ("can", "vcan0", "type vcan"),
    ("gpio", "pinctrl-bcm2711", "gpiodetect"),
])
def test_what_is_absent_gets_its_overlay_or_command(kind: Any, device: str, word: str) -> None:
    assert word in advice(BusConfig(kind, device, 500_000), error(Cause.ABSENT))


@pytest.mark.parametrize(("kind", "device", "word"), [
    ("i2c", "/dev/i2c-1", "usermod -aG i2c"), ("spi", "/dev/spidev0", "usermod -aG spi"),
    ("gpio", "pinctrl-bcm2711", "usermod -aG gpio"), ("serial", "/dev/ttyAMA2", "usermod -aG dialout"),
    ("can", "can0", "takes root"),
])
def test_what_is_forbidden_gets_its_group(kind: Any, device: str, word: str) -> None:
    assert word in advice(BusConfig(kind, device, 500_000), error(Cause.PERMISSION))


@pytest.mark.parametrize(("kind", "device", "word"), [
    ("i2c", "/dev/i2c-1", "fuser -v /dev/i2c-1"), ("spi", "/dev/spidev0", "fuser -v /dev/spidev0.*"),
    ("gpio", "pinctrl-bcm2711", "gpioinfo"),
])
def test_what_somebody_else_owns_gets_a_way_to_find_them(kind: Any, device: str, word: str) -> None:
    assert word in advice(BusConfig(kind, device), InUse("i2c_a", None, device))


def test_a_missing_library_gets_its_command() -> None:
    text = advice(BusConfig("i2c", "/dev/i2c-1"), MissingLibrary("i2c_a", "smbus2", "No module named 'smbus2'"))
    assert "pip install 'qiki-flight[board]'" in text
    assert "smbus2" in text


def test_nobody_at_an_address_gets_the_address_and_the_scan() -> None:
    text = advice(BusConfig("i2c", "/dev/i2c-3"), error(Cause.NACK_ADDRESS, address=0x4C))
    assert "0x4c" in text
    assert "i2cdetect -y 3" in text


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("kind", KINDS)
def test_every_cause_on_every_bus_has_an_advice_of_one_line(kind: Any, cause: Cause) -> None:
    for detail in ("", "what happened"):
        text = advice(BusConfig(kind, "can0" if kind == "can" else "/dev/x0", 500_000), error(cause, detail))
        assert len(text) > 15
        assert "\n" not in text
        assert "None" not in text


def test_the_transports_are_the_linux_ones() -> None:
    assert set(transports.OPENERS) == set(KINDS)
    assert transports.LinuxI2cBus is LinuxI2cBus
    assert transports.GpioChip is GpioChip


def test_a_late_bus_that_knows_no_recovery_refuses_it_as_a_device_error(board: BoardConfig, shelf: Shelf) -> None:
    class Plain:
        name = "spi0"

        def transfer(self, select: int, data: bytes) -> bytes:
            return data

        def close(self) -> None:
            """Nothing is held."""

    buses, bus = late(board, shelf, "spi0")
    shelf.errors.clear()
    buses._opening = lambda name: Plain()
    bus.reopen()
    assert bus.transfer(0, b"\x01") == b"\x01"
    for action in (bus.reopen, bus.clear_bus):
        with pytest.raises(DeviceError) as refused:
            action()
        assert refused.value.cause is Cause.PROTOCOL


def test_filters_are_remembered_until_the_bus_is_there(board: BoardConfig, shelf: Shelf) -> None:
    _, bus = late(board, shelf, "can0")
    bus.set_filters({0x351})
    shelf.errors.clear()
    bus.reopen()
    assert shelf.made["can0"].calls == [("set_filters", {0x351})]
    bus.set_filters(None)
    assert shelf.made["can0"].calls[-1] == ("set_filters", None)


def test_an_adapter_that_has_a_name_of_its_own_gets_no_overlay_of_a_number(board: BoardConfig) -> None:
    text = advice(BusConfig("i2c", "/dev/i2c-sensors"), error(Cause.ABSENT))
    assert "dtoverlay" not in text
    assert "/dev/i2c-sensors" in text
