"""The flight computer's own health from /proc and /sys: what this computer doesn't offer is ``None``, never a default.

And the one thing that can be asked of it: an upper limit of its clock (``FrequencyLimit``).

Sources (Linux Documentation/ABI and filesystems/proc.rst):

- temperature: /sys/class/thermal/thermal_zone*/temp, m deg C; the hottest zone, or the one of the type asked for;
- supply and throttling: the Raspberry Pi firmware's word, /sys/devices/platform/soc*/soc*:firmware/get_throttled, in
  hexadecimal: bit 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit, 16..19 the same since
  they were last cleared. A kernel without that file has the hwmon device ``rpi_volt`` instead, whose
  ``in0_lcrit_alarm`` tells of under-voltage in the last 2 s. Some kernels clear the sticky bits while they poll, so
  "seen" is kept here;
- clock: /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq, kHz; its limit: scaling_max_freq of every policy under
  /sys/devices/system/cpu/cpufreq, between cpuinfo_min_freq and cpuinfo_max_freq, at one of the
  scaling_available_frequencies if the driver has steps (Documentation/admin-guide/pm/cpufreq.rst);
- load, memory and uptime: /proc; disk: statvfs(3).

A file with nonsense in it gives ``None`` and is counted in ``counters.refused``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from msgspec import Meta, Struct

from drivers.bus.counted import small_file
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register
from drivers.errors import Cause, DeviceError
from drivers.samples import PlatformSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Counters", "Device", "FrequencyLimit", "Settings", "ThrottleFlags", "alarm",
    "available_bytes", "frequency_hz", "frequency_steps_hz", "load_average", "temperature_c", "throttle_flags",
    "uptime_s", "zone_files",
]

T = TypeVar("T")

UNDER_VOLTAGE = 1 << 0
HELD_BACK = 1 << 1 | 1 << 2 | 1 << 3
"""Capped, throttled, or at the soft temperature limit: slower than it was asked to be."""
SEEN = 16
KNOWN_FLAGS = (UNDER_VOLTAGE | HELD_BACK) * (1 | 1 << SEEN)
TEMPERATURE_C = (-60.0, 150.0)
FREQUENCY_HZ = (1e6, 2e10)

_INTEGER = re.compile(rb"-?\d{1,12}")
_HEX = re.compile(rb"(?:0x)?([0-9a-fA-F]{1,8})")
_DECIMAL = re.compile(rb"\d{1,12}(?:\.\d{1,9})?")
_AVAILABLE = re.compile(rb"^MemAvailable:\s+(\d{1,12}) kB$", re.MULTILINE)
_FIRMWARE = tuple(f"sys/devices/platform/{place}:firmware/get_throttled" for place in ("soc*/soc*", "soc*"))
VOLTAGE_MONITOR = b"rpi_volt"


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """File system whose free space counts, and the type of the thermal zone (``None``: the hottest of all)."""

    disk: Annotated[str, Meta(min_length=1, max_length=256)] = "/"
    thermal_zone: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class ThrottleFlags(NamedTuple):
    """The firmware's word in four answers."""

    under_voltage: bool
    throttled: bool
    under_voltage_seen: bool
    throttled_seen: bool


@dataclass(slots=True)
class Counters:
    """What was read since start: samples, files that were there and held nonsense."""

    samples: int = 0
    refused: int = 0


def _integer(data: bytes, place: Place) -> int:
    text = data.strip()
    if not _INTEGER.fullmatch(text):
        raise place.error(Cause.IMPLAUSIBLE, f"{text[:20]!r} is no number")
    return int(text)


def _decimal(data: bytes, place: Place) -> float:
    """First word of a line of /proc."""
    words = data.split(maxsplit=1)
    value = float(words[0]) if words and _DECIMAL.fullmatch(words[0]) else float("nan")
    if not isfinite(value):
        raise place.error(Cause.IMPLAUSIBLE, f"{data[:20]!r} is no number")
    return value


def temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """Temperature of a thermal zone. Raises IMPLAUSIBLE outside -60..150 deg C."""
    value = 1e-3 * _integer(data, place)
    if not TEMPERATURE_C[0] <= value <= TEMPERATURE_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"{value:.1f} deg C")
    return value


def throttle_flags(data: bytes, place: Place = NOWHERE) -> ThrottleFlags:
    """The firmware's word. Raises IMPLAUSIBLE for bits that mean nothing (all ones has them)."""
    match = _HEX.fullmatch(data.strip())
    word = int(match[1], 16) if match else ~0
    if word & ~KNOWN_FLAGS:
        raise place.error(Cause.IMPLAUSIBLE, f"{data[:20]!r} is no word of flags")
    seen = word >> SEEN
    return ThrottleFlags(
        bool(word & UNDER_VOLTAGE), bool(word & HELD_BACK), bool(seen & UNDER_VOLTAGE), bool(seen & HELD_BACK)
    )


def alarm(data: bytes, place: Place = NOWHERE) -> bool:
    """An alarm of hwmon, 0 or 1. Raises IMPLAUSIBLE for anything else."""
    value = _integer(data, place)
    if value not in (0, 1):
        raise place.error(Cause.IMPLAUSIBLE, f"alarm is {value}")
    return value == 1


def frequency_hz(data: bytes, place: Place = NOWHERE) -> float:
    """Clock from kHz. Raises IMPLAUSIBLE outside 1 MHz..20 GHz."""
    value = 1e3 * _integer(data, place)
    if not FREQUENCY_HZ[0] <= value <= FREQUENCY_HZ[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"a clock of {value} Hz")
    return value


def frequency_steps_hz(data: bytes, place: Place = NOWHERE) -> tuple[float, ...]:
    """Clocks that the driver offers, rising. Raises IMPLAUSIBLE if one is none, or there are none."""
    steps = tuple(sorted(frequency_hz(word, place) for word in data.split()))
    if not steps:
        raise place.error(Cause.IMPLAUSIBLE, "no clocks")
    return steps


def load_average(data: bytes, place: Place = NOWHERE) -> float:
    """Mean number of runnable tasks over a minute, from /proc/loadavg."""
    return _decimal(data, place)


def uptime_s(data: bytes, place: Place = NOWHERE) -> float:
    """Seconds since boot, from /proc/uptime."""
    return _decimal(data, place)


def available_bytes(data: bytes, place: Place = NOWHERE) -> int:
    """Memory that programs can still get without swapping, from /proc/meminfo."""
    match = _AVAILABLE.search(data)
    if match is None:
        raise place.error(Cause.IMPLAUSIBLE, "no MemAvailable")
    return int(match[1]) * 1024


def zone_files(root: Path, kind: str | None = None) -> tuple[Path, ...]:
    """Temperature files of the thermal zones, all or those of one type."""
    zones = sorted(root.glob("sys/class/thermal/thermal_zone[0-9]*"))
    if kind is not None:
        zones = [zone for zone in zones if (small_file(zone / "type") or b"").strip() == kind.encode()]
    return tuple(zone / "temp" for zone in zones)


class _Policy(NamedTuple):
    """Clocks of one group of cores, Hz; ``before`` is the limit that was found."""

    limit: Path
    lowest: float
    highest: float
    before: float
    steps: tuple[float, ...]

    def at_most(self, share: float) -> float:
        """The fastest clock not above ``share`` of the highest; the lowest if none is so slow.

        Never above the limit that was found: whoever set it had a reason.
        """
        wanted = max(1e3 * (share * self.highest // 1e3), self.lowest)
        if wanted >= self.before:
            return self.before
        return max((step for step in self.steps if step <= wanted), default=self.lowest) if self.steps else wanted


class _Files:
    """Reads small files of the kernel: what isn't there, or is nonsense, is ``None``; nonsense is counted."""

    def __init__(self) -> None:
        self.place = Place("platform", None)
        self.counters = Counters()

    def _read(self, path: Path, decode: Callable[[bytes, Place], T]) -> T | None:
        data = small_file(path)
        if data is None:
            return None
        try:
            return decode(data, self.place)
        except DeviceError:
            self.counters.refused += 1
            return None


class FrequencyLimit(_Files):
    """Upper limit of the processor's clock. A computer without such a limit, or without the right to set it, refuses.

    ``counters.samples``: limits written; ``counters.refused``: files with nonsense and writes that were not taken.
    Each call is a few system calls that may wait for the kernel for a millisecond: it belongs into the slow group.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        super().__init__()
        found = (self._policy(path) for path in sorted(root.glob("sys/devices/system/cpu/cpufreq/policy[0-9]*")))
        self._policies = tuple(policy for policy in found if policy is not None)

    @property
    def available(self) -> bool:
        """Whether there is a clock to limit."""
        return bool(self._policies)

    def set_share(self, share: float) -> bool:
        """Limit every core to this share (0..1) of its highest clock, at the next slower step. True if it is so now.

        A limit that was found lower is kept. One that already holds isn't written again. False, and nothing written,
        for a share outside 0..1 or NaN.
        """
        if not 0.0 <= share <= 1.0:
            return False
        return self._write([policy.at_most(share) for policy in self._policies])

    def restore(self) -> bool:
        """Give back the limits that were found at the start."""
        return self._write([policy.before for policy in self._policies])

    def _write(self, limits_hz: list[float]) -> bool:
        done = bool(limits_hz)
        for policy, limit_hz in zip(self._policies, limits_hz, strict=True):
            done &= self._limit(policy.limit) == limit_hz or self._put(policy.limit, limit_hz)
        return done

    def _put(self, path: Path, limit_hz: float) -> bool:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(fd, b"%d\n" % round(limit_hz * 1e-3))
            finally:
                os.close(fd)
        except OSError:
            self.counters.refused += 1
            return False
        self.counters.samples += 1
        # The kernel rounds to what the clock can do; it must not be faster than asked for.
        now_hz = self._limit(path)
        return now_hz is not None and now_hz <= limit_hz + 1e3

    def _limit(self, path: Path) -> float | None:
        return self._read(path, frequency_hz)

    def _policy(self, folder: Path) -> _Policy | None:
        lowest = self._read(folder / "cpuinfo_min_freq", frequency_hz)
        highest = self._read(folder / "cpuinfo_max_freq", frequency_hz)
        before = self._limit(folder / "scaling_max_freq")
        if lowest is None or highest is None or before is None or lowest > highest:
            return None
        steps = self._read(folder / "scaling_available_frequencies", frequency_steps_hz) or ()
        return _Policy(folder / "scaling_max_freq", lowest, highest, before, steps)


class Device(_Files):
    """The computer that this program runs on. It sits on no bus: ``bus`` and ``address`` are not used.

    Args:
        bus: ``None``.
        address: ``None``.
        settings: see there.
        root: folder that holds ``proc`` and ``sys``.
    """

    def __init__(
        self, bus: object, address: int | None, settings: Settings, *, root: Path = Path("/"),  # noqa: ARG002
    ) -> None:
        super().__init__()
        self.settings = settings
        self._root = root
        self._disk = root / settings.disk.lstrip("/")
        self._zones: tuple[Path, ...] = ()
        self._firmware: Path | None = None
        self._monitor: Path | None = None
        self._under_voltage_seen = False
        self._throttled_seen = False

    def identify(self) -> Generator[None, None, str]:
        """Model and kernel. Raises ABSENT where neither is told: there is no /proc and no /sys."""
        yield from ()
        kernel = self._text("proc/sys/kernel/osrelease")
        model = self._text("proc/device-tree/model") or self._text("sys/class/dmi/id/product_name")
        if kernel is None and model is None:
            raise self.place.error(Cause.ABSENT, f"no Linux under {self._root}")
        return f"{model or 'computer of unknown model'}, Linux {kernel or 'of unknown release'}"

    def initialise(self) -> Generator[None, None, None]:
        """Look which sources there are. Raises ABSENT as ``identify``."""
        yield from self.identify()
        self._zones = zone_files(self._root, self.settings.thermal_zone)
        yield
        self._firmware = next((path for pattern in _FIRMWARE for path in sorted(self._root.glob(pattern))), None)
        names = sorted(self._root.glob("sys/class/hwmon/hwmon[0-9]*/name"))
        self._monitor = next(
            (n.parent / "in0_lcrit_alarm" for n in names if (small_file(n) or b"").strip() == VOLTAGE_MONITOR), None
        )

    def acquire(self) -> Generator[None, None, PlatformSample | None]:
        """One look at every source, a pause between two of them: the firmware's answer may take a millisecond."""
        zones = [self._read(zone, temperature_c) for zone in self._zones]
        known = [zone for zone in zones if zone is not None]
        yield
        under_voltage, throttled = self._supply()
        yield
        cpu_hz = self._read(self._root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", frequency_hz)
        yield
        load = self._read(self._root / "proc/loadavg", load_average)
        uptime = self._read(self._root / "proc/uptime", uptime_s)
        yield
        memory = self._read(self._root / "proc/meminfo", available_bytes)
        yield
        disk = self._free()
        self.counters.samples += 1
        return PlatformSample(
            max(known) if known else None,
            under_voltage,
            throttled,
            None if under_voltage is None else self._under_voltage_seen,
            None if throttled is None else self._throttled_seen,
            cpu_hz, load, memory, disk, uptime,
        )

    def _supply(self) -> tuple[bool | None, bool | None]:
        """Under-voltage and throttling now; what was seen is kept."""
        if self._firmware is not None:
            flags = self._read(self._firmware, throttle_flags)
            if flags is None:
                return None, None
            self._under_voltage_seen |= flags.under_voltage or flags.under_voltage_seen
            self._throttled_seen |= flags.throttled or flags.throttled_seen
            return flags.under_voltage, flags.throttled
        if self._monitor is not None:
            low = self._read(self._monitor, alarm)
            self._under_voltage_seen |= bool(low)
            return low, None
        return None, None

    def _free(self) -> int | None:
        try:
            room = os.statvfs(self._disk)
        except OSError:
            return None
        return room.f_bavail * room.f_frsize

    def _text(self, path: str) -> str | None:
        data = (small_file(self._root / path) or b"").strip(b"\x00 \n\t")
        text = data.decode("utf-8", "replace")
        return text if text and text.isprintable() else None


REGISTERS: tuple[Register, ...] = ()
CODECS = (
    Codec("temperature_c", temperature_c, None),
    Codec("throttle_flags", throttle_flags, None),
    Codec("alarm", alarm, None),
    Codec("frequency_hz", frequency_hz, None),
    Codec("frequency_steps_hz", frequency_steps_hz, None),
    Codec("load_average", load_average, None),
    Codec("uptime_s", uptime_s, None),
    Codec("available_bytes", available_bytes, None),
)
ORACLES = (
    Oracle(OracleKind.PEER, "load, uptime and disk of the running kernel as the C library tells them"),
    Oracle(OracleKind.FORMULA, "temperature, clock and throttle flags from the kernel's documents"),
)
