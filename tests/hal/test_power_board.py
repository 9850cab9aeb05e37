"""Power plane: every chip's word with its own sign, time and quality, and levers that the board really has."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import Cause, DeviceError
from drivers.samples import (
    BatteryGaugeSample,
    BmsSample,
    HotSwapSample,
    PowerSample,
    RailSample,
    SolarSample,
    SupercapSample,
)
from hal.hardware import Hardware
from hal.heard import HeardDevice
from hal.manager import BusSlots, DeviceState, ManagedDevice
from hal.power import PowerState, RailState
from hal.power_board import BoardPowerPlane, PowerParts
from hal.power_levers import Pdu
from hal.profile import load_body, load_profile
from hal.reading import Quality
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
SECOND = 1_000_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
BODY = load_body("qiki-t")

POWER = PowerSample(26.8, 2.0, None, None, None)
STACK = SupercapSample(8.0, 27.0, 3.0, 310.0, 0.004, True)
SOLAR = SolarSample(30.0, 1.5, 45.0, 26.8, 1.2, 40.0, True, "charging", ("warm",))
GAUGE = BatteryGaugeSample(26.8, -4.0, 18.0, 0.75, 50_000.0, 66_000.0, ("low",))
BMS = BmsSample(29.2, 40.0, 80.0, 20.0, 0.74, 1.0, 26.7, -4.1, 17.5, ("hot",), (), "QIKI")
DOCK = HotSwapSample(28.0, 27.9, 5.0, None, 33.0, True, True, ("fault",))
RAILS = RailSample((5.0, 26.8, 28.0), (None, 0.4, None), (True, False, None), (25.0,), ("radar: over-voltage fault",))
RAIL_NAMES = ("sensors", "radar", "main")


class Chip:
    """A driver of any part: answers a sample, takes every order that the power plane has, and remembers them."""

    def __init__(self, sample: Any) -> None:
        self.sample = sample
        self.cause: Cause | None = None
        self.orders: list[tuple[Any, ...]] = []

    def initialise(self) -> Generator[None, None, None]:
        return
        yield

    def acquire(self) -> Generator[None, None, Any]:
        if self.cause is not None:
            raise DeviceError("i2c_a", 1, self.cause)
        return self.sample
        yield

    def note(self, *order: Any) -> Generator[None, None, None]:
        def sequence() -> Generator[None, None, None]:
            self.orders.append(order)
            yield

        return sequence()


class Charger(Chip):
    def input_step(self, volts: float) -> float:
        if not 0.0 <= volts <= 36.0:
            raise ValueError(volts)
        return round(volts, 1)

    def set_input_voltage(self, volts: float | None) -> Generator[None, None, None]:
        return self.note("panel", volts)

    def charge_step(self, amperes: float) -> float:
        if not amperes >= 0.0:
            raise ValueError(amperes)
        return amperes // 0.1 * 0.1

    def set_charge_current(self, amperes: float) -> Generator[None, None, None]:
        return self.note("charge", amperes)


class Stack(Chip):
    def target_step(self, volts: float) -> float:
        if not volts >= 0.0:
            raise ValueError(volts)
        return volts

    def set_target(self, volts: float) -> Generator[None, None, None]:
        return self.note("target", volts)


class Feed(Chip):
    def share_step(self, share: float) -> float:
        if not 0.0 < share <= 1.0:
            raise ValueError(share)
        return share

    def feed(self, on: bool, share: float) -> Generator[None, None, None]:
        return self.note(on, share)


class Unit(Chip):
    def switch(self, rail: str, on: bool) -> Generator[None, None, None]:
        return self.note(rail, on)


class Board:
    """All parts, polled at 10 Hz on a bus of their own each, with a time-out of one second."""

    def __init__(self, **leave_out: None) -> None:
        self.chips: dict[str, Chip] = {
            "bus": Chip(POWER), "battery": Chip(POWER), "supercap": Stack(STACK), "solar": Charger(SOLAR),
            "gauge": Chip(GAUGE), "dock": Feed(DOCK), "dock_current": Chip(POWER), "pdu": Unit(RAILS),
            "radar": Chip(POWER), "nbl": Chip(POWER),
        }
        self.devices: dict[str, ManagedDevice[Any]] = {
            name: ManagedDevice(name, chip, 100 * MS, SECOND, deque()) for name, chip in self.chips.items()
        }
        self.slots = [BusSlots([device]) for device in self.devices.values()]
        self.bms: HeardDevice[BmsSample] = HeardDevice("bms", object(), 3 * SECOND, deque(), None)
        d = self.devices
        parts: dict[str, Any] = {
            "bus": d["bus"], "battery": d["battery"], "supercap": (d["supercap"], 10.0), "solar": d["solar"],
            "gauge": d["gauge"], "bms": self.bms, "dock": d["dock"], "dock_current": d["dock_current"],
            "pdu": Pdu(d["pdu"], RAIL_NAMES, frozenset({"sensors", "radar"})),
            "channels": {"radar": d["radar"], "nbl": d["nbl"]},
        }
        self.plane = BoardPowerPlane(BODY.power, PowerParts(**(parts | leave_out)), ("processor", "radar", "main"))
        self.now_ns = 0
        self.bms.hear(BMS, 0)
        self.run(300)

    def run(self, ms: int) -> None:
        for _ in range(ms // 5):
            self.now_ns += 5 * MS
            for slots in self.slots:
                slots.step(self.now_ns)
            if self.now_ns % (50 * MS) == 0:
                self.plane.service(self.now_ns)

    def state(self) -> PowerState:
        return self.plane.state(self.now_ns)

    def says(self, part: str, **values: Any) -> PowerState:
        """The state after a part has said something else."""
        self.chips[part].sample = replace(self.chips[part].sample, **values)
        self.run(200)
        return self.state()


def test_every_part_of_the_state_comes_from_its_device() -> None:
    state = Board().state()
    assert state.bus_voltage_v.value == 26.8
    assert state.bus_current_a.value == 2.0
    assert state.battery_voltage_v.value == 26.8
    assert state.soc_battery.value == pytest.approx(0.8)
    assert state.supercap_voltage_v.value == 8.0
    assert state.soc_supercap.value == pytest.approx(0.64)
    assert state.supercap_capacitance_f.value == 310.0
    assert state.supercap_esr_ohm.value == 0.004
    assert state.dock_current_a.value == 2.0
    panel, gauge, bms, dock = state.panel.value, state.gauge.value, state.bms.value, state.dock.value
    assert (panel.voltage_v, panel.current_a, panel.power_w, panel.charge_current_a) == (30.0, 1.5, 45.0, 1.2)
    assert (panel.charging, panel.state, panel.faults) == (True, "charging", ("warm",))
    assert (gauge.soc, gauge.voltage_v, gauge.temperature_c, gauge.full_c) == (0.75, 26.8, 18.0, 66_000.0)
    assert (bms.soc, bms.voltage_v, bms.temperature_c, bms.full_c) == (0.74, 26.7, 17.5, None)
    assert (gauge.alarms, bms.alarms) == (("low",), ("hot",))
    assert (dock.input_v, dock.output_v, dock.current_a, dock.on, dock.power_good) == (28.0, 27.9, 5.0, True, True)
    assert (dock.temperature_c, dock.faults) == (33.0, ("fault",))
    assert state.rails.value == {
        "sensors": RailState(True, 5.0, None, ()), "radar": RailState(False, 26.8, 0.4, ("over-voltage fault",)),
        "main": RailState(None, 28.0, None, ()),
    }
    assert {load: reading.value for load, reading in state.load_current_a.items()} == {"radar": 2.0, "nbl": 2.0}


def test_currents_are_positive_out_of_a_store_whatever_its_chip_counts() -> None:
    state = Board().state()
    assert state.battery_current_a.value == 2.0  # the monitor's shunt is wired so
    assert state.gauge.value.current_a == 4.0  # the gauge counts charging as positive
    assert state.bms.value.current_a == 4.1
    assert state.supercap_current_a.value == -3.0  # the charger counts into the stack


@pytest.mark.parametrize(("part", "field"), [
    ("bus", "bus_voltage_v"), ("bus", "bus_current_a"), ("battery", "soc_battery"), ("battery", "battery_current_a"),
    ("supercap", "soc_supercap"), ("supercap", "supercap_current_a"), ("supercap", "supercap_esr_ohm"),
    ("solar", "panel"), ("gauge", "gauge"), ("dock", "dock"), ("dock_current", "dock_current_a"), ("pdu", "rails"),
])
def test_each_field_has_the_quality_of_its_own_device(part: str, field: str) -> None:
    board = Board()
    before = getattr(board.state(), field)
    assert before.quality is Quality.OK
    board.chips[part].cause = Cause.CHECKSUM
    board.run(150)
    bad = getattr(board.state(), field)
    assert (bad.quality, bad.value) == (Quality.BAD, before.value)
    others = [f for f in ("bus_voltage_v", "battery_voltage_v", "panel", "gauge", "rails") if f != field]
    assert sum(getattr(board.state(), f).quality is Quality.OK for f in others) >= len(others) - 1
    board.chips[part].cause = None
    board.run(1000)
    assert getattr(board.state(), field).quality is Quality.OK
    board.chips[part].cause = Cause.NACK_ADDRESS
    board.run(1200)
    assert getattr(board.state(), field).quality is Quality.STALE


def test_a_battery_that_has_fallen_silent_is_stale() -> None:
    board = Board()
    assert board.plane.state(2 * SECOND).bms.quality is Quality.OK
    assert board.plane.state(4 * SECOND).bms.quality is Quality.STALE


@pytest.mark.parametrize(("volts", "soc"), [
    (22.0, 0.0), (21.9, 0.0), (28.1, 1.0), (25.0, 0.5), (21.8, None), (28.2, None), (0.0, None),
])
def test_a_battery_charge_beyond_the_scale_is_no_data(volts: float, soc: float | None) -> None:
    reading = Board().says("battery", voltage_v=volts).soc_battery
    assert reading.value == (None if soc is None else pytest.approx(soc))
    assert reading.quality is (Quality.BAD if soc is None else Quality.OK)


@pytest.mark.parametrize(("volts", "soc"), [
    (10.0, 1.0), (10.09, 1.0), (5.0, 0.25), (0.0, 0.0), (-0.1, 0.0), (10.2, None), (-5.0, None), (-10.0, None),
])
def test_a_stack_s_charge_goes_with_the_square_of_its_voltage(volts: float, soc: float | None) -> None:
    reading = Board().says("supercap", stack_voltage_v=volts).soc_supercap
    assert reading.value == (None if soc is None else pytest.approx(soc))


@pytest.mark.parametrize("share", [-0.5, 1.5, float("nan"), float("inf")])
def test_a_gauge_s_charge_that_is_none_is_no_data(share: float) -> None:
    state = Board().says("gauge", state_of_charge=share)
    assert state.gauge.value.soc is None
    assert state.gauge.value.voltage_v == 26.8


@pytest.mark.parametrize(("part", "name", "field"), [
    ("bus", "voltage_v", "bus_voltage_v"), ("bus", "current_a", "bus_current_a"),
    ("battery", "voltage_v", "soc_battery"), ("supercap", "stack_voltage_v", "soc_supercap"),
    ("supercap", "charge_current_a", "supercap_current_a"), ("dock_current", "current_a", "dock_current_a"),
    ("dock", "input_v", "dock"),
])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_never_passes_as_one(part: str, name: str, field: str, value: float) -> None:
    reading = getattr(Board().says(part, **{name: value}), field)
    assert reading.value is None
    assert not reading.ok


def test_what_a_chip_has_not_measured_is_absent() -> None:
    state = Board().says("supercap", capacitance_f=None, esr_ohm=None)
    assert state.supercap_capacitance_f.quality is Quality.ABSENT
    assert state.supercap_esr_ohm.quality is Quality.ABSENT
    assert state.supercap_voltage_v.ok


def test_a_charger_that_measures_less_leaves_the_rest() -> None:
    panel = Board().says("solar", array_current_a=None, temperature_c=None).panel.value
    assert (panel.current_a, panel.power_w, panel.voltage_v) == (None, 45.0, 30.0)


def test_a_state_that_was_handed_out_does_not_change() -> None:
    board = Board()
    first = board.state()
    board.says("radar", current_a=9.0)
    board.says("pdu", on=(False, True, None))
    assert first.load_current_a["radar"].value == 2.0
    assert first.rails.value["radar"].on is False
    assert board.state().load_current_a["radar"].value == 9.0
    assert board.state().rails.value["radar"].on is True


def test_nothing_is_built_anew_while_nothing_is_new() -> None:
    board = Board()
    assert board.plane.state(board.now_ns) is board.plane.state(board.now_ns + MS)


def test_a_board_without_parts_reads_absent_and_moves_nothing() -> None:
    plane = BoardPowerPlane(BODY.power, PowerParts(), ("radar",))
    state = plane.state(0)
    for name in PowerState.__dataclass_fields__:
        if name != "load_current_a":
            assert getattr(state, name).quality is Quality.ABSENT
    assert state.load_current_a == {}
    assert plane.switched == ()
    assert not plane.set_panel_voltage(30.0)
    assert not plane.set_charge_limit(1.0)
    assert not plane.set_supercap_target(8.0)
    assert not plane.set_dock(True, 0.5)
    with pytest.raises(KeyError):
        plane.switch("radar", True)
    plane.service(0)
    assert plane.counters == {}


def test_a_charger_that_only_speaks_has_readings_and_no_levers() -> None:
    heard: HeardDevice[SolarSample] = HeardDevice("solar", object(), 5 * SECOND, deque(), None)
    heard.hear(SOLAR, 0)
    plane = BoardPowerPlane(BODY.power, PowerParts(solar=heard), ())
    assert plane.state(0).panel.value.power_w == 45.0
    assert not plane.set_panel_voltage(30.0)
    assert not plane.set_charge_limit(0.0)


def test_levers_reach_their_chips() -> None:
    board = Board()
    plane = board.plane
    assert plane.set_panel_voltage(30.0)
    assert plane.set_charge_limit(2.0)
    assert plane.set_supercap_target(8.5)
    assert plane.set_dock(True, 0.25)
    assert plane.switch("radar", False)
    board.run(100)
    assert board.chips["solar"].orders == [("panel", 30.0), ("charge", 2.0)]
    assert board.chips["supercap"].orders == [("target", 8.5)]
    assert board.chips["dock"].orders == [(True, 0.25)]
    assert board.chips["pdu"].orders == [("radar", False)]
    assert plane.set_panel_voltage(None)
    assert plane.set_dock(False)
    board.run(100)
    assert board.chips["solar"].orders[-1] == ("panel", None)
    assert board.chips["dock"].orders[-1][0] is False
    assert {name: counter.sent for name, counter in plane.counters.items()} == {
        "panel_voltage": 2, "charge_limit": 1, "supercap_target": 1, "dock": 2, "rail_radar": 1,
    }


def test_only_switched_rails_that_are_loads_of_the_body_are_switched() -> None:
    plane = Board().plane
    assert plane.switched == ("radar",)
    for rail in ("sensors", "main", "processor"):
        with pytest.raises(KeyError):
            plane.switch(rail, True)


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("-inf")])
def test_a_lever_takes_no_nonsense(value: float) -> None:
    board = Board()
    plane = board.plane
    assert not plane.set_panel_voltage(value)
    assert not plane.set_charge_limit(value)
    assert not plane.set_supercap_target(value)
    assert not plane.set_dock(True, value)
    board.run(200)
    assert all(not chip.orders for chip in board.chips.values())


def test_a_dock_is_opened_whatever_share_comes_with_it() -> None:
    board = Board()
    assert board.plane.set_dock(False, 0.0)
    board.run(100)
    assert board.chips["dock"].orders[-1][0] is False


def test_one_order_for_values_that_are_one_to_the_chip() -> None:
    board = Board()
    for amperes in (1.01, 1.02, 1.09):
        assert board.plane.set_charge_limit(amperes)
        board.run(100)
    assert board.chips["solar"].orders == [("charge", 1.01)]


def test_a_chip_that_restarted_hears_all_its_orders_again() -> None:
    board = Board()
    board.plane.set_panel_voltage(30.0)
    board.plane.set_charge_limit(0.0)
    board.run(200)
    board.chips["solar"].cause = Cause.RESET
    board.run(200)
    assert not board.plane.set_panel_voltage(28.0)  # not now, but it is what comes next
    board.chips["solar"].cause = None
    board.run(2000)
    assert board.chips["solar"].orders[2:] == [("panel", 28.0), ("charge", 0.0)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(
    st.sampled_from(["bus", "battery", "supercap", "solar", "gauge", "dock", "pdu"]),
    st.sampled_from([None, Cause.CHECKSUM, Cause.NACK_ADDRESS, Cause.RESET, Cause.ABSENT]), st.floats(-50.0, 50.0),
), max_size=12))
def test_whatever_happens_a_charge_is_a_share_or_no_data(history: list[tuple[str, Cause | None, float]]) -> None:
    board = Board()
    for part, cause, value in history:
        board.chips[part].cause = cause
        if part in ("bus", "battery"):
            board.chips[part].sample = PowerSample(value, value, None, None, None)
        elif part == "supercap":
            board.chips[part].sample = replace(STACK, stack_voltage_v=value)
        board.run(150)
        state = board.state()
        for soc in (state.soc_battery, state.soc_supercap):
            assert soc.value is None or 0.0 <= soc.value <= 1.0
            assert soc.value is not None or not soc.ok


def test_a_value_at_the_end_of_its_monitor_s_range_is_a_bound_and_the_other_is_good() -> None:
    board = Board()
    state = board.says("bus", current_a=10.0, current_over=True)
    assert (state.bus_current_a.quality, state.bus_current_a.bound) == (Quality.OVER_RANGE, 10.0)
    assert state.bus_voltage_v.ok
    state = board.says("battery", voltage_v=40.9, voltage_over=True)
    assert state.battery_voltage_v.quality is Quality.OVER_RANGE
    assert not state.soc_battery.ok
    assert state.battery_current_a.ok
    for part, of in (("dock_current", lambda s: s.dock_current_a), ("radar", lambda s: s.load_current_a["radar"])):
        reading = of(board.says(part, current_a=-8.2, current_over=True))
        assert (reading.quality, reading.bound) == (Quality.OVER_RANGE, -8.2)
        assert of(board.says(part, current_a=1.0, current_over=False, voltage_v=41.0, voltage_over=True)).ok
    board.chips["bus"].cause = Cause.CHECKSUM
    board.run(200)
    assert board.state().bus_current_a.quality is Quality.BAD
    assert board.state().bus_current_a.bound is None, "older than the refusal"


class Flight:
    """The reference board on the rig, ticked at 200 Hz: real drivers, and twins that were written apart from them."""

    def __init__(self) -> None:
        self.rig = Rig(PROFILE, InitialState(epoch=0), 1)
        self.hardware = Hardware(PROFILE, self.rig.buses)
        self.hardware.propulsion.set_heartbeat(True)
        self.tick = 0
        self.run(5.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            now_ns = self.tick * 5 * MS
            self.rig.advance(now_ns)
            self.hardware.sense(now_ns)
            if self.tick % 10 == 0:
                self.hardware.survey(now_ns)
            self.tick += 1

    def word(self, device: str, register: int) -> int:
        """A register as the twin holds it."""
        config = next(d for d in PROFILE.board.devices if d.name == device)
        data = self.rig.buses[config.bus].write_read(config.address, bytes((register,)), 2)
        return int.from_bytes(data, "little")


def test_orders_reach_the_registers_of_chips_that_were_written_apart_and_come_back_after_a_restart() -> None:
    flight = Flight()
    plane = flight.hardware.power
    assert plane.set_panel_voltage(28.125)
    assert plane.set_charge_limit(0.0)
    assert plane.set_supercap_target(0.0)
    assert plane.set_dock(False)
    flight.run(1.0)
    held = (flight.word("solar", 0x16), flight.word("solar", 0x14) & 0x22, flight.word("supercap", 0x05) & 0xF)
    assert held == (199, 0x20, 0)
    flight.rig.chips["solar"].reset()
    flight.rig.chips["supercap"].reset()
    assert flight.word("solar", 0x16) != 199
    flight.run(6.0)
    held = (flight.word("solar", 0x16), flight.word("solar", 0x14) & 0x22, flight.word("supercap", 0x05) & 0xF)
    assert held == (199, 0x20, 0)


def test_a_rail_is_switched_shows_so_and_is_not_ordered_again() -> None:
    flight = Flight()
    plane = flight.hardware.power
    assert "radar" in plane.switched
    now_ns = flight.tick * 5 * MS
    assert plane.state(now_ns).rails.value["radar"].on is True
    assert plane.switch("radar", False)
    flight.run(6.0)
    assert plane.state(flight.tick * 5 * MS).rails.value["radar"].on is False
    for _ in range(20):
        assert plane.switch("radar", False)
        flight.run(0.1)
    assert (plane.counters["rail_radar"].sent, plane.counters["rail_radar"].failed) == (1, 0)


def test_a_rail_and_a_feed_that_a_restart_put_on_again_are_taken_off_again() -> None:
    flight = Flight()
    plane, power = flight.hardware.power, flight.rig.world.power
    flight.rig.inject("dock", {})
    assert plane.switch("radar", False)
    assert plane.switch("heater_core", True)
    assert plane.set_dock(False)
    flight.run(6.0)
    flight.rig.chips["pdu"].reset()
    flight.rig.chips["dock_switch"].reset()
    flight.run(0.2)
    assert (power.load_power_w("radar") > 0.0, power.load_power_w("heater_core")) == (True, 0.0)
    flight.run(8.0)
    assert (power.load_power_w("radar"), power.load_power_w("heater_core") > 0.0) == (0.0, True)
    assert power.dock_w == 0.0
    assert flight.hardware.states()["pdu"] is DeviceState.OK


def test_the_bench_board_has_a_panel_s_readings_and_no_levers_but_the_stack_s() -> None:
    profile = load_profile("bench-12kg", "bench-rpi")
    plane = Hardware(profile, Rig(profile, InitialState(epoch=0), 1).buses).power
    assert plane.switched == ()
    assert not plane.set_panel_voltage(20.0)
    assert not plane.set_charge_limit(1.0)
    assert not plane.set_dock(True)
    assert set(plane.counters) == {"supercap_target"}
