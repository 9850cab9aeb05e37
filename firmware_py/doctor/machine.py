"""What a check returns, and the computer under inspection: its files under one root, its calls in one place.

Each check returns plain data: what was found and, where it is not good, the next step. A thing that this computer
does not have or does not show is MISSING, never a guess.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path

from firmware_py.clock import timer_resolution_ns

__all__ = ["Check", "Machine", "Status", "gpio_chip_label", "kernel_clock_synchronised", "module_present"]


@unique
class Status(StrEnum):
    """Verdict of one check."""

    PASS = "PASS"
    WARN = "WARN"
    """Flies, with less margin."""
    FAIL = "FAIL"
    """Would not fly, or not safely."""
    MISSING = "MISSING"
    """Not there or not visible here."""
    SKIP = "SKIP"
    """Not asked, since it has no meaning here or something else is in the way."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. ``next_step`` is empty when nothing needs doing.

    ``allowed`` is what the value may be, where it is measured against something.
    """

    name: str
    status: Status
    found: str
    next_step: str = ""
    allowed: str = ""


def gpio_chip_label(path: Path) -> str:
    """Label of a GPIO character device. Source: linux/gpio.h, GPIO_GET_CHIPINFO_IOCTL and struct gpiochip_info.

    Raises:
        OSError: no such device, no permission, or not a GPIO chip.
    """
    try:
        import fcntl
    except ImportError:
        raise OSError(errno.ENOSYS, "this system has no ioctl") from None
    answer = bytearray(struct.calcsize("32s32sI"))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, 0x8044B401, answer)
    finally:
        os.close(descriptor)
    _, label, _ = struct.unpack("32s32sI", answer)
    text: bytes = label
    return text.split(b"\0", 1)[0].decode("ascii", "replace")


class _Timex(ctypes.Structure):
    """Head of ``struct timex`` (adjtimex(2)); the padding covers the rest on every architecture."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256),
    ]


def kernel_clock_synchronised() -> bool | None:
    """Whether the kernel calls its calendar clock disciplined (STA_UNSYNC clear); ``None`` when it will not say."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError, TypeError):
        return None
    answer = _Timex()
    if adjtimex(ctypes.byref(answer)) < 0:
        return None
    return not answer.status & 0x40


def own_groups() -> frozenset[str]:
    """Names of the groups that this process is in; those without a name are left out."""
    import grp

    names = set()
    for number in (os.getegid(), *os.getgroups()):
        with suppress(KeyError):
            names.add(grp.getgrgid(number).gr_name)
    return frozenset(names)


def firmware_flags() -> bytes | None:
    """The word of a Raspberry Pi's firmware on its supply, from ``vcgencmd``; ``None`` where there is none."""
    if shutil.which("vcgencmd") is None:
        return None
    try:
        said = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, timeout=5.0, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip().removeprefix(b"throttled=")


def module_present(name: str) -> bool:
    """Whether a Python module can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer under inspection. ``root`` holds ``proc``, ``sys`` and ``dev``, so that a test can build its own."""

    root: Path = Path("/")
    python: tuple[int, int] = field(default_factory=lambda: (sys.version_info[0], sys.version_info[1]))
    kernel_version: str = field(default_factory=lambda: " ".join(os.uname()[2:4]) if hasattr(os, "uname") else "")
    module_present: Callable[[str], bool] = module_present
    gpio_label: Callable[[Path], str] = gpio_chip_label
    synchronised: Callable[[], bool | None] = kernel_clock_synchronised
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    resolution_ns: Callable[[], int] = timer_resolution_ns
    groups: Callable[[], frozenset[str]] = own_groups
    is_root: Callable[[], bool] = lambda: os.geteuid() == 0
    firmware_flags: Callable[[], bytes | None] = firmware_flags

    def text(self, path: str) -> str | None:
        """Content of a small file under ``root``, stripped; ``None`` when it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None
