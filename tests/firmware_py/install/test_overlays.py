"""Hints about config.txt: the line of each bus, whether it is there, and silence where nothing is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.install.overlays import hint, lines_for
from firmware_py.install.system import HostSystem
from hal.profile.board import BusConfig


@pytest.mark.parametrize(("bus", "lines"), [
    (BusConfig("i2c", "/dev/i2c-1", 100_000), ("dtparam=i2c_arm=on", "dtparam=i2c_arm_baudrate=100000")),
    (BusConfig("i2c", "/dev/i2c-3", 400_000), ("dtoverlay=i2c3,baudrate=400000",)),
    (BusConfig("spi", "/dev/spidev0"), ("dtparam=spi=on",)),
    (BusConfig("spi", "/dev/spidev1"), ("dtoverlay=spi1-3cs",)),
    (BusConfig("serial", "/dev/ttyUSB0"), ()),
    (BusConfig("gpio", "pinctrl-bcm2711"), ()),
    (BusConfig("can", "udp://239.0.0.1:4311"), ()),
])
def test_each_bus_has_its_lines(bus: BusConfig, lines: tuple[str, ...]) -> None:
    assert lines_for(bus) == lines


def test_a_line_that_is_there_asks_for_a_restart_and_another_does_not(tmp_path: Path) -> None:
    system, bus = HostSystem(tmp_path), BusConfig("i2c", "/dev/i2c-3", 400_000)
    assert "on a Raspberry Pi by dtoverlay=i2c3,baudrate=400000" in hint(system, bus)
    system.write("/boot/config.txt", b"dtoverlay=i2c4\n")
    assert "put dtoverlay=i2c3,baudrate=400000 into /boot/config.txt" in hint(system, bus)
    system.write("/boot/firmware/config.txt", b"dtoverlay=i2c3,pins_4_5\n")
    assert hint(system, bus).startswith("/boot/firmware/config.txt has dtoverlay=i2c3 already: restart")


def test_nothing_is_made_up(tmp_path: Path) -> None:
    assert hint(HostSystem(tmp_path), BusConfig("gpio", "pinctrl-bcm2711")) == ""
