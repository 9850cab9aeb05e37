"""Twin of a line between two ends: datagrams are late, lost, broken, doubled or out of order, the same in every run.

A pure pipe: ``put(side, bytes, now_ns)`` at one end, ``get(side, now_ns)`` at the other, sides 0 and 1. Time is the
simulated one, chance comes from one seeded generator. Loss comes in bursts (E. N. Gilbert, "Capacity of a burst-noise
channel", 1960; E. O. Elliott, "Estimates of error rates for codes on burst-noise channels", 1963): a good and a bad
state each way, changed before every datagram.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import isfinite

import numpy as np

__all__ = ["GilbertElliott", "LineCounts", "LineRules", "LinkLine"]

NS = 1_000_000_000
TALKS_KEPT = 256


@dataclass(frozen=True, slots=True)
class GilbertElliott:
    """Burst loss: chances to turn bad and good before a datagram, and to lose it in either state."""

    to_bad: float
    to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    def __post_init__(self) -> None:
        for chance in (self.to_bad, self.to_good, self.loss_good, self.loss_bad):
            if not 0.0 <= chance <= 1.0:
                raise ValueError(f"{self}: chances are 0..1")

    @classmethod
    def from_mean(cls, loss: float, burst: float) -> GilbertElliott:
        """Everything is lost in the bad state and nothing in the good one.

        Args:
            loss: mean share that is lost, 0 to below 1.
            burst: mean length of a loss, datagrams, at least 1. Chance alone gives 1 / (1 - loss).

        Raises:
            ValueError: a mean that bursts so short cannot reach.
        """
        if not (0.0 <= loss < 1.0 and burst >= 1.0 and isfinite(burst)):
            raise ValueError(f"loss {loss}, burst {burst}: 0..below 1, and at least 1 datagram")
        to_good = 1.0 / burst
        to_bad = to_good * loss / (1.0 - loss)
        if to_bad > 1.0:
            raise ValueError(f"loss {loss} needs bursts of at least {loss / (1.0 - loss):.2f} datagrams, not {burst}")
        return cls(to_bad, to_good)

    @property
    def mean_loss(self) -> float:
        """Share that is lost in the long run."""
        total = self.to_bad + self.to_good
        bad = self.to_bad / total if total else 0.0
        return bad * self.loss_bad + (1.0 - bad) * self.loss_good


@dataclass(frozen=True, slots=True)
class LineRules:
    """How a line treats what goes over it. Times in ns, chances 0..1.

    Attributes:
        delay_ns: one way.
        jitter_ns: up to that much more, evenly spread. It does not change the order by itself.
        bit_rate: bits a second each way; ``None`` for no limit.
        queue_bytes: most that waits to leave; a datagram beyond it is refused.
        loss: burst loss; ``None`` for none.
        bit_error: chance of each bit to arrive turned.
        duplicate: chance of a datagram to come twice.
        reorder: chance of a datagram to be held back by up to ``reorder_ns``, so that later ones pass it.
        reorder_ns: see ``reorder``.
        half_duplex: what arrives at an end while that is sending is lost.
        blackouts: times from, to (ns, the end not included) in which nothing gets through.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    bit_rate: float | None = None
    queue_bytes: int = 65536
    loss: GilbertElliott | None = None
    bit_error: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ns: int = 0
    half_duplex: bool = False
    blackouts: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("bit_error", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: 0..1 is allowed")
        if min(self.delay_ns, self.jitter_ns, self.reorder_ns) < 0 or self.queue_bytes < 1:
            raise ValueError("times are 0 or more, the queue holds at least a byte")
        if self.bit_rate is not None and not 0.0 < self.bit_rate < float("inf"):
            raise ValueError(f"bit_rate {self.bit_rate}: must be above 0")


@dataclass(slots=True)
class LineCounts:
    """What became of the datagrams of one way."""

    put: int = 0
    put_bytes: int = 0
    refused: int = 0
    lost: int = 0
    blacked_out: int = 0
    collided: int = 0
    broken: int = 0
    doubled: int = 0
    held_back: int = 0
    arrived: int = 0


@dataclass(slots=True)
class _Way:
    """One direction."""

    counts: LineCounts = field(default_factory=LineCounts)
    bad: bool = False
    free_ns: int = 0
    last_ns: int = 0
    """Latest arrival of what was not held back."""
    under_way: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    """Heap of arrival, number, datagram, begin of its arrival."""
    number: int = 0
    talks: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=TALKS_KEPT))
    """Times in which this way's sender was sending, ns; only for half duplex."""


class LinkLine:
    """One line. Both ways have the same rules, and states of their own.

    Args:
        rules: how datagrams fare; may be replaced at any time through ``rules``.
        rng: source of all chance; not used by rules without any.
        most: datagrams under way each way; more are refused.
        tamper: called with side and datagram as put; what it returns goes on instead, ``None`` takes it away. For
            attacks.
    """

    def __init__(
        self, rules: LineRules, rng: np.random.Generator, *, most: int = 65536,
        tamper: Callable[[int, bytes], bytes | None] | None = None,
    ) -> None:
        self.rules = rules
        self.tamper = tamper
        self._rng = rng
        self._most = most
        self._ways = (_Way(), _Way())

    def counts(self, side: int) -> LineCounts:
        """What became of the datagrams that ``side`` put in."""
        return self._ways[side].counts

    def under_way(self, side: int) -> int:
        """Datagrams from ``side`` that have not been taken yet."""
        return len(self._ways[side].under_way)

    def next_ns(self, side: int) -> int | None:
        """When the next datagram arrives at ``side``; ``None`` if nothing is under way."""
        heap = self._ways[1 - side].under_way
        return heap[0][0] if heap else None

    def put(self, side: int, payload: bytes, now_ns: int) -> bool:
        """Take a datagram in from ``side`` (0 or 1); ``False`` if there is no room. Loss is silent, as on air."""
        way, rules = self._ways[side], self.rules
        counts = way.counts
        start = max(now_ns, way.free_ns)
        if len(way.under_way) >= self._most or self._waiting_bytes(start - now_ns) + len(payload) > rules.queue_bytes:
            counts.refused += 1
            return False
        counts.put += 1
        counts.put_bytes += len(payload)
        if self.tamper is not None:
            changed = self.tamper(side, payload)
            if changed is None:
                return True
            payload = changed
        sent_ns = start
        if rules.bit_rate is not None:
            sent_ns += int(len(payload) * 8 * NS / rules.bit_rate)
        way.free_ns = sent_ns
        if rules.half_duplex:
            self._talk(way, start, sent_ns)
        if self._lost(way):
            counts.lost += 1
            return True
        self._dispatch(way, payload, start, sent_ns)
        if rules.duplicate and self._rng.random() < rules.duplicate:
            counts.doubled += 1
            self._dispatch(way, payload, start, sent_ns)
        return True

    def get(self, side: int, now_ns: int, most: int = 1 << 30) -> list[bytes]:
        """Up to ``most`` datagrams that have arrived at ``side`` by ``now_ns``, in the order of their arrival."""
        way = self._ways[1 - side]
        heap, counts = way.under_way, way.counts
        talks = self._ways[side].talks
        taken: list[bytes] = []
        while heap and heap[0][0] <= now_ns and len(taken) < most:
            arrival, _, payload, begin = heappop(heap)
            if talks and any(start < arrival and begin < end for start, end in talks):
                counts.collided += 1
                continue
            counts.arrived += 1
            taken.append(payload)
        return taken

    # -- inside

    def _waiting_bytes(self, wait_ns: int) -> int:
        rate = self.rules.bit_rate
        return 0 if rate is None else int(wait_ns * rate / (8 * NS))

    def _lost(self, way: _Way) -> bool:
        loss = self.rules.loss
        if loss is None:
            return False
        way.bad = self._rng.random() >= loss.to_good if way.bad else self._rng.random() < loss.to_bad
        chance = loss.loss_bad if way.bad else loss.loss_good
        return chance >= 1.0 or (chance > 0.0 and self._rng.random() < chance)

    def _talk(self, way: _Way, start: int, end: int) -> None:
        talks = way.talks
        if talks and talks[-1][1] == start:
            talks[-1] = (talks[-1][0], end)
        else:
            talks.append((start, end))

    def _dispatch(self, way: _Way, payload: bytes, start_ns: int, sent_ns: int) -> None:
        rules, rng, counts = self.rules, self._rng, way.counts
        arrival = sent_ns + rules.delay_ns
        if rules.jitter_ns:
            arrival += int(rng.integers(rules.jitter_ns + 1))
        if rules.reorder and rng.random() < rules.reorder:
            arrival += int(rng.integers(rules.reorder_ns + 1))
            counts.held_back += 1
        else:
            arrival = way.last_ns = max(arrival, way.last_ns)
        if any(start <= sent_ns < end or start <= arrival < end for start, end in rules.blackouts):
            counts.blacked_out += 1
            return
        if rules.bit_error:
            payload = self._broken(payload, counts)
        way.number += 1
        heappush(way.under_way, (arrival, way.number, payload, arrival - (sent_ns - start_ns)))

    def _broken(self, payload: bytes, counts: LineCounts) -> bytes:
        bits = len(payload) * 8
        turned = int(self._rng.binomial(bits, self.rules.bit_error))
        if not turned:
            return payload
        counts.broken += 1
        changed = bytearray(payload)
        for bit in self._rng.choice(bits, turned, replace=False):
            changed[int(bit) >> 3] ^= 1 << (int(bit) & 7)
        return bytes(changed)
