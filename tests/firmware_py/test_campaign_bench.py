"""The benchmark of the campaign: sizes that the issue asks for, and figures that do not hold where something broke."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import campaign
from bench.harness import Report
from firmware_py.cli.campaign.cases import Case
from firmware_py.cli.campaign.results import totals
from tests.firmware_py.campaign_outcomes import breach, outcome


def figures(report: Report) -> dict[str, bool]:
    return {figure.figure: figure.holds for figure in report.figures}


def test_a_night_flies_what_the_issue_asks_for() -> None:
    night = campaign.SIZES["night"]
    assert (night.moments, night.hours, night.seeds) == (20, 100.0, 50)
    assert night.pairs >= 10_000


def test_figures_say_how_much_was_flown_of_all_there_is(tmp_path: Path) -> None:
    report = Report("campaign", tmp_path)
    campaign.alone_figures(report, totals([outcome("eclipse")]), 7)
    campaign.several_figures(report, totals([outcome("a", "b")]), 10, 10)
    units = {figure.figure: figure.unit for figure in report.figures}
    assert units["faults alone: runs"] == "of 7 x 20 moments"
    assert units["several faults: runs"] == "of 10 pairs and more"
    assert figures(report)["faults alone: runs"] is False


def test_a_slice_takes_no_case_after_its_share_of_the_minutes() -> None:
    class Minutes:
        measures = True
        now = 0

        def wall_ns(self) -> int:
            self.now += 60_000_000_000
            return self.now

        cpu_ns = wall_ns

    cases = [Case((), seed) for seed in range(10)]
    assert len(list(campaign._until(cases, 0, 4.0, 0.75, Minutes()))) == 2
    assert len(list(campaign._until(cases, 0, None, meter=Minutes()))) == 10


def test_a_size_that_there_is_none_of_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.main(["--week"]) == 2
    assert "--night" in capsys.readouterr().err


def test_one_run_that_did_not_survive_is_a_figure_that_does_not_hold(tmp_path: Path) -> None:
    for broken, holds in (((), True), ((breach(),), False)):
        report = Report("campaign", tmp_path)
        campaign.alone_figures(report, totals([outcome("eclipse", breaches=broken)]), 1)
        campaign.several_figures(report, totals([outcome("a", "b", breaches=broken)]), 10, 1)
        assert figures(report)["faults alone: survived"] is holds
        assert figures(report)["several faults: survived"] is holds


def test_a_row_detected_later_than_its_goal_is_named(tmp_path: Path) -> None:
    report = Report("campaign", tmp_path)
    campaign.row_figures(report, {"imu-silent": {"detected_ms": 100.0}, "gyro-frozen": {"detected_ms": 100.1}})
    assert figures(report)["rows detected within their own goal"] is False
    assert [figure.value for figure in report.figures if figure.figure == "row detected late"] == [
        "gyro-frozen 100.1 ms"
    ]
