"""Keys, nonces and associated data of records, byte for byte as RFC 8613 and RFC 9052 make them.

What differs from OSCORE is only what is fed in: the identifiers, and the content of the associated data.
The same functions reproduce RFC 8613 Appendix C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from comms.channel_plan import Suite

__all__ = [
    "COUNTER_LAST", "HASH_BYTES", "SUITES", "VERSION", "Aead", "SuiteFacts", "cipher", "derive", "encryption_aad",
    "expand", "external_aad", "forget", "key_info", "nonce", "nonce_base",
]

VERSION = 1
"""Version of the record format: part of every key and of all associated data."""
COUNTER_LAST = (1 << 40) - 1
"""Greatest counter that a nonce has room for (RFC 8613 section 7.2.1)."""
HASH_BYTES = 32
_HASH = SHA256()
Buffer = bytes | bytearray


class Aead(Protocol):
    """What the ciphers of ``cryptography`` offer."""

    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes:
        """Ciphertext and tag."""

    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes:
        """Plaintext. Raises InvalidTag."""


@dataclass(frozen=True, slots=True)
class SuiteFacts:
    """Lengths in bytes, and how many false tags a key may meet (draft-ietf-core-oscore-key-limits)."""

    key_bytes: int
    nonce_bytes: int
    tag_bytes: int
    false_tags: int


SUITES: Mapping[Suite, SuiteFacts] = MappingProxyType({
    Suite.AES_CCM_16_64_128: SuiteFacts(16, 13, 8, 1 << 14),
    Suite.CHACHA20_POLY1305: SuiteFacts(32, 12, 16, 1 << 36),
})
"""RFC 9053 sections 4.2 and 4.3."""


def cipher(suite: Suite, key: bytes | bytearray) -> Aead:
    """A suite's cipher under a key. Raises ValueError for a key of another length.

    The cipher gets a copy, which lasts as long as it does: AESCCM reads the key that it was given at each call, so one
    that is wiped under it would seal with zeros.
    """
    facts = SUITES[suite]
    if len(key) != facts.key_bytes:
        raise ValueError(f"a key of {suite.name} has {facts.key_bytes} bytes")
    own = bytes(key)
    return AESCCM(own, facts.tag_bytes) if suite is Suite.AES_CCM_16_64_128 else ChaCha20Poly1305(own)


def key_info(identity: bytes, context: bytes | None, algorithm: int, kind: str, length: int) -> bytes:
    """The ``info`` of RFC 8613 section 3.2.1. ``kind``: "Key" or "IV"; ``context``: ``None`` for none."""
    return cbor2.dumps([identity, context, algorithm, kind, length])


def derive(secret: bytes | bytearray, salt: bytes, info: bytes, length: int) -> bytearray:
    """HKDF-SHA-256 (RFC 5869), extract and expand. The answer can be wiped."""
    key = bytearray(length)
    HKDF(_HASH, length, salt, info).derive_into(secret, key)
    return key


def expand(secret: bytes | bytearray, info: bytes, length: int = HASH_BYTES) -> bytearray:
    """HKDF-Expand with SHA-256 of a secret that is a uniform key already. The answer can be wiped."""
    key = bytearray(length)
    HKDFExpand(_HASH, length, info).derive_into(secret, key)
    return key


def forget(secret: bytearray) -> None:
    """Overwrite a secret with zeros."""
    secret[:] = bytes(len(secret))


def nonce_base(common_iv: bytes | bytearray, identity: bytes) -> int:
    """Everything of a nonce but the counter, as a whole number: XOR a counter to it (RFC 8613 section 5.2).

    Raises:
        ValueError: an identity that a nonce of this length has no room for.
    """
    room = len(common_iv) - 6
    if len(identity) > room:
        raise ValueError(f"an identity of {len(identity)} bytes; a nonce has room for {room}")
    whole = bytes((len(identity),)) + identity.rjust(room, b"\0") + bytes(5)
    return int.from_bytes(whole, "big") ^ int.from_bytes(common_iv, "big")


def nonce(base: int, counter: int, length: int) -> bytes:
    """The nonce of a counter."""
    return (base ^ counter).to_bytes(length, "big")


def external_aad(
    suite: Suite, direction: int, identity: bytes, channel: int, qos: int, header: bytes,
) -> bytes:
    """What a record's tag vouches for beside its content: version, suite, direction, sender id, channel id, class of
    service, and all header bytes as they are on the air."""
    return cbor2.dumps([VERSION, int(suite), int(direction), identity, channel, int(qos), header])


def encryption_aad(external: bytes) -> bytes:
    """Associated data of the AEAD: COSE's Enc_structure with an empty protected header (RFC 9052 section 5.3)."""
    return cbor2.dumps(["Encrypt0", b"", external])
