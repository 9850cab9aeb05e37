"""Cross-check on a plant that isn't ours: the unchanged chain on Basilisk's spacecraft, beside Basilisk's own chain.

Body gref, true state to every chain, window 0.25 s, shortest pulse 30 ms, dynamics at 1 ms, no gravity; slews by 90 deg
of 100 s and holds against 0.03 N m of 300 s. Basilisk's chain is mrpFeedback, thrForceMapping and thrFiringRemainder.
Its pulses begin with the window and keep no shortest pause; the pulse rules are judged on the states of Basilisk's
thrusters at 1 ms. Without the package ``bsk`` the project's chain flies on the project's rigid body, and what only
Basilisk can tell is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from bench._basilisk_experiment import (
    AXES,
    HOLD_AXES,
    HOLD_GAINS,
    HOLD_S,
    SLEW_GAINS,
    SLEW_S,
    Chain,
    EdgeAudit,
    Figures,
    Gains,
    Ours,
    Record,
    Replay,
    Setup,
    audit_edges,
    disturbance,
    error_deg,
    floor_n_s,
    judge,
    turned_by,
)
from bench._basilisk_plant import MISSING, fly_basilisk_chain, fly_on_basilisk
from bench._gref_plant import REST, fly_plain
from bench.harness import Report
from firmware_py.gnc.allocation import Allocator
from hal.frames import IDENTITY, Vec3
from hal.profile import load_body
from hal.profile.body import BodyConfig

NOT_INSTALLED = "bsk not installed: make bench needs the peers extra"
AGREE = 1e-3
"""Largest difference between both plants under the same pulses, deg and mm/s."""
REPRODUCED = 0.05
PUBLISHED = {"settled_s": 20.7, "late_rms_deg": 0.14, "impulse_n_s": 26.0, "drift_mm_s": 49.0}
PUBLISHED_HOLD = 1.85
TARGETS = {"settled_s": 20.7, "rms_deg": 0.10, "late_rms_deg": 0.10, "impulse_n_s": 13.0, "drift_mm_s": 3.0}
WORDS = {
    "settled_s": ("until the error stays under 1 deg", "s"), "rms_deg": ("rms from then on", "deg"),
    "late_rms_deg": ("rms, second half", "deg"), "impulse_n_s": ("nozzle impulse", "N s"),
    "drift_mm_s": ("drift", "mm/s"),
}
HOLD_RATIO = 1.08
HOLD_RMS_DEG = 0.05
NO_PULSES = EdgeAudit(0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Flights:
    """Flies on the best plant there is and adds up what its valves did."""

    body: BodyConfig
    allocator: Allocator
    ours: EdgeAudit = NO_PULSES
    theirs: EdgeAudit = NO_PULSES

    def fly(self, chain: Chain, seconds: float, torque_n_m: Vec3 = REST) -> Record:
        """The project's chain."""
        plant = fly_plain if MISSING else fly_on_basilisk
        record = plant(self.body, chain, seconds, torque_n_m)
        self.ours = _sum(self.ours, audit_edges(record.on, self.body))
        return record

    def fly_peer_slew(self, axis: Vec3, gains: Gains = SLEW_GAINS) -> Figures | None:
        """Basilisk's chain through the same slew; None without Basilisk."""
        if MISSING:
            return None
        record = fly_basilisk_chain(self.body, turned_by(axis), gains, SLEW_S)
        self.theirs = _sum(self.theirs, audit_edges(record.on, self.body))
        return judge(record, turned_by(axis))

    def fly_peer_hold(self, axis: Vec3) -> Figures | None:
        """Basilisk's chain through the same hold; None without Basilisk."""
        if MISSING:
            return None
        record = fly_basilisk_chain(self.body, IDENTITY, HOLD_GAINS, HOLD_S, disturbance(axis))
        self.theirs = _sum(self.theirs, audit_edges(record.on, self.body))
        return judge(record)


def run(report: Report, slews: Sequence[str] = tuple(AXES), holds: Sequence[str] = HOLD_AXES) -> None:
    """Add slews and holds about the named axes, pulse rules, and how well both plants and the published figures agree.

    The published figures are compared where ``mixed`` is among the slews.
    """
    body = load_body("gref")
    flights = _Flights(body, Allocator(body))
    if MISSING:
        report.add("plant", "the project's rigid body", reference=NOT_INSTALLED)
    else:
        report.add("plant", "Basilisk's spacecraft")
    peers = {name: _slew(report, flights, name) for name in slews}
    for name in holds:
        _hold(report, flights, name)
    if "mixed" in slews:
        _same_gains(report, flights)
    _rules(report, flights)
    if not MISSING:
        _agreement(report, flights)
    peer = peers.get("mixed")
    if peer is not None:
        _published(report, peer)


def _slew(report: Report, flights: _Flights, name: str) -> Figures | None:
    axis = AXES[name]
    target = turned_by(axis)
    chain = Ours.slew(flights.body, flights.allocator, target, Setup())
    ours = judge(flights.fly(chain, SLEW_S), target)
    peer = flights.fly_peer_slew(axis)
    for field, limit in TARGETS.items():
        value = getattr(ours, field)
        words, unit = WORDS[field]
        report.add(
            f"slew 90 deg about {name}: {words}", value, unit,
            _beside(peer, field), f"<= {limit}", value <= limit,
        )
    return peer


def _hold(report: Report, flights: _Flights, name: str) -> None:
    torque = disturbance(AXES[name])
    chain = Ours.hold(flights.body, flights.allocator, IDENTITY, Setup())
    ours = judge(flights.fly(chain, HOLD_S, torque))
    peer = flights.fly_peer_hold(AXES[name])
    floor = floor_n_s(flights.body, torque)
    ratio = ours.impulse_n_s / floor
    report.add(
        f"hold, 0.03 N m about {name}, 300 s: impulse over the LP floor of {floor:.1f} N s", ratio, "",
        NOT_INSTALLED if peer is None else f"Basilisk {peer.impulse_n_s / floor:.3g} (published {PUBLISHED_HOLD})",
        f"<= {HOLD_RATIO}", ratio <= HOLD_RATIO,
    )
    report.add(
        f"hold, 0.03 N m about {name}, 300 s: rms", ours.rms_deg, "deg",
        NOT_INSTALLED if peer is None else f"Basilisk {peer.late_rms_deg:.3g}, second half", f"<= {HOLD_RMS_DEG}",
        ours.rms_deg <= HOLD_RMS_DEG,
    )


def _same_gains(report: Report, flights: _Flights) -> None:
    """One slew with the same frequency and damping in both chains: those of the published one, and our own."""
    body, axis = flights.body, AXES["mixed"]
    for gains in (SLEW_GAINS, Gains.own(body)):
        chain = Ours.slew(body, flights.allocator, turned_by(axis), Setup(gains=gains))
        ours = judge(flights.fly(chain, SLEW_S), turned_by(axis))
        peer = flights.fly_peer_slew(axis, gains)
        for field, (words, unit) in WORDS.items():
            report.add(
                f"slew about mixed, both {gains.frequency_rad_s:.3g} rad/s, damping {gains.damping:.3g}: {words}",
                getattr(ours, field), unit, _beside(peer, field),
            )


def _beside(peer: Figures | None, field: str) -> str:
    return NOT_INSTALLED if peer is None else f"Basilisk {getattr(peer, field):.3g}"


def _rules(report: Report, flights: _Flights) -> None:
    """Broken pulse rules of all flights so far."""
    ours, theirs = flights.ours, flights.theirs
    report.add(
        f"broken pulse rules, {ours.pulses} pulses, edges at 1 ms", ours.violations, "",
        NOT_INSTALLED if MISSING else f"Basilisk {theirs.violations} of {theirs.pulses}", "0", ours.violations == 0,
    )


def _agreement(report: Report, flights: _Flights) -> None:
    """The same pulses on both plants: a slew, and a hold under torque."""
    body, allocator = flights.body, flights.allocator
    target = turned_by(AXES["mixed"])
    cases = {
        "slew about mixed": (Ours.slew(body, allocator, target, Setup()), SLEW_S, REST),
        "hold against diagonal": (Ours.hold(body, allocator, IDENTITY, Setup()), SLEW_S, disturbance(AXES["diagonal"])),
    }
    for name, (chain, seconds, torque) in cases.items():
        kept = Replay(chain)
        theirs = fly_on_basilisk(body, kept, seconds, torque)
        ours = fly_plain(body, kept.again(), seconds, torque)
        turn = float(np.abs(error_deg(theirs) - error_deg(ours)).max())
        speed = float(np.abs(theirs.velocity - ours.velocity).max()) * 1e3
        for words, value, unit in (("attitude", turn, "deg"), ("velocity", speed, "mm/s")):
            report.add(
                f"Basilisk's plant against ours, same pulses, {name}: {words}", value, unit, None, f"<= {AGREE}",
                value <= AGREE,
            )


def _published(report: Report, peer: Figures) -> None:
    """Whether Basilisk's chain does here what was published of it; a figure of the instrument, not of ours."""
    for field, published in PUBLISHED.items():
        value = getattr(peer, field)
        words, unit = WORDS[field]
        report.add(
            f"Basilisk's own chain, slew about mixed: {words}", value, unit, f"published {published}", "within 5 %",
            abs(value / published - 1.0) <= REPRODUCED,
        )


def _sum(a: EdgeAudit, b: EdgeAudit) -> EdgeAudit:
    return EdgeAudit(*(getattr(a, field.name) + getattr(b, field.name) for field in fields(EdgeAudit)))
