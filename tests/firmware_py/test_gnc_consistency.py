"""Consistency figures: the band is chi-square's, a window tells a right sigma from a wrong one, inputs get a reason."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from scipy.stats import chi2

from firmware_py.gnc.consistency import (
    GATE_1,
    GATE_2,
    GATE_3,
    Agreement,
    InnovationWindow,
    Refusal,
    chi_square_band,
    chi_square_quantile,
    direction_refusal,
    no_refusals,
    quaternion_refusal,
    sigma_refusal,
)


@pytest.mark.parametrize("degrees", [10, 12, 20, 30, 60, 120, 600])
@pytest.mark.parametrize("probability", [0.005, 0.025, 0.5, 0.975, 0.995])
def test_quantiles_are_as_near_as_they_say(degrees: int, probability: float) -> None:
    expected = float(chi2.ppf(probability, degrees))
    inner = 0.025 <= probability <= 0.975
    within = (1e-3 if inner else 4e-3) if degrees >= 30 else (8e-3 if inner else 3e-2)
    assert chi_square_quantile(probability, degrees) == pytest.approx(expected, rel=within)


def test_gates_are_the_quantiles_at_one_in_ten_thousand() -> None:
    for gate, degrees in ((GATE_1, 1), (GATE_2, 2), (GATE_3, 3)):
        assert gate == pytest.approx(float(chi2.ppf(0.9999, degrees)), abs=0.06)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3), (1.0, 3), (nan, 3), (0.5, 0)])
def test_a_quantile_of_nothing_raises(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match=r"probability|degrees"):
        chi_square_quantile(probability, degrees)


def test_the_band_holds_95_of_100_windows() -> None:
    rng = np.random.default_rng(1)
    low, high = chi_square_band(90)
    means = rng.chisquare(3, (4000, 30)).sum(axis=1) / 90.0
    assert ((means > low) & (means < high)).mean() == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    ("factor", "agreement"),
    [(1.0, Agreement.WITHIN), (2.0, Agreement.OVERCONFIDENT), (0.4, Agreement.CAUTIOUS)],
)
def test_a_window_tells_a_right_sigma_from_a_wrong_one(factor: float, agreement: Agreement) -> None:
    rng = np.random.default_rng(2)
    window = InnovationWindow()
    # More than its length, so that only the last ones count.
    for _ in range(60):
        window.add(50.0, 3)
    for nis in rng.chisquare(3, 40):
        window.add(factor * float(nis), 3)
    figures = window.figures
    assert figures.accepted == 40
    assert figures.agreement is agreement


def test_few_innovations_say_nothing_and_refusals_say_enough() -> None:
    window = InnovationWindow()
    assert window.figures.agreement is Agreement.TOO_FEW
    assert window.figures.nis is None
    for _ in range(5):
        window.add(3.0, 3)
    window.refuse()
    assert window.figures.agreement is Agreement.TOO_FEW
    window.refuse()
    assert window.figures.agreement is Agreement.OVERCONFIDENT
    assert window.figures.refused == 2
    for _ in range(40):
        window.add(3.0, 3)
    assert window.figures.agreement is Agreement.WITHIN
    assert window.figures.refused == 0


def test_nothing_but_refusals_is_no_agreement() -> None:
    window = InnovationWindow()
    window.refuse()
    assert window.figures.agreement is Agreement.TOO_FEW
    window.refuse()
    assert window.figures.agreement is Agreement.OVERCONFIDENT


def test_observations_of_several_sizes_share_a_window() -> None:
    window = InnovationWindow()
    for _ in range(20):
        window.add(1.0, 1)
        window.add(3.0, 3)
    assert window.figures.nis == pytest.approx(1.0)
    low, high = (float(chi2.ppf(p, 80)) / 80.0 for p in (0.025, 0.975))
    assert window.figures.low == pytest.approx(low, rel=1e-3)
    assert window.figures.high == pytest.approx(high, rel=1e-3)


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ((1.0, 0.0), Refusal.LENGTH), ((nan, 0.0, 1.0), Refusal.NOT_FINITE), ((0.0, inf, 1.0), Refusal.NOT_FINITE),
        ((0.0, 0.0, 0.0), Refusal.NO_DIRECTION), ((1e-300, 0.0, 0.0), Refusal.NO_DIRECTION),
        ((1e200, 0.0, 0.0), Refusal.OUT_OF_RANGE), ((2e-5, 0.0, -4e-5), None), ((3.0, 4.0, 0.0), None),
    ],
)
def test_a_direction_is_one_or_has_a_reason(vector: tuple[float, ...], reason: Refusal | None) -> None:
    assert direction_refusal(vector) is reason


@pytest.mark.parametrize(
    ("quaternion", "reason"),
    [
        ((1.0, 0.0, 0.0, 0.0), None), ((0.9999, 0.0, 0.0, 0.0), None), ((0.5, 0.5, 0.5, -0.5), None),
        ((0.98, 0.0, 0.0, 0.0), Refusal.NOT_UNIT), ((0.0, 0.0, 0.0, 0.0), Refusal.NOT_UNIT),
        ((1e200, 0.0, 0.0, 0.0), Refusal.NOT_UNIT), ((nan, 0.0, 0.0, 0.0), Refusal.NOT_FINITE),
        ((1.0, 0.0, 0.0), Refusal.LENGTH),
    ],
)
def test_a_quaternion_is_one_or_has_a_reason(quaternion: tuple[float, ...], reason: Refusal | None) -> None:
    assert quaternion_refusal(quaternion) is reason


@pytest.mark.parametrize("sigma", [0.0, -1.0, nan, inf, 3.2])
def test_a_sigma_that_is_none_has_a_reason(sigma: float) -> None:
    assert sigma_refusal(sigma, 3.0) is Refusal.BAD_SIGMA


def test_counters_name_every_reason_from_the_start() -> None:
    assert no_refusals() == dict.fromkeys(Refusal, 0)
