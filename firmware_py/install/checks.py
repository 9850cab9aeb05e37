"""What must hold before anything is changed: each check says what was found and what to do; none changes anything."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware_py.doctor import Check, Machine, Status, check_board, check_cpu, check_throttling, check_time_sync
from firmware_py.install.layout import Layout
from firmware_py.install.overlays import hint
from firmware_py.install.slots import Interpreter, debian_module
from firmware_py.install.system import System
from firmware_py.install.units.keep.trial import Trial
from firmware_py.install.wheelhouse import SOURCE_ONLY, Wheelhouse, host_arch
from hal.profile import BoardConfig

__all__ = ["AT_REST", "Subject", "all_checks", "needs_of", "refusals"]

OLDEST_SYSTEMD = 247
"""First with ProtectProc= (systemd NEWS)."""
OLDEST_KERNEL = (5, 10)
"""First with version 2 of the GPIO interface (linux/gpio.h)."""
AT_REST = (None, "Boot", "Idle", "SAFE")
"""Modes in which the flight program may be replaced: no valve is asked for, or only to null rates."""
SPARE_BYTES = 300_000_000
UNPACKED = 5
"""Unpacked wheels with byte code take up to so many times their size; 65 MB became 289 MB when this was measured."""
TYPICAL_BYTES = 80_000_000
"""Of a wheelhouse that is not made yet."""
LIBRARIES = ("libstdc++.so.6", "libgcc_s.so.1")
"""What numpy's wheels need and do not bring. Debian's libstdc++6 depends on the package of the other one."""
LIBRARY_FOLDERS = ("/usr/lib", "/lib", "/usr/lib64", "/lib64")
"""Where they lie, or in a folder of the architecture's name below."""
GROUPS = ("i2c", "spi", "gpio", "dialout")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be checked: what goes where, and what shows the computer."""

    system: System
    layout: Layout
    wheelhouse: Wheelhouse | None
    """``None``: it is still to be made."""
    interpreter: Interpreter
    board: BoardConfig
    trial: Trial
    machine: Machine = field(default_factory=Machine)
    arch: Callable[[], str] = host_arch
    rights: Callable[[Path], bool] = lambda path: os.geteuid() == 0 or os.access(path, os.W_OK)
    anyway: bool = False
    starts: bool = True
    """Whether the flight program is to be started."""


def all_checks(subject: Subject) -> list[Check]:
    """Every check, in the order in which they are worth mending."""
    made = [
        check_rights(subject), check_wheelhouse(subject), check_interpreter(subject), check_libraries(subject),
        check_source_only(subject), check_space(subject), check_one_medium(subject),
    ]
    if subject.system.live:
        made += [check_kernel(subject), check_systemd(subject), check_rest(subject), check_watchdog(subject)]
        made += [check_throttling(subject.machine), check_cpu(subject.machine, subject.board.realtime.cpu)]
        made += [check_groups(subject), check_clock(subject), *check_buses(subject)]
    return made


def refusals(checks: list[Check]) -> list[Check]:
    """Those that stand in the way."""
    return [check for check in checks if check.status is Status.FAIL]


def needs_of(board: BoardConfig) -> tuple[str, ...]:
    """Source-only packages that a board cannot do without."""
    kinds = {bus.kind for bus in board.buses.values()}
    return tuple(name for name in SOURCE_ONLY if name == "spidev" and "spi" in kinds)


def check_rights(subject: Subject) -> Check:
    """Whether files may be put where they belong."""
    root = subject.system.at("/")
    if subject.rights(root):
        return Check("rights", Status.PASS, "root" if subject.system.live else f"{root} can be written")
    return Check("rights", Status.FAIL, f"{root} cannot be written", "run it as root: sudo qiki install ...")


def check_wheelhouse(subject: Subject) -> Check:
    """Whether the wheelhouse is for this computer; its files were held against the manifest when it was opened."""
    house, name = subject.wheelhouse, "wheelhouse"
    if house is None:
        return Check(name, Status.PASS, "made from the package index")
    found = f"{house.version} for {house.arch}, Python {house.python}, {len(house.sizes)} files whole"
    if subject.system.live and house.arch != subject.arch():
        step = f"make one with make wheelhouse ARCH={subject.arch()}"
        return Check(name, Status.FAIL, f"{found}; this computer is {subject.arch()}", step)
    if house.python != subject.interpreter.version:
        step = f"make one with make wheelhouse PY={subject.interpreter.version}"
        return Check(name, Status.FAIL, f"{found}; Python here is {subject.interpreter.version}", step)
    return Check(name, Status.PASS, found)


def check_interpreter(subject: Subject) -> Check:
    """The slots' Python must be there, new enough, and where the units can see it."""
    python, name = subject.interpreter, "python"
    found = f"{python.path}, {python.version}"
    if tuple(int(part) for part in python.version.split(".")) < (3, 11):
        return Check(name, Status.FAIL, found, "install Python 3.11 or newer, and name it with --python")
    if python.path.startswith(("/home/", "/root/", "/tmp/", "/var/tmp/", "/run/")):
        step = "name the system's own: --python /usr/bin/python3"
        return Check(name, Status.FAIL, f"{found}: the units are kept from that folder", step)
    if not subject.system.at(python.path).exists():
        return Check(name, Status.FAIL, f"{found}: no such file", "install python3, or name another with --python")
    return Check(name, Status.PASS, found)


def check_libraries(subject: Subject) -> Check:
    """Shared libraries that wheels take from the system; a minimal one comes without the C++ library."""
    folders = [Path(place) for place in LIBRARY_FOLDERS]
    for place in LIBRARY_FOLDERS:
        folders += [Path(place) / name for name in subject.system.names(place) if name.endswith("-linux-gnu")]
    missing = [
        library for library in LIBRARIES
        if not any(subject.system.at(str(folder / library)).exists() for folder in folders)
    ]
    if not missing:
        return Check("shared libraries", Status.PASS, ", ".join(LIBRARIES))
    return Check("shared libraries", Status.FAIL, f"no {', '.join(missing)}: numpy does not load",
                 "sudo apt install libstdc++6")


def check_source_only(subject: Subject) -> Check:
    """Packages that have no wheel must come from Debian, or be built."""
    name, parts = "packages without wheels", []
    for package in SOURCE_ONLY:
        module = debian_module(subject.system, package, subject.interpreter)
        if subject.wheelhouse is not None and subject.wheelhouse.has_wheel(package):
            parts.append(f"{package}: built into the wheelhouse")
        elif module is not None:
            parts.append(f"{package}: Debian's {module}")
        elif package not in needs_of(subject.board):
            parts.append(f"{package}: not there, not needed by this board")
        elif subject.system.live and _can_build(subject):
            parts.append(f"{package}: will be built, which needs a package index")
        else:
            return Check(name, Status.FAIL, f"{package}: none for this Python", f"sudo apt install python3-{package}")
    return Check(name, Status.PASS, "; ".join(parts))


def _can_build(subject: Subject) -> bool:
    compiler = any(subject.system.at(path).exists() for path in ("/usr/bin/cc", "/usr/bin/gcc"))
    return compiler and subject.system.at(f"/usr/include/python{subject.interpreter.version}/Python.h").exists()


def check_space(subject: Subject) -> Check:
    """Room for a whole slot, unpacked, beside what is there."""
    place = _existing(subject.system.at(subject.layout.prefix))
    wheels = TYPICAL_BYTES if subject.wheelhouse is None else subject.wheelhouse.total_bytes
    needed = UNPACKED * wheels + SPARE_BYTES
    try:
        free = subject.machine.free_bytes(place)
    except OSError as error:
        return Check("disk space", Status.FAIL, f"{place}: {error.strerror}", "name another place with --prefix")
    found = f"{free / 1e6:.0f} MB free at {place}, {needed / 1e6:.0f} MB needed"
    if free >= needed:
        return Check("disk space", Status.PASS, found)
    return Check("disk space", Status.FAIL, found, "make room: sudo apt clean, sudo journalctl --vacuum-size=50M")


def check_one_medium(subject: Subject) -> Check:
    """Units are links into the prefix, and are wanted before anything else is mounted."""
    prefix = _existing(subject.system.at(subject.layout.prefix))
    etc = _existing(subject.system.at("/etc"))
    if prefix.stat().st_dev == etc.stat().st_dev:
        return Check("prefix", Status.PASS, f"{subject.layout.prefix} is on the medium that starts")
    step = "name a folder on the root file system with --prefix"
    return Check("prefix", Status.FAIL, f"{subject.layout.prefix} is on another file system than /etc", step)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def check_kernel(subject: Subject) -> Check:
    """Version of the kernel."""
    ran = subject.system.run(["uname", "-r"])
    found = re.match(r"(\d+)\.(\d+)", ran.out)
    if found is None:
        return Check("kernel", Status.MISSING, ran.out.strip() or "not visible")
    if (int(found.group(1)), int(found.group(2))) >= OLDEST_KERNEL:
        return Check("kernel", Status.PASS, ran.out.strip())
    return Check("kernel", Status.FAIL, ran.out.strip(), "5.10 or newer is needed: sudo apt full-upgrade")


def check_systemd(subject: Subject) -> Check:
    """Version of the service manager, and that it is the one which runs."""
    ran = subject.system.run(["systemctl", "--version"])
    found = re.match(r"systemd (\d+)", ran.out)
    if found is None:
        return Check("systemd", Status.FAIL, "systemctl does not answer", "install on a system that systemd starts")
    version = int(found.group(1))
    if version < OLDEST_SYSTEMD:
        return Check("systemd", Status.FAIL, str(version), f"{OLDEST_SYSTEMD} or newer is needed (Debian 11)")
    if not subject.system.at("/run/systemd/system").exists():
        step = "start the system with systemd; for the tree of an image give --root"
        return Check("systemd", Status.FAIL, f"{version}, but it does not run here", step)
    return Check("systemd", Status.PASS, str(version))


def check_rest(subject: Subject) -> Check:
    """A craft that moves keeps the program that moves it."""
    state = subject.trial.state()
    if subject.trial.marker() is not None and state.active:
        running = subject.system.run(["systemctl", "is-active", "qiki-health.service"]).out.strip()
        if running in ("active", "activating"):
            step = "wait for its verdict: journalctl -fu qiki-health"
            return Check("craft at rest", Status.FAIL, "a version is on trial", step)
    if state.active != "active":
        return Check("craft at rest", Status.PASS, "the flight program does not run")
    if state.mode in AT_REST:
        return Check("craft at rest", Status.PASS, f"mode {state.mode or 'not told'}")
    if not subject.starts:
        return Check("craft at rest", Status.PASS, f"mode {state.mode}; nothing is restarted")
    step = "bring it to Idle first (qiki link command ... hold), then install"
    return Check("craft at rest", Status.FAIL, f"mode {state.mode}: the program that flies is not replaced now", step)


def check_watchdog(subject: Subject) -> Check:
    """The computer's watchdog must not have two owners."""
    ran = subject.system.run(["systemctl", "show", "--property=RuntimeWatchdogUSec"])
    value = ran.out.strip().partition("=")[2]
    if subject.board.watchdog is None:
        return Check("watchdog", Status.PASS, "the board file has none: the service manager may hold it")
    if value in ("0", ""):
        return Check("watchdog", Status.PASS, "the service manager does not hold it")
    return Check(
        "watchdog", Status.WARN, f"the service manager holds it ({value})",
        "it is told to let go; the next start of the computer settles it",
    )


def check_groups(subject: Subject) -> Check:
    """Groups of the buses; the installation makes those that are missing."""
    text = (subject.system.read("/etc/group") or b"").decode("utf-8", "replace")
    known = {line.split(":")[0] for line in text.splitlines()}
    missing = [name for name in GROUPS if name not in known]
    return Check("groups", Status.PASS, f"{', '.join(missing)} will be made" if missing else ", ".join(GROUPS))


def check_clock(subject: Subject) -> Check:
    """UTC from the network or from a clock with a battery; no control loop needs it, records do."""
    if any(device.role == "clock" for device in subject.board.devices):
        return Check("clock", Status.PASS, "the board has a clock with a battery")
    if subject.system.at("/sys/class/rtc/rtc0").exists():
        return Check("clock", Status.PASS, "rtc0")
    return replace(check_time_sync(subject.machine), name="clock")


def check_buses(subject: Subject) -> list[Check]:
    """The board file's buses. What the installation brings itself (nodes, CAN ports up) is no reason to refuse."""
    judged = []
    for check in check_board(subject.board, subject.machine):
        found = re.match(r"bus (\w+)", check.name)
        bus = subject.board.buses[found.group(1)] if found else None
        if bus is not None and bus.kind == "can" and ":" in bus.device:
            judged.append(Check(check.name, Status.WARN, f"{bus.device} is on a network, no interface of the kernel",
                                "the flight unit has no network: give it one in a drop-in, or use SocketCAN"))
        elif check.status is Status.PASS or bus is None:
            judged.append(check)
        elif bus.kind == "i2c" and subject.system.at(f"/sys/bus/i2c/devices/{Path(bus.device).name}").exists():
            judged.append(Check(check.name, Status.PASS, "adapter is there, its node comes with i2c-dev"))
        elif bus.kind == "can" and check.found.endswith("is down"):
            judged.append(Check(check.name, Status.PASS, f"{check.found}; qiki-can@{bus.device} brings it up"))
        else:
            status = Status.WARN if subject.anyway else Status.FAIL
            step = "; ".join(filter(None, (hint(subject.system, bus) or check.next_step, _ANYWAY)))
            judged.append(replace(check, status=status, next_step=step))
    return judged


_ANYWAY = "or take it out of the board file; --anyway installs without it"
