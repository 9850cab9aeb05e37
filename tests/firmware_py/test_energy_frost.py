"""The frost guard: when other loads make room for the battery's heater, and for how long."""

from __future__ import annotations

import msgspec
import pytest

from firmware_py.energy.frost import FrostGuard
from hal.profile import load_body


@pytest.fixture
def guard() -> FrostGuard:
    return FrostGuard(load_body("qiki-t"))


def test_it_begins_ten_kelvin_above_the_discharge_limit_and_ends_five_above_that(guard: FrostGuard) -> None:
    history = [guard.step(c, False) for c in (-9.9, -10.0, -10.1, -8.0, -5.1, -5.0, -9.9)]
    assert history == [False, False, True, True, True, False, False]


def test_a_battery_too_cold_to_be_charged_is_warmed_only_for_a_charge_that_waits(guard: FrostGuard) -> None:
    assert not guard.step(-0.1, False)
    assert guard.step(-0.1, True)
    assert guard.step(4.9, False), "once begun it goes on to five kelvin above where it began"
    assert not guard.step(5.0, True)
    assert not guard.step(0.0, True)


def test_nothing_thaws_or_freezes_by_losing_its_sensor(guard: FrostGuard) -> None:
    assert not guard.step(None, True)
    assert guard.step(-15.0, False)
    assert guard.step(None, False)


def test_a_body_without_cold_limits_never_freezes() -> None:
    body = load_body("qiki-t")
    nodes = tuple(
        msgspec.structs.replace(node, no_charge_below_c=None, no_discharge_below_c=None) for node in body.thermal.nodes
    )
    guard = FrostGuard(msgspec.structs.replace(body, thermal=msgspec.structs.replace(body.thermal, nodes=nodes)))
    assert not guard.step(-100.0, True)
