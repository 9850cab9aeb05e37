"""What a node does to a bundle that passes it: its primary block and payload are never touched."""

from __future__ import annotations

from hashlib import blake2b

from comms.bundles.block import BlockFlag, BlockKind, age_block, hop_block, previous_block
from comms.bundles.bundle import Bundle
from comms.bundles.eid import Eid
from comms.bundles.keeper import DIGEST

__all__ = ["KNOWN", "digest", "outward", "without_unknown"]

KNOWN = frozenset(BlockKind)
"""Kinds of blocks that a node can process."""
OWN = (BlockKind.PREVIOUS_NODE, BlockKind.BUNDLE_AGE, BlockKind.HOP_COUNT)
"""Kinds that every node writes anew."""


def digest(bundle: Bundle) -> bytes:
    """What makes two bundles one: primary block and payload. With the payload in it nobody can have a bundle taken for
    a duplicate by sending another of the same source and number first."""
    return blake2b(bundle.primary.encode() + bundle.payload, digest_size=DIGEST).digest()


def without_unknown(bundle: Bundle) -> tuple[Bundle, int]:
    """The bundle without blocks that are to be discarded where they are unknown (RFC 9171 section 5.6)."""
    kept = tuple(block for block in bundle.blocks
                 if block.kind in KNOWN or not block.flags & BlockFlag.DISCARD_BLOCK)
    discarded = len(bundle.blocks) - len(kept)
    return (bundle.with_blocks(kept) if discarded else bundle), discarded


def outward(bundle: Bundle, node: Eid, hop_limit: int, age_ms: int) -> Bundle:
    """The bundle as it leaves this node: ``node`` as the previous one, its age, one more hop (RFC 9171 section 5.4).
    ``hop_limit`` is for a bundle that has none."""
    limit = hop_limit if bundle.hop_limit is None else bundle.hop_limit
    hops = (0 if bundle.hop_count is None else bundle.hop_count) + 1
    rest = [block for block in bundle.blocks if block.kind not in OWN]
    taken = {block.number for block in rest}
    free = (number for number in range(2, len(rest) + 5) if number not in taken)
    fresh = (previous_block(next(free), node), age_block(next(free), age_ms), hop_block(next(free), limit, hops))
    return bundle.with_blocks((*fresh, *rest))
