"""Which of a peer's sessions carries what: by class of service, with the routes' table, where it is connected twice.

A peer with one session has no choice. Verdicts of commands go out over every session of their peer: they are short, and
a lost one costs a question.
"""

from __future__ import annotations

from collections.abc import Iterable

from comms.channel_plan import QosClass
from comms.channels.routes import LinkState, Router
from comms.emcon import EmconGate
from comms.link.end import LinkEnd

__all__ = ["Ways"]

NS = 1_000_000_000
CHOOSE_NS = NS // 5
SILENT_NS = 15 * NS
"""Silence of a session from which on another one of the same peer is taken: stations ask for the time every 10 s."""
PACKET_BYTES = {QosClass.CONTROL: 64, QosClass.TELEMETRY: 160, QosClass.SCIENCE: 512, QosClass.BULK: 1024}
"""What a packet of a class is like, for its price and its time."""


class Ways:
    """Owner of the choice.

    Args:
        emcon: emission control.

    Attributes:
        changes: times that a class of some peer went over to another session.
    """

    def __init__(self, emcon: EmconGate) -> None:
        self._emcon = emcon
        self._routers: dict[str, Router] = {}
        self._chosen: dict[tuple[str, QosClass], LinkEnd] = {}
        self._due_ns: int | None = None
        self._known = 0

    @property
    def changes(self) -> int:
        """Times that a class of some peer took another way, its first one included."""
        return sum(router.changes for router in self._routers.values())

    def step(self, ends: Iterable[LinkEnd], now_ns: int) -> None:
        """Choose, at most five times a second, or when sessions have come or gone."""
        live = list(ends)
        known = hash(tuple(map(id, live)))
        if self._due_ns is not None and now_ns < self._due_ns and known == self._known:
            return
        self._due_ns, self._known = now_ns + CHOOSE_NS, known
        peers: dict[str, list[LinkEnd]] = {}
        for end in live:
            peers.setdefault(end.peer.name, []).append(end)
        self._chosen.clear()
        for name in self._routers.keys() - peers.keys():
            del self._routers[name]
        for name, own in peers.items():
            if len(own) > 1:
                self._choose(name, own, now_ns)

    def carries(self, end: LinkEnd, qos: QosClass) -> bool:
        """Whether this session is the one that carries this class to its peer."""
        return self._chosen.get((end.peer.name, qos), end) is end

    def _choose(self, name: str, own: list[LinkEnd], now_ns: int) -> None:
        router = self._routers.setdefault(name, Router())
        named = {f"{end.line.transport.name} {end.source}": end for end in own}
        links = [_state(label, end, now_ns) for label, end in named.items()]
        for qos, size in PACKET_BYTES.items():
            choice = router.choose(qos, size, links, self._emcon, now_ns)
            # With every way shut, what there is to say waits where the peer was heard last.
            self._chosen[name, qos] = (
                max(own, key=lambda end: end.heard_ns) if choice.name is None else named[choice.name]
            )


def _state(label: str, end: LinkEnd, now_ns: int) -> LinkState:
    line = end.line
    return LinkState(
        label, line.transmitter, now_ns - end.heard_ns < SILENT_NS, line.transport.bit_rate,
        energy_j_byte=line.joules_per_byte, exposure=0.0 if line.wired else 1.0,
    )
