"""Writes a Raspberry Pi's health files under a folder: temperature, throttling, clocks, memory, load, up time.

Facts: Linux Documentation/ABI: sysfs thermal (``class/thermal/thermal_zoneN/temp`` in 0.001 deg C), cpufreq
(``scaling_cur_freq`` in kHz), proc(5) (meminfo in kB, loadavg, uptime); Raspberry Pi kernel,
drivers/firmware/raspberrypi.c (``get_throttled``: hexadecimal without a prefix) and the documentation of
``vcgencmd get_throttled`` (bits 0 under-voltage, 1 clock capped, 2 throttled, 3 soft temperature limit; bits 16..19 the
same since power-on); drivers/hwmon/raspberrypi-hwmon.c (``in0_lcrit_alarm``: under-voltage seen).

Only files whose text has changed are written, so :meth:`LinuxPlatform.publish` may be called often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntFlag, unique
from pathlib import Path

__all__ = [
    "CPUFREQ", "HWMON", "LOADAVG", "MEMINFO", "MODEL", "THERMAL", "THROTTLED", "UPTIME", "LinuxPlatform", "Throttle",
]

THERMAL = "sys/class/thermal/thermal_zone0"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"
HWMON = "sys/class/hwmon/hwmon0"
MEMINFO = "proc/meminfo"
LOADAVG = "proc/loadavg"
UPTIME = "proc/uptime"
MODEL = "proc/device-tree/model"

_NS = 1_000_000_000


@unique
class Throttle(IntFlag):
    """Conditions of the firmware, as they are now; what has been since power-on stands 16 bits higher."""

    UNDER_VOLTAGE = 1 << 0
    CLOCK_CAPPED = 1 << 1
    THROTTLED = 1 << 2
    SOFT_TEMPERATURE_LIMIT = 1 << 3


_NONE = Throttle(0)


class LinuxPlatform:
    """A Compute Module 4 as its files show it. Set attributes, then call :meth:`publish`.

    Attributes:
        temperature_c: of the processor.
        throttle: conditions now; each is remembered as seen until :meth:`reset`.
        cpu_hz: clock of the first core.
        load: averages over 1, 5 and 15 minutes.
        memory_total_bytes, memory_available_bytes: main memory.
        absent: files, or folders with all in them, that this computer does not have, as paths under the root.
        unreadable: files that hold ``garbage`` instead of what belongs there.
        garbage: see ``unreadable``.
    """

    def __init__(self, root: Path, now_ns: Callable[[], int], absent: Iterable[str] = ()) -> None:
        """A computer switched on now, its files written under ``root``, which is made."""
        self.root = root
        self.temperature_c = 45.0
        self.throttle = _NONE
        self.cpu_hz = 1_500_000_000.0
        self.load = (0.20, 0.15, 0.10)
        self.memory_total_bytes = 4 * 1024**3
        self.memory_available_bytes = 3 * 1024**3
        self.absent = set(absent)
        self.unreadable: set[str] = set()
        self.garbage = ""
        self._now_ns = now_ns
        self._written: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """Reboot: up time from 0, nothing seen yet."""
        self._start_ns = self._now_ns()
        self._seen = _NONE
        self.publish()

    @property
    def seen(self) -> Throttle:
        """Conditions since power-on, as of the last :meth:`publish`."""
        return self._seen

    def publish(self) -> None:
        """Bring the files up to date. Raises OSError when the folder can't be written."""
        self._seen |= self.throttle
        up_s = (self._now_ns() - self._start_ns) / _NS
        one, five, fifteen = self.load
        texts = {
            f"{THERMAL}/type": "cpu-thermal\n",
            f"{THERMAL}/temp": f"{round(self.temperature_c * 1000.0)}\n",
            THROTTLED: f"{self.throttle | self._seen << 16:x}\n",
            f"{CPUFREQ}/scaling_cur_freq": f"{round(self.cpu_hz / 1000.0)}\n",
            f"{CPUFREQ}/scaling_min_freq": "600000\n",
            f"{CPUFREQ}/scaling_max_freq": "1500000\n",
            f"{CPUFREQ}/scaling_governor": "performance\n",
            f"{HWMON}/name": "rpi_volt\n",
            f"{HWMON}/in0_lcrit_alarm": f"{int(Throttle.UNDER_VOLTAGE in self._seen)}\n",
            MEMINFO: self._meminfo(),
            LOADAVG: f"{one:.2f} {five:.2f} {fifteen:.2f} 1/142 1234\n",
            UPTIME: f"{up_s:.2f} {4.0 * up_s * max(0.0, 1.0 - one / 4.0):.2f}\n",
            MODEL: "Raspberry Pi Compute Module 4 Rev 1.1\0",
        }
        for path, text in texts.items():
            if self._is_absent(path):
                self._remove(path)
            else:
                self._write(path, self.garbage if path in self.unreadable else text)

    def _meminfo(self) -> str:
        total, available = self.memory_total_bytes // 1024, self.memory_available_bytes // 1024
        values = (
            ("MemTotal", total), ("MemFree", available * 3 // 4), ("MemAvailable", available),
            ("Buffers", available // 16), ("Cached", available // 4), ("SwapTotal", 0), ("SwapFree", 0),
        )
        return "".join([f"{name + ':':<16}{value:>8} kB\n" for name, value in values])

    def _is_absent(self, path: str) -> bool:
        return any(path == one or path.startswith(one + "/") for one in self.absent)

    def _remove(self, path: str) -> None:
        if self._written.pop(path, None) is not None:
            (self.root / path).unlink(missing_ok=True)

    def _write(self, path: str, text: str) -> None:
        before = self._written.get(path)
        if before == text:
            return
        file = self.root / path
        if before is None:
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("ascii"))
        self._written[path] = text
