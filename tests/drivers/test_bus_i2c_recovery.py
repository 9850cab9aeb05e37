"""Clearing a held bus: clocks until SDA is free, START and STOP, and the adapter's driver bound anew."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from drivers.bus.counted import InUse
from drivers.bus.i2c_recovery import BusClear, adapter_device, clear_bus, rebind
from drivers.errors import Cause, DeviceError


class Wires:
    """Two open-drain wires with a device that holds SDA for some clocks, or a line for ever; keeps what happened."""

    name = "gpio"

    def __init__(self, holds_clocks: int = 0, scl_held: bool = False, stretch: int = 0) -> None:
        self.ours = {"SCL": True, "SDA": True}
        self.left = holds_clocks
        self.scl_held = scl_held
        self.stretch = stretch
        self.stretching = 0
        self.log: list[str] = []
        self.waits = 0

    def level(self, line: str) -> bool:
        if line == "SCL":
            return self.ours["SCL"] and not self.scl_held and self.stretching == 0
        return self.ours["SDA"] and self.left == 0

    def set(self, line: str, level: bool) -> None:
        was = {name: self.level(name) for name in self.ours}
        self.ours[line] = level
        if line == "SCL" and not level and was["SCL"]:
            self.log.append("clock")
            self.left = max(self.left - 1, 0)
            self.stretching = self.stretch
        if line == "SDA" and was["SDA"] != self.level("SDA") and self.level("SCL"):
            self.log.append("START" if was["SDA"] else "STOP")

    def get(self, line: str) -> bool:
        return self.level(line)

    def settle(self) -> None:
        self.waits += 1
        if self.ours["SCL"] and self.stretching:
            self.stretching -= 1


def clear(wires: Wires) -> BusClear:
    return clear_bus(wires, "SCL", "SDA", wires.settle)


@pytest.mark.parametrize("held", range(10))
def test_as_many_clocks_as_the_device_needs_then_start_and_stop(held: int) -> None:
    wires = Wires(held)
    result = clear(wires)
    assert result == BusClear(held, True, True)
    assert result.free
    assert wires.log == ["clock"] * held + ["START", "STOP"]
    assert wires.ours == {"SCL": True, "SDA": True}


def test_nine_clocks_and_no_more() -> None:
    wires = Wires(1000)
    result = clear(wires)
    assert result == BusClear(9, False, True)
    assert not result.free
    assert wires.log == ["clock"] * 9  # no START: the data line is not ours to move


def test_a_held_clock_line_cannot_be_cleared() -> None:
    wires = Wires(3, scl_held=True)
    result = clear(wires)
    assert result == BusClear(0, False, False)
    assert wires.log == []
    assert wires.waits < 100


def test_a_device_that_stretches_its_clocks_is_waited_for() -> None:
    wires = Wires(5, stretch=3)
    assert clear(wires) == BusClear(5, True, True)


def test_a_device_that_holds_the_clock_in_the_middle_ends_it() -> None:
    wires = Wires(5, stretch=10_000)
    assert clear(wires) == BusClear(1, False, False)


def test_an_error_of_the_lines_is_told_and_both_are_released() -> None:
    class Broken(Wires):
        def set(self, line: str, level: bool) -> None:
            super().set(line, level)
            if self.log.count("clock") == 2 and not level:
                raise DeviceError("gpio", None, Cause.IMPLAUSIBLE, "SCL doesn't follow")

    wires = Broken(9)
    with pytest.raises(DeviceError, match="follow"):
        clear(wires)
    assert wires.ours == {"SCL": True, "SDA": True}


class Sysfs:
    """A controller with a driver, as folders."""

    def __init__(self, root: Path, bound: bool = True) -> None:
        self.root = root
        self.device = root / "devices/platform/soc/fe804000.i2c"
        self.driver = root / "bus/platform/drivers/i2c-bcm2835"
        self.adapter = self.device / "i2c-1"
        for folder in (self.adapter, self.driver, root / "class/i2c-dev/i2c-1", root / "dev"):
            folder.mkdir(parents=True)
        (self.device / "subsystem").symlink_to(root / "bus/platform")
        (root / "class/i2c-dev/i2c-1/device").symlink_to(self.adapter)
        for name in ("unbind", "bind"):
            (self.driver / name).touch()
        (root / "bus/platform/drivers_probe").touch()
        if bound:
            (self.device / "driver").symlink_to(self.driver)

    def written(self, name: str) -> str:
        return (self.driver / name).read_text()


def test_the_controller_of_a_node_is_found(tmp_path: Path) -> None:
    sysfs = Sysfs(tmp_path)
    assert adapter_device("/dev/i2c-1", tmp_path) == sysfs.device
    with pytest.raises(DeviceError) as caught:
        adapter_device("/dev/i2c-7", tmp_path, "i2c_a")
    assert (caught.value.cause, caught.value.bus) == (Cause.ABSENT, "i2c_a")


def test_a_multiplexer_s_channel_has_no_controller_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "class/i2c-dev/i2c-9").mkdir(parents=True)
    channel = tmp_path / "devices/platform/soc/fe804000.i2c/i2c-1/i2c-9"
    channel.mkdir(parents=True)
    (tmp_path / "class/i2c-dev/i2c-9/device").symlink_to(channel)
    with pytest.raises(DeviceError) as caught:
        adapter_device("/dev/i2c-9", tmp_path)
    assert caught.value.cause is Cause.PROTOCOL


def test_the_driver_is_unbound_and_bound(tmp_path: Path) -> None:
    sysfs = Sysfs(tmp_path)
    rebind(sysfs.device, "i2c_a", tmp_path / "dev")
    assert (sysfs.written("unbind"), sysfs.written("bind")) == ("fe804000.i2c", "fe804000.i2c")


def test_a_controller_without_driver_is_offered_to_all(tmp_path: Path) -> None:
    sysfs = Sysfs(tmp_path, bound=False)
    with pytest.raises(DeviceError) as caught:
        rebind(sysfs.device, "i2c_a", tmp_path / "dev")
    assert caught.value.cause is Cause.PROTOCOL  # these folders have no kernel that would bind it
    assert (tmp_path / "bus/platform/drivers_probe").read_text() == "fe804000.i2c"
    assert sysfs.written("bind") == ""


def test_nothing_is_unbound_under_an_owner_who_would_be_waited_for(tmp_path: Path) -> None:
    sysfs = Sysfs(tmp_path)
    node = tmp_path / "dev/i2c-1"
    node.touch()
    with node.open("r+") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        with pytest.raises(InUse):
            rebind(sysfs.device, "i2c_a", tmp_path / "dev")
        assert sysfs.written("unbind") == ""
    rebind(sysfs.device, "i2c_a", tmp_path / "dev")
    assert sysfs.written("unbind") == "fe804000.i2c"


def test_a_controller_that_is_not_there_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        rebind(tmp_path / "fe804000.i2c", "i2c_a", tmp_path)
    assert caught.value.cause is Cause.ABSENT
