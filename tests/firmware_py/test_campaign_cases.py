"""One word names one run: what it says comes back, and what it cannot mean is refused with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.cli.campaign.cases import Case, CaseError, Injection, mission_of, parse_case, scenario_text
from firmware_py.cli.campaign.catalogue import catalogue
from firmware_py.cli.campaign.plan import pairs
from firmware_py.cli.session import check_mission
from firmware_py.mission import load_mission
from hal.profile import load_profile

PROFILE = load_profile("qiki-t", "qiki-rpi")
ENTRIES = catalogue(PROFILE)
BASE = load_mission("campaign-mission")


@pytest.mark.parametrize("text", ["nominal:3", "nozzle_off.3@12.350:7", "nozzle_off.3@12.350+dead.imu@20.000:7"])
def test_a_case_is_its_own_word(text: str) -> None:
    assert str(parse_case(text, ENTRIES)) == text


def test_every_planned_case_comes_back_from_its_word() -> None:
    for case in list(pairs(ENTRIES, 1))[:200]:
        assert parse_case(str(case), ENTRIES) == case


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nozzle_off.3@12.35", "ends with a colon and a seed"), ("nozzle_off.3@1:x", "seed"),
        ("nozzle_off.3@1:-1", "seed"), ("nozzle_off.3@1:4294967296", "4294967295"), ("nozzle_off.3:1", "name@seconds"),
        ("nozzle_off.99@1:1", "near: nozzle_off.0"), ("gremlin@1:1", "--list"), ("eclipse@soon:1", "no number"),
        ("eclipse@-1:1", "0 to 10000"), ("eclipse@nan:1", "0 to 10000"), ("eclipse@1+:1", "name@seconds"), ("", "seed"),
    ],
)
def test_what_is_no_case_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(CaseError, match=words):
        parse_case(text, ENTRIES)


def test_the_mission_of_a_case_has_its_faults_and_its_seed() -> None:
    mission = mission_of(parse_case("dead.imu@5.000+disturbance_torque.x@9.000:4", ENTRIES), ENTRIES, BASE)
    assert mission.seed == 4
    assert [(fault.kind, fault.at_s, fault.for_s) for fault in mission.faults] == [
        ("bus_fault", 5.0, None), ("disturbance", 9.0, ENTRIES["disturbance_torque.x"].for_s),
    ]


def test_every_fault_makes_a_mission_that_the_rig_takes() -> None:
    for name in ENTRIES:
        check_mission(mission_of(Case((Injection(name, 1.0),), 1), ENTRIES, BASE), PROFILE)


def test_a_failing_case_becomes_a_scenario_that_loads(tmp_path: Path) -> None:
    case = parse_case("nozzle_off.3@12.350+cpu_late.2_ticks@20.000:7", ENTRIES)
    path = tmp_path / "kept.yaml"
    path.write_text(scenario_text(case, ENTRIES, BASE, "campaign-001", "why"), encoding="utf-8")
    kept = load_mission(str(path))
    assert kept.seed == 7
    assert kept.faults == mission_of(case, ENTRIES, BASE).faults
    assert kept.steps == BASE.steps
    assert path.read_text(encoding="utf-8").startswith("# Kept by the fault campaign. Repeat: qiki hil campaign --case")
