"""The gate before the tracker: every reason has its name and its count, what is good passes unchanged, and fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan, pi
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.intake import RESTART_FRAMES, Intake, IntakeConfig, Refusal, SensorLimits
from firmware_py.perception.observation import COLUMNS, NO_ID, Band, Frame, Pose, SensorKind, TransponderMode

SECOND = 1_000_000_000
MS = 1_000_000
NOW = 100 * SECOND
LIMITS = SensorLimits(SensorKind.RADAR, max_range_m=260.0, min_range_m=0.2, max_radial_velocity_m_s=110.0)
CONFIG = IntakeConfig(
    {"radar": LIMITS, "wall": SensorLimits(SensorKind.RANGE, 12.0, frozen_frames=None)}, sr_threshold_m=100.0,
    max_detections=8,
)


def frame(count: int = 3, number: int = 1, event_ns: int = NOW - 50 * MS, **changes: Any) -> Frame:
    values: dict[str, Any] = {
        "sensor_id": "radar", "kind": SensorKind.RADAR, "frame_id": number, "event_ns": event_ns,
        "ingest_ns": event_ns + 10 * MS, "pose": Pose(), "range_m": 20.0 + np.arange(count) + 1e-3 * number,
        "bearing_rad": np.zeros(count), "elevation_rad": np.full(count, nan),
        "radial_velocity_m_s": np.full(count, -1.0), "band": np.full(count, Band.SR, np.int8),
    }
    return Frame(**(values | changes))


def row(column: str, value: float, **others: Any) -> Frame:
    """A frame of three rows, the middle one of which has another value."""
    made = frame()
    changed = getattr(made, column).copy()
    changed[1] = value
    return replace(made, **{column: changed}, **others)


def refused(made: Frame, now_ns: int = NOW, gate: Intake | None = None) -> dict[str, int]:
    gate = Intake(CONFIG) if gate is None else gate
    answer = gate.admit(made, now_ns)
    assert dict(answer.refusals).items() <= gate.counts.items()
    return dict(answer.refusals)


def test_a_good_frame_passes_as_it_is() -> None:
    gate, made = Intake(CONFIG), frame()
    answer = gate.admit(made, NOW)
    assert answer.frame is made
    assert (dict(answer.refusals), gate.counts, gate.admitted) == ({}, {}, 1)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (frame(sensor_id="stranger"), Refusal.UNKNOWN_SENSOR),
        (frame(kind=SensorKind.LIDAR), Refusal.WRONG_KIND),
        (frame(schema_version=2), Refusal.SCHEMA_VERSION),
        (frame(schema_version=0), Refusal.SCHEMA_VERSION),
        (frame(ingest_ns=NOW - 51 * MS), Refusal.INGEST_BEFORE_EVENT),
        (frame(event_ns=NOW + 21 * MS, ingest_ns=NOW + 22 * MS), Refusal.FUTURE),
        (frame(ingest_ns=NOW + 21 * MS), Refusal.FUTURE),
        (frame(event_ns=NOW - 1001 * MS), Refusal.FAR_PAST),
        (frame(event_ns=-(1 << 62)), Refusal.FAR_PAST),
        (frame(pose=Pose(position_m=(nan, 0.0, 0.0))), Refusal.POSE),
        (frame(pose=Pose(velocity_m_s=(0.0, inf, 0.0))), Refusal.POSE),
        (frame(pose=Pose(rate_rad_s=(0.0, 0.0, nan))), Refusal.POSE),
        (frame(pose=Pose(quaternion=(0.0, 0.0, 0.0, 0.0))), Refusal.POSE),
        (frame(pose=Pose(quaternion=(nan, 0.0, 0.0, 0.0))), Refusal.POSE),
        (frame(pose=Pose(sigma_position_m=-1.0)), Refusal.POSE),
        (frame(pose=Pose(sigma_attitude_rad=inf)), Refusal.POSE),
    ],
)
def test_a_frame_at_fault_is_refused_whole_by_name(made: Frame, why: Refusal) -> None:
    gate = Intake(CONFIG)
    assert gate.admit(made, NOW).frame is None
    assert gate.counts == {why.value: 1}


@pytest.mark.parametrize("made", [
    frame(event_ns=NOW + 20 * MS, ingest_ns=NOW + 20 * MS), frame(event_ns=NOW - 1000 * MS),
    frame(ingest_ns=NOW - 50 * MS), frame(0),
])
def test_the_limits_of_time_themselves_and_a_frame_of_nothing_pass(made: Frame) -> None:
    assert Intake(CONFIG).admit(made, NOW).frame is made


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (row("range_m", nan), Refusal.NOT_FINITE), (row("range_m", inf), Refusal.NOT_FINITE),
        (row("bearing_rad", nan), Refusal.NOT_FINITE), (row("bearing_rad", -inf), Refusal.NOT_FINITE),
        (row("elevation_rad", inf), Refusal.NOT_FINITE), (row("radial_velocity_m_s", -inf), Refusal.NOT_FINITE),
        (row("snr_db", inf), Refusal.NOT_FINITE), (row("rcs_dbsm", -inf), Refusal.NOT_FINITE),
        (row("extent_m", inf), Refusal.NOT_FINITE), (row("extent_m", -0.1), Refusal.NOT_FINITE),
        (row("range_m", -1.0), Refusal.RANGE), (row("range_m", 0.19), Refusal.RANGE),
        (row("range_m", 260.1), Refusal.RANGE), (row("bearing_rad", 3.2), Refusal.ANGLE),
        (row("elevation_rad", -1.6), Refusal.ANGLE), (row("radial_velocity_m_s", 111.0), Refusal.RADIAL_VELOCITY),
        (row("radial_velocity_m_s", -1e9), Refusal.RADIAL_VELOCITY), (row("band", 3), Refusal.ENUM),
        (row("band", -1), Refusal.ENUM), (row("transponder_mode", 4), Refusal.ENUM),
        (row("transponder_mode", -1), Refusal.ENUM), (row("transponder_id", 7), Refusal.IDENTITY),
        (row("transponder_id", -2), Refusal.IDENTITY),
    ],
)
def test_a_row_at_fault_is_refused_alone_by_name(made: Frame, why: Refusal) -> None:
    gate = Intake(CONFIG)
    answer = gate.admit(made, NOW)
    assert answer.frame is not None
    assert answer.frame.range_m.tolist() == [made.range_m[0], made.range_m[2]]
    assert gate.counts == {why.value: 1}


def test_missing_numbers_and_the_ends_of_the_ranges_pass() -> None:
    made = frame(4, range_m=np.array([0.2, 260.0, 5.0, 6.0]), bearing_rad=np.array([pi, -pi, 0.0, 0.0]),
                 elevation_rad=np.array([0.5 * pi, nan, nan, nan]), radial_velocity_m_s=np.array([nan, 110, -110, 0]))
    assert Intake(CONFIG).admit(made, NOW).frame is made


@pytest.mark.parametrize("values", [
    {"transponder_id": np.array([5, NO_ID]), "transponder_mode": np.array([1, 0], np.int8)},
    {"transponder_mode": np.array([3, 0], np.int8)},
])
@pytest.mark.parametrize("where", [
    {"band": np.array([Band.LR, Band.SR], np.int8)},
    # Short range by its word and long range by its distance: the distance counts.
    {"range_m": np.array([100.1, 50.0])},
])
def test_long_range_with_an_identity_is_refused(values: dict[str, Any], where: dict[str, Any]) -> None:
    assert refused(frame(2, **values, **where)) == {"lr_identity": 1}


def test_short_range_with_an_identity_passes() -> None:
    made = frame(2, transponder_id=np.array([5, 2**32 - 1]), range_m=np.array([100.0, 20.0]),
                 transponder_mode=np.array([TransponderMode.ON, TransponderMode.SPOOF], np.int8))
    assert Intake(CONFIG).admit(made, NOW).frame is made
    assert refused(replace(made, transponder_id=np.array([5, 2**32]))) == {"identity": 1}


def test_a_row_with_two_faults_counts_once() -> None:
    made = row("range_m", nan)
    bearing = made.bearing_rad.copy()
    bearing[1] = 9.0
    assert refused(replace(made, bearing_rad=bearing)) == {"not_finite": 1}


# -- order


def run(gate: Intake, *frames: tuple[int, int]) -> list[str]:
    """Verdicts on frames by number and time (ms)."""
    verdicts = []
    for number, ms in frames:
        answer = gate.admit(frame(number=number, event_ns=NOW + ms * MS), NOW + (ms + 500) * MS)
        verdicts.append(next(iter(answer.refusals), "ok"))
    return verdicts


def test_the_same_number_and_the_same_time_are_duplicates() -> None:
    assert run(Intake(CONFIG), (1, 0), (1, 50), (2, 0), (2, 50), (1, 0)) == [
        "ok", "duplicate", "duplicate", "ok", "duplicate",
    ]


def test_a_late_frame_passes_once() -> None:
    assert run(Intake(CONFIG), (1, 0), (3, 100), (2, 50), (2, 50), (4, 150)) == ["ok", "ok", "ok", "duplicate", "ok"]


def test_numbers_that_go_back_while_time_goes_on_are_refused_until_it_is_clear_that_the_sensor_began_anew() -> None:
    gate = Intake(CONFIG)
    assert run(gate, (1000, 0)) == ["ok"]
    verdicts = run(gate, *((number, number * 50) for number in range(1, 9)))
    assert verdicts == ["counter"] * (RESTART_FRAMES - 1) + ["ok"] * (9 - RESTART_FRAMES)
    assert gate.restarts == 1


def test_a_single_number_out_of_order_does_not_restart() -> None:
    gate = Intake(CONFIG)
    pairs = [(100 + i, 50 * i) for i in range(20)]
    for at in (5, 9, 13, 17):
        pairs[at] = (at, pairs[at][1])
    assert run(gate, *pairs).count("counter") == 4
    assert gate.restarts == 0


def test_numbers_that_run_ahead_of_older_times_are_refused() -> None:
    assert run(Intake(CONFIG), (1, 100), (2, 50)) == ["ok", "counter"]


def test_sensors_are_judged_apart() -> None:
    gate = Intake(CONFIG)
    gate.admit(frame(), NOW)
    other = frame(sensor_id="wall", kind=SensorKind.RANGE, range_m=np.array([1.0, 2.0, 3.0]))
    assert gate.admit(other, NOW).frame is other


# -- frozen


def frozen(gate: Intake, sensor: str, kind: SensorKind, count: int, rows: int = 1) -> list[bool]:
    fixed = 5.0 + np.arange(rows)
    passed = []
    for number in range(1, count + 1):
        made = frame(rows, number, NOW + number * 50 * MS, sensor_id=sensor, kind=kind, range_m=fixed)
        passed.append(gate.admit(made, made.ingest_ns).frame is not None)
    return passed


def test_the_same_rows_again_and_again_are_frozen_and_new_ones_thaw() -> None:
    gate = Intake(CONFIG)
    assert frozen(gate, "radar", SensorKind.RADAR, 12) == [True] * 8 + [False] * 4
    assert gate.counts == {"frozen": 4}
    fresh = frame(1, 20, NOW + 2 * SECOND)
    assert gate.admit(fresh, fresh.ingest_ns).frame is fresh


def test_a_range_finder_before_a_wall_and_a_radar_that_sees_nothing_may_repeat_themselves() -> None:
    assert all(frozen(Intake(CONFIG), "wall", SensorKind.RANGE, 40))
    assert all(frozen(Intake(CONFIG), "radar", SensorKind.RADAR, 40, rows=0))


# -- too many


def test_of_too_many_the_strongest_stay_in_their_order_then_the_nearest() -> None:
    snr = np.array([nan, 5.0, 9.0, nan, 7.0, 3.0, 8.0, nan, 1.0, nan, 6.0])
    ranges = np.array([10.0, 90.0, 91.0, 30.0, 92.0, 93.0, 94.0, 9.0, 95.0, 8.0, 96.0])
    made = frame(11, snr_db=snr, range_m=ranges)
    gate = Intake(CONFIG)
    kept = gate.admit(made, NOW).frame
    assert kept is not None
    assert kept.range_m.tolist() == [90.0, 91.0, 92.0, 93.0, 94.0, 95.0, 8.0, 96.0]
    assert gate.counts == {"too_many": 3}


def test_without_strengths_the_nearest_stay() -> None:
    kept = Intake(CONFIG).admit(frame(50, range_m=np.arange(99.0, 49.0, -1.0)), NOW).frame
    assert kept is not None
    assert kept.range_m.tolist() == list(np.arange(57.0, 49.0, -1.0))


# -- the whole


@pytest.mark.parametrize("values", [{"max_detections": 0}, {"oldest_s": 0.0}, {"future_s": -0.1},
                                    {"sensors": {str(i): LIMITS for i in range(33)}}])
def test_a_gate_that_lets_nothing_through_or_has_no_end_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        IntakeConfig(**({"sensors": {"radar": LIMITS}} | values))


ODD = st.sampled_from([nan, inf, -inf, 0.0, -0.0, 1e308, -1e308, 5.0, 200.0, 3.0])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ODD, ODD, ODD, ODD, ODD, st.integers(-128, 127), st.integers(-(2**63), 2**63 - 1)),
                max_size=20), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_whatever_comes_only_sound_rows_pass_and_all_others_are_counted(
    rows: list[Any], number: int, event_ns: int, ingest_ns: int
) -> None:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    ranges, bearings, elevations, rates, strengths = (np.array(c, np.float64) for c in columns[:5])
    made = Frame(
        "radar", SensorKind.RADAR, number, event_ns, ingest_ns, Pose(), ranges, bearings, elevations,
        radial_velocity_m_s=rates, snr_db=strengths, transponder_mode=np.array(columns[5], np.int8),
        transponder_id=np.array(columns[6], np.int64),
    )
    gate = Intake(CONFIG)
    answer = gate.admit(made, event_ns)
    if answer.frame is None:
        assert sum(answer.refusals.values()) == 1
        return
    assert len(answer.frame) + sum(answer.refusals.values()) == len(made)
    assert len(answer.frame) <= CONFIG.max_detections
    assert np.isfinite(answer.frame.range_m).all()
    assert all(len(getattr(answer.frame, name)) == len(answer.frame) for name in COLUMNS)


def fastest(work: Callable[[], None]) -> float:
    """Shortest of several runs, s of processor time."""
    times = []
    for _ in range(15):
        begun = process_time()
        work()
        times.append(process_time() - begun)
    return min(times)


@pytest.mark.parametrize(("count", "limit_ms"), [(100, 0.2), (20_000, 5.0)])
def test_it_takes_little_time(count: int, limit_ms: float) -> None:
    rng = np.random.default_rng(1)
    gate = Intake(replace(CONFIG, max_detections=1024))
    frames = [
        frame(count, number, NOW + number * MS, range_m=rng.uniform(1, 250, count), snr_db=rng.uniform(0, 20, count))
        for number in range(1, 151)
    ]
    left = iter(frames)

    def ten() -> None:
        for _ in range(10):
            made = next(left)
            gate.admit(made, made.ingest_ns)

    assert fastest(ten) / 10 * 1e3 < limit_ms
    assert gate.admitted == 150
