"""Heat of the clusters: the model agrees with the plant's, hot clusters cost more, are forbidden and come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.cluster_heat import ClusterHeat
from hal.profile.loader import load_body
from hil.plant.thermal import ThermalNetwork

BODIES = ("qiki-t", "qiki-g", "bench-12kg", "gref")
_BODY = {name: load_body(name) for name in BODIES}
NAN = float("nan")
FIRST = {0, 1, 2, 3}


def nozzles(mask: int) -> set[int]:
    return {n for n in range(32) if mask >> n & 1}


def heated(celsius: float, name: str = "qiki-t") -> ClusterHeat:
    heat = ClusterHeat(_BODY[name])
    heat.step(0.0, np.zeros(16), {"rcs_c01": celsius})
    return heat


def test_four_nozzles_of_one_cluster_rise_eight_kelvin_a_second() -> None:
    heat = ClusterHeat(_BODY["qiki-t"])
    before = heat.clusters_c.copy()
    heat.step(3.0, [3.0] * 4 + [0.0] * 12)
    rise = heat.clusters_c - before
    assert 21.0 < rise[0] < 24.0
    assert np.abs(rise[1:]).max() < 2.0


@pytest.mark.parametrize("name", BODIES)
def test_it_agrees_with_the_plants_network_step_by_step(name: str) -> None:
    body = _BODY[name]
    prop = body.propulsion
    heat, plant = ClusterHeat(body), ThermalNetwork(body)
    rng = np.random.default_rng(2)
    for _ in range(60):
        on = rng.random(16) * (rng.random(16) < 0.4) * 0.5
        watts: dict[str, float] = {"hull": prop.hull_heat_share * prop.valve_power_w * on.sum() / 0.5}
        for n, nozzle in enumerate(prop.nozzles):
            watts[nozzle.cluster] = watts.get(nozzle.cluster, 0.0) + prop.cluster_heat_w * on[n] / 0.5
        heat.step(0.5, on)
        plant.step(0.5, plant.heat_vector(watts))
    ours, theirs = heat.temperatures_c, plant.celsius()
    assert ours == pytest.approx(theirs, abs=0.5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(BODIES), seed=st.integers(0, 2**16), seconds=st.floats(0.1, 100.0), parts=st.integers(1, 20)
)
def test_many_small_steps_end_where_one_prediction_does(name: str, seed: int, seconds: float, parts: int) -> None:
    duty = np.random.default_rng(seed).random(16) * 0.2
    heat = ClusterHeat(_BODY[name])
    predicted = heat.predict(duty, seconds)
    for _ in range(parts):
        heat.step(seconds / parts, duty * seconds / parts)
    if predicted.max() < 159.0:
        assert heat.clusters_c == pytest.approx(predicted, abs=1e-6)


def test_a_prediction_changes_nothing_and_settles() -> None:
    heat = ClusterHeat(_BODY["qiki-t"])
    before = heat.temperatures_c
    late = heat.predict(np.zeros(16), 1e6)
    assert late == pytest.approx(np.full(4, -60.0), abs=0.01)
    assert heat.temperatures_c == before


def test_costs_rise_towards_warn_for_that_cluster_alone() -> None:
    costs = [heated(c).costs() for c in (-20.0, 60.0, 80.0, 100.0, 110.0, 118.0)]
    assert (costs[0] == 1.0).all()
    first = [float(c[0]) for c in costs]
    assert first[0] == first[1] == 1.0
    assert first[1:] == sorted(first[1:])
    assert first[4] == pytest.approx(4.0)
    assert all((c[4:] == 1.0).all() for c in costs)


def test_a_hot_cluster_is_used_less_where_another_can_do_it() -> None:
    body = _BODY["bench-12kg"]
    allocator = Allocator(body)
    push = (0.0, 0.7, 0.0, 0.0, 0.0, 0.0)
    cold, _ = allocator.allocate(push)
    users = {body.propulsion.nozzles[n].cluster for n in (cold > 1e-9).nonzero()[0]}
    heat = ClusterHeat(body)
    heat.step(0.0, np.zeros(16), dict.fromkeys(users, 105.0))
    allocator.set_costs(heat.costs())
    warm, share = allocator.allocate(push)
    hot = [n for n, nozzle in enumerate(body.propulsion.nozzles) if nozzle.cluster in users]
    assert share == 1.0
    assert warm[hot].sum() < 0.1 * cold[hot].sum()


def test_burn_time_left_costs_only_near_its_end() -> None:
    heat = ClusterHeat(_BODY["qiki-t"])
    left = np.array([3.0, 1.0, 0.5, 0.0] + [2.0] * 12)
    factors = heat.costs(burn_left_s=left)
    assert factors[0] == factors[1] == 1.0
    assert 1.0 < factors[2] < factors[3] == pytest.approx(3.0)


def test_low_charge_favours_the_stronger_nozzles_and_changes_nothing_among_equals() -> None:
    heat = ClusterHeat(_BODY["qiki-t"])
    assert (heat.costs(soc_supercap=0.9) == 1.0).all()
    low = heat.costs(soc_supercap=0.3)
    assert (low[:8] == 1.0).all()
    assert (low[8:] > 1.02).all()
    assert (ClusterHeat(_BODY["bench-12kg"]).costs(soc_supercap=0.0) == 1.0).all()


def test_trip_forbids_a_cluster_until_it_is_down_to_clear() -> None:
    heat = heated(119.0)
    assert heat.barred() == 0
    heat.step(0.0, np.zeros(16), {"rcs_c01": 120.0})
    assert nozzles(heat.barred()) == FIRST
    heat.step(0.0, np.zeros(16), {"rcs_c01": 110.5})
    assert nozzles(heat.barred()) == FIRST
    heat.step(0.0, np.zeros(16), {"rcs_c01": 110.0})
    assert heat.barred() == 0


def test_a_cooldown_lasts_while_the_cluster_is_above_warn_less_ten() -> None:
    heat = heated(105.0)
    assert nozzles(heat.barred(0b11 | 1 << 8)) == {0, 1}
    assert nozzles(heat.barred(0)) == {0, 1}
    heat.step(0.0, np.zeros(16), {"rcs_c01": 99.9})
    assert heat.barred(0) == 0
    assert heated(90.0).barred(0b11) == 0


def test_bad_inputs_are_counted_and_err_on_the_hot_side() -> None:
    heat = ClusterHeat(_BODY["qiki-t"])
    before = heat.temperatures_c
    heat.step(0.0, np.zeros(16), {"rcs_c01": NAN, "rcs_c02": 900.0, "hull": None, "nowhere": 5.0})
    assert heat.temperatures_c == before
    assert heat.counters.bad_temperatures == 2
    heat.step(NAN, np.zeros(16))
    heat.step(-1.0, np.zeros(16))
    assert heat.temperatures_c == before
    heat.step(1.0, [NAN] + [0.0] * 15)
    assert heat.clusters_c[0] > before["rcs_c01"] + 1.0
    assert (heat.predict(np.full(16, NAN), 1.0) >= 120.0).all()
    assert (heat.costs(np.full(16, NAN), NAN) == 1.0).all()
    assert heat.counters.bad_inputs == 6
