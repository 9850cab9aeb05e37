"""Rows 22 to 24: what is noticed of attacks, what a relay without keys can do, what damage to an audit log shows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from comms.watch.intrusion import IntrusionDetector
from comms.watch.meta import Alert
from comms.watch.verify import verify
from firmware_py.cli.link_campaign.audit_damage import DAMAGES, as_bytes, written_log
from firmware_py.cli.link_campaign.relay_acts import ACTS, Tally
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.traffic import (
    ATTACK_KINDS,
    Attack,
    Frame,
    as_meta,
    attack_on,
    draw_habits,
    honest_hours,
)

__all__ = ["ROWS", "run_audit", "run_intrusion", "run_relay"]

NS = 1_000_000_000
HOUR_NS = 3600 * NS
BLOCK_H = 10
AFTER_NS = 11 * NS
"""Alerts that name an attack come at the latest when the slot has ended that its last frame fell into."""
LEAST_DETECTED, FALSE_A_DAY = 0.95, 1.0
FEW_MISSED = 2
"""Misses that a short run may have: 95 % of a few cases is a matter of luck."""
KEPT = 20
AUDIT_RECORDS = 10_000


def run_intrusion(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """As many hours of attack as of honest traffic. A case's number and the run's generator repeat it."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    seeds = rng.integers(0, 1 << 62, size=2)
    for case in range(cases):
        own = np.random.default_rng([int(seeds[0]), case])
        attack, alerts = _attacked(own, case)
        named = [alert for alert in alerts if alert.kind in attack.named_by
                 and attack.begin_s * NS <= alert.t_ns <= attack.end_s * NS + AFTER_NS]
        counts["detected"] += bool(named)
        if not named:
            rate = "high" if attack.high else "low"
            failures.append(f"attack {case}: {attack.kind.value} at a {rate} rate was not named")
        progress(case + 1, 2 * cases)
    for first in range(0, cases, BLOCK_H):
        hours = min(BLOCK_H, cases - first)
        own = np.random.default_rng([int(seeds[1]), first])
        alerts = _honest(own, hours)
        counts["false alerts"] += len(alerts)
        failures += [f"hours from {first} on: false alert {alert.kind.value} {alert.numbers}" for alert in alerts]
        progress(cases + first + hours, 2 * cases)
    missed = cases - counts["detected"]
    enough = missed <= max(FEW_MISSED, (1.0 - LEAST_DETECTED) * cases)
    quiet = counts["false alerts"] <= max(1.0, FALSE_A_DAY * cases / 24.0)
    told = {**counts, "detected share": counts["detected"] / cases,
            "false alerts a day": 24.0 * counts["false alerts"] / cases}
    return RowResult(enough and quiet, 2 * cases, told, tuple(failures[:KEPT]))


def _attacked(rng: np.random.Generator, case: int) -> tuple[Attack, list[Alert]]:
    """An honest hour to learn from, then one with an attack; the alerts of the second."""
    habits = draw_habits(rng, in_contact=True)
    detector = IntrusionDetector(known=habits.known)
    _watch(detector, honest_hours(rng, habits, 0, 1))
    detector.step(HOUR_NS)
    kind, high = ATTACK_KINDS[case % len(ATTACK_KINDS)], bool(case // len(ATTACK_KINDS) % 2)
    frames, attack = attack_on(rng, kind, high, honest_hours(rng, habits, 1, 1), habits, 3600.0)
    alerts = _watch(detector, frames)
    return attack, alerts + detector.step(2 * HOUR_NS + 60 * NS)


def _honest(rng: np.random.Generator, hours: int) -> list[Alert]:
    habits = draw_habits(rng, in_contact=False)
    detector = IntrusionDetector(known=habits.known)
    alerts = _watch(detector, honest_hours(rng, habits, 0, hours))
    return alerts + detector.step(hours * HOUR_NS)


def _watch(detector: IntrusionDetector, frames: list[Frame]) -> list[Alert]:
    alerts: list[Alert] = []
    for number, frame in enumerate(as_meta(frames)):
        detector.observe(frame)
        if number % 50 == 0:
            alerts += detector.step(frame.t_ns)
    return alerts


def run_relay(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Each act in turn, on nodes made anew."""
    total = Tally()
    seed = int(rng.integers(0, 1 << 62))
    names = tuple(ACTS)
    for case in range(cases):
        name = names[case % len(names)]
        tally = Tally()
        ACTS[name](np.random.default_rng([seed, case]), tally)
        total.failures += [f"{name} {case}: {text}" for text in tally.failures]
        for what, count in tally.counts.items():
            most = what.startswith("most")
            total.counts[what] = max(total.counts[what], count) if most else total.counts[what] + count
        progress(case + 1, cases)
    return RowResult(not total.failures, cases, dict(total.counts), tuple(total.failures[:KEPT]))


def run_audit(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """One kind of damage to one record after another of a log of 10^4, in an order drawn at random."""
    log = written_log(rng, AUDIT_RECORDS)
    intact = verify(as_bytes([(name, list(entries)) for name, entries in log.files]), log.public_key, [log.head])
    failures = [] if intact.intact else [f"the intact log: {intact.finding}"]
    counts: Counter[str] = Counter()
    places = log.places()
    order = rng.permutation(len(places))
    kinds = tuple(DAMAGES)
    for case in range(cases):
        file, at = places[int(order[case % len(order)])]
        kind = kinds[(case + case // len(order)) % len(kinds)]
        files = [(name, list(entries)) for name, entries in log.files]
        DAMAGES[kind](rng, files, file, at)
        verdict = verify(as_bytes(files), log.public_key, [log.head])
        counts[f"{kind} found"] += not verdict.intact
        if verdict.intact:
            failures.append(f"{kind} of place {at} in file {file} was not found")
        progress(case + 1, cases)
    return RowResult(not failures, cases, dict(counts), tuple(failures[:KEPT]))


ROWS: tuple[Row, ...] = (
    Row(22, "intrusion detection", "at least 95 % of attacks named while they go on, at most 1 false alert in 24 h",
        1000, 16, run_intrusion),
    Row(23, "relay without keys", "it reads nothing; nothing altered is accepted; hop limit, quotas and energy hold",
        1200, 60, run_relay),
    Row(24, "audit log", "every deletion, edit, reordering and truncation of any of 10^4 records is found",
        10_000, 16, run_audit),
)
"""Rows of this module."""
