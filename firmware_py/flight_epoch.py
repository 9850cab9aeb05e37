"""What time it is when a flight begins: the computer's calendar if it can be, else a clock that had a battery.

A computer without a battery clock wakes up in 1970, or where it was last stopped, until it hears of a time server.
Flight time does not depend on any of it; the direction of the Sun and the stamps of the black box do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.bus.counted import small_file
from drivers.errors import DeviceError
from drivers.samples import RtcSample
from hal.parts import load_part
from hal.profile import BoardConfig, ConfigError
from hal.profile.board import DeviceConfig

__all__ = ["EARLIEST_NS", "Epoch", "choose_epoch", "epoch_text"]

SECOND = 1_000_000_000
MICROSECOND = 1_000
EARLIEST_NS = 1_767_225_600 * SECOND
"""2026-01-01: this software is no older, so a calendar before it is wrong."""
LATEST_NS = 7_258_118_400 * SECOND
"""2200-01-01: as far as missions may be."""
STEPS = 200
"""Steps of the driver's sequence, of which each is one short transfer."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """UTC of flight time 0, whole microseconds in ns since 1970, where it is from, and what is wrong with it."""

    ns: int
    source: str
    doubt: str = ""


def choose_epoch(
    utc_ns: Callable[[], int], board: BoardConfig, buses: Mapping[str, Any], root: Path = Path("/"),
) -> Epoch:
    """Ask the calendar, then the kernel's clocks, then the board's clock chip; the calendar again if none can be right.

    Args:
        utc_ns: the computer's calendar.
        board: its devices of role ``clock`` are asked, unless they stand behind a multiplexer.
        buses: by name, open or not.
        root: folder that holds ``sys``.
    """
    said_ns = utc_ns()
    if _plausible(said_ns):
        return Epoch(said_ns // MICROSECOND * MICROSECOND, "calendar")
    doubt = f"the calendar says {_readable(said_ns)}"
    for path in sorted((root / "sys/class/rtc").glob("rtc*/since_epoch")):
        text = small_file(path)
        if text is not None and text.strip().isdigit() and _plausible(int(text) * SECOND):
            return Epoch(int(text) * SECOND, path.parent.name, doubt)
    for device in board.devices:
        if device.role == "clock" and device.mux is None:
            sample = _asked(board, device, buses)
            if sample is not None and sample.trusted and _plausible(sample.unix_s * SECOND):
                return Epoch(sample.unix_s * SECOND, device.name, doubt)
    return Epoch(max(0, min(said_ns, LATEST_NS - 1)) // MICROSECOND * MICROSECOND, "calendar", f"{doubt}, and no other "
                 "clock knows better")


def epoch_text(epoch_ns: int) -> str:
    """The epoch as a mission file has it."""
    moment = datetime.fromtimestamp(epoch_ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{epoch_ns % SECOND // MICROSECOND:06d}Z"


def _plausible(ns: int) -> bool:
    return EARLIEST_NS <= ns < LATEST_NS


def _readable(ns: int) -> str:
    try:
        return datetime.fromtimestamp(ns / SECOND, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def _asked(board: BoardConfig, device: DeviceConfig, buses: Mapping[str, Any]) -> RtcSample | None:
    """One reading of a clock chip, before the flight; ``None`` if it has no answer."""
    try:
        module, settings = load_part(board, device)
        sequence = module.Device(buses[device.bus], device.address, settings).acquire()
        for _ in range(STEPS):
            next(sequence)
    except StopIteration as end:
        return end.value if isinstance(end.value, RtcSample) else None
    except (DeviceError, ConfigError):
        return None
    return None
