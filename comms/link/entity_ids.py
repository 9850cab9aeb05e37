"""Numbers of craft and peers where a protocol wants small ones: both ends know them without telling each other."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["CRAFT_ENTITY", "entity_of"]

CRAFT_ENTITY = 1
"""CFDP entity of the craft."""
FIRST_PEER = 0x8000


def entity_of(public_key: bytes) -> int:
    """CFDP entity of a peer, from its pinned key: 16 bits, the uppermost set."""
    return FIRST_PEER | int.from_bytes(sha256(b"qiki entity" + public_key).digest()[:2], "big") & 0x7FFF
