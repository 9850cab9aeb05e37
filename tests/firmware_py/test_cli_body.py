"""``qiki body``: tables and JSON of what a body can do; refusals that name what is missing and the next step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from firmware_py.cli.main import app

BODY = (Path(__file__).resolve().parents[2] / "board_configs" / "bodies" / "qiki-t.yaml").read_text()


def qiki(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "140"})


@pytest.fixture
def one_way(tmp_path: Path) -> str:
    """Variant T with the jets of its front cluster turned to push forward as those behind do."""
    path = tmp_path / "one-way.yaml"
    path.write_text(BODY.replace("direction: [-0.7071", "direction: [0.7071"))
    return str(path)


@pytest.mark.parametrize("command", [["body"], ["body", "show"], ["body", "list"]])
def test_every_command_has_help(command: list[str]) -> None:
    shown = qiki(*command, "--help")
    assert shown.exit_code == 0
    assert "body" in shown.output


def test_list_names_the_bodies_that_ship_with_what_they_are() -> None:
    lines = qiki("body", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(
        path.stem for path in (Path(__file__).resolve().parents[2] / "board_configs" / "bodies").glob("*.yaml")
    )
    assert any("variant T" in line for line in lines)


def test_show_has_authority_maps_losses_and_verdict() -> None:
    shown = qiki("body", "show", "qiki-t")
    assert shown.exit_code == 0
    text = shown.stdout
    assert re.search(r"force Y +1086 +1086 +N +2\.51 m/s2 +498", text)
    assert re.search(r"torque X \(roll\) +294 +294 +N m +48\.2 deg/s2 +147", text)
    assert "622 N in every direction" in text
    assert "torque_max_n_m is 235 N m" in text
    assert re.search(r"force \+X +4 5 6:60% 7:60% +588 N +4 5 6 7 8:30% 10:30% 13:30% 15:30% +735 N", text)
    assert re.search(r"rcs_c01 .*force -X, \+-Y; torque \+-X", text)
    assert re.search(r"nozzle 0 +368 +147 +nothing", text)
    assert "controllable: every force and every torque" in text


def test_a_path_is_as_good_as_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BODY)
    assert qiki("body", "show", str(path)).stdout == qiki("body", "show", "qiki-t").stdout


def test_json_has_the_same_numbers_for_programs() -> None:
    shown = qiki("body", "show", "qiki-t", "--json")
    assert shown.exit_code == 0
    found = json.loads(shown.stdout)
    assert found["controllable"] is True
    assert found["missing"] == []
    assert found["authority"]["force +Y"] == pytest.approx(1086.1, abs=0.1)
    assert found["force_n"]["in_every_direction"] == pytest.approx(622.25, abs=0.01)
    assert (found["rank"], round(found["condition"], 1)) == (6, 4.4)
    entry = next(e for e in found["map"] if e["axis"] == "torque +Z")
    assert entry["cheapest"]["nozzles"] == [0, 2, 5, 7]
    assert entry["strongest"]["size"] == pytest.approx(1499.07, abs=0.01)
    lost = {o["name"]: o["lost"] for o in found["cluster_losses"]}
    assert lost["rcs_c03"] == ["force -Z"]
    assert len(found["nozzles"]) == len(found["nozzle_losses"]) == 16


def test_failed_nozzles_are_left_out_and_what_is_lost_is_told_with_exit_code_1() -> None:
    one = qiki("body", "show", "qiki-t", "--failed", "5", "--json")
    assert one.exit_code == 0
    assert json.loads(one.stdout)["failed"] == [5]
    cluster = qiki("body", "show", "qiki-t", "--failed", "0, 1,2,3")
    assert cluster.exit_code == 1
    assert "NOT controllable: it can't make force -X, +-Y; torque +-X" in cluster.stdout
    assert qiki("body", "show", "qiki-t", "--failed", ",".join(map(str, range(16)))).exit_code == 1


def test_a_body_that_cannot_be_controlled_is_shown_with_the_reason(one_way: str) -> None:
    shown = qiki("body", "show", one_way)
    assert shown.exit_code == 1
    assert "NOT controllable: it can't make force -X" in shown.stdout
    assert re.search(r"force X +\d+ +none +N", shown.stdout)
    assert "propulsion.nozzles" in shown.stderr
    assert "add or turn nozzles" in shown.stderr
    found = json.loads(qiki("body", "show", one_way, "--json").stdout)
    assert found["controllable"] is False
    assert "force -X" in found["missing"]
    assert "propulsion.nozzles" in found["refusal"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such"], "shipped: bench-12kg"),
        (["qiki-t", "--failed", "0,16"], "give numbers of 0..15"),
        (["qiki-t", "--failed", "five"], "'five' is no nozzle"),
        (["qiki-t", "--failed", "1,,2"], "'' is no nozzle"),
        (["qiki-t", "--failed=-1"], "'-1' is no nozzle"),
        (["qiki-t", "--plot", "body.pdf"], "--plot body.png"),
    ],
)
def test_bad_input_is_refused_with_the_next_step_and_exit_code_2(arguments: list[str], words: str) -> None:
    refused = qiki("body", "show", *arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dry_kg: 420.0", "dry_kg: -3.0", "mass.dry_kg"),
        ("direction: [-0.7071, 0.7071, 0]", "direction: [0, 0, 0]", "unit vector"),
        ("id: 3,", "id: 4,", "numbered in order"),
    ],
)
def test_a_file_that_is_no_body_is_refused_as_by_every_command(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BODY.replace(old, new, 1))
    refused = qiki("body", "show", str(path))
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert "describe-a-body" in refused.stderr


def test_too_few_nozzles_are_refused_without_a_picture_of_them(tmp_path: Path) -> None:
    lines = [line for line in BODY.splitlines() if not re.match(r" +- \{id: ([6-9]|1\d),", line)]
    path = tmp_path / "six.yaml"
    path.write_text("\n".join(lines))
    refused = qiki("body", "show", str(path))
    assert refused.exit_code == 2
    assert "propulsion.nozzles" in refused.stderr


def test_plot_is_drawn_where_it_was_asked_for(tmp_path: Path) -> None:
    shown = qiki("body", "show", "bench-12kg", "--plot", str(tmp_path / "body.png"))
    assert shown.exit_code == 0
    assert "body.png" in shown.stdout
    with Image.open(tmp_path / "body.png") as picture:
        assert picture.width > 1000
    refused = qiki("body", "show", "bench-12kg", "--plot", str(tmp_path / "nowhere" / "body.png"))
    assert refused.exit_code == 2
    assert "choose another place" in refused.stderr


def test_a_description_with_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(re.sub(r'description: ".*"', 'description: "craft [red] no 1"', BODY))
    assert "craft [red] no 1" in qiki("body", "show", str(path)).stdout
