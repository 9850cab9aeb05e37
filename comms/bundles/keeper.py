"""Keeps a node's bundles on a medium: after a power cut each one is there whole or not at all.

One file a place, written under another name, synchronised and renamed. A bundle that has gone is overwritten by an
empty place later; a cut before that brings it back once, and the next node knows it as a duplicate. A file of its own
holds ages, memories of bundles seen and energy spent; it is written seldom, so a cut costs at most that time of each.
"""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass
from typing import Any

import cbor2

from comms.bundles.cbor_items import NotCborError, item_of
from hal.nonvolatile import Files, replace_file

__all__ = ["DIGEST", "BundleKeeper", "KeptBundle", "KeptState"]

MAGIC = b"QBN1"
STATE = "bundles.bin"
FRONT = len(MAGIC) + 4
LARGEST_STATE = 4 << 20
DIGEST = 16
"""Bytes that a bundle is remembered by."""
OVERHEAD = 64
"""Bytes of a place beside its bundle."""


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """One place: see ``store.Entry``."""

    slot: int
    order: int
    came_from: int | None
    age_ms: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeptState:
    """What is written seldom. ``ages_ms`` by order, ``seen`` oldest first, ``spent`` pairs of minutes ago and J."""

    ages_ms: dict[int, int]
    seen: list[bytes]
    spent: list[tuple[float, float]]


class BundleKeeper:
    """Reads and writes the files of a node.

    Attributes:
        failures: times that the medium refused.
        broken: places found broken at start.
    """

    __slots__ = ("_dead", "_files", "_longest", "broken", "failures")

    def __init__(self, files: Files, longest_bytes: int) -> None:
        self.failures = 0
        self.broken = 0
        self._files = files
        self._longest = longest_bytes
        self._dead: set[int] = set()

    def load(self, slots: int) -> tuple[list[KeptBundle], KeptState | None]:
        """All whole places, and the state if it is whole."""
        kept = []
        for slot in range(slots):
            item = self._read(_name(slot), self._longest + OVERHEAD)
            if item is None or item == [0]:
                continue
            bundle = _bundle_of(slot, item)
            if bundle is None:
                self.broken += 1
            else:
                kept.append(bundle)
        return kept, _state_of(self._read(STATE, LARGEST_STATE))

    def keep(self, kept: KeptBundle) -> bool:
        """Write one place; ``False`` if the medium refuses."""
        done = self._write(_name(kept.slot), [1, kept.order, kept.came_from, kept.age_ms, kept.data])
        if done:
            self._dead.discard(kept.slot)
        return done

    def forget(self, slot: int) -> None:
        """A place's bundle has gone; ``tidy`` empties it."""
        self._dead.add(slot)

    def tidy(self, most: int) -> None:
        """Empty up to ``most`` places whose bundles have gone."""
        for slot in sorted(self._dead)[:most]:
            if not self._write(_name(slot), [0]):
                return
            self._dead.discard(slot)

    def keep_state(self, state: KeptState) -> bool:
        """Write the state."""
        ages = [[order, age] for order, age in sorted(state.ages_ms.items())]
        return self._write(STATE, [1, ages, state.seen, [list(pair) for pair in state.spent]])

    def _write(self, name: str, item: Any) -> bool:
        body = cbor2.dumps(item)
        data = MAGIC + crc32(body).to_bytes(4, "big") + body
        try:
            replace_file(self._files, name, data)
        except OSError:
            self.failures += 1
            return False
        return True

    def _read(self, name: str, most: int) -> Any:
        try:
            data = self._files.read(name, most)
        except OSError:
            self.failures += 1
            return None
        if data is None:
            return None
        body = data[FRONT:]
        if data[:4] != MAGIC or data[4:FRONT] != crc32(body).to_bytes(4, "big"):
            self.broken += 1
            return None
        try:
            return item_of(body)
        except NotCborError:
            self.broken += 1
            return None


def _name(slot: int) -> str:
    return f"bundle{slot:04d}.bin"


def _bundle_of(slot: int, item: Any) -> KeptBundle | None:
    if type(item) is not list or len(item) != 5 or item[0] != 1:
        return None
    _, order, came_from, age_ms, data = item
    if not (_is_count(order) and _is_count(age_ms) and type(data) is bytes):
        return None
    if came_from is not None and not _is_count(came_from):
        return None
    return KeptBundle(slot, order, came_from, age_ms, data)


def _state_of(item: Any) -> KeptState | None:
    if type(item) is not list or len(item) != 4 or item[0] != 1:
        return None
    _, ages, seen, spent = item
    if not all(type(part) is list for part in (ages, seen, spent)):
        return None
    pairs_good = all(type(pair) is list and len(pair) == 2 for pair in (*ages, *spent))
    if not pairs_good or not all(type(one) is bytes and len(one) == DIGEST for one in seen):
        return None
    if not all(_is_count(number) for pair in ages for number in pair):
        return None
    if not all(type(number) in (int, float) and number >= 0 for pair in spent for number in pair):
        return None
    return KeptState(
        dict(ages), seen, [(float(ago), float(joules)) for ago, joules in spent],
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
