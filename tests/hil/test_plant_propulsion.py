"""Valves and tank: latency, stuck and dead nozzles, isolation, shared tank, electrical energy."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from hal.profile import BodyConfig, load_body
from hil.plant.propulsion import NEVER, Propulsion
from hil.plant.rigid_body import rigid_body

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
MS = 1_000_000


@pytest.fixture(scope="module")
def qiki() -> BodyConfig:
    return load_body(BODIES / "qiki-t.yaml")


def test_thrust_follows_the_edge_by_the_valve_latency(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    jets.drive(10 * MS, 4, True)
    assert jets.driven_mask == 1 << 4
    assert jets.next_change_ns == 12 * MS
    jets.apply(12 * MS - 1)
    assert jets.firing is None
    jets.apply(12 * MS)
    assert jets.open_mask == 1 << 4
    assert jets.firing is not None
    assert jets.next_change_ns == NEVER


def test_wrench_is_taken_about_the_true_centre_of_mass(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    pushing_left = (0, 2, 4, 6)
    for nozzle in pushing_left:
        jets.drive(0, nozzle, True)
    jets.apply(2 * MS)
    assert jets.firing is not None
    assert jets.firing.force == pytest.approx((0.0, 735.39, 0.0), abs=0.01)
    # Torque-free about the geometric centre, but the centre of mass is 0.1 m above it.
    assert jets.firing.torque == pytest.approx((73.54, 0.0, 0.0), abs=0.01)
    assert jets.firing.flow_kg_s == pytest.approx(4 * 260.0 / (60.0 * 9.80665))


def test_each_wrench_is_position_cross_force(qiki: BodyConfig) -> None:
    for nozzle in qiki.propulsion.nozzles:
        jets = Propulsion(qiki)
        jets.drive(0, nozzle.id, True)
        jets.apply(2 * MS)
        force = np.array(nozzle.direction) / np.linalg.norm(nozzle.direction) * nozzle.thrust_n
        arm = np.array(nozzle.position_m) - np.array(qiki.mass.centre_of_mass_m)
        assert jets.firing is not None
        assert np.allclose(jets.firing.force, force)
        assert np.allclose(jets.firing.torque, np.cross(arm, force))


def test_dead_nozzle_takes_power_but_gives_no_thrust_and_burns_nothing(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.propulsion.set_thrust(3, 0.0)
    rigid.propulsion.drive(0, 3, True)
    rigid.advance(100 * MS)
    assert rigid.propulsion.open_mask == 0
    assert rigid.propulsion.total_impulse_n_s == 0.0
    assert rigid.propulsion.propellant_kg == 12.0
    assert rigid.propulsion.valve_energy_j(100 * MS) == pytest.approx(2.0)


def test_weak_nozzle_gives_its_share_for_its_share_of_propellant(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.propulsion.set_thrust(3, 0.5)
    rigid.propulsion.drive(0, 3, True)
    rigid.advance(102 * MS)
    assert rigid.propulsion.total_impulse_n_s == pytest.approx(13.0)
    assert 12.0 - rigid.propulsion.propellant_kg == pytest.approx(13.0 / (60.0 * 9.80665))


def test_stuck_nozzle_pushes_until_its_cluster_is_isolated(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    jets = rigid.propulsion
    jets.stick_on(9, True)
    rigid.advance(50 * MS)
    assert jets.total_impulse_n_s == pytest.approx(220.0 * 0.05)
    assert jets.valve_energy_j(50 * MS) == 0.0
    jets.set_isolation("rcs_c03", False)
    rigid.advance(80 * MS)
    assert jets.open_mask == 0
    assert jets.total_impulse_n_s == pytest.approx(220.0 * 0.05)
    jets.set_isolation("rcs_c03", True)
    rigid.advance(90 * MS)
    assert jets.total_impulse_n_s == pytest.approx(220.0 * 0.06)
    jets.stick_on(9, False)
    assert jets.firing is None


def test_isolation_shuts_only_its_own_cluster(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    jets.drive(0, 0, True)
    jets.drive(0, 4, True)
    jets.apply(2 * MS)
    jets.set_isolation("rcs_c01", False)
    assert jets.open_mask == 1 << 4
    jets.set_isolation("rcs_c01", True)
    assert jets.open_mask == 1 << 4 | 1


def test_empty_tank_ends_all_thrust_at_the_exact_moment(qiki: BodyConfig) -> None:
    body = msgspec.structs.replace(qiki, mass=msgspec.structs.replace(qiki.mass, propellant_kg=0.05))
    rigid = rigid_body(body)
    for nozzle in (0, 7):
        rigid.propulsion.drive(0, nozzle, True)
    rigid.advance(1_000 * MS)
    assert rigid.propulsion.propellant_kg == 0.0
    assert rigid.propulsion.firing is None
    assert rigid.propulsion.open_mask == 1 << 7 | 1
    assert rigid.propulsion.total_impulse_n_s == pytest.approx(0.05 * 60.0 * 9.80665, rel=1e-9)
    assert rigid.mass_kg == 420.0


def test_valve_energy_counts_driven_time_to_the_nanosecond(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    jets.drive(1, 0, True)
    jets.drive(5, 1, True)
    jets.drive(11, 0, False)
    assert jets.valve_energy_j(21) == pytest.approx((10 + 16) * 1e-9 * 20.0, rel=1e-12)


def test_repeated_edges_change_nothing(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    jets.drive(0, 0, True)
    jets.drive(MS, 0, True)
    jets.drive(MS, 1, False)
    jets.apply(10 * MS)
    assert jets.open_mask == 1
    assert jets.next_change_ns == NEVER


def test_heat_goes_to_the_cluster_that_fires(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.propulsion.drive(0, 4, True)
    rigid.propulsion.drive(0, 5, True)
    rigid.advance(102 * MS)
    assert rigid.propulsion.clusters == ("rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04")
    assert rigid.propulsion.cluster_heat_j == pytest.approx([0.0, 80.0, 0.0, 0.0])


def test_impossible_orders_are_refused(qiki: BodyConfig) -> None:
    jets = Propulsion(qiki)
    with pytest.raises(ValueError, match="no nozzle 16"):
        jets.drive(0, 16, True)
    with pytest.raises(ValueError, match="no nozzle -1"):
        jets.stick_on(-1, True)
    with pytest.raises(ValueError, match="factor"):
        jets.set_thrust(0, -0.1)
    with pytest.raises(ValueError, match="no cluster"):
        jets.set_isolation("rcs_c09", True)
    jets.drive(10, 0, True)
    with pytest.raises(ValueError, match="older"):
        jets.drive(9, 1, True)
