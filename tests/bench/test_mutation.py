"""The mutation run: what counts, what an argued row excuses, and rows that speak of nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import mutation
from bench.harness import Report
from bench.mutation import Mutant

LADDER = Mutant("fdir.recovery.xǁLadderǁstep__mutmut_3", "survived")
BATTERY = Mutant("fdir.gating.x__battery__mutmut_1", "killed")
CHANGES = {LADDER.name: "a <= b  ->  a < b", BATTERY.name: "a > b  ->  a >= b"}


@pytest.fixture(autouse=True)
def _no_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mutation, "change_of", CHANGES.__getitem__)
    monkeypatch.setattr(mutation, "ARGUED", tmp_path / "survivors.yaml")


def judged(tmp_path: Path, *mutants: Mutant, rows: str = "") -> dict[str, tuple[object, bool]]:
    (tmp_path / "survivors.yaml").write_text(rows)
    report = Report("mutation", tmp_path)
    mutation._judge(report, list(mutants))
    return {f.figure: (f.value, f.holds) for f in report.figures}


def said(place: str, change: str) -> str:
    return f"- {{place: {place}, change: '{change}', why: 'the same for every number'}}\n"


def test_places_are_named_as_in_the_source() -> None:
    assert LADDER.place == "fdir.recovery.Ladder.step"
    assert BATTERY.place == "fdir.gating._battery"
    assert (LADDER.module, BATTERY.module) == ("recovery", "gating")


def test_a_survivor_lowers_the_score_and_an_argued_one_only_the_first(tmp_path: Path) -> None:
    figures = judged(tmp_path, LADDER, BATTERY)
    assert figures["survive and nobody has said why"] == (1, True)
    assert figures["mutation score without the argued"] == (50.0, False)
    figures = judged(tmp_path, LADDER, BATTERY, rows=said(LADDER.place, "a <= b  ->  a < b"))
    assert figures["survive and nobody has said why"] == (0, True)
    assert figures["mutation score, argued ones counted as missed"] == (50.0, False)
    assert figures["mutation score without the argued"] == (100.0, True)
    assert figures["argued, but noticed or there no more"] == (0, True)


def test_a_row_speaks_for_one_survivor_only(tmp_path: Path) -> None:
    figures = judged(tmp_path, LADDER, LADDER, rows=said(LADDER.place, "a <= b  ->  a < b"))
    assert figures["survive and nobody has said why"] == (1, True)
    assert figures["survive and are argued (tests/fdir/survivors.yaml)"] == (1, True)


@pytest.mark.parametrize(("place", "change", "why"), [
    (BATTERY.place, "a > b  ->  a >= b", "noticed (killed)"),
    (BATTERY.place, "c  ->  d", "there is no such mutant"),
    ("fdir.gone.step", "a  ->  b", "there is no such mutant"),
])
def test_a_row_that_excuses_nothing_is_told(
    place: str, change: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = judged(tmp_path, BATTERY, rows=said(place, change))
    assert figures["argued, but noticed or there no more"] == (1, False)
    assert f"argued in survivors.yaml, but {why}: {place}" in capsys.readouterr().out


def test_rows_of_modules_that_were_not_mutated_are_left_alone(tmp_path: Path) -> None:
    figures = judged(tmp_path, BATTERY, rows=said(LADDER.place, "a <= b  ->  a < b"))
    assert figures["argued, but noticed or there no more"] == (0, True)


@pytest.mark.parametrize(("row", "why"), [
    ("- {place: fdir.modes.f, change: a}", "row 0: place, change and why"),
    ("- {place: fdir.modes.f, change: a, why: ''}", "row 0: place, change and why"),
    ("- {place: fdir.modes.f, change: a, why: b, who: c}", "row 0: place, change and why"),
    ("- {place: modes.f, change: a, why: b}", "row 0: place is 'modes.f'"),
])
def test_a_row_that_is_not_complete_is_refused(row: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "survivors.yaml").write_text(row)
    with pytest.raises(ValueError, match=why):
        mutation.argued()


def test_without_the_tool_or_in_part_no_result_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutation, "_tool", lambda: tmp_path / "mutmut")
    report = Report("mutation", tmp_path / "results")
    mutation.run(report)
    assert report.finish() == 1
    assert "make mutate sets it up" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"MUTATE names fdir/nothing\.py"):
        mutation._prepare(["fdir/nothing.py"])


def test_progress_is_told_in_words() -> None:
    line = "\u280b 120/5000  🎉 90 🫥 1  ⏰ 2  🤔 0  🙁 3  🔇 0  🧙 24"
    assert mutation._plain(line) == "120 of 5000 mutants: 90 killed, 24 by type, 2 timed out, 3 survive"
    assert mutation._plain("\u280b Running stats") == "Running stats"
