"""Ed25519 signatures of the audit log (RFC 8032); the key never shows in text."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["AuditSigner", "is_signed"]

KEY_BYTES = 32


class AuditSigner:
    """Signs with a key made from a 32-byte seed. ValueError for another length."""

    __slots__ = ("_key", "_public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ValueError("a seed has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> bytes:
        """Public key, 32 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Signature, 64 bytes."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"AuditSigner(public {self._public.hex()[:16]})"


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is that key's over these bytes. ``False`` for a key that is none."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
