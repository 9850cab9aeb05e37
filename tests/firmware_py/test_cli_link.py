"""``qiki link``: what its commands print, how they end, and both processes of a craft together on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from comms.dictionary import Authority
from comms.link.sequence_file import load_compiled
from firmware_py.cli import keys_locks, link_station
from firmware_py.cli.link import link_app
from firmware_py.cli.main import app
from tests.firmware_py.link_craft import CRAFT, LoneCraft


def at(craft: LoneCraft, monkeypatch: pytest.MonkeyPatch) -> LoneCraft:
    """Commands from now on open this craft's operator's keys, and wait in its time."""
    monkeypatch.setattr(keys_locks, "open_keys", lambda *_: craft.operator)
    monkeypatch.setattr(
        link_station, "Station", partial(link_station.Station, clock=craft.clock, sleep=craft.sleep)
    )
    return craft


@pytest.fixture
def craft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoneCraft]:
    craft = at(LoneCraft(tmp_path), monkeypatch)
    yield craft
    craft.close()


def run(craft: LoneCraft, *words: str, columns: int = 80) -> Any:
    return CliRunner().invoke(link_app, [*words, "--to", craft.to], env={"COLUMNS": str(columns)})


# -- connecting


def test_connect_tells_who_is_there(craft: LoneCraft) -> None:
    result = run(craft, "connect")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{CRAFT} answers"
    assert re.fullmatch(r"  time since its start   \d+\.\d+ s", lines[1])
    assert lines[2] == "  number of its start    1"
    assert lines[4] == "  dictionary             the same as here"


def test_connect_as_json(craft: LoneCraft) -> None:
    told = json.loads(run(craft, "connect", "--json").output)
    assert (told["craft"], told["start"], told["same_dictionary"]) == (CRAFT, 1, True)
    assert told["time_s"] > 0.0


def test_nobody_there_is_an_error_with_a_next_step(craft: LoneCraft) -> None:
    craft.mute = True
    result = run(craft, "connect", "--wait", "2")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"qiki: {CRAFT} does not answer" in result.stderr
    assert "paired" in result.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("connect", "--modem", "uhf_9k6"), "modems of that kind: lan"), (("connect", "--craft", "x"), "'x'"),
        (("watch", "soc_batery"), "no channel 'soc_batery'"), (("command", "hld"), "no command 'hld'"),
        (("command", "slew", "axis=0,0,1"), "slew"), (("command", "hold", "--priority", "now"), "allowed: normal"),
        (("files", "put", "there-is-none"), "No such file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(craft: LoneCraft, words: tuple[str, ...], error: str) -> None:
    result = run(craft, *words)
    assert result.exit_code == 2
    assert error in result.stderr
    assert craft.now == 0


# -- commands


def test_a_command_tells_its_life_up_to_its_verdict(craft: LoneCraft) -> None:
    result = run(craft, "command", "hold")
    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.output.splitlines()][:2] == ["requested", "allowed"]


def test_with_effect_it_waits_for_the_end(craft: LoneCraft) -> None:
    result = run(craft, "command", "--effect", "slew", "axis=0,0,1", "angle_deg=20")
    assert result.exit_code == 0
    assert "effect_confirmed" in result.output
    assert "EFFECT_CONFIRMED: telemetry shows that a command had its effect" in result.output


def test_a_refusal_of_the_craft_is_told_with_its_reason(craft: LoneCraft) -> None:
    craft.answers["hold"] = ("ORIENTATION_LOST",)
    result = run(craft, "command", "hold")
    assert result.exit_code == 1
    assert "rejected\n    ORIENTATION_LOST: " in result.output
    told = json.loads(run(craft, "command", "hold", "--json").output)
    assert (told["verdict"], told["codes"]) == ("rejected", ["ORIENTATION_LOST"])


def test_a_command_that_must_be_confirmed_says_how(craft: LoneCraft) -> None:
    craft.answers["hold"] = ("CMD_CONFIRMATION_REQUIRED",)
    result = run(craft, "command", "hold")
    assert result.exit_code == 1
    assert "to confirm it: --yes" in result.stderr


def test_a_refusal_of_the_link_is_told_without_a_flight_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    craft = at(LoneCraft(tmp_path, role=Authority.VIEWER), monkeypatch)
    result = run(craft, "command", "hold")
    assert result.exit_code == 1
    assert "refused by the link  CMD_UNAUTHORIZED" in result.output
    craft.close()


def test_without_an_answer_it_ends_at_its_time(craft: LoneCraft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(craft, "_take", lambda *_: None)
    result = run(craft, "command", "hold", "--wait", "3")
    assert result.exit_code == 1
    assert "no answer within 3 s" in result.stderr


# -- watching


def test_watch_prints_a_line_of_json_for_every_frame(craft: LoneCraft) -> None:
    result = run(craft, "watch", "soc_battery", "--for", "3", "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert len(lines) >= 4
    assert all(line["values"] == {"soc_battery": pytest.approx(0.9, abs=0.01)} for line in lines)


def test_watch_without_a_terminal_shows_how_it_stood_at_the_end(craft: LoneCraft) -> None:
    result = run(craft, "watch", "motion", "sun_body", "--for", "2")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith(f"{CRAFT}: connected")
    assert lines[1].split()[:2] == ["motion", "Idle"]
    assert "missing" in lines[2]
    assert len(lines) <= 3 + 8


def test_ctrl_c_ends_watching_well(craft: LoneCraft, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = craft.sleep

    def interrupted(seconds: float) -> None:
        if craft.now > 2_000_000_000:
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr(link_station, "Station", partial(link_station.Station, sleep=interrupted))
    assert run(craft, "watch", "motion").exit_code == 0


# -- files


def test_files_are_put_listed_and_got(craft: LoneCraft, tmp_path: Path) -> None:
    file = tmp_path / "notes of today.bin"
    file.write_bytes(bytes(range(256)) * 40)
    result = run(craft, "files", "put", str(file))
    assert result.exit_code == 2
    assert "--as" in result.stderr
    result = run(craft, "files", "put", str(file), "--as", "notes.bin")
    assert (result.exit_code, result.stdout) == (0, "notes.bin: whole at the craft, 10240 bytes\n")
    result = run(craft, "files", "list")
    assert "     10240  notes.bin\n" in result.stdout
    listed = json.loads(run(craft, "files", "list", "--json").stdout)
    assert listed["notes.bin"] == 10240
    assert f"{len(listed)} files\n" in result.stdout
    result = run(craft, "files", "get", "notes.bin", "--into", str(tmp_path / "down"))
    assert (result.exit_code, result.stdout) == (0, "notes.bin: whole\n")
    assert (tmp_path / "down" / "notes.bin").read_bytes() == file.read_bytes()
    assert [path.name for path in (tmp_path / "down").iterdir()] == ["notes.bin"]


def test_a_file_that_is_not_there_is_told(craft: LoneCraft, tmp_path: Path) -> None:
    result = run(craft, "files", "get", "nothing.bin", "--into", str(tmp_path / "down"))
    assert result.exit_code == 1
    assert result.stdout == "nothing.bin: aborted no_file\n"


# -- sequences


def test_a_sequence_is_compiled_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "survey.yaml"
    file.write_text("sequence: survey\nsteps:\n  - {after_s: 1, command: hold}\n  - {after_s: 9, command: brake}\n")
    result = CliRunner().invoke(link_app, ["sequence", "compile", str(file)])
    assert result.exit_code == 0
    assert "survey, 2 steps\nseal " in result.stdout
    assert load_compiled((tmp_path / "survey.qseq").read_bytes()).name == "survey"
    told = json.loads(CliRunner().invoke(link_app, ["sequence", "compile", str(file), "--json"]).stdout)
    assert (told["name"], told["steps"]) == ("survey", 2)
    file.write_text("sequence: survey\nsteps:\n  - {after_s: 1, command: fly}\n")
    refused = CliRunner().invoke(link_app, ["sequence", "compile", str(file)])
    assert refused.exit_code == 2
    assert "step 1: no command 'fly'" in refused.stderr
    missing = CliRunner().invoke(link_app, ["sequence", "compile", str(tmp_path / "none.yaml")])
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr


# -- what `run` takes


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--link", "udp:127.0.0.1:0", "--link-port", "x"), "give one of them"),
        (("--shell", "x"), "--shell needs --link"),
        (("--link-port", "/nowhere/at/all"), "--link-port"),
    ],
)
def test_a_flight_with_a_link_says_what_does_not_go_together(words: tuple[str, ...], error: str) -> None:
    result = CliRunner().invoke(app, ["run", *words])
    assert result.exit_code == 2
    assert error in result.stderr


# -- processes

MISSION = """
schema_version: 1
mission: waiting
description: waits for a peer
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
duration_s: 30
initial: {attitude_deg: [25, -10, 140], loads_off: [radar, nbl]}
steps:
  - {name: wait, wait_for: nothing, stay_s: 29}
"""


def qiki(*words: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "firmware_py.cli.main", *words], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "COLUMNS": "80"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    return output


def test_flight_program_and_link_process_serve_a_station_together(tmp_path: Path) -> None:
    here = tmp_path
    (here / "waiting.yaml").write_text(MISSION)
    for words in (
        ("keys", "new", "--craft", "craft", "--seal-key", "craft.seal"),
        ("keys", "new", "--operator", "ann", "--role", "safety", "ann", "--seal-key", "ann.seal"),
        ("keys", "pair", "craft", "ann", "--craft-seal-key", "craft.seal", "--operator-seal-key", "ann.seal"),
    ):
        finished(qiki(*words, folder=here))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        line = f"udp:127.0.0.1:{probe.getsockname()[1]}"
    flight = qiki("run", "--mission", "waiting.yaml", "--link-port", "link.port", "--headless", "--no-report",
                  folder=here)
    link = qiki("link", "serve", "--port", "link.port", "--listen", line, "--keys", "craft", "--seal-key", "craft.seal",
                "--for", "60", folder=here)
    try:
        rows: list[str] = []
        assert link.stdout is not None
        # Whichever of the two comes first: before it may send, the link refuses what has no answer.
        while not (rows and "EMCON_EXIT" in rows[-1]) and (row := link.stdout.readline()):
            rows.append(row)
        assert "EMCON_EXIT" in rows[-1], rows
        order = json.loads(finished(qiki(
            "link", "command", "--to", line, "--keys", "ann", "--seal-key", "ann.seal", "--effect", "--json", "ping",
            "number=7", folder=here,
        )))
        assert (order["verdict"], order["end"]) == ("allowed", "effect_confirmed")
        flight.send_signal(signal.SIGINT)
        assert "flight ended by the keyboard" in finished(flight, 2)
        assert not (here / "link.port").exists()
        link.send_signal(signal.SIGTERM)
        log = [json.loads(row) for row in (*rows, *finished(link).splitlines())]
    finally:
        flight.kill()
        link.kill()
    told = [row["event"] for row in log]
    assert told[0] == "serving"
    assert "LINK_UP" in told
    assert told[-1] == "ended"
    assert not any("key" in row for row in log)
