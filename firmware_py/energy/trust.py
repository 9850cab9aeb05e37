"""How far a statement about a store or a source may be trusted, and why one sensor is not listened to.

Trust is a verdict, never a number that is mixed into the value: data that contradict each other are *conflicting*, not
averaged, and data that are not there are *missing*, not zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum, unique
from math import isfinite

from fdir.codes import Code

__all__ = ["SourceVerdict", "Trust", "code_of", "plausible", "source_code", "worst"]


@unique
class Trust(StrEnum):
    """CANON section 7, best first; the words are those of telemetry."""

    TRUSTED = "trusted"
    DEGRADED = "degraded"
    """True within its sigma, but a source that should be there is not, or was rejected for its own behaviour."""
    CONFLICTING = "conflicting"
    """Sources contradict each other beyond their sigmas; the value is the one on the safe side."""
    BLIND = "blind"
    """Sensors answer, but none of what they say can tell the value."""
    STALE = "stale"
    """Nothing new; the value is an old one carried on, with a sigma that grows."""
    MISSING = "missing"

    @property
    def usable(self) -> bool:
        """Whether a dangerous command may rest on it: conflicting, blind, stale and missing data may not."""
        return self in (Trust.TRUSTED, Trust.DEGRADED)


@unique
class SourceVerdict(StrEnum):
    """What is thought of one sensor at present."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    FROZEN = "frozen"
    """It repeats itself while the quantity is known to move."""
    JUMPED = "jumped"
    """It moved at once by what no current explains."""
    CONFLICTING = "conflicting"

    @property
    def usable(self) -> bool:
        """Whether its value may be used."""
        return self is SourceVerdict.OK


_SOURCE_CODES = {
    SourceVerdict.MISSING: Code.POWER_TELEM_MISSING, SourceVerdict.STALE: Code.POWER_TELEM_STALE,
    SourceVerdict.NOT_FINITE: Code.POWER_TELEM_MISSING, SourceVerdict.OUT_OF_RANGE: Code.POWER_TELEM_MISSING,
    SourceVerdict.FROZEN: Code.POWER_TELEM_STALE, SourceVerdict.JUMPED: Code.POWER_TELEM_CONFLICTING,
    SourceVerdict.CONFLICTING: Code.POWER_TELEM_CONFLICTING,
}
_RANK = {trust: rank for rank, trust in enumerate(Trust)}
_CODES = {
    Trust.CONFLICTING: Code.POWER_TELEM_CONFLICTING, Trust.BLIND: Code.POWER_TELEM_MISSING,
    Trust.STALE: Code.POWER_TELEM_STALE, Trust.MISSING: Code.POWER_TELEM_MISSING,
}


def worst(verdicts: Iterable[Trust]) -> Trust:
    """The worst of several; TRUSTED if there are none."""
    return max(verdicts, key=_RANK.__getitem__, default=Trust.TRUSTED)


def code_of(trust: Trust) -> Code | None:
    """Reason code of a verdict; ``None`` for data that may be used."""
    return _CODES.get(trust)


def source_code(verdict: SourceVerdict) -> Code | None:
    """Reason code of what is wrong with one sensor; ``None`` if nothing is."""
    return _SOURCE_CODES.get(verdict)


def plausible(value: float | None, lowest: float, highest: float) -> SourceVerdict:
    """Verdict on one number by itself: OK only if it is there, finite and within both bounds (inclusive)."""
    if value is None:
        return SourceVerdict.MISSING
    if not isfinite(value):
        return SourceVerdict.NOT_FINITE
    return SourceVerdict.OK if lowest <= value <= highest else SourceVerdict.OUT_OF_RANGE
