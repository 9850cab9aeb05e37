"""The page's part on power: how it was used, how low the stores came, which loads yielded and for what."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from firmware_py.report.page import write_page
from firmware_py.report.scope import FlightData
from tests.firmware_py.test_report_flight import make_flight

NS = 1_000_000_000


def words(data: FlightData, folder: Path) -> str:
    """Text of the part, one space between words."""
    page = write_page(data, [], [], folder / "report.html").read_text(encoding="utf-8")
    part = page.split("<h2>Power</h2>")[1].split("<h2>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", part)).split())


def test_it_names_the_panel_s_share_overload_books_and_lowest_charges(tmp_path: Path) -> None:
    data = make_flight(130.0, 4)
    text = words(data, tmp_path)
    lowest = 100 * min(row["soc_supercap"] for _, row in data.truth)
    assert f"{lowest:.4g} % lowest charge of the supercapacitor, true" in text
    for phrase in (
        "energy from the panel over what was there", "above its current limit", "below its lowest voltage",
        "the world's books do not explain", "the books on board do not explain", "lowest charge of the battery, true",
    ):
        assert phrase in text, phrase


def test_a_shed_load_is_listed_with_reason_start_count_and_time_but_heating_is_not(tmp_path: Path) -> None:
    text = words(make_flight(230.0, 4), tmp_path)
    assert "nbl shed: pdu_overcurrent 60.00 1 30.00" in text
    assert "heater_rcs_c01" not in text


def test_a_load_that_yielded_twice_is_counted_and_added_up(tmp_path: Path) -> None:
    def row(t: int) -> dict[str, Any]:
        return {"loads": {"radar": "load_rejected" if t in (3, 4, 8) else "load_allowed"}}

    text = words(FlightData({}, [(t * NS, row(t)) for t in range(12)], [], [], []), tmp_path)
    assert "radar rejected 3.00 2 3.00" in text


@pytest.mark.parametrize(
    ("row", "phrase"),
    [({"loads": {"radar": "load_allowed"}}, "Every load had what it asked for."), ({}, "was not recorded.")],
)
def test_nothing_yielded_and_nothing_recorded_are_told_apart(row: dict[str, Any], phrase: str, tmp_path: Path) -> None:
    assert phrase in words(FlightData({}, [(0, row), (NS, row)], [], [], []), tmp_path)


def test_a_real_craft_s_lowest_charge_is_its_estimate_and_a_missing_one_is_missing(tmp_path: Path) -> None:
    rows: list[tuple[int, dict[str, Any]]] = [(t * NS, {"soc_battery": None if t == 1 else 0.5}) for t in range(3)]
    text = words(FlightData({}, rows, [], [], []), tmp_path)
    assert "50 % lowest charge of the battery, estimated" in text
    assert "missing lowest charge of the supercapacitor, not recorded" in text
