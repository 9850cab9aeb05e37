"""Collision risk in a closed loop: noisy encounters of a craft and a contact, from detections to what the craft does.

A contact on a collision course passes within the combined radius; a false brake is an answer to one that passes beyond
three of them. Detections are those of a small radar: range, bearing, coarse elevation and radial velocity, with gaps.
Run alone: ``python -m bench._perception_risk [seed]``.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from math import inf, radians
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness import Report
from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind, Status
from firmware_py.perception.risk import OwnState, RiskConfig, RiskWatch, ThreatKind
from firmware_py.perception.tracker import Tracker, TrackerConfig
from firmware_py.perception.tracks import SensorModel, TrackSet
from hal.frames import Vec3

Floats = NDArray[np.float64]
NS = 1_000_000_000
PERIOD_S = 0.076
"""13 Hz."""
SIGMAS = (0.4, radians(1.0), radians(3.0), 0.1)
"""Range (m), bearing, elevation (rad), radial velocity (m/s)."""
DETECTED = 0.9
PUSH_M_S2, MASS_KG, TANK_M_S = 622.0 / 432.0, 432.0, 16.6
TO_GO_S = 2.0
HIGHEST = 0.77
"""Sine of the highest elevation that contacts come from, 50 degrees."""
GROUP = 8
"""Contacts about one craft at a time."""


@dataclass(frozen=True, slots=True)
class Encounters:
    """Straight flights about a craft at the origin, (n, ...): place and velocity of the contacts at the start, true
    miss distance, and time of entry into the combined radius, or of closest approach."""

    place_m: Floats
    velocity_m_s: Floats
    miss_m: Floats
    entry_s: Floats
    radius_m: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of encounters, a row each; a time is NaN where there was none."""

    answered_s: Floats
    """Time of the first answer."""
    left_s: Floats
    """What was then left until entry or closest approach."""
    braked: NDArray[np.bool_]


def encounters(
    rng: np.random.Generator, count: int, miss_radii: tuple[float, float], radius_m: float,
    seen_s: tuple[float, float] = (5.0, 25.0), speed_m_s: tuple[float, float] = (0.5, 20.0), reach_m: float = 260.0,
) -> Encounters:
    """Random encounters: closing speed evenly spread, miss distance evenly over the disc or ring of so many radii."""
    speed = rng.uniform(*speed_m_s, count)
    miss = radius_m * np.sqrt(rng.uniform(miss_radii[0] ** 2, miss_radii[1] ** 2, count))
    # Evenly over the sphere between two latitudes: bearing and elevation mean little overhead, where no radar looks.
    height, turn = rng.uniform(-HIGHEST, HIGHEST, count), rng.uniform(0.0, 2.0 * np.pi, count)
    flat = np.sqrt(1.0 - height**2)
    along = np.column_stack([flat * np.cos(turn), flat * np.sin(turn), height])
    aside = np.cross(along, rng.normal(size=(count, 3)))
    aside /= np.linalg.norm(aside, axis=1)[:, None]
    inside = np.sqrt(np.maximum(radius_m**2 - miss**2, 0.0))
    entry = np.minimum(rng.uniform(*seen_s, count), (reach_m - radius_m) / speed)
    # Never inside at the start.
    entry = np.maximum(entry, seen_s[0] if seen_s[0] * 20.0 < reach_m else 0.0)
    place = miss[:, None] * aside - (speed * entry + inside)[:, None] * along
    return Encounters(place, speed[:, None] * along, miss, entry, radius_m)


def radar(
    sigmas: tuple[float, float, float, float] = SIGMAS,
) -> Tracker:
    """The tracker of one radar that looks all round."""
    model = SensorModel(*sigmas, detection_probability=DETECTED, clutter_per_frame=0.1, revisit_s=PERIOD_S)
    return Tracker(TrackerConfig(), {"radar": model})


def scan(
    rng: np.random.Generator, number: int, place: Floats, velocity: Floats,
    sigmas: tuple[float, float, float, float] = SIGMAS, pose: Pose | None = None,
) -> Frame:
    """Noisy detections of contacts at ``place`` and ``velocity`` relative to the craft, some of them not seen."""
    distance = np.linalg.norm(place, axis=1)
    exact = np.column_stack([
        distance, np.arctan2(place[:, 1], place[:, 0]), np.arcsin(place[:, 2] / distance),
        np.einsum("ij,ij->i", place, velocity) / distance,
    ])
    noisy = exact + rng.normal(size=exact.shape) * sigmas
    seen = noisy[rng.random(len(place)) < DETECTED]
    t_ns = round(number * PERIOD_S * NS)
    return Frame(
        "radar", SensorKind.RADAR, number, t_ns, t_ns, Pose() if pose is None else pose, *seen.T.copy(),
    )


def vector(numbers: Floats) -> Vec3:
    """Three plain numbers."""
    x, y, z = (float(number) for number in numbers)
    return x, y, z


def craft(keep_out_m: float, velocity: Vec3 = (0.0, 0.0, 0.0), place: Vec3 = (0.0, 0.0, 0.0)) -> OwnState:
    """The own craft as risk is told of it."""
    return OwnState(place, velocity, 0.1, 0.02, PUSH_M_S2, MASS_KG, TANK_M_S, keep_out_m)


def judge_all(
    rng: np.random.Generator, given: Encounters, config: RiskConfig, extent_m: float = 1.0,
    sigmas: tuple[float, float, float, float] = SIGMAS,
) -> Outcome:
    """Fly every encounter to its end and note the first answer; the craft does not carry it out."""
    parts = [
        _judge_group(rng, _rows(given, start), config, extent_m, sigmas)
        for start in range(0, len(given.miss_m), GROUP)
    ]
    answered = np.concatenate([part[0] for part in parts])
    braked = np.concatenate([part[1] for part in parts])
    return Outcome(answered, given.entry_s - answered, braked)


def _rows(given: Encounters, start: int) -> Encounters:
    rows = slice(start, start + GROUP)
    return replace(
        given, place_m=given.place_m[rows], velocity_m_s=given.velocity_m_s[rows], miss_m=given.miss_m[rows],
        entry_s=given.entry_s[rows],
    )


def _judge_group(
    rng: np.random.Generator, given: Encounters, config: RiskConfig, extent_m: float,
    sigmas: tuple[float, float, float, float],
) -> tuple[Floats, NDArray[np.bool_]]:
    count = len(given.miss_m)
    watch, own, tracker = RiskWatch(config), craft(given.radius_m - extent_m), radar(sigmas)
    answered, braked = np.full(count, np.nan), np.zeros(count, bool)
    for number in range(int(given.entry_s.max() / PERIOD_S) + 1):
        t = number * PERIOD_S
        live = np.flatnonzero(t <= given.entry_s)
        place = given.place_m[live] + given.velocity_m_s[live] * t
        tracker.observe(scan(rng, number, place, given.velocity_m_s[live], sigmas))
        tracks = with_extent(tracker.tracks(round(t * NS)), extent_m)
        for threat in watch.step(tracks, own, tracks.t_ns).threats:
            if threat.kind is not ThreatKind.NONE:
                where = tracks.state[tracks.track_id == threat.track_id][0, :3]
                row = live[np.argmin(np.linalg.norm(place - where, axis=1))]
                if np.isnan(answered[row]):
                    answered[row], braked[row] = t, threat.kind is ThreatKind.BRAKE
    return answered, braked


def with_extent(tracks: TrackSet, extent_m: float) -> TrackSet:
    """The tracks with an extent, which a radar alone does not tell."""
    return replace(tracks, extent_m=np.full(len(tracks), extent_m))


@dataclass(frozen=True, slots=True)
class Flight:
    """One encounter flown with what the craft does about it."""

    kind: ThreatKind
    nearest_m: float


def fly(
    rng: np.random.Generator, given: Encounters, row: int, config: RiskConfig, own_share: float, extent_m: float = 1.0
) -> Flight:
    """One encounter in which the craft carries out the first answer; ``own_share`` of the closing velocity is its
    own."""
    watch, tracker = RiskWatch(config), radar()
    own_place, own_velocity = np.zeros(3), -own_share * given.velocity_m_s[row]
    contact, velocity = given.place_m[row].copy(), (1.0 - own_share) * given.velocity_m_s[row]
    wanted: Floats | None = None
    begin_s, kind, nearest = inf, ThreatKind.NONE, inf
    for number in range(int((given.entry_s[row] + 8.0) / PERIOD_S)):
        t = number * PERIOD_S
        if wanted is None:
            pose = Pose(vector(own_place), vector(own_velocity))
            tracker.observe(scan(rng, number, (contact - own_place)[None], (velocity - own_velocity)[None], pose=pose))
            tracks = with_extent(tracker.tracks(round(t * NS)), extent_m)
            own = craft(given.radius_m - extent_m, vector(own_velocity), vector(own_place))
            for threat in watch.step(tracks, own, tracks.t_ns).threats:
                if threat.kind is not ThreatKind.NONE:
                    kind, begin_s = threat.kind, t + config.reaction_s
                    change = -own_velocity if threat.delta_v_m_s is None else np.array(threat.delta_v_m_s)
                    wanted = own_velocity + change
        # Ten steps a frame, so that nothing slips through between two.
        for _ in range(10):
            step_s = PERIOD_S / 10
            if wanted is not None and t >= begin_s:
                left = wanted - own_velocity
                size = float(np.linalg.norm(left))
                own_velocity = own_velocity + left * min(1.0, PUSH_M_S2 * step_s / max(size, 1e-9))
            own_place = own_place + own_velocity * step_s
            contact = contact + velocity * step_s
            nearest = min(nearest, float(np.linalg.norm(contact - own_place)))
    return Flight(kind, nearest)


def track_set(t_ns: int, state: Floats, covariance: Floats, extent_m: float = 1.0) -> TrackSet:
    """A list of tracked contacts of which nothing else is known."""
    count = len(state)
    zero, small = np.zeros(count, np.int64), np.zeros(count, np.int8)
    ones, unknown = np.ones(count), np.full(count, np.nan)
    return TrackSet(
        t_ns, np.arange(count, dtype=np.int64), np.full(count, Status.TRACKED, np.int8), state, covariance,
        np.full(count, t_ns, np.int64), zero, zero, ones, ones, unknown, unknown, np.full(count, extent_m), small,
        np.full(count, NO_ID, np.int64), small, zero, small, small,
    )


def evasion_time_s(tracks: int, config: RiskConfig, repeats: int = 20) -> float:
    """Median CPU time of a whole step with its answer among so many tracks, two of them on a collision course."""
    rng = np.random.default_rng(tracks)
    place = rng.uniform(-250.0, 250.0, (tracks, 3))
    velocity = rng.uniform(-3.0, 3.0, (tracks, 3))
    place[:2], velocity[:2] = [(60.0, 0.0, 0.0), (0.0, 70.0, 1.0)], [(-9.0, 0.0, 0.0), (0.0, -9.0, 0.0)]
    covariance = np.repeat(np.diag([0.2] * 3 + [0.05] * 3)[None] ** 2, tracks, axis=0)
    times = []
    watch, own = RiskWatch(config), craft(2.0, (1.0, 0.0, 0.0))
    for frame in range(repeats + 5):
        t_ns = round(frame * 0.01 * NS)
        tracks_now = track_set(t_ns, np.hstack([place, velocity]), covariance)
        start = time.process_time()
        report = watch.step(tracks_now, own, t_ns)
        times.append(time.process_time() - start)
        assert frame < 4 or any(threat.kind is ThreatKind.EVADE for threat in report.threats)
    return float(np.median(times[5:]))


def run(report: Report, seed: int = 1) -> None:
    """The figures of collision risk."""
    config, rng = RiskConfig(), np.random.default_rng(seed)
    for radius, count in ((5.0, 1000), (3.0, 250)):
        of = f"combined radius {radius:g} m"
        found = judge_all(rng, encounters(rng, count, (0.0, 1.0), radius), config)
        missed, least = int(np.count_nonzero(~(found.left_s > TO_GO_S))), float(np.nanmin(found.left_s))
        name = f"collision courses of {count:,} not answered with 2 s to go, {of}"
        report.add(name, missed, "", None, 0, missed == 0)
        report.add(f"least time left at an answer, {of}", least, "s", None, "> 2", least > TO_GO_S)
        passes = judge_all(rng, encounters(rng, count, (3.0, 10.0), radius), config)
        false = int(np.count_nonzero(~np.isnan(passes.answered_s)))
        report.add(f"false answers to {count:,} passes beyond three radii, {of}", 100.0 * false / count, "%", None,
                   "<= 1", false <= 0.01 * count)
    flown = encounters(rng, 60, (0.0, 1.0), 5.0)
    flights = [fly(rng, flown, row, config, (row % 3) / 2.0) for row in range(60)]
    clear = sum(flight.nearest_m > 5.0 for flight in flights)
    report.add("collision courses of 60 flown clear of the combined radius", clear)
    report.add("of these, hulls touched (2.5 m)", sum(flight.nearest_m < 2.5 for flight in flights))
    took_s = evasion_time_s(200, config)
    # A whole step: the radar frame is to become a trigger in 20 ms, the tracker's share included.
    report.add("risk of 200 tracks, an evasion chosen", 1e3 * took_s, "ms", None, "< 10", took_s < 10e-3)
    report.add("risk of 1,000 tracks, an evasion chosen", 1e3 * evasion_time_s(1000, config), "ms")


def main(arguments: list[str]) -> int:
    """Run alone, with a seed if one is given."""
    report = Report("perception_risk", Path("build") / "bench")
    run(report, int(arguments[0]) if arguments else 1)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
