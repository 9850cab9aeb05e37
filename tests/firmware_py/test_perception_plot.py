"""The top view: the same record draws the same picture, whatever is or isn't in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from firmware_py.perception.playback import load_playback
from firmware_py.perception.record import PerceptionRecord, pack_columns, pack_tracks
from firmware_py.report.perception_plot import draw_surroundings, worst_time
from tests.firmware_py.perception.test_record import motion, written
from tests.firmware_py.perception.track_lists import NS, track_list

VERMILION = np.array([0xD5, 0x5E, 0x00]) / 255.0


def picture(path: Path, to: Path, t_ns: int, half_m: float | None = None) -> np.ndarray:
    draw_surroundings(load_playback(path), t_ns, to, half_m)
    return imread(to)


def test_the_time_of_the_highest_risk_is_looked_at(tmp_path: Path) -> None:
    seen = load_playback(written(tmp_path / "perception.mcap"))
    assert worst_time(seen) == 2 * NS
    PerceptionRecord(tmp_path / "empty.mcap", {}).close()
    assert worst_time(load_playback(tmp_path / "empty.mcap")) == 0


def test_the_same_record_draws_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "perception.mcap")
    for name in ("a.png", "b.png"):
        draw_surroundings(load_playback(path), 2 * NS, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_critical_track_is_drawn_in_its_colour_and_an_ok_one_is_not(tmp_path: Path) -> None:
    path = written(tmp_path / "perception.mcap")

    def reds(t_ns: int) -> int:
        pixels = picture(path, tmp_path / "x.png", t_ns)[:, :, :3]
        return int(np.count_nonzero(np.abs(pixels - VERMILION).max(axis=2) < 0.02))

    # The legend has one dot of it.
    assert reds(2 * NS) > 1.5 * reds(0) > 0


def test_title_and_axes_are_within_the_picture(tmp_path: Path) -> None:
    pixels = picture(written(tmp_path / "perception.mcap"), tmp_path / "x.png", 2 * NS)[:, :, :3]
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert edge.min() > 0.99


@pytest.mark.parametrize("t_ns", [-1, 0, 10**18])
@pytest.mark.parametrize("half_m", [None, 1.0, 1e6])
def test_any_moment_and_scale_can_be_drawn(tmp_path: Path, t_ns: int, half_m: float | None) -> None:
    assert picture(written(tmp_path / "perception.mcap"), tmp_path / "x.png", t_ns, half_m).shape[1] > 1000


def test_a_record_of_nothing_is_a_picture_of_nothing(tmp_path: Path) -> None:
    PerceptionRecord(tmp_path / "perception.mcap", {}).close()
    assert picture(tmp_path / "perception.mcap", tmp_path / "x.png", 0).shape[1] > 1000


def test_tracks_that_hold_no_numbers_and_cells_are_drawn(tmp_path: Path) -> None:
    record = PerceptionRecord(tmp_path / "perception.mcap", {"mission": "odd [x]"})
    from firmware_py.perception.port import CODEC

    record.add("/in", NS, CODEC.pack(motion(NS)))
    crowd = ([5 + n, 9, n, 0, 0, 0] for n in range(40))
    tracks = track_list([[10, 0, 0, 0, 0, 0], [np.nan, 0, 0, 0, 0, 0], *crowd], NS)
    tracks.covariance[0] = -np.eye(6)
    record.add("/tracks", NS, pack_tracks(tracks))
    record.add("/grid", NS, pack_columns(NS, {
        "centre_m": np.array([[1.0, 1.0, 1.0], [3.0, 1.0, 5.0]]), "probability": np.ones(2), "cell_m": np.full(2, 2.0),
    }))
    record.close()
    assert picture(tmp_path / "perception.mcap", tmp_path / "x.png", NS).shape[1] > 1000
