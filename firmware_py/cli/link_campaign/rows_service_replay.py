"""Row 3, the service: what was heard on the air opens nothing again, over any line, at any time, after any restart.

Somebody near the craft hears every datagram both ways and plays all of it back: a second line gets each record before
the first one has it, later both get everything in another order, after a rotation of keys, after a restart of the
craft, and beside the next session of the same operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.keys.handshake import is_handshake
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.service_rig import GROUND_SIDE, ServiceRig

__all__ = ["REPLAY_ROW", "run_replay"]

KEPT = 20
LINES = {"cable": Transmitter.CABLE, "radio": Transmitter.RADIO}
"""The second line comes first: a copy on it is heard before the record itself."""
TOGETHER_S, ALONE_S = 6.0, 0.3
BURST = 40
"""Datagrams that are played back between two steps."""


@dataclass(slots=True)
class _Attack:
    """One flight, somebody who listens, and what came of playing it all back."""

    rig: ServiceRig
    failures: list[str] = field(default_factory=list)
    played: int = 0
    recorded: int = 0
    down: list[bytes] = field(default_factory=list)
    cable_out: int = 0
    """Datagrams that the craft has put on the line where nobody is."""

    def fail(self, text: str) -> None:
        if len(self.failures) < KEPT:
            self.failures.append(text)

    def play(self, payload: bytes, line: str) -> None:
        self.rig.pipes[line].put(GROUND_SIDE, payload, self.rig.now_ns)
        self.played += 1

    @property
    def heard(self) -> list[bytes]:
        """Everything that the station has sent, without doubles."""
        return list(dict.fromkeys(self.rig.stations["ada"].sent))


def run_replay(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """At least ``cases`` datagrams played back, in as many flights as that takes."""
    seed = int(rng.integers(1 << 62))
    failures: list[str] = []
    played = recorded = flights = 0
    while played < cases:
        attack = _fly(np.random.default_rng([seed, flights]), cases - played)
        failures += [f"flight {flights}: {text}" for text in attack.failures]
        played += attack.played
        recorded += attack.recorded
        flights += 1
        progress(min(played, cases), cases)
    counts = {"played back": played, "recorded": recorded, "flights": flights}
    return RowResult(not failures, played, counts, tuple(failures[:KEPT]))


def _fly(rng: np.random.Generator, most: int) -> _Attack:
    attack = _Attack(ServiceRig(rng, LINES, {"ada": ("radio", Authority.SAFETY)}, recording=True))
    rig = attack.rig

    def witness(line: str, payload: bytes) -> None:
        attack.down.append(payload)
        attack.cable_out += line == "cable"

    rig.witness = lambda sent: witness(sent.line, sent.payload)
    if not rig.connect():
        attack.fail("never connected")
        return attack
    share = max(1, most // 4)
    _together(attack, rng)
    _alone(attack, "after the last of it", rng, share)
    rig.link.ends.ends[0].session.rotate()
    rig.ground.end.session.rotate()  # type: ignore[union-attr]
    rig.run(1.0)
    _together(attack, rng)
    _alone(attack, "after a rotation", rng, share)
    rig.restart()
    _alone(attack, "after a restart of the craft", rng, share)
    old = attack.heard
    if not rig.run(120.0, lambda: rig.ground.start == rig.starts):
        attack.fail("no new session after the restart")
    rig.run(1.0)
    _alone(attack, "beside the next session", rng, share, old)
    attack.recorded = len(attack.heard)
    if attack.cable_out:
        attack.fail(f"{attack.cable_out} answers on the line where nobody is")
    twice = [name for name, count in rig.done.items() if count > 1]
    if twice:
        attack.fail(f"carried out twice: {twice[:3]}")
    return attack


def _together(attack: _Attack, rng: np.random.Generator) -> None:
    """The station works, and every record of it comes on the second line first, and on its own line again."""
    rig, station = attack.rig, attack.rig.stations["ada"]
    ground, end_ns, seen = station.ground, rig.now_ns + round(TOGETHER_S * 1e9), len(station.sent)
    opened = _opened(rig)
    before = len(station.sent)
    while rig.now_ns < end_ns:
        if rng.random() < 0.3:
            ground.order("ping", {"number": int(rng.integers(1 << 32))}, rig.now_ns)
        if rng.random() < 0.3:
            ground.ping(int(rng.integers(1 << 31)))
        rig.step()
        for payload in station.sent[seen:]:
            if not is_handshake(payload):
                attack.play(payload, "cable")
            attack.play(payload, "radio")
        seen = len(station.sent)
    rig.step()
    if _opened(rig) - opened > len(station.sent) - before:
        attack.fail(f"{_opened(rig) - opened} records opened of {len(station.sent) - before} that were sent")
    if any(end.line.transport.name == "cable" for end in rig.link.ends.ends):
        attack.fail("a session on the other line")


def _alone(
    attack: _Attack, when: str, rng: np.random.Generator, most: int, chosen: list[bytes] | None = None
) -> None:
    """The station is silent; everything recorded so far comes again, what the craft itself has sent too."""
    rig, station = attack.rig, attack.rig.stations["ada"]
    rig.run(ALONE_S)
    station.up = False
    rig.run(ALONE_S)
    heard = attack.heard if chosen is None else chosen
    records = [*heard, *attack.down[-len(heard):]]
    sessions, heard_ns, handshakes = _sessions(rig), rig.link.heard_ns, _handshakes(attack)
    opened = _opened(rig)
    # Handshakes are few, and always among them.
    greetings = [payload for payload in records if is_handshake(payload)]
    chance = [records[index] for index in rng.permutation(len(records))[: max(1, most // 2)].tolist()]
    order = [*greetings, *chance]
    for first in range(0, len(order), BURST):
        for payload in order[first:first + BURST]:
            attack.play(payload, "radio")
            attack.play(payload, "cable")
        rig.step()
    rig.step()
    for what, before, now in (
        ("records opened", opened, _opened(rig)), ("sessions begun", sessions, _sessions(rig)),
        ("handshakes answered", handshakes, _handshakes(attack)), ("the time of the last uplink", heard_ns,
                                                                  rig.link.heard_ns),
    ):
        if before != now:
            attack.fail(f"{when}: {what} went from {before} to {now}")
    station.up = True


def _opened(rig: ServiceRig) -> int:
    """Records that this start of the craft has opened."""
    return rig.link.ends.counts.by_outcome.get("good", 0)


def _sessions(rig: ServiceRig) -> int:
    return rig.link.ends.counts.sessions


def _handshakes(attack: _Attack) -> int:
    return sum(is_handshake(payload) for payload in attack.down)


REPLAY_ROW = Row(
    3, "replay to the whole service",
    "every record again: on the other line first, on its own, late, reflected, after a rotation, after a restart, "
    "beside the next session: 0 opened, 0 sessions, 0 answers, no command twice", 100_000, 4_000, run_replay,
)
