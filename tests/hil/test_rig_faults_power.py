"""Faults of sources, stores, loads, dock and gauges: each shows on the buses as it would, for as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivers.bus.protocol import CanFrame
from tests.hil.power_rig import Master


def bms_frames(master: Master) -> dict[int, bytes]:
    """The newest frame of each kind in the next second and a bit."""
    can = master.rig.buses["can1"]
    newest: dict[int, bytes] = {}
    for _ in range(26):
        master.run(0.05)
        frame: CanFrame | None
        while (frame := can.receive()) is not None:
            newest[frame.can_id] = frame.data
    return newest


def bus_current(master: Master) -> float:
    """The INA228's current by its shunt register over 4 mOhm, mean of twenty readings."""
    total = 0.0
    for _ in range(20):
        master.run(0.05)
        total += (int.from_bytes(master.read("bus_monitor", 0x04, 3), "big", signed=True) >> 4) * 312.5e-9 / 0.004
    return total / 20.0


# -- light


def sun_lux(master: Master) -> float:
    """The Sun sensor on the cells' side, by its result register behind the multiplexer."""
    bus = master.rig.buses["i2c_b"]
    bus.write(0x70, b"\x01")
    bus.write(0x45, b"\x01\xce\x10")
    master.run(1.0)
    raw = int.from_bytes(bus.write_read(0x45, b"\x00", 2), "big")
    return 0.01 * (1 << (raw >> 12)) * (raw & 0x0FFF)


def test_a_broken_wing_takes_its_share_of_the_panel_and_leaves_the_sun_sensors_alone() -> None:
    master = Master(soc_battery=0.15)
    master.run(1.0)
    whole, lux = master.power.array_max_w, sun_lux(master)
    end = master.rig.inject("wing", {"index": 0, "factor": 0.0})
    master.run(0.2)
    assert master.power.array_max_w == pytest.approx(0.5 * whole, rel=0.02)
    assert sun_lux(master) == pytest.approx(lux, rel=0.05)
    end()
    master.run(0.2)
    assert master.power.array_max_w == pytest.approx(whole, rel=0.02)


def test_dim_light_dims_panel_and_sun_sensors_and_wings_keep_their_own_faults() -> None:
    master = Master(soc_battery=0.15)
    master.run(1.0)
    whole, lux = master.power.array_max_w, sun_lux(master)
    master.rig.inject("wing", {"index": 1, "factor": 0.0})
    end = master.rig.inject("lighting", {"factor": 0.4})
    master.run(0.2)
    assert master.power.array_max_w == pytest.approx(0.2 * whole, rel=0.05)
    assert sun_lux(master) == pytest.approx(0.4 * lux, rel=0.05)
    end()
    master.run(0.2)
    assert master.power.array_max_w == pytest.approx(0.5 * whole, rel=0.02)


# -- loads and rails


def test_a_short_pulls_its_rail_down_and_loads_the_bus_until_the_rail_is_off() -> None:
    master = Master()
    for load in ("radar", "transponder"):
        master.switch(load, False)
    before = bus_current(master)
    end = master.rig.inject("rail_short", {"load": "nbl", "watts": 40})
    master.run(0.3)
    assert master.rail_v("nbl") < 0.1
    assert master.channel_a("ch_nbl") * master.channel_v("ch_nbl") == pytest.approx(60.0, rel=0.02)
    assert bus_current(master) == pytest.approx(before + 40.0 / master.power.bus_voltage_v, rel=0.02)
    master.switch("nbl", False)
    master.run(0.3)
    assert master.rail_v("nbl") == 0.0
    assert master.channel_a("ch_nbl") == pytest.approx(0.0, abs=2e-3)
    master.switch("nbl", True)
    master.run(0.3)
    assert master.channel_a("ch_nbl") > 1.0, "still shorted"
    end()
    master.run(0.3)
    assert master.rail_v("nbl") > 20.0
    assert master.channel_a("ch_nbl") * master.channel_v("ch_nbl") == pytest.approx(20.0, rel=0.02)


@pytest.mark.parametrize("stuck", [True, False])
def test_a_stuck_rail_obeys_no_order_and_its_voltage_and_current_tell(stuck: bool) -> None:
    master = Master()
    end = master.rig.inject("load_stuck", {"load": "radar", "drawing": stuck})
    for ordered in (True, False):
        master.switch("radar", ordered)
        master.run(0.3)
        assert (master.rail_v("radar") > 20.0) is stuck
        assert (master.channel_a("ch_radar") > 0.5) is stuck
    end()
    master.run(0.3)
    assert master.rail_v("radar") == 0.0
    assert master.channel_a("ch_radar") == pytest.approx(0.0, abs=2e-3)


# -- what measures wrongly


@pytest.mark.parametrize("share", [0.01, -0.2])
def test_a_biased_monitor_reads_wrong_by_that_share_and_only_in_current(share: float) -> None:
    master = Master()
    true = bus_current(master)
    volts = master.read("bus_monitor", 0x05, 3)
    end = master.rig.inject("current_bias", {"device": "bus_monitor", "share": share})
    assert bus_current(master) == pytest.approx((1.0 + share) * true, rel=1e-3)
    wrong_v = int.from_bytes(master.read("bus_monitor", 0x05, 3), "big") >> 4
    assert wrong_v == pytest.approx(int.from_bytes(volts, "big") >> 4, abs=20)
    end()
    assert bus_current(master) == pytest.approx(true, rel=1e-3)


def test_a_biased_channel_of_a_load_reads_wrong_by_that_share() -> None:
    master = Master()
    master.run(0.3)
    true = master.channel_a("ch_radar")
    master.rig.inject("current_bias", {"device": "ch_radar", "share": 0.1})
    master.run(0.2)
    assert master.channel_a("ch_radar") == pytest.approx(1.1 * true, rel=5e-3)


@pytest.mark.parametrize(("value", "percent"), [(0.12, 12), (1.3, 130)])
def test_a_failed_gauge_says_its_value_while_the_other_one_does_not(value: float, percent: int) -> None:
    master = Master(soc_battery=0.8)
    end = master.rig.inject("gauge", {"value": value})
    frames = bms_frames(master)
    assert master.word("gauge", 0x0D) == percent
    assert int.from_bytes(frames[0x355][:2], "little") == 80
    end()
    other = master.rig.inject("gauge", {"value": value, "device": "bms"})
    frames = bms_frames(master)
    assert master.word("gauge", 0x0D) == 80
    assert int.from_bytes(frames[0x355][:2], "little") == percent
    other()
    assert int.from_bytes(bms_frames(master)[0x355][:2], "little") == 80


@pytest.mark.parametrize("device", ["gauge", "bms"])
def test_a_frozen_gauge_says_what_it_last_said(device: str) -> None:
    def said(master: Master) -> Any:
        if device == "gauge":
            return [master.word("gauge", register) for register in (0x09, 0x0A, 0x0D, 0x0F)]
        frames = bms_frames(master)
        return frames[0x355], frames[0x356]

    master = Master(soc_battery=0.8)
    master.run(1.0)
    before = said(master)
    end = master.rig.inject("gauge", {"value": "frozen", "device": device})
    master.rig.inject("soc_battery", {"value": 0.3})
    master.run(1.0)
    assert said(master) == before
    end()
    master.run(0.3)
    after = said(master)
    assert after != before
    if device == "gauge":
        assert after[2] == 30


def test_a_gauge_counts_down_from_full_by_the_capacity_it_was_made_with() -> None:
    master = Master(soc_battery=1.0)
    master.rig.inject("battery_capacity", {"factor": 0.8})
    master.run(0.5)
    full = master.word("gauge", 0x10)
    assert (master.word("gauge", 0x0D), full) == (100, master.word("gauge", 0x18))
    master.rig.inject("soc_battery", {"value": 0.5})
    master.run(0.5)
    assert master.power.soc_battery == pytest.approx(0.5, abs=1e-3)
    assert master.word("gauge", 0x0D) == 60, "40 % of the new capacity are gone, half of what is left of it"
    assert int.from_bytes(bms_frames(master)[0x355][:2], "little") == 60


# -- surroundings, dock


def test_a_warmer_place_warms_the_craft_for_its_time() -> None:
    def hull_c(master: Master) -> float:
        bus = master.rig.buses["i2c_b"]
        word = bytes(bus.write_read(0x4D, bytes((register,)), 1)[0] for register in (0x01, 0x11))
        return int.from_bytes(word, "big", signed=True) / 256.0

    one, other = Master(ambient_c=-20.0), Master(ambient_c=-20.0)
    end = one.rig.inject("ambient", {"celsius": 70})
    for master in (one, other):
        master.run(20.0)
    assert hull_c(one) > hull_c(other) + 0.1, "same seed, same errors of the sensor"
    end()
    assert one.rig.world.thermal.ambient_c == -20.0


def test_the_end_of_an_earlier_dock_does_not_unplug_a_later_one() -> None:
    master = Master()
    first = master.rig.inject("dock", {"voltage_v": 28.0})
    second = master.rig.inject("dock", {"voltage_v": 30.0})
    first()
    master.run(0.2)
    assert master.dock()[0] == pytest.approx(30.0, abs=0.03)
    second()
    master.run(0.2)
    assert master.dock()[0] == 0.0


READS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Master], float]]] = {
    "wing": ({"index": 0, "factor": 0.2}, {"index": 0, "factor": 0.6}, lambda m: m.power.array_max_w),
    "lighting": ({"factor": 0.2}, {"factor": 0.6}, lambda m: m.power.array_max_w),
    "load_stuck": (
        {"load": "radar", "drawing": False}, {"load": "radar", "drawing": True}, lambda m: m.rail_v("radar"),
    ),
    "supercap_esr": ({"factor": 2}, {"factor": 4}, lambda m: m.power.esr_ohm),
    "supercap_capacity": ({"factor": 0.5}, {"factor": 0.9}, lambda m: m.power.capacitance_f),
    "battery_capacity": ({"factor": 0.5}, {"factor": 0.9}, lambda m: m.power.battery_capacity_j),
    "gauge": ({"value": 0.2}, {"value": 0.4}, lambda m: m.word("gauge", 0x0D)),
}


@pytest.mark.parametrize("kind", READS)
def test_of_two_faults_of_one_thing_the_later_one_holds_until_it_ends_itself(kind: str) -> None:
    earlier, later, read = READS[kind]
    master = Master(soc_battery=0.5)
    master.run(0.3)

    def after(act: Callable[[], object]) -> float:
        act()
        master.run(0.3)
        return read(master)

    healthy = read(master)
    first = master.rig.inject(kind, earlier)
    second = master.rig.inject(kind, later)
    held = after(lambda: None)
    assert after(first) == pytest.approx(held, rel=1e-3)
    assert after(second) == pytest.approx(healthy, rel=1e-2)
    assert after(second) == pytest.approx(healthy, rel=1e-2), "ending twice is ending once"
