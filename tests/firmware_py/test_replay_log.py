"""A sensor log becomes an attitude through registers, drivers and estimator, and the comparison with the reference is
true."""

from __future__ import annotations

import json
from math import cos, degrees, radians, sin
from pathlib import Path

import msgspec
import numpy as np
import pytest

from firmware_py.cli.replay_log import play, replay_log, replay_log_to_terminal
from firmware_py.clock import NullMeter
from firmware_py.replay_log import Track, compare, euler_deg, interpolate
from hal.frames import (
    conjugate,
    euler_from_quaternion,
    multiply,
    quaternion_from_euler,
    rotate_inverse,
    rotation_vector,
)
from hal.profile import ConfigError, load_profile
from hil.log_replay import LogError, playable, read_sensor_log

DATA = Path(__file__).resolve().parent.parent / "data"
IMU = DATA / "flight_log_excerpt_imu.csv.gz"
REFERENCE = DATA / "flight_log_excerpt_reference.csv.gz"
FIELD_UT = (20.0, 5.0, -43.0)
HEADER = "t_s,gyro_x_deg_s,gyro_y_deg_s,gyro_z_deg_s,accel_x_g,accel_y_g,accel_z_g"
MAG = ",mag_x_ut,mag_y_ut,mag_z_ut"


def swing(t: float) -> tuple[float, float, float, float]:
    """At rest for 2 s, then a swing about all axes up to 60 deg/s."""
    s = max(0.0, t - 2.0)
    ramp = min(1.0, s / 2.0)
    roll, pitch = 0.05 + 0.35 * ramp * sin(1.7 * s), -0.1 + 0.25 * ramp * sin(1.3 * s)
    return quaternion_from_euler(roll, pitch, 2.0 + 0.9 * ramp * (1.0 - cos(0.9 * s)))


def write_logs(
    folder: Path, hz: float, seconds: float, *, mag: bool = True, start_s: float = 0.0, attitude=swing, gap=(0.0, 0.0),
    force_g: float = 1.0,
) -> tuple[Path, Path]:
    """A log and its truth, body forward-left-up: turn over each sample, gravity, field. Noise of a good unit."""
    rng = np.random.default_rng(7)
    imu, reference = [HEADER + (MAG if mag else "")], ["t_s,q_w,q_x,q_y,q_z"]
    step = 1.0 / hz
    for k in range(int(seconds * hz) + 1):
        t = k * step
        q = attitude(t)
        reference.append(",".join(f"{v:.9f}" for v in (start_s + t, *q)))
        if gap[0] <= t < gap[1]:
            continue
        turn = rotation_vector(multiply(conjugate(attitude(t - 0.5 * step)), attitude(t + 0.5 * step)))
        rate = [degrees(v * hz) + 0.1 * rng.standard_normal() + b for v, b in zip(turn, (0.2, -0.15, 0.1), strict=True)]
        force = [force_g * v + 0.002 * rng.standard_normal() for v in rotate_inverse(q, (0.0, 0.0, 1.0))]
        field = [v + 0.1 * rng.standard_normal() for v in rotate_inverse(q, FIELD_UT)] if mag else []
        imu.append(",".join([f"{start_s + t:.6f}", *(f"{v:.9g}" for v in (*rate, *force, *field))]))
    a, b = folder / "imu.csv", folder / "truth.csv"
    a.write_text("\n".join(imu) + "\n")
    b.write_text("\n".join(reference) + "\n")
    return a, b


# -- real logs


def test_excerpt_of_the_real_log_agrees_with_its_reference(tmp_path: Path) -> None:
    result = replay_log(IMU, REFERENCE, tmp_path, frame="frd")
    assert result.roll.rms_deg < 0.5
    assert result.pitch.rms_deg < 0.5
    assert result.yaw.rms_deg < 4.0
    assert result.aligned == "field direction"
    assert (result.refused, result.played.saturated) == (0, 0)
    # All but the set-up of the unit, 14 transactions.
    assert 0 < result.ticks - result.samples <= 14
    assert set(result.played.health.values()) == {"ok"}
    assert result.played.field_samples == pytest.approx(78, abs=2)
    assert result.compared > 250


def test_whole_real_log_agrees_with_its_reference(shared_data: Path, tmp_path: Path) -> None:
    result = replay_log(
        shared_data / "flight_log_a_imu.csv.gz", shared_data / "flight_log_a_reference_attitude.csv.gz", tmp_path,
        frame="frd",
    )
    assert result.roll.rms_deg < 0.15
    assert result.pitch.rms_deg < 0.2
    assert result.yaw.rms_deg < 2.0
    assert result.roll.max_deg < 1.0
    assert result.pitch.max_deg < 1.0


def test_the_wrong_frame_does_not_agree(tmp_path: Path) -> None:
    plain = tmp_path / "imu.csv"
    log = read_sensor_log(IMU)
    values = np.column_stack([np.array(log.t_ns) / 1e9, log.inertial])
    head = "t_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2"
    np.savetxt(plain, values, delimiter=",", header=head, comments="")
    with pytest.raises(LogError, match="says frame frd, but flu"):
        replay_log(plain, REFERENCE, tmp_path, frame="flu")
    result = replay_log(plain, REFERENCE, tmp_path, frame="frd")
    assert result.roll.rms_deg > 90.0


def test_files_are_written_and_the_same_in_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [replay_log(IMU, REFERENCE, tmp_path / name, frame="frd", meter=NullMeter()) for name in "ab"]
    assert [path.name for path in results[0].files] == ["result.json", "attitude.csv", "difference.csv", "attitude.png"]
    for ours, again in zip(results[0].files, results[1].files, strict=True):
        assert ours.read_bytes() == again.read_bytes()
    assert capsys.readouterr() == ("", "")
    table = json.loads((tmp_path / "a" / "result.json").read_text())
    assert table["difference"]["yaw"]["rms_deg"] == results[0].yaw.rms_deg
    assert table["refused"] == {}
    lines = (tmp_path / "a" / "difference.csv").read_text().splitlines()
    first = [float(v) for v in lines[1].split(",")]
    assert lines[0].startswith("t_s,roll_deg,pitch_deg,yaw_deg,roll_reference_deg")
    assert first[7:] == pytest.approx(np.subtract(first[1:4], first[4:7]), abs=2e-5)
    assert (results[0].wall_s, results[0].times_real) == (0.0, 0.0)


# -- logs of known truth


@pytest.mark.parametrize(("hz", "start_s"), [(50.0, 0.0), (100.0, 1.7e9), (333.0, -4.0), (1000.0, 12.5)])
def test_log_of_any_rate_and_epoch_gives_its_attitude(tmp_path: Path, hz: float, start_s: float) -> None:
    imu, truth = write_logs(tmp_path, hz, 15.0, start_s=start_s)
    result = replay_log(imu, truth, tmp_path / "out", frame="flu")
    assert result.roll.rms_deg < 0.5
    assert result.pitch.rms_deg < 0.5
    assert result.yaw.rms_deg < 1.5
    assert result.duration_s == pytest.approx(15.0, abs=1.0 / hz)
    line = (tmp_path / "out" / "attitude.csv").read_text().splitlines()[-1]
    assert float(line.split(",")[0]) == pytest.approx(start_s + 15.0, abs=0.02)


@pytest.mark.parametrize("fast_hz", [100, 500])
def test_the_board_rate_does_not_matter(tmp_path: Path, fast_hz: int) -> None:
    imu, _ = write_logs(tmp_path, 200.0, 12.0)
    profile = playable(load_profile("bench-12kg", "bench-rpi"))
    rates = msgspec.structs.replace(profile.board.rates, fast_hz=fast_hz)
    devices = tuple(msgspec.structs.replace(d, rate_hz=min(d.rate_hz, fast_hz)) for d in profile.board.devices)
    board = msgspec.structs.replace(profile.board, rates=rates, devices=devices)
    track = play(profile._replace(board=board), read_sensor_log(imu, "flu"), (20.0, 5.0, -43.0)).track
    ends = np.array([swing(t) for t in track.t_s])
    comparison = compare(track, track.t_s, ends, 5.0)
    assert comparison.angle.rms_deg < 1.0


def test_without_a_magnetometer_heading_is_aligned_and_the_silence_reported(tmp_path: Path) -> None:
    imu, truth = write_logs(tmp_path, 200.0, 12.0, mag=False)
    result = replay_log(imu, truth, tmp_path / "out", frame="flu")
    assert result.aligned == "heading"
    # The estimate begins at heading 0, the truth at 2 rad.
    assert result.heading_offset_deg == pytest.approx(degrees(2.0), abs=1.0)
    assert result.roll.rms_deg < 0.5
    assert result.yaw.rms_deg < 4.0
    assert result.played.health["mag"] in ("init", "lost")
    assert result.played.refused["mag"]["nack_address"] > 2
    assert result.played.field_samples == 0


def test_without_a_reference_only_the_estimate_is_written(tmp_path: Path) -> None:
    imu, _ = write_logs(tmp_path, 100.0, 3.0)
    result = replay_log(imu, None, tmp_path / "out", frame="flu")
    assert [path.name for path in result.files] == ["result.json", "attitude.csv", "attitude.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in result.files)
    assert (result.roll, result.compared, result.aligned) == (None, 0, None)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["difference"]["roll"] is None


def test_a_pause_of_the_log_shows_as_refused_samples_and_the_attitude_comes_back(tmp_path: Path) -> None:
    imu, truth = write_logs(tmp_path, 200.0, 16.0, gap=(1.0, 1.4))
    result = replay_log(imu, truth, tmp_path / "out", frame="flu")
    assert result.played.refused["imu"]["stale_counter"] >= 3
    assert result.played.coasted > 60
    states = [event.state.name for event in result.played.events if event.device == "imu" and event.t_ns > 1e9]
    assert states[0] != "OK"
    assert states[-1] == "OK"
    assert result.roll.rms_deg < 1.0
    assert result.pitch.rms_deg < 1.0


def test_attitudes_near_the_vertical_are_left_out_of_roll_and_yaw_and_counted(tmp_path: Path) -> None:
    def nose_up(t: float) -> tuple[float, float, float, float]:
        return quaternion_from_euler(0.0, radians(85.0) * min(1.0, max(0.0, (t - 6.0) / 3.0)), 0.5)

    imu, truth = write_logs(tmp_path, 200.0, 12.0, attitude=nose_up)
    result = replay_log(imu, truth, tmp_path / "out", frame="flu")
    assert result.near_vertical > 500
    assert result.roll.samples == result.compared - result.near_vertical
    assert result.pitch.samples == result.compared
    assert result.angle.rms_deg < 2.0


# -- refusals


def test_logs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    imu, truth = write_logs(tmp_path, 100.0, 4.0)
    (tmp_path / "later").mkdir()
    _, later = write_logs(tmp_path / "later", 100.0, 4.0, start_s=100.0)
    with pytest.raises(LogError, match="share 4 s, settling takes 5 s"):
        replay_log(imu, truth, tmp_path / "out", frame="flu")
    with pytest.raises(LogError, match="lasts from 100 to 104 s, the log from 0 to 4 s: they share no time"):
        replay_log(imu, later, tmp_path / "out", frame="flu", settle_s=1.0)
    with pytest.raises(LogError, match="does not exist"):
        replay_log(imu, tmp_path / "none.csv", tmp_path / "out", frame="flu")
    with pytest.raises(ConfigError, match="no shipped boards of that name"):
        replay_log(imu, truth, tmp_path / "out", frame="flu", board="none")
    with pytest.raises(LogError, match="cannot be made"):
        replay_log(imu, truth, imu / "out", frame="flu", settle_s=1.0)


def test_a_log_without_gravity_as_reference_is_refused_with_the_cause(tmp_path: Path) -> None:
    imu, truth = write_logs(tmp_path, 100.0, 8.0, force_g=1.3)
    with pytest.raises(LogError, match=r"the attitude was never found: of [0-9]+ means of the specific force none"):
        replay_log(imu, truth, tmp_path / "out", frame="flu")


def test_the_command_prints_figures_or_the_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (tmp_path, "frd", "bench-rpi", "bench-12kg", 5.0)
    assert replay_log_to_terminal(IMU, REFERENCE, *arguments, False) == 0
    shown = capsys.readouterr().out
    assert "whole rotation" in shown
    assert "attitude.png" in shown.replace("\n", "")
    assert replay_log_to_terminal(IMU, None, *arguments, True) == 0
    assert json.loads(capsys.readouterr().out)["samples"] > 1500
    assert replay_log_to_terminal(tmp_path / "none.csv", None, *arguments, True) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "none.csv: does not exist; check the path" in captured.err


# -- comparison


def test_comparison_has_the_sign_of_estimate_minus_reference_and_wraps() -> None:
    t = np.linspace(0.0, 10.0, 101)
    ours = np.array([quaternion_from_euler(0.02, 0.01, radians(-179.0))] * 101)
    theirs = np.array([quaternion_from_euler(0.01, 0.03, radians(179.0))] * 101)
    known = np.ones(101, dtype=np.bool_)
    known[:20] = False
    found = compare(Track(t, ours, known), t, theirs, 5.0)
    assert found.difference_deg[0] == pytest.approx([degrees(0.01), degrees(-0.02), 2.0], abs=1e-6)
    assert found.t_s[0] == pytest.approx(2.0)
    assert (found.samples, found.yaw.samples) == (51, 51)
    assert found.yaw.rms_deg == pytest.approx(2.0)
    assert found.pitch.max_deg == pytest.approx(degrees(0.02))
    assert compare(Track(t, ours, known), t, theirs, 10.5) is None
    assert compare(Track(t, ours, np.zeros(101, dtype=np.bool_)), t, theirs, 5.0) is None


def test_angles_are_those_of_the_frames_module() -> None:
    rng = np.random.default_rng(3)
    quaternions = rng.standard_normal((50, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    for quaternion, angles in zip(quaternions.tolist(), euler_deg(quaternions), strict=True):
        assert np.radians(angles) == pytest.approx(euler_from_quaternion(tuple(quaternion)), abs=1e-12)


def test_interpolation_goes_the_short_way_between_opposite_signs() -> None:
    a, b = quaternion_from_euler(0.0, 0.0, 0.2), quaternion_from_euler(0.0, 0.0, 0.3)
    mixed = interpolate(np.array([0.0, 1.0]), np.array([a, [-v for v in b]]), np.array([0.5]))
    assert euler_deg(mixed)[0, 2] == pytest.approx(degrees(0.25), abs=1e-9)
