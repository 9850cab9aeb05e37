"""Intrusion detection: what is named, what is left alone, that it is bounded, and that no key can be reached."""

from __future__ import annotations

import gc
import types
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.watch.detectors import Bucket, Heartbeat, Metronome, RateWatch, ShareWatch, SizeWatch
from comms.watch.intrusion import IntrusionDetector, WatchSettings
from comms.watch.meta import Alert, AlertKind, AlertSeverity, FrameMeta, Outcome

SECOND = 10**9
GROUND = "udp:ground"


def frame(t_s: float, outcome: Outcome = Outcome.ACCEPTED, endpoint: str = GROUND, size: int = 40,
          channel: int | None = 0) -> FrameMeta:
    return FrameMeta(round(t_s * SECOND), endpoint, size, outcome, channel)


def watch(detector: IntrusionDetector, frames: list[FrameMeta]) -> list[Alert]:
    alerts: list[Alert] = []
    for one in sorted(frames):
        detector.observe(one)
        alerts += detector.step(one.t_ns)
    return alerts


def quiet_hour(first_s: float = 0.0) -> list[FrameMeta]:
    """Pings by the clock, now and then a command, a file transfer, a few doubled frames."""
    frames = [frame(first_s, Outcome.HANDSHAKE, channel=None)]
    frames += [frame(first_s + 10.0 * n + 0.3 * (n % 7) / 7, size=31, channel=5) for n in range(1, 360)]
    frames += [frame(first_s + 37.7 * n + (n * n) % 13, size=30 + 3 * (n % 9)) for n in range(1, 90)]
    frames += [frame(first_s + 1000.0 + n / 60.0, size=900, channel=3) for n in range(3000)]
    frames += [frame(first_s + 1000.01 + 11 * n / 60.0, Outcome.REPLAYED, size=900, channel=3) for n in (0, 90, 180)]
    return frames


def kinds(alerts: list[Alert]) -> set[AlertKind]:
    return {alert.kind for alert in alerts}


@pytest.fixture
def learned() -> IntrusionDetector:
    detector = IntrusionDetector()
    assert watch(detector, quiet_hour()) == []
    return detector


@pytest.mark.parametrize("rate_hz", [200, 1000, 50_000])
def test_a_flood_is_told_within_a_second(learned: IntrusionDetector, rate_hz: int):
    alerts = watch(learned, [frame(3600 + n / rate_hz, Outcome.AUTH_FAILED) for n in range(rate_hz + 1)])
    assert AlertKind.FLOOD in kinds(alerts)
    first = next(alert for alert in alerts if alert.kind is AlertKind.FLOOD)
    assert first.t_ns <= 3601 * SECOND + SECOND // 100
    assert first.severity is AlertSeverity.CRITICAL


def test_alerts_of_one_kind_are_a_minute_apart_and_counted_between(learned: IntrusionDetector):
    frames = [frame(3600 + n / 500, Outcome.AUTH_FAILED) for n in range(500 * 65)]
    floods = [alert for alert in watch(learned, frames) if alert.kind is AlertKind.FLOOD]
    assert len(floods) == 2
    assert floods[1].t_ns - floods[0].t_ns >= 60 * SECOND
    assert floods[1].held_back > 100
    assert learned.alerts[AlertKind.FLOOD] > floods[1].held_back + 2


def test_forged_frames_under_a_peers_name_are_told(learned: IntrusionDetector):
    frames = quiet_hour(3600) + [frame(3700 + 15.0 * n, Outcome.AUTH_FAILED, channel=n % 8) for n in range(60)]
    assert AlertKind.AUTH_FAILURES in kinds(watch(learned, frames))


def test_a_line_that_always_breaks_frames_is_learned():
    """One frame in a hundred, and whole seconds of fading: usual here."""
    detector = IntrusionDetector()
    frames = []
    for hour in range(3):
        for n, one in enumerate(quiet_hour(3600.0 * hour)):
            frames.append(one._replace(outcome=Outcome.AUTH_FAILED) if n % 100 == 50 else one)
    assert watch(detector, frames) == []


def test_old_frames_are_told_as_replay_and_doubled_ones_are_not(learned: IntrusionDetector):
    doubled = [one._replace(t_ns=one.t_ns + SECOND // 20, outcome=Outcome.REPLAYED)
               for one in quiet_hour(3600)[1:400:60]]
    assert watch(learned, quiet_hour(3600) + doubled) == []
    old = [frame(7300 + 30.0 * n, Outcome.REPLAYED, size=33) for n in range(30)]
    assert AlertKind.REPLAY in kinds(watch(learned, quiet_hour(7200) + old))


def test_every_second_frame_doubled_is_told(learned: IntrusionDetector):
    frames = quiet_hour(3600)
    doubled = [one._replace(t_ns=one.t_ns + SECOND // 20, outcome=Outcome.REPLAYED)
               for one in frames[1:360:2]]
    assert AlertKind.REPLAY in kinds(watch(learned, frames + doubled))


def test_more_commands_than_ever_are_told_and_a_burst_of_an_operator_is_not(learned: IntrusionDetector):
    burst = [frame(3700 + 0.2 * n + 0.01 * (n % 3)) for n in range(30)]
    assert watch(learned, burst) == []
    assert AlertKind.RATE in kinds(watch(learned, [frame(3900 + n / 20 + 0.011 * (n % 3)) for n in range(600)]))


def test_odd_sizes_are_told(learned: IntrusionDetector):
    odd = [frame(3700 + 12.0 * n, size=300 + 50 * (n % 17)) for n in range(40)]
    assert AlertKind.SIZE in kinds(watch(learned, quiet_hour(3600) + odd))


def test_a_stranger_that_tries_and_fails_is_told(learned: IntrusionDetector):
    one = [frame(3700 + 20.0 * n, Outcome.MALFORMED, "udp:stranger", channel=None) for n in range(40)]
    assert AlertKind.NEW_ENDPOINT in kinds(watch(learned, one))


def test_strangers_that_each_try_once_are_told_if_they_are_many(learned: IntrusionDetector):
    many = [frame(3700 + 20.0 * n, Outcome.AUTH_FAILED, f"udp:{n}", channel=None) for n in range(40)]
    assert AlertKind.NEW_ENDPOINT in kinds(watch(learned, many))


def test_a_peer_that_moves_and_authenticates_is_no_stranger(learned: IntrusionDetector):
    moved = [one._replace(endpoint="udp:elsewhere") for one in quiet_hour(3600)]
    assert watch(learned, moved) == []


def test_noise_on_a_wired_line_is_not_a_strangers():
    detector = IntrusionDetector(known=("serial:0",))
    noise = [frame(60.0 * n, Outcome.MALFORMED, "serial:0", channel=None) for n in range(40)]
    assert watch(detector, noise) == []


def test_unknown_and_denied_commands_are_told_if_they_go_on(learned: IntrusionDetector):
    few = [frame(3700 + n, Outcome.UNKNOWN_COMMAND) for n in range(3)]
    assert watch(learned, few) == []
    assert AlertKind.UNKNOWN_COMMANDS in kinds(watch(learned, [
        frame(5000 + 40.0 * n + n % 7, Outcome.DENIED) for n in range(15)]))


def test_handshakes_that_fail_are_told_if_they_go_on(learned: IntrusionDetector):
    tries = [frame(3700 + 40.0 * n, Outcome.HANDSHAKE_FAILED, "udp:x", channel=None) for n in range(40)]
    assert watch(learned, tries[:3]) == []
    assert AlertKind.HANDSHAKE_FAILURES in kinds(watch(learned, tries[3:]))


def test_commands_by_the_clock_are_told_among_others(learned: IntrusionDetector):
    clockwork = [frame(3700 + 7.0 * n + 0.004 * (n % 5)) for n in range(120)]
    alerts = watch(learned, quiet_hour(3600) + clockwork)
    assert kinds(alerts) == {AlertKind.TIMING}
    assert dict(alerts[0].numbers)["period_s"] == pytest.approx(7.0, rel=0.02)


def test_a_short_script_of_an_operator_is_not_told(learned: IntrusionDetector):
    assert watch(learned, [frame(3700 + 1.0 * n) for n in range(30)]) == []


def test_frames_held_back_and_let_go_are_told(learned: IntrusionDetector):
    frames = []
    for one in quiet_hour(3600):
        t_s = one.t_ns / SECOND - 3600
        hold = next((stop for stop in (600, 1500, 2400, 3300) if stop - 90 <= t_s < stop), None)
        let_go_s = t_s if hold is None else hold + 1e-3 * (t_s - hold + 90)
        frames.append(one._replace(t_ns=round((3600 + let_go_s) * SECOND)))
    assert AlertKind.TIMING in kinds(watch(learned, frames))


def test_a_pass_that_begins_with_many_frames_is_not_taken_for_held_ones(learned: IntrusionDetector):
    frames = []
    for n in range(6):
        frames += [one for one in quiet_hour(3600 + 6000.0 * n) if one.t_ns < (4200 + 6000 * n) * SECOND]
        frames += [frame(3600 + 6000.0 * n + 0.1 * k, channel=5) for k in range(1, 6)]
    assert AlertKind.TIMING not in kinds(watch(learned, frames))


def test_same_frames_give_same_alerts():
    frames = quiet_hour() + [frame(100 + 15.0 * n, Outcome.AUTH_FAILED) for n in range(60)]
    assert watch(IntrusionDetector(), frames) == watch(IntrusionDetector(), frames)


def test_time_that_runs_backwards_counts_as_the_latest():
    detector = IntrusionDetector()
    for t_s in (100.0, 50.0, 0.0, 200.0):
        detector.observe(frame(t_s))
    assert detector.step(0) == []
    assert sum(detector.frames) == 4


def test_memory_is_bounded_whatever_comes_from_wherever():
    detector = IntrusionDetector(WatchSettings(peers=8, channels=8))
    outcomes = list(Outcome)

    def feed(first: int, count: int) -> None:
        for n in range(first, first + count):
            detector.observe(FrameMeta(n * SECOND // 100, f"endpoint {n} " * 20, n % 3000, outcomes[n % 8], n % 256))
            detector.step(n * SECOND // 100)

    feed(0, 20_000)
    small = len(reachable(detector))
    feed(20_000, 20_000)
    assert detector.peers <= 8
    assert len(reachable(detector)) <= small * 1.2
    assert max(len(one) for one in reachable(detector) if isinstance(one, str)) <= 64


SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType,
          types.MemberDescriptorType, types.GetSetDescriptorType)


def reachable(root: object) -> list[object]:
    """Every object that can be reached from one by references, without the code that all share: types, modules and
    functions are entered only through what they close over."""
    seen: dict[int, object] = {}
    queue = deque([root])
    while queue:
        one = queue.popleft()
        if id(one) in seen:
            continue
        if isinstance(one, types.FunctionType):
            queue.extend([*(one.__closure__ or ()), *(one.__defaults__ or ())])
            continue
        if isinstance(one, types.MethodType):
            queue.extend([one.__self__, one.__func__])
            continue
        if isinstance(one, SHARED):
            continue
        seen[id(one)] = one
        queue.extend(gc.get_referents(one))
    return list(seen.values())


def test_no_key_and_no_payload_can_be_reached():
    detector = IntrusionDetector(known=("serial:0",))
    watch(detector, quiet_hour() + [frame(100 + 3.0 * n, Outcome.AUTH_FAILED) for n in range(300)])
    found = reachable(detector)
    assert len(found) > 200
    assert [one for one in found if isinstance(one, bytes | bytearray | memoryview)] == []
    modules = {type(one).__module__ for one in found}
    assert modules <= {"builtins", "collections", "comms.bounded", "comms.watch.detectors", "comms.watch.intrusion",
                       "comms.watch.meta"}


def test_the_walk_finds_a_key_that_is_hidden():
    class Keyed(IntrusionDetector):
        pass

    detector, key = Keyed(), bytes(32)
    detector.alerts.setdefault("x", lambda: key)  # type: ignore[arg-type, call-overload]
    assert any(one is key for one in reachable(detector))


@pytest.mark.parametrize("wrong", [{"peers": 0}, {"channels": 0}, {"pause_s": -1.0}])
def test_bounds_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="at least"):
        WatchSettings(**wrong)


@given(st.lists(st.tuples(st.integers(0, 10**13), st.sampled_from(("a", "b", "c")), st.integers(0, 70_000),
                          st.sampled_from(Outcome), st.one_of(st.none(), st.integers(0, 300))), max_size=150))
@settings(max_examples=60, deadline=None)
def test_any_metadata_is_taken(metas: list):
    detector = IntrusionDetector()
    for meta in metas:
        detector.observe(FrameMeta(*meta))
    assert all(isinstance(alert, Alert) for alert in detector.step(10**13))
    assert sum(detector.frames) == len(metas)


def test_a_bucket_runs_over_and_leaks():
    bucket = Bucket(3.0, 10.0)
    assert [bucket.add(0) for _ in range(4)] == [False, False, False, True]
    assert not any(bucket.add(t_s * SECOND) for t_s in range(100, 200, 10))


def test_a_share_is_judged_by_its_slots():
    share = ShareWatch(0.002)
    results = []
    for _ in range(60):
        share.bad = 1
        results.append(share.close(10))
    assert any(results[:10])
    # What goes on for long becomes usual, but not quickly.
    assert share.share < 0.11
    assert not ShareWatch(0.002).close(0)


def test_a_rate_has_a_floor_and_learns_peaks_slowly():
    watch_rate = RateWatch(8.0)
    for _ in range(300):
        watch_rate.count = 6
        assert not watch_rate.close(1)
    results = []
    for _ in range(60):
        watch_rate.count = 40
        results.append(watch_rate.close(1))
    assert any(results)
    assert not watch_rate.close(3600)


def test_sizes_of_every_kind_are_no_sign_where_every_kind_is_usual():
    sizes = SizeWatch(None)
    assert not any(sizes.see(round(60 * 1.9 ** (n * 7 % 10))) for n in range(3000))
    long = SizeWatch(100)
    assert any(long.see(500) for _ in range(40))


def test_a_metronome_is_not_heard_in_irregular_frames():
    metronome = Metronome()
    assert not any(metronome.see((n * 10 + (n * n * 7) % 10) * SECOND) for n in range(600))


def test_a_heartbeat_learns_before_it_judges():
    beat = Heartbeat()
    assert not any(beat.see(t_s * SECOND) for t_s in (0, 1, 2, 200, 201, 202, 400, 401, 402))
