"""The page of a campaign: faults by phases, each cell with the commands that repeat its runs, nothing unescaped."""

from __future__ import annotations

from pathlib import Path

from firmware_py.cli.campaign.entries import Invariant
from firmware_py.cli.campaign.matrix import fault_grid, pair_grid, write_matrix
from firmware_py.cli.campaign.matrix_plot import draw_matrix
from firmware_py.cli.campaign.results import totals
from firmware_py.cli.campaign.rows import RowTime
from tests.firmware_py.campaign_outcomes import breach, outcome

PHASES = ("boot", "slew", "burn")
RUNS = [
    outcome("nozzle_off.3", phases=("burn",)), outcome("nozzle_off.4", phases=("slew",)),
    outcome("nozzle_off.5", phases=("slew",), breaches=(breach(Invariant.RATE_LIMIT, 3.25, "61.0 deg/s <b>"),)),
    outcome("dead.imu", classes=("bus",), phases=("",), rows=(RowTime("imu-silent", 0.095, None),)),
    outcome("a.1", "b.1", classes=("world", "bus")),
    outcome("stuck.1", phases=("boot",), waived=("hopeless",), forgiven=(breach(),)),
]


def page(tmp_path: Path) -> str:
    path = write_matrix(tmp_path / "new" / "m.html", RUNS, totals(RUNS), PHASES, "Campaign & more")
    return path.read_text(encoding="utf-8")


def test_single_faults_stand_by_kind_and_phase() -> None:
    grid = fault_grid(RUNS, PHASES)
    assert grid.rows == (("bus", "dead"), ("world", "nozzle_off"), ("world", "stuck"))
    assert grid.columns == ("boot", "slew", "burn", "after")
    assert grid.cell("nozzle_off", "slew").text == "1/2"
    assert grid.cell("nozzle_off", "boot").text == ""


def test_a_cell_says_what_became_of_its_runs() -> None:
    grid = fault_grid(RUNS, PHASES)
    assert [grid.cell(*at).kind for at in (
        ("nozzle_off", "slew"), ("nozzle_off", "burn"), ("stuck", "boot"), ("dead", "burn"),
    )] == ["no", "ok", "lost", ""]


def test_pairs_stand_by_class_whichever_came_first() -> None:
    grid = pair_grid([*RUNS, outcome("b.1", "a.1", classes=("bus", "world"))])
    assert grid.cell("bus", "world").text == "2/2"
    assert grid.columns == ("bus", "world")


def test_every_cell_leads_to_the_commands_that_repeat_its_runs(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert '<a href="#s-nozzle_off-slew">1/2</a>' in text
    assert 'id="s-nozzle_off-slew"' in text
    assert "qiki hil campaign --case &#x27;nozzle_off.5@1.000:7&#x27;" in text


def test_failures_come_first_and_say_what_broke(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "1 runs did not survive" in text
    cell = text[text.index('id="s-nozzle_off-slew"'):]
    assert cell.index("nozzle_off.5") < cell.index("nozzle_off.4")
    assert "at 3.25 s: 61.0 deg/s &lt;b&gt;" in text


def test_the_page_needs_nothing_else_and_is_the_same_again(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "Campaign &amp; more" in text
    assert "<script" not in text
    assert "http" not in text
    assert page(tmp_path) == text


def test_rows_and_what_is_hopeless_are_shown(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<code>imu-silent</code>" in text
    assert "<td>hopeless</td><td>1</td><td>1</td><td>0</td>" in text


def test_the_picture_shows_every_cell_of_the_matrix(tmp_path: Path, kept) -> None:
    path = draw_matrix(tmp_path / "new" / "m.png", fault_grid(RUNS, PHASES), "Title")
    assert path.read_bytes().startswith(b"\x89PNG")
    texts = [text.get_text() for axes in kept[0].axes for text in axes.texts]
    assert sorted(text for text in texts if text) == ["1/1", "1/1", "1/1", "1/2"]


def test_a_picture_of_nothing_is_still_a_picture(tmp_path: Path) -> None:
    assert draw_matrix(tmp_path / "m.png", fault_grid([], PHASES), "Title").exists()
