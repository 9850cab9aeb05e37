"""The command line: help at once, clear refusals with exit code 2, and a black box that can be used again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from firmware_py.cli.main import app

runner = CliRunner()


def qiki(*arguments: str):
    return runner.invoke(app, list(arguments))


def leaves(command: Any, *words: str) -> Iterator[list[str]]:
    """Words of every command that does something."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from leaves(below, *words, name)
    else:
        yield list(words)


def test_the_commands_are_these() -> None:
    groups: dict[str, set[str]] = {}
    for words in leaves(get_command(app)):
        groups.setdefault(words[0] if len(words) > 1 else "", set()).add(words[-1])
    assert groups == {
        "": {"run", "report", "export", "replay", "replay-log", "doctor", "probe", "chip", "docs", "shell",
             "version", "fly", "install", "uninstall"},
        "perception": {"check", "export", "query", "replay", "serve", "show"},
        "record": {"serve"},
        "audit": {"show", "verify"},
        "dictionary": {"diff", "export", "show"},
        "hil": {"campaign", "list", "run"},
        "body": {"list", "show"},
        "energy": {"faults", "fly", "forecast"},
        "faults": {"check", "show"},
        "guard": {"check", "evaluate"},
        "keys": {"export", "new", "pair", "pin", "revoke", "rotate", "show"},
        "link": {
            "campaign", "command", "compile", "connect", "gateway", "get", "list", "put", "renew", "serve", "watch",
        },
        "params": {"activate", "list", "rollback", "set", "show"},
        "rig": {"serve"},
    }


@pytest.mark.parametrize("command", list(leaves(get_command(app))), ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    shown = qiki(*command, "--help")
    assert shown.exit_code == 0
    _, _, below_options = shown.output.rpartition("\u2570")
    assert f"qiki {' '.join(command)}" in below_options


@pytest.mark.parametrize("group", [[], ["hil"], ["body"], ["energy"], ["faults"], ["guard"], ["params"]])
def test_a_group_alone_says_what_there_is(group: list[str]) -> None:
    shown = qiki(*group, "--help")
    assert shown.exit_code == 0
    below = {words[len(group)] for words in leaves(get_command(app)) if words[: len(group)] == group}
    assert all(name in shown.output for name in below)


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
        (["hil", "campaign", "--case", "no-such"], "no-such"),
        (["faults", "show", "--body", "no-such"], "qiki-t"),
        (["faults", "check", "missing.yaml"], "missing.yaml"),
        (["guard", "check", "missing.yaml"], "missing.yaml"),
        (["params", "set", "no-such", "1"], "no-such"),
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
