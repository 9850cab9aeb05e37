"""A recorded sensor log flies through the simulated chips into the unchanged drivers, planes and estimator.

Bytes all the way: log, chip registers, bus twin, driver, plane, estimator in bench mode (gravity gives level, the
magnetic field heading). Nothing below knows that it is a replay; what the drivers refuse is reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import degrees, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer
from rich import box
from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

from firmware_py.clock import Meter, RealMeter, SimClock
from firmware_py.gnc.estimator import Estimator
from firmware_py.replay_log import (
    AXES,
    AxisDifference,
    Comparison,
    Track,
    compare,
    draw,
    euler_deg,
    heading_offset_rad,
    interpolate,
    turn_heading,
    write_csv,
    write_json,
)
from hal.frames import Quaternion, Vec3, rotate, unit
from hal.hardware import Hardware
from hal.manager import HealthEvent
from hal.profile import ConfigError, Profile, load_profile
from hil.log_replay import AttitudeLog, LogError, LogRig, SensorLog, playable, read_attitude_log, read_sensor_log

__all__ = ["LogResult", "Played", "field_direction", "play", "replay_log", "replay_log_to_terminal", "shared_times"]

Array = npt.NDArray[np.float64]

NS = 1_000_000_000
BAD_INPUT = 2
ALIGN_NS = NS
"""Time at the start over which field direction, or else heading, is aligned with the reference."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came out of one run of the estimator over a log.

    Attributes:
        track: attitude at every tick.
        bias_rad_s: gyro bias at the end.
        samples: inertial samples that reached the estimator.
        coasted: ticks without one, set-up of the unit included.
        refused: failed transactions by device and cause; devices without any are left out.
        health: last state of every device.
        events: changes of state, in order.
        field_samples: magnetometer samples that reached the estimator.
        observations: what the estimator made of gravity and field: gravity_used, gravity_refused, accepted, refused.
        saturated: ticks in which the log went beyond the unit's full scale.
    """

    track: Track
    bias_rad_s: Vec3
    samples: int
    coasted: int
    refused: Mapping[str, Mapping[str, int]]
    health: Mapping[str, str]
    events: tuple[HealthEvent, ...]
    field_samples: int
    observations: Mapping[str, int]
    saturated: int


@dataclass(frozen=True, slots=True)
class LogResult:
    """How the replay of a log went.

    Attributes:
        imu, reference: the files that were read.
        folder, files: where the results are, and which.
        duration_s: length of the log; ``wall_s`` what replaying it took on this machine.
        ticks: fast ticks.
        played: what came out of the estimator, and health.
        roll, pitch, yaw, angle: estimate minus reference after settling; None without a reference.
        compared: reference samples after settling; ``near_vertical`` of them left out of roll and yaw.
        aligned: what was aligned once at the start: "field direction", "heading" or None.
        heading_offset_deg: turn about the vertical where heading was aligned, else None.
        level_s: flight time from which the attitude was known.
    """

    imu: Path
    reference: Path | None
    folder: Path
    files: tuple[Path, ...]
    duration_s: float
    wall_s: float
    ticks: int
    played: Played
    roll: AxisDifference | None
    pitch: AxisDifference | None
    yaw: AxisDifference | None
    angle: AxisDifference | None
    compared: int
    near_vertical: int
    aligned: str | None
    heading_offset_deg: float | None
    level_s: float

    @property
    def samples(self) -> int:
        """Inertial samples that reached the estimator."""
        return self.played.samples

    @property
    def refused(self) -> int:
        """Failed transactions of all devices."""
        return sum(sum(causes.values()) for causes in self.played.refused.values())

    @property
    def times_real(self) -> float:
        """Length of the log over the time that replaying it took; 0 if that was not measured."""
        return self.duration_s / self.wall_s if self.wall_s > 0.0 else 0.0


def play(profile: Profile, log: SensorLog, field_direction: Vec3 | None = None) -> Played:
    """Run drivers, planes and estimator over a log, at the board's rates.

    Args:
        profile: body and board.
        log: what the chips play.
        field_direction: of the magnetic field in the frame of the result; None: the first measured field is heading 0.

    Raises:
        ConfigError: the board cannot play a log.
    """
    rates = profile.board.rates
    tick_ns = NS // rates.fast_hz
    medium_every = round(rates.fast_hz / rates.medium_hz)
    rig = LogRig(profile, log)
    clock = SimClock(on_advance=rig.advance)
    hardware = Hardware(profile, rig.buses)
    hardware.propulsion.set_heartbeat(True)
    estimator = Estimator(profile.body, hardware.imu_position_m, gravity=True, magnetic_reference=field_direction)
    filter_, sensors = estimator.filter, hardware.sensors
    count = log.t_ns[-1] // tick_ns + 1
    quaternions: list[Quaternion] = []
    known: list[bool] = []
    events: list[HealthEvent] = []
    samples = field_samples = 0
    field_t_ns = -1
    before_ns = 0
    # The order within a tick is that of firmware_py/tick.py: sense, estimate, and at the medium rate survey.
    for tick in range(count):
        now_ns = tick * tick_ns
        clock.sleep_until_ns(now_ns)
        hardware.sense(now_ns)
        dt_s = (now_ns - before_ns) * 1e-9
        before_ns = now_ns
        imu = sensors.imu()
        if imu.ok and imu.t_ns == now_ns and imu.value is not None:
            estimator.on_imu(now_ns, dt_s, imu.value.rate_rad_s, imu.value.specific_force_m_s2)
            samples += 1
        else:
            estimator.coast(now_ns, dt_s)
        if tick % medium_every == 0:
            field = sensors.magnetic(now_ns)
            if field.value is not None and field.ok and field.t_ns != field_t_ns:
                field_t_ns = field.t_ns
                field_samples += 1
                estimator.on_magnetic(now_ns, field.value, age_ns=now_ns - field.t_ns)
            estimator.medium(now_ns)
            hardware.survey(now_ns)
            while hardware.health_events:
                events.append(hardware.health_events.popleft())
        quaternions.append(filter_.quaternion)
        known.append(filter_.known)
    updates = filter_.vector_updates
    return Played(
        Track(np.arange(count, dtype=np.float64) * (tick_ns * 1e-9), np.array(quaternions), np.array(known)),
        filter_.bias, samples, count - samples,
        {name: dict(c.by_cause) for name, c in hardware.counters().items() if c.failures},
        {name: state.name.lower() for name, state in hardware.states().items()},
        tuple(events), field_samples,
        {
            "gravity_used": estimator.gravity_used, "gravity_refused": estimator.gravity_refused,
            "accepted": updates.accepted, "refused": updates.refused,
        },
        rig.saturated,
    )


def replay_log(
    imu: Path, reference: Path | None, folder: Path, *, frame: str | None, board: str = "bench-rpi",
    body: str = "bench-12kg", settle_s: float = 5.0, meter: Meter | None = None,
) -> LogResult:
    """Replay a log, compare with the reference if there is one, and write result, tables and picture into ``folder``.

    With a reference, the direction of the magnetic field is aligned once with the first second that log and reference
    share; where they share no magnetometer sample, the heading is.

    Args:
        imu: sensor log (``hil.log_replay.read_sensor_log``).
        reference: reference attitude, its time that of the log (``hil.log_replay.read_attitude_log``).
        folder: made if it does not exist; files of an earlier replay are overwritten.
        frame: body axes of both files, "frd" or "flu"; None takes their comments ``# frame: frd``.
        board, body: shipped names or files.
        settle_s: flight time from which differences count.
        meter: stop-watch; by default the machine's.

    Raises:
        LogError: a file was refused, or log and reference cannot be compared.
        ConfigError: body or board was refused.
    """
    profile = playable(load_profile(body, board))
    log = read_sensor_log(imu, frame)
    truth = None if reference is None else read_attitude_log(reference, frame or log.frame)
    meter = RealMeter() if meter is None else meter
    start_ns = meter.wall_ns()
    times = None if truth is None else shared_times(log, truth, settle_s)
    _make(folder)
    measured = any(device.role == "magnetometer" for device in profile.board.devices)
    direction = field_direction(log, truth, times) if truth is not None and times is not None and measured else None
    played = play(profile, log, direction)
    track = played.track
    if not track.known.any():
        raise LogError(
            log.path, None, "the attitude was never found: " + _why_unknown(played),
            "the log must hold a moment in which the accelerometer feels little but gravity",
        )
    aligned: str | None = None if direction is None else "field direction"
    offset: float | None = None
    comparison: Comparison | None = None
    if truth is not None and times is not None:
        if direction is None:
            aligned, offset = "heading", _heading_offset(track, times, truth)
            track = Track(track.t_s, turn_heading(track.quaternion, offset), track.known)
        comparison = compare(track, times, truth.quaternion, settle_s)
        if comparison is None:
            raise LogError(
                truth.path, None, f"no attitude of it falls between {settle_s:g} s and the end of the estimate",
                "give the reference of this log, or a shorter settling time",
            )
    wall_s = (meter.wall_ns() - start_ns) / NS
    level_s = float(track.t_s[int(np.argmax(track.known))])
    made = LogResult(
        imu=log.path, reference=None if truth is None else truth.path, folder=folder, files=_files(folder, comparison),
        duration_s=log.duration_s, wall_s=wall_s, ticks=len(track.t_s), played=played,
        roll=comparison.roll if comparison else None, pitch=comparison.pitch if comparison else None,
        yaw=comparison.yaw if comparison else None, angle=comparison.angle if comparison else None,
        compared=comparison.samples if comparison else 0, near_vertical=comparison.near_vertical if comparison else 0,
        aligned=aligned, heading_offset_deg=None if offset is None else degrees(offset), level_s=level_s,
    )
    _write(made, log, track, comparison, profile, settle_s)
    return made


def shared_times(log: SensorLog, truth: AttitudeLog, settle_s: float) -> Array:
    """Flight times of the reference; refuses, before anything has run, one with nothing to compare (LogError)."""
    times: Array = truth.t_s - log.start_s
    if times[-1] < 0.0 or times[0] > log.duration_s:
        raise LogError(
            truth.path, None,
            f"lasts from {truth.t_s[0]:.6g} to {truth.t_s[-1]:.6g} s, the log from {log.start_s:.6g} to "
            f"{log.start_s + log.duration_s:.6g} s: they share no time",
            "give the reference of this log, on the same clock",
        )
    end_s = min(float(times[-1]), log.duration_s)
    if end_s <= settle_s:
        raise LogError(
            log.path, None, f"log and reference share {end_s:.3g} s, settling takes {settle_s:g} s",
            "give a longer log or a shorter settling time",
        )
    return times


def field_direction(log: SensorLog, truth: AttitudeLog, times: Array) -> Vec3 | None:
    """Mean direction of the field (unit) in the reference's frame, over the first second that both share.

    ``times`` are the reference's flight times. None where the field is not there from the start: until it is seen, an
    estimator that knows its direction waits.
    """
    if not log.field_t_ns or log.field_t_ns[0] > ALIGN_NS:
        return None
    taken = np.array(log.field_t_ns, dtype=np.float64) / NS
    inside = (taken >= times[0]) & (taken <= times[-1])
    if not inside.any():
        return None
    first = float(taken[inside][0])
    inside &= taken <= first + ALIGN_NS / NS
    x = y = z = 0.0
    attitudes = interpolate(times, truth.quaternion, taken[inside]).tolist()
    for attitude, field in zip(attitudes, log.field[inside].tolist(), strict=True):
        turned = rotate(tuple(attitude), tuple(field))
        x, y, z = x + turned[0], y + turned[1], z + turned[2]
    return unit((x, y, z)) if (x, y, z) != (0.0, 0.0, 0.0) else None


def _heading_offset(track: Track, times: Array, truth: AttitudeLog) -> float:
    """Turn that leads from our heading to the reference's, over the first second in which both are known."""
    first = max(float(track.t_s[int(np.argmax(track.known))]), float(times[0]))
    inside = (times >= first) & (times <= min(first + ALIGN_NS / NS, float(track.t_s[-1])))
    if not inside.any():
        inside = (times >= first) & (times <= float(track.t_s[-1]))
        inside &= np.cumsum(inside) == 1
    if not inside.any():
        return 0.0
    return heading_offset_rad(interpolate(track.t_s, track.quaternion, times[inside]), truth.quaternion[inside])


def _why_unknown(played: Played) -> str:
    if played.samples == 0:
        return "the inertial unit gave no sample"
    return f"of {played.observations['gravity_refused']} means of the specific force none was like gravity"


def _files(folder: Path, comparison: Comparison | None) -> tuple[Path, ...]:
    names = ["result.json", "attitude.csv", *([] if comparison is None else ["difference.csv"]), "attitude.png"]
    return tuple(folder / name for name in names)


def _make(folder: Path) -> None:
    """Make the folder before anything has run, so that a bad path costs no time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogError(folder, None, f"cannot be made: {error.strerror or error}", "choose another folder") from None


def _write(
    made: LogResult, log: SensorLog, track: Track, comparison: Comparison | None, profile: Profile, settle_s: float
) -> None:
    write_json(made.folder / "result.json", result_table(made, log, profile, settle_s))
    rows = np.column_stack([track.t_s + log.start_s, track.quaternion, euler_deg(track.quaternion)])
    head = ["t_s", "q_w", "q_x", "q_y", "q_z", "roll_deg", "pitch_deg", "yaw_deg"]
    write_csv(
        made.folder / "attitude.csv", head,
        ([f"{t:.6f}", *(f"{v:.7g}" for v in row)] for t, *row in rows[track.known].tolist()),
    )
    if comparison is not None:
        head = ["t_s", *(f"{name}{what}_deg" for what in ("", "_reference", "_difference") for name in AXES)]
        rows = np.column_stack([
            comparison.t_s + log.start_s, comparison.estimate_deg, comparison.reference_deg, comparison.difference_deg,
        ])
        write_csv(
            made.folder / "difference.csv", head,
            ([f"{t:.6f}", *(f"{v:.5f}" for v in row)] for t, *row in rows.tolist()),
        )
    title = f"{log.path.name} replayed through the chips"
    draw(made.folder / "attitude.png", title, track, comparison, settle_s)


def result_table(made: LogResult, log: SensorLog, profile: Profile, settle_s: float) -> dict[str, Any]:
    """The result as a table of plain values, the same in every run: the time that it took is not in it."""
    played = made.played
    return {
        "imu": made.imu.name, "reference": None if made.reference is None else made.reference.name, "frame": log.frame,
        "board": profile.board.board, "body": profile.body.body, "hardware_profile_hash": profile.digest,
        "fast_hz": profile.board.rates.fast_hz, "duration_s": made.duration_s, "settle_s": settle_s,
        "log_samples": len(log.t_ns), "log_field_samples": len(log.field_t_ns), "ticks": made.ticks,
        "samples": played.samples, "coasted": played.coasted, "field_samples": played.field_samples,
        "saturated": played.saturated, "refused": {name: dict(causes) for name, causes in played.refused.items()},
        "health": dict(played.health),
        "health_events": [
            {
                "t_s": event.t_ns / NS, "device": event.device, "state": event.state.name.lower(),
                "cause": None if event.cause is None else event.cause.value,
            }
            for event in played.events
        ],
        "observations": dict(played.observations), "level_s": made.level_s,
        "gyro_bias_deg_s": [degrees(x) for x in played.bias_rad_s], "aligned": made.aligned,
        "heading_offset_deg": made.heading_offset_deg, "compared": made.compared, "near_vertical": made.near_vertical,
        "difference": {name: _plain(getattr(made, name)) for name in (*AXES, "angle")},
    }


def _plain(figures: AxisDifference | None) -> dict[str, float | int | None] | None:
    if figures is None:
        return None
    return {name: value if isfinite(value) else None for name, value in asdict(figures).items()}


# -- terminal


def replay_log_to_terminal(
    imu: Path, reference: Path | None, output: Path, frame: str | None, board: str, body: str, settle_s: float,
    as_json: bool,
) -> int:
    """``qiki replay-log``: replay and print. Exit code 0, or 2 for a file that was refused."""
    try:
        result = replay_log(imu, reference, output, frame=frame, board=board, body=body, settle_s=settle_s)
    except (LogError, ConfigError) as error:
        typer.secho(f"qiki: {error}", fg=typer.colors.RED, err=True)
        return BAD_INPUT
    if as_json:
        table = json.loads((result.folder / "result.json").read_text(encoding="utf-8"))
        table |= {"wall_s": result.wall_s, "times_real": result.times_real}
        table["files"] = [str(path) for path in result.files]
        typer.echo(json.dumps(table, indent=1))
    else:
        Console().print(summary(result))
    return 0


def summary(result: LogResult) -> Group:
    """Difference from the reference, what was sensed and refused, and where the files are."""
    played = result.played
    columns = [Column(name, justify="right") for name in ("rms, deg", "largest, deg")]
    differences = Table("angle", *columns, box=box.SIMPLE)
    for name in (*AXES, "angle"):
        figures: AxisDifference | None = getattr(result, name)
        if figures is not None:
            label = "whole rotation" if name == "angle" else name
            differences.add_row(label, _number(figures.rms_deg), _number(figures.max_deg))
    lines = [
        f"{result.duration_s:.1f} s of log in {result.wall_s:.2f} s, {result.times_real:.0f} times real time",
        f"{played.samples} inertial and {played.field_samples} field samples through the registers, "
        f"{result.refused} transactions refused, {played.saturated} ticks beyond full scale",
        f"attitude known from {result.level_s:.2f} s",
    ]
    if result.compared:
        beside = f" ({result.near_vertical} near the vertical left out of roll and yaw)" if result.near_vertical else ""
        lines.append(f"{result.compared} attitudes of the reference compared{beside}")
        lines.append(f"aligned once at the start: {result.aligned}")
    for name, causes in played.refused.items():
        lines.append(f"{name}: " + ", ".join(f"{count} {cause}" for cause, count in causes.items()))
    lost = [f"{name} {state}" for name, state in played.health.items() if state != "ok"]
    if lost:
        lines.append("not ok at the end: " + ", ".join(lost))
    lines += [str(path) for path in result.files]
    return Group(*([differences] if result.compared else []), *(Text(line) for line in lines))


def _number(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "-"
