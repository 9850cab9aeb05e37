"""The node network: steady state, conservation, stability, decay against the exact solution."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from hal.profile import BodyConfig, load_body
from hil.plant.thermal import ThermalNetwork

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
BODY = load_body(BODIES / "qiki-t.yaml")
BENCH = load_body(BODIES / "bench-12kg.yaml")


def with_thermal(body: BodyConfig, **changes: object) -> BodyConfig:
    return msgspec.structs.replace(body, thermal=msgspec.structs.replace(body.thermal, **changes))


def test_nodes_start_where_the_body_says_unless_overridden() -> None:
    network = ThermalNetwork(BODY, {"core": 40.0})
    assert network.celsius()["core"] == 40.0
    assert network.celsius()["hull"] == -50.0
    with pytest.raises(ValueError, match="no thermal node"):
        ThermalNetwork(BODY, {"toaster": 1.0})


def test_settles_where_the_linear_solve_says() -> None:
    network = ThermalNetwork(BODY)
    heat = network.heat_vector({"core": 28.0, "pdu": 5.0, "rcs_c02": 10.0})
    for _ in range(3000):
        network.step(60.0, heat)
    assert np.allclose(network.temperatures, network.steady_state(heat), atol=1e-8)


def test_without_heat_everything_goes_to_ambient() -> None:
    network = ThermalNetwork(BENCH, {"core": 60.0, "rcs_c01": -20.0})
    for _ in range(2000):
        network.step(10.0, network.heat_vector({}))
    assert np.allclose(network.temperatures, 21.0, atol=1e-8)


def test_short_steps_follow_the_matrix_exponential() -> None:
    network = ThermalNetwork(BODY, {"rcs_c01": 90.0})
    heat = network.heat_vector({"core": 28.0, "rcs_c01": 400.0})
    rate = -(network.laplacian + np.diag(network.to_ambient)) / network.capacity[:, None]
    steady = network.steady_state(heat)
    exact = steady + expm(rate * 30.0) @ (network.temperatures - steady)
    for _ in range(60):
        network.step(0.5, heat)
    assert np.allclose(network.temperatures, exact, atol=0.25)


def test_cluster_warms_by_its_heat_over_its_capacity_at_first() -> None:
    network = ThermalNetwork(BODY, {"rcs_c01": -50.0})
    network.step(0.01, network.heat_vector({"rcs_c01": 1600.0}))
    # Four open nozzles of 400 W on 200 J/K: 8 K/s.
    assert network.celsius()["rcs_c01"] == pytest.approx(-50.0 + 8.0 * 0.01, abs=1e-3)


def test_insulation_divides_the_loss_to_ambient() -> None:
    bare, wrapped = ThermalNetwork(with_thermal(BODY, insulation=1.0)), ThermalNetwork(BODY)
    assert np.allclose(bare.to_ambient, 5.0 * wrapped.to_ambient)
    assert wrapped.to_ambient[wrapped.names.index("core")] == pytest.approx((1.2 + 0.2) / 5.0)
    assert np.array_equal(bare.laplacian, wrapped.laplacian)


def test_bare_fixture_has_the_reference_figures() -> None:
    # The six nodes of the bare fixture: 284 W would bring the core to 90 C, and the loads leave it near -35 C.
    names = {"core", "pdu", "supercap", "battery", "dock_bridge", "hull"}
    thermal = BODY.thermal
    network = ThermalNetwork(with_thermal(
        BODY, insulation=1.0, nodes=tuple(n for n in thermal.nodes if n.name in names),
        couplings=tuple(c for c in thermal.couplings if set(c.between) <= names),
    ))
    core = network.names.index("core")
    assert network.steady_state(network.heat_vector({"core": 284.0}))[core] == pytest.approx(90.0, abs=0.3)
    loads = network.heat_vector({"core": 0.8 * 35.0 + 0.7 * 20.0, "pdu": 0.02 * 139.0 + 0.4 * 25.0})
    assert network.steady_state(loads)[core] == pytest.approx(-35.0, abs=2.0)
    assert network.steady_state(loads)[network.names.index("battery")] == pytest.approx(-55.0, abs=3.0)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    body=st.sampled_from([BODY, BENCH]), dt=st.sampled_from([0.05, 0.5, 30.0, 1000.0]),
    starts=st.lists(st.floats(-100.0, 150.0), min_size=12, max_size=12),
)
def test_no_step_length_overshoots_the_hottest_or_coldest(body: BodyConfig, dt: float, starts: list[float]) -> None:
    network = ThermalNetwork(body, dict(zip([n.name for n in body.thermal.nodes], starts, strict=True)))
    low, high = min(*starts, network.ambient_c), max(*starts, network.ambient_c)
    for _ in range(5):
        network.step(dt, network.heat_vector({}))
        assert network.temperatures.min() >= low - 1e-9
        assert network.temperatures.max() <= high + 1e-9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(watts=st.lists(st.floats(0.0, 2000.0), min_size=12, max_size=12), dt=st.sampled_from([0.5, 20.0]))
def test_heat_in_is_heat_lost_and_heat_stored(watts: list[float], dt: float) -> None:
    network = ThermalNetwork(BODY)
    start = network.stored_j
    for _ in range(20):
        network.step(dt, np.array(watts))
    change = network.heat_j + network.clamped_j - network.lost_j
    assert network.stored_j - start == pytest.approx(change, rel=1e-9, abs=1e-3)
    assert network.temperatures.max() <= 160.0


def test_temperature_set_by_hand_is_booked() -> None:
    network = ThermalNetwork(BODY)
    start = network.stored_j
    network.set_temperature("core", 85.0)
    assert network.celsius()["core"] == 85.0
    assert network.heat_j == pytest.approx(network.stored_j - start)
    with pytest.raises(ValueError, match="no thermal node"):
        network.set_temperature("toaster", 1.0)


def test_heat_for_a_node_the_body_lacks_is_left_out() -> None:
    network = ThermalNetwork(BODY)
    assert network.heat_vector({"toaster": 5.0, "core": 2.0}).sum() == 2.0


def test_ambient_can_change_and_impossible_ones_are_refused() -> None:
    network = ThermalNetwork(BENCH)
    network.set_ambient(-30.0)
    for _ in range(2000):
        network.step(10.0, network.heat_vector({}))
    assert np.allclose(network.temperatures, -30.0, atol=1e-8)
    for bad in (float("nan"), -273.0, 500.0):
        with pytest.raises(ValueError, match="ambient"):
            network.set_ambient(bad)
    assert network.ambient_c == -30.0
