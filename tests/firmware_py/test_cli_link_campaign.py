"""``qiki link campaign``: every row of the plan is there, bad input ends with 2, a row that does not hold with 1."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from firmware_py.cli.link_campaign import plan
from firmware_py.cli.link_campaign.plan import MODULES, all_rows, fly, fly_rows
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.main import app

runner = CliRunner()
PLANNED = range(1, 25)
QUICK = {1: 20, 4: 2000, 13: 500, 15: 100, 21: 1, 23: 6}
"""Rows that repeat themselves, with cases that take no time."""


def campaign(*arguments: str):
    return runner.invoke(app, ["link", "campaign", *arguments])


def good(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    progress(cases, cases)
    return RowResult(True, cases, {"drawn": float(rng.random())})


def bad(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    progress(cases, cases)
    return RowResult(False, cases, {"wrong": 25.0}, tuple(f"case {n}: opened" for n in range(25)))


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (Row(1, "good one", "it holds", 100, 10, good), Row(2, "bad one", "it does not", 100, 10, bad))
    monkeypatch.setattr(plan, "all_rows", lambda: rows)


# -- the plan


def test_every_number_of_the_plan_has_a_row_and_nothing_else_has() -> None:
    assert {row.number for row in all_rows()} == set(PLANNED)
    assert len(MODULES) == len(set(MODULES))


def test_rows_are_in_order_and_their_names_tell_them_apart() -> None:
    keys = [(row.number, row.name) for row in all_rows()]
    assert keys == sorted(set(keys))


def test_each_row_says_what_must_hold_and_has_a_slice_of_its_whole() -> None:
    for row in all_rows():
        assert row.promise
        assert 0 < row.slice <= row.full, row.name


@pytest.mark.parametrize(
    "row", [row for row in all_rows() if row.number in QUICK], ids=lambda row: f"{row.number} {row.name}"
)
def test_a_row_flies_alike_from_the_same_seed(row: Row) -> None:
    first, second = (fly(row, 3, QUICK[row.number]) for _ in range(2))
    assert first.result == second.result
    assert first.result.passed, first.result.failures


def test_a_rows_random_numbers_follow_from_seed_and_row_alone() -> None:
    one, other = Row(1, "a", "", 9, 1, good), Row(1, "b", "", 9, 1, good)
    assert fly(one, 1, 1).result == fly(one, 1, 1).result
    assert fly(one, 1, 1).result != fly(one, 2, 1).result
    assert fly(one, 1, 1).result != fly(other, 1, 1).result


def test_twenty_failures_of_a_row_are_kept() -> None:
    assert len(fly(Row(2, "bad", "", 9, 1, bad), 1, 1).result.failures) == 20


def test_rows_fly_alike_on_several_processes() -> None:
    rows = [row for row in all_rows() if row.number in (1, 15)]

    def few(row: Row) -> int:
        return QUICK[row.number]

    alone = {flown.name: flown.result for flown in fly_rows(rows, 4, few, 1)}
    together = {flown.name: flown.result for flown in fly_rows(rows, 4, few, 2)}
    assert alone == together


# -- the command


def test_help_shows_examples() -> None:
    shown = campaign("--help")
    assert shown.exit_code == 0
    assert "qiki link campaign --row 3 --row 5 --full" in " ".join(shown.output.split())


def test_the_list_names_every_row_and_flies_nothing() -> None:
    shown = campaign("--list", "--json")
    assert shown.exit_code == 0
    listed = json.loads(shown.output)
    assert [(row["number"], row["name"]) for row in listed] == [(row.number, row.name) for row in all_rows()]
    assert all(row["promise"] and row["full"] >= row["slice"] for row in listed)


def test_the_list_as_a_table() -> None:
    shown = campaign("--list", "--row", "8")
    assert shown.exit_code == 0
    assert "flood over sockets" in shown.output
    assert "audit log" not in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--row", "25"], "no row 25"), (["--row", "0"], "no row 0"), (["--row", "3", "--row", "99"], "no row 99"),
        (["--full", "--share", "0"], "--share is 0"), (["--full", "--share", "1.5"], "--share is 1.5"),
        (["--share", "nan"], "--share is nan"), (["--seed", "-1"], "can't be negative"),
        (["--workers", "-1"], "can't be negative"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2_and_the_next_step(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    output = tmp_path / "rows.json"
    refused = campaign(*arguments, "--output", str(output))
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
    assert not output.exists()


def test_a_file_that_cannot_be_written_is_refused_before_anything_flies(two_rows: None, tmp_path: Path) -> None:
    refused = campaign("--row", "1", "--output", str(tmp_path / "nowhere" / "rows.json"))
    assert refused.exit_code == 2
    assert "there is no folder" in refused.stderr


def test_a_folder_is_no_file_for_the_results(two_rows: None, tmp_path: Path) -> None:
    refused = campaign("--row", "1", "--workers", "1", "--output", str(tmp_path))
    assert refused.exit_code == 2
    assert str(tmp_path) in refused.stderr


@pytest.mark.parametrize("arguments", [["--row", "three"], ["--seed", "x"], ["--nonsense"]])
def test_what_is_no_option_or_number_is_refused_with_exit_code_2(arguments: list[str]) -> None:
    assert campaign(*arguments).exit_code == 2


def test_one_row_flies_and_holds() -> None:
    flown = campaign("--row", "15", "--workers", "1")
    assert flown.exit_code == 0, flown.output
    assert "end of the counter" in flown.output
    assert "yes" in flown.output
    assert "1 of 1 rows held" in flown.output


def test_json_is_one_object_and_the_same_goes_to_the_file(two_rows: None, tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    flown = campaign("--row", "1", "--seed", "7", "--workers", "1", "--json", "--output", str(output))
    assert flown.exit_code == 0
    page = json.loads(flown.stdout)
    assert page == json.loads(output.read_text())
    assert (page["seed"], page["full"]) == (7, False)
    (row,) = page["rows"]
    assert (row["number"], row["name"], row["asked"], row["result"]["passed"]) == (1, "good one", 10, True)


def test_full_flies_all_cases_and_a_share_of_them(two_rows: None) -> None:
    for arguments, cases in ((["--full"], 100), (["--full", "--share", "0.25"], 25), ([], 10)):
        flown = campaign("--row", "1", "--workers", "1", "--json", *arguments)
        assert json.loads(flown.stdout)["rows"][0]["asked"] == cases


def test_a_row_that_does_not_hold_ends_with_1_and_says_how_to_repeat_it(two_rows: None, tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    flown = campaign("--seed", "7", "--full", "--share", "0.5", "--workers", "1", "--output", str(output))
    assert flown.exit_code == 1
    assert "NO" in flown.output
    assert "case 0: opened" in flown.output
    assert "again: qiki link campaign --row 2 --seed 7 --full --share 0.5" in flown.output
    assert "1 of 2 rows held" in flown.output
    assert [row["result"]["passed"] for row in json.loads(output.read_text())["rows"]] == [True, False]


def test_json_of_a_row_that_does_not_hold_ends_with_1_too(two_rows: None) -> None:
    flown = campaign("--row", "2", "--workers", "1", "--json")
    assert flown.exit_code == 1
    assert len(json.loads(flown.stdout)["rows"][0]["result"]["failures"]) == 20
