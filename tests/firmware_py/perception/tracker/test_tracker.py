"""The tracker as its users meet it: identity, life by time, late and doubled frames, own motion, bounds."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind, Status
from firmware_py.perception.tracker import Outcome, Tracker, TrackerConfig
from firmware_py.perception.tracks import TrackSet
from hal.frames import normalise
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, correct, frame_of, measured, predict
from tests.firmware_py.perception.tracker.tracking_scenes import RADAR, singles, swarms

SECOND = 1_000_000_000
TENTH = SECOND // 10
SIGMA = np.array([1.0, 0.005, 0.005, 0.2])


def _fly(tracker: Tracker, x: np.ndarray, frames: range, rng: np.random.Generator, names: list[int] | None = None,
         step_ns: int = TENTH, sensor: str = "radar") -> None:
    for k in frames:
        now = x.copy()
        now[:3] += k * step_ns * 1e-9 * x[3:]
        tracker.observe(frame_of(measured(now, Pose()) + SIGMA * rng.standard_normal(4), k, k * step_ns, sensor=sensor,
                                 names=names))


def _same(a: TrackSet, b: TrackSet, but: tuple[str, ...] = ()) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=getattr(a, n).dtype.kind == "f")
               for n in TrackSet.__slots__ if n not in ("t_ns", *but))


def test_it_is_the_textbooks_filter_on_one_target() -> None:
    config = TrackerConfig(acceleration_psd=0.05)
    tracker, rng = Tracker(config, {"radar": ALL_ROUND}), np.random.default_rng(1)
    x, state, p = np.array([300.0, -200.0, 80.0, -4.0, 3.0, 1.0]), None, None
    for k in range(60):
        pose = Pose((0.5 * k, 0.1 * k, 0.0), (5.0, 1.0, 0.0), normalise((1.0, 0.01 * k, 0.02, -0.005 * k)))
        z = measured(x, pose) + SIGMA * rng.standard_normal(4)
        tracker.observe(frame_of(z, k, k * TENTH, pose))
        got = tracker.tracks(k * TENTH)
        if state is None:
            state, p = got.state[0], got.covariance[0]
        else:
            state, p = predict(state, p, 0.1, 0.05)
            state, p = correct(state, p, z, np.diag(SIGMA**2), pose)
        assert len(got) == 1
        assert got.state[0] == pytest.approx(state, rel=1e-5, abs=1e-5)
        assert got.covariance[0] == pytest.approx(p, rel=1e-3, abs=1e-4)
        x[:3] += 0.1 * x[3:]


def test_a_turning_and_passing_craft_sees_a_target_at_rest_at_rest() -> None:
    tracker, rng = Tracker(TrackerConfig(acceleration_m_s2=0.05), {"radar": ALL_ROUND}), np.random.default_rng(2)
    x = np.array([400.0, 150.0, 30.0, 0.0, 0.0, 0.0])
    for k in range(100):
        turn = 0.02 * k
        pose = Pose((2.0 * k, 0.0, 0.0), (20.0, 0.0, 0.0), (np.cos(turn), 0.0, 0.0, np.sin(turn)), (0.0, 0.0, 0.4))
        tracker.observe(frame_of(measured(x, pose) + SIGMA * rng.standard_normal(4), k, k * TENTH, pose))
    got = tracker.tracks(99 * TENTH)
    assert got.firm.tolist() == [True]
    assert got.state[0, :3] == pytest.approx(x[:3], abs=1.5)
    assert np.abs(got.state[0, 3:]).max() < 0.5


def test_three_hits_in_time_make_a_track_firm_and_misses_in_view_end_it_by_time() -> None:
    tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(3)
    x = np.array([300.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    _fly(tracker, x, range(2), rng)
    assert tracker.tracks(TENTH).status.tolist() == [Status.NEW]
    _fly(tracker, x, range(2, 3), rng)
    assert tracker.tracks(2 * TENTH).status.tolist() == [Status.TRACKED]
    lives = []
    for k in range(3, 12):
        tracker.observe(frame_of([], k, k * TENTH))
        lives.append(tracker.tracks(k * TENTH).status.tolist())
    assert lives == [[Status.COASTING]] * 5 + [[]] * 4
    assert (tracker.counters.confirmed, tracker.counters.lost, tracker.counters.dropped) == (1, 1, 1)


@pytest.mark.parametrize(("revisit_s", "firm_for", "tentative_for"), [(0.1, 5, 2), (0.05, 11, 5), (1.0, 3, 2)])
def test_patience_follows_the_true_revisit_time(revisit_s: float, firm_for: int, tentative_for: int) -> None:
    for hits, lasting in ((3, firm_for), (1, tentative_for)):
        tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(4)
        tracker.set_sensor("radar", replace(ALL_ROUND, revisit_s=revisit_s))
        step_ns, x = round(revisit_s * 1e9), np.array([300.0, 0.0, 0.0, 2.0, 0.0, 0.0])
        _fly(tracker, x, range(hits), rng, step_ns=step_ns)
        assert tracker.tracks(hits * step_ns).firm.tolist() == [hits == 3]
        missed = 0
        while len(tracker.tracks(0)):
            tracker.observe(frame_of([], hits + missed, (hits + missed) * step_ns))
            missed += 1
        assert missed == lasting + 1


def test_hits_too_far_apart_in_time_do_not_confirm() -> None:
    tracker, rng = Tracker(TrackerConfig(drop_tentative_s=5.0), {"radar": ALL_ROUND}), np.random.default_rng(4)
    x = np.array([300.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    for k in range(30):
        _fly(tracker, x, range(k, k + 1), rng) if k % 8 == 0 else tracker.observe(frame_of([], k, k * TENTH))
    assert tracker.tracks(3 * SECOND).status.tolist() == [Status.NEW]


@pytest.mark.parametrize(("lost_s", "status"), [(3.0, Status.COASTING), (2.0, Status.LOST), (0.0, Status.LOST)])
def test_a_track_out_of_view_is_not_missed_and_ends_only_when_nobody_looks_for_long(
    lost_s: float, status: Status
) -> None:
    narrow = replace(ALL_ROUND, half_width_rad=0.5, half_height_rad=0.5, max_range_m=1000.0)
    tracker, rng = Tracker(TrackerConfig(coast_s=3.0, lost_s=lost_s), {"radar": narrow}), np.random.default_rng(5)
    _fly(tracker, np.array([300.0, 0.0, 0.0, 0.0, 0.0, 0.0]), range(5), rng)
    away = Pose(quaternion=(np.cos(1.0), 0.0, 0.0, np.sin(1.0)))
    for k in range(5, 33):
        tracker.observe(frame_of([], k, k * TENTH, away))
        assert tracker.tracks(k * TENTH).miss_count.tolist() == [0]
    assert tracker.tracks(33 * TENTH).status.tolist() == [status]
    assert tracker.advance(4 * TENTH + 3 * SECOND) == 1
    assert len(tracker.tracks(8 * SECOND)) == 0


def test_who_comes_back_into_view_has_the_same_number() -> None:
    narrow = replace(ALL_ROUND, half_width_rad=0.5, half_height_rad=0.5, max_range_m=1000.0)
    tracker, rng = Tracker(TrackerConfig(), {"radar": narrow}), np.random.default_rng(5)
    x = np.array([300.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    _fly(tracker, x, range(5), rng)
    number = tracker.tracks(4 * TENTH).track_id.tolist()
    seen = []
    for k in range(5, 25):
        tracker.observe(frame_of([], k, k * TENTH, Pose(quaternion=(0.0, 0.0, 0.0, 1.0))))
        seen.append(int(tracker.tracks(k * TENTH).status[0]))
    # As sure as ever for as long as it may be missed; then it counts for nobody, but is remembered.
    assert seen == [Status.TRACKED] * 5 + [Status.LOST] * 15
    _fly(tracker, x, range(25, 27), rng)
    back = tracker.tracks(26 * TENTH)
    assert (back.track_id.tolist(), back.firm.tolist()) == (number, [True])


def test_a_tentative_track_that_left_the_view_is_not_waited_for() -> None:
    narrow = replace(ALL_ROUND, half_width_rad=0.5, half_height_rad=0.5, max_range_m=1000.0)
    tracker, rng = Tracker(TrackerConfig(), {"radar": narrow}), np.random.default_rng(5)
    _fly(tracker, np.array([300.0, 0.0, 0.0, 0.0, 0.0, 0.0]), range(1), rng)
    away = Pose(quaternion=(np.cos(1.0), 0.0, 0.0, np.sin(1.0)))
    lasted = 0
    while len(tracker.tracks(0)):
        lasted += 1
        tracker.observe(frame_of([], lasted, lasted * TENTH, away))
    assert lasted * TENTH <= SECOND


def test_looking_back_after_a_while_costs_one_look_and_not_the_whole_while() -> None:
    narrow = replace(ALL_ROUND, half_width_rad=0.5, half_height_rad=0.5, max_range_m=1000.0)
    tracker, rng = Tracker(TrackerConfig(), {"radar": narrow}), np.random.default_rng(5)
    x = np.array([300.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    _fly(tracker, x, range(5), rng)
    for k in range(5, 25):
        tracker.observe(frame_of([], k, k * TENTH, Pose(quaternion=(0.0, 0.0, 0.0, 1.0))))
    tracker.observe(frame_of([], 25, 25 * TENTH))
    assert tracker.tracks(25 * TENTH).miss_count.tolist() == [1]
    _fly(tracker, x, range(26, 27), rng)
    assert tracker.tracks(26 * TENTH).status.tolist() == [Status.TRACKED]


def test_an_identity_stays_with_its_track_and_keeps_others_away() -> None:
    tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(6)
    a, b = np.array([200.0, -4.0, 0.0, 0.0, 2.0, 0.0]), np.array([200.0, 4.0, 0.0, 0.0, -2.0, 0.0])
    owner: dict[int, int] = {}
    for k in range(40):
        rows = []
        for x in (a, b):
            now = x.copy()
            now[:3] += 0.1 * k * x[3:]
            rows.append(measured(now, Pose()) + SIGMA * rng.standard_normal(4))
        # Named only now and then: between two names the tracks go by their numbers.
        report = tracker.observe(frame_of(rows, k, k * TENTH, names=[7, 9] if k % 4 == 0 else [NO_ID, NO_ID]))
        got = tracker.tracks(k * TENTH)
        for name, track in zip(got.transponder_id, got.track_id, strict=True):
            if name != NO_ID:
                assert owner.setdefault(int(name), int(track)) == track
    assert sorted(owner) == [7, 9]
    assert report.doubled == 0
    assert tracker.counters.clashes > 0
    truth = {7: a, 9: b}
    for name, state in zip(got.transponder_id, got.state, strict=True):
        assert state[4] == pytest.approx(truth[int(name)][4], abs=1.0)


def test_the_same_identity_attracts_beyond_the_gate_but_not_from_anywhere() -> None:
    def fly(jump_m: float) -> tuple[int, int]:
        tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(7)
        _fly(tracker, np.array([200.0, 0.0, 0.0, 0.0, 0.0, 0.0]), range(20), rng, [5])
        report = tracker.observe(frame_of([200.0 + jump_m, 0.0, 0.0, 0.0], 20, 20 * TENTH, names=[5]))
        return report.associated, report.doubled
    assert fly(6.0) == (1, 0)
    assert fly(60.0) == (0, 1)


def test_long_range_and_lidar_support_the_one_track_that_short_range_named() -> None:
    lidar = replace(ALL_ROUND, sigma_range_m=0.1, sigma_radial_velocity_m_s=np.inf, max_range_m=500.0)
    tracker = Tracker(TrackerConfig(), {"radar": ALL_ROUND, "lidar": lidar})
    x, rng = np.array([300.0, 20.0, 10.0, -3.0, 0.0, 0.0]), np.random.default_rng(8)
    for k in range(30):
        z = measured(x, Pose())
        tracker.observe(frame_of(z + SIGMA * rng.standard_normal(4), k, k * TENTH, names=[42] if k < 5 else None))
        z[3] = np.nan
        seen = Frame("lidar", SensorKind.LIDAR, k, k * TENTH + 30_000_000, k * TENTH + 30_000_000, Pose(),
                     *(np.array([v]) for v in z[:3] + np.array([0.1, 0.005, 0.005]) * rng.standard_normal(3)),
                     extent_m=np.array([1.5]))
        tracker.observe(seen)
        x[:3] += 0.1 * x[3:]
    got = tracker.tracks(29 * TENTH)
    assert (len(got), got.transponder_id.tolist(), got.sources.tolist()) == (1, [42], [0b11])
    assert got.extent_m == pytest.approx([1.5])
    assert got.trust.tolist() == [1.0]


def _frames(seconds: float, seed: int) -> list[Frame]:
    scene = singles(12, seed, round(seconds * 10))
    radar = [scene.frame(k, 300.0) for k in range(round(seconds * 10))]
    return radar + [replace(f, sensor_id="second", frame_id=f.frame_id, event_ns=f.event_ns + 40_000_000)
                    for f in radar[::2]]


def test_late_frames_give_the_tracks_of_frames_in_order_to_the_last_bit() -> None:
    frames = sorted(_frames(4.0, 3), key=lambda f: (f.event_ns, f.sensor_id))
    straight = Tracker(TrackerConfig(), {"radar": RADAR, "second": RADAR})
    for frame in frames:
        straight.observe(frame)
    rng = np.random.default_rng(1)
    shuffled = sorted(frames, key=lambda f: f.event_ns + rng.uniform(0.0, 0.9e9))
    mixed = Tracker(TrackerConfig(), {"radar": RADAR, "second": RADAR})
    outcomes = [mixed.observe(frame).outcome for frame in shuffled]
    assert set(outcomes) == {Outcome.USED, Outcome.REPLAYED}
    assert mixed.counters.late_replayed == outcomes.count(Outcome.REPLAYED)
    assert _same(straight.tracks(4 * SECOND), mixed.tracks(4 * SECOND), but=("track_id",))
    assert straight.sensor_health() == mixed.sensor_health()


def test_an_id_once_told_is_never_given_to_another_track() -> None:
    frames = sorted(_frames(3.0, 5), key=lambda f: f.event_ns)
    tracker = Tracker(TrackerConfig(), {"radar": RADAR, "second": RADAR})
    held = frames.pop(20)
    place: dict[int, np.ndarray] = {}
    for n, frame in enumerate(frames):
        tracker.observe(frame)
        if n == 26:
            before = tracker.tracks(frame.event_ns)
            assert tracker.observe(held).outcome is Outcome.REPLAYED
            after = tracker.tracks(frame.event_ns)
            place = dict(zip(after.track_id.tolist(), after.state, strict=True))
            for number, state in zip(before.track_id[before.firm].tolist(), before.state[before.firm], strict=True):
                assert place[number][:3] == pytest.approx(state[:3], abs=10.0)
            assert len(set(after.track_id.tolist())) == len(after)
    assert place


def test_too_late_doubled_and_unknown_are_refused_by_name() -> None:
    tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(9)
    _fly(tracker, np.array([300.0, 0.0, 0.0, 2.0, 0.0, 0.0]), range(30), rng)
    before = tracker.tracks(3 * SECOND)
    old = frame_of([300.0, 0.0, 0.0, 0.0], 100, 29 * TENTH - SECOND - 1)
    again = frame_of([300.0, 0.0, 0.0, 0.0], 29, 29 * TENTH)
    alien = frame_of([300.0, 0.0, 0.0, 0.0], 1, 30 * TENTH, sensor="sonar")
    assert tracker.observe(old).outcome is Outcome.TOO_LATE
    assert tracker.observe(again).outcome is Outcome.DUPLICATE
    assert tracker.observe(alien).outcome is Outcome.UNKNOWN_SENSOR
    assert _same(before, tracker.tracks(3 * SECOND))
    counters = tracker.counters
    assert (counters.refused_too_late, counters.refused_duplicate, counters.refused_unknown_sensor) == (1, 1, 1)
    assert tracker.observe(frame_of([], 101, 29 * TENTH - SECOND + 1)).outcome is Outcome.REPLAYED


def test_the_same_frames_give_the_same_bytes() -> None:
    def fly() -> bytes:
        tracker, scene = Tracker(TrackerConfig(), {"radar": RADAR}), swarms(2, 11, 160)
        packed = b""
        for k in range(160):
            tracker.observe(scene.frame(k))
            got = tracker.tracks(k * TENTH)
            packed += b"".join(np.ascontiguousarray(getattr(got, n)).tobytes() for n in TrackSet.__slots__[1:])
        return packed
    assert fly() == fly()


def test_looking_at_the_tracks_changes_nothing_and_other_times_are_extrapolated() -> None:
    tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(9)
    x = np.array([300.0, 0.0, 0.0, 5.0, 1.0, 0.0])
    _fly(tracker, x, range(20), rng)
    now, later = tracker.tracks(19 * TENTH), tracker.tracks(39 * TENTH)
    assert _same(now, tracker.tracks(19 * TENTH))
    assert later.state[0, :3] == pytest.approx(now.state[0, :3] + 2.0 * now.state[0, 3:])
    assert later.covariance[0, 0, 0] > now.covariance[0, 0, 0]
    now.state[:] = 0.0
    assert tracker.tracks(19 * TENTH).state[0, 0] > 100.0


def test_capacity_holds_and_firm_tracks_outlive_a_crowd() -> None:
    config = TrackerConfig(capacity=60)
    tracker, rng = Tracker(config, {"radar": RADAR}), np.random.default_rng(10)
    scene = singles(10, 1, 60)
    for k in range(60):
        frame = scene.frame(k)
        if k >= 20:
            low, high = [20.0, -np.pi, -1.0, -30.0], [2000.0, np.pi, 1.0, 30.0]
            noise = rng.uniform(low, high, (300, 4))
            frame = frame_of(np.concatenate((scene.detections[k], noise)), k, k * TENTH)
        report = tracker.observe(frame)
        assert len(tracker.tracks(k * TENTH)) <= 60
    assert report.culled > 0
    old = set(scene.ids[15]) & set(scene.ids[59])
    got = tracker.tracks(59 * TENTH)
    kept = [np.linalg.norm(got.state[got.firm][:, :3] - x[:3], axis=1).min() < 15.0
            for n, x in zip(scene.ids[59], scene.states[59], strict=True) if n in old]
    assert len(kept) >= 7
    assert all(kept)


def test_a_thousandfold_clutter_is_cut_down_and_the_known_targets_stay() -> None:
    tracker, rng, scene = Tracker(TrackerConfig(), {"radar": RADAR}), np.random.default_rng(11), singles(20, 2, 40)
    for k in range(40):
        frame = scene.frame(k)
        if k >= 30:
            noise = rng.uniform([20.0, -np.pi, -1.0, -30.0], [2000.0, np.pi, 1.0, 30.0], (20_000, 4))
            frame = frame_of(np.concatenate((noise, scene.detections[k])), k, k * TENTH)
        report = tracker.observe(frame)
    got = tracker.tracks(39 * TENTH)
    truth = scene.states[39][:, :3]
    found = [np.linalg.norm(got.state[got.firm][:, :3] - x, axis=1).min() < 15.0 for x in truth]
    assert report.culled_detections == report.detections - 4096
    assert sum(found) >= len(truth) - 2
    assert len(got) <= 1024


def test_what_a_frame_holds_never_raises() -> None:
    tracker, rng = Tracker(TrackerConfig(), {"radar": ALL_ROUND}), np.random.default_rng(12)
    for k in range(200):
        z = rng.uniform([-5.0, -4.0, -2.0, -50.0], [500.0, 4.0, 2.0, 50.0], (rng.integers(0, 12), 4))
        z[rng.random(z.shape) < 0.1] = rng.choice([np.nan, np.inf, 0.0])
        pose = Pose(sigma_position_m=float(rng.choice([0.0, 1.0])), sigma_attitude_rad=0.001)
        tracker.observe(frame_of(z, k, k * TENTH, pose))
        got = tracker.tracks(k * TENTH + 5)
        assert np.isfinite(got.state).all()
        assert (np.linalg.eigvalsh(got.covariance) > 0.0).all()
    assert tracker.counters.unusable > 0


def test_a_manoeuvre_loses_fewer_tracks_with_the_second_model() -> None:
    def firm_tracks(config: TrackerConfig) -> int:
        seen = 0
        for seed in range(6):
            tracker, rng = Tracker(config, {"radar": ALL_ROUND}), np.random.default_rng(seed)
            x, ids, push = np.array([400.0, 0.0, 0.0, 0.0, 0.0, 0.0]), set(), 6.0 * _unit(rng)
            for k in range(110):
                tracker.observe(frame_of(measured(x, Pose()) + SIGMA * rng.standard_normal(4), k, k * TENTH))
                got = tracker.tracks(k * TENTH)
                ids |= set(got.track_id[got.firm].tolist())
                if 50 <= k < 80:
                    x[:3] += 0.005 * push
                    x[3:] += 0.1 * push
                x[:3] += 0.1 * x[3:]
            seen += len(ids)
        return seen
    single = firm_tracks(TrackerConfig(acceleration_psd=0.05, manoeuvre_acceleration_m_s2=0.1))
    assert firm_tracks(TrackerConfig(acceleration_psd=0.05)) <= 0.7 * single


def _unit(rng: np.random.Generator) -> np.ndarray:
    way = rng.standard_normal(3)
    return way / np.linalg.norm(way)


def test_memory_does_not_grow_with_time() -> None:
    import gc
    import tracemalloc
    scene, tracker = singles(10, 4, 50), Tracker(TrackerConfig(), {"radar": RADAR})
    frames = [scene.frame(k) for k in range(50)]

    def turn(rounds: range) -> None:
        for n in rounds:
            for frame in frames:
                shift = 50 * n
                tracker.observe(replace(frame, frame_id=frame.frame_id + shift, event_ns=frame.event_ns + shift * TENTH,
                                        ingest_ns=frame.ingest_ns + shift * TENTH))
    turn(range(4))
    tracemalloc.start()
    turn(range(4, 6))
    gc.collect()
    before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
    turn(range(6, 16))
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 100_000
    assert len(gc.get_objects()) - objects < 200


def test_impossible_settings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="sensor radar: detection probability"):
        Tracker(TrackerConfig(), {"radar": replace(ALL_ROUND, detection_probability=0.0)})
    with pytest.raises(ValueError, match="0 sensors"):
        Tracker(TrackerConfig(), {})
    with pytest.raises(KeyError):
        Tracker(TrackerConfig(), {"radar": ALL_ROUND}).set_sensor("sonar", ALL_ROUND)
    with pytest.raises(msgspec.ValidationError, match="capacity"):
        msgspec.convert({"capacity": 0}, TrackerConfig)
    with pytest.raises(msgspec.ValidationError, match="gate"):
        msgspec.convert({"gate": 3.0}, TrackerConfig)
