"""How a device does: its state, its counters, the events of both, and what a failure makes of its last reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import TypeVar

from drivers.errors import Cause
from hal.reading import Quality, Reading

__all__ = [
    "AT_ONCE", "BUS", "REINITIALISATIONS_TO_LOST", "DeviceCounters", "DeviceState", "HealthEvent", "as_of",
]

T = TypeVar("T")

REINITIALISATIONS_TO_LOST = 3
BUS = "bus "
"""Begins the name of a bus where devices are named too."""
AT_ONCE: dict[Cause, Quality] = {
    **dict.fromkeys(
        (
            Cause.CHECKSUM, Cause.IMPLAUSIBLE, Cause.OVER_RANGE, Cause.WRONG_ID, Cause.STALE_COUNTER, Cause.PROTOCOL,
            Cause.RESET,
        ),
        Quality.BAD,
    ),
    **dict.fromkeys((Cause.ABSENT, Cause.PERMISSION, Cause.BUS_OFF), Quality.ABSENT),
}
"""Quality of the last reading from the moment of such a failure: something answered, but not credibly; or there is
nothing left that could answer. After any other failure the reading is STALE once it is older than its time-out."""


@unique
class DeviceState(IntEnum):
    """Life of a device as its plane sees it."""

    INIT = 0
    OK = 1
    DEGRADED = 2
    """Failed since its last good answer; still being asked."""
    LOST = 3
    """Gave no good answer through all re-initialisations; asked again at the longest pause."""


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """A device changed state. ``ordered``: since its own rail was switched by order, so nothing is wrong with it."""

    t_ns: int
    device: str
    state: DeviceState
    cause: Cause | None
    ordered: bool = False


@dataclass(slots=True)
class DeviceCounters:
    """What happened on behalf of one device since start."""

    transactions: int = 0
    samples: int = 0
    failures: int = 0
    initialisations: int = 0
    by_cause: dict[str, int] = field(default_factory=dict)

    def fail(self, cause: Cause) -> None:
        """Count one failed transaction."""
        self.failures += 1
        self.by_cause[cause.value] = self.by_cause.get(cause.value, 0) + 1


def as_of(
    last: Reading[T], state: DeviceState, doubt: Quality | None, timeout_ns: int, now_ns: int
) -> Reading[T]:
    """The last reading with its quality as of ``now_ns``."""
    if last.value is None or state is DeviceState.LOST:
        quality = Quality.ABSENT
    elif doubt is not None:
        quality = doubt
    elif now_ns - last.t_ns > timeout_ns:
        quality = Quality.STALE
    else:
        return last
    return Reading(last.value, last.t_ns, quality)
