"""Which way a channel's packets take: by budget, risk and bandwidth, from one table, and without flutter.

Every way gets a score, the sum of what energy, loss, emission and time count for a class of service; the least wins. A
way that is down, forbidden, too narrow or beyond the energy there is has no score, and says why. A held way is left
only when it is gone, or when another has been clearly better for a while. Source: CANON section 11; weights P.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from comms.channel_plan import QosClass
from comms.emcon import TRAFFIC, EmconGate, Transmitter
from fdir.codes import Code

__all__ = [
    "BETTER_BY", "HOLD_NS", "WEIGHTS", "LinkState", "LossEstimate", "RouteChoice", "RouteScore", "RouteWeights",
    "Router", "score",
]

SECOND = 1_000_000_000
BETTER_BY = 0.2
"""Share by which another way must be better."""
HOLD_NS = 2 * SECOND
"""For that long, before it is taken."""
WORST_LOSS = 0.95
"""Above this a way counts as down."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """One way as it is now; ``None`` is unknown.

    Attributes:
        name: transport.
        transmitter: what it goes out through.
        up: it takes packets.
        bit_rate: bits a second.
        loss: share of packets that are lost.
        energy_j_byte: energy of a byte on this way.
        exposure: how far it can be heard, 0 (a wire) to 1 (all around).
        neighbour: the far end is another craft, which has to pass it on.
    """

    name: str
    transmitter: Transmitter
    up: bool
    bit_rate: float
    loss: float | None = None
    energy_j_byte: float | None = None
    exposure: float = 1.0
    neighbour: bool = False


@dataclass(frozen=True, slots=True)
class RouteWeights:
    """What counts for a class: points for a joule a packet, for certain loss, for full exposure, for a second of time,
    for a neighbour on the way."""

    energy: float
    loss: float
    exposure: float
    time: float
    neighbour: float


WEIGHTS: Mapping[QosClass, RouteWeights] = {
    # Control: that it arrives, and soon. Bulk: what it costs.
    QosClass.CONTROL: RouteWeights(energy=0.5, loss=20.0, exposure=1.0, time=10.0, neighbour=4.0),
    QosClass.TELEMETRY: RouteWeights(energy=1.0, loss=8.0, exposure=2.0, time=4.0, neighbour=2.0),
    QosClass.SCIENCE: RouteWeights(energy=2.0, loss=6.0, exposure=3.0, time=2.0, neighbour=1.0),
    QosClass.BULK: RouteWeights(energy=4.0, loss=6.0, exposure=3.0, time=1.0, neighbour=1.0),
}
"""The table. The emergency transmitter is no way for channels: it has gates of its own."""
UNKNOWN_LOSS = 0.5
"""What an unmeasured way counts as: it is tried when nothing better is known."""


@dataclass(frozen=True, slots=True)
class RouteScore:
    """One way's score, the less the better, or what stands against it."""

    name: str
    score: float | None
    codes: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteChoice:
    """The way taken (``None``: there is none), and how all of them came out, in the order in which they were given."""

    name: str | None
    scores: tuple[RouteScore, ...]
    changed: bool = False

    @property
    def codes(self) -> tuple[Code, ...]:
        """Why there is no way: all reasons, each once; empty if there is one."""
        if self.name is not None:
            return ()
        return tuple(dict.fromkeys(code for row in self.scores for code in row.codes)) or (Code.COMMS_UNAVAILABLE,)


def score(
    link: LinkState, qos: QosClass, size_bytes: int, emcon: EmconGate, now_ns: int, budget_j: float | None = None
) -> RouteScore:
    """Judge one way for packets of that class and size.

    Args:
        budget_j: energy that a packet may take; ``None``: no limit is set. With one, a way of unknown price is none.
    """
    against: list[Code] = []
    if not link.up or not link.bit_rate > 0.0 or (link.loss is not None and not link.loss <= WORST_LOSS):
        against.append(Code.COMMS_UNAVAILABLE)
    if link.transmitter is Transmitter.NBL:
        against.append(Code.NBL_RULES_ONLY)
    if emcon.may(link.transmitter, TRAFFIC[qos], now_ns) is not None:
        against.append(Code.EMCON_BLOCK)
    price = link.energy_j_byte
    known_price = price is not None and isfinite(price) and price >= 0.0
    if budget_j is not None and not (known_price and price is not None and price * size_bytes <= budget_j):
        against.append(Code.COMMS_POWER_BLOCK)
    if against:
        return RouteScore(link.name, None, tuple(against))
    weights = WEIGHTS[qos]
    energy_j = price * size_bytes if known_price and price is not None else 1.0
    points = (
        weights.energy * energy_j + weights.loss * (UNKNOWN_LOSS if link.loss is None else max(0.0, link.loss))
        + weights.exposure * link.exposure + weights.time * 8.0 * size_bytes / link.bit_rate
        + weights.neighbour * link.neighbour
    )
    return RouteScore(link.name, points)


class Router:
    """Holds one way for each class of service."""

    __slots__ = ("_better", "_held", "changes")

    def __init__(self) -> None:
        self._held: dict[QosClass, str] = {}
        self._better: dict[QosClass, tuple[str, int]] = {}
        """A way that is clearly better than the held one, and since when."""
        self.changes = 0

    def choose(
        self, qos: QosClass, size_bytes: int, links: Iterable[LinkState], emcon: EmconGate, now_ns: int,
        budget_j: float | None = None,
    ) -> RouteChoice:
        """The way for packets of that class and size now. Of equal scores the first counts."""
        rows = tuple(score(link, qos, size_bytes, emcon, now_ns, budget_j) for link in links)
        points = {row.name: row.score for row in rows if row.score is not None}
        if not points:
            changed = self._held.pop(qos, None) is not None
            self._better.pop(qos, None)
            self.changes += changed
            return RouteChoice(None, rows, changed)
        best = min(points, key=lambda name: points[name])
        held = self._held.get(qos)
        if held in points and held is not None and not self._clearly_better(qos, best, held, points, now_ns):
            return RouteChoice(held, rows)
        self._better.pop(qos, None)
        self._held[qos] = best
        self.changes += best != held
        return RouteChoice(best, rows, best != held)

    def _clearly_better(
        self, qos: QosClass, best: str, held: str, points: Mapping[str, float], now_ns: int
    ) -> bool:
        if points[best] >= points[held] * (1.0 - BETTER_BY):
            self._better.pop(qos, None)
            return False
        name, since = self._better.get(qos, (best, now_ns))
        if name != best:
            since = now_ns
        self._better[qos] = (best, since)
        return now_ns - since >= HOLD_NS


class LossEstimate:
    """Share of packets lost, as a mean that forgets: each outcome moves it by a 32nd of the way.

    Attributes:
        seen: outcomes so far; below 8 there is no estimate.
    """

    __slots__ = ("_loss", "seen")

    LEAST_SEEN = 8

    def __init__(self) -> None:
        self._loss = 0.0
        self.seen = 0

    def add(self, lost: bool) -> None:
        """One packet's outcome."""
        self.seen += 1
        # The first few count evenly, so that the beginning has no weight of its own.
        self._loss += (lost - self._loss) / min(self.seen, 32)

    @property
    def loss(self) -> float | None:
        """The estimate; ``None`` before enough was seen."""
        return self._loss if self.seen >= self.LEAST_SEEN else None
