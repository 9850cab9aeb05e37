"""Command-loss timer: too long without a valid uplink, and the craft takes to SAFE with its emission restricted.

The limit is inclusive. The link counts as back after three valid uplinks with no further loss between them: one frame
that came through is no link. SAFE itself ends by its own exit conditions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite

from fdir.modes import Emission

__all__ = ["LOSS_S", "UPLINKS_TO_RETURN", "LinkEvent", "LinkLoss"]

LOSS_S = 600.0
"""Time without a valid uplink that counts as the link lost (CANON section 10.1)."""
UPLINKS_TO_RETURN = 3
NS = 1_000_000_000
SAME_UPLINK_NS = 1_000_000
"""Two times of arrival that differ by no more are those of one uplink, told with a rounded age."""


@unique
class LinkEvent(StrEnum):
    """An edge of the link."""

    LOST = "lost"
    RETURNED = "returned"


@dataclass(slots=True)
class LinkLoss:
    """Judges the age of the last valid uplink. Raises ValueError for a limit that is no time."""

    limit_s: float = LOSS_S
    lost: bool = False
    losses: int = 0
    longest_s: float = 0.0
    """High-water mark of the age."""
    _heard_ns: int | None = None
    """When the last uplink known of came in; ``None``: no age was given yet."""
    _uplinks: int = 0
    """Uplinks since the loss."""
    _closed: bool = False
    """Whether the present loss took an open emission away."""

    def __post_init__(self) -> None:
        if not (isfinite(self.limit_s) and self.limit_s > 0.0):
            raise ValueError(f"limit_s {self.limit_s}: must be a time above 0 s")

    def step(self, uplink_age_s: float | None, now_ns: int) -> LinkEvent | None:
        """Judge once; returns the edge if there is one.

        Args:
            uplink_age_s: time since the last valid uplink, or since start. ``None``, or no number: this craft waits for
                none, and nothing changes.
            now_ns: flight time.
        """
        if uplink_age_s is None or not (isfinite(uplink_age_s) and uplink_age_s >= 0.0):
            return None
        heard_ns = now_ns - round(uplink_age_s * NS)
        new = self._heard_ns is not None and heard_ns - self._heard_ns > SAME_UPLINK_NS
        if self._heard_ns is None or new:
            self._heard_ns = heard_ns
        self.longest_s = max(self.longest_s, uplink_age_s)
        if uplink_age_s >= self.limit_s:
            self._uplinks = 0
            if self.lost:
                return None
            self.lost = True
            self.losses += 1
            return LinkEvent.LOST
        if not self.lost:
            return None
        self._uplinks += new
        if self._uplinks < UPLINKS_TO_RETURN:
            return None
        self.lost = False
        return LinkEvent.RETURNED

    @property
    def closed(self) -> bool:
        """Whether the present loss has taken an open emission away: to be kept over a restart."""
        return self._closed

    def resume(self, closed: bool) -> LinkEvent:
        """The link was lost before a restart: it still is, until uplinks have brought it back. ``closed``: as kept."""
        self.lost = True
        self._closed = closed
        self.losses += 1
        return LinkEvent.LOST

    def emission(self, event: LinkEvent, present: Emission) -> Emission:
        """Emission after an edge. A loss restricts an open emission and never opens a silent one; a return opens what
        the loss closed, unless another level was ordered meanwhile."""
        if event is LinkEvent.LOST:
            self._closed = self._closed or present is Emission.OPEN
            return Emission.RESTRICTED if present is Emission.OPEN else present
        closed, self._closed = self._closed, False
        return Emission.OPEN if closed and present is Emission.RESTRICTED else present
