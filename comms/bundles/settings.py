"""Limits of a bundle node, and the names of everything that it drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from math import isfinite

from comms.bundles.bundle import LONGEST_BUNDLE
from comms.bundles.eid import Eid

__all__ = ["MOST_BUNDLES", "DropReason", "NodeSettings"]

MOST_BUNDLES = 1024
"""Bound of what may be set."""


@unique
class DropReason(StrEnum):
    """Why a bundle is not taken, or is given up. Each is counted by the node."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ANONYMOUS = "anonymous"
    """Its source is nobody: it could not be told from another."""
    OWN_RETURNED = "own_returned"
    """It was made here."""
    ADMINISTRATIVE = "administrative"
    """A record for this node's bundle protocol: this node asks for no reports."""
    NO_AGE = "no_age"
    """It has no age, and this node no calendar: its lifetime could not be kept."""
    UNKNOWN_BLOCK = "unknown_block"
    """A block of a kind unknown here says that the bundle is to be deleted then."""
    EXPIRED = "expired"
    HOP_LIMIT = "hop_limit"
    DUPLICATE = "duplicate"
    NO_SERVICE = "no_service"
    NO_ROUTE = "no_route"
    SOURCE_QUOTA = "source_quota"
    NEIGHBOUR_QUOTA = "neighbour_quota"
    STORE_FULL = "store_full"
    EVICTED = "evicted"
    """It made room for a more urgent one."""
    NOT_KEPT = "not_kept"
    """The medium would not take it."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Who a node is and what it takes. ValueError for limits that make no sense.

    Attributes:
        node: this node: allocator and node number; the service is 0.
        services: own services that bundles are taken for.
        routes: next nodes by destination node, best first; both are ``Eid.full_node``.
        gateways: next nodes for every other destination, best first.
        bundles: most bundles in store.
        store_bytes: most bytes in store, all blocks counted.
        source_bundles: most bundles of one source that came by one neighbour. Sources are not authenticated, neighbours
            are, so one neighbour cannot use up another's share by telling its sources.
        source_bytes: most bytes of the same.
        neighbour_share: most of the store that all bundles of one neighbour may take, as a fraction.
        longest_bytes: longest bundle.
        hop_limit: hops for own bundles, and for those that come without a limit.
        longest_life_s: longest time that anything is kept here.
        seen: most bundles remembered as seen.
        joules_an_hour: most energy for sending in any hour, J.
        state_period_s: time between two writings of ages and memories to the medium.
    """

    node: Eid
    services: frozenset[int] = frozenset()
    routes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    gateways: tuple[int, ...] = ()
    bundles: int = 64
    store_bytes: int = 524_288
    source_bundles: int = 16
    source_bytes: int = 131_072
    neighbour_share: float = 0.5
    longest_bytes: int = 32_768
    hop_limit: int = 16
    longest_life_s: float = 7 * 86_400.0
    seen: int = 1024
    joules_an_hour: float = 200.0
    state_period_s: float = 60.0

    def __post_init__(self) -> None:
        if self.node.is_null or self.node.service != 0:
            raise ValueError("node: must have a number, and service 0")
        for name, value, most in (
            ("bundles", self.bundles, MOST_BUNDLES), ("longest_bytes", self.longest_bytes, LONGEST_BUNDLE),
            ("hop_limit", self.hop_limit, 255), ("seen", self.seen, 65_536),
            ("source_bundles", self.source_bundles, self.bundles), ("store_bytes", self.store_bytes, 1 << 28),
            ("source_bytes", self.source_bytes, self.store_bytes),
        ):
            if not 1 <= value <= most:
                raise ValueError(f"{name} {value}: 1 to {most} is allowed")
        for name, number in (("longest_life_s", self.longest_life_s), ("state_period_s", self.state_period_s)):
            if not (isfinite(number) and number > 0.0):
                raise ValueError(f"{name} {number}: must be a time above 0 s")
        if not 0.0 < self.neighbour_share <= 1.0:
            raise ValueError(f"neighbour_share {self.neighbour_share}: above 0, up to 1 is allowed")
        if not (isfinite(self.joules_an_hour) and self.joules_an_hour >= 0.0):
            raise ValueError(f"joules_an_hour {self.joules_an_hour}: must be an energy")
