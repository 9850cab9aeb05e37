"""Checks of the boot that installs: the project's own installer, then each kind of node, then the first start.

Standard library only; the nodes are read with the installed software's own libraries (smbus2, spidev, python-can,
gpiod, pyserial), through the kernel and nothing else. The flight program does not run yet, so no bus has an owner.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from hil.kernel.inside_host import FLIGHT, SHARE, CheckFailed, flight_mode, python, run, show, until
from hil.kernel.inside_nodes import install_units, make_nodes

__all__ = ["INSTALL_CHECKS", "prepare"]

READY_LIMIT_S = 40.0
READ_I2C = """
import errno
from smbus2 import SMBus, i2c_msg
with SMBus("/dev/i2c-1") as bus:
    ask, answer = i2c_msg.write(0x40, [0x3e]), i2c_msg.read(0x40, 2)
    bus.i2c_rdwr(ask, answer)
    print(bytes(answer).hex())
    try:
        bus.read_byte(0x50)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
READ_SPI = """
import spidev
device = spidev.SpiDev()
device.open(0, 0)
device.max_speed_hz, device.mode = 1000000, 3
device.xfer2([0x72, 0])
print(bytes(device.xfer2([0, 0])).hex())
"""
READ_CAN = """
import can, time
heard, end = set(), time.monotonic() + 60
with can.Bus(interface="socketcan", channel="can0") as bus:
    while len(heard) < 2 and time.monotonic() < end:
        frame = bus.recv(1.0)
        if frame is not None and frame.arbitration_id in (0x710, 0x711):
            heard.add(frame.arbitration_id)
print(sorted(heard))
"""
DRIVE_LINE = """
import glob, gpiod
from gpiod.line import Direction, Value
path = next(p for p in sorted(glob.glob("/dev/gpiochip*")) if gpiod.Chip(p).get_info().label == "pinctrl-bcm2711")
output = gpiod.LineSettings(direction=Direction.OUTPUT)
with gpiod.request_lines(path, consumer="check", config={"GPIO25": output}) as r:
    r.set_value("GPIO25", Value.ACTIVE)
    high = r.get_value("GPIO25")
    r.set_value("GPIO25", Value.INACTIVE)
    print(high is Value.ACTIVE, r.get_value("GPIO25") is Value.INACTIVE)
print(gpiod.Chip(path).get_line_info("GPIO25").used)
"""
READ_SERIAL = """
import serial
with serial.Serial("/dev/ttyUSB0", 19200, timeout=60) as port:
    seen = b""
    while b"Checksum" not in seen:
        seen += port.read(64)
print(seen.count(b"\\r\\n"))
"""
WATCHDOG = """
import fcntl, glob, os, struct
node = os.open(sorted(glob.glob("/dev/watchdog[0-9]*"))[-1], os.O_WRONLY)
about = bytearray(40)
fcntl.ioctl(node, 0x80285700, about)
seconds = bytearray(struct.pack("i", 20))
fcntl.ioctl(node, 0xC0045706, seconds)
os.write(node, b"V")
os.close(node)
print(bytes(about[8:]).rstrip(b"\\0").decode(), struct.unpack("i", seconds)[0])
"""


def prepare() -> None:
    """Nodes and units of the rig; before any check. What was installed while building has started already."""
    if (SHARE / "installed").exists():
        run("systemctl", "stop", "qiki.target", "qiki-flight.service", "qiki-recorder.service", timeout_s=300.0)
        return
    install_units(SHARE, (SHARE / "board.yaml").read_bytes())
    make_nodes()


def install() -> tuple[float, str]:
    """The project's own installer. The serial port comes with the rig, and the rig with the project: hence --anyway."""
    began = time.monotonic()
    if (SHARE / "installed").exists():
        return float((SHARE / "installed").read_text()), "by qiki install --root on the machine that builds"
    words = ("--board", str(SHARE / "board.yaml"), "--body", "bench-12kg", "--mission", str(SHARE / "mission.yaml"))
    run("sh", str(SHARE / "wheelhouse/install.sh"), *words, "--no-start", "--anyway", timeout_s=3000.0)
    took = time.monotonic() - began
    if not Path("/opt/qiki/current/bin/qiki").exists():
        raise CheckFailed("the installer ended well, and there is no /opt/qiki/current/bin/qiki")
    return took, run("/opt/qiki/current/bin/qiki", "--help").split("\n")[1].strip()


def nodes_i2c() -> tuple[None, str]:
    """The monitor's register of its maker (0x3E holds "TI") and an address that nobody has."""
    run("systemctl", "start", "qiki-rig.service")
    seen = python(READ_I2C).split()
    return None, _expect(seen, ["5449", "ENXIO"])


def nodes_spi() -> tuple[None, str]:
    """PROD_ID, register 0x72, holds 16470 = 0x4056; the answer comes with the next frame."""
    return None, _expect(python(READ_SPI).split(), ["4056"])


def nodes_can() -> tuple[float, str]:
    """Heartbeats of nodes 0x10 and 0x11 (0x700 and the node's number)."""
    began = time.monotonic()
    seen = python(READ_CAN).strip()
    if seen != "[1808, 1809]":
        raise CheckFailed(f"heard {seen}")
    return time.monotonic() - began, "0x710, 0x711"


def nodes_gpio() -> tuple[None, str]:
    """A line that the board leaves free."""
    return None, _expect(python(DRIVE_LINE).split(), ["True", "True", "False"])


def nodes_serial() -> tuple[float, str]:
    """One block of the charger's text protocol ends with its checksum."""
    began = time.monotonic()
    seen = python(READ_SERIAL).strip()
    return time.monotonic() - began, f"{seen} lines"


def nodes_watchdog() -> tuple[None, str]:
    """Identity and time-out; closed by the letter that stops it."""
    return None, python(WATCHDOG).strip()


def ready() -> tuple[float, str]:
    """Start everything as a boot does."""
    run("systemctl", "start", "qiki.target", timeout_s=300.0)
    until("the flight program flies", lambda: flight_mode() is not None, READY_LIMIT_S)
    found = show(FLIGHT, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic", "StatusText")
    took = (int(found["ActiveEnterTimestampMonotonic"]) - int(found["ExecMainStartTimestampMonotonic"])) / 1e6
    return took, found["StatusText"]


def _expect(seen: list[str], wanted: list[str]) -> str:
    if seen != wanted:
        raise CheckFailed(f"read {json.dumps(seen)} instead of {json.dumps(wanted)}")
    return " ".join(seen)


INSTALL_CHECKS = {
    "install": install, "nodes-i2c": nodes_i2c, "nodes-spi": nodes_spi, "nodes-can": nodes_can,
    "nodes-gpio": nodes_gpio, "nodes-serial": nodes_serial, "nodes-watchdog": nodes_watchdog, "ready": ready,
}
