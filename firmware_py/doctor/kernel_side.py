"""Checks of what a board file needs of kernel and firmware: overlays, modules, groups, supply, a clock that goes on.

What can only be told on the board it is for (a Raspberry Pi's config.txt, its firmware's word) is SKIP elsewhere.
"""

from __future__ import annotations

import re

from drivers.bus.remote_end import is_remote
from drivers.errors import DeviceError
from drivers.linux_platform import throttle_flags
from firmware_py.doctor.machine import Check, Machine, Status
from firmware_py.install.overlays import CONFIG_TXT, lines_for
from hal.profile.board import BoardConfig, BusConfig

__all__ = ["check_clock", "check_groups", "check_modules", "check_overlays", "check_supply"]

_MODULES = {"i2c": ("i2c_dev",), "spi": ("spidev",), "can": ("can", "can_raw"), "gpio": (), "serial": ()}
_GROUPS = {"i2c": "i2c", "spi": "spi", "gpio": "gpio", "serial": "dialout"}
_FLAG_FILES = ("sys/devices/platform/soc/soc:firmware/get_throttled", "sys/devices/platform/soc:firmware/get_throttled")


def _of_the_kernel(bus: BusConfig) -> bool:
    """Whether a bus is a node of the kernel's, and not one that a rig or a network plays."""
    played = bus.kind == "serial" and not bus.device.startswith("/dev/")
    return not (is_remote(bus.device) or played or (bus.kind == "can" and ":" in bus.device))


def _wanted(bus: BusConfig) -> tuple[str, ...]:
    """Lines of config.txt that usually bring a bus."""
    uart = re.fullmatch(r"/dev/ttyAMA([1-9]\d?)", bus.device)
    if uart is not None:
        return (f"dtoverlay=uart{uart[1]}",)
    return ("enable_uart=1",) if bus.device in ("/dev/serial0", "/dev/ttyAMA0", "/dev/ttyS0") else lines_for(bus)


def _there(machine: Machine, bus: BusConfig) -> bool:
    """Whether the node of a bus is there, of whatever chip select."""
    if bus.kind == "can":
        return (machine.root / "sys/class/net" / bus.device).exists()
    if bus.kind == "spi":
        base = machine.root / bus.device.lstrip("/")
        return any(base.parent.glob(f"{base.name}.[0-9]*"))
    return bus.device.startswith("/") and (machine.root / bus.device.lstrip("/")).exists()


def check_overlays(board: BoardConfig, machine: Machine) -> list[Check]:
    """The lines of config.txt that each bus needs on a Raspberry Pi, and whether they are there.

    They change between models and releases, so a bus whose node is there passes without them.
    """
    found = ((path, machine.text(path.lstrip("/"))) for path in CONFIG_TXT)
    path, text = next(((path, text) for path, text in found if text is not None), (CONFIG_TXT[0], None))
    present = [line.partition("#")[0].strip() for line in (text or "").splitlines()]
    checks = []
    for name, bus in board.buses.items():
        if not _of_the_kernel(bus):
            continue
        wanted = _wanted(bus)
        if not wanted:
            continue
        keys = [line.partition(",")[0] for line in wanted if "baudrate=" not in line or line.startswith("dtoverlay")]
        missing = [key for key in keys if not any(line.partition(",")[0] == key for line in present)]
        allowed, title = ", ".join(wanted), f"overlay of {name}"
        if not missing and text is not None:
            checks.append(Check(title, Status.PASS, f"in {path}", allowed=allowed))
        elif _there(machine, bus):
            checks.append(Check(title, Status.PASS, f"{bus.device} is there without it", allowed=allowed))
        elif text is None:
            checks.append(Check(title, Status.SKIP, "no config.txt: no Raspberry Pi", allowed=allowed))
        else:
            step = f"put {' and '.join(missing)} into {path}, then restart"
            checks.append(Check(title, Status.FAIL, f"not in {path}", step, allowed))
    return checks


def check_modules(board: BoardConfig, machine: Machine) -> list[Check]:
    """Modules of the kernel's that make nodes of these buses; built into the kernel is as good."""
    kinds = {bus.kind for bus in board.buses.values() if _of_the_kernel(bus)}
    loaded = {line.split()[0] for line in (machine.text("proc/modules") or "").splitlines() if line}
    checks = []
    for kind, modules in _MODULES.items():
        for module in modules if kind in kinds else ():
            nodes = any(_there(machine, bus) for bus in board.buses.values() if bus.kind == kind)
            name = f"module {module}"
            if module in loaded or (machine.root / "sys/module" / module).exists():
                checks.append(Check(name, Status.PASS, "loaded"))
            elif nodes:
                checks.append(Check(name, Status.PASS, f"built in: a node of {kind} is there"))
            else:
                step = f"sudo modprobe {module.replace('_', '-')}; a line of it in /etc/modules-load.d keeps it"
                checks.append(Check(name, Status.FAIL, "not loaded", step))
    return checks


def check_groups(board: BoardConfig, machine: Machine) -> Check:
    """Whether this user is in the groups that own the nodes of these buses."""
    kinds = {bus.kind for bus in board.buses.values() if _of_the_kernel(bus)}
    wanted = sorted({_GROUPS[kind] for kind in kinds if kind in _GROUPS})
    allowed = ", ".join(wanted)
    if not wanted:
        return Check("groups", Status.SKIP, "no bus of this board is a node of the kernel's")
    if machine.is_root():
        return Check("groups", Status.PASS, "root needs none; the flight runs as a user who does", allowed=allowed)
    missing = [group for group in wanted if group not in machine.groups()]
    if not missing:
        return Check("groups", Status.PASS, "in all of them", allowed=allowed)
    step = f"sudo usermod -aG {','.join(missing)} $USER, and log in again"
    return Check("groups", Status.FAIL, f"not in {', '.join(missing)}", step, allowed)


def check_supply(machine: Machine) -> Check:
    """What a Raspberry Pi's firmware says of its supply and its clock, now and since it started."""
    name, allowed = "supply and throttling", "no under-voltage, not throttled"
    word = next((text for path in _FLAG_FILES if (text := machine.text(path)) is not None), None)
    data = word.encode() if word is not None else machine.firmware_flags()
    if data is None:
        return Check(name, Status.SKIP, "no firmware that tells: no Raspberry Pi", allowed=allowed)
    try:
        flags = throttle_flags(data)
    except DeviceError as error:
        return Check(name, Status.MISSING, error.detail, "ask again: vcgencmd get_throttled", allowed)
    now = [text for text, is_so in (("under-voltage", flags.under_voltage), ("throttled", flags.throttled)) if is_so]
    seen = flags.under_voltage_seen or flags.throttled_seen
    step = "a supply of 5.1 V that gives the current, a short thick cable, and cooling"
    if now:
        return Check(name, Status.FAIL, f"{' and '.join(now)} now", step, allowed)
    if seen:
        return Check(name, Status.WARN, "good now, but not always since the start", step, allowed)
    return Check(name, Status.PASS, "good now and since the start", allowed=allowed)


def check_clock(board: BoardConfig, machine: Machine) -> Check:
    """Whether the calendar goes on while the computer is off: a clock of the kernel's, or one of the board's."""
    name = "battery clock"
    kernels = sorted(path.name for path in (machine.root / "sys/class/rtc").glob("rtc[0-9]*"))
    own = [device.name for device in board.devices if device.role == "clock"]
    if kernels:
        return Check(name, Status.PASS, f"{', '.join(kernels)} of the kernel")
    if own:
        return Check(name, Status.PASS, f"{own[0]} of the board; whether it answers stands under chips")
    step = "without one the calendar begins anew at each start, until the link or the network tells it"
    return Check(name, Status.WARN, "none", step)
