"""Checks of what a board file needs of the computer: nodes of its buses, chip selects, GPIO chip, Python libraries."""

from __future__ import annotations

import os
import stat

from drivers.bus.remote_end import SCHEME, is_remote
from firmware_py.doctor.machine import Check, Machine, Status
from hal.profile.board import BoardConfig, BusConfig

__all__ = ["check_board", "check_libraries"]

_LIBRARIES = {"i2c": "smbus2", "spi": "spidev", "can": "can", "serial": "serial", "gpio": "gpiod"}
_ARPHRD_CAN = 280
_IFF_UP = 1
_NO_ACCESS = "install the udev rules and add the user to the group they name"


def check_board(board: BoardConfig, machine: Machine) -> list[Check]:
    """One check for each thing in the board file that the computer must have: buses, and SPI chip selects in use."""
    checks = []
    for name, bus in board.buses.items():
        title = f"bus {name} ({bus.kind})"
        if is_remote(bus.device):
            checks.append(_check_socket(title, bus, machine))
        elif bus.kind == "can":
            checks.append(_check_can(title, bus, machine))
        elif bus.kind == "gpio":
            checks.append(_check_gpio(title, bus, machine))
        elif bus.kind == "spi":
            selects = sorted({d.address for d in board.devices if d.bus == name and d.address is not None})
            checks += [_check_node(f"{title} select {s}", f"{bus.device}.{s}", "spi", machine) for s in selects]
        else:
            checks.append(_check_node(title, bus.device, bus.kind, machine))
    return checks


def check_libraries(board: BoardConfig | None, machine: Machine) -> list[Check]:
    """Python libraries of the buses: needed are those whose kind of bus the board file has."""
    # A bus that a rig plays over a socket, or CAN over UDP, is reached without any of them.
    buses = () if board is None else board.buses.values()
    used = {bus.kind for bus in buses if not is_remote(bus.device) and not bus.device.startswith("udp://")}
    checks = []
    for kind, module in _LIBRARIES.items():
        title = f"library {module}"
        if machine.module_present(module):
            checks.append(Check(title, Status.PASS, "importable"))
        else:
            step = "pip install 'qiki-flight[board]'"
            if kind in used:
                checks.append(Check(title, Status.FAIL, f"not installed; the board has {kind}", step))
            else:
                checks.append(Check(title, Status.MISSING, "not installed", f"only for a board with {kind}: {step}"))
    return checks


def _check_node(title: str, device: str, kind: str, machine: Machine) -> Check:
    steps = {
        "i2c": "enable the bus (dtparam=i2c_arm=on or its overlay) and load i2c-dev",
        "spi": "enable the bus (dtparam=spi=on or its overlay); spidev must be bound to this select",
        "serial": "enable the port (its uart overlay) and take the console off it",
    }
    path = machine.root / device.lstrip("/")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        status = Status.FAIL if isinstance(error, PermissionError) else Status.MISSING
        return Check(title, status, f"{device}: {error.strerror}", steps[kind])
    if stat.S_ISDIR(mode):
        return Check(title, Status.FAIL, f"{device} is a folder", "correct the board file")
    if not os.access(path, os.R_OK | os.W_OK):
        return Check(title, Status.FAIL, f"{device}: no permission", _NO_ACCESS)
    return Check(title, Status.PASS, device)


def _check_socket(title: str, bus: BusConfig, machine: Machine) -> Check:
    """A bus that a rig plays in another process."""
    path = machine.root / bus.device.removeprefix(SCHEME).partition("?")[0].lstrip("/")
    if not path.is_socket():
        step = "start the rig that plays this bus: qiki rig serve"
        return Check(title, Status.MISSING, f"{path}: no socket", step)
    if not os.access(path, os.R_OK | os.W_OK):
        return Check(title, Status.FAIL, f"{path}: no permission", "run as the user who serves it, or in its group")
    return Check(title, Status.PASS, f"{path}, played by a rig")


def _check_can(title: str, bus: BusConfig, machine: Machine) -> Check:
    if ":" in bus.device:
        return Check(title, Status.PASS, f"{bus.device}, no interface of the kernel")
    base = f"sys/class/net/{bus.device}"
    kind, flags = machine.text(f"{base}/type"), machine.text(f"{base}/flags")
    bring_up = f"ip link set {bus.device} up type can bitrate {bus.speed_hz or 500_000} restart-ms 100"
    if kind is None:
        step = "enable the controller's overlay (mcp251xfd), or for the bench: modprobe vcan"
        return Check(title, Status.MISSING, f"no interface {bus.device}", step)
    if kind != str(_ARPHRD_CAN):
        return Check(title, Status.FAIL, f"{bus.device} is no CAN interface (type {kind})", "correct the board file")
    try:
        up = bool(int(flags or "0", 16) & _IFF_UP)
    except ValueError:
        up = False
    if not up:
        return Check(title, Status.FAIL, f"{bus.device} is down", bring_up)
    return Check(title, Status.PASS, f"{bus.device} is up")


def _check_gpio(title: str, bus: BusConfig, machine: Machine) -> Check:
    chips = sorted((machine.root / "dev").glob("gpiochip*"))
    if bus.device.startswith("/dev/"):
        chips = [chip for chip in chips if f"/dev/{chip.name}" == bus.device]
    labels, refused = [], 0
    for chip in chips:
        try:
            label = machine.gpio_label(chip)
        except PermissionError:
            refused += 1
            continue
        except OSError:
            continue
        labels.append(label)
        if bus.device in (label, chip.name, f"/dev/{chip.name}"):
            return Check(title, Status.PASS, f"{chip.name} ({label})")
    if refused:
        return Check(title, Status.FAIL, f"{refused} GPIO chips: no permission", _NO_ACCESS)
    found = f"no GPIO chip {bus.device}; chips: {', '.join(labels) or 'none'}"
    step = "give the label that gpiodetect prints, or use the computer that this file describes"
    return Check(title, Status.MISSING, found, step)
