"""The store: every bundle within its quotas, the most urgent first, and room made only for something more urgent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comms.bundles.bundle import LEAST_URGENT, Bundle
from comms.bundles.settings import DropReason, NodeSettings

__all__ = ["BundleStore", "Entry"]

MS = 1_000_000


@dataclass(slots=True)
class Entry:
    """A bundle in store.

    Attributes:
        order: number of its arrival, unique in this node's life.
        slot: its place on the medium.
        came_from: neighbour that it came by (``Eid.full_node``), ``None`` for own ones.
        size: bytes of the whole bundle as it came.
        age_ms: its age when it came in, ms.
        since_ns: flight time when it came in.
        local: it is for a service of this node.
        busy_ns: since when it is being sent, ``None`` if it is not.
    """

    order: int
    slot: int
    bundle: Bundle
    came_from: int | None
    size: int
    age_ms: int
    since_ns: int
    local: bool
    busy_ns: int | None = None

    @property
    def urgency(self) -> int:
        """0 is most urgent. A bundle that doesn't say has no claim."""
        return LEAST_URGENT if self.bundle.urgency is None else self.bundle.urgency

    def age_at_ms(self, now_ns: int) -> int:
        """Its age now, ms."""
        return self.age_ms + max(0, now_ns - self.since_ns) // MS


class BundleStore:
    """Bundles by order of arrival, with their quotas. Quotas are of one neighbour and source together.

    Attributes:
        used_bytes: bytes in store.
        peak_bytes: most bytes since start.
        peak_bundles: most bundles since start.
    """

    __slots__ = ("_entries", "_settings", "_slots", "peak_bundles", "peak_bytes", "used_bytes")

    def __init__(self, settings: NodeSettings) -> None:
        self.used_bytes = 0
        self.peak_bytes = 0
        self.peak_bundles = 0
        self._settings = settings
        self._entries: dict[int, Entry] = {}
        self._slots = set(range(settings.bundles))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Most urgent first, then by order of arrival. Safe against changes on the way."""
        return iter(sorted(self._entries.values(), key=lambda entry: (entry.urgency, entry.order)))

    def find(self, order: int) -> Entry | None:
        """An entry by its order."""
        return self._entries.get(order)

    def free_slot(self) -> int:
        """Lowest free place. LookupError if there is none."""
        if not self._slots:
            raise LookupError("the store has no place")
        return min(self._slots)

    def refusal(self, source: int, came_from: int | None, size: int) -> DropReason | None:
        """Whether a quota stands against a new bundle, whatever room there is."""
        settings = self._settings
        by_neighbour = [entry for entry in self._entries.values() if entry.came_from == came_from]
        same = [entry for entry in by_neighbour if entry.bundle.primary.source.full_node == source]
        if len(same) >= settings.source_bundles or size + _bytes(same) > settings.source_bytes:
            return DropReason.SOURCE_QUOTA
        if came_from is None:
            return None
        share = settings.neighbour_share
        if (len(by_neighbour) + 1 > share * settings.bundles
                or size + _bytes(by_neighbour) > share * settings.store_bytes):
            return DropReason.NEIGHBOUR_QUOTA
        return None

    def in_the_way(self, urgency: int, size: int) -> list[Entry] | None:
        """Entries that must go for a new one: less urgent ones only, the least urgent and oldest first; ``None`` if
        even that does not help. What is being sent stays."""
        settings = self._settings
        free = settings.store_bytes - self.used_bytes
        count = settings.bundles - len(self._entries)
        going: list[Entry] = []
        for entry in sorted(self._entries.values(), key=lambda entry: (-entry.urgency, entry.order)):
            if free >= size and count >= 1:
                break
            if entry.urgency <= urgency:
                return None
            if entry.busy_ns is None:
                going.append(entry)
                free += entry.size
                count += 1
        return going if free >= size and count >= 1 else None

    def add(self, entry: Entry) -> None:
        """Take an entry in; the caller has asked for room."""
        self._slots.remove(entry.slot)
        self._entries[entry.order] = entry
        self.used_bytes += entry.size
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        self.peak_bundles = max(self.peak_bundles, len(self._entries))

    def remove(self, entry: Entry) -> None:
        """Take an entry out."""
        del self._entries[entry.order]
        self._slots.add(entry.slot)
        self.used_bytes -= entry.size


def _bytes(entries: list[Entry]) -> int:
    return sum(entry.size for entry in entries)
