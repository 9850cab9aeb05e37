"""``qiki doctor --board``: the whole list against a rig in another process, and against a computer without buses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware_py.cli.doctor_board import checklist_view, section_view, sections_of
from firmware_py.doctor import Check, Machine, Status
from firmware_py.doctor.bring_up import Section
from hal.profile import load_board, load_profile
from tests.firmware_py.bench_terminal import BOARD, qiki, shown
from tests.firmware_py.served_rig import ServedRig

pytestmark = pytest.mark.alone

MISSION = """
schema_version: 1
mission: bring-up
description: A craft at rest with a power monitor that is not there and a radiation counter that says nothing.
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
duration_s: 60
steps: [{name: idle, wait_for: nothing, stay_s: 1}]
faults:
  - {kind: bus_fault, at_s: 0.0, parameters: {bus: i2c_a, fault: nack_address, address: 0x41}}
  - {kind: bus_fault, at_s: 0.0, parameters: {bus: usb0, fault: silence}}
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command found on a rig with two faults, by name."""
    folder = tmp_path_factory.mktemp("bring-up")
    (folder / "mission.yaml").write_text(MISSION)
    words = ("--mission", str(folder / "mission.yaml"), "--patience-ms", "1000")
    with ServedRig(folder / "rig", *words, for_s=120.0) as rig:
        result = qiki("doctor", "--board", rig.board, "--seconds", "3", "--json")
    assert result.exit_code == 1
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert len({(row["section"], row["name"]) for row in found}) == len(found)
    return {f"{row['section']}: {row['name']}": row for row in found}


def test_every_bus_of_a_served_board_opens_and_every_good_part_answers(rows: dict[str, dict[str, Any]]) -> None:
    buses = {name: row["status"] for name, row in rows.items() if row["section"] == "buses"}
    assert buses == {f"buses: {name} ({bus.kind})": "PASS" for name, bus in BOARD.buses.items()}
    chips = {name: row["status"] for name, row in rows.items() if row["section"] == "chips"}
    assert {name for name, status in chips.items() if status != "PASS"} == {
        "chips: battery_monitor (0x41)", "chips: geiger (usb0)"
    }
    assert len(chips) >= len(BOARD.devices)


def test_a_part_that_is_gone_fails_with_what_was_found_and_a_next_step(rows: dict[str, dict[str, Any]]) -> None:
    gone = rows["chips: battery_monitor (0x41)"]
    assert (gone["status"], gone["allowed"]) == ("FAIL", "ina228")
    assert "missing" in gone["found"]
    assert "address straps" in gone["next_step"]
    assert rows["rates: battery_monitor (ina228)"]["status"] == "FAIL"
    assert rows["chips: geiger (usb0)"]["found"].startswith("silent")


def test_rates_and_latencies_are_measured_and_stand_beside_what_is_allowed(rows: dict[str, dict[str, Any]]) -> None:
    imu = rows["rates: imu (adis16470)"]
    assert (imu["status"], imu["allowed"]) == ("PASS", "asked 200/s")
    assert "/s, " in imu["found"]
    latency = rows["transfers: latency of spi0"]
    assert latency["allowed"] == "p99 below 10 ms"
    assert latency["found"].startswith("p50 ")
    jitter = rows["timing: free-running jitter, 200 Hz"]
    assert "p99.9" in jitter["found"]
    assert "C" in jitter["found"]


def test_what_a_rig_plays_is_not_looked_for_in_the_kernel(rows: dict[str, dict[str, Any]]) -> None:
    kernel = [row for row in rows.values() if row["section"] == "kernel and rights"]
    assert not any(row["name"].startswith(("overlay", "module")) for row in kernel)
    assert [row["name"] for row in kernel if row["status"] == "FAIL"] == []


def test_whatever_fails_names_a_next_step(rows: dict[str, dict[str, Any]]) -> None:
    assert all(row["next_step"] for row in rows.values() if row["status"] == "FAIL")
    assert all(row["found"] for row in rows.values())
    assert {row["status"] for row in rows.values()} <= {"PASS", "WARN", "FAIL", "SKIP"}


def test_a_computer_without_the_buses_fails_them_and_skips_what_hangs_on_them(tmp_path: Path) -> None:
    bare = Machine(root=tmp_path, module_present=lambda name: True, firmware_flags=lambda: None, is_root=lambda: True)
    text = (Path("board_configs/boards/qiki-rpi.yaml")).read_text()
    for node in ("/dev/i2c-", "/dev/spidev", "/dev/ttyUSB"):
        text = text.replace(node, f"{tmp_path}{node}")
    text = text.replace("device: can0", "device: nocan0").replace("device: can1", "device: nocan1")
    board_file = tmp_path / "board.yaml"
    board_file.write_text(text.replace("pinctrl-bcm2711", "no-such-chip"))
    profile = load_profile("qiki-t", str(board_file))
    sections = {s.title: s.checks for s in sections_of(profile.board, profile, bare, 0.5, tmp_path)}
    assert list(sections) == ["computer", "kernel and rights", "buses", "chips", "rates", "timing"]
    assert {check.status for check in sections["buses"]} == {Status.FAIL}
    assert {check.status for check in sections["chips"]} == {Status.SKIP}
    assert [check.status for check in sections["rates"]] == [Status.SKIP]
    assert Status.MISSING not in {check.status for checks in sections.values() for check in checks}


def test_a_board_that_is_no_board_is_bad_input() -> None:
    assert qiki("doctor", "--board", "toaster").exit_code == 2


def test_without_a_board_the_command_is_about_the_computer_alone() -> None:
    result = qiki("doctor", "--json")
    names = [row["name"] for row in json.loads(result.stdout)]
    assert "python" in names
    assert not any(name.startswith("bus ") for name in names)


# -- how it looks


SECTION = Section("buses", [
    Check("i2c_a (i2c)", Status.PASS, "/dev/i2c-1"),
    Check("latency of a bus with a long name indeed", Status.FAIL, "p50 12000 us " * 6, "do this and that " * 8, "p99"),
    Check("supply", Status.SKIP, "no firmware that tells: no Raspberry Pi", "nothing", "x" * 60),
])


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_section_fits_any_terminal_and_loses_nothing(width: int) -> None:
    text = shown(section_view(SECTION, width), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    assert text.count("12000") == 6
    assert "-> do this" in text
    assert "nothing" not in text  # a skipped line has nothing that must be done


def test_the_sum_says_whether_the_board_can_be_flown() -> None:
    board = load_board("qiki-rpi")
    bad = shown(checklist_view(board, [SECTION]), 100)
    assert "what to do" in bad
    assert bad.splitlines()[-1] == "1 PASS, 1 FAIL, 1 SKIP: qiki-rpi is not ready to be flown"
    good = shown(checklist_view(board, [Section("a", [Check("one", Status.PASS, "x")])]), 100)
    assert good.strip() == "1 PASS: qiki-rpi is ready to be flown"
