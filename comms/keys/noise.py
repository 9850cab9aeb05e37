"""Noise handshakes over X25519, ChaCha20-Poly1305 and SHA-256: as the specification says, and nothing the peer sends
raises.

Written to "The Noise Protocol Framework", revision 34 (section numbers below). The link itself uses IKpsk2; the other
patterns are there because the published vectors are. A message of the peer gives bytes or a HandshakeFault, after which
the handshake is over. Exchanges that are known ahead (both keys were there before the message) may be handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from comms.keys.faults import HandshakeFault
from comms.keys.points import KEY_BYTES, KeyPair, PublicKey

__all__ = ["HANDSHAKES", "TAG_BYTES", "CipherState", "HandshakeState", "Pattern", "SymmetricState", "pattern"]

TAG_BYTES = 16
LONGEST_MESSAGE = 65_535
"""Section 3."""
LAST_NONCE = 2**64 - 1
"""Reserved for rekeying (section 5.1)."""
SHA256 = hashes.SHA256()

HANDSHAKES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "N": ("", "s", ("e es",)),
    "K": ("s", "s", ("e es ss",)),
    "X": ("", "s", ("e es s ss",)),
    "NN": ("", "", ("e", "e ee")),
    "NK": ("", "s", ("e es", "e ee")),
    "KK": ("s", "s", ("e es ss", "e ee se")),
    "IK": ("", "s", ("e es s ss", "e ee se")),
    "XX": ("", "", ("e", "e ee s es", "s se")),
}
"""Pattern: what the responder knows of the initiator before, what the initiator knows of the responder, and the
tokens of each message (sections 7.4 and 7.5)."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A handshake pattern with its modifiers laid into the messages."""

    name: str
    initiator_known: bool
    responder_known: bool
    messages: tuple[tuple[str, ...], ...]

    @property
    def protocol(self) -> bytes:
        """Name of the whole protocol (section 8)."""
        return f"Noise_{self.name}_25519_ChaChaPoly_SHA256".encode()

    @property
    def uses_psk(self) -> bool:
        """Whether a pre-shared key belongs to it."""
        return any("psk" in tokens for tokens in self.messages)


def pattern(name: str) -> Pattern:
    """A pattern such as ``IK`` or ``IKpsk2`` (one pre-shared key; section 9.4). KeyError for one that isn't here."""
    base, _, place = name.partition("psk")
    before, after, lines = HANDSHAKES[base]
    messages = [line.split() for line in lines]
    if place == "0":
        messages[0].insert(0, "psk")
    elif place:
        messages[int(place) - 1].append("psk")
    return Pattern(name, bool(before), bool(after), tuple(tuple(tokens) for tokens in messages))


class CipherState:
    """A key and its counter (section 5.1). Without a key everything passes as it is."""

    __slots__ = ("_cipher", "_key", "nonce")

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._cipher: ChaCha20Poly1305 | None = None
        """Made when it is first used: half the keys of a handshake never seal anything."""
        self.nonce = 0

    @property
    def has_key(self) -> bool:
        """Whether a key is set."""
        return self._key is not None

    def encrypt(self, associated: bytes, plaintext: bytes) -> bytes:
        """Seal. OverflowError at the end of the counter."""
        if self._key is None:
            return plaintext
        cipher = self._cipher = self._cipher or ChaCha20Poly1305(self._key)
        return cipher.encrypt(self._next_nonce(), plaintext, associated)

    def decrypt(self, associated: bytes, ciphertext: bytes) -> bytes | None:
        """Open; ``None`` if the tag is wrong. A failed try doesn't move the counter."""
        if self._key is None:
            return ciphertext
        cipher = self._cipher = self._cipher or ChaCha20Poly1305(self._key)
        nonce = self._next_nonce()
        try:
            return cipher.decrypt(nonce, ciphertext, associated)
        except InvalidTag:
            self.nonce -= 1
            return None

    def _next_nonce(self) -> bytes:
        if self.nonce >= LAST_NONCE:
            raise OverflowError("the counter of this key is at its end")
        nonce = bytes(4) + self.nonce.to_bytes(8, "little")
        self.nonce += 1
        return nonce


class SymmetricState:
    """Chaining key, hash and cipher of a handshake (section 5.2)."""

    __slots__ = ("_chaining_key", "_cipher", "hash")

    def __init__(self, protocol: bytes) -> None:
        self.hash = protocol.ljust(32, b"\0") if len(protocol) <= 32 else sha256(protocol).digest()
        self._chaining_key = self.hash
        self._cipher = CipherState()

    @property
    def sealed(self) -> bool:
        """Whether what is mixed in from now on has a tag."""
        return self._cipher.has_key

    def mix_key(self, material: bytes) -> None:
        """Section 5.2, MixKey."""
        out = _hkdf(self._chaining_key, material, 2)
        self._chaining_key = out[:32]
        self._cipher = CipherState(out[32:])

    def mix_hash(self, data: bytes) -> None:
        """Section 5.2, MixHash."""
        self.hash = sha256(self.hash + data).digest()

    def mix_key_and_hash(self, material: bytes) -> None:
        """Section 5.2, MixKeyAndHash: for pre-shared keys."""
        out = _hkdf(self._chaining_key, material, 3)
        self._chaining_key = out[:32]
        self.mix_hash(out[32:64])
        self._cipher = CipherState(out[64:])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Section 5.2, EncryptAndHash."""
        ciphertext = self._cipher.encrypt(self.hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes | None:
        """Section 5.2, DecryptAndHash; ``None`` if the tag is wrong."""
        plaintext = self._cipher.decrypt(self.hash, ciphertext)
        if plaintext is not None:
            self.mix_hash(ciphertext)
        return plaintext

    def picture(self) -> tuple[bytes, bytes, CipherState, int]:
        """How it stands, for ``restore``."""
        return self.hash, self._chaining_key, self._cipher, self._cipher.nonce

    def restore(self, picture: tuple[bytes, bytes, CipherState, int]) -> None:
        """Go back to a picture."""
        self.hash, self._chaining_key, self._cipher, self._cipher.nonce = picture

    def split(self) -> tuple[bytes, bytes]:
        """Keys of both ways, the initiator's first (section 5.2, Split)."""
        out = _hkdf(self._chaining_key, b"", 2)
        return out[:32], out[32:]

    def __repr__(self) -> str:
        return "SymmetricState()"


class HandshakeState:
    """One side of one handshake (section 5.3).

    Args:
        which: the pattern.
        initiator: whether this side sends first.
        prologue: what both must agree on without sending it.
        static: own static key, where the pattern has one.
        remote_static: the peer's, where the pattern knows it beforehand.
        psk: the pre-shared key, 32 bytes, where the pattern has one.
        expected_static: a static key that comes in a message must be this one, else the message is refused.
        make_ephemeral: gives a fresh key pair, called at most once.
        known: results of exchanges by token (``es``, ``ss``, ``se``) that were made ahead with the very same keys.
        forgiving: a wrong message of the peer changes nothing, and the right one can still come.

    Raises:
        ValueError: a key that the pattern needs is missing, or one is given that it has no place for.
    """

    __slots__ = (
        "_ephemeral", "_expected", "_failed", "_forgiving", "_index", "_initiator", "_known", "_make_ephemeral",
        "_messages", "_psk", "_static", "_symmetric", "_with_psk", "remote_ephemeral", "remote_static",
    )

    def __init__(
        self, which: Pattern, initiator: bool, prologue: bytes, make_ephemeral: Callable[[], KeyPair], *,
        static: KeyPair | None = None, remote_static: bytes | None = None, psk: bytes | None = None,
        expected_static: bytes | None = None, known: Mapping[str, bytes] | None = None, forgiving: bool = False,
    ) -> None:
        if which.uses_psk != (psk is not None) or (psk is not None and len(psk) != KEY_BYTES):
            raise ValueError(f"{which.name}: a pre-shared key of 32 bytes, exactly where the pattern has one")
        knows_peer = which.responder_known if initiator else which.initiator_known
        if knows_peer != (remote_static is not None):
            raise ValueError(f"{which.name}: the peer's static key, exactly where the pattern knows it beforehand")
        self._messages = which.messages
        self._with_psk = which.uses_psk
        self._initiator = initiator
        self._make_ephemeral = make_ephemeral
        self._static = static
        self._psk = psk
        self._expected = expected_static
        self._known: Mapping[str, bytes] = {} if known is None else known
        self._ephemeral: KeyPair | None = None
        self._index = 0
        self._failed = False
        self._forgiving = forgiving
        self.remote_static = remote_static
        self.remote_ephemeral: PublicKey | None = None
        self._symmetric = symmetric = SymmetricState(which.protocol)
        symmetric.mix_hash(prologue)
        own = None if static is None else static.public
        for is_known, key in (
            (which.initiator_known, own if initiator else remote_static),
            (which.responder_known, remote_static if initiator else own),
        ):
            if is_known:
                if key is None:
                    raise ValueError(f"{which.name}: the own static key is missing")
                symmetric.mix_hash(key)

    @property
    def finished(self) -> bool:
        """Whether all messages have passed."""
        return self._index == len(self._messages) and not self._failed

    @property
    def handshake_hash(self) -> bytes:
        """Binds a session to this very handshake (section 11.2); 32 bytes."""
        return self._symmetric.hash

    def write_message(self, payload: bytes = b"") -> bytes | HandshakeFault:
        """The next message. A fault only where a key that the peer gave is of low order.

        Raises RuntimeError if it isn't this side's turn.
        """
        tokens = self._turn(writing=True)
        symmetric = self._symmetric
        parts = []
        for token in tokens:
            if token == "e":
                self._ephemeral = ephemeral = self._make_ephemeral()
                parts.append(ephemeral.public)
                self._mix_ephemeral(ephemeral.public)
            elif token == "s":
                assert self._static is not None
                parts.append(symmetric.encrypt_and_hash(self._static.public))
            elif (fault := self._mix(token)) is not None:
                self._failed = True
                return fault
        parts.append(symmetric.encrypt_and_hash(payload))
        self._index += 1
        return b"".join(parts)

    def read_message(self, message: bytes) -> bytes | HandshakeFault:
        """Payload of the peer's next message, or why there is none; nothing more is taken then, if not forgiving."""
        if self._failed or self._index == len(self._messages):
            return HandshakeFault.ENDED
        tokens, picture = self._turn(writing=False), self._symmetric.picture()
        outcome = self._read(tokens, message) if len(message) <= LONGEST_MESSAGE else HandshakeFault.LENGTH
        if not isinstance(outcome, HandshakeFault):
            self._index += 1
        elif self._forgiving:
            self._symmetric.restore(picture)
        else:
            self._failed = True
        return outcome

    def _read(self, tokens: tuple[str, ...], message: bytes) -> bytes | HandshakeFault:
        symmetric = self._symmetric
        at = 0
        for token in tokens:
            fault = None
            if token == "e":
                key, at = message[at : at + KEY_BYTES], at + KEY_BYTES
                if len(key) < KEY_BYTES:
                    return HandshakeFault.LENGTH
                self.remote_ephemeral = PublicKey(key)
                self._mix_ephemeral(key)
            elif token == "s":
                end = at + KEY_BYTES + (TAG_BYTES if symmetric.sealed else 0)
                fault = self._take_static(message[at:end], end - at)
                at = end
            else:
                fault = self._mix(token)
            if fault is not None:
                return fault
        if symmetric.sealed and len(message) - at < TAG_BYTES:
            return HandshakeFault.LENGTH
        payload = symmetric.decrypt_and_hash(message[at:])
        return HandshakeFault.OPEN if payload is None else payload

    def _take_static(self, sealed: bytes, length: int) -> HandshakeFault | None:
        if len(sealed) < length:
            return HandshakeFault.LENGTH
        key = self._symmetric.decrypt_and_hash(sealed)
        if key is None:
            return HandshakeFault.OPEN
        if self._expected is not None and key != self._expected:
            return HandshakeFault.WRONG_KEY
        self.remote_static = key
        return None

    def split(self) -> tuple[bytes, bytes]:
        """Keys of both ways, the initiator's first, 32 bytes each. RuntimeError before the end."""
        if not self.finished:
            raise RuntimeError("the handshake has not come to its end")
        return self._symmetric.split()

    def _turn(self, writing: bool) -> tuple[str, ...]:
        own_turn = (self._index % 2 == 0) == self._initiator
        if self._failed or self._index == len(self._messages) or own_turn != writing:
            raise RuntimeError("it is not this side's turn in the handshake")
        return self._messages[self._index]

    def _mix_ephemeral(self, key: bytes) -> None:
        self._symmetric.mix_hash(key)
        if self._with_psk:
            # Section 9.2: with a pre-shared key the ephemeral keys go into the chain too.
            self._symmetric.mix_key(key)

    def _mix(self, token: str) -> HandshakeFault | None:
        """Take in a pre-shared key or the result of an exchange."""
        if token == "psk":
            assert self._psk is not None
            self._symmetric.mix_key_and_hash(self._psk)
            return None
        secret = self._known.get(token)
        if secret is None:
            of_initiator, of_responder = token[0], token[1]
            mine, theirs = (of_initiator, of_responder) if self._initiator else (of_responder, of_initiator)
            own = self._ephemeral if mine == "e" else self._static
            peer: PublicKey | bytes | None = self.remote_ephemeral if theirs == "e" else self.remote_static
            assert own is not None
            assert peer is not None
            secret = own.exchange(peer)
            if secret is None:
                return HandshakeFault.LOW_ORDER
        self._symmetric.mix_key(secret)
        return None

    def __repr__(self) -> str:
        return f"HandshakeState(message={self._index})"


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> bytes:
    """Section 4.3; the same as RFC 5869 with the chaining key as salt and no info."""
    return HKDF(SHA256, 32 * outputs, salt=chaining_key, info=b"").derive(material)
