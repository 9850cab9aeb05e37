"""What the rows about records share: two ends of a session, contents, and a list of failures that stays short."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from comms.channel_plan import NBL_CHANNEL, PLAN, ChannelSpec, Direction
from comms.records.faults import RecordFault
from comms.records.record import Opened
from comms.records.session import RecordSession
from firmware_py.cli.link_campaign.row import RowResult

__all__ = ["CHANNELS", "LIVE", "Failures", "content", "ends", "known", "sealed", "tell"]

CHANNELS = {spec.id: spec for spec in PLAN}
LIVE = tuple(spec for spec in PLAN if spec.id != NBL_CHANNEL)
"""Channels of a session whose tags have 16 bytes."""
MOST_FAILURES = 20


def known(channel: int) -> ChannelSpec | None:
    """A channel of the plan."""
    return CHANNELS.get(channel)


def content(rng: np.random.Generator, size: int) -> bytes:
    """Bytes of a generator."""
    return rng.bytes(size)


def ends(rng: np.random.Generator) -> tuple[RecordSession, RecordSession]:
    """Ground and craft of a new session."""
    up, down, binding = rng.bytes(32), rng.bytes(32), rng.bytes(32)
    return (RecordSession(up, down, binding, Direction.UP, 0, known),
            RecordSession(up, down, binding, Direction.DOWN, 0, known))


def sealed(end: RecordSession, channel: int, plaintext: bytes, now_ns: int = 0) -> bytes:
    """A record. RuntimeError if there is none: the row is not what it means to be."""
    record = end.seal(channel, plaintext, now_ns)
    if isinstance(record, RecordFault):
        raise RuntimeError(f"channel {channel} seals nothing: {record}")
    return record


def tell(found: Opened | RecordFault) -> str:
    """A verdict in a word."""
    return found.value if isinstance(found, RecordFault) else "opened"


class Failures:
    """What did not hold, the first few in words and all by number."""

    def __init__(self) -> None:
        self.count = 0
        self._told: list[str] = []

    def add(self, text: str) -> None:
        """One more."""
        self.count += 1
        if len(self._told) < MOST_FAILURES:
            self._told.append(text)

    def unless(self, holds: bool, text: str) -> None:
        """One more if it doesn't hold."""
        if not holds:
            self.add(text)

    def result(self, cases: int, counts: Mapping[str, float]) -> RowResult:
        """The outcome of the row."""
        return RowResult(self.count == 0, cases, {**counts, "failures": float(self.count)}, tuple(self._told))
