"""Pictures and tables of docs/gnc.md: each picture shows what its flight did, each table what the last run measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.figure
import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from PIL import Image

from bench import _gnc_page as page
from bench import _gnc_plots as subject
from bench._basilisk_experiment import AXES, disturbance, floor_n_s
from bench._basilisk_plant import MISSING
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import authority
from firmware_py.report.plots import STYLE
from hal.profile import load_body
from hal.profile.controllability import wrench_matrix

ROW = {"figure": "", "value": 0.0, "unit": "", "reference": None, "target": None, "holds": True}


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with matplotlib.style.context(["default", STYLE]):
        yield


def line(axes: Axes, label: str) -> Line2D:
    return next(one for one in axes.lines if str(one.get_label()).startswith(label))


def xy(axes: Axes, label: str) -> np.ndarray:
    return np.array(line(axes, label).get_data(), dtype=np.float64)


def assert_readable(picture: matplotlib.figure.Figure, path: Path) -> None:
    """A picture that is there, with every pair of axes labelled and no text over another pair's text."""
    with Image.open(path) as image:
        assert image.width > 1000
    assert picture.get_suptitle()
    for axes in picture.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes]
    renderer = picture.canvas.get_renderer()
    boxes = [
        text.get_window_extent(renderer) for axes in picture.axes
        for text in (axes.xaxis.label, axes.yaxis.label) if text.get_text()
    ]
    for index, box in enumerate(boxes):
        assert box.x0 >= 0.0
        assert box.y0 >= 0.0
        assert box.x1 <= picture.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


# -- pictures


def test_slew_shows_an_error_that_ends_under_a_degree_and_an_impulse_that_only_grows(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    path = subject.draw_slew(tmp_path / "slew.png", 30.0, "z")
    upper, lower = kept[0].axes
    error, spent = xy(upper, "this software"), xy(lower, "this software")
    assert error[1, 0] == pytest.approx(90.0)
    assert error[1, -1] < 1.0
    assert (np.diff(spent[1]) >= 0.0).all()
    assert spent[1, -1] > 0.5
    assert len(lower.lines) == (1 if MISSING else 2)
    assert_readable(kept[0], path)


def test_hold_shows_the_floor_of_the_linear_programme_under_every_flight(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    path = subject.draw_hold(tmp_path / "hold.png", 20.0, "y")
    plane, impulse = kept[0].axes
    floor = floor_n_s(load_body("gref"), disturbance(AXES["y"]), 20.0)
    assert xy(impulse, "floor")[1, -1] == pytest.approx(floor)
    # What is stored as rate at the end may be owed to the floor, but no more.
    assert xy(impulse, "this software")[1, -1] > 0.9 * floor
    assert np.abs(xy(plane, "flown")[0]).max() < 0.5
    assert_readable(kept[0], path)


def test_on_the_upper_switching_curve_coasting_reaches_the_edge_in_a_window_and_a_half(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    subject.draw_hold(tmp_path / "hold.png", 5.0, "x")
    angle, rate = xy(kept[0].axes[0], "switching curves")
    body = load_body("gref")
    ahead, pull = 1.5 * body.propulsion.window_ms * 1e-3, np.degrees(0.03 / body.mass.inertia_kg_m2[0][0])
    assert angle + rate * ahead + 0.5 * pull * ahead**2 == pytest.approx(np.full(len(angle), 0.05))


def test_pushes_made_lie_inside_the_common_circle_and_keep_their_direction(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    path = subject.draw_attainable(tmp_path / "attainable.png", pushes=40)
    radius = authority(load_body("qiki-t")).force.inscribed
    capped = count = 0
    for axes in kept[0].axes:
        asked, made = xy(axes, "asked"), xy(axes, "made")
        sizes = np.hypot(*made)
        count += len(sizes)
        assert (sizes <= radius * (1.0 + 1e-9)).all()
        assert (np.abs(asked[0] * made[1] - asked[1] * made[0]) < 1e-6 * np.hypot(*asked) * sizes + 1e-6).all()
        beyond = np.hypot(*asked) > radius
        capped += int(beyond.sum())
        assert sizes[beyond] == pytest.approx(np.full(int(beyond.sum()), radius))
    assert count == 40
    assert capped > 5
    assert_readable(kept[0], path)


def test_tables_make_the_wrench_at_the_optimum_where_the_other_allocators_do_not(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    path = subject.draw_allocation(tmp_path / "allocation.png", demands=40, timed=50)
    error, cost, time = kept[0].axes
    assert xy(error, "tables")[1].max() < 1e-8
    assert xy(cost, "tables")[1] == pytest.approx(np.ones(40), abs=1e-4)
    assert np.median(xy(error, "pseudo-inverse, clipped")[1]) > 0.1
    exact = xy(error, "pseudo-inverse less")[1] < 1e-9
    assert exact.sum() > 20
    assert (xy(cost, "pseudo-inverse less")[1][exact] > 1.0).all()
    labels = [text.get_text() for text in time.get_legend().get_texts()]
    assert labels[0].startswith("tables, median")
    assert_readable(kept[0], path)


def test_an_unbalanced_craft_is_pushed_aside_by_subtracting_the_least_duty() -> None:
    balanced, wanted = wrench_matrix(load_body("qiki-t")), np.array([0.0, 0.0, 40.0, 0.0, 0.0, 0.0])
    assert balanced @ subject.least_subtracted(balanced, wanted) == pytest.approx(wanted, abs=1e-9)
    lopsided = balanced.copy()
    lopsided[:, 0] *= 0.5
    off = lopsided @ subject.least_subtracted(lopsided, wanted) - wanted
    assert np.abs(off).max() > 1.0
    allocator = Allocator(load_body("qiki-t"))
    assert allocator.wrenches @ allocator.allocate(wanted)[0] == pytest.approx(wanted, abs=1e-9)


def test_a_burn_makes_the_impulse_of_its_ramps_to_a_shortest_pulse(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    path = subject.draw_profile(tmp_path / "profile.png", level=40.0, seconds=3.0)
    _, total, valves = kept[0].axes
    made, asked = xy(total, "made")[1], xy(total, "asked")[1]
    assert asked[-1] == pytest.approx(0.4 * 735.0 * (3.0 - 0.75), rel=1e-3)
    assert made[-1] == pytest.approx(asked[-1], abs=4 * 260.0 * 0.7071 * 0.030)
    open_nozzles = [k for k, spans in enumerate(valves.collections) if spans.get_paths()]
    assert set(open_nozzles) >= {4, 5, 6, 7}
    assert_readable(kept[0], path)


def test_attitude_errors_lie_within_three_sigmas(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    path = subject.draw_estimation(tmp_path / "estimation.png", seeds=3, seconds=12.0)
    upper, lower = kept[0].axes
    errors = np.abs([xy(upper, f"error about {axis}")[1] for axis in "XYZ"])
    band = upper.collections[0].get_paths()[0].vertices
    late = xy(upper, "error about X")[0] > 6.0
    assert float(np.nanmax(errors[:, late])) < float(band[:, 1].max())
    assert float(np.mean(errors[:, late] < 45.0)) > 0.95
    assert len(xy(lower, "mean NEES of 3 seeds")[1]) == 12
    assert 1.0 < xy(lower, "mean NEES")[1].mean() < 20.0
    assert_readable(kept[0], path)


def test_every_fault_is_in_a_bar_of_its_kind(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    path = subject.draw_faults(tmp_path / "faults.png", ("bench-12kg",), seeds=1)
    left, right = kept[0].axes
    off, half = (sum(bar.get_height() for bar in bars) for bars in left.containers)
    assert off > 90.0
    assert 0.0 < half <= 100.0 + 1e-9
    stuck = [bar for bar in right.patches if bar.get_height() > 0.0]
    assert sum(bar.get_height() for bar in stuck) > 90.0
    assert min(bar.get_x() for bar in stuck) > 0.0
    assert_readable(kept[0], path)


def test_the_script_draws_what_is_asked_for_and_leaves_the_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "renew", lambda: pytest.fail("the page was written"))
    subject.main([str(tmp_path / "new"), "--only", "gnc-profile"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["gnc-profile.png"]


def test_every_picture_of_the_page_is_stored_and_drawn_by_the_script() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for name in subject.PICTURES:
        assert (page.PAGE.parent / "pictures" / f"{name}.png").exists()
    shown = {line.split("pictures/")[1].split(".png")[0] for line in text.splitlines() if "](pictures/gnc-" in line}
    assert shown <= set(subject.PICTURES)
    assert len(shown) >= 6


# -- tables


def row(figure: str, value: float | str, **others: Any) -> dict[str, Any]:
    return {**ROW, "figure": figure, "value": value, **others}


def test_the_page_says_what_was_measured() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.renewed(text, page.figures()) == text, "python -m bench._gnc_plots --tables"


def test_every_room_has_a_table_on_the_page() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert [match[2] for match in page.MARK.finditer(text)].count("other") == 1
    assert {match[2] for match in page.MARK.finditer(text)} == set(page.ROOMS)


def test_lines_that_differ_by_body_become_one_with_the_worst() -> None:
    rows = [
        row("qiki-t: over daqp, median", 0.2, unit="x", target="<= 0.35", reference="daqp 9 us"),
        row("gref: over daqp, median", 0.4, unit="x", target="<= 0.35", reference="daqp 8 us", holds=False),
    ]
    assert page.table("allocation", rows).splitlines()[2:] == [
        "| over daqp, median | 0.4 x (0.2 to 0.4) | daqp 8 us | <= 0.35 | **no**: 1 of 2 miss |"
    ]


def test_the_worst_of_a_lower_bound_is_the_least() -> None:
    rows = [row(f"{name}: FTG, weakest push", size, unit="N", target=">= 0.97") for name, size in
            (("qiki-t", 622.0), ("gref", 2.1), ("qiki-g", 702.5))]
    assert "| 2.1 N (2.1 to 702.5) |" in page.table("allocation", rows)


def test_axes_floors_and_phases_are_cases_of_one_figure() -> None:
    rows = [
        row(f"hold, 0.03 N m about {axis}, 300 s: impulse over the LP floor of {floor} N s", 1.0 + floor / 1000.0,
            target="<= 1.08") for axis, floor in (("x", 50.5), ("diagonal", 61.2))
    ]
    lines = page.table("basilisk", rows).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| hold, 0.03 N m, 300 s: impulse over the LP floor | 1.061 (1.05 to 1.061) |")


def test_a_body_stays_where_it_says_more_than_whose_figure_it_is() -> None:
    rows = [row("qiki-t without A or C, 14 directions: at rest", 14, unit="of 14", target=14),
            row("qiki-g without a cluster, 7 directions: at rest", 7, unit="of 7", target=7)]
    lines = page.table("lost-cluster", rows).splitlines()
    assert lines[2].startswith("| qiki-t without A or C, 14 directions: at rest | 14 of 14 |")
    assert len(lines) == 4


def test_no_figure_is_lost() -> None:
    names = ["a figure that nobody thought of", "whole chain a fast tick, median", "gref: FTG, weakest push"]
    rows = [row(name, 1.0) for name in names]
    assert sum(page.table(room, rows).count("\n| ") for room in page.ROOMS) == len(names)
    assert "nobody thought of" in page.table("other", rows)


def test_tables_are_written_between_their_marks_and_nowhere_else(tmp_path: Path) -> None:
    text = "before\n<!-- figures chain -->\nold\n<!-- end -->\nafter <!-- end -->\n"
    target, source = tmp_path / "page.md", tmp_path / "gnc.json"
    target.write_text(text, encoding="utf-8")
    assert page.renew(target, source) == "renewed"
    assert page.NOT_MEASURED in target.read_text(encoding="utf-8")
    source.write_text(json.dumps([row("whole chain a fast tick, median", 101.5, unit="us")]), encoding="utf-8")
    assert page.renew(target, source) == "renewed"
    written = target.read_text(encoding="utf-8")
    assert "| whole chain a fast tick, median | 101.5 us | - | - | - |" in written
    assert written.startswith("before\n<!-- figures chain -->\n| figure")
    assert written.endswith("<!-- end -->\nafter <!-- end -->\n")
    assert page.renew(target, source) == "is up to date"


def test_a_room_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no room 'attic'"):
        page.renewed("<!-- figures attic -->\n<!-- end -->\n", [])
