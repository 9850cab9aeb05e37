"""X25519 keys as they may be used: never zero, never of low order, and never shown.

Sources: RFC 7748 sections 5, 6.1 and 7 (an all-zero result must be refused where the peer's key is not trusted);
D. J. Bernstein, "Curve25519: new Diffie-Hellman speed records" (the list of points whose order divides 8).
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from comms.keys.faults import KeyFault, KeyringError

__all__ = ["KEY_BYTES", "LOW_ORDER", "ZERO", "KeyPair", "PublicKey", "check_public_key", "check_secret", "is_low_order"]

KEY_BYTES = 32
ZERO = bytes(KEY_BYTES)
PRIME: int = 2**255 - 19
ORDER_8: tuple[int, int] = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
"""u-coordinates of the points of order 8."""
LOW_ORDER: frozenset[bytes] = frozenset(
    (u | high_bit).to_bytes(KEY_BYTES, "little")
    # 0, 1 and -1 have order 1, 2 or 4, on the curve or its twist; the last two are 0 and 1, not reduced.
    for u in (0, 1, *ORDER_8, PRIME - 1, PRIME, PRIME + 1)
    # The highest bit is masked before use (RFC 7748 section 5), so each has a second form.
    for high_bit in (0, 1 << 255)
)
"""All 14 forms of a public key of low order."""


def is_low_order(public_key: bytes) -> bool:
    """Whether every exchange with this key gives zero."""
    return public_key in LOW_ORDER


def check_public_key(key: bytes | None, what: str) -> bytes:
    """A public key of a peer that may be pinned. Raises KeyringError for one that is unset, zero or of low order."""
    if not key:
        raise KeyringError(KeyFault.UNSET, f"{what}: no key is set")
    if len(key) != KEY_BYTES:
        raise KeyringError(KeyFault.LENGTH, f"{what}: {len(key)} bytes; {KEY_BYTES} are needed")
    if key == ZERO:
        raise KeyringError(KeyFault.ZERO, f"{what}: the key is zero")
    if is_low_order(key):
        raise KeyringError(KeyFault.LOW_ORDER, f"{what}: the key is a point of low order")
    return key


def check_secret(secret: bytes | None, what: str) -> bytes:
    """A secret that may be used. Raises KeyringError for one that is unset, of another length, or one byte repeated."""
    if not secret:
        raise KeyringError(KeyFault.UNSET, f"{what}: no secret is set")
    if len(secret) != KEY_BYTES:
        raise KeyringError(KeyFault.LENGTH, f"{what}: {len(secret)} bytes; {KEY_BYTES} are needed")
    if secret == secret[:1] * KEY_BYTES:
        raise KeyringError(KeyFault.ZERO, f"{what}: zero, or one byte repeated, is no secret")
    return secret


class PublicKey:
    """A peer's public key that several exchanges are made with. Any 32 bytes are one."""

    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = X25519PublicKey.from_public_bytes(key)


class KeyPair:
    """A private X25519 key and its public one.

    Args:
        seed: 32 bytes from a source of randomness, or the stored private key. KeyringError if it is none.
    """

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(check_secret(seed, "private key"))
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def exchange(self, public_key: bytes | PublicKey) -> bytes | None:
        """The shared secret, 32 bytes; ``None`` if it would be zero (a point of low order) or this is no key."""
        try:
            peer = public_key if isinstance(public_key, PublicKey) else PublicKey(public_key)
            secret = self._private.exchange(peer.key)
        except ValueError:
            return None
        return None if hmac.compare_digest(secret, ZERO) else secret

    def private_bytes(self) -> bytes:
        """The private key, 32 bytes, for sealed storage and nothing else."""
        return self._private.private_bytes_raw()

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"
