"""GpioChip over a stand-in for gpiod's chip: found by label, levels kept at opening, every write read back."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.gpio_chip import GpioChip
from drivers.bus.protocol import GpioBus, ReopenableBus
from drivers.errors import Cause, DeviceError

gpiod = pytest.importorskip("gpiod", reason="gpiod comes with the extra [board]")
from gpiod.line import Direction, Drive, Value  # noqa: E402 - only where the library is


class Pins:
    """The hardware: one level a pin, pins that are held, and the kernel's bookkeeping. Refuses what the kernel does."""

    def __init__(self, names: Iterable[str] = (), count: int = 8, label: str = "pinctrl-bcm2711") -> None:
        self.names = [*names, *([""] * count)][:count]
        self.label = label
        self.outside = [False] * count
        """Level that the board gives a pin nobody drives."""
        self.held: dict[int, bool] = {}
        self.settings: dict[int, Any] = {}
        self.values: dict[int, Any] = {}
        self.consumers: dict[int, str] = {}
        self.history: list[tuple[int, bool]] = []
        self.fault: int | None = None
        self.open_chips = 0

    def level(self, pin: int) -> bool:
        if pin in self.held:
            return self.held[pin]
        settings = self.settings.get(pin)
        if settings is not None and settings.direction is Direction.OUTPUT:
            driven = self.values[pin] is Value.ACTIVE
            if not (driven and settings.drive is Drive.OPEN_DRAIN):
                return driven
        return self.outside[pin]

    def apply(self, pin: int, settings: Any) -> None:
        if settings.direction is Direction.AS_IS and pin in self.settings:
            return
        before = self.level(pin)
        self.settings[pin] = settings
        if settings.direction is Direction.OUTPUT:
            self.values[pin] = settings.output_value
        if self.level(pin) != before:
            self.history.append((pin, self.level(pin)))


class FakeChip:
    """``gpiod.Chip``."""

    def __init__(self, pins: Pins, name: str) -> None:
        self.pins, self.name = pins, name
        pins.open_chips += 1

    def get_info(self) -> Any:
        return SimpleNamespace(name=self.name, label=self.pins.label, num_lines=len(self.pins.names))

    def get_line_info(self, line: int) -> Any:
        consumer = self.pins.consumers.get(line, "")
        return SimpleNamespace(name=self.pins.names[line], used=bool(consumer), consumer=consumer)

    def request_lines(self, config: dict[int, Any], consumer: str) -> FakeRequest:
        if any(pin in self.pins.consumers for pin in config):
            raise OSError(errno.EBUSY, "Device or resource busy")
        for pin, settings in config.items():
            assert isinstance(settings, gpiod.LineSettings)
            self.pins.consumers[pin] = consumer
            self.pins.apply(pin, settings)
        return FakeRequest(self.pins, list(config))

    def close(self) -> None:
        self.pins.open_chips -= 1


class FakeRequest:
    """``gpiod.LineRequest``."""

    def __init__(self, pins: Pins, lines: list[int]) -> None:
        self.pins, self.lines = pins, lines

    def reconfigure_lines(self, config: dict[int, Any]) -> None:
        assert set(config) == set(self.lines)  # libgpiod resets the lines that are left out
        for pin, settings in config.items():
            self.pins.apply(pin, settings)

    def get_value(self, line: int) -> Any:
        if self.pins.fault is not None:
            raise OSError(self.pins.fault, "told to")
        return Value.ACTIVE if self.pins.level(line) else Value.INACTIVE

    def set_value(self, line: int, value: Any) -> None:
        if self.pins.settings[line].direction is not Direction.OUTPUT:
            raise OSError(errno.EPERM, "Operation not permitted")
        self.pins.values[line] = value

    def release(self) -> None:
        for line in self.lines:
            del self.pins.consumers[line]


NAMED = ("ID_SDA", "ID_SCL", "SDA1", "SCL1", "ARM", "ENABLE", "KICK", "MATE")


def chip(
    pins: Pins, outputs: Iterable[str] = ("ARM", "ENABLE"), inputs: Iterable[str] = ("MATE",), **more: Any
) -> GpioChip:
    arguments: dict[str, Any] = {
        "open_chip": lambda path: FakeChip(pins, path.rpartition("/")[2]), "nodes": lambda: ["/dev/gpiochip0"],
    }
    label = more.pop("label", "pinctrl-bcm2711")
    return GpioChip("gpio", label, inputs, outputs, lambda: 0, **(arguments | more))


def refusal(call: Any, *arguments: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    assert caught.value.bus == "gpio"
    return caught.value


def test_it_is_what_the_safety_plane_and_the_ladder_ask_for() -> None:
    lines = chip(Pins(NAMED))
    assert isinstance(lines, GpioBus)
    assert isinstance(lines, ReopenableBus)


def test_lines_are_driven_and_read_by_name() -> None:
    pins = Pins(NAMED)
    lines = chip(pins)
    lines.set("ARM", True)
    assert (pins.level(4), pins.level(5)) == (True, False)
    assert lines.get("ARM")
    pins.outside[7] = True
    assert lines.get("MATE")
    lines.set("ARM", False)
    assert not lines.get("ARM")
    assert lines.lines == ("MATE", "ARM", "ENABLE")
    assert set(pins.consumers.values()) == {"gpio"}


@pytest.mark.parametrize("levels", [(False, False), (True, False), (True, True)])
def test_taking_lines_moves_none_of_them(levels: tuple[bool, bool]) -> None:
    pins = Pins(NAMED)
    pins.outside[4:6] = levels
    lines = chip(pins)
    assert pins.history == []
    assert (lines.get("ARM"), lines.get("ENABLE")) == levels
    assert pins.settings[4].direction is Direction.OUTPUT


def test_numbered_lines_are_found_where_names_are_missing_or_other() -> None:
    pins = Pins(count=8)
    lines = chip(pins, ("GPIO5",), ("GPIO0",))
    lines.set("GPIO5", True)
    assert pins.level(5)
    renamed = Pins(("GPIO7",) + ("",) * 7)
    chip(renamed, ("GPIO7",), ()).set("GPIO7", True)
    assert renamed.level(0)  # a name comes before a number
    assert not renamed.level(7)


@pytest.mark.parametrize("line", ["GPIO8", "GPIO99999", "GPIO", "gpio5", "ARMED"])
def test_a_line_that_is_not_there_is_absent_and_those_that_are_get_named(line: str) -> None:
    pins = Pins(NAMED)
    error = refusal(lambda: chip(pins, (line,)))
    assert error.cause is Cause.ABSENT
    assert "ENABLE" in error.detail
    assert pins.consumers == {}
    assert pins.open_chips == 0
    assert "GPIO0 to GPIO7" in refusal(lambda: chip(Pins(), ("ARM",))).detail


def test_a_line_that_was_not_taken_is_absent() -> None:
    lines = chip(Pins(NAMED))
    for call, arguments in ((lines.get, ("KICK",)), (lines.set, ("KICK", True))):
        error = refusal(call, *arguments)
        assert error.cause is Cause.ABSENT
        assert "ARM" in error.detail


def test_a_name_of_two_lines_and_a_line_given_twice_are_refused() -> None:
    assert refusal(lambda: chip(Pins(("ARM", "ARM", "ENABLE", "MATE")))).cause is Cause.PROTOCOL
    assert refusal(lambda: chip(Pins(NAMED), ("ARM", "ARM"))).cause is Cause.PROTOCOL
    assert refusal(lambda: chip(Pins(NAMED), ("ARM", "GPIO4"))).cause is Cause.PROTOCOL
    # Many boards call unused lines alike; that harms nobody who doesn't ask for them.
    chip(Pins(("-", "-", "ARM", "ENABLE", "MATE")))


@pytest.mark.parametrize(("held", "wanted"), [(False, True), (True, False)])
def test_a_pin_that_does_not_follow_is_implausible(held: bool, wanted: bool) -> None:
    pins = Pins(NAMED)
    lines = chip(pins)
    pins.held[4] = held
    assert refusal(lines.set, "ARM", wanted).cause is Cause.IMPLAUSIBLE
    assert lines.counters.by_cause == {Cause.IMPLAUSIBLE: 1}
    lines.set("ARM", held)
    assert lines.get("ARM") is held


def test_an_input_is_not_driven() -> None:
    assert refusal(chip(Pins(NAMED)).set, "MATE", True).cause is Cause.PROTOCOL


def test_open_drain_lines_begin_released_and_may_be_held_by_others() -> None:
    pins = Pins(NAMED)
    pins.outside[2] = pins.outside[3] = True
    lines = chip(pins, (), (), open_drain=("SCL1", "SDA1"))
    assert pins.history == []
    pins.held[2] = False
    lines.set("SDA1", True)
    assert not lines.get("SDA1")
    del pins.held[2]
    assert lines.get("SDA1")
    lines.set("SCL1", False)
    assert not pins.level(3)
    pins.held[3] = True
    assert refusal(lines.set, "SCL1", False).cause is Cause.IMPLAUSIBLE


def test_the_chip_is_found_by_label_whatever_its_number() -> None:
    boards = {"/dev/gpiochip0": Pins(label="raspberrypi-exp-gpio"), "/dev/gpiochip4": Pins(NAMED)}

    def find(label: str) -> GpioChip:
        return GpioChip(
            "gpio", label, (), ("ARM",), lambda: 0,
            open_chip=lambda path: FakeChip(boards[path], path.rpartition("/")[2]), nodes=lambda: sorted(boards),
        )

    find("pinctrl-bcm2711").set("ARM", True)
    assert boards["/dev/gpiochip4"].level(4)
    assert all(pins.open_chips == 0 for pins in boards.values())
    error = refusal(find, "pinctrl-rp1")
    assert error.cause is Cause.ABSENT
    assert "pinctrl-bcm2711" in error.detail
    assert "raspberrypi-exp-gpio" in error.detail
    boards["/dev/gpiochip4"].consumers.clear()
    find("gpiochip4")
    boards["/dev/gpiochip4"].consumers.clear()
    find("/dev/gpiochip4")


def test_no_chip_at_all_is_absent() -> None:
    assert refusal(lambda: chip(Pins(), nodes=list)).cause is Cause.ABSENT


def test_chips_that_may_not_be_opened_are_a_matter_of_permission() -> None:
    def denied(path: str) -> Any:
        raise PermissionError(errno.EACCES, "denied", path)

    assert refusal(lambda: chip(Pins(), open_chip=denied)).cause is Cause.PERMISSION
    assert refusal(lambda: chip(Pins(), open_chip=denied, label="/dev/gpiochip0")).cause is Cause.PERMISSION


def test_a_line_with_another_owner_is_named_with_its_owner() -> None:
    pins = Pins(NAMED)
    pins.consumers[5] = "fan-control"
    error = refusal(lambda: chip(pins))
    assert isinstance(error, InUse)
    assert "ENABLE by fan-control" in error.detail
    assert pins.open_chips == 0


def test_closing_gives_the_lines_back_and_reopening_takes_them_at_their_level() -> None:
    pins = Pins(NAMED)
    lines = chip(pins)
    lines.set("ARM", True)
    pins.history.clear()
    lines.close()
    lines.close()
    assert pins.consumers == {}
    assert refusal(lines.get, "ARM").cause is Cause.ABSENT
    lines.reopen()
    assert lines.get("ARM")
    assert pins.history == []
    assert lines.counters.reopens == 1


@pytest.mark.parametrize(("number", "cause"), [
    (errno.ENODEV, Cause.ABSENT), (errno.EPERM, Cause.PERMISSION), (errno.EINVAL, Cause.PROTOCOL),
])
def test_errors_of_the_kernel_are_typed(number: int, cause: Cause) -> None:
    pins = Pins(NAMED)
    lines = chip(pins)
    pins.fault = number
    assert refusal(lines.get, "ARM").cause is cause
    assert refusal(lines.set, "ARM", True).cause is cause


def test_lines_are_given_back_when_they_cannot_be_set_up() -> None:
    pins = Pins(NAMED)
    pins.fault = errno.ENODEV
    assert refusal(lambda: chip(pins)).cause is Cause.ABSENT
    assert pins.consumers == {}
    assert pins.open_chips == 0


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gpiod", None)
    with pytest.raises(MissingLibrary, match="gpiod"):
        chip(Pins(NAMED))


def test_the_real_library_refuses_a_file_that_is_no_chip(tmp_path: Any) -> None:
    (tmp_path / "gpiochip0").touch()
    error = refusal(lambda: GpioChip("gpio", str(tmp_path / "gpiochip0"), (), ("ARM",), lambda: 0))
    assert error.cause in (Cause.PROTOCOL, Cause.ABSENT)
    error = refusal(lambda: GpioChip("gpio", str(tmp_path / "gpiochip9"), (), ("ARM",), lambda: 0))
    assert error.cause is Cause.ABSENT
