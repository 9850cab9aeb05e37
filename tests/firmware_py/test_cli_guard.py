"""``qiki guard``: rules checked as at the start of a flight, contacts of a file judged, refusals with their place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fdir.guard_rules import find_guard_rules, load_guard_rules
from firmware_py.cli.guard import guard_app

RULES = """\
schema_version: 1
rules:
  - id: NEAR
    title: Near [it]
    severity: info
    max_range_m: 10
"""
HEADER = "time_s,track_id,status,range_m,radial_velocity_mps,quality,iff,transponder_on,transponder_mode\n"


def guard(*arguments: object):
    return CliRunner().invoke(guard_app, [str(a) for a in arguments], env={"COLUMNS": "160"})


@pytest.fixture
def contacts(tmp_path: Path):
    """Writes a file of contacts and returns its path."""
    def write(text: str | bytes, name: str = "contacts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def refusal(*arguments: object) -> str:
    """What is said when input is bad, in one line and without the folder; nothing is printed besides."""
    ran = guard(*arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    first = ran.stderr.splitlines()[0]
    assert first.startswith("qiki: ")
    assert len(ran.stderr.splitlines()) == 2
    return re.sub(r"/\S*/", "", first.removeprefix("qiki: "))


# -- check


@pytest.mark.parametrize("command", [[], ["check"], ["evaluate"]])
def test_every_command_has_help_with_examples(command) -> None:
    shown = guard(*command, "--help")
    assert shown.exit_code == 0
    assert "qiki guard" in shown.stdout or not command


def test_a_narrow_terminal_has_every_name_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(guard_app, ["check"]).stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("FOE_TRANSPONDER_OFF_APPROACH"))
    assert re.fullmatch(r"FOE_TRANSPONDER_OFF_APPROACH +critical +safe +0\.\.150 +0", lines[at])
    assert lines[at + 1].strip() == "RADAR_ALERT_FOE_APPROACH"


def test_check_shows_the_rules_that_ship_and_where_each_leads() -> None:
    shown = guard("check")
    assert shown.exit_code == 0
    for line in (
        r"UNKNOWN_CONTACT_CLOSE +critical +safe +present +0\.\.70 +0 +60 +RADAR_ALERT_UNKNOWN_CLOSE",
        r"SPOOFING_DETECTED +warning +readiness +present +0\.\.500 +0 +60 +RADAR_ALERT_SPOOF",
        r"RADAR_SIGNAL_LOSS +warning +readiness +lost +0\.\.300 +2 +10 +RADAR_SIGNAL_LOSS",
        r"COLLISION_THREAT +critical +brake +threat +0\.\.1000 +0 +5 +none",
    ):
        assert re.search(line, shown.stdout)
    assert "good: 5 rules in " in shown.stdout
    assert shown.stdout.endswith(load_guard_rules().digest + "\n")


def test_check_as_json_holds_every_key(rules) -> None:
    shown = guard("check", rules, "--json")
    found = json.loads(shown.stdout)
    assert (shown.exit_code, found["file"], found["digest"]) == (0, str(rules), load_guard_rules(rules).digest)
    assert found["rules"] == [{
        "id": "NEAR", "title": "Near [it]", "severity": "info", "max_range_m": 10.0, "min_range_m": 0.0,
        "description": "", "action_required": "", "fsm_event": None, "iff": None, "require_transponder_on": None,
        "allowed_transponder_modes": [], "min_quality": 0.0, "max_radial_velocity_mps": None, "min_duration_s": 0.0,
        "cooldown_s": 2.0, "hysteresis_m": 0.0, "trigger": "present", "min_frames": 1, "spare_passing": False,
            "leads_to": "none",
    }]


def test_one_rule_is_one_rule(rules) -> None:
    assert f"good: 1 rule in {rules}" in guard("check", rules).stdout


def test_rules_that_are_refused_name_file_line_key_and_what_is_allowed(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULES + "    max_speed: 3\n")
    told = refusal("check", path)
    assert told.startswith("mine.yaml:7: rules[0].max_speed: unknown key; allowed here: id, title, severity, ")
    assert refusal("evaluate", "any.csv", "--rules", path) == told
    assert refusal("check", tmp_path / "none.yaml") == "none.yaml: no such file"


# -- evaluate


def test_contacts_are_judged_and_an_alert_is_exit_code_1(contacts) -> None:
    path = contacts(HEADER + "0,4,,90,-2.5,0.8,unknown,,\n4,4,,70,-2.5,0.8,unknown,,\n5,4,lost\n".replace(
        "5,4,lost", "5,4,lost,,,,,,"))
    shown = guard("evaluate", path)
    assert shown.exit_code == 1
    assert re.search(
        r"4\.000 +critical +UNKNOWN_CONTACT_CLOSE +safe +Unknown contact close: track 4 at 70\.0 m, closing 2\.5 m/s",
        shown.stdout,
    )
    assert "1 alert (1 critical) from 3 contacts and 5 rules" in shown.stdout
    assert "undecided 2: times a rule" in shown.stdout
    assert "--brake not given: threats are told by time and range only" in shown.stdout
    assert "late" not in shown.stdout


def test_no_alert_is_exit_code_0(contacts, rules) -> None:
    shown = guard("evaluate", contacts("time_s,track_id,range_m\n0,1,10.1\n"), "--rules", rules)
    assert (shown.exit_code, shown.stdout) == (0, "no alert from 1 contact and 1 rule\n")


def test_texts_of_rules_are_shown_as_they_are(contacts, rules) -> None:
    shown = guard("evaluate", contacts("time_s,track_id,range_m\n0,1,10\n"), "--rules", rules)
    assert "Near [it]: track 1 at 10.0 m, radial velocity missing" in shown.stdout


def test_json_holds_alerts_and_figures(contacts, rules) -> None:
    path = contacts("time_s,track_id,range_m,quality\n1.5,1,10,0.5\n1.5,2,11,1\n1,1,9,\n")
    shown = guard("evaluate", path, "--rules", rules, "--brake", "1.44", "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout) == {
        "file": str(path), "digest": load_guard_rules(rules).digest, "contacts": 3, "brake_m_s2": 1.44,
        "alerts": [{
            "time_s": 1.5, "event_ns": 1_500_000_000, "rule": "NEAR", "track_id": 1, "severity": "info",
            "fsm_event": None, "trigger": "present", "leads_to": "none",
            "text": "Near [it]: track 1 at 10.0 m, radial velocity missing",
        }],
        "metrics": {
            "active": {"info": 1, "warning": 0, "critical": 0}, "total_by_rule": {"NEAR": 1},
            "total_by_severity": {"info": 1, "warning": 0, "critical": 0}, "tracks": 1, "mean_quality": None,
            "undecided": 0, "late": 1, "clock_steps": 0, "overflow": 0,
        },
    }


def test_an_alert_with_a_code_carries_it(contacts) -> None:
    path = contacts("time_s,track_id,range_m,transponder_mode\n0,1,10,spoof\n")
    found = json.loads(guard("evaluate", path, "--json").stdout)
    assert [(a["fsm_event"], a["leads_to"]) for a in found["alerts"]] == [("RADAR_ALERT_SPOOF", "readiness")]


def test_both_forms_say_the_same(contacts) -> None:
    table = HEADER + "0,4,tracked,60,-2.5,0.8,unknown,false,silent\n\n2,4,coasting,50,,,,TRUE,\n3,,,,,,,,\n"
    lines = [
        {"time_s": 0, "track_id": 4, "status": "tracked", "range_m": 60, "radial_velocity_mps": -2.5, "quality": 0.8,
         "iff": "unknown", "transponder_on": False, "transponder_mode": "silent"},
        {"time_s": 2, "track_id": 4, "status": "coasting", "range_m": 50, "iff": None, "transponder_on": True},
        {"time_s": 3},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    found = []
    for path in (contacts(table), contacts("\ufeff" + table, "bom.csv"), contacts(text, "c.jsonl"),
                 contacts(text, "c.NDJSON")):
        shown = guard("evaluate", path, "--json")
        found.append({**json.loads(shown.stdout), "file": ""})
        assert shown.exit_code == 1
    assert found[0] == found[1] == found[2] == found[3]
    # Coasting is not measured: lost 2 s after it was.
    told = [(a["time_s"], a["rule"]) for a in found[0]["alerts"]]
    assert told == [(0.0, "UNKNOWN_CONTACT_CLOSE"), (2.0, "RADAR_SIGNAL_LOSS")]


def test_a_row_with_a_time_alone_lets_time_go_on(contacts) -> None:
    gone = "time_s,track_id,range_m\n0,1,50\n2,,\n2.1,,\n"
    found = json.loads(guard("evaluate", contacts(gone), "--json").stdout)
    assert [(a["rule"], a["event_ns"]) for a in found["alerts"]] == [("RADAR_SIGNAL_LOSS", 2_000_000_000)]
    assert found["contacts"] == 1


def test_the_brake_makes_a_threat_of_what_is_too_near_to_stop(contacts) -> None:
    rows = "".join(f"{n},1,{400 - 40 * n},-40,1\n" for n in range(3))
    path = contacts("time_s,track_id,range_m,radial_velocity_mps,quality\n" + rows)
    assert guard("evaluate", path).exit_code == 0
    braked = guard("evaluate", path, "--brake", "1.44")
    assert (braked.exit_code, "COLLISION_THREAT" in braked.stdout) == (1, True)
    assert "--brake not given" not in braked.stdout


@pytest.mark.parametrize("brake", ["0", "-1", "nan", "inf"])
def test_a_brake_that_cannot_be_is_refused(contacts, brake) -> None:
    told = refusal("evaluate", contacts("time_s\n0\n"), "--brake", brake)
    assert re.fullmatch(r"brake_m_s2 is \S+; above 0 is allowed", told)


COLUMNS = "time_s, track_id, status, range_m, radial_velocity_mps, quality, iff, transponder_on, transponder_mode"


@pytest.mark.parametrize(("text", "told"), [
    ("", "contacts.csv:1: time_s: no such column; it is needed"),
    ("track_id\n1\n", "contacts.csv:1: time_s: no such column; it is needed"),
    ("time_s\n", "contacts.csv: holds no contacts"),
    ("time_s\n\n , \n", "contacts.csv: holds no contacts"),
    ("time_s,range\n0,1\n", f"contacts.csv:1: range: unknown column; allowed: {COLUMNS}"),
    ("time_s,iff,iff\n", "contacts.csv:1: iff: given twice"),
    ("time_s,track_id\n0,1\n1\n", "contacts.csv:3: has 1 cells; the header has 2"),
    ("time_s,track_id\n0,1,2\n", "contacts.csv:2: has 3 cells; the header has 2"),
    ("time_s,track_id\n,1\n", "contacts.csv:2: Object missing required field `time_s`"),
    ("time_s,track_id\nsoon,1\n", "contacts.csv:2: time_s: Expected `float`, got `str`"),
    ("time_s,track_id\nnan,1\n", "contacts.csv:2: time_s: Expected `float` >= -1000000000.0"),
    ("time_s,track_id\n1e10,1\n", "contacts.csv:2: time_s: Expected `float` <= 1000000000.0"),
    ("time_s,track_id\n0,-1\n", "contacts.csv:2: track_id: Expected `int` >= 0"),
    ("time_s,track_id\n0,1.5\n", "contacts.csv:2: track_id: Expected `int | null`, got `str`"),
    ("time_s,track_id,range_m\n0,1,far\n", "contacts.csv:2: range_m: Expected `float | null`, got `str`"),
    ("time_s,track_id,iff\n0,1,enemy\n",
     "contacts.csv:2: iff: Invalid enum value 'enemy'; allowed: friend, foe, unknown"),
    ("time_s,track_id,status\n0,1,new\n",
     "contacts.csv:2: status: Invalid enum value 'new'; allowed: tentative, tracked, coasting, lost"),
    ("time_s,track_id,transponder_on\n0,1,yes\n",
     "contacts.csv:2: transponder_on: Expected `bool | null`, got `str`; allowed: true, false"),
    ("time_s,track_id,transponder_mode\n0,1,loud\n",
     "contacts.csv:2: transponder_mode: Invalid enum value 'loud'; allowed: off, on, silent, spoof"),
    ("time_s,track_id,range_m\n0,,50\n",
     "contacts.csv:2: track_id: is missing, with range_m given; only time_s may be alone"),
    ('time_s,track_id\n0,"1\n', "contacts.csv:2: is no CSV: unexpected end of data"),
    (b"time_s,track_id\n0,\xff\n", "contacts.csv: is no UTF-8 text: invalid start byte"),
])
def test_bad_csv_is_refused_with_its_place(contacts, text, told) -> None:
    assert refusal("evaluate", contacts(text)) == told


@pytest.mark.parametrize(("text", "told"), [
    ("", "c.jsonl: holds no contacts"),
    ("\n \n", "c.jsonl: holds no contacts"),
    ('{"time_s": 0}\n[1]\n', "c.jsonl:2: Expected `object`, got `array`"),
    ('{"time_s": "0"}\n', "c.jsonl:1: time_s: Expected `float`, got `str`"),
    ('{"time_s": 0, "speed": 1}\n', f"c.jsonl:1: speed: unknown key; allowed: {COLUMNS}"),
    ('{"time_s": 0, "track_id": 9223372036854775808}\n', "c.jsonl:1: track_id: Expected `int` <= 9223372036854775807"),
    ('{"time_s": 0, "track_id": 1, "transponder_on": 1}\n',
     "c.jsonl:1: transponder_on: Expected `bool | null`, got `int`; allowed: true, false"),
    ('{"time_s": 0,\n', "c.jsonl:1: is no JSON object: Input data was truncated"),
    ('{"time_s": NaN}\n', "c.jsonl:1: is no JSON object: JSON is malformed: invalid character (byte 11)"),
])
def test_bad_json_is_refused_with_its_place(contacts, text, told) -> None:
    assert refusal("evaluate", contacts(text, "c.jsonl")) == told


def test_nothing_is_shown_of_a_file_that_goes_bad_after_an_alert(contacts) -> None:
    path = contacts("time_s,track_id,range_m,transponder_mode\n0,1,10,spoof\n1,1,x,spoof\n")
    assert refusal("evaluate", path) == "contacts.csv:3: range_m: Expected `float | null`, got `str`"


@pytest.mark.parametrize(("name", "suffix"), [("c.txt", ".txt"), ("contacts", "no suffix")])
def test_a_form_that_is_not_known_is_refused(contacts, name, suffix) -> None:
    told = refusal("evaluate", contacts("time_s\n0\n", name))
    assert told == f"{name}: {suffix} is not known; allowed: .csv, .jsonl, .ndjson"


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    assert refusal("evaluate", tmp_path / "none.csv") == "none.csv: No such file or directory"
    (tmp_path / "folder.csv").mkdir()
    assert refusal("evaluate", tmp_path / "folder.csv") == "folder.csv: Is a directory"


def test_the_examples_of_the_guide_are_what_the_guard_says(tmp_path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "guard-rules.md").read_text()
    blocks = dict(re.findall(r"<!-- (\S+) -->\n+```\w*\n(.*?)```", guide, re.DOTALL))
    (tmp_path / "my-rules.yaml").write_text(blocks["my-rules.yaml"])
    (tmp_path / "contacts.csv").write_text(blocks["contacts.csv"])
    assert guard("check", tmp_path / "my-rules.yaml").exit_code == 0
    shown = guard("evaluate", tmp_path / "contacts.csv", "--rules", tmp_path / "my-rules.yaml")
    squeezed = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert squeezed == [" ".join(line.split()) for line in blocks["alerts"].splitlines()]
    (tmp_path / "my-rules.yaml").write_text(blocks["my-rules.yaml"].replace("max_range_m", "max_range"))
    told = refusal("check", tmp_path / "my-rules.yaml")
    assert told in blocks["refusal"].replace("\n", " ")


def test_the_guide_names_every_key_of_a_rule() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "guard-rules.md").read_text()
    keys = json.loads(guard("check", find_guard_rules(), "--json").stdout)["rules"][0]
    assert [key for key in keys if f"`{key}`" not in guide and key != "leads_to"] == []
