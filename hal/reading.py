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
    STALE = 2
    """Older than the device's time-out."""
    BAD = 3
    """The last answer was refused (checksum, identity, range)."""
    ABSENT = 4
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


def absent(now_ns: int = 0) -> Reading[T]:
    """A reading of something that has not answered."""
    return Reading(None, now_ns, Quality.ABSENT)
