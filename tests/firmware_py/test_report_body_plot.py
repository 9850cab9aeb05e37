"""The picture of a body: the limits that it shows are the true ones, and it can be drawn of any body."""

from __future__ import annotations

from pathlib import Path

import matplotlib.figure
import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from firmware_py.gnc.authority import authority
from firmware_py.report.body_plot import draw_body
from hal.profile import load_body
from hal.profile.body import BodyConfig

T = load_body("qiki-t")


def section(picture: matplotlib.figure.Figure, across: str, up: str) -> Axes:
    return next(a for a in picture.axes if a.get_xlabel() == across and a.get_ylabel() == up)


def outline(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    line = next(line for line in axes.lines if str(line.get_label()).startswith(label))
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def at_one_place(body: BodyConfig) -> BodyConfig:
    """All nozzles at the centre of mass, pushing the same way: nothing but one force."""
    nozzles = tuple(
        msgspec.structs.replace(n, position_m=body.mass.centre_of_mass_m, direction=(1.0, 0.0, 0.0))
        for n in body.propulsion.nozzles
    )
    return msgspec.structs.replace(body, propulsion=msgspec.structs.replace(body.propulsion, nozzles=nozzles))


def test_the_same_body_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (draw_body(T, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000


def test_outlines_reach_the_axes_limits_and_hold_the_circle_of_every_direction(tmp_path: Path, kept) -> None:
    found = authority(T)
    draw_body(T, tmp_path / "t.png", found)
    x, y = outline(section(kept[0], "force X, N", "force Y, N"), "force limit")
    assert (x.max(), y.max()) == pytest.approx((found.force_n[0], found.force_n[2]), rel=1e-6)
    assert (-x.min(), -y.min()) == pytest.approx((found.force_n[1], found.force_n[3]), rel=1e-6)
    circle = np.hypot(*outline(section(kept[0], "torque Y, N m", "torque Z, N m"), "in every direction"))
    assert circle == pytest.approx(np.full(len(circle), found.torque.inscribed))
    assert np.hypot(x, y).min() >= found.force.inscribed * (1.0 - 1e-9)


def test_a_section_of_a_cut_is_straight_between_its_corners(tmp_path: Path, kept) -> None:
    draw_body(T, tmp_path / "t.png")
    x, z = outline(section(kept[0], "force X, N", "force Z, N"), "force limit")
    flat = z[np.abs(x) < 500.0]
    assert np.abs(flat[flat > 0.0]) == pytest.approx(np.full((flat > 0.0).sum(), 622.25), abs=0.01)


def test_dead_nozzles_are_told_and_what_all_would_do_is_drawn_beside(tmp_path: Path, kept) -> None:
    draw_body(T, tmp_path / "dead.png", authority(T, (0, 5)))
    picture = kept[0]
    assert "dead: nozzle 0, 5" in picture.get_suptitle()
    axes = section(picture, "force X, N", "force Y, N")
    all_x, _ = outline(axes, "all nozzles")
    x, _ = outline(axes, "force limit")
    assert x.max() < all_x.max()


@pytest.mark.parametrize("failed", [(0, 1, 2, 3), tuple(range(12)), tuple(range(16))])
def test_what_cannot_be_controlled_is_drawn_and_says_so(failed: tuple[int, ...], tmp_path: Path, kept) -> None:
    assert draw_body(T, tmp_path / "lost.png", authority(T, failed)).exists()
    assert "NOT controllable" in kept[0].get_suptitle()


def test_a_body_that_only_pushes_one_way_is_drawn(tmp_path: Path, kept) -> None:
    draw_body(at_one_place(T), tmp_path / "one.png")
    words = [text.get_text() for axes in kept[0].axes for text in axes.texts]
    assert sum("not in three dimensions" in word for word in words) == 2


def test_labels_lie_inside_the_picture_and_do_not_cross(tmp_path: Path, kept) -> None:
    draw_body(T, tmp_path / "t.png")
    picture = kept[0]
    picture.draw_without_rendering()
    whole = picture.bbox
    for axes in picture.axes:
        if axes.name == "3d":
            continue
        boxes = [t.get_window_extent() for t in axes.texts]
        assert all(whole.contains(b.x0, b.y0) and whole.contains(b.x1, b.y1) for b in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
