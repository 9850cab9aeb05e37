"""Sightings that are no measurement get a reason, before anything is reckoned with them."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from firmware_py.gnc.consistency import Refusal
from firmware_py.gnc.sighting import LARGEST_M, LARGEST_M_S, Sighting, sighting_refusal
from hal.frames import IDENTITY

GOOD = Sighting(IDENTITY, 0, 40.0, 0.5, (1.0, 0.2, 0.0), 0.01, -0.3, 0.1)


def test_a_good_one_and_every_part_of_it_alone_pass() -> None:
    assert sighting_refusal(GOOD) is None
    assert sighting_refusal(replace(GOOD, direction=None, range_rate_m_s=None)) is None
    assert sighting_refusal(replace(GOOD, range_m=None, range_rate_m_s=None)) is None


@pytest.mark.parametrize(("change", "reason"), [
    ({"age_ns": -1}, Refusal.FUTURE),
    ({"quaternion": (1.0, 0.0, nan, 0.0)}, Refusal.NOT_FINITE),
    ({"quaternion": (2.0, 0.0, 0.0, 0.0)}, Refusal.NOT_UNIT),
    ({"range_m": nan}, Refusal.NOT_FINITE),
    ({"range_m": -0.1}, Refusal.OUT_OF_RANGE),
    ({"range_m": 2.0 * LARGEST_M}, Refusal.OUT_OF_RANGE),
    ({"sigma_range_m": 0.0}, Refusal.BAD_SIGMA),
    ({"sigma_range_m": inf}, Refusal.BAD_SIGMA),
    ({"direction": (0.0, 0.0, 0.0)}, Refusal.NO_DIRECTION),
    ({"direction": (1.0, inf, 0.0)}, Refusal.NOT_FINITE),
    ({"direction": (1.0, 0.0)}, Refusal.LENGTH),
    ({"sigma_bearing_rad": -1.0}, Refusal.BAD_SIGMA),
    ({"range_rate_m_s": inf}, Refusal.NOT_FINITE),
    ({"range_rate_m_s": 2.0 * LARGEST_M_S}, Refusal.OUT_OF_RANGE),
    ({"sigma_range_rate_m_s": nan}, Refusal.BAD_SIGMA),
    ({"mount_m": (0.0, nan, 0.0)}, Refusal.NOT_FINITE),
    ({"marker_m": (0.0, 0.0, 2.0 * LARGEST_M)}, Refusal.OUT_OF_RANGE),
    ({"rate": (0.0, 0.0)}, Refusal.LENGTH),
])
def test_what_is_no_measurement_is_refused_by_name(change: dict[str, Any], reason: Refusal) -> None:
    assert sighting_refusal(replace(GOOD, **change)) is reason
