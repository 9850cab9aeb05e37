"""Traffic of a craft's receivers, drawn at random: honest hours of many kinds, and attacks upon them.

Nothing here knows how intrusion detection works: honest traffic is what links, operators and files do, with loss,
doubled frames, fading and mistakes; an attack is what an attacker would do, at a low and at a high rate. All rates are
drawn anew for every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum, unique

import numpy as np

from comms.watch.meta import AlertKind, FrameMeta, Outcome

__all__ = ["ATTACK_KINDS", "Attack", "AttackKind", "Frame", "Habits", "as_meta", "attack_on", "draw_habits",
           "honest_hours"]

HOUR_S = 3600.0
NS = 1_000_000_000
CONTROL, FILES, SERVICE, SHELL, BUNDLES = 0, 3, 5, 6, 7
Frame = tuple[float, str, int, Outcome, int | None]
"""Time in s, endpoint, bytes, outcome, channel."""


@unique
class AttackKind(StrEnum):
    """What an attacker does."""

    AUTH = "forged frames"
    REPLAY = "replay"
    RATE = "rate"
    SIZE = "size"
    NEW_ENDPOINT = "new endpoint"
    TIMING = "timing"
    UNKNOWN = "unknown commands"
    HANDSHAKE = "handshakes"


ATTACK_KINDS = tuple(AttackKind)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: when it goes on, and which alerts would name it."""

    kind: AttackKind
    high: bool
    begin_s: float
    end_s: float
    named_by: frozenset[AlertKind]


@dataclass(slots=True)
class _Link:
    name: str
    always: bool
    period_s: float
    pass_s: float
    phase_s: float
    error: float
    fade_every_s: float
    fade_s: float
    fade_broken: float
    doubled: float
    doubled_s: float
    moves: bool
    """Its address changes now and then."""


@dataclass(slots=True)
class Habits:
    """One run's way of life."""

    links: list[_Link]
    ping_s: float
    ping_jitter: float
    commands_per_min: float
    command_sizes: np.ndarray
    bursts_per_h: float
    scripts_per_h: float
    transfers_per_h: float
    transfer_hz: float
    transfer_size: int
    shells_per_h: float
    bundles_per_h: float
    mistakes_per_h: float
    scanners_per_h: float
    stalls_per_h: float
    known: tuple[str, ...] = field(default=())


def draw_habits(rng: np.random.Generator, in_contact: bool) -> Habits:
    """Habits of one run. ``in_contact``: the first link is up all the time."""
    links = [_draw_link(rng, index, in_contact and index == 0) for index in range(int(rng.integers(1, 4)))]
    return Habits(
        links=links,
        ping_s=rng.uniform(5.0, 30.0), ping_jitter=rng.uniform(0.005, 0.1),
        commands_per_min=_log(rng, 0.3, 10.0),
        command_sizes=rng.integers(22, int(rng.integers(60, 220)), size=int(rng.integers(3, 12))),
        bursts_per_h=rng.uniform(0.0, 4.0), scripts_per_h=rng.uniform(0.0, 2.0),
        transfers_per_h=rng.uniform(0.0, 4.0), transfer_hz=_log(rng, 10.0, 150.0),
        transfer_size=int(rng.integers(200, 1100)), shells_per_h=rng.uniform(0.0, 1.0),
        bundles_per_h=rng.uniform(0.0, 30.0), mistakes_per_h=rng.uniform(0.0, 2.0),
        scanners_per_h=rng.uniform(0.0, 4.0), stalls_per_h=rng.uniform(0.0, 2.0),
        known=tuple(link.name for link in links if link.name.startswith("serial")),
    )


def _draw_link(rng: np.random.Generator, index: int, always: bool) -> _Link:
    kind = ("udp", "serial", "radio", "dock")[int(rng.integers(0, 4))]
    radio = kind == "radio"
    return _Link(
        name=f"{kind}:{index}", always=always or kind in ("serial", "dock") or (kind == "udp" and rng.random() < 0.5),
        period_s=rng.uniform(3600.0, 6000.0), pass_s=rng.uniform(360.0, 900.0), phase_s=rng.uniform(0.0, 6000.0),
        error=_log(rng, 1e-5, 1e-2) if radio else _log(rng, 1e-8, 1e-5),
        fade_every_s=_log(rng, 30.0, 600.0) if radio else np.inf, fade_s=rng.uniform(1.0, 8.0),
        fade_broken=rng.uniform(0.1, 0.4), doubled=_log(rng, 1e-5, 2e-3) if kind in ("udp", "radio") else 0.0,
        doubled_s=rng.uniform(0.01, 0.2), moves=kind == "udp",
    )


def honest_hours(rng: np.random.Generator, habits: Habits, first_h: int, hours: int) -> list[Frame]:
    """All frames that come in during these hours, in order of time."""
    begin, end = first_h * HOUR_S, (first_h + hours) * HOUR_S
    frames: list[Frame] = []
    for link in habits.links:
        sent: list[Frame] = []
        for up, down in _passes(link, begin, end):
            sent += _pass(rng, habits, link.name, up, down, fresh=not link.always or up == 0.0)
        frames += _over_the_air(rng, link, sent, begin, end)
        if link.moves:
            frames = _moved(rng, link, frames, begin, end)
    frames += [
        (t, f"scan:{int(rng.integers(1 << 30))}", int(rng.integers(8, 300)), Outcome.MALFORMED, None)
        for t in _poisson(rng, habits.scanners_per_h, begin, end)
    ]
    return sorted(frames)


def _passes(link: _Link, begin: float, end: float) -> Iterable[tuple[float, float]]:
    if link.always:
        yield begin, end
        return
    number = int((begin - link.phase_s) // link.period_s)
    while (up := link.phase_s + number * link.period_s) < end:
        low, high = max(begin, up), min(end, up + link.pass_s)
        if low < high:
            yield low, high
        number += 1


def _pass(rng: np.random.Generator, habits: Habits, name: str, up: float, down: float, fresh: bool) -> list[Frame]:
    """What the ground sends while a link is up."""
    out: list[Frame] = []
    if fresh:
        out.append((up, name, 168, Outcome.HANDSHAKE, None))
        out += [(up + rng.uniform(0.1, 2.0), name, 168, Outcome.HANDSHAKE_FAILED, None)
                for _ in range(int(rng.integers(0, 3)))]
        if rng.random() < 0.03:
            out += [(up + 5.0 * k, name, 168, Outcome.HANDSHAKE_FAILED, None) for k in range(3)]
    out += [(up + rng.uniform(0.0, 1.0), name, int(rng.integers(20, 60)), Outcome.ACCEPTED, SERVICE)
            for _ in range(int(rng.integers(0, 5)))]
    steps = int((down - up) / habits.ping_s)
    out += [(up + (k + rng.normal(0.0, habits.ping_jitter)) * habits.ping_s, name, 31, Outcome.ACCEPTED, SERVICE)
            for k in range(1, steps)]
    commands = list(_poisson(rng, 60.0 * habits.commands_per_min, up, down))
    for t in _poisson(rng, habits.bursts_per_h, up, down):
        commands += list(t + np.cumsum(rng.exponential(rng.uniform(0.2, 1.0), int(rng.integers(5, 41)))))
    for t in _poisson(rng, habits.scripts_per_h, up, down):
        gap, count = rng.uniform(0.3, 2.0), int(rng.integers(10, 31))
        commands += list(t + gap * (np.arange(count) + rng.normal(0.0, rng.uniform(0.01, 0.1), count)))
    out += [(t, name, int(rng.choice(habits.command_sizes) + rng.integers(0, 5)), Outcome.ACCEPTED, CONTROL)
            for t in commands]
    for t in _poisson(rng, habits.transfers_per_h, up, down):
        count = int(habits.transfer_hz * rng.uniform(10.0, 120.0))
        times = t + np.cumsum(rng.exponential(1.0 / habits.transfer_hz, count))
        out += [(at, name, habits.transfer_size, Outcome.ACCEPTED, FILES) for at in times.tolist()]
        out += [(t, name, int(rng.integers(30, 70)), Outcome.ACCEPTED, FILES),
                (float(times[-1]), name, int(rng.integers(20, habits.transfer_size)), Outcome.ACCEPTED, FILES)]
    for t in _poisson(rng, habits.shells_per_h, up, down):
        out += [(at, name, int(rng.integers(24, 80)), Outcome.ACCEPTED, SHELL)
                for at in (t + np.cumsum(rng.exponential(rng.uniform(1.0, 5.0), int(rng.integers(5, 60))))).tolist()]
    if name.startswith("dock"):
        out += [(t, name, int(_log(rng, 80.0, 4000.0)), Outcome.ACCEPTED, BUNDLES)
                for t in _poisson(rng, habits.bundles_per_h, up, down)]
    out += [(t, name, int(rng.choice(habits.command_sizes)),
             Outcome.DENIED if rng.random() < 0.7 else Outcome.UNKNOWN_COMMAND, CONTROL)
            for t in _poisson(rng, habits.mistakes_per_h, up, down)]
    out = [frame for frame in out if up <= frame[0] < down]
    for t in _poisson(rng, habits.stalls_per_h, up, down):
        # The line's modem keeps frames for a moment, and lets them go together.
        stop = t + rng.uniform(1.0, 5.0)
        out = [(stop + 0.01 * rng.random(), *frame[1:]) if t <= frame[0] < stop else frame for frame in out]
    return out


def _over_the_air(
    rng: np.random.Generator, link: _Link, sent: list[Frame], begin: float, end: float
) -> list[Frame]:
    """Loss, broken frames and doubled ones."""
    fades: list[tuple[float, float]] = []
    if np.isfinite(link.fade_every_s):
        fades = [(t, t + rng.exponential(link.fade_s)) for t in _poisson(rng, HOUR_S / link.fade_every_s, begin, end)]
    times = np.array([frame[0] for frame in sent])
    faded = np.zeros(len(sent), dtype=bool)
    for low, high in fades:
        faded |= (times >= low) & (times < high)
    draw, second = rng.random(len(sent)), rng.random(len(sent))
    out: list[Frame] = []
    for index, frame in enumerate(sent):
        bad = draw[index] < (link.fade_broken if faded[index] else link.error)
        if bad:
            channel = int(rng.integers(0, 8)) if rng.random() < 0.2 else frame[4]
            out.append((*frame[:3], Outcome.AUTH_FAILED, channel))
        elif not faded[index] or draw[index] > 0.8:
            out.append(frame)
            if second[index] < link.doubled and frame[3] == Outcome.ACCEPTED:
                late = rng.exponential(link.doubled_s) if rng.random() < 0.99 else rng.uniform(0.5, 4.0)
                out.append((frame[0] + late, *frame[1:3], Outcome.REPLAYED, frame[4]))
    if link.name.startswith("serial"):
        out += [(t, link.name, int(rng.integers(1, 40)), Outcome.MALFORMED, None)
                for t in _poisson(rng, rng.uniform(0.0, 20.0), begin, end)]
    return out


def _moved(rng: np.random.Generator, link: _Link, frames: list[Frame], begin: float, end: float) -> list[Frame]:
    """The peer's address changes: network address translation, another port."""
    for t in _poisson(rng, 0.5, begin, end):
        name = f"{link.name}/{int(rng.integers(1 << 16))}"
        frames = [(frame[0], name, *frame[2:]) if frame[1] == link.name and t <= frame[0] < end else frame
                  for frame in frames]
    return frames


def attack_on(
    rng: np.random.Generator, kind: AttackKind, high: bool, frames: list[Frame], habits: Habits, begin_s: float
) -> tuple[list[Frame], Attack]:
    """Honest frames of an hour with an attack among them, and the attack."""
    make, named_by = _ATTACKS[kind]
    start = begin_s + rng.uniform(60.0, 1200.0)
    length = rng.uniform(10.0, 60.0) if high else rng.uniform(900.0, 2100.0)
    with_it, end = make(rng, high, frames, habits, start, start + length)
    return sorted(with_it), Attack(kind, high, start, end, frozenset(named_by))


_Made = tuple[list[Frame], float]


def _forged(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    name = habits.links[0].name
    new = [(t, name, int(rng.integers(20, 200)), Outcome.AUTH_FAILED, int(rng.integers(0, 8)))
           for t in _every(rng, high, (5.0, 30.0), (20.0, 2000.0), a, b)]
    return frames + new, b


def _replay(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    name = habits.links[0].name
    taken = [frame for frame in frames if frame[1] == name and frame[3] == Outcome.ACCEPTED]
    if not high and rng.random() < 0.5:
        share = rng.uniform(0.1, 0.5)
        echoes = [(frame[0] + rng.uniform(0.01, 1.0), *frame[1:3], Outcome.REPLAYED, frame[4]) for frame in taken
                  if a <= frame[0] < b and frame[4] in (CONTROL, SERVICE) and rng.random() < share]
        return frames + echoes, b
    recorded = [frame for frame in taken if frame[4] == CONTROL] or taken
    new = []
    for t in _every(rng, high, (10.0, 60.0), (5.0, 500.0), a, b):
        one = recorded[int(rng.integers(len(recorded)))]
        new.append((t, name, one[2], Outcome.REPLAYED, one[4]))
    return frames + new, b


def _rate(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    b = b if high else a + rng.uniform(60.0, 300.0)
    hz = _log(rng, 200.0, 1000.0) if high else rng.uniform(15.0, 40.0)
    name, size = habits.links[0].name, int(rng.choice(habits.command_sizes))
    return frames + [(t, name, size, Outcome.ACCEPTED, CONTROL) for t in _poisson(rng, hz * HOUR_S, a, b)], b


def _size(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    name = habits.links[0].name
    new = [(t, name, int(rng.integers(200, 1400)), Outcome.ACCEPTED if rng.random() < 0.5 else Outcome.AUTH_FAILED,
            CONTROL) for t in _every(rng, high, (5.0, 20.0), (5.0, 50.0), a, b)]
    return frames + new, b


def _stranger(rng: np.random.Generator, high: bool, frames: list[Frame], _habits: Habits, a: float, b: float) -> _Made:
    many = rng.random() < 0.5
    outcome = (Outcome.AUTH_FAILED, Outcome.MALFORMED)[int(rng.integers(0, 2))]
    new = [(t, f"stranger:{int(rng.integers(1 << 30)) if many else 0}", int(rng.integers(8, 300)), outcome, None)
           for t in _every(rng, high, (10.0, 60.0), (5.0, 1000.0), a, b)]
    return frames + new, b


def _timing(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    name = habits.links[0].name
    if rng.random() < 0.5:
        gap = rng.uniform(0.1, 0.5) if high else rng.uniform(5.0, 10.0)
        count = int((b - a) / gap)
        times = a + gap * (np.arange(count) + rng.normal(0.0, 0.005, count))
        size = int(rng.choice(habits.command_sizes))
        return frames + [(t, name, size, Outcome.ACCEPTED, CONTROL) for t in times.tolist()], b
    b = a + rng.uniform(1200.0, 2100.0)
    holds, t = [], a
    while t < b:
        stop = t + (rng.uniform(60.0, 240.0) if high else rng.uniform(30.0, 60.0))
        holds.append((t, stop))
        t = stop + rng.uniform(60.0, 180.0)
    out = []
    for frame in frames:
        hold = next((h for h in holds if h[0] <= frame[0] < h[1]), None) if frame[1] == name else None
        out.append(frame if hold is None else (hold[1] + 1e-3 * (frame[0] - hold[0]), *frame[1:]))
    return out, b


def _unknown(rng: np.random.Generator, high: bool, frames: list[Frame], habits: Habits, a: float, b: float) -> _Made:
    name = habits.links[0].name
    new = [(t, name, int(rng.integers(20, 110)),
            Outcome.UNKNOWN_COMMAND if rng.random() < 0.5 else Outcome.DENIED, CONTROL)
           for t in _every(rng, high, (15.0, 60.0), (2.0, 20.0), a, b)]
    return frames + new, b


def _handshakes(
    rng: np.random.Generator, high: bool, frames: list[Frame], _habits: Habits, a: float, b: float
) -> _Made:
    new = [(t, f"stranger:{int(rng.integers(0, 3))}", 168, Outcome.HANDSHAKE_FAILED, None)
           for t in _every(rng, high, (20.0, 60.0), (10.0, 1000.0), a, b)]
    return frames + new, b


_Make = Callable[[np.random.Generator, bool, list[Frame], Habits, float, float], _Made]
_ATTACKS: dict[AttackKind, tuple[_Make, tuple[AlertKind, ...]]] = {
    AttackKind.AUTH: (_forged, (AlertKind.AUTH_FAILURES, AlertKind.FLOOD)),
    AttackKind.REPLAY: (_replay, (AlertKind.REPLAY, AlertKind.FLOOD)),
    AttackKind.RATE: (_rate, (AlertKind.RATE,)),
    AttackKind.SIZE: (_size, (AlertKind.SIZE, AlertKind.AUTH_FAILURES)),
    AttackKind.NEW_ENDPOINT: (_stranger, (AlertKind.NEW_ENDPOINT, AlertKind.FLOOD)),
    AttackKind.TIMING: (_timing, (AlertKind.TIMING,)),
    AttackKind.UNKNOWN: (_unknown, (AlertKind.UNKNOWN_COMMANDS,)),
    AttackKind.HANDSHAKE: (_handshakes, (AlertKind.HANDSHAKE_FAILURES, AlertKind.FLOOD)),
}


def as_meta(frames: Iterable[Frame]) -> Iterable[FrameMeta]:
    """Frames as intrusion detection is told of them."""
    for t_s, endpoint, size, outcome, channel in frames:
        yield FrameMeta(round(t_s * NS), endpoint, size, outcome, channel)


def _every(
    rng: np.random.Generator, high: bool, gaps_s: tuple[float, float], rates_hz: tuple[float, float], a: float, b: float
) -> list[float]:
    """Times of an attack at one rate, drawn for it: a gap at the low rate, a frequency at the high one."""
    hz = _log(rng, *rates_hz) if high else 1.0 / rng.uniform(*gaps_s)
    return _poisson(rng, hz * HOUR_S, a, b)


def _poisson(rng: np.random.Generator, per_hour: float, begin: float, end: float) -> list[float]:
    count = int(rng.poisson(per_hour * (end - begin) / HOUR_S))
    times: list[float] = np.sort(rng.uniform(begin, end, count)).tolist()
    return times


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    """Drawn evenly in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
