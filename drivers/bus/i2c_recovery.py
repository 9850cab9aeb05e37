"""Frees an I2C bus that a device holds: nine clocks, START and STOP by GPIO, and the adapter's driver bound anew.

A device that lost a clock in the middle of a read holds SDA low until it has sent its bit; up to nine clocks bring it
to the end of its byte, and a START and STOP then end whatever it thought was going on (NXP UM10204 rev. 7.0, section
3.1.16 "Bus clear"). A bus whose SCL is held low can't be cleared so; only a reset line or the supply helps.

On a Raspberry Pi a pin that was requested as GPIO has lost its I2C function, and only binding the adapter's driver
anew gives it back. So the order is: close the bus, take both pins, ``clear_bus``, give the pins back, ``rebind``, open
the bus. None of this belongs into the fast loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.bus.counted import opening_error, take_ownership
from drivers.bus.protocol import GpioBus
from drivers.errors import Cause, DeviceError

__all__ = ["MAX_CLOCKS", "BusClear", "adapter_device", "clear_bus", "rebind"]

MAX_CLOCKS = 9
"""Eight bits and the acknowledge."""
STRETCH_WAITS = 20
"""Half periods that a device may stretch a clock."""


@dataclass(frozen=True, slots=True)
class BusClear:
    """How a clearing ended: clocks it took, and whether each line was high at the end."""

    clocks: int
    sda_free: bool
    scl_free: bool

    @property
    def free(self) -> bool:
        """Whether the bus can be used again."""
        return self.sda_free and self.scl_free


def clear_bus(gpio: GpioBus, scl: str, sda: str, settle: Callable[[], None]) -> BusClear:
    """Clock SCL until SDA is released, nine times at most, then START and STOP.

    Args:
        gpio: both lines as open-drain outputs: ``True`` releases a line, ``get`` tells its level on the wire.
        scl: line name of the clock.
        sda: line name of the data.
        settle: waits half a clock period, 5 us or longer.

    Raises:
        DeviceError: what the lines raise. Both are released again as far as they let us.
    """
    clocks = 0
    try:
        gpio.set(sda, True)
        high = _rises(gpio, scl, settle)
        while high and not gpio.get(sda) and clocks < MAX_CLOCKS:
            gpio.set(scl, False)
            settle()
            high = _rises(gpio, scl, settle)
            clocks += 1
        if high and gpio.get(sda):
            gpio.set(sda, False)
            settle()
            gpio.set(sda, True)
            settle()
    except DeviceError:
        _release(gpio, scl, sda)
        raise
    return BusClear(clocks, gpio.get(sda), gpio.get(scl))


def _rises(gpio: GpioBus, scl: str, settle: Callable[[], None]) -> bool:
    """Release the clock and wait for its level, which a device may stretch."""
    gpio.set(scl, True)
    for _ in range(STRETCH_WAITS):
        settle()
        if gpio.get(scl):
            return True
    return False


def _release(gpio: GpioBus, *lines: str) -> None:
    for line in lines:
        try:
            gpio.set(line, True)
        except DeviceError:
            continue  # the first error is the one to tell


def adapter_device(path: str, sys: Path = Path("/sys"), bus: str = "") -> Path:
    """Folder in sysfs of the controller behind a node, such as ``.../fe804000.i2c`` for ``/dev/i2c-1``.

    Raises:
        DeviceError: ABSENT for a node without one, PROTOCOL for an adapter that is no device of its own (a channel of
            a multiplexer).
    """
    adapter = sys / "class/i2c-dev" / Path(path).name / "device"
    if not adapter.is_dir():
        raise DeviceError(bus, None, Cause.ABSENT, f"{path} is no I2C adapter of this kernel")
    device = adapter.resolve().parent
    if not (device / "subsystem").exists():
        raise DeviceError(bus, None, Cause.PROTOCOL, f"{path} has no controller of its own")
    return device


def rebind(sysfs_device: Path, bus: str = "", dev: Path = Path("/dev")) -> None:
    """Unbind the driver of a controller and bind it again; milliseconds, and it needs root.

    A controller left without a driver, by an earlier try perhaps, is offered to all drivers of its bus instead.

    Args:
        sysfs_device: folder of the controller, see ``adapter_device``.
        bus: name for errors.
        dev: folder of the nodes.

    Raises:
        DeviceError: InUse while somebody has one of its nodes open, for the kernel would wait for them for ever;
            PERMISSION, ABSENT; PROTOCOL when no driver took it.
    """
    for adapter in sorted(sysfs_device.glob("i2c-[0-9]*")):
        _check_unused(dev / adapter.name, bus)
    driver = sysfs_device / "driver"
    if driver.exists():
        folder = driver.resolve()
        _write(folder / "unbind", sysfs_device.name, bus)
        _write(folder / "bind", sysfs_device.name, bus)
    else:
        _write(sysfs_device / "subsystem/drivers_probe", sysfs_device.name, bus)
    if not driver.exists():
        raise DeviceError(bus, None, Cause.PROTOCOL, f"no driver has taken {sysfs_device.name}")


def _check_unused(node: Path, bus: str) -> None:
    try:
        fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise opening_error(bus, None, str(node), error) from None
    try:
        take_ownership(fd, bus, None, str(node))
    finally:
        os.close(fd)


def _write(path: Path, text: str, bus: str) -> None:
    try:
        with path.open("w") as stream:
            stream.write(text)
    except OSError as error:
        raise opening_error(bus, None, str(path), error) from None
