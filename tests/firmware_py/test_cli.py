"""The command line: help at once, clear refusals with exit code 2, and a black box that can be used again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_py.cli.main import app

runner = CliRunner()


def qiki(*arguments: str):
    return runner.invoke(app, list(arguments))


@pytest.mark.parametrize(
    "command", [[], ["run"], ["hil", "run"], ["report"], ["export"], ["replay"], ["replay-log"], ["doctor"], ["docs"]]
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    shown = qiki(*command, "--help")
    assert shown.exit_code == 0
    assert "qiki" in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--mission", "no-such"], "shipped: "),
        (["run", "--body", "no-such"], "qiki-t"),
        (["run", "--board", "no-such"], "qiki-rpi"),
        (["hil", "run", "no-such"], "first-flight"),
        (["report", "missing.mcap"], "does not exist"),
        (["export", "missing.mcap", "--csv"], "does not exist"),
        (["export", "missing.mcap"], "--csv"),
        (["replay", "missing.mcap"], "does not exist"),
        (["doctor", "--board", "no-such"], "qiki-rpi"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    if arguments[0] in ("run", "hil"):
        arguments = [*arguments, "--output", str(tmp_path)]
    refused = qiki(*arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_flown_scenario_can_be_reported_exported_and_replayed(tmp_path: Path) -> None:
    flown = qiki("hil", "run", "hash-mismatch", "--json", "--output", str(tmp_path))
    result = json.loads(flown.stdout)
    assert flown.exit_code == 0
    assert result["holds"] is True
    folder = result["folder"]
    assert qiki("report", folder).exit_code == 0
    assert (Path(folder) / "report.html").read_text().startswith("<!doctype html>")
    assert qiki("export", folder, "--csv").exit_code == 0
    assert (Path(folder) / "csv" / "snapshot.csv").exists()
    replayed = json.loads(qiki("replay", folder, "--json").stdout)
    assert replayed["identical"] is True
    assert replayed["commands_compared"] > 0


def test_a_cut_black_box_is_read_and_its_damage_told(tmp_path: Path) -> None:
    flown = json.loads(qiki("hil", "run", "hash-mismatch", "--json", "--output", str(tmp_path)).stdout)
    whole = (Path(flown["folder"]) / "flight.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) // 2])
    exported = qiki("export", str(cut), "--csv")
    assert exported.exit_code == 0
    assert "damaged" in exported.stderr
    cut.write_bytes(b"")
    assert qiki("export", str(cut), "--csv").exit_code == 2
