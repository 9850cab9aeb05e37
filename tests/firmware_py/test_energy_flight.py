"""Hours of power and heat: both books, lockout and wake-up, faults in time, and a cold dead craft that comes back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fdir.modes import Motion
from firmware_py.cli.energy_faults import KINDS, EnergyFault, check_fault, parse_fault
from firmware_py.cli.energy_flight import EnergyFlight, EnergyPlan, SunPointed, SunTable, Tumbling
from firmware_py.cli.session import RigFlight
from firmware_py.cli.world_plane import SensorErrors
from firmware_py.energy.forecast_plan import Burn
from firmware_py.mission import InitialConfig, MissionConfig, StepConfig, StepOutcome
from hal.profile import load_body, load_profile
from hal.profile.body import BodyConfig
from hil.plant.orbit import Orbit

T, GREF, BENCH = load_body("qiki-t"), load_body("gref"), load_body("bench-12kg")
HOUR_S = 3600.0
GOOD = SensorErrors(0.0, 1e-3, 1e-3, 1.0)


def warm(body: BodyConfig, celsius: float = 15.0) -> dict[str, float]:
    return {node.name: celsius for node in body.thermal.nodes}


def plan(body: BodyConfig = T, hours: float = 0.1, celsius: float = 15.0, **changes: object) -> EnergyPlan:
    given = {
        "hours": hours, "ambient_c": celsius, "temperatures_c": warm(body, celsius), "errors": GOOD, "step_s": 2.0,
        "row_s": 60.0, **changes,
    }
    return EnergyPlan(body, **given)  # type: ignore[arg-type]


def fault(text: str) -> EnergyFault:
    return parse_fault(text)


# -- books


@pytest.mark.slow
@pytest.mark.parametrize(
    "flown",
    [
        EnergyPlan(T, orbit=Orbit(500.0, 0.0), step_s=2.0),
        plan(GREF, 24.0, orbit=Orbit(700.0, 50.0, 0.3), sun=Tumbling(600.0)),
        plan(BENCH, 24.0, 21.0, lighting=((0.0, 1.0), (3600.0, 0.0)), faults=(fault("soc=0.9@6"), fault("esr=4@1"))),
    ],
    ids=["low orbit at -60 C", "tumbling", "bench"],
)
def test_books_of_a_day_close_within_a_thousandth(flown: EnergyPlan) -> None:
    result = EnergyFlight(flown).run()
    assert result.rows[-1].t_s == pytest.approx(24 * HOUR_S)
    assert result.unexplained_share < 1e-8
    j = result.world_j
    spent = j["loads"] + j["battery_losses"] + j["supercap_losses"] + j["valves"] + j["peaks"] + j["backflow"]
    assert j["harvested"] + j["dock"] + j["set"] == pytest.approx(spent + result.growth_j, rel=1e-8)
    # The rows are means of the same flows.
    rows_j = sum(row.array_w for row in result.rows) * 60.0
    assert rows_j == pytest.approx(j["harvested"], rel=1e-6, abs=1e-3)


def test_books_on_board_tell_how_much_they_cannot_explain() -> None:
    good = EnergyFlight(plan(hours=2.0)).run().on_board
    biased = EnergyFlight(plan(hours=2.0, errors=SensorErrors(current_gain=0.05))).run().on_board
    assert good is not None
    assert biased is not None
    assert good.unexplained_share is not None
    assert good.unexplained_share < 0.02
    assert biased.unexplained_share is not None
    assert biased.unexplained_share > good.unexplained_share
    assert good.known_s + good.unknown_s == pytest.approx(2 * HOUR_S, abs=10.0)


def test_burns_are_paid_by_the_stack_and_booked_as_valves() -> None:
    flight = EnergyFlight(plan(hours=0.2, burns=(Burn(100.0, 120.0, 2400.0),), row_s=10.0))
    seen: list[Motion] = []
    result = flight.run(lambda flown: seen.append(flown.result().rows[-1].motion))
    assert result.world_j["valves"] == pytest.approx(2400.0, rel=1e-6)
    assert result.min_soc_supercap < 0.60
    assert Motion.BURN in seen
    assert max(row.peaks_w for row in result.rows) == pytest.approx(120.0, rel=1e-3)


# -- light and attitude


def test_tumbling_gives_a_quarter_of_the_sun_and_a_table_its_own() -> None:
    law = Tumbling(240.0)
    lit = [max(0.0, law.cosine(t + 0.5)) for t in range(24_000)]
    assert sum(lit) / len(lit) == pytest.approx(0.25, abs=1e-3)
    assert SunTable(((0.0, 1.0), (10.0, 0.0))).cosine(5.0) == 0.5
    away = EnergyFlight(plan(sun=SunPointed(-1.0))).run()
    assert away.world_j["harvested"] == 0.0


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    noisy = SensorErrors()
    first, again, other = (EnergyFlight(plan(hours=0.2, errors=noisy, seed=seed)).run() for seed in (3, 3, 4))
    assert first.rows == again.rows
    assert first.rows[-1].estimate_battery != other.rows[-1].estimate_battery


# -- lockout


def test_an_empty_battery_locks_out_the_software_until_its_wake_charge_and_then_boots_it_anew() -> None:
    flight = EnergyFlight(plan(hours=6.0, soc_battery=0.002, loads_off=frozenset({"nbl"})))
    flight.step()
    before = flight.manager
    assert before is not None
    while flight.world.power.bus_on:
        flight.step()
    assert flight.manager is None
    assert flight.run_until(6 * HOUR_S)
    assert flight.manager is not None
    assert flight.manager is not before
    assert flight.world.power.soc_battery == pytest.approx(0.30, abs=0.001)
    flight.run_until(flight.t_s + 20.0)
    assert flight.manager.soc_battery == pytest.approx(0.30, abs=0.04)
    assert not flight.world.power.is_on("nbl")
    result = flight.result()
    assert result.wake_s == (pytest.approx(flight.t_s - 20.0, abs=5.0),)
    assert result.dark_s > 3.5 * HOUR_S


@pytest.fixture(scope="module")
def cold_dead(tmp_path_factory: pytest.TempPathFactory) -> EnergyFlight:
    """Dead battery, everything at -30 C, in the dark for half an hour; then the Sun returns. Ends at the wake-up."""
    flight = EnergyFlight(plan(
        hours=12.0, celsius=-30.0, soc_battery=0.0, soc_supercap=0.1, faults=(fault("eclipse@0+0.5"),),
    ))
    flight.run_until(60.0)
    assert not flight.world.power.bus_on
    flight.run_until(12 * HOUR_S)
    return flight


def test_a_cold_dead_craft_charges_itself_and_wakes_when_the_sun_returns(cold_dead: EnergyFlight) -> None:
    power = cold_dead.world.power
    assert power.bus_on
    assert power.soc_battery == pytest.approx(0.30, abs=0.001)
    assert power.cold_charge_j == 0.0
    assert cold_dead.world.temperatures_c["battery"] > -1.0
    assert 4 * HOUR_S < cold_dead.t_s < 8 * HOUR_S
    assert cold_dead.result().unexplained_share < 1e-8


@pytest.mark.slow
def test_a_craft_that_woke_in_the_cold_reaches_idle_without_a_command(cold_dead: EnergyFlight, tmp_path: Path) -> None:
    power, temperatures = cold_dead.world.power, cold_dead.world.temperatures_c
    mission = MissionConfig(
        schema_version=1, mission="woken", description="Boots as it woke and is given no command", body="qiki-t",
        board="qiki-rpi", epoch="2026-06-21T12:00:00Z", duration_s=60.0,
        initial=InitialConfig(
            soc_battery=power.soc_battery, soc_supercap=power.soc_supercap, temperatures_c=dict(temperatures),
            ambient_c=-30.0, attitude_deg=(25.0, -10.0, 140.0),
        ),
        steps=(StepConfig("boot", wait_for="Idle", stay_s=5.0, timeout_s=50.0),),
    )
    result = RigFlight(mission, load_profile("qiki-t", "qiki-rpi"), tmp_path / "woken", 1).run()
    assert [(record.name, record.outcome) for record in result.steps] == [("boot", StepOutcome.DONE)]


# -- faults


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_begun_and_ended_in_time_and_told(kind: str) -> None:
    load = ":radar" if KINDS[kind].load else ""
    lasts = "+0.02" if KINDS[kind].end is not None else ""
    text = f"{kind}{load}@0.02{lasts}"
    result = EnergyFlight(plan(hours=0.06, faults=(fault(text),), row_s=10.0)).run()
    told = [event for event in result.events if event.code == "RIG_FAULT"]
    assert [event.t_s for event in told] == pytest.approx([72.0, 144.0] if lasts else [72.0], abs=1e-3)
    assert told[0].text == fault(text).text
    assert result.unexplained_share < 1e-8


def test_a_broken_panel_gives_nothing_while_it_lasts() -> None:
    result = EnergyFlight(plan(hours=0.1, faults=(fault("panel=0@0.02+0.04"),), row_s=12.0)).run()
    broken = [row for row in result.rows if 84.0 <= row.t_s <= 216.0]
    others = [row for row in result.rows if row.t_s <= 72.0 or row.t_s >= 228.0]
    assert all(row.array_w == 0.0 for row in broken)
    assert min(row.array_w for row in others[1:]) > 30.0


def test_a_shorted_rail_is_opened_by_the_software() -> None:
    flight = EnergyFlight(plan(hours=0.1, faults=(fault("short:radar=80@0.02"),), row_s=10.0))
    result = flight.run()
    assert any(event.code == "PDU_OVERCURRENT" and event.text.startswith("radar") for event in result.events)
    assert result.rows[-1].loads_w < result.rows[4].loads_w


def test_a_dock_feeds_the_craft_while_it_is_there() -> None:
    result = EnergyFlight(plan(hours=0.2, soc_battery=0.5, faults=(fault("dock@0.02+0.1"),), row_s=10.0)).run()
    fed = [row.dock_w for row in result.rows if 150.0 <= row.t_s <= 420.0]
    assert min(fed) > 50.0
    assert result.rows[-1].dock_w == 0.0
    assert max(row.soc_battery for row in result.rows) > 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("panel", "KIND"), ("fire@2", "there are panel"), ("panel=x@2", "KIND"), ("panel=2@2", "0..1 is allowed"),
        ("short@2", "needs a load"), ("short:moon@2", "there are"), ("panel:radar@2", "has no load"),
        ("soc=0.5@2+1", "can't be undone"), ("panel@-1", "hours"), ("panel@nan", "no number"), ("panel@1+0", "hours"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_fault(parse_fault(text), T)


def test_a_body_without_a_dock_refuses_one() -> None:
    with pytest.raises(ValueError, match="no dock port"):
        check_fault(fault("dock@1"), BENCH)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hours": 0.0}, "hours"), ({"step_s": 5.0}, "steps"), ({"loads_off": frozenset({"base"})}, "can't switch off"),
        ({"faults": (EnergyFault("dock", "", 28.0, 1.0),), "body": BENCH}, "dock"),
        ({"soc_battery": 1.2}, "soc_battery"), ({"temperatures_c": {"moon": 1.0}}, "moon"),
    ],
)
def test_a_flight_that_cannot_be_is_refused_before_it_begins(changes: dict[str, object], words: str) -> None:
    given = {"body": T, **changes}
    with pytest.raises(ValueError, match=words):
        EnergyFlight(plan(**given))  # type: ignore[arg-type]


def test_a_body_without_heaters_flies_too() -> None:
    bare = msgspec.structs.replace(GREF, thermal=msgspec.structs.replace(GREF.thermal, heaters=()))
    result = EnergyFlight(plan(bare, 0.1)).run()
    assert result.heaters_j == 0.0
    assert all(row.heaters_w == 0.0 for row in result.rows)
