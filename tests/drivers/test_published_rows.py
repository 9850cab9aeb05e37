"""Every published example of a supported part goes through its codec, and a wrong codec would be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.oracles import SUPPORTED, Row, failures, rows, verdict


@pytest.fixture(scope="module")
def examples() -> list[Row]:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "datasheet_examples.csv"
    if not path.exists():
        pytest.skip("no published examples: ../shared/data/datasheet_examples.csv is not there")
    return rows(path)


def test_every_row_of_a_supported_part_is_what_its_codec_says(examples: list[Row]) -> None:
    wrong = [f"{row.part} {row.registers[:40]} {row.unit}: {why}" for row, why in failures()]
    assert wrong == []
    assert sum(row.supported for row in examples) >= 166


def test_every_supported_part_has_a_row(examples: list[Row]) -> None:
    assert [prefix for prefix in SUPPORTED if not any(row.part.startswith(prefix) for row in examples)] == []


def test_a_value_that_is_off_by_two_percent_is_noticed(examples: list[Row]) -> None:
    seen = 0
    for row in examples:
        if not row.supported or row.kind == "capture" or verdict(row) is not None:
            continue
        try:
            value = float(row.expected)
        except ValueError:
            continue
        if abs(value) * 0.02 < 0.06 or row.part == "ADM1275":
            continue
        digits = max(3, len(row.expected.partition(".")[2]))
        assert verdict(replace(row, expected=f"{value * 1.02:.{digits}f}")) is not None, row
        seen += 1
    assert seen > 60


def test_a_row_that_no_codec_is_held_against_counts_as_failed() -> None:
    assert verdict(Row("INA226", "0x09", "0000", "1", "furlong", "kernel-run")) is not None
    assert verdict(Row("BMP280", "0x00", "00", "1", "Pa", "datasheet")) == "no codec"
