"""The fault table: what ships is whole, and every kind of bad row is refused with file, line and row."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fdir.fault_table import BUSES, find_fault_table, load_fault_table, units_of
from fdir.quantities import QUANTITIES, Kind
from hal.profile import ConfigError
from hal.profile.board import ROLE_BUSES
from tests.fdir.rows import row, yes

SCENARIOS = {path.stem for path in (Path(__file__).resolve().parents[2] / "hil" / "scenarios").glob("*.yaml")}
SAFE = ("overrun-stop", "boot-loop", "command-loss")
REPORTED = [
    {"id": name, "number": 990 + k, "text": name, "monitor": "reported", "condition": "reported",
     "code": "RCS_UNAVAILABLE", "severity": "warning", "detect_within_ms": 100, "scenario": "nozzle-off",
     **({"recovery": [{"step": "safe"}]} if name in SAFE else {})}
    for k, name in enumerate((
        "nozzle-stuck-off", "nozzle-stuck-on", "cluster-lost", "overrun-stop", "boot-loop", "command-loss",
    ))
]
GOOD = {
    "id": "low", "number": 600, "text": "low", "monitor": "bus_voltage", "condition": "below", "limit": 22.0,
    "persist_ms": 50, "code": "BUS_UNSTABLE", "severity": "warning", "detect_within_ms": 55, "scenario": "battery-low",
}


def write(folder: Path, *rows: dict[str, object], reported: bool = True) -> Path:
    path = folder / "faults.yaml"
    told = REPORTED if reported else []
    path.write_text(yaml.safe_dump({"schema_version": 1, "faults": [*rows, *told]}, sort_keys=False), encoding="utf-8")
    return path


def changed(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


def refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_fault_table(path, {"battery-low", "nozzle-off"})
    assert caught.value.file == str(path)
    assert caught.value.line is not None
    return caught.value


def test_the_shipped_table_loads_and_every_row_names_a_flight_that_exists() -> None:
    table = load_fault_table(scenarios=SCENARIOS)
    assert len(table.rows) > 30
    assert table.digest.startswith("sha256:")
    assert len(table.digest) == 71
    assert table.row("rate-runaway").number == 501
    with pytest.raises(KeyError, match="none"):
        table.row("none")


def test_a_good_table_of_ones_own_loads(tmp_path) -> None:
    table = load_fault_table(write(tmp_path, GOOD), {"battery-low", "nozzle-off"})
    assert [r.id for r in table.rows][:2] == ["low", "nozzle-stuck-off"]
    assert table.digest != load_fault_table().digest


def test_scenarios_are_looked_up_only_where_they_are_known(tmp_path) -> None:
    path = write(tmp_path, changed(scenario="no-such-flight"))
    assert load_fault_table(path).rows[0].scenario == "no-such-flight"
    error = refusal(path)
    assert error.key == "faults[0].scenario"
    assert "no-such-flight" in error.why
    assert "low" in error.why


BAD = [
    ({"monitor": "moon_phase"}, "monitor", "moon_phase"),
    ({"monitor": "moon_phase"}, "monitor", "bus_voltage"),
    ({"condition": "true", "limit": ...}, "condition", "above, at_least"),
    ({"condition": "reported", "limit": ...}, "condition", "reported"),
    ({"monitor": "reported"}, "condition", "reported"),
    ({"monitor": "hash_differs"}, "condition", "allowed: true"),
    ({"monitor": "hash_differs", "condition": "stuck", "limit": ...}, "condition", "allowed: true"),
    ({"limit": ...}, "limit", "0 .. 100 V"),
    ({"limit": 100.1}, "limit", "0 .. 100 V"),
    ({"limit": -0.1}, "limit", "0 .. 100 V"),
    ({"limit": float("nan")}, "limit", "nan"),
    ({"limit": float("inf")}, "limit", "inf"),
    ({"limit": "body.bus_limit_a"}, "limit", "body.bus_low_v, body.bus_safe_v"),
    ({"limit": "22 V"}, "limit", "22 V"),
    ({"condition": "stuck", "limit": 3.0}, "limit", "neither"),
    ({"condition": "stuck", "limit": ..., "hysteresis": 1.0}, "limit", "neither"),
    ({"hysteresis": 78.5}, "hysteresis", "78.5"),
    ({"condition": "above", "hysteresis": 22.5}, "hysteresis", "22.5"),
    ({"limit": "body.bus_safe_v", "hysteresis": float("inf")}, "hysteresis", "inf"),
    ({"limit": 0.0}, "limit", "never reached, or always"),
    ({"condition": "above", "limit": 100.0}, "limit", "never reached, or always"),
    ({"condition": "at_least", "limit": 0.0}, "limit", "never reached, or always"),
    ({"condition": "at_most", "limit": 100.0}, "limit", "never reached, or always"),
    ({"hysteresis": float("inf")}, "hysteresis", "inf"),
    ({"units": ["imu"]}, "units", "whole craft"),
    ({"unit": "cook"}, "unit", "cook"),
    ({"monitor": "device_lost", "condition": "true", "limit": ...}, "units", BUSES),
    ({"monitor": "device_lost", "condition": "true", "limit": ..., "units": ["cook"]}, "units", "cook"),
    ({"monitor": "device_lost", "condition": "true", "limit": ..., "units": ["imu"], "unit": "imu"}, "unit", "imu"),
    ({"detect_within_ms": 54}, "detect_within_ms", "from 55 on"),
    ({"period": "slow", "detect_within_ms": 549}, "detect_within_ms", "from 550 on"),
    ({"recovery": [{"step": "safe"}, {"step": "safe"}]}, "recovery", "twice"),
    ({"recovery": [{"step": "re-init"}]}, "recovery", "needs a unit"),
    ({"unit": "imu", "recovery": [{"step": "safe"}, {"step": "re-init"}]}, "recovery", "cannot follow"),
    ({"after": ["ghost"]}, "after", "ghost"),
]


@pytest.mark.parametrize(("changes", "key", "word"), BAD)
def test_a_row_that_cannot_be_is_refused_by_name(changes, key, word, tmp_path) -> None:
    error = refusal(write(tmp_path, changed(id="other", number=601), changed(**changes)))
    assert error.key == f"faults[1].{key}"
    assert error.why.startswith("fault low: ")
    assert word in error.why


GOOD_ROWS = [
    {"limit": 0.1}, {"limit": 100.0}, {"limit": "body.bus_safe_v"}, {"hysteresis": 78.0},
    {"condition": "above", "limit": 0.0}, {"condition": "at_least", "limit": 100.0},
    {"condition": "at_most", "limit": 0.0},
    {"condition": "above", "limit": 22.0, "hysteresis": 22.0}, {"condition": "rate_above", "limit": 0.0},
    {"condition": "stuck", "limit": ...}, {"unit": "imu", "recovery": [{"step": "re-init"}, {"step": "safe"}]},
    {"period": "medium", "detect_within_ms": 100}, {"recovery": [{"step": "safe"}, {"step": "restart"}]},
    {"monitor": "device_lost", "condition": "true", "limit": ..., "units": ["imu", "buses"]},
    {"monitor": "reported", "condition": "reported", "limit": ..., "detect_within_ms": 1, "units": ["imu"]},
]


@pytest.mark.parametrize("changes", GOOD_ROWS)
def test_a_row_that_can_be_is_taken(changes, tmp_path) -> None:
    assert load_fault_table(write(tmp_path, changed(**changes))).rows[0].id == "low"


@pytest.mark.parametrize("changes", [
    {"severity": "dreadful"}, {"code": "NO_SUCH_CODE"}, {"persist_ms": -1}, {"id": "Not Good"}, {"number": 99},
    {"isolation": ["pray"]}, {"recovery": [{"step": "hope"}]}, {"recovery": [{"step": "safe", "wait_s": -1.0}]},
    {"text": ""}, {"mood": "low"}, {"limit": True}, {"detect_within_ms": 0}, {"hysteresis": -1.0},
])
def test_what_the_schema_forbids_is_refused(changes, tmp_path) -> None:
    error = refusal(write(tmp_path, changed(**changes)))
    assert error.key.startswith("faults[0]")


def test_a_fault_is_given_once_and_so_is_its_number(tmp_path) -> None:
    error = refusal(write(tmp_path, GOOD, changed(number=601)))
    assert (error.key, "first as row 0" in error.why) == ("faults[1].id", True)
    error = refusal(write(tmp_path, GOOD, changed(id="other")))
    assert (error.key, "that of low" in error.why) == ("faults[1].number", True)


def test_a_table_that_goes_round_is_refused(tmp_path) -> None:
    rows = [changed(id=f"f{k}", number=600 + k, after=[f"f{(k + 1) % 3}"]) for k in range(3)]
    error = refusal(write(tmp_path, *rows))
    assert error.key.endswith(".after")
    assert "goes round: " in error.why
    assert error.why.count(" after ") == 3


def test_faults_that_detectors_report_must_be_there(tmp_path) -> None:
    error = refusal(write(tmp_path, GOOD, reported=False))
    assert "nozzle-stuck-off is missing" in error.why
    judged = changed(id="nozzle-stuck-off", number=700)
    path = tmp_path / "faults.yaml"
    path.write_text(yaml.safe_dump({"schema_version": 1, "faults": [judged, *REPORTED[1:]]}), encoding="utf-8")
    assert "with monitor reported" in refusal(path).why


def test_units_are_the_boards_devices_by_role_and_its_buses() -> None:
    fault = yes("lost", monitor="device_lost", units=["imu", "radar", "buses"])
    assert units_of(fault, {"imu": ("a", "b")}, ("can0",)) == ("a", "b", "bus can0")
    assert units_of(row(), {"imu": ("a",)}, ("can0",)) == ()


def test_every_kind_of_monitor_is_offered_and_every_quantity_says_what_it_is() -> None:
    assert {q.kind for q in QUANTITIES.values()} == set(Kind)
    assert all(q.text and q.low < q.high for q in QUANTITIES.values())


def test_the_shipped_table_uses_no_quantity_twice_for_the_same_limit() -> None:
    rows = load_fault_table(find_fault_table()).rows
    judged = [(r.monitor, r.condition, r.limit, r.units) for r in rows if r.monitor != "reported"]
    assert len(set(judged)) == len(judged)


@pytest.mark.parametrize("changes", [{"units": ["imu"]}, {"unit": "imu"}])
def test_what_a_detector_knows_by_its_id_has_no_unit(changes, tmp_path) -> None:
    told = [dict(row) for row in REPORTED]
    told[2].update(changes)
    error = refusal(write(tmp_path, GOOD, *told, reported=False))
    assert error.key == f"faults[3].{next(iter(changes))}"
    assert "no unit is allowed" in error.why


@pytest.mark.parametrize("ladder", [[], [{"step": "restart"}], [{"step": "degrade"}]])
@pytest.mark.parametrize("name", SAFE)
def test_what_only_safe_helps_against_leads_there(name, ladder, tmp_path) -> None:
    told = [dict(row) for row in REPORTED]
    index = next(k for k, row in enumerate(told) if row["id"] == name)
    told[index]["recovery"] = ladder
    error = refusal(write(tmp_path, GOOD, *told, reported=False))
    assert error.key == f"faults[{index + 1}].recovery"
    assert "must begin with safe" in error.why


ROLES = ", ".join(ROLE_BUSES)
WHY = [
    ({"monitor": "moon_phase"}, "monitor", f"there is no monitor 'moon_phase'; monitors: {', '.join(QUANTITIES)}"),
    ({"condition": "reported", "limit": ...}, "condition", "reported goes with monitor reported, and only with it"),
    ({"condition": "true", "limit": ...}, "condition",
     "true has no meaning for bus_voltage; allowed: above, at_least, below, at_most, rate_above, stuck"),
    ({"monitor": "hash_differs"}, "condition", "below has no meaning for hash_differs; allowed: true"),
    ({"condition": "stuck"}, "limit", "stuck takes neither limit nor hysteresis"),
    ({"limit": ...}, "limit", "is missing; 0 .. 100 V is allowed"),
    ({"hysteresis": float("inf")}, "hysteresis", "is inf; a number is allowed"),
    ({"limit": "body.x"}, "limit", "is 'body.x'; allowed: a number, body.bus_low_v, body.bus_safe_v"),
    ({"monitor": "node_heat", "limit": "body.x"}, "limit", "is 'body.x'; allowed: a number"),
    ({"limit": 100.5}, "limit", "is 100.5; 0 .. 100 V is allowed"),
    ({"limit": 0.0}, "limit", "below 0 is never reached, or always, between 0 and 100"),
    ({"units": ["imu"]}, "units", "bus_voltage is one for the whole craft"),
    ({"monitor": "bus_out", "condition": "true", "limit": ...}, "units",
     "bus_out needs the roles of devices, or buses"),
    ({"unit": "cook"}, "unit", f"is 'cook'; a role, and no units beside it: {ROLES}"),
    ({"monitor": "device_lost", "condition": "true", "limit": ..., "units": ["imu", "cook"]}, "units",
     f"there is no role 'cook'; roles: {ROLES}, and buses"),
    ({"detect_within_ms": 54}, "detect_within_ms", "is 54; it persists 50 ms and is judged fast: from 55 on"),
    ({"recovery": [{"step": "safe"}, {"step": "safe"}]}, "recovery",
     "a step is given twice: a ladder does not go round"),
    ({"unit": "imu", "recovery": [{"step": "degrade"}, {"step": "retry"}]}, "recovery",
     "retry cannot follow safe, restart, degrade"),
    ({"recovery": [{"step": "retry"}]}, "recovery", "retry needs a unit"),
    ({"after": ["ghost"]}, "after", "there is no fault 'ghost'"),
    ({"scenario": "ghost"}, "scenario", "there is no scenario 'ghost'"),
]


@pytest.mark.parametrize(("changes", "key", "why"), WHY)
def test_a_refusal_says_what_is_wrong_and_what_is_allowed(changes, key, why, tmp_path) -> None:
    path = write(tmp_path, changed(id="other", number=601), changed(**changes))
    error = refusal(path)
    assert (error.key, error.why) == (f"faults[1].{key}", f"fault low: {why}")
    written = path.read_text(encoding="utf-8").splitlines()
    row_line = written.index("- id: low") + 1
    of_key = [k for k, line in enumerate(written, 1) if k >= row_line and line[2:].startswith(f"{key}:")]
    assert error.line == (of_key[0] if key in changed(**changes) else row_line)


def test_a_refusal_of_two_rows_names_both(tmp_path) -> None:
    assert refusal(write(tmp_path, GOOD, changed(number=601))).why == "fault low: given twice, first as row 0"
    assert refusal(write(tmp_path, GOOD, changed(id="other"))).why == "fault other: 600 is that of low"


def test_a_refusal_for_what_detectors_report_is_whole(tmp_path) -> None:
    error = refusal(write(tmp_path, GOOD, reported=False))
    assert (error.line, error.key, error.why) == (
        2, "faults", "fault nozzle-stuck-off is missing, with monitor reported: its detector tells of it",
    )
    told = [dict(row) for row in REPORTED]
    told[0]["unit"] = "imu"
    error = refusal(write(tmp_path, *told, reported=False))
    assert error.why == "fault nozzle-stuck-off: its detector knows it by its id alone; no unit is allowed"
    told = [dict(row) for row in REPORTED]
    told[3]["recovery"] = []
    assert refusal(write(tmp_path, *told, reported=False)).why == "fault overrun-stop: must begin with safe"


def test_a_circle_is_told_from_the_row_that_is_named_each_after_the_next(tmp_path) -> None:
    rows = [changed(id=f"f{k}", number=600 + k, after=[f"f{(k + 1) % 3}"]) for k in range(3)]
    error = refusal(write(tmp_path, *rows))
    first = int(error.key.removeprefix("faults[").removesuffix("].after"))
    names = [f"f{(first + k) % 3}" for k in range(4)]
    assert error.why == f"fault {names[0]}: goes round: {' after '.join(names)}"
