"""A real flight log through the chips' registers: our attitude beside that of a plain complementary filter.

The filter sees the log's own floats; ours sees what the simulated chips' registers leave of them, through the drivers.
Both get the field's direction, aligned once with the reference's first second. Without the whole log
(``../shared/data``) the excerpt of ``tests/data`` is used and the table says so. The targets are those of the whole
log after 5 s of settling.
"""

from __future__ import annotations

import tempfile
from math import hypot
from pathlib import Path

import numpy as np

from bench.harness import Report
from firmware_py.cli.replay_log import LogResult, field_direction, replay_log, shared_times
from firmware_py.replay_log import AXES, Comparison, Track, compare
from hal.frames import (
    Quaternion,
    Vec3,
    add,
    cross,
    multiply,
    normalise,
    quaternion_between,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    scale,
    unit,
)
from hil.log_replay import SensorLog, read_attitude_log, read_sensor_log

ROOT = Path(__file__).resolve().parent.parent
WHOLE = ROOT.parent / "shared" / "data"
FILES = ("flight_log_a_imu.csv.gz", "flight_log_a_reference_attitude.csv.gz")
EXCERPT = ROOT / "tests" / "data"
EXCERPT_FILES = ("flight_log_excerpt_imu.csv.gz", "flight_log_excerpt_reference.csv.gz")
SETTLE_S = 5.0
TARGET_DEG = {"roll": 0.5, "pitch": 0.5, "yaw": 4.0}
TARGET_TIMES_REAL = 20.0
LEVEL_GAIN = 1.0
HEADING_GAIN = 1.0
"""Gains of the filter, 1/s: time constants of 1 s."""
NS = 1e9


def run(report: Report) -> None:
    """Add the figures of this subject; about 3 s."""
    folder, names = (WHOLE, FILES) if (WHOLE / FILES[0]).exists() else (EXCERPT, EXCERPT_FILES)
    imu, reference = (folder / name for name in names)
    with tempfile.TemporaryDirectory() as made:
        ours = replay_log(imu, reference, Path(made), frame="frd", settle_s=SETTLE_S)
    plain = _plain(imu, reference)
    report.add("log", imu.name, "", f"{ours.duration_s:.1f} s, {ours.compared} attitudes compared", None, True)
    for name in AXES:
        value, beside = getattr(ours, name), getattr(plain, name)
        bound = TARGET_DEG[name]
        report.add(f"{name} rms, complementary filter beside it", value.rms_deg, "deg", beside.rms_deg, f"< {bound:g}",
                   value.rms_deg < bound)
        report.add(f"{name} largest, complementary filter beside it", value.max_deg, "deg", beside.max_deg)
    report.add("whole rotation rms, complementary filter beside it", ours.angle.rms_deg if ours.angle else None, "deg",
               plain.angle.rms_deg)
    _health(report, ours)


def _health(report: Report, ours: LogResult) -> None:
    report.add("transactions refused by drivers", ours.refused, "", None, 0, ours.refused == 0)
    report.add("ticks without an inertial sample (the unit's set-up)", ours.played.coasted, f"of {ours.ticks}",
               None, "<= 14", ours.played.coasted <= 14)
    faster = ours.times_real
    report.add("speed of chips, buses, drivers, planes and estimator", faster, "times real time", None,
               f"> {TARGET_TIMES_REAL:g}", faster > TARGET_TIMES_REAL)


def _plain(imu: Path, reference: Path) -> Comparison:
    """The filter over the same log, compared in the same way."""
    log, truth = read_sensor_log(imu, "frd"), read_attitude_log(reference, "frd")
    times = shared_times(log, truth, SETTLE_S)
    north = field_direction(log, truth, times)
    if north is None:
        raise ValueError(f"{imu} has no magnetometer from the start")
    found = compare(complementary(log, north), times, truth.quaternion, SETTLE_S)
    if found is None:
        raise ValueError(f"{reference} has nothing after {SETTLE_S} s")
    return found


def complementary(log: SensorLog, north: Vec3) -> Track:
    """Attitude by a plain complementary filter at the log's own rate: gyro, pulled to gravity and field.

    Mahony, Hamel and Pflimlin, "Nonlinear complementary filters on the special orthogonal group", IEEE Trans. Automatic
    Control 53(5), 2008, passive filter without its bias estimate, begun with the first sample. ``north`` is the field's
    direction in the frame of the result.
    """
    rows = log.inertial.tolist()
    fields = [(x, y, z) for x, y, z in log.field.tolist()]
    newest = np.maximum(0, np.searchsorted(np.array(log.field_t_ns), np.array(log.t_ns), side="right") - 1)
    up: Vec3 = (0.0, 0.0, 1.0)
    flat_north = (north[0], north[1], 0.0)
    level = quaternion_between((rows[0][3], rows[0][4], rows[0][5]), up)
    seen = rotate(level, fields[0])
    q: Quaternion = multiply(quaternion_between((seen[0], seen[1], 0.0), flat_north), level)
    quaternions = [q]
    for k in range(1, len(rows)):
        dt = (log.t_ns[k] - log.t_ns[k - 1]) / NS
        gx, gy, gz, fx, fy, fz = rows[k]
        upward = rotate_inverse(q, up)
        rate = add((gx, gy, gz), scale(cross(unit((fx, fy, fz)), upward), LEVEL_GAIN))
        seen = rotate(q, fields[newest[k]])
        pull = (seen[0] * north[1] - seen[1] * north[0]) / (hypot(seen[0], seen[1]) * hypot(north[0], north[1]))
        rate = add(rate, scale(upward, HEADING_GAIN * pull))
        q = normalise(multiply(q, quaternion_from_rotation_vector(scale(rate, dt))))
        quaternions.append(q)
    return Track(np.array(log.t_ns) / NS, np.array(quaternions), np.ones(len(rows), dtype=np.bool_))
