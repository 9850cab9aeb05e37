"""Sealing to a hybrid key: HPKE (RFC 9180) with KEM MLKEM768-X25519 (X-Wing), HKDF-SHA256 and ChaCha20-Poly1305.

Secret as long as one of both, ML-KEM-768 or X25519, holds. Where the cryptography library has no ML-KEM, everything
here raises UnsupportedAlgorithm.
"""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

__all__ = ["PUBLIC_BYTES", "SEALED_OVERHEAD", "SEED_BYTES", "XWingKey", "seal_to"]

ML_KEM_SEED, ML_KEM_PUBLIC, X25519_BYTES = 64, 1184, 32
SEED_BYTES = ML_KEM_SEED + X25519_BYTES
PUBLIC_BYTES = ML_KEM_PUBLIC + X25519_BYTES
SEALED_OVERHEAD = 1088 + 32 + 16
"""ML-KEM-768 ciphertext, X25519 key, tag: bytes that sealing adds."""


class XWingKey:
    """A private hybrid key.

    Args:
        seed: 96 bytes: 64 of ML-KEM (FIPS 203 section 7.1, d and z), 32 of X25519. ValueError for another length.
    """

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"seed of {len(seed)} bytes; {SEED_BYTES} are needed")
        kem = MLKEM768PrivateKey.from_seed_bytes(seed[:ML_KEM_SEED])
        curve = X25519PrivateKey.from_private_bytes(seed[ML_KEM_SEED:])
        self._private = MLKEM768X25519PrivateKey(kem, curve)
        self.public: bytes = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        """1,216 bytes."""

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """What was sealed to this key. Raises InvalidTag or ValueError if it is not that, or ``info`` is another."""
        return _suite().decrypt(sealed, self._private, info)

    def __repr__(self) -> str:
        return "XWingKey()"


def seal_to(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal to a public key of 1,216 bytes; ``info`` is authenticated. ValueError if it is no key."""
    if len(public) != PUBLIC_BYTES:
        raise ValueError(f"public key of {len(public)} bytes; {PUBLIC_BYTES} are needed")
    kem = MLKEM768PublicKey.from_public_bytes(public[:ML_KEM_PUBLIC])
    curve = X25519PublicKey.from_public_bytes(public[ML_KEM_PUBLIC:])
    return _suite().encrypt(plaintext, MLKEM768X25519PublicKey(kem, curve), info)


@cache
def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
