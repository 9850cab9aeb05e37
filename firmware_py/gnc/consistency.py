"""Whether an estimate may be believed: why inputs were refused, and whether innovations have the size they should.

The normalised innovation squared (NIS) of a filter whose covariance is right is chi-square distributed, so its mean
over a window lies in a known band: above it the filter is surer than it should be, below it more careful than it need
be. Source: Bar-Shalom, Li and Kirubarajan, "Estimation with applications to tracking and navigation", Wiley 2001,
section 5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import lru_cache
from math import isfinite, sqrt
from statistics import NormalDist
from typing import NamedTuple

__all__ = [
    "GATE_1", "GATE_2", "GATE_3", "Agreement", "InnovationFigures", "InnovationWindow", "Refusal",
    "UpdateCounters", "chi_square_band", "chi_square_quantile", "direction_refusal",
    "no_refusals", "quaternion_refusal", "sigma_refusal",
]

GATE_1 = 15.1
GATE_2 = 18.4
GATE_3 = 21.1
"""Chi-square quantiles at 0.9999 for one, two and three degrees of freedom."""
UNIT_WITHIN = 0.01
"""Length error of a quaternion that rounding in a sensor's message may cause, with much margin."""
LARGEST = 1e6
"""Largest component of a direction that is taken: whatever its unit, beyond it is no measurement."""
BAND = 0.95
"""Probability of the band that telemetry shows."""
REFUSED_IN_WINDOW = 2
"""Gated innovations in one window from which on it is not by chance: one in 10,000 is."""


@unique
class Refusal(StrEnum):
    """Why an input was not used."""

    NOT_FINITE = "not_finite"
    LENGTH = "wrong_length"
    NOT_UNIT = "not_unit"
    NO_DIRECTION = "no_direction"
    OUT_OF_RANGE = "out_of_range"
    BAD_SIGMA = "bad_sigma"
    FUTURE = "future"
    TOO_OLD = "too_old"
    TIME_STEP = "time_step"
    GATE = "gate"


def no_refusals() -> dict[Refusal, int]:
    """A counter for every reason, all zero."""
    return dict.fromkeys(Refusal, 0)


def direction_refusal(v: Sequence[float]) -> Refusal | None:
    """Why ``v`` is not a direction of three components, any length; None if it is one."""
    if len(v) != 3:
        return Refusal.LENGTH
    x, y, z = v
    if not (isfinite(x) and isfinite(y) and isfinite(z)):
        return Refusal.NOT_FINITE
    largest = max(abs(x), abs(y), abs(z))
    if largest > LARGEST:
        return Refusal.OUT_OF_RANGE
    # Far below any field in tesla; smaller squares would leave the normal range of a double.
    return Refusal.NO_DIRECTION if largest < 1e-15 else None


def quaternion_refusal(q: Sequence[float]) -> Refusal | None:
    """Why ``q`` is not a unit quaternion; None if it is one within 1 % of length."""
    if len(q) != 4:
        return Refusal.LENGTH
    if not all(isfinite(part) for part in q):
        return Refusal.NOT_FINITE
    # Before squaring: what is far off could overflow.
    if max(abs(part) for part in q) > 2.0:
        return Refusal.NOT_UNIT
    length = sqrt(sum(part * part for part in q))
    return Refusal.NOT_UNIT if abs(length - 1.0) > UNIT_WITHIN else None


def sigma_refusal(sigma: float, largest: float) -> Refusal | None:
    """Why ``sigma`` is no one-sigma error: not above zero, not finite, or so large that nothing was measured."""
    return None if 0.0 < sigma <= largest else Refusal.BAD_SIGMA


def chi_square_quantile(probability: float, degrees: int) -> float:
    """Quantile of the chi-square distribution. For probabilities of 0.025 to 0.975 within 0.8 % from 10 degrees of
    freedom on and 0.1 % from 30 on; for 0.005 to 0.995 within 3 % and 0.4 %.

    Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931: the cube root is nearly normal. Raises
    ValueError for a probability outside 0..1 (both excluded) or no degree of freedom.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom; at least 1 is needed")
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability {probability} is not between 0 and 1")
    spread = 2.0 / (9.0 * degrees)
    root = 1.0 - spread + NormalDist().inv_cdf(probability) * sqrt(spread)
    return degrees * max(0.0, root) ** 3


@lru_cache(maxsize=512)
def chi_square_band(degrees: int, probability: float = BAND) -> tuple[float, float]:
    """Lower and upper bound of the central band of a chi-square sum, divided by its degrees of freedom."""
    tail = 0.5 * (1.0 - probability)
    return (
        chi_square_quantile(tail, degrees) / degrees,
        chi_square_quantile(1.0 - tail, degrees) / degrees,
    )


@dataclass(slots=True)
class UpdateCounters:
    """Observations by what became of them, and the last normalised innovation squared."""

    accepted: int = 0
    refused: int = 0
    too_old: int = 0
    reacquired: int = 0
    last_nis: float = 0.0
    nis_sum: float = 0.0


@unique
class Agreement(StrEnum):
    """What a window of innovations says about the filter's own sigma."""

    TOO_FEW = "too_few"
    WITHIN = "within"
    CAUTIOUS = "cautious"
    """Innovations smaller than expected: the sigma is larger than it need be."""
    OVERCONFIDENT = "overconfident"
    """Innovations larger than expected, or refused by the gate more than once."""


class InnovationFigures(NamedTuple):
    """One sensor's window: NIS per degree of freedom (1 is right), its band, and what they mean together."""

    accepted: int
    nis: float | None
    low: float
    high: float
    refused: int
    agreement: Agreement


class InnovationWindow:
    """The last ``length`` innovations of one kind of sensor.

    Args:
        length: innovations kept, accepted and refused together.
        fewest: accepted ones below which nothing is said.
    """

    __slots__ = ("_degrees", "_fewest", "_head", "_length", "_nis")

    def __init__(self, length: int = 40, fewest: int = 10) -> None:
        self._length = length
        self._fewest = fewest
        self._nis: list[float] = []
        self._degrees: list[int] = []
        self._head = 0

    def add(self, nis: float, degrees: int) -> None:
        """An accepted innovation of ``degrees`` components."""
        self._push(nis, degrees)

    def refuse(self) -> None:
        """An innovation that the gate refused."""
        self._push(0.0, 0)

    def _push(self, nis: float, degrees: int) -> None:
        if len(self._nis) < self._length:
            self._nis.append(nis)
            self._degrees.append(degrees)
            return
        head = self._head
        self._nis[head] = nis
        self._degrees[head] = degrees
        self._head = (head + 1) % self._length

    @property
    def figures(self) -> InnovationFigures:
        """The window as it stands; sums anew, so that no rounding piles up."""
        degrees = sum(self._degrees)
        refused = self._degrees.count(0)
        count = len(self._degrees) - refused
        if degrees == 0:
            # Nothing but refusals is not agreement.
            doubt = Agreement.OVERCONFIDENT if refused >= REFUSED_IN_WINDOW else Agreement.TOO_FEW
            return InnovationFigures(0, None, 0.0, 0.0, refused, doubt)
        nis = sum(self._nis) / degrees
        low, high = chi_square_band(degrees)
        if refused >= REFUSED_IN_WINDOW:
            agreement = Agreement.OVERCONFIDENT
        elif count < self._fewest:
            agreement = Agreement.TOO_FEW
        elif nis > high:
            agreement = Agreement.OVERCONFIDENT
        else:
            agreement = Agreement.WITHIN if nis >= low else Agreement.CAUTIOUS
        return InnovationFigures(count, nis, low, high, refused, agreement)
