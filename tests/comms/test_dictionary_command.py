"""``qiki dictionary``: shows, exports and compares, and says what to do where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from comms.dictionary import COMMANDS
from comms.dictionary.export import dictionary_hash
from firmware_py.cli.dictionary import dictionary_app


def qiki(*arguments: str) -> Result:
    return CliRunner().invoke(dictionary_app, list(arguments))


def test_show_counts_and_names_the_hash() -> None:
    shown = qiki("show")
    assert shown.exit_code == 0
    assert dictionary_hash().hex() in shown.output
    counts = json.loads(qiki("show", "--json").output)
    assert counts["commands"] == len(COMMANDS)


@pytest.mark.parametrize(("name", "words"), [
    ("nbl_send", "critical, emergency, non-critical"), ("emcon", "0..3"), ("BAT_LOW", "events: BAT_LOW, id 601"),
    ("hold_deadband_deg", "parameters"), ("ping", "number"), ("guard", "guard_tracks"), ("601", "BAT_LOW"),
    ("t_s", "float64"),
])
def test_show_says_everything_about_a_name(name: str, words: str) -> None:
    shown = qiki("show", name)
    assert shown.exit_code == 0
    assert words in shown.output
    rows = json.loads(qiki("show", name, "--json").output)
    assert all(name in (row["name"], str(row["id"])) for row in rows)


def test_a_name_that_is_none_is_refused_with_what_is_near() -> None:
    shown = qiki("show", "battery")
    assert shown.exit_code == 2
    assert "nothing is called 'battery'" in shown.output
    assert "battery_current_a" in shown.output
    assert "export --format markdown" in qiki("show", "xyzzy").output


def test_every_format_is_what_it_is_called(tmp_path: Path) -> None:
    assert json.loads(qiki("export").output)["hash"] == dictionary_hash().hex()
    assert json.loads(qiki("export", "--format", "schema").output)["title"] == "command"
    root = ElementTree.fromstring(qiki("export", "--format", "xtce").output)
    assert root.tag.endswith("}SpaceSystem")
    assert qiki("export", "--format", "markdown").output.startswith("# Dictionary\n")
    path = tmp_path / "dictionary.json"
    assert qiki("export", "--output", str(path)).exit_code == 0
    assert path.read_text("utf-8") == qiki("export").output
    assert qiki("export", "--output", str(tmp_path / "none" / "x")).exit_code == 2


def test_diff_answers_with_its_exit_code(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    assert qiki("export", "--output", str(old)).exit_code == 0
    same = qiki("diff", str(old))
    assert (same.exit_code, same.output) == (0, "0 differences, 0 incompatible\n")
    tables = json.loads(old.read_text("utf-8"))
    tables["layouts"][0]["rate_hz"] = 99.0
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(tables), encoding="utf-8")
    assert qiki("diff", str(old), str(wider)).exit_code == 0
    tables["commands"][0]["id"] = 900
    other = tmp_path / "other.json"
    other.write_text(json.dumps(tables), encoding="utf-8")
    told = qiki("diff", str(old), str(other))
    assert told.exit_code == 1
    assert told.output.startswith("INCOMPATIBLE  commands: idle: id 1 is now 900\ncompatible    layouts: motion")
    as_json = qiki("diff", str(old), str(other), "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["compatible"] is False


@pytest.mark.parametrize("content", ["", "[]", "5", "{}", '{"format": 1}', "[" * 100_000, "\x00"])
def test_a_file_that_is_no_dictionary_is_bad_input(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    told = qiki("diff", str(path))
    assert told.exit_code == 2
    assert told.output.startswith("qiki: ")


def test_a_file_that_is_not_there_or_not_text_is_bad_input(tmp_path: Path) -> None:
    assert qiki("diff", str(tmp_path / "none.json")).exit_code == 2
    path = tmp_path / "bytes.json"
    path.write_bytes(b"\xff\xfe{}")
    assert qiki("diff", str(path)).exit_code == 2
