"""The day ahead: exact at its edges, by the supervisor's rules, closed in its books, right when the day is flown."""

from __future__ import annotations

from math import inf, nan

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.modes import Motion
from firmware_py.cli.energy_flight import EnergyFlight, EnergyFlightResult, EnergyPlan
from firmware_py.cli.world_plane import SensorErrors
from firmware_py.energy.forecast import DAY_S, ForecastRun, forecast
from firmware_py.energy.forecast_heat import HeatForecast
from firmware_py.energy.forecast_plan import PESSIMISTIC, Activity, Burn, DayAhead, Forecast, Phase, Start
from firmware_py.energy.lighting import TUMBLING, AlwaysLit, Illumination, Lamps, OrbitLight
from hal.profile import load_body
from hal.profile.body import BodyConfig
from hil.plant.orbit import Orbit
from hil.plant.thermal import ThermalNetwork

T, BENCH = load_body("qiki-t"), load_body("bench-12kg")
SUN, DARK = Illumination(), Illumination(AlwaysLit(0.0))
HOUR_S = 3600.0


def lean(base_w: float = 12.0) -> BodyConfig:
    """Variant T with a base load that its array can carry at times."""
    loads = tuple(msgspec.structs.replace(one, power_w=base_w) if one.base else one for one in T.power.loads)
    return msgspec.structs.replace(T, power=msgspec.structs.replace(T.power, loads=loads))


def warm(body: BodyConfig, celsius: float = 15.0) -> dict[str, float]:
    return {node.name: celsius for node in body.thermal.nodes}


def run(
    body: BodyConfig, light: Illumination, soc: float = 0.8, soc_cap: float = 0.7, hours: float = 24.0,
    activity: Activity | None = None, celsius: float = 15.0, step_s: float = 60.0, **start: float,
) -> Forecast:
    flight = ForecastRun(
        body, Start(soc, soc_cap, temperatures_c=warm(body, celsius), **start), light, activity,
        seconds=hours * HOUR_S, ambient_c=celsius, step_s=step_s,
    )
    while not flight.advance(500):
        pass
    return flight.result()


def closes(found: Forecast) -> None:
    given, taken = sum(found.sources_j.values()), sum(found.consumers_j.values())
    assert given == pytest.approx(taken, rel=1e-9, abs=1e-3)


# -- held against a flight


@pytest.fixture(scope="module")
def day() -> tuple[EnergyFlightResult, DayAhead]:
    """24 hours of a craft in a low orbit, flown with good sensors, and the same foreseen."""
    body, off = lean(), frozenset({"nbl"})
    flown = EnergyFlight(EnergyPlan(
        body, soc_battery=0.5, orbit=Orbit(500.0, 0.0), ambient_c=5.0, temperatures_c=warm(body, 10.0), loads_off=off,
        errors=SensorErrors(0.0, 1e-3, 1e-3, 1.0), step_s=2.0,
    )).run()
    start = Start(0.5, 0.7, 0.01, 0.01, warm(body, 10.0))
    ahead = forecast(
        body, start, Illumination(OrbitLight(500.0)), Activity((Phase(off=off),)), ambient_c=5.0,
    )
    return flown, ahead


@pytest.mark.slow
def test_lowest_charge_of_a_day_is_foreseen_within_two_per_cent(day: tuple[EnergyFlightResult, DayAhead]) -> None:
    flown, ahead = day
    assert flown.min_soc_battery < 0.2
    assert ahead.nominal.min_soc_battery == pytest.approx(flown.min_soc_battery, abs=0.02)
    assert ahead.nominal.end_soc_battery == pytest.approx(flown.rows[-1].soc_battery, abs=0.02)


@pytest.mark.slow
def test_first_shed_of_a_day_is_foreseen_within_two_minutes(day: tuple[EnergyFlightResult, DayAhead]) -> None:
    flown, ahead = day
    real, seen = flown.first_shed("low_soc"), ahead.nominal.first_shed("low_soc")
    assert real is not None
    assert seen is not None
    assert seen.load == real.load == "radar"
    assert seen.start_s == pytest.approx(real.start_s, abs=120.0)


@pytest.mark.slow
def test_energies_of_a_day_are_foreseen_within_one_per_cent(day: tuple[EnergyFlightResult, DayAhead]) -> None:
    flown, ahead = day
    assert ahead.nominal.sources_j["array"] == pytest.approx(flown.world_j["harvested"], rel=0.015)
    loads = sum(j for name, j in ahead.nominal.consumers_j.items() if "loss" not in name and name != "peaks")
    assert loads == pytest.approx(flown.world_j["loads"], rel=0.01)


@pytest.mark.slow
def test_a_day_stays_above_what_was_foreseen_pessimistically(day: tuple[EnergyFlightResult, DayAhead]) -> None:
    flown, ahead = day
    assert ahead.pessimistic.min_soc_battery <= flown.min_soc_battery


@pytest.mark.parametrize("ambient", [-20.0, -30.0])
def test_heat_of_a_battery_in_the_cold_is_foreseen_within_a_tenth(ambient: float) -> None:
    body, off = lean(4.0), frozenset({"nbl", "radar", "transponder"})
    temperatures = warm(body, 6.0)
    flown = EnergyFlight(EnergyPlan(
        body, hours=4.0, soc_battery=0.8, ambient_c=ambient, temperatures_c=temperatures, loads_off=off,
        lighting=((0.0, 0.0),), errors=SensorErrors(0.0, 1e-3, 1e-3, 1.0), step_s=2.0,
    )).run()
    seen = forecast(
        body, Start(0.8, 0.7, temperatures_c=temperatures), DARK, Activity((Phase(off=off),)), seconds=4 * HOUR_S,
        ambient_c=ambient,
    ).nominal
    heated = sum(j for name, j in seen.consumers_j.items() if name.startswith("heater_"))
    assert flown.heaters_j > 50_000.0
    # A thermostat's last cycle is done or not at the end.
    assert heated == pytest.approx(flown.heaters_j, rel=0.1, abs=9_000.0)
    battery = seen.rows[-1].temperatures_c[[n.name for n in body.thermal.nodes].index("battery")]
    assert 5.0 <= battery <= 10.0


# -- edges are exact


def test_a_constant_drain_reaches_its_marks_at_the_second_that_arithmetic_says() -> None:
    # Nothing sheds on the bench; its duty slows the computer at the beginning only.
    found = run(BENCH, DARK, soc=0.15, activity=Activity((Phase(off=frozenset({"processor"})),)), celsius=21.0)
    per_second = 8.0 * 1.01 / (100.0 * HOUR_S)
    assert found.safe_from_s == pytest.approx(0.05 / per_second, abs=1e-3)
    assert found.dark_from_s == pytest.approx(0.15 / per_second, abs=1e-3)
    assert found.min_soc_battery == 0.0


@pytest.mark.parametrize("step_s", [7.0, 60.0, 300.0])
def test_the_length_of_a_step_moves_no_edge(step_s: float) -> None:
    off = Activity((Phase(off=frozenset({"processor", "nbl"})),))
    found = run(T, DARK, soc=0.22, activity=off, step_s=step_s, hours=1.5)
    shed = found.first_shed("low_soc")
    assert shed is not None
    watts = 60.0 + 18.0 + 6.0
    assert shed.start_s == pytest.approx(0.02 * 500.0 * HOUR_S / (1.01 * watts), abs=1e-3)
    assert found.min_battery_s == 1.5 * HOUR_S


def test_charging_stops_when_the_battery_is_full_and_the_rest_is_spilled() -> None:
    found = run(lean(5.0), SUN, soc=0.99, soc_cap=1.0, activity=Activity((Phase(off=frozenset(
        {"processor", "radar", "transponder", "nbl"})),)))
    assert found.end_soc_battery == 1.0
    assert found.min_soc_battery == 0.99
    assert found.spilled_j > 20.0 * 3600.0
    closes(found)


def test_a_burn_takes_its_energy_from_the_stack_and_the_battery_tops_it_up_to_boost() -> None:
    found = run(T, DARK, soc=0.8, soc_cap=0.7, hours=1.0, activity=Activity(burns=(Burn(600.0, 150.0, 3600.0),)))
    assert found.consumers_j["peaks"] == pytest.approx(3600.0)
    assert found.min_supercap_s == pytest.approx(624.0, abs=0.01)
    assert found.min_soc_supercap == pytest.approx(0.7 - 3600.0 * 1.06 / 18_000.0, abs=0.02)
    assert found.end_soc_supercap == pytest.approx(0.6)
    low = [row.t_s for row in found.rows if row.soc_supercap < 0.6]
    assert found.boost_s == pytest.approx(HOUR_S - (max(low) - min(low)), abs=90.0)
    closes(found)


def test_phases_and_lamps_change_the_flows_at_their_moment() -> None:
    light = Illumination(Lamps([(0.0, 0.0), (1000.0, 0.0), (1000.5, 1.0)]))
    plan = Activity((Phase(), Phase(500.0, Motion.COAST, off=frozenset({"radar"}))))
    found = run(T, light, hours=0.5, activity=plan)
    before = [row for row in found.rows if row.t_s < 500.0]
    after = [row for row in found.rows if 500.0 <= row.t_s < 1000.0]
    assert after[0].t_s == 500.0
    assert all(row.motion is Motion.IDLE for row in before)
    assert after[0].loads_w == pytest.approx(before[-1].loads_w - 18.0, abs=0.01)
    assert all(row.array_w == 0.0 for row in (*before, *after))
    assert found.rows[-1].array_w > 35.0


def test_an_empty_battery_goes_dark_and_comes_back_at_its_wake_charge() -> None:
    found = run(T, SUN, soc=0.0, hours=5.0)
    assert found.dark_from_s == 0.0
    woke = next(row for row in found.rows if row.bus_on)
    assert woke.soc_battery == pytest.approx(0.30)
    assert found.dark_s == pytest.approx(woke.t_s)
    # 37 W of array into 500 Wh.
    assert woke.t_s == pytest.approx(0.3 * 500.0 * HOUR_S / (0.99 * 36.8), rel=0.02)
    closes(found)


def test_a_frozen_battery_is_heated_before_it_is_charged() -> None:
    found = run(T, SUN, soc=0.0, celsius=-30.0, hours=4.0)
    battery = [n.name for n in T.thermal.nodes].index("battery")
    charged = next(row for row in found.rows if row.battery_w < 0.0)
    assert charged.temperatures_c[battery] >= -0.5
    assert all(row.heaters_w > 30.0 for row in found.rows if row.t_s < charged.t_s)
    assert 600.0 < charged.t_s < 2000.0


# -- rules and doubts


def test_low_charge_sheds_radar_and_transponder_and_says_so() -> None:
    found = run(T, DARK, soc=0.25, hours=6.0)
    spans = [span for span in found.sheds if span.reason == "low_soc"]
    assert [span.load for span in spans[:2]] == ["radar", "transponder"]
    assert spans[0].start_s == spans[1].start_s
    shed = next(row for row in found.rows if "radar" in row.shed)
    assert shed.soc_battery == pytest.approx(0.20)


def test_the_pessimistic_run_is_never_better() -> None:
    ahead = forecast(T, Start(0.6, 0.7, 0.02, 0.02, warm(T)), Illumination(OrbitLight(500.0)), ambient_c=15.0)
    nominal, low = ahead.nominal, ahead.pessimistic
    assert low.rows[0].soc_battery == pytest.approx(0.56)
    assert low.rows[0].soc_supercap == pytest.approx(0.66)
    first, second = nominal.first_shed("low_soc"), low.first_shed("low_soc")
    assert first is not None
    assert second is not None
    assert second.start_s < first.start_s
    assert low.margin_j(T.power.battery, 1.8e6) <= nominal.margin_j(T.power.battery, 1.8e6)
    assert (PESSIMISTIC.sigmas, PESSIMISTIC.array_share, PESSIMISTIC.loads_share) == (2.0, 0.95, 1.05)


def test_in_slices_it_is_the_same_forecast() -> None:
    start, light = Start(0.5, 0.7, temperatures_c=warm(T)), Illumination(OrbitLight(500.0))
    sliced = ForecastRun(T, start, light, seconds=4 * HOUR_S)
    calls = 1
    while not sliced.advance(3):
        calls += 1
    assert calls > 50
    assert sliced.result() == forecast(T, start, light, seconds=4 * HOUR_S).nominal


def test_before_the_end_there_is_no_result() -> None:
    half = ForecastRun(T, Start(0.5, 0.7), SUN)
    half.advance(5)
    assert not half.finished
    with pytest.raises(RuntimeError, match="has come to"):
        half.result()


@pytest.mark.parametrize("body", ["qiki-t", "qiki-g", "gref", "bench-12kg"])
@pytest.mark.parametrize(
    "light", [SUN, DARK, Illumination(OrbitLight(600.0, 30.0)), Illumination(AlwaysLit(), TUMBLING)]
)
def test_every_body_and_light_closes_its_books(body: str, light: Illumination) -> None:
    found = forecast(load_body(body), Start(0.7, 0.65), light, seconds=12 * HOUR_S)
    for one in (found.nominal, found.pessimistic):
        closes(one)
        assert all(0.0 <= row.soc_battery <= 1.0 and 0.0 <= row.soc_supercap <= 1.0 for row in one.rows)
        assert sum(j for j in one.consumers_j.values()) > 0.0
        assert all(a.t_s < b.t_s for a, b in zip(one.rows, one.rows[1:], strict=False))


@settings(max_examples=25, deadline=None)
@given(
    # A battery that is empty, or holds at least a minute's worth: steps are no shorter than five seconds at a mark.
    st.just(0.0) | st.floats(0.002, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.5), st.floats(-60.0, 40.0),
    st.lists(st.tuples(st.floats(0.0, 7000.0), st.floats(1.0, 400.0), st.floats(1.0, 5e4)), max_size=3),
)
def test_whatever_it_starts_from_it_ends_in_bounded_steps_with_closed_books(
    soc: float, soc_cap: float, light: float, celsius: float, burns: list[tuple[float, float, float]]
) -> None:
    activity = Activity(burns=tuple(Burn(*one) for one in burns), dock_w=20.0)
    found = run(T, Illumination(AlwaysLit(light)), soc, soc_cap, 2.0, activity, celsius)
    closes(found)
    assert len(found.rows) <= 2 * HOUR_S / 60.0 * 4
    assert 0.0 <= found.min_soc_battery <= soc
    assert found.unserved_j >= 0.0


def test_temperatures_are_those_of_the_worlds_network() -> None:
    heat = {"core": 25.0, "pdu": 6.0, "battery": 1.5, "hull": 3.0}
    world, ours = ThermalNetwork(T), HeatForecast(T, {}, T.thermal.ambient_c)
    vector = [heat.get(name, 0.0) for name in ours.names]
    for _ in range(240):
        world.step(60.0, world.heat_vector(heat))
        ours.step(60.0, vector)
    for name, celsius in world.celsius().items():
        assert ours.celsius[ours.index[name]] == pytest.approx(celsius, abs=0.15)


# -- bad input


@pytest.mark.parametrize("name", ["soc_battery", "soc_supercap", "sigma_battery", "sigma_supercap"])
@pytest.mark.parametrize("value", [nan, inf, -0.01, 1.01])
def test_a_charge_that_is_none_is_refused_by_name(name: str, value: float) -> None:
    given = {"soc_battery": 0.5, "soc_supercap": 0.5} | {name: value}
    with pytest.raises(ValueError, match=name):
        Start(**given)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Start(0.5, 0.5, battery_j=0.0), "battery_j"),
        (lambda: Start(0.5, 0.5, temperatures_c={"core": nan}), "core"),
        (lambda: ForecastRun(T, Start(0.5, 0.5, temperatures_c={"moon": 1.0}), SUN), "moon"),
        (lambda: ForecastRun(T, Start(0.5, 0.5), SUN, seconds=nan), "nan"),
        (lambda: ForecastRun(T, Start(0.5, 0.5), SUN, step_s=0.1), "step"),
        (lambda: Burn(0.0, 0.0, 10.0), "burn"),
        (lambda: Burn(0.0, 10.0, nan), "burn"),
        (lambda: Activity(()), "phases"),
        (lambda: Activity((Phase(5.0), Phase(5.0))), "phases"),
        (lambda: Activity(dock_w=-1.0), "dock_w"),
    ],
)
def test_input_that_cannot_be_is_refused_by_name(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_a_day_is_what_is_foreseen_by_default() -> None:
    assert forecast(BENCH, Start(0.5, 0.5), DARK).nominal.hours == DAY_S / HOUR_S
