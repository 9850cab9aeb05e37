"""An endpoint's side of a bundle: what it sends is sealed to the primary block, and only what opens is taken.

The seal is a pair of callables: neither this module nor the node knows a key. The primary block's bytes are the
associated data: whoever changes destination, source, number or lifetime on the way makes a bundle that doesn't open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comms.bundles.eid import Eid
from comms.bundles.node import BundleNode
from comms.bundles.passing import Delivery
from comms.bundles.settings import DropReason

__all__ = ["BundleEndpoint", "OpenCall", "Opened", "SealCall"]

SealCall = Callable[[bytes, bytes], bytes]
"""Plain bytes and associated data to sealed bytes."""
OpenCall = Callable[[bytes, bytes], bytes | None]
"""Sealed bytes and associated data to plain ones; ``None`` for what is not authentic, or was opened before."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Content of an authentic bundle."""

    source: Eid
    service: int
    content: bytes
    age_ms: int


class BundleEndpoint:
    """One service of a node with its seal.

    Args:
        node: the node that this endpoint lives on.
        service: its number, from 1 on.
        seal: see SealCall.
        open_sealed: see OpenCall.

    Attributes:
        refused: deliveries that did not open.
    """

    __slots__ = ("_node", "_open", "_seal", "refused", "service")

    def __init__(self, node: BundleNode, service: int, seal: SealCall, open_sealed: OpenCall) -> None:
        self.service = service
        self.refused = 0
        self._node = node
        self._seal = seal
        self._open = open_sealed

    def send(
        self, destination: Eid, content: bytes, lifetime_s: float, urgency: int, now_ns: int
    ) -> DropReason | None:
        """Seal and store; the reason if the node does not take it. ValueError as ``BundleNode.make`` and ``send``."""
        primary = self._node.make(destination, self.service, lifetime_s)
        return self._node.send(primary, self._seal(content, primary.encode()), urgency, now_ns)

    def open(self, delivery: Delivery) -> Opened | None:
        """Content of a delivery, or ``None`` (counted)."""
        content = self._open(delivery.payload, delivery.primary) if delivery.service == self.service else None
        if content is None:
            self.refused += 1
            return None
        return Opened(delivery.source, delivery.service, content, delivery.age_ms)
