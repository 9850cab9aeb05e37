"""The flight computer's own temperature: warning, throttling and a request for SAFE; a missing reading stays missing.

Thresholds (CANON section 6): warn 75 C, throttle 80 C, SAFE request 85 C. The Raspberry Pi's firmware begins to slow
the clock at 80 C and caps it hard at 85 C: slowing down by choice comes first, and is known of. A computer that loses
its sensor keeps what it was last told: it neither cools nor overheats by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Protocol

from drivers.bus.counted import small_file
from drivers.errors import DeviceError
from drivers.linux_platform import TEMPERATURE_C, FrequencyLimit, zone_files
from drivers.linux_platform import temperature_c as zone_temperature_c
from fdir.codes import Code

__all__ = [
    "LEAST_SHARE", "ComputerPort", "ComputerState", "ComputerThrottle", "ComputerVerdict", "LinuxComputer",
]

RISING_C = (75.0, 80.0, 85.0)
"""Warn, throttle, SAFE."""
FALLING_C = (72.0, 77.0, 80.0)
"""P: where they end. SAFE ends where the clock would still be held back, the others 3 K under where they began."""
SAMPLES = 3
"""Samples in a row that a level must last, up and down (CANON section 10.2)."""
LEAST_SHARE = 0.25
"""P: below a quarter of the Raspberry Pi 4's clock (its lowest is a third) the fast rate group would not hold."""
PLAY_K = 3.0
"""The limit moves only once the temperature has moved by that much, so that noise does not reach the clock."""


@unique
class ComputerState(StrEnum):
    """How warm the computer is."""

    NOMINAL = "nominal"
    WARM = "warm"
    THROTTLED = "throttled"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


_STATES = (ComputerState.NOMINAL, ComputerState.WARM, ComputerState.THROTTLED, ComputerState.CRITICAL)
_WARM, _THROTTLED, _CRITICAL = 1, 2, 3
_CODES: tuple[tuple[Code, ...], ...] = (
    (),
    (Code.THERMAL_NODE_HOT,),
    (Code.THERMAL_NODE_HOT, Code.DUTY_CHANGED),
    (Code.THERMAL_NODE_CRITICAL, Code.DUTY_CHANGED, Code.SAFE_THERMAL_CRITICAL),
)
_UNKNOWN_CODES = tuple((Code.THERMAL_TELEM_MISSING, *codes) for codes in _CODES)


@dataclass(frozen=True, slots=True)
class ComputerVerdict:
    """What the computer may do. ``share`` is of its full clock, 0.25..1; ``limit`` the most that heat allows."""

    share: float
    limit: float
    state: ComputerState
    codes: tuple[Code, ...]
    safe_request: bool


class ComputerThrottle:
    """Guard of the computer's own temperature; call ``step`` once a slow tick."""

    def __init__(self) -> None:
        self._level = self._run = self._run_level = 0
        self._limit = self._wanted = 1.0
        self.refused = 0
        """Temperatures and shares that were no value."""

    def step(self, temperature_c: float | None, wanted_share: float = 1.0) -> ComputerVerdict:
        """Judge one temperature, deg C, and the share of full speed that is wanted.

        A temperature that is missing, or none (-60..150), leaves level and limit as they were, and says so. A share
        that is none (0..1) leaves the last one.
        """
        if 0.0 <= wanted_share <= 1.0:
            self._wanted = wanted_share
        else:
            self.refused += 1
        if temperature_c is not None and not TEMPERATURE_C[0] <= temperature_c <= TEMPERATURE_C[1]:
            self.refused += 1
            temperature_c = None
        if temperature_c is not None:
            self._climb(temperature_c)
            self._hold_back(temperature_c)
        level = self._level
        return ComputerVerdict(
            max(LEAST_SHARE, min(self._wanted, self._limit)),
            self._limit,
            ComputerState.UNKNOWN if temperature_c is None else _STATES[level],
            _UNKNOWN_CODES[level] if temperature_c is None else _CODES[level],
            level == _CRITICAL,
        )

    def _raw(self, celsius: float) -> int:
        """Level of one sample: up at or above where a level begins, down at or below where it ends."""
        level = 0
        for index in range(len(RISING_C)):
            if celsius >= RISING_C[index] or (self._level > index and celsius > FALLING_C[index]):
                level = index + 1
        return level

    def _climb(self, celsius: float) -> None:
        """Take the level that three samples in a row reached, up or down."""
        level, raw = self._level, self._raw(celsius)
        if raw == level:
            self._run = 0
            return
        rising = raw > level
        if self._run and rising == (self._run_level > level):
            self._run_level = min(self._run_level, raw) if rising else max(self._run_level, raw)
            self._run += 1
        else:
            self._run, self._run_level = 1, raw
        if self._run >= SAMPLES:
            self._level, self._run = self._run_level, 0

    def _hold_back(self, celsius: float) -> None:
        """Follow the line from full speed at throttle to the least at SAFE, with play between falling and rising."""
        if self._level < _THROTTLED:
            self._limit = 1.0
        else:
            self._limit = min(max(self._limit, _line(celsius + PLAY_K)), _line(celsius))


def _line(celsius: float) -> float:
    first, last = RISING_C[1], RISING_C[2]
    return 1.0 - (1.0 - LEAST_SHARE) * min(max((celsius - first) / (last - first), 0.0), 1.0)


class ComputerPort(Protocol):
    """What the throttle needs of a computer."""

    def temperature_c(self) -> float | None:
        """Temperature of the processor, deg C; ``None``: no reading."""

    def set_share(self, share: float) -> bool:
        """Hold the clock at or below this share (0..1) of the highest; whether that holds now."""


class LinuxComputer:
    """A Linux computer by its own files: thermal zones, and cpufreq for the clock.

    Args:
        root: folder that holds ``sys``.
        thermal_zone: type of the zone to read; ``None``: the hottest of all.

    Each call is a few system calls; the slow group is the place for them. Where there is no limit to set, or no right
    to, ``set_share`` answers False: the firmware's own throttling is left then, and flight goes on.
    """

    def __init__(self, root: Path = Path("/"), thermal_zone: str | None = None) -> None:
        self._zones = zone_files(root, thermal_zone)
        self._clock = FrequencyLimit(root)

    def temperature_c(self) -> float | None:
        """See ComputerPort. A zone with nonsense in it is left out."""
        hottest: float | None = None
        for zone in self._zones:
            data = small_file(zone)
            if data is None:
                continue
            try:
                celsius = zone_temperature_c(data)
            except DeviceError:
                continue
            hottest = celsius if hottest is None else max(hottest, celsius)
        return hottest

    def set_share(self, share: float) -> bool:
        """See ComputerPort."""
        return self._clock.set_share(share)

    def restore(self) -> bool:
        """Give back the limit of the clock that was found at the start."""
        return self._clock.restore()
