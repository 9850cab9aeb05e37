"""Telemetry by budget: what one peer is sent of the newest snapshot, at the rates of its groups, as the line allows.

Frames are made when the line has room, from the newest snapshot: after a gap the present comes first, and nothing old
is waiting. A group that only tells changes is repeated at a slow beat all the same, so that a lost frame heals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from comms.flight_port import Snapshot

__all__ = ["FASTEST_HZ", "FramesOf", "GroupRate", "TelemetrySource"]

NS = 1_000_000_000
FASTEST_HZ = 20.0
FramesOf = Callable[[str, Snapshot, int], list[bytes]]
"""Frames of a group from a snapshot, each of at most so many bytes."""


@dataclass(frozen=True, slots=True)
class GroupRate:
    """How often a group of channels is sent. ``beat_s``: for groups that tell changes only, the longest silence."""

    name: str
    rate_hz: float
    beat_s: float | None = None



class TelemetrySource:
    """Owner of one peer's telemetry.

    Args:
        rates: groups in order of their weight; the first wins where two are equally late.
        frames: makes the frames of a group.
        values: the values of a group in a snapshot, to see whether they have changed.

    Attributes:
        sent: frames made, by group.
        skipped: times that a group was due and had nothing new.
        short: times that a due group found no room.
    """

    def __init__(
        self, rates: tuple[GroupRate, ...], frames: FramesOf, values: Callable[[str, Snapshot], Any]
    ) -> None:
        self._frames = frames
        self._values = values
        self._rates = {rate.name: rate for rate in rates}
        self._order = {rate.name: index for index, rate in enumerate(rates)}
        self._due: dict[str, int] = {}
        self._last: dict[str, tuple[int, int, Any]] = {}
        """By group: time of the snapshot, when it was sent, its values."""
        self.sent: dict[str, int] = dict.fromkeys(self._rates, 0)
        self.skipped = 0
        self.short = 0

    @property
    def rates(self) -> Mapping[str, float]:
        """Rates by group, Hz."""
        return {name: rate.rate_hz for name, rate in self._rates.items()}

    def set_rate(self, name: str, rate_hz: float) -> str:
        """Send a group at another rate, 0 for not at all; returns why not, or nothing."""
        rate = self._rates.get(name)
        if rate is None:
            return f"no group {name!r}; groups: {', '.join(self._rates)}"
        if not (isfinite(rate_hz) and 0.0 <= rate_hz <= FASTEST_HZ):
            return f"rate is {rate_hz:g} Hz; 0..{FASTEST_HZ:g} is allowed"
        self._rates[name] = GroupRate(name, rate_hz, rate.beat_s)
        self._due.pop(name, None)
        return ""

    def pull(self, now_ns: int, newest: Snapshot | None, room_bytes: int, longest: int) -> list[bytes]:
        """Frames that are due, most overdue first, ``room_bytes`` in all and ``longest`` bytes each at most."""
        out: list[bytes] = []
        if newest is None:
            return out
        for name in self._late(now_ns):
            rate = self._rates[name]
            last = self._last.get(name)
            if last is not None and last[0] == newest.t_ns:
                continue
            values = None
            if rate.beat_s is not None:
                values = self._values(name, newest)
                if last is not None and last[2] == values and now_ns - last[1] < rate.beat_s * NS:
                    self.skipped += 1
                    self._passed(name, now_ns)
                    continue
            frames = self._frames(name, newest, longest)
            size = sum(map(len, frames))
            if size > room_bytes:
                # Whole or not at all: half a group would look like missing values.
                self.short += 1
                continue
            room_bytes -= size
            out += frames
            self.sent[name] += len(frames)
            self._last[name] = (newest.t_ns, now_ns, values)
            self._passed(name, now_ns)
        return out

    def forget(self) -> None:
        """What was made last has not been sent: groups that tell only changes begin anew."""
        self._last.clear()

    def _late(self, now_ns: int) -> list[str]:
        late = []
        for name, rate in self._rates.items():
            if rate.rate_hz <= 0.0:
                continue
            due = self._due.setdefault(name, now_ns)
            if now_ns >= due:
                late.append((-(now_ns - due) * rate.rate_hz, self._order[name], name))
        return [name for _, _, name in sorted(late)]

    def _passed(self, name: str, now_ns: int) -> None:
        """When a group is due next: on the beat it had, without making up for what was missed."""
        period = round(NS / self._rates[name].rate_hz)
        due = self._due[name]
        self._due[name] = due + period * (1 + (now_ns - due) // period)
