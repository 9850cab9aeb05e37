"""What is exported: complete, with a hash that moves with meaning alone, and a schema that judges as the craft does."""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import COMMANDS, EVENT_IDS, EVENT_NAMES, LAYOUTS, TELEMETRY, CommandRefused, validate
from comms.dictionary.compare import Difference, compare
from comms.dictionary.events import SEVERITY_IDS, STAGE_IDS
from comms.dictionary.export import canonical, dictionary, dictionary_hash, hash_of, without_texts
from comms.dictionary.json_schema import command_schema
from comms.dictionary.markdown import markdown
from comms.dictionary.messages import MESSAGES
from comms.parameters import PARAMETERS
from fdir.codes import Code, Severity
from fdir.lifecycle import Stage
from firmware_py.scheduler import EventCode
from tests.comms.test_dictionary_wire import allowed

BASELINE = Path(__file__).resolve().parents[2] / "comms" / "dictionary" / "baseline.json"
RENEW = "meant so? then: qiki dictionary export --output comms/dictionary/baseline.json"
TABLES = dictionary()


def changed(table: str, name: str, /, **keys: Any) -> dict[str, Any]:
    """The dictionary with one row changed."""
    tables = copy.deepcopy(TABLES)
    for row in tables[table]:
        if row["name"] == name:
            row.update(keys)
    return tables


def argument(command: str, place: int, /, **keys: Any) -> dict[str, Any]:
    """The dictionary with one argument changed."""
    tables = copy.deepcopy(TABLES)
    (row,) = [row for row in tables["commands"] if row["name"] == command]
    row["arguments"][place].update(keys)
    return tables


def arguments(command: str, change: Any) -> dict[str, Any]:
    """The dictionary with the list of a command's arguments changed."""
    tables = copy.deepcopy(TABLES)
    (row,) = [row for row in tables["commands"] if row["name"] == command]
    row["arguments"] = change(row["arguments"])
    return tables


# -- events


def test_every_code_has_an_id_of_its_own() -> None:
    assert set(map(str, (*Code, *EventCode))) <= set(EVENT_IDS), "give it the next free id of its hundred"
    assert len(EVENT_NAMES) == len(EVENT_IDS)
    assert all(100 < number < 0xFFFF for number in EVENT_IDS.values())
    assert set(SEVERITY_IDS) == set(map(str, Severity))
    assert set(STAGE_IDS) == set(map(str, Stage))
    assert sorted(STAGE_IDS.values()) == list(range(len(Stage)))


# -- against what was given out before


def test_nothing_that_was_given_out_has_changed_its_meaning() -> None:
    broken = [row for row in compare(json.loads(BASELINE.read_text("utf-8")), TABLES) if not row.compatible]
    assert broken == [], RENEW


def test_the_baseline_is_the_dictionary_of_today() -> None:
    assert compare(json.loads(BASELINE.read_text("utf-8")), TABLES) == (), RENEW


@pytest.mark.parametrize(("new", "words", "compatible"), [
    (changed("commands", "hold", id=99), "id 3 is now 99", False),
    (changed("commands", "hold", id=4), "id 4 was that of slew", False),
    (changed("commands", "hold", name="stay"), "id 3 is gone", False),
    (changed("commands", "hold", authority="safety"), "authority controller is now safety", False),
    (changed("commands", "hold", authority="viewer"), "authority controller is now viewer", True),
    (changed("commands", "hold", **{"class": "brake"}), "is now brake", False),
    (changed("commands", "slew", one_of=[]), "one_of", False),
    (argument("emcon", 0, low=1.0), "low 0.0 is now 1.0", False),
    (argument("emcon", 0, high=2.0), "high 3.0 is now 2.0", False),
    (argument("emcon", 0, high=4.0), "high 3.0 is now 4.0", True),
    (argument("emcon", 0, low=None), "low 0.0 is now None", True),
    (argument("load", 0, high=5.0), "high None is now 5.0", False),
    (argument("emcon", 0, kind="number"), "kind whole number is now number", False),
    (argument("telemetry_rate", 1, unit="1/min"), "unit Hz is now 1/min", False),
    (argument("nbl_send", 0, choices=["distress"]), "choices no longer: minimal_state, beacon, command_ack", False),
    (argument("nbl_send", 1, choices=["critical", "emergency", "non-critical", "x"]), "choices more: x", True),
    (argument("load", 0, choices=["radar"]), "choices no longer: any", False),
    (argument("nbl_set", 1, required=True), "is now needed", False),
    (argument("nbl_set", 0, required=False), "is no longer needed", True),
    (argument("nbl_set", 1, name="most_w"), "argument 2 was max_w and is now most_w", False),
    (arguments("nbl_set", lambda rows: rows[:1]), "argument max_w is gone", False),
    (arguments("nbl_set", lambda rows: rows[::-1]), "argument 1 was enabled and is now max_w", False),
    (arguments("ping", lambda rows: [*rows, {**rows[0], "name": "x"}]), "argument x is new and needed", False),
    (arguments("ping", lambda rows: [*rows, {**rows[0], "name": "x", "required": False}]), "new and optional", True),
    (argument("burn", 0, fields=TABLES["commands"][13]["arguments"][0]["fields"][:2]), "key direction is gone", False),
    (argument("burn", 0, fields=[*TABLES["commands"][13]["arguments"][0]["fields"],
                                 {**TABLES["commands"][48]["arguments"][0], "required": False}]), "key number", False),
    (changed("telemetry", "t_s", unit="min"), "unit s is now min", False),
    (changed("telemetry", "t_s", form="float32"), "form float64 is now float32", False),
    (changed("telemetry", "t_s", kind="text"), "kind number is now text", False),
    (changed("telemetry", "t_s", text="other words"), "", True),
    (changed("layouts", "guard", id=5), "is now 5", False),
    (changed("layouts", "guard", channels=["guard_tracks"]), "channels", False),
    (changed("layouts", "guard", rate_hz=9.0), "rate_hz 1.0 is now 9.0", True),
    (changed("events", "BAT_LOW", id=699), "id 601 is now 699", False),
    (changed("parameters", "command_loss_s", low=100.0), "low 60.0 is now 100.0", False),
    (changed("parameters", "command_loss_s", default=700.0), "default 600.0 is now 700.0", True),
    (changed("parameters", "command_loss_s", kind="integer"), "kind number is now integer", False),
    (changed("parameters", "command_loss_s", effect="next start"), "effect", True),
    (changed("messages", "ping", fields=[]), "fields", False),
    ({**TABLES, "format": 2}, "1 is now 2", False),
    ({**TABLES, "stages": {**TABLES["stages"], "allowed": 9}}, "2 is now 9", False),
    ({**TABLES, "stages": {**TABLES["stages"], "new": 2}}, "new, 2", False),
    ({**TABLES, "severities": {**TABLES["severities"], "worst": 3}}, "new, 3", True),
    ({**TABLES, "events": [*TABLES["events"], {"id": 650, "name": "NEW", "text": ""}]}, "new, id 650", True),
    ({**TABLES, "telemetry": TABLES["telemetry"][:-1]}, "id 111 is gone", False),
])
def test_every_kind_of_change_is_told_and_judged(new: dict[str, Any], words: str, compatible: bool) -> None:
    differences = compare(TABLES, new)
    assert all(row.compatible for row in differences) is compatible
    if words:
        assert any(words in row.what for row in differences), differences
    else:
        assert differences == ()


@pytest.mark.parametrize("other", [{}, {"format": 1}, {**TABLES, "commands": 5}, {**TABLES, "commands": [{"id": 1}]}])
def test_what_is_no_dictionary_is_said_to_be_none(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no dictionary"):
        compare(TABLES, other)
    assert compare(TABLES, TABLES) == ()
    assert Difference("a", "b", True).compatible


# -- the export


def test_everything_declared_is_exported() -> None:
    assert [row["name"] for row in TABLES["commands"]] == list(COMMANDS)
    assert [row["id"] for row in TABLES["telemetry"]] == [channel.id for channel in TELEMETRY]
    assert [row["name"] for row in TABLES["layouts"]] == list(LAYOUTS)
    assert {row["name"]: row["id"] for row in TABLES["events"]} == EVENT_IDS
    assert [row["id"] for row in TABLES["parameters"]] == [parameter.id for parameter in PARAMETERS]
    assert [row["id"] for row in TABLES["messages"]] == list(MESSAGES)
    assert json.loads(json.dumps(TABLES, allow_nan=False)) == TABLES


def test_the_hash_covers_meaning_and_not_words() -> None:
    assert hash_of(TABLES) == dictionary_hash() == bytes.fromhex(TABLES["hash"])
    assert dictionary({"BAT_LOW": "other words"})["hash"] == TABLES["hash"]
    assert hash_of(changed("telemetry", "t_s", text="other words")) == dictionary_hash()
    for other in (changed("telemetry", "t_s", unit="min"), argument("emcon", 0, high=4.0), {**TABLES, "format": 2}):
        assert hash_of(other) != dictionary_hash()
    plain = json.dumps(without_texts(TABLES), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(without_texts(TABLES)) == plain
    assert sha256(plain).digest() == dictionary_hash()


def test_the_page_names_everything() -> None:
    page = markdown(dictionary({"BAT_LOW": "battery | low"}))
    for row in (row for rows in TABLES.values() if isinstance(rows, list) for row in rows):
        assert f"| {row['id']} | `{row['name']}` |" in page
    assert "battery \\| low" in page


# -- the schema of a command

SCHEMA = command_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", list(COMMANDS))
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_what_the_dictionary_allows_the_schema_allows(name: str, data: st.DataObject) -> None:
    given_values = data.draw(allowed(COMMANDS[name]))
    instance = json.loads(json.dumps({"name": name, "arguments": given_values, "number": 1, "priority": "urgent"}))
    validate(name, instance["arguments"])
    VALIDATOR.validate(instance)


SEGMENT = {"duration_s": 1, "level_pct": 40, "direction": "+x"}


@pytest.mark.parametrize(("name", "given_values"), [
    ("fly", {}), ("idle", {"speed": 1}), ("translate", {}), ("translate", {"vector_m": [1, 2]}),
    ("translate", {"vector_m": [1, 2, 6000]}), ("translate", {"vector_m": [1, 2, 3], "frame": "moon"}),
    ("translate", {"vector_m": "far"}), ("slew", {}), ("slew", {"axis": [1, 0, 0]}), ("emcon", {"level": 1.5}),
    ("slew", {"attitude": [1, 0, 0, 0], "axis": [1, 0, 0]}), ("emcon", {"level": 4}), ("emcon", {"level": "1"}),
    ("nbl_set", {"enabled": 1}), ("sequence_load", {"name": ""}), ("sequence_load", {"name": "x" * 65}),
    ("burn", {}), ("burn", {"segments": []}), ("burn", {"segments": [SEGMENT] * 17}),
    ("burn", {"segments": [SEGMENT], "frame": "body"}), ("burn", {**SEGMENT, "segments": [SEGMENT]}),
    ("burn", {"segments": [{**SEGMENT, "angle": 5}]}), ("burn", {"segments": [{**SEGMENT, "direction": "up"}]}),
])
def test_what_the_dictionary_refuses_the_schema_refuses(name: str, given_values: dict[str, Any]) -> None:
    with pytest.raises(CommandRefused):
        validate(name, given_values)
    assert not VALIDATOR.is_valid({"name": name, "arguments": given_values})


@pytest.mark.parametrize("instance", [
    {"name": "hold", "number": -1}, {"name": "hold", "number": 2**32}, {"name": "hold", "extra": 1}, {}, [],
    {"name": "emcon"}, {"name": "hold", "priority": "loud"}, {"name": "hold", "not_after_ms": 0.5},
])
def test_what_goes_with_a_command_is_judged_too(instance: Any) -> None:
    assert not VALIDATOR.is_valid(instance)
    assert VALIDATOR.is_valid({"name": "hold"})
