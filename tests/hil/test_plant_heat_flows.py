"""Heat that power and jets leave in the nodes: each term by its figure, and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.profile import load_body
from hil.plant.heat_flows import HeatFlows
from hil.plant.power import PowerPlant
from hil.plant.propulsion import Propulsion

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
BODY = load_body(BODIES / "qiki-t.yaml")
BENCH = load_body(BODIES / "bench-12kg.yaml")
STEP_NS = 50_000_000


def test_each_node_gets_its_share() -> None:
    power, jets = PowerPlant(BODY), Propulsion(BODY)
    for name in ("radar", "transponder"):
        power.set_rail(name, False)
    power.set_rail("heater_rcs_c01", True)
    power.set_share("heater_rcs_c01", 0.2)
    power.step(0.05, 0.0, 0.0, 80.0 * 0.05)
    heat = HeatFlows(BODY, jets)
    heat.gather(STEP_NS, power)
    dt, watts = heat.take(jets)
    heater_w = 0.2 * next(heater.power_w for heater in BODY.thermal.heaters if heater.node == "rcs_c01")
    load_w = 60.0 + 35.0 + 20.0 + heater_w
    amperes = load_w / power.bus_voltage_v
    assert dt == pytest.approx(0.05)
    assert watts["core"] == pytest.approx(0.8 * 35.0 + 0.7 * 20.0)
    assert watts["pdu"] == pytest.approx(0.02 * load_w + 0.4 * amperes**2)
    assert watts["battery"] == pytest.approx(0.01 * load_w)
    assert watts["supercap"] > 0.03 * 80.0
    assert watts["hull"] == pytest.approx(0.35 * 80.0)
    assert watts["rcs_c01"] == pytest.approx(heater_w)
    assert watts["dock_bridge"] == 0.0


def test_short_warms_no_known_node_but_its_current_does() -> None:
    sound, shorted = PowerPlant(BODY), PowerPlant(BODY)
    for power in (sound, shorted):
        power.set_rail("heater_core", True)
        power.set_share("heater_core", 0.0)
        power.set_rail("radar", False)
    shorted.short_load("heater_core", 10.0)
    taken = []
    for power in (sound, shorted):
        power.step(0.05, 0.0, 0.0, 0.0)
        jets = Propulsion(BODY)
        heat = HeatFlows(BODY, jets)
        heat.gather(STEP_NS, power)
        taken.append(heat.take(jets)[1])
    assert taken[1]["core"] == pytest.approx(taken[0]["core"])
    assert taken[1]["pdu"] > taken[0]["pdu"]


def test_what_was_taken_is_not_taken_again() -> None:
    power, jets = PowerPlant(BODY), Propulsion(BODY)
    power.step(0.05, 0.0, 0.0, 0.0)
    heat = HeatFlows(BODY, jets)
    jets.cluster_heat_j[1] = 100.0
    heat.gather(STEP_NS, power)
    heat.gather(STEP_NS, power)
    assert heat.gathered_ns == 2 * STEP_NS
    dt, watts = heat.take(jets)
    assert watts[jets.clusters[1]] == pytest.approx(100.0 / dt)
    assert heat.gathered_ns == 0
    heat.gather(STEP_NS, power)
    _, again = heat.take(jets)
    assert again[jets.clusters[1]] == 0.0
    assert again["core"] == pytest.approx(watts["core"])


def test_a_body_without_heaters_or_dock_takes_its_heat_too() -> None:
    power, jets = PowerPlant(BENCH), Propulsion(BENCH)
    power.step(0.05, 0.0, 0.0, 0.0)
    heat = HeatFlows(BENCH, jets)
    heat.gather(STEP_NS, power)
    assert heat.take(jets)[1]["core"] == pytest.approx(0.8 * 6.0)
