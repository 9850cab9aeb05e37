"""Which lines of config.txt a bus of a Raspberry Pi needs, and whether they are there; hints, never verdicts."""

from __future__ import annotations

import re

from firmware_py.install.system import System
from hal.profile.board import BusConfig

__all__ = ["CONFIG_TXT", "hint", "lines_for"]

CONFIG_TXT = ("/boot/firmware/config.txt", "/boot/config.txt")


def lines_for(bus: BusConfig) -> tuple[str, ...]:
    """Lines that usually bring a bus; empty for one that needs none. They change between models and releases."""
    if bus.kind == "i2c" and (found := re.fullmatch(r"/dev/i2c-(\d+)", bus.device)):
        if found.group(1) == "1":
            return "dtparam=i2c_arm=on", f"dtparam=i2c_arm_baudrate={bus.speed_hz or 100_000}"
        return (f"dtoverlay=i2c{found.group(1)},baudrate={bus.speed_hz or 400_000}",)
    if bus.kind == "spi" and (found := re.match(r"/dev/spidev(\d+)", bus.device)):
        return ("dtparam=spi=on",) if found.group(1) == "0" else (f"dtoverlay=spi{found.group(1)}-3cs",)
    if bus.kind == "can" and bus.device.startswith("can"):
        return ("dtoverlay=mcp251xfd,... of your controller",)
    return ()


def hint(system: System, bus: BusConfig) -> str:
    """What to do about a bus that is missing; empty if nothing in particular is known."""
    wanted = lines_for(bus)
    if not wanted:
        return "plug it in, or name the port that ls -l /dev/serial/by-id shows" if bus.kind == "serial" else ""
    path, text = next(((path, found) for path in CONFIG_TXT if (found := system.read(path)) is not None), (None, b""))
    if path is None:
        return f"enable it: on a Raspberry Pi by {' and '.join(wanted)} in {CONFIG_TXT[0]}, then restart"
    present = [line.split("#")[0].strip() for line in text.decode("utf-8", "replace").splitlines()]
    keys = [re.split(r"[,\s]", line)[0] for line in wanted if "baudrate=" not in line or "dtoverlay" in line]
    if all(any(line.startswith(key) for line in present) for key in keys):
        return f"{path} has {', '.join(keys)} already: restart; dmesg says what became of it"
    return f"put {' and '.join(wanted)} into {path}, then restart"
