"""A reading is value, time and quality. No answer means STALE, BAD or ABSENT; never a number from nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Generic, TypeVar

__all__ = ["Quality", "Reading", "absent"]

T = TypeVar("T")


@unique
class Quality(IntEnum):
    """How far a reading may be trusted, best first."""

    OK = 0
    SUSPECT = 1
    """Answered, but implausible beside its history or its neighbour."""
    OVER_RANGE = 2
    """The value is the end of the part's range, and the truth is further out: no value, but a bound."""
    STALE = 3
    """Older than the device's time-out."""
    BAD = 4
    """The last answer was refused (checksum, identity, range)."""
    ABSENT = 5
    """Nothing has answered yet, or the device was given up."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One observation; ``t_ns`` is its event time on the flight clock, ``value`` ``None`` if nothing was ever read."""

    value: T | None
    t_ns: int
    quality: Quality

    @property
    def ok(self) -> bool:
        """Whether the value may be used for control."""
        return self.quality is Quality.OK

    @property
    def bound(self) -> T | None:
        """The value, or that which the truth is beyond: for whoever asks whether a limit is passed, and nobody else.

        ``None`` for every quality but OK and OVER_RANGE.
        """
        return self.value if self.quality in (Quality.OK, Quality.OVER_RANGE) else None


def absent(now_ns: int = 0) -> Reading[T]:
    """A reading of something that has not answered."""
    return Reading(None, now_ns, Quality.ABSENT)
