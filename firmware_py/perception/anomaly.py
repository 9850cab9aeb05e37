"""When a residual is an event: M of the last N samples above a limit, told once, and not again for a while.

Only event time counts. A sample without a value decides nothing; a long gap starts the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from hal.frames import Vec3

__all__ = ["AnomalyConfig", "AnomalyWatch", "ScienceHit"]

MAX_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class ScienceHit:
    """The event ``science_hit``: something that neither the classes nor the model of the field explain.

    ``source`` is ``spectrum`` or ``field``; ``sigmas`` is the residual in units of its own noise; ``what`` names the
    nearest class, or is empty.
    """

    t_ns: int
    source: str
    position_m: Vec3
    sigmas: float
    what: str = ""


@dataclass(frozen=True, slots=True)
class AnomalyConfig:
    """``needed`` of ``window`` samples at or above ``limit_sigmas`` (P: 5 sigma, so that noise never reaches it).

    ``cooldown_s``: from one event to the next; ``gap_s``: longest time between two samples of one count.
    """

    limit_sigmas: float = 5.0
    needed: int = 3
    window: int = 5
    cooldown_s: float = 60.0
    gap_s: float = 60.0

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        if not 1 <= self.needed <= self.window <= MAX_SAMPLES:
            raise ValueError(f"{self.needed} of {self.window}; 1 <= needed <= window <= {MAX_SAMPLES} is allowed")
        for name in ("limit_sigmas", "cooldown_s", "gap_s"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise ValueError(f"{name} is {getattr(self, name)}; above 0 is allowed")


class AnomalyWatch:
    """M of N with a cooldown.

    Attributes:
        active: the residual is high; ends when no sample of the window is above the limit.
        events: times it was told since start.
        muted: times it would have been told and the cooldown forbade it.
    """

    __slots__ = ("_bits", "_config", "_cooldown_ns", "_gap_ns", "_mask", "_seen_ns", "_told_ns", "active", "events",
                 "muted")

    def __init__(self, config: AnomalyConfig) -> None:
        self._config = config
        self._mask = (1 << config.window) - 1
        self._gap_ns, self._cooldown_ns = round(config.gap_s * 1e9), round(config.cooldown_s * 1e9)
        self._bits = 0
        self._seen_ns: int | None = None
        self._told_ns: int | None = None
        self.active = False
        self.events = 0
        self.muted = 0

    def step(self, t_ns: int, sigmas: float) -> bool:
        """Take a residual, in units of its noise; whether it is an event now. Samples come in order of event time."""
        if not isfinite(sigmas):
            return False
        if self._seen_ns is not None and t_ns - self._seen_ns > self._gap_ns:
            self._bits, self.active = 0, False
        self._seen_ns = t_ns
        self._bits = (self._bits << 1 | (sigmas >= self._config.limit_sigmas)) & self._mask
        if self._bits == 0:
            self.active = False
        if self.active or self._bits.bit_count() < self._config.needed:
            return False
        self.active = True
        if self._told_ns is not None and t_ns - self._told_ns < self._cooldown_ns:
            self.muted += 1
            return False
        self._told_ns = t_ns
        self.events += 1
        return True
