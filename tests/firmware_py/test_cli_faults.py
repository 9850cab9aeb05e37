"""``qiki faults``: what a craft watches for, and tables that are refused with the row named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fdir.fault_table import find_fault_table
from firmware_py.cli.faults import faults_app

SHIPPED = find_fault_table().read_text(encoding="utf-8")


def ask(*arguments: str):
    return CliRunner().invoke(faults_app, list(arguments))


def test_the_shipped_table_is_good() -> None:
    answer = ask("check", str(find_fault_table()))
    assert answer.exit_code == 0, answer.output
    assert "nothing wrong; sha256:" in answer.output


def test_show_gives_limits_of_the_body_in_numbers() -> None:
    rows = {row["fault"]: row for row in json.loads(ask("show", "--json").output)}
    assert rows["bus-under-voltage"]["limit"] == pytest.approx(22.0)
    assert rows["rate-runaway"]["limit"] == pytest.approx(0.4363, abs=1e-4)
    assert rows["profile-differs"]["limit"] is None
    assert rows["imu-silent"]["recovery"][0]["step"] == "redundant"


def test_show_is_a_table_for_people() -> None:
    answer = ask("show", "--body", "gref", "--board", "qiki-rpi")
    assert answer.exit_code == 0, answer.output
    assert "rate-runaway" in answer.output


@pytest.mark.parametrize(("old", "new", "said"), [
    ("monitor: bus_voltage,", "monitor: bus_volts,", "there is no monitor 'bus_volts'"),
    ("scenario: runaway}", "scenario: nowhere}", "there is no scenario 'nowhere'"),
    ("limit: body.runaway_rad_s", "limit: -4", "is -4; 0 .. "),
    ("detect_within_ms: 110", "detect_within_ms: 90", "from 105 on"),
])
def test_a_table_that_is_wrong_is_refused_with_its_row_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in SHIPPED
    path = tmp_path / "faults.yaml"
    path.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    answer = ask("check", str(path))
    assert answer.exit_code == 2
    assert f"{path}:" in answer.output
    assert "faults[" in answer.output
    assert said in answer.output


def test_a_circle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    text = SHIPPED.replace("scenario: hot-case}", "scenario: hot-case, after: [node-critical]}", 1)
    path.write_text(text.replace("scenario: node-critical}", "scenario: node-critical, after: [node-hot]}", 1))
    answer = ask("check", str(path))
    assert answer.exit_code == 2
    assert "goes round" in answer.output


def test_scenarios_beside_the_table_count(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(SHIPPED.replace("scenario: runaway}", "scenario: mine}", 1), encoding="utf-8")
    assert ask("check", str(path)).exit_code == 2
    (tmp_path / "mine.yaml").write_text("", encoding="utf-8")
    assert ask("check", str(path)).exit_code == 0


@pytest.mark.parametrize("arguments", [("show", "--body", "nobody"), ("check", "/nowhere/faults.yaml")])
def test_what_is_not_there_is_named(arguments: tuple[str, ...]) -> None:
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert arguments[-1] in answer.output
