"""Pictures of a day of energy: what is given equals what is taken, sheds and gaps are where they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from firmware_py.energy.forecast import forecast
from firmware_py.energy.forecast_plan import DayAhead, Start
from firmware_py.energy.lighting import Illumination, OrbitLight
from firmware_py.report.energy_plots import EnergyDay, draw_energy_day
from hal.profile import load_body

T = load_body("qiki-t")
HOURS = 8.0


@pytest.fixture(scope="module")
def ahead() -> DayAhead:
    start = Start(0.4, 0.7, 0.02, 0.02, {node.name: 15.0 for node in T.thermal.nodes})
    return forecast(T, start, Illumination(OrbitLight(500.0)), seconds=HOURS * 3600.0, ambient_c=5.0)


def day(ahead: DayAhead, **changes: object) -> EnergyDay:
    second = [(row.t_s, row.soc_battery, row.soc_supercap) for row in ahead.pessimistic.rows]
    found = EnergyDay(
        "qiki-t: eight hours", T, ahead.node_names, ahead.nominal.rows, ahead.nominal.sheds, second, "pessimistic", 5.0,
        {"first shed": 1800.0}, HOURS * 3600.0,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_the_same_day_gives_the_same_bytes(ahead: DayAhead, tmp_path: Path) -> None:
    first, second = (draw_energy_day(day(ahead), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000
        assert picture.height > 700


def test_it_has_flows_charges_and_heat_with_their_thresholds(
    ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    draw_energy_day(day(ahead), tmp_path / "day.png")
    strip, flows, charges, heat = kept[0].axes
    assert [tick.get_text() for tick in strip.get_yticklabels()][:4] == ["mode", "light", "nbl", "radar"]
    assert "shed: low_soc" in labels(strip)
    assert "no power" in labels(strip)
    assert {"array", "battery gives", "loads"} <= set(labels(flows))
    assert {"battery", "battery, pessimistic", "shedding begins, 20 %", "T_boost, 60 %"} <= set(labels(charges))
    assert {"battery", "core", "4 clusters", "no charge below 0 C", "ambient, 5 C"} <= set(labels(heat))
    assert heat.get_xlim() == pytest.approx((0.0, HOURS))


def test_sources_above_equal_consumers_below_at_every_moment(
    ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    draw_energy_day(day(ahead), tmp_path / "day.png")
    flows = kept[0].axes[1]
    tops = [area.get_paths()[0].vertices for area in flows.collections]
    highest = max(float(v[:, 1].max()) for v in tops)
    lowest = min(float(v[:, 1].min()) for v in tops)
    assert highest == pytest.approx(-lowest, rel=0.01)
    assert highest == pytest.approx(max(r.array_w + max(r.battery_w, 0.0) for r in ahead.nominal.rows), rel=1e-6)


def test_charges_are_drawn_as_they_were(ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    draw_energy_day(day(ahead), tmp_path / "day.png")
    line = next(line for line in kept[0].axes[2].lines if line.get_label() == "battery")
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert y[0] == pytest.approx(40.0)
    assert y.min() == pytest.approx(100.0 * ahead.nominal.min_soc_battery, abs=1e-6)
    assert x[-1] == pytest.approx(HOURS)


def test_what_is_not_known_on_board_is_a_gap(
    ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    gappy = [(0.0, 0.4, 0.7), (3600.0, None, None), (7200.0, 0.3, 0.7)]
    draw_energy_day(day(ahead, second=gappy, second_name="on board"), tmp_path / "day.png")
    line = next(line for line in kept[0].axes[2].lines if line.get_label() == "battery, on board")
    assert np.isnan(np.asarray(line.get_ydata(), dtype=float)).tolist() == [False, True, False]


def test_nothing_shed_needs_no_row_and_two_rows_are_the_least(
    ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    draw_energy_day(day(ahead, sheds=()), tmp_path / "day.png")
    assert [tick.get_text() for tick in kept[0].axes[0].get_yticklabels()] == ["mode", "light"]
    with pytest.raises(ValueError, match="two rows"):
        draw_energy_day(day(ahead, rows=ahead.nominal.rows[:1]), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_no_two_texts_of_the_picture_overlap(
    ahead: DayAhead, tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    draw_energy_day(day(ahead), tmp_path / "day.png")
    picture = kept[0]
    picture.draw_without_rendering()
    boxes = []
    for axes in picture.axes:
        legend = axes.get_legend()
        assert legend is not None
        boxes.append(legend.get_window_extent())
    for index, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[index + 1:])
        assert one.x1 <= picture.bbox.width
