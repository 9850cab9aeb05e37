"""``qiki perception``: records looked at, asked, replayed and exported; refusals say what to do next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_py.cli.perception import perception_app
from firmware_py.perception.config import find_perception, load_perception
from firmware_py.perception.record import PerceptionRecord, read_header, read_perception
from firmware_py.perception.replay import header_of
from tests.firmware_py.perception.port_craft import PROFILE, PortCraft


def perception(*arguments: object, columns: int = 80):
    return CliRunner().invoke(perception_app, [str(a) for a in arguments], env={"COLUMNS": str(columns)})


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a flight in which something came at the craft."""
    folder = tmp_path_factory.mktemp("flight")
    header = header_of(load_perception(), PROFILE) | {"mission": "made up"}
    craft = PortCraft(record=PerceptionRecord(folder / "perception.mcap", header))
    craft.approach(80.0, 8.0, 90)
    craft.wait(0.6)
    craft.perception.close()
    return folder


@pytest.mark.parametrize("command", ["show", "query", "replay", "export", "check", "serve"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = perception(command, "--help")
    assert result.exit_code == 0
    assert f"qiki perception {command}" in result.output


def test_show_draws_the_worst_moment_and_lists_tracks_and_events(flight: Path) -> None:
    result = perception("show", flight)
    assert result.exit_code == 0, result.output
    assert (flight / "surroundings.png").stat().st_size > 10_000
    assert "crit" in result.output
    assert "THREAT_HIGH" in result.output
    assert "…" not in result.output


def test_show_as_json_is_one_object(flight: Path, tmp_path: Path) -> None:
    result = perception("show", flight, "--json", "--at", 3, "--half", 50, "--output", tmp_path / "x.png")
    told = json.loads(result.output)
    assert told["t_s"] == 3.0
    assert told["scans"] == {"radar": 90}
    assert told["tracks"][0]["track_id"] == 1
    assert (tmp_path / "x.png").exists()


@pytest.mark.parametrize(("options", "found"), [
    ((), 1), (("--id", 1), 1), (("--id", 99), 0), (("--risk", "ok"), 1), (("--newer", 5), 1),
    (("--box=-5,-5,-5,200,5,5",), 1), (("--box=-5,-5,-5,-1,5,5",), 0), (("--at", 1.0), 0),
])
def test_query_chooses(flight: Path, options: tuple[object, ...], found: int) -> None:
    result = perception("query", flight, "--json", *options)
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.output)["tracks"]) == found


def test_query_says_if_there_is_nothing(flight: Path) -> None:
    assert "no track at" in perception("query", flight, "--id", 99).output


@pytest.mark.parametrize(("arguments", "words"), [
    (("query", "--risk", "awful"), "allowed are ok, warn, crit"), (("query", "--box", "1,2,3"), "six numbers"),
    (("query", "--box", "nan,0,0,1,1,1"), "six numbers"), (("query", "--box", "5,0,0,1,1,1"), "--box: low_m"),
    (("query", "--at", 1e6), "the record ends at"), (("show", "--at", 1e6), "the record ends at"),
    (("show", "--output", "/proc/no/x.png"), "--output"), (("export",), "--csv FILE"),
    (("export", "--csv", "/proc/no/x.csv"), "another place"),
])
def test_what_makes_no_sense_is_refused_with_what_does(flight: Path, arguments: tuple[object, ...], words: str) -> None:
    name, *options = arguments
    result = perception(name, flight, *options)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize("command", [("show",), ("query",), ("replay",), ("export", "--csv", "x.csv")])
def test_a_file_that_is_no_record_is_refused_with_the_next_step(tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    (tmp_path / "other.mcap").write_bytes(b"no record")
    for path, words in ((tmp_path, "qiki run"), (tmp_path / "other.mcap", "perception.mcap")):
        result = perception(name, path, *options)
        assert result.exit_code == 2
        assert words in result.output


def test_replay_is_the_same_and_a_difference_is_exit_code_1(flight: Path, tmp_path: Path) -> None:
    result = perception("replay", flight)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("same: 90 track lists")
    header = {k: v for k, v in read_header(flight / "perception.mcap").items() if k not in ("format", "epoch_ns")}
    record = PerceptionRecord(tmp_path / "perception.mcap", header)
    for row in read_perception(flight / "perception.mcap"):
        record.add(row.topic, row.t_ns, row.data[:-1] + b"?" if row.topic == "/tracks" else row.data)
    record.close()
    assert perception("replay", tmp_path).exit_code == 1
    assert json.loads(perception("replay", tmp_path, "--json").output)["differing"] == 90


def test_export_writes_a_row_a_track_and_list(flight: Path, tmp_path: Path) -> None:
    result = perception("export", flight, "--csv", tmp_path / "tracks.csv")
    assert result.exit_code == 0
    lines = (tmp_path / "tracks.csv").read_text(encoding="utf-8").splitlines()
    assert f"{len(lines) - 1} rows" in result.output
    assert lines[0].startswith("track_id,object_type,iff")


def test_check_says_what_a_file_holds_or_what_is_wrong_with_it(tmp_path: Path) -> None:
    assert perception("check").output.startswith("good: 3 sensors")
    told = json.loads(perception("check", "--json").output)
    assert told["sensors"]["ars408"]["kind"] == "radar"
    mine = tmp_path / "mine.yaml"
    mine.write_text(find_perception().read_text(encoding="utf-8").replace("friends: []", "freinds: [4711]"), "utf-8")
    result = perception("check", mine)
    assert result.exit_code == 2
    assert "mine.yaml" in result.output
    assert "freinds" in result.output
    assert perception("check", tmp_path / "none.yaml").exit_code == 2


def test_serve_refuses_before_anything_is_served(tmp_path: Path) -> None:
    for options, words in (
        (("--board", "no-such-board"), "no-such-board"), (("--config", tmp_path / "none.yaml"), "none.yaml"),
        (("--record", "/proc/no/such"), "--record"),
    ):
        result = perception("serve", "--port", tmp_path / "port", "--for", 0.2, *options)
        assert result.exit_code == 2, result.output
        assert words in result.output


def test_serve_ends_after_its_time_with_nobody_there(tmp_path: Path) -> None:
    result = perception("serve", "--port", tmp_path / "port", "--for", 0.3, "--record", tmp_path)
    assert result.exit_code == 0, result.output
