"""Pictures: always drawable, the same bytes for the same rows, gaps for missing values, names that don't collide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.text import Annotation
from PIL import Image

from firmware_py.mission import ExpectConfig
from firmware_py.report.figures import FlightData
from firmware_py.report.plots import draw_all, draw_mission, draw_path
from tests.firmware_py.test_report_flight import make_flight

NS = 1_000_000_000


class Kept:
    """Pictures as they were when they were saved."""

    def __init__(self) -> None:
        self.pictures: dict[str, matplotlib.figure.Figure] = {}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    box = Kept()
    save = matplotlib.figure.Figure.savefig

    def keep(self: matplotlib.figure.Figure, path: Path, **options: Any) -> None:
        box.pictures[Path(path).stem] = self
        save(self, path, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return box


def curve(picture: matplotlib.figure.Figure, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Points of the curve with that label."""
    lines = [line for axes in picture.axes for line in axes.lines if line.get_label() == label]
    assert lines, label
    return np.asarray(lines[0].get_xdata(), dtype=float), np.asarray(lines[0].get_ydata(), dtype=float)


def all_none(data: FlightData) -> FlightData:
    return FlightData(
        data.metadata, [(t, dict.fromkeys(row)) for t, row in data.snapshots],
        [(t, dict.fromkeys(row)) for t, row in data.truth], [], [],
    )


def test_a_flight_gives_three_pictures_and_the_same_bytes_again(tmp_path: Path) -> None:
    first = draw_all(make_flight(130.0, 4), tmp_path / "a")
    second = draw_all(make_flight(130.0, 4), tmp_path / "b")
    assert [p.name for p in first] == ["mission.png", "energy.png", "path.png"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("data", "count"),
    [
        (make_flight(2.0), 2),
        (make_flight(2.0, truth=False), 2),
        (FlightData({}, [], [], [], []), 2),
        (FlightData({"mission": "x", "seed": "null"}, [(0, {})], [], [], []), 2),
        (all_none(make_flight(2.0)), 2),
        (FlightData({}, [], make_flight(2.0).truth, [], []), 2),
    ],
    ids=["two seconds", "real craft", "nothing", "one empty row", "all missing", "truth alone"],
)
def test_whatever_was_recorded_can_be_drawn(data: FlightData, count: int, tmp_path: Path) -> None:
    drawn = draw_all(data, tmp_path)
    assert len(drawn) == count
    for path in drawn:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width > 1000


def test_a_real_craft_s_path_is_its_estimate(tmp_path: Path, kept: Kept) -> None:
    data = make_flight(130.0, 4, truth=False)
    assert draw_path(data, tmp_path / "path.png") is not None
    x, _ = curve(kept.pictures["path"], "estimated path")
    assert x[-1] == pytest.approx(data.snapshots[-1][1]["position_m"][0])


@pytest.mark.parametrize("end", [(40.0, 0.1, 0.0), (10.0, -20.0, 30.0), (0.0, 1.0, 1.0)])
def test_the_whole_path_is_in_view(end: tuple[float, float, float], tmp_path: Path, kept: Kept) -> None:
    rows = [(t * NS, {"position_m": [t / 10 * x for x in end]}) for t in range(11)]
    draw_path(FlightData({}, rows, [], [], []), tmp_path / "path.png")
    for axes in kept.pictures["path"].axes:
        for line in axes.lines:
            points = np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float)
            points = points[np.isfinite(points).all(axis=1)]
            (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
            assert ((points[:, 0] >= left) & (points[:, 0] <= right)).all()
            assert ((points[:, 1] >= low) & (points[:, 1] <= high)).all()


def test_a_short_step_beside_a_short_step_keeps_its_name(tmp_path: Path, kept: Kept) -> None:
    def step(t: float) -> str:
        return "boot" if t < 1 else "detumble" if t < 7 else "sun-track"

    rows = [(t, {**row, "step": step(t / NS)}) for t, row in make_flight(280.0, 4).snapshots]
    draw_mission(FlightData({}, rows, [], [], []), tmp_path / "mission.png")
    names = [c.get_text() for c in kept.pictures["mission"].axes[0].get_children() if isinstance(c, Annotation)]
    assert names == ["boot", "detumble", "sun-track"]


def test_a_craft_that_stayed_has_no_path(tmp_path: Path) -> None:
    assert draw_path(make_flight(10.0), tmp_path / "path.png") is None


def test_missing_values_are_gaps_on_linear_and_on_log_axes(tmp_path: Path, kept: Kept) -> None:
    draw_all(make_flight(rate_hz=4), tmp_path)
    t, error = curve(kept.pictures["mission"], "truth from target")
    assert np.isnan(error[t < 28.0]).all(), "no target, no pointing error"
    assert np.isfinite(error[(t >= 28.0) & (t < 200.0)]).all()
    t, volts = curve(kept.pictures["energy"], "bus")
    silent = (t >= 240.0) & (t < 252.0)
    assert np.isnan(volts[silent]).all()
    assert np.isfinite(volts[~silent]).all()
    heat = next(axes for axes in kept.pictures["energy"].axes if axes.get_ylabel().startswith("temperature"))
    gappy = [line for line in heat.lines if np.isnan(np.asarray(line.get_ydata(), dtype=float)).any()]
    (comms,) = gappy
    t, warmth = np.asarray(comms.get_xdata(), dtype=float), np.asarray(comms.get_ydata(), dtype=float)
    assert np.isnan(warmth[(t >= 150.0) & (t < 170.0)]).all()
    assert np.isfinite(warmth[(t < 150.0) | (t >= 170.0)]).all()


def test_a_pause_in_the_record_is_not_bridged_by_a_line(tmp_path: Path, kept: Kept) -> None:
    data = make_flight(20.0)
    rows = [row for row in data.snapshots if not 8 * NS < row[0] < 12 * NS]
    draw_all(FlightData(data.metadata, rows, [], [], []), tmp_path)
    t, volts = curve(kept.pictures["energy"], "bus")
    gap = np.flatnonzero(np.isnan(volts))
    assert len(gap) == 1
    assert t[gap[0]] == pytest.approx(8.0)


def test_expected_limits_are_drawn_where_they_apply(tmp_path: Path, kept: Kept) -> None:
    expectations = [
        ExpectConfig("attitude_error_deg", below=1.0, last_s=60.0),
        ExpectConfig("position_error_m", below=0.5, step="dock"),
    ]
    draw_mission(make_flight(rate_hz=4), tmp_path / "mission.png", expectations)
    t, limit = curve(kept.pictures["mission"], "expected below")
    assert t.tolist() == [240.0, 300.0]
    assert limit.tolist() == [1.0, 1.0]
    labels = [line.get_label() for axes in kept.pictures["mission"].axes for line in axes.lines]
    assert labels.count("expected below") == 1


@pytest.mark.parametrize("period_s", [60.0, 10.0, 3.0])
def test_names_of_short_steps_do_not_overlap_and_stay_inside(period_s: float, tmp_path: Path, kept: Kept) -> None:
    rows = [(t, {**row, "step": f"step-number-{int(t / NS / period_s)}"}) for t, row in make_flight(120.0, 4).snapshots]
    draw_mission(FlightData({}, rows, [], [], []), tmp_path / "mission.png")
    picture = kept.pictures["mission"]
    names = [child for child in picture.axes[0].get_children() if isinstance(child, Annotation)]
    boxes = [super(Annotation, name).get_window_extent() for name in names]
    assert len(names) >= 2
    for index, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= picture.bbox.width
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_a_masked_nozzle_is_marked_from_the_moment_it_went_out_of_use(tmp_path: Path, kept: Kept) -> None:
    draw_mission(make_flight(130.0, 4), tmp_path / "mission.png")
    valves = kept.pictures["mission"].axes[4]
    (line,) = [line for line in valves.lines if line.get_linewidth() == 3]
    assert list(line.get_xdata()) == [92.0, 130.0]
    assert list(line.get_ydata()) == [5, 5]


def test_pulses_are_drawn_in_their_row_and_time(tmp_path: Path, kept: Kept) -> None:
    rows = [(t * NS, {"on_ms": [0, 0, 100 if t == 5 else 0, 30 if t >= 8 else 0]}) for t in range(11)]
    draw_mission(FlightData({}, rows, [], [], []), tmp_path / "mission.png")
    (mesh,) = kept.pictures["mission"].axes[4].collections
    drawn = np.ma.filled(mesh.get_array(), 0.0)
    assert drawn.shape == (4, 11)
    assert drawn[2].tolist() == [0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0]
    assert drawn[3].tolist() == [0] * 8 + [30, 30, 30]


def test_drawing_leaves_the_settings_of_the_drawing_library_alone(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    draw_all(make_flight(2.0), tmp_path)
    assert dict(matplotlib.rcParams) == before
