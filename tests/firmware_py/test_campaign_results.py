"""What a campaign counts: survivors, times to detection, and cases given up for lost that were not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_py.cli.campaign.entries import Invariant
from firmware_py.cli.campaign.results import Results, again, measured_rows, save_failures, totals
from firmware_py.cli.campaign.rows import RowTime
from firmware_py.reference_faults import measured_times
from tests.firmware_py.campaign_outcomes import breach, outcome


def test_the_command_that_repeats_a_run() -> None:
    assert again("eclipse@1.000:7") == "qiki hil campaign --case 'eclipse@1.000:7'"
    assert again("nominal:1", "--body gref") == "qiki hil campaign --body gref --case 'nominal:1'"


def test_every_outcome_is_a_line_at_once(tmp_path: Path) -> None:
    results = Results(tmp_path / "new")
    results.add(outcome("eclipse", breaches=(breach(Invariant.QUEUE, 2.0, "full"),)))
    (line,) = results.path.read_text(encoding="utf-8").splitlines()
    results.close()
    row = json.loads(line)
    assert row["case"] == "eclipse@1.000:7"
    assert row["survived"] is False
    assert row["breaches"] == [{"invariant": "queue out of bounds", "t_s": 2.0, "text": "full"}]


def test_totals_count_alone_and_several_apart() -> None:
    counted = totals([
        outcome("a"), outcome("b", breaches=(breach(), breach(Invariant.QUEUE))), outcome("a", "b"),
        outcome("b", "c", breaches=(breach(),)), outcome(),
    ])
    assert (counted.flown, counted.survived) == (5, 3)
    assert (counted.alone, counted.alone_survived) == (2, 1)
    assert (counted.several, counted.several_survived) == (2, 1)
    assert counted.by_invariant == {"pulse rule broken": 2, "queue out of bounds": 1}
    assert counted.times_real == pytest.approx(12.5)


def test_no_run_has_no_speed() -> None:
    assert totals([]).times_real == 0.0


def test_a_case_given_up_for_lost_that_survives_is_named() -> None:
    lost, kept = outcome("a", waived=("no valves",), forgiven=(breach(),)), outcome("b", waived=("no valves",))
    (row,) = totals([lost, kept, outcome("c")]).hopeless
    assert (row.reason, row.flown, row.broke, row.survived) == ("no valves", 2, 1, (kept.case,))


def test_times_to_detection_leave_out_boot_and_what_was_not_seen() -> None:
    counted = totals([
        outcome("dead.imu", detected_s=(0.08,)), outcome("dead.mag", detected_s=(0.30,)),
        outcome("dead.imu", detected_s=(7.0,), phases=("boot",)), outcome("dead.imu"),
    ])
    assert counted.detection == {"dead": {"seen": 2, "median_s": pytest.approx(0.19), "longest_s": 0.30}}


def test_rows_of_the_fault_table_get_their_worst_times() -> None:
    rows = measured_rows([
        outcome("a", rows=(RowTime("imu-silent", 0.095, 1.5),)), outcome("b", rows=(RowTime("imu-silent", 0.1, None),)),
        outcome("c", rows=(RowTime("imu-silent", 9.0, 9.0),), phases=("boot",)),
        outcome("a", "b", rows=(RowTime("imu-silent", 9.0, 9.0),)),
        outcome("d", rows=(RowTime("node-hot", 3.0, None),)),
    ])
    assert rows == {
        "imu-silent": {
            "detected_ms": 100.0, "detected_median_ms": 97.5, "recovered_s": 1.5, "recovered": 1, "flown": 2,
        },
        "node-hot": {
            "detected_ms": 3000.0, "detected_median_ms": 3000.0, "recovered_s": None, "recovered": 0, "flown": 1,
        },
    }


def test_the_page_of_faults_reads_these_rows(tmp_path: Path) -> None:
    rows = measured_rows([outcome("a", rows=(RowTime("imu-silent", 0.095, 1.5),))])
    path = tmp_path / "campaign.json"
    path.write_text(json.dumps({"figures": [], "faults": rows}), encoding="utf-8")
    assert measured_times(path) == rows


def test_failures_are_written_as_files(tmp_path: Path) -> None:
    (path,) = save_failures(tmp_path / "kept", [("campaign-001", "text\n")])
    assert path.read_text(encoding="utf-8") == "text\n"
    assert path.name == "campaign-001.yaml"
