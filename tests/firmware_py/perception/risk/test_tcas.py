"""Sensitivity levels and advisories at their edges."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from firmware_py.perception.risk.tcas import LEVELS, resolution_advisory, sensitivity_level, traffic_advisory

WHOLE = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "tcas_thresholds.csv"
FOOT_M = 0.3048


@pytest.mark.parametrize(("height_ft", "level"), [
    (-10.0, 1), (0.0, 1), (0.1, 2), (999.0, 2), (1001.0, 3), (2351.0, 4), (5001.0, 5), (10001.0, 6), (20001.0, 7),
    (41999.0, 7), (42001.0, 8), (90000.0, 8),
])
def test_levels_go_with_height(height_ft: float, level: int) -> None:
    assert sensitivity_level(np.array([height_ft * FOOT_M]))[0] == level


@pytest.mark.skipif(not WHOLE.exists(), reason="the table is not beside the checkout")
def test_thresholds_are_those_of_the_table() -> None:
    with WHOLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(LEVELS)
    for row, level in zip(rows, LEVELS, strict=True):
        assert level.up_to_ft == (float(row["alt_upto_ft"]) if row["alt_upto_ft"] else np.inf)
        for key in ("ta_tau_s", "ta_dmod_nmi", "ta_zthr_ft", "ra_tau_s", "ra_dmod_nmi", "ra_zthr_ft", "ra_hmd_ft"):
            assert getattr(level, key) == float(row[key])


def advisories(s: tuple[float, ...], v: tuple[float, ...], level: int) -> tuple[bool, bool]:
    place, speed, levels = np.array([s]), np.array([v]), np.array([level])
    return bool(traffic_advisory(place, speed, levels)[0]), bool(resolution_advisory(place, speed, levels)[0])


@pytest.mark.parametrize(("s", "v", "level", "given"), [
    ((0.0, 5000.0, 0.0), (0.0, -150.0, 0.0), 6, (True, False)),
    ((0.0, 3000.0, 0.0), (0.0, -150.0, 0.0), 6, (True, True)),
    # The filter: the path passes beyond the horizontal miss distance.
    ((1600.0, 3000.0, 0.0), (0.0, -150.0, 0.0), 6, (True, False)),
    ((0.0, 3000.0, 0.0), (0.0, 150.0, 0.0), 6, (False, False)),
    ((0.0, 3000.0, 400.0), (0.0, -150.0, 0.0), 6, (False, False)),
    ((0.0, 3000.0, 400.0), (0.0, -150.0, -20.0), 6, (True, True)),
    ((0.0, 300.0, 0.0), (0.0, -15.0, 0.0), 2, (True, False)),
    ((0.0, 300.0, 0.0), (0.0, -15.0, 0.0), 1, (False, False)),
])
def test_advisories(s, v, level, given) -> None:
    assert advisories(s, v, level) == given
