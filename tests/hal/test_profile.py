"""Bodies and boards: the shipped ones load; every bad one is refused with file, line, key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
import yaml
from scipy.optimize import linprog

from hal.profile import ConfigError, hardware_profile_hash, load_board, load_body, load_profile
from hal.profile.board import ROLE_BUSES, BusKind, Role
from hal.profile.controllability import wrench_matrix

CONFIGS = Path(__file__).resolve().parents[2] / "board_configs"
BODY = (CONFIGS / "bodies" / "qiki-t.yaml").read_text()
BOARD = (CONFIGS / "boards" / "qiki-rpi.yaml").read_text()


def refuse_body(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "body.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_body(str(path))
    assert caught.value.file == str(path)
    return caught.value


def refuse_board(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "board.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile("qiki-t", str(path))
    assert caught.value.file == str(path)
    return caught.value


def line_of(text: str, needle: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if needle in line)


@pytest.mark.parametrize("body", ["qiki-t", "qiki-g", "bench-12kg"])
def test_shipped_bodies_fit_the_shipped_board(body) -> None:
    profile = load_profile(body, "qiki-rpi")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", profile.digest)


@pytest.mark.parametrize(
    ("body", "authority"),
    [
        ("qiki-t", (735, 1086, 622, 294, 543, 1499)),
        ("qiki-g", (733, 1171, 832, 529, 409, 498)),
    ],
)
def test_authority_about_the_true_centre_of_mass_is_that_of_the_reference(body, authority) -> None:
    matrix = wrench_matrix(load_body(body))
    for axis in range(6):
        rest = [row for row in range(6) if row != axis]
        for sign in (1.0, -1.0):
            best = linprog(-sign * matrix[axis], A_eq=matrix[rest], b_eq=np.zeros(5), bounds=(0, 1))
            assert -best.fun == pytest.approx(authority[axis], abs=0.6)


def test_digest_is_of_the_meaning_not_of_the_text(tmp_path) -> None:
    copy = tmp_path / "qiki-t.yaml"
    copy.write_text("# another comment\n" + yaml.safe_dump(yaml.safe_load(BODY)))
    board = load_board("qiki-rpi")
    assert hardware_profile_hash(load_body(str(copy)), board) == hardware_profile_hash(load_body("qiki-t"), board)
    heavier = msgspec.structs.replace(load_body("qiki-t"), description="other")
    assert hardware_profile_hash(heavier, board) != hardware_profile_hash(load_body("qiki-t"), board)


def test_missing_file_and_unknown_name_say_what_is_there(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_body(str(tmp_path / "nothing.yaml"))
    with pytest.raises(ConfigError, match=r"shipped: bench-12kg, gref, qiki-g, qiki-t"):
        load_body("qiki-x")


def test_aliases_and_keys_that_are_no_text_are_refused(tmp_path) -> None:
    bomb = "a: &a [x]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
    assert "aliases are not allowed" in refuse_body(tmp_path, bomb).why
    assert "plain text" in refuse_body(tmp_path, "[a, b]: 1\n").why


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text", "a: [1, 2", "\x00", "a: !!python/object:os.system {}"])
def test_what_is_no_body_at_all_is_refused(text, tmp_path) -> None:
    refuse_body(tmp_path, text)


def test_unknown_key_is_named_with_its_line_and_the_allowed_ones(tmp_path) -> None:
    text = BODY.replace("  specific_impulse_s: 60.0", "  specific_impulse_s: 60.0\n  specfic_impulse_s: 61.0")
    error = refuse_body(tmp_path, text)
    assert error.line == line_of(text, "specfic_impulse_s")
    assert error.key == "propulsion.specfic_impulse_s"
    assert "specific_impulse_s" in error.why
    assert "valve_power_w" in error.why


def test_duplicate_key_is_refused(tmp_path) -> None:
    error = refuse_body(tmp_path, BODY.replace("  window_ms: 250", "  window_ms: 250\n  window_ms: 100"))
    assert "given twice" in error.why


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ("dry_kg: 420.0", "dry_kg: -3.0", "mass.dry_kg", "> 0.0"),
        ("dry_kg: 420.0", "dry_kg: heavy", "mass.dry_kg", "float"),
        ("dry_kg: 420.0", "dry_kg: .nan", "mass.dry_kg", ""),
        ("window_ms: 250", "window_ms: 2500", "propulsion.window_ms", "<= 250"),
        ("max_burn_ms: 3000", "max_burn_ms: 30", "propulsion.max_burn_ms", ">= 100"),
        ("hull_heat_share: 0.35", "hull_heat_share: 35", "propulsion.hull_heat_share", "<= 1.0"),
        ("[350.0, 0.0, 0.0]", "[350.0, 5.0, 0.0]", "mass.inertia_kg_m2", "symmetric"),
        ("[350.0, 0.0, 0.0]", "[900.0, 0.0, 0.0]", "mass.inertia_kg_m2", "not physical"),
        ("[350.0, 0.0, 0.0]", "[-350.0, 0.0, 0.0]", "mass.inertia_kg_m2", "not physical"),
        ("environment: free_space", "environment: swimming_pool", "environment", "swimming_pool"),
        ("hold_soc: 0.30, nbl_soc: 0.45", "hold_soc: 0.30, nbl_soc: 0.20", "power.supercap.nbl_soc", "above hold_soc"),
        ("hold_soc: 0.30, nbl", "hold_soc: 0.05, nbl", "power.supercap.hold_soc", "above safe_soc"),
        ("discharge_max_w: 140.0}", "discharge_max_w: 140.0, shed_soc: 0.5}", "power.battery.unshed_soc", "above shed"),
        ("discharge_max_w: 140.0}", "discharge_max_w: 140.0, cut_soc: 0.1}", "power.battery.safe_soc", "above cut_soc"),
        ("top_up_w: 20.0", "top_up_w: 200.0", "power.supercap.top_up_w", "charge_max_w"),
        ("open_circuit_v: 35.0", "open_circuit_v: 30.0", "power.array.open_circuit_v", "above max_power_v"),
        ("{name: base, power_w: 60.0", "{name: base, power_w: 160.0", "power.bus.current_limit_a", "base loads"),
        ("dock: {voltage_v: 28.0", "dock: {voltage_v: 36.0", "power.dock.voltage_v", "between 24 and 32"),
        ("trip_c: 90, clear_c: 85", "trip_c: 90, clear_c: 90", "thermal.nodes[0].clear_c", "chatter"),
        ("no_charge_below_c: 0,", "no_charge_below_c: 60,", "thermal.nodes[3].no_charge_below_c", "below warn_c"),
        ("node: battery, power_w", "node: bettery, power_w", "thermal.heaters[0].node", "no node bettery"),
        ("on_c: 5, off_c: 10", "on_c: 5, off_c: 5", "thermal.heaters[0].off_c", "above on_c"),
        ("on_c: 5, off_c: 10", "on_c: 5, off_c: 61", "thermal.heaters[0].off_c", "warn_c"),
        ("name: lidar, power_w", "name: heater_core, power_w", "thermal.heaters[2].node", "taken by a load"),
        ("full_v: 28.0", "full_v: 21.0", "power.bus.full_v", "above"),
        ("boost_soc: 0.60", "boost_soc: 0.20", "power.supercap.boost_soc", "above"),
        ("between: [core, pdu]", "between: [core, engine]", "thermal.couplings[0].between", "no node engine"),
        ("trip_c: 90", "trip_c: 70", "thermal.nodes[0]", "above trip_c"),
        ("name: pdu,", "name: core,", "thermal.nodes[1]", "already taken"),
        ("between: [core, pdu]", "between: [core, core]", "thermal.couplings[0].between", "itself"),
        ("capacity_j_k: 800", "capacity_j_k: 0.001", "thermal.nodes[0]", "time constant"),
        ("slew_rate_deg_s: 1.8", "slew_rate_deg_s: 300", "limits", "rate_deg_s"),
        ("runaway_rate_deg_s: 25.0", "runaway_rate_deg_s: 15.0", "limits.runaway_rate_deg_s", "above rate_deg_s"),
        ("max_burn_ms: 3000", "max_burn_ms: 200", "propulsion.max_burn_ms", "window_ms"),
        ("normal: [-1, 0, 0]", "normal: [-2, 0, 0]", "power.array.normal", "unit"),
        ("id: 3,", "id: 4,", "propulsion.nozzles[3].id", "3 is allowed"),
        ("cluster: rcs_c01", "cluster: wing", "thermal.nodes", "wing"),
    ],
)
def test_bad_value_is_refused_with_its_key(old, new, key, word, tmp_path) -> None:
    assert old in BODY
    error = refuse_body(tmp_path, BODY.replace(old, new, 1))
    assert error.key == key
    assert word in error.why
    assert error.line is not None


def test_pulse_and_pause_must_fit_into_the_window(tmp_path) -> None:
    text = BODY.replace("min_on_ms: 30", "min_on_ms: 130").replace("min_off_ms: 30", "min_off_ms: 130")
    assert "exceed" in refuse_body(tmp_path, text).why


def test_direction_that_is_no_unit_vector_is_refused(tmp_path) -> None:
    error = refuse_body(tmp_path, BODY.replace("direction: [-0.7071, 0.7071, 0]", "direction: [-0.9, 0.7071, 0]", 1))
    assert error.key == "propulsion.nozzles[0].direction"
    assert "unit vector within 1 %" in error.why


def test_geometry_that_cannot_do_six_degrees_of_freedom_is_refused(tmp_path) -> None:
    data = yaml.safe_load(BODY)
    for nozzle in data["propulsion"]["nozzles"]:
        nozzle["position_m"] = [0.0, 0.0, 0.1]  # all through the centre of mass: no torque at all
    assert "torque +X" in refuse_body(tmp_path, yaml.safe_dump(data)).why
    data = yaml.safe_load(BODY)
    for nozzle in data["propulsion"]["nozzles"]:
        nozzle["direction"] = [abs(x) for x in nozzle["direction"]]  # nothing pushes back
    assert "force -X" in refuse_body(tmp_path, yaml.safe_dump(data)).why


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ("address: 0x45, rate_hz: 5", "address: 0x44, rate_hz: 5", "address", "share one address"),
        ("bus: i2c_a, address: 0x41", "bus: i2c_a, address: 0x40", "address", "share one address"),
        ("bus: i2c_b\n    address: 0x20", "bus: i2c_b\n    address: 0x44", "address", "share one address"),
        ("bus: i2c_b\n    address: 0x20", "bus: i2c_b\n    address: 0x07", "address", "reserved"),
        ("bus: i2c_b\n    address: 0x20", "bus: i2c_z\n    address: 0x20", "bus", "no bus i2c_z"),
        ("bus: i2c_b\n    address: 0x20", "bus: i2c_b", "address", "missing"),
        ("mux: mux, channel: 0, address: 0x44", "mux: nix, channel: 0, address: 0x44", "mux", "no device nix"),
        ("mux: mux, channel: 0, address: 0x44", "mux: mux, address: 0x44", "mux", "go together"),
        ("medium_hz: 20", "medium_hz: 30", "rates.medium_hz", "evenly"),
        ("fast_hz: 200", "fast_hz: 20", "rates.fast_hz", ">= 50"),
        ("nozzles: [0, 1,", "nozzles: [2, 1,", "nozzles", "already driven"),
        ("nozzles: [0, 1,", "nozzles: [16, 1,", "nozzles", "no nozzle"),
        ("nozzles: [0, 1, 6,", "nozzles: [0, 6,", "devices", "no valve node drives nozzle 1"),
        ("orientation: [0.7071067811865476,", "orientation: [1.7071067811865476,", "orientation", "unit quaternion"),
        ("mount: {normal: [1, 0, 0]}", "mount: {}", "normal", "missing"),
        ("nodes: [core,", "nodes: [kitchen,", "nodes", "no thermal node kitchen"),
        ("name: mag\n", "name: imu\n", "devices", "already taken"),
        ("rate_hz: 10\n", "rate_hz: 400\n", "rate_hz", "fast rate"),
        ("timeout_ms: 500\n    mount: {position_m: [0.0, -0.9", "timeout_ms: 99\n    mount: {position_m: [0.0, -0.9",
         "timeout_ms", "at least 100 is needed"),
        ("role: imu\n", "role: imu_backup\n", "devices", "exactly one device with role imu"),
        ("valve_enable: GPIO27", "valve_enable: GPIO24", "lines", "three different lines"),
        ("valve_enable: GPIO27", "valve_enable: ''", "lines", "three different lines"),
        ("  usb0:", "  gpio2: {kind: gpio, device: other}\n  usb0:", "buses", "exactly one gpio bus"),
        ("medium_hz: 20", "medium_hz: 100", "rates.medium_hz", "at most a third"),
        ("slow_hz: 2}", "slow_hz: 0.001}", "rates.slow_hz", "allowed"),
        ("fast_hz: 200, medium_hz: 20, slow_hz: 2", "fast_hz: 333, medium_hz: 33.3, slow_hz: 3.33", "rates.fast_hz",
         "is 333; no pulse window of 50..250 ms"),
        ("bus: can0, address: 0x10", "bus: can0, address: 0", "address", "no node id"),
        ("address: 0x70, rate_hz: 0", "address: 0x70, mux: mux, channel: 1, rate_hz: 0", "mux", "not supported"),
        ("role: imu\n    bus: spi0", "role: imu\n    bus: i2c_a", "bus", "a device with role imu is on spi"),
        ("role: solar, bus: i2c_c", "role: solar, bus: spi1", "bus", "role solar is on i2c or serial"),
        ("role: bms, bus: can1", "role: bms, bus: can0", "bus", "valve nodes are on can0"),
        ("role: radar, bus: can1", "role: radar, bus: can0", "bus", "valve nodes are on can0"),
        ("role: radar, bus: can1, address: 0", "role: radar, bus: can1, address: 0x51", "address", "share one address"),
        ("role: lidar, bus: usb2", "role: lidar, bus: usb1", "bus", "approach and lidar share the port usb1"),
        ("role: lidar, bus: usb2", "role: lidar, bus: usb2, address: 1", "address", "no addresses"),
        ("mux: mux, channel: 4, address: 0x29", "mux: mux, channel: 4, address: 0x50", "address",
         "dock_px behind mux and fram before it share one address"),
        ("mux: mux, channel: 4, address: 0x29", "mux: mux, channel: 8, address: 0x29", "channel", "<= 7"),
        ("sda_line: GPIO2,", "", "recovery.scl_line", "go together"),
        ("scl_line: GPIO3", "scl_line: GPIO24", "recovery.scl_line", "GPIO24 belongs to the valve interlock"),
        ("scl_line: GPIO5", "scl_line: GPIO3", "recovery.scl_line", "GPIO3 belongs to i2c_a.scl_line"),
        ("sda_line: GPIO4", "sda_line: GPIO5", "recovery.sda_line", "GPIO5 belongs to i2c_b.scl_line"),
        ("mux_reset_line: GPIO6", "mux_reset_line: GPIO4", "recovery.mux_reset_line", "belongs to i2c_b.sda_line"),
        ("adapter: i2c-bcm2835/fe205600.i2c", "adapter: fe205600.i2c", "buses.i2c_b.recovery.adapter", "regex"),
        ("adapter: i2c-bcm2835/fe804000.i2c", "rail: sensors", "recovery.rail", "pdu is on i2c_a itself"),
        ("role: pdu", "role: hot_swap", "recovery.rail", "no device with role pdu"),
        ("rail: sensors", "tail: sensors", "buses.i2c_b.recovery.tail", "allowed here: scl_line, sda_line, adapter"),
        ("kind: can,    device: can1,            speed_hz", "kind: can, speed_hz", "buses.can1", "device"),
        ("device: can1,            speed_hz: 500000", "device: can1, speed_hz: fast", "buses.can1.speed_hz", "int"),
        ("device: can1,            speed_hz: 500000,  timeout_ms: 10",
         "device: can1, speed_hz: 500000, recovery: {rail: sensors}", "recovery", "only an i2c bus has a recovery"),
        ("isolation: {device: isolation", "isolation: {device: valve_box", "isolation.device",
         "no device valve_box with role discretes; there are: latch_a, latch_b, isolation"),
        ("isolation: {device: isolation", "isolation: {device: mag", "isolation.device", "no device mag with role"),
        ("isolation: {device: isolation", "isolation: {device: latch_b", "isolation.device", "latch_b has no outputs"),
        ("outputs: 0xF0", "outputs: most", "isolation.device", "isolation has no outputs"),
        ("outputs: 0xF0", "outputs: 0xF0, levels: low", "isolation.device", "isolation has no outputs"),
        ("rcs_c02: 5", "rcs_c02: 4", "isolation.pins.rcs_c02", "pin 4 already shuts the valve of rcs_c01"),
        ("rcs_c02: 5", "rcs_c02: 3", "isolation.pins.rcs_c02", "pin 3 of isolation is no output; outputs: 4, 5, 6, 7"),
        ("outputs: 0xF0", "outputs: 0xF0, levels: 0x40", "isolation.pins.rcs_c03", "pin 6 of isolation is high at set"),
        ("rcs_c02: 5", "rcs_c02: 8", "isolation.pins", "<= 7"),
        ("rcs_c02: 5", "rcs_c07: 5", "isolation.pins.rcs_c07",
         "body qiki-t has no cluster rcs_c07; clusters: rcs_c01, rcs_c02, rcs_c03, rcs_c04"),
        ("pins: {rcs_c01: 4, rcs_c02: 5, rcs_c03: 6, rcs_c04: 7}", "pins: {}", "isolation.pins", ">= 1"),
        ("isolation: {device: isolation", "isolation: {unit: isolation", "isolation.unit", "here: device, pins"),
    ],
)
def test_bad_board_is_refused_with_its_key(old, new, key, word, tmp_path) -> None:
    assert old in BOARD
    error = refuse_board(tmp_path, BOARD.replace(old, new, 1))
    assert key in error.key
    assert word in error.why
    assert error.line is not None


def test_a_refusal_of_the_isolation_valves_names_the_line_of_the_pin(tmp_path) -> None:
    block = "isolation:\n  device: isolation\n  pins:\n    rcs_c01: 4\n    rcs_c02: 4\n"
    line = next(text for text in BOARD.splitlines() if text.startswith("isolation:"))
    text = BOARD.replace(line + "\n", block)
    assert refuse_board(tmp_path, text).line == line_of(text, "rcs_c02: 4")


def test_a_board_without_isolation_valves_is_a_board(tmp_path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("\n".join(text for text in BOARD.splitlines() if not text.startswith("isolation:")))
    assert load_profile("qiki-t", str(path)).board.isolation is None
    assert load_board("bench-rpi").isolation is None


def test_two_multiplexers_may_not_have_one_address_behind_both(tmp_path) -> None:
    second = "  - {name: mux_b, part: pca9548a, role: mux, bus: i2c_b, address: 0x71, rate_hz: 0, timeout_ms: 500}\n"
    text = BOARD.replace("  - {name: sun_px,", second + "  - {name: sun_px,", 1)
    own = text.replace("mux: mux, channel: 5, address: 0x29", "mux: mux_b, channel: 5, address: 0x2A")
    own = own.replace("name: dock_py, part: vl53l0x, role: range, bus: i2c_b, mux: mux, channel: 6",
                      "name: dock_py, part: vl53l0x, role: range, bus: i2c_b, mux: mux, channel: 6")
    path = tmp_path / "own.yaml"
    path.write_text(own)
    assert load_profile("qiki-t", str(path)).board.devices
    error = refuse_board(tmp_path, text.replace("mux: mux, channel: 5, address: 0x29",
                                                "mux: mux_b, channel: 5, address: 0x29"))
    assert "dock_nx behind mux_b and dock_px behind mux share one address on i2c_b" in error.why
    assert error.line == line_of(own, "name: dock_nx")


def test_every_role_has_its_kinds_of_bus() -> None:
    assert set(ROLE_BUSES) == set(get_args(Role))
    kinds = set(get_args(BusKind))
    assert all(buses and set(buses) <= kinds for buses in ROLE_BUSES.values())


@pytest.mark.parametrize("board", ["qiki-rpi", "bench-rpi"])
def test_shipped_boards_load(board) -> None:
    assert load_board(board).board == board


def test_error_reads_as_file_line_key_reason(tmp_path) -> None:
    error = refuse_body(tmp_path, BODY.replace("dry_kg: 420.0", "dry_kg: -3.0"))
    assert re.match(r".*body\.yaml:\d+: mass\.dry_kg: Expected `float` > 0\.0", str(error))


@pytest.mark.parametrize("text", [
    "a: " + "[" * 200_000, "a: " + "[" * 900 + "]" * 900, "\n".join(" " * depth + "a:" for depth in range(3000)),
])
def test_a_file_nested_beyond_reason_is_refused_and_ends_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_board(str(path))
