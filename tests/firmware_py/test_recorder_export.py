"""CSV export: every channel, nested values as columns, missing stays empty, no half file under a final name."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.export import BUS_COLUMNS, export_csv
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.recorder.tap import EXTENDED, Op

HEADER = dict.fromkeys(
    ("software_version", "hardware_profile_hash", "body", "board", "mission", "seed", "rates")
)


@pytest.fixture
def flight(tmp_path: Path) -> Flight:
    with BlackBox(tmp_path / "a.mcap", HEADER, 5_000, buses=["i2c_a", "can0", "gpio"]) as box:
        first = {"motion": "Idle, drifting", "sun": None, "rate": [0.1, -2e-9], "armed": True, "t": {"core": 1.5}}
        second = {"motion": "Hold", "sun": [1.0, 0.0], "rate": None, "armed": False, "t": {"hull": 2}}
        box.snapshot(0, first)
        box.snapshot(1_050_000_001, second)
        box.event(7, "BAT_LOW", "warning", 'said "low"', {"soc": 0.1})
        box.bus(5_000_000, [
            (0, Op.I2C_WRITE_READ, 0x40, b"\x05", b"\xab\xcd", None), (0, Op.I2C_READ, 0x40, b"", None, "timeout"),
            (1, Op.CAN_RECEIVE, 0x190, 2, b"\x01", None), (1, Op.CAN_SEND, 0x123 | EXTENDED, b"\x02", None, None),
            (2, Op.GPIO_SET, "arm", b"\x01", None, None),
        ])
    return read_flight(tmp_path / "a.mcap")


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_every_channel_with_messages_gets_its_file(flight: Flight, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "csv"
    paths = export_csv(flight, folder)
    assert [path.name for path in paths] == ["bus.csv", "event.csv", "snapshot.csv"]
    assert sorted(folder.iterdir()) == paths


def test_nested_values_become_columns_and_missing_stays_empty(flight: Flight, tmp_path: Path) -> None:
    export_csv(flight, tmp_path)
    assert lines(tmp_path / "snapshot.csv") == [
        ["time_s", "motion", "rate[0]", "rate[1]", "armed", "t.core", "sun[0]", "sun[1]", "t.hull"],
        ["0.000000000", "Idle, drifting", "0.1", "-2e-09", "true", "1.5", "", "", ""],
        ["1.050000001", "Hold", "", "", "false", "", "1.0", "0.0", "2"],
    ]
    assert lines(tmp_path / "event.csv")[1] == ["0.000000007", "BAT_LOW", "warning", 'said "low"', "0.1"]


def test_bus_transfers_are_one_line_each_with_bytes_in_hexadecimal(flight: Flight, tmp_path: Path) -> None:
    export_csv(flight, tmp_path)
    assert lines(tmp_path / "bus.csv") == [
        list(BUS_COLUMNS),
        ["0.005000000", "i2c_a", "i2c_write_read", "0x40", "05", "abcd", "", ""],
        ["0.005000000", "i2c_a", "i2c_read", "0x40", "", "", "timeout", ""],
        ["0.005000000", "can0", "can_receive", "0x190", "", "01", "", "2"],
        ["0.005000000", "can0", "can_send", "0x00000123", "02", "", "", ""],
        ["0.005000000", "gpio", "gpio_set", "arm", "01", "", "", ""],
    ]


def test_a_column_that_is_always_missing_is_kept_under_its_own_name(tmp_path: Path) -> None:
    with BlackBox(tmp_path / "b.mcap", HEADER) as box:
        box.snapshot(0, {"sun": None, "x": 1})
    export_csv(read_flight(tmp_path / "b.mcap"), tmp_path)
    assert lines(tmp_path / "snapshot.csv") == [["time_s", "sun", "x"], ["0.000000000", "", "1"]]


def test_an_interrupted_export_leaves_no_file_behind(
    flight: Flight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    out.mkdir()
    (out / "snapshot.csv").write_text("old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RecordError, match="No space left"):
        export_csv(flight, out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("snapshot.csv", "old")]


def test_a_flight_without_messages_gives_no_files(tmp_path: Path) -> None:
    BlackBox(tmp_path / "c.mcap", HEADER).close()
    assert export_csv(read_flight(tmp_path / "c.mcap"), tmp_path / "out") == []
