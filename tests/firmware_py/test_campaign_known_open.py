"""What is known to be open excuses just what it is known to break, and stays a loss in every figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.cli.campaign.catalogue import catalogue
from firmware_py.cli.campaign.conduct import Mode
from firmware_py.cli.campaign.entries import Invariant
from firmware_py.cli.campaign.known_open import KNOWN_OPEN, KnownOpen, known_open
from hal.profile import load_profile
from tests.firmware_py.test_campaign_command import printed
from tests.firmware_py.test_campaign_conduct import Workshop, conduct

RATE, SEEN = Invariant.RATE_LIMIT, Invariant.DETECTED
TABLE = (
    KnownOpen("nozzle_off.", frozenset({RATE}), "the nozzle is not yet countered"),
    KnownOpen("dead.", frozenset({SEEN}), "the part is told late"),
)


def test_a_row_explains_what_it_names_of_faults_that_begin_like_it() -> None:
    assert known_open(["nozzle_off.3"], [RATE], TABLE) == ("the nozzle is not yet countered",)
    assert known_open(["eclipse", "nozzle_off.3"], [RATE], TABLE) == ("the nozzle is not yet countered",)


def test_another_fault_another_breach_or_one_more_breach_is_new() -> None:
    assert known_open(["nozzle_weak.3"], [RATE], TABLE) == ()
    assert known_open(["nozzle_off.3"], [SEEN], TABLE) == ()
    assert known_open(["nozzle_off.3"], [RATE, SEEN], TABLE) == ()


def test_several_rows_explain_together_and_nothing_broken_needs_no_reason() -> None:
    both = known_open(["dead.imu", "nozzle_off.3"], [RATE, SEEN], TABLE)
    assert both == ("the nozzle is not yet countered", "the part is told late")
    assert known_open(["nozzle_off.3"], [], TABLE) == ()


def test_the_shipped_table_names_faults_that_there_are_and_never_an_open_valve() -> None:
    entries = catalogue(load_profile("qiki-t", "qiki-rpi"))
    for row in KNOWN_OPEN:
        assert any(name.startswith(row.begin) for name in entries), row.begin
        assert row.reason
        assert row.breaks
        assert not row.breaks & {Invariant.VALVE_UNARMED, Invariant.PULSE_RULE, Invariant.COMMAND_LIFE}


def test_a_known_failure_is_lost_but_not_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from firmware_py.cli.campaign.tables import summary_page

    monkeypatch.setattr("firmware_py.cli.campaign.known_open.KNOWN_OPEN", TABLE)
    _, flown, _ = conduct(tmp_path, Workshop(lambda faults: "nozzle_off.3" in faults), Mode.SINGLES, moments=1)
    assert flown.new == ()
    assert [failure.known for failure in flown.known] == [("the nozzle is not yet countered",)]
    assert (flown.totals.flown, flown.totals.survived) == (3, 2)
    text = printed(summary_page(flown))
    assert "known open" in text
    assert "the nozzle is not yet countered" in text
    assert "1 runs were lost, all of them known to be open" in text
    assert flown.as_dict()["failures"][0]["known_open"] == ["the nozzle is not yet countered"]


def test_a_failure_that_no_row_explains_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware_py.cli.campaign.known_open.KNOWN_OPEN", TABLE)
    _, flown, _ = conduct(tmp_path, Workshop(lambda faults: "dead.imu" in faults), Mode.SINGLES, moments=1)
    assert flown.known == ()
    assert [failure.outcome.faults for failure in flown.new] == [("dead.imu",)]
