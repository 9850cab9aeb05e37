"""Spectra and fields into their maps: placed, or counted as placed nowhere; what is unlike is told in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.samples import FieldSample
from fdir.modes import Motion
from firmware_py.energy.duty_table import Consumer, EnergyLevel
from firmware_py.perception.modes import PerceptionMode, plan
from firmware_py.perception.mounts import CraftPose, mounts_of
from firmware_py.perception.science import Science
from tests.firmware_py.perception.port_craft import LEVEL, NS, PROFILE, scan, spectrum

RATES = {Consumer.SPECTROMETER: 0.2, Consumer.MAGNETOMETER: 10.0, Consumer.RADAR: 4.0}


def science(mode: PerceptionMode = PerceptionMode.SCIENCE) -> Science:
    made = Science(mounts_of(PROFILE))
    made.follow(plan(mode, Motion.IDLE, EnergyLevel.FULL, RATES))
    return made


def at(x: float, t_ns: int, quaternion: Any = LEVEL) -> CraftPose:
    return CraftPose(t_ns, (x, 0.0, 0.0), (0.0, 0.0, 0.0), quaternion, (0.0, 0.0, 0.0))


def field(t_ns: int, tesla: tuple[float, float, float]) -> Any:
    return scan("mag", t_ns, magnetic=FieldSample(tesla))


def test_a_spectrum_needs_a_place() -> None:
    made = science()
    assert made.add(scan("spectrum", NS, spectrum=spectrum(50.0)), at(0.0, NS), None, False) == []
    assert made.counts()["spectra_unplaced"] == 1
    made.add(scan("spectrum", 2 * NS, spectrum=spectrum(50.0)), at(0.0, 2 * NS), (5.0, 0.0, 0.0), False)
    assert made.counts()["spectra"] == 1


def test_outside_of_the_modes_that_map_nothing_is_taken() -> None:
    made = science(PerceptionMode.NAVIGATION)
    made.add(scan("spectrum", NS, spectrum=spectrum(50.0)), at(0.0, NS), (5.0, 0.0, 0.0), False)
    made.add(field(NS, (2e-5, 0.0, 0.0)), at(0.0, NS), None, False)
    assert set(made.counts().values()) == {0}


def test_a_field_is_turned_to_inertial_axes_so_that_a_turn_of_the_craft_is_no_anomaly() -> None:
    made = science()
    generator = np.random.default_rng(4)
    hits = []
    for number in range(500):
        half = 0.005 * number
        turned = (float(np.cos(half)), 0.0, 0.0, float(np.sin(half)))
        # 30 uT along inertial x, seen from a body that turns about z.
        x, y = 30e-6 * np.cos(2 * half), -30e-6 * np.sin(2 * half)
        noise = generator.normal(0.0, 20e-9, 3)
        t_ns = NS + number * NS // 10
        seen = field(t_ns, (x + noise[0], y + noise[1], noise[2]))
        hits += made.add(seen, at(0.1 * number, t_ns, turned), None, False)
    assert hits == []
    assert made.counts()["field_samples"] >= 250


def test_a_magnet_is_told_with_its_place_and_counted() -> None:
    made = science()
    generator = np.random.default_rng(4)
    hits = []
    for number in range(500):
        x, y, z = (np.array([30e-6, 0.0, 0.0]) + generator.normal(0.0, 20e-9, 3)).tolist()
        t_ns = NS + number * NS // 10
        hits += made.add(
            field(t_ns, (x + (10e-6 if number >= 450 else 0.0), y, z)), at(0.2 * number, t_ns), None, False
        )
    assert hits
    assert "sigma off at (" in hits[0]
    assert made.counts()["field_hits"] == len(hits)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_samples_that_are_none_are_survived(value: float) -> None:
    made = science()
    assert made.add(scan("spectrum", NS, spectrum=spectrum(value)), at(0.0, NS), (1.0, 0.0, 0.0), False) == []
    assert made.add(field(NS, (value, 0.0, 0.0)), at(0.0, NS), None, False) == []
    made.add(scan("spectrum", NS, spectrum=spectrum(5.0)), at(0.0, NS), (value, 0.0, 0.0), False)
    assert made.counts()["field_samples"] == 0 or value == -1.0
