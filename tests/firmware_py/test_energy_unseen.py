"""What the bus carries beyond the loads that are known."""

from __future__ import annotations

from math import inf, nan

import pytest

from firmware_py.energy.unseen import UnseenShare


def learned(share: float, known_w: float = 100.0) -> UnseenShare:
    unseen = UnseenShare()
    for _ in range(600):
        unseen.step(0.1, known_w * (1.0 + share), known_w)
    return unseen


def test_a_monitor_that_shows_a_per_cent_more_adds_that_to_every_demand() -> None:
    unseen = learned(0.01)
    assert unseen.beyond(50.0) == pytest.approx(0.5)
    assert unseen.beyond(120.0) == pytest.approx(1.2)


def test_a_monitor_that_shows_less_makes_no_room() -> None:
    assert learned(-0.02).beyond(100.0) == 0.0


def test_it_follows_within_half_a_minute() -> None:
    unseen = learned(0.0)
    for _ in range(300):
        unseen.step(0.1, 102.0, 100.0)
    assert unseen.beyond(100.0) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("bus_w", [None, nan, inf, -inf, -101.0, 0.0, 120.0, 94.0])
def test_a_switched_load_and_what_is_no_reading_teach_nothing(bus_w: float | None) -> None:
    unseen = learned(0.01)
    for _ in range(600):
        unseen.step(0.1, bus_w, 100.0)
    assert unseen.beyond(100.0) == pytest.approx(1.0)


@pytest.mark.parametrize("known_w", [0.0, -1.0, nan, inf])
def test_without_known_loads_nothing_is_learned(known_w: float) -> None:
    unseen = UnseenShare()
    unseen.step(0.1, 100.0, known_w)
    assert unseen.beyond(100.0) == 0.0


@pytest.mark.parametrize("demand_w", [nan, inf])
def test_nothing_is_added_to_a_demand_that_is_no_number(demand_w: float) -> None:
    assert learned(0.01).beyond(demand_w) == 0.0
