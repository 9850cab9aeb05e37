"""``qiki hil campaign``: refusals with exit code 2, one run that repeats to the byte, workers that agree with it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from firmware_py.cli.campaign.cases import parse_case
from firmware_py.cli.campaign.conduct import Failure, Flown, Mode, NominalFlown, Order
from firmware_py.cli.campaign.nominal import Alarm, NominalFlight, NominalOutcome, nominal_flights, nominal_mission
from firmware_py.cli.campaign.pool import Setup, Workshop, fly_all
from firmware_py.cli.campaign.results import totals
from firmware_py.cli.campaign.rows import RowTime
from firmware_py.cli.campaign.tables import nominal_page, outcome_page, summary_page
from firmware_py.cli.main import app
from firmware_py.cli.session import check_mission
from firmware_py.mission import load_mission
from hal.profile import load_profile
from tests.firmware_py.campaign_outcomes import breach, outcome

runner = CliRunner()
EARLY = "nozzle_off.3@0.500+soc_supercap_full@0.700:4"


def campaign(*arguments: str):
    return runner.invoke(app, ["hil", "campaign", *arguments])


def printed(page: object) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(page)
    return console.export_text()


def test_help_shows_examples() -> None:
    shown = campaign("--help")
    assert shown.exit_code == 0
    assert "qiki hil campaign --slice 10" in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one of --singles"), (["--singles", "--pairs"], "give one of"), (["--slice", "0"], "above 0"),
        (["--nominal", "-1"], "above 0"), (["--case", "eclipse@1"], "colon and a seed"),
        (["--case", "gremlin@1:1"], "no fault 'gremlin'"), (["--singles", "--only", "gremlin"], "gremlin"),
        (["--singles", "--mission", "no-such"], "no-such"), (["--pairs", "--body", "no-such"], "qiki-t"),
        (["--list", "--board", "no-such"], "qiki-rpi"), (["--singles", "--seed", " "], "--seed is empty"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    refused = campaign(*arguments, "--output", str(tmp_path))
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_fault_can_be_listed() -> None:
    lines = campaign("--list").output.splitlines()
    assert any(line.startswith("nozzle_off.3 ") and "world" in line for line in lines)
    rows = json.loads(campaign("--list", "--only", "cpu_late", "--json").output)
    assert {row["kind"] for row in rows} == {"cpu_late"}


def test_one_run_repeats_to_the_byte_and_tells_what_it_found(tmp_path: Path) -> None:
    told = []
    for name in ("one", "two"):
        flown = campaign("--case", EARLY, "--json", "--output", str(tmp_path / name))
        assert flown.exit_code == 0, flown.output
        told.append(json.loads(flown.output))
    boxes = [Path(one["paths"]["black box"]).read_bytes() for one in told]
    assert boxes[0] == boxes[1]
    rows = [json.loads(Path(one["paths"]["results"]).read_text(encoding="utf-8")) for one in told]
    assert rows[0]["phases"] == ["boot", "boot"]
    assert {k: v for k, v in rows[0].items() if k != "cpu_s"} == {k: v for k, v in rows[1].items() if k != "cpu_s"}


def test_workers_give_what_one_process_gives_in_the_order_of_the_cases() -> None:
    workshop = Workshop.load(Setup())
    cases = [parse_case(text, workshop.entries) for text in ("process_kill.for_good@0.300:1", "eclipse@0.200:2")]
    flown = list(fly_all(cases, Setup(), 2))
    assert [o.case for o in flown] == [str(case) for case in cases]
    alone = workshop.fly(cases[0])
    assert {k: v for k, v in flown[0].row().items() if k != "cpu_s"} == {
        k: v for k, v in alone.row().items() if k != "cpu_s"
    }


def test_nominal_flights_reach_their_hours_with_their_seeds() -> None:
    flights = list(nominal_flights(2.0, 10, 100))
    assert {flight.seed for flight in flights} == set(range(100, 110))
    assert len({str(flight) for flight in flights}) == len(flights)


def test_a_nominal_mission_follows_from_its_kind_and_seed_and_can_be_flown() -> None:
    base, profile = load_mission("campaign-mission"), load_profile("qiki-t", "qiki-rpi")
    for kind in ("campaign", "turns", "moves", "sun", "still"):
        mission = nominal_mission(NominalFlight(kind, 3), base)
        check_mission(mission, profile)
        assert mission.faults == ()
        assert mission == nominal_mission(NominalFlight(kind, 3), base) != nominal_mission(NominalFlight(kind, 4), base)


def test_the_summary_names_every_failure_and_what_survived_against_hope() -> None:
    lost = outcome("eclipse", breaches=(breach(text="nozzle 3: minimum"),))
    runs = (lost, outcome("dead.imu", waived=("no valve can be driven",)))
    flown = Flown(Order(Mode.PAIRS), runs, totals(runs), (Failure(lost, lost.case, "again"),), {"page": "m.html"}, 1.0)
    text = printed(summary_page(flown))
    assert "1 of 2 survived" in text
    assert "pulse rule broken: nozzle 3: minimum" in text
    assert "no valve can be driven" in text
    assert "m.html" in text


def test_one_run_is_shown_with_goal_and_rows() -> None:
    entries = Workshop.load(Setup()).entries
    run = outcome("dead.imu", detected_s=(0.08,), rows=(RowTime("imu-silent", 0.095, None),))
    text = printed(outcome_page(run, entries))
    assert "0.080 s" in text
    assert f"{entries['dead.imu'].goal_s:g} s" in text
    assert "tripped after 95 ms, stood to the end" in text


def test_alarms_of_flights_without_faults_are_named() -> None:
    alarm = Alarm(12.5, "SENSOR_STALE", "warning", "mag")
    flown = NominalFlown((NominalOutcome("sun:1", 600.0, 50.0, (alarm,), 3),), (("sun:1", alarm),), 0.17, 1, 12.0, {})
    text = printed(nominal_page(flown))
    assert "sun:1" in text
    assert "SENSOR_STALE" in text
    assert json.loads(json.dumps(flown.as_dict()))["alarms"][0]["t_s"] == 12.5
