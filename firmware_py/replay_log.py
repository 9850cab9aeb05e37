"""Compares an estimated attitude with a reference sample by sample, and writes both down: JSON, CSV and a picture.

The same estimate and reference give the same bytes in every file. Where roll and yaw mean nothing, near the vertical,
they are left out of the figures and counted.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["AXES", "AxisDifference", "Comparison", "Track", "compare", "draw", "euler_deg", "write_csv", "write_json"]

Array = npt.NDArray[np.float64]

AXES = ("roll", "pitch", "yaw")
VERTICAL_DEG = 75.0
"""Pitch beyond which roll and yaw are left out: there a tilt error of 1 deg turns them by 4 deg and more."""
BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "#77838f"
"""Of Okabe and Ito's colours, which colour-blind people tell apart."""
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e4e8ec", "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "figure.dpi": 110, "savefig.dpi": 110, "axes.formatter.useoffset": False,
}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """An estimate over time: ``t_s`` (n, flight time), ``quaternion`` (n x 4, w x y z, body to a frame with Z up) and
    ``known`` (n), False while the attitude is relative to that at start."""

    t_s: Array
    quaternion: Array
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AxisDifference:
    """Estimate minus reference of one angle, degrees: root mean square, largest size, mean; over ``samples``."""

    rms_deg: float
    max_deg: float
    mean_deg: float
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Estimate beside reference at the reference's times.

    Attributes:
        t_s: flight time (n).
        estimate_deg, reference_deg, difference_deg: roll, pitch, yaw (n x 3); differences within +-180.
        roll, pitch, yaw: figures after settling.
        angle: of the whole rotation between the two, which has no singular direction.
        samples: reference samples after settling.
        near_vertical: of these, samples left out of roll and yaw.
    """

    t_s: Array
    estimate_deg: Array
    reference_deg: Array
    difference_deg: Array
    roll: AxisDifference
    pitch: AxisDifference
    yaw: AxisDifference
    angle: AxisDifference
    samples: int
    near_vertical: int


def euler_deg(quaternion: Array) -> Array:
    """Roll, pitch, yaw in degrees (n x 3) of quaternions (n x 4), as ``hal.frames.euler_from_quaternion``."""
    w, x, y, z = quaternion.T
    angles: Array = np.degrees(np.stack([
        np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)),
        np.arcsin(np.clip(2.0 * (w * y - z * x), -1.0, 1.0)),
        np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)),
    ], axis=1))
    return angles


def interpolate(t_s: Array, quaternion: Array, at_s: Array) -> Array:
    """Quaternions (m x 4) at ``at_s`` between the neighbours in ``t_s``, which must enclose them.

    The chord is cut instead of the arc: between samples 10 deg apart the largest error is 0.002 deg.
    """
    after = np.clip(np.searchsorted(t_s, at_s, side="right"), 1, len(t_s) - 1)
    before = after - 1
    share = ((at_s - t_s[before]) / (t_s[after] - t_s[before]))[:, None]
    a, b = quaternion[before], quaternion[after]
    b = np.where(np.sum(a * b, axis=1, keepdims=True) < 0.0, -b, b)
    mixed = a + share * (b - a)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    result: Array = mixed
    return result


def _product(a: Array, b: Array) -> Array:
    aw, ax, ay, az = a.T
    bw, bx, by, bz = b.T
    return np.stack([
        aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
    ], axis=1)


_CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])


def heading_offset_rad(estimate: Array, reference: Array) -> float:
    """Turn about the vertical that leads from estimates to references (both n x 4), averaged on the circle, rad."""
    turn = _product(reference, estimate * _CONJUGATE)
    twist = 2.0 * np.arctan2(turn[:, 3], turn[:, 0])
    return float(np.arctan2(np.sin(twist).mean(), np.cos(twist).mean()))


def turn_heading(quaternion: Array, offset_rad: float) -> Array:
    """Quaternions (n x 4) turned about the vertical by ``offset_rad``."""
    turn = np.array([[np.cos(0.5 * offset_rad), 0.0, 0.0, np.sin(0.5 * offset_rad)]])
    return _product(np.repeat(turn, len(quaternion), axis=0), quaternion)


def compare(track: Track, t_s: Array, reference: Array, settle_s: float) -> Comparison | None:
    """Differences between a track and reference quaternions (n x 4) at flight times ``t_s`` (n).

    Compared is wherever the estimate is known; figures count from ``settle_s``. None if nothing is left after it.
    """
    known = np.flatnonzero(track.known)
    if len(known) < 2:
        return None
    inside = (t_s >= track.t_s[known[0]]) & (t_s <= track.t_s[-1])
    t_s, reference = t_s[inside], reference[inside]
    late = t_s >= settle_s
    if not late.any():
        return None
    estimate = interpolate(track.t_s, track.quaternion, t_s)
    ours, theirs = euler_deg(estimate), euler_deg(reference)
    difference = (ours - theirs + 180.0) % 360.0 - 180.0
    steep = np.abs(theirs[:, 1]) > VERTICAL_DEG
    between = _product(estimate * _CONJUGATE, reference)
    angle = np.degrees(2.0 * np.arctan2(np.linalg.norm(between[:, 1:], axis=1), np.abs(between[:, 0])))
    level = late & ~steep
    return Comparison(
        t_s, ours, theirs, difference, _figures(difference[level, 0]), _figures(difference[late, 1]),
        _figures(difference[level, 2]), _figures(angle[late]), int(late.sum()), int((late & steep).sum()),
    )


def _figures(values: Array) -> AxisDifference:
    if len(values) == 0:
        return AxisDifference(float("nan"), float("nan"), float("nan"), 0)
    size = float(np.sqrt(np.mean(values**2)))
    return AxisDifference(size, float(np.abs(values).max()), float(values.mean()), len(values))


# -- files


def write_json(path: Path, table: Mapping[str, Any]) -> Path:
    """Write one table; a figure that does not exist is null."""
    text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write rows under a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def draw(path: Path, title: str, track: Track, comparison: Comparison | None, settle_s: float) -> Path:
    """Roll, pitch and yaw, a panel each: ours over the reference, and beside it the difference of the two."""
    with matplotlib.style.context(["default", STYLE]):
        picture = Figure(figsize=(11.5, 7.2), layout="constrained")
        FigureCanvasAgg(picture)
        picture.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        if comparison is None:
            panels = picture.subplots(3, 1, sharex=True).reshape(3, 1)
        else:
            panels = picture.subplots(3, 2, sharex=True, width_ratios=(1.5, 1.0))
        angles = np.where(track.known[:, None], euler_deg(track.quaternion), np.nan)
        for index, name in enumerate(AXES):
            _angle(panels[index, 0], name, index, track.t_s, angles[:, index], comparison)
            if comparison is not None:
                _difference(panels[index, 1], name, index, comparison, settle_s)
        for axes in panels[-1]:
            axes.set_xlabel("time since the log's first sample, s")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside upper right", ncols=len(handles))
        picture.align_ylabels(panels[:, 0])
        # The name of the drawing library's version would make the bytes depend on it.
        picture.savefig(path, metadata={"Software": None})
    return path


def _angle(axes: Axes, name: str, index: int, t_s: Array, angle: Array, comparison: Comparison | None) -> None:
    if comparison is not None:
        reference = _without_wraps(comparison.reference_deg[:, index])
        axes.plot(comparison.t_s, reference, color=ORANGE, lw=3.2, label="reference that came with the log")
    axes.plot(t_s, _without_wraps(angle), color=BLUE, lw=1.1, label="ours, from the chips' registers")
    axes.set_ylabel(f"{name}, deg")


def _without_wraps(angle: Array) -> Array:
    """A copy with gaps where the angle wraps around, so that no line crosses the panel there."""
    curve = angle.copy()
    wraps = np.flatnonzero(np.abs(np.diff(angle)) > 180.0)
    curve[wraps] = np.nan
    return curve


def _difference(axes: Axes, name: str, index: int, comparison: Comparison, settle_s: float) -> None:
    figures = (comparison.roll, comparison.pitch, comparison.yaw)[index]
    values = comparison.difference_deg[:, index]
    axes.axhline(0.0, color=GREY, lw=0.8)
    axes.plot(comparison.t_s, values, color=BLUE, lw=1.1)
    if settle_s > comparison.t_s[0]:
        axes.axvspan(float(comparison.t_s[0]), settle_s, color=GREY, alpha=0.15, lw=0)
        if index == 0:
            place = axes.get_xaxis_transform()
            start = float(comparison.t_s[0])
            axes.text(start, 1.0, "settling", transform=place, va="bottom", ha="left", fontsize=8, color=GREY)
    axes.set_ylabel(f"{name}: ours - reference, deg")
    axes.set_title(f"rms {figures.rms_deg:.2f}, largest {figures.max_deg:.2f} deg", fontsize=9, loc="right")
