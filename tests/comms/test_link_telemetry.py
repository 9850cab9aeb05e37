"""Telemetry by budget: rates, changes, room, and the present first after a gap."""

from __future__ import annotations

from typing import Any

from comms.flight_port import Snapshot
from comms.link.telemetry import GroupRate, TelemetrySource

NS = 1_000_000_000
MS = 1_000_000
RATES = (GroupRate("fast", 10.0), GroupRate("slow", 1.0), GroupRate("health", 5.0, beat_s=4.0))


def frames(name: str, snapshot: Snapshot, longest: int) -> list[bytes]:
    body = f"{name} {snapshot.t_ns} {snapshot.values.get(name)}".encode()
    return [body[i:i + longest] for i in range(0, len(body), longest)]


def source() -> TelemetrySource:
    return TelemetrySource(RATES, frames, lambda name, snapshot: snapshot.values.get(name))


def fly(
    seconds: float, values: Any, room: int = 1000, telemetry: TelemetrySource | None = None
) -> list[tuple[int, str]]:
    """What was sent when, with a snapshot every 50 ms."""
    telemetry = source() if telemetry is None else telemetry
    seen = []
    for now in range(0, round(seconds * NS), 50 * MS):
        for frame in telemetry.pull(now, Snapshot(now, values(now)), room, 200):
            seen.append((now, frame.decode().split()[0]))
    return seen


def test_groups_come_at_their_rates_and_changes_at_once_or_at_the_beat() -> None:
    seen = fly(8.0, lambda now: {"health": now // (2 * NS)})
    names = [name for _, name in seen]
    assert names.count("fast") == 80
    assert names.count("slow") == 8
    # Values change every 2 s, sooner than the beat.
    assert [t for t, name in seen if name == "health"] == [0, 2 * NS, 4 * NS, 6 * NS]
    still = [t for t, name in fly(9.0, lambda _now: {"health": 1}) if name == "health"]
    assert still == [0, 4 * NS, 8 * NS]


def test_after_a_gap_the_newest_is_sent_once_and_nothing_old() -> None:
    telemetry = source()
    fly(1.0, lambda _now: {}, telemetry=telemetry)
    now = 60 * NS
    first = telemetry.pull(now, Snapshot(now, {}), 1000, 200)
    assert sorted(frame.split()[0] for frame in first) == [b"fast", b"health", b"slow"]
    assert all(frame.split()[1] == str(now).encode() for frame in first)
    assert telemetry.pull(now + MS, Snapshot(now + MS, {}), 1000, 200) == []


def test_little_room_serves_the_most_overdue_group_and_no_group_is_cut() -> None:
    telemetry = source()
    seen = fly(20.0, lambda _now: {}, room=25, telemetry=telemetry)
    counts = {name: sum(1 for _, n in seen if n == name) for name in ("fast", "slow", "health")}
    assert counts["slow"] >= 15
    assert counts["fast"] > counts["slow"]
    assert telemetry.short > 0
    assert telemetry.pull(30 * NS, Snapshot(30 * NS, {}), 5, 200) == []


def test_a_snapshot_is_never_sent_twice_and_none_gives_nothing() -> None:
    telemetry = source()
    assert telemetry.pull(0, None, 1000, 200) == []
    snapshot = Snapshot(0, {})
    assert len(telemetry.pull(0, snapshot, 1000, 200)) == 3
    assert telemetry.pull(10 * NS, snapshot, 1000, 200) == []


def test_rates_are_set_within_bounds_and_zero_is_silence() -> None:
    telemetry = source()
    assert "no group 'sun'" in telemetry.set_rate("sun", 1.0)
    assert "0..20" in telemetry.set_rate("fast", 21.0)
    assert "0..20" in telemetry.set_rate("fast", float("nan"))
    assert telemetry.set_rate("fast", 0.0) == ""
    names = [name for _, name in fly(2.0, lambda _now: {}, telemetry=telemetry)]
    assert "fast" not in names
    assert telemetry.rates["fast"] == 0.0
