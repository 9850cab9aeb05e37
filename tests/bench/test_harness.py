"""The benchmark harness: table, JSON, exit code, and the choice of subjects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bench.__main__ as runner
from bench.harness import Report


def test_all_holding_gives_exit_code_zero_and_a_json_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("demo", tmp_path)
    report.add("speed", np.float64(12.5), "us", "C: 10", "< 25", bool(np.float64(12.5) < 25))
    report.add("count", np.int64(3))
    assert report.finish() == 0
    rows = json.loads((tmp_path / "demo.json").read_text())
    assert rows[0] == {
        "figure": "speed", "value": 12.5, "unit": "us", "reference": "C: 10", "target": "< 25", "holds": True,
    }
    assert rows[1]["value"] == 3
    assert rows[1]["target"] is None
    assert "2 of 2 hold" in capsys.readouterr().out


def test_one_miss_gives_exit_code_one_and_stands_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("demo", tmp_path)
    report.add("slow", 99.0, "us", None, "< 25", False)
    report.add("never", float("nan"), "us")
    assert report.finish() == 1
    out = capsys.readouterr().out
    assert "NO" in out
    assert "0 of 2 hold" in out
    assert json.loads((tmp_path / "demo.json").read_text())[1] == {
        "figure": "never", "value": "nan", "unit": "us", "reference": None, "target": None, "holds": False,
    }


def test_columns_are_aligned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("demo", tmp_path)
    report.add("a", 1.0, "m", "ref", "< 2")
    report.add("a much longer figure", 123456.0, "m/s2", "another", "< 200000")
    report.finish()
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.strip().startswith("figure"))
    for line in lines[lines.index(header) + 1 : -1]:
        assert line[header.index("target") - 1] == " "
        assert line[header.index("target")] != " "


def test_world_is_a_subject_and_helpers_are_not() -> None:
    subjects = runner.subjects()
    assert "world" in subjects
    assert not {"harness", "__main__", "__init__", "_torque_free"} & set(subjects)


def test_unknown_subject_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner.main(["nonsense"]) == 2
    assert "no benchmark nonsense" in capsys.readouterr().err
    monkeypatch.setenv("ONLY", "rubbish")
    assert runner.main([]) == 2
