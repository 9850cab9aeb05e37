"""A new pre-shared key, agreed on inside a session at dock or bench: wherever it is cut, both ends have one in common.

The operator offers a fresh X-Wing key (ML-KEM-768 with X25519, HPKE of RFC 9180); the craft seals a secret to it. The
new key is made of that secret and the present key. Four messages; what one says is stored before it is sent:

1. offer: id, public key.  2. sealed: id, secret, MAC under the new key; the craft has it staged.
3. confirm: id, MAC; the operator has it staged.  4. commit: id, MAC; the craft uses the new key only, the old is wiped.

Recorded traffic stays closed to a quantum attacker as long as the pre-shared key is secret; more is not claimed:
who is who still rests on X25519. The bytes of messages 1 and 2 differ from run to run where randomness is that of the
cryptography library; the keys that come of them don't.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from comms.keys.faults import KeyFault, KeyringError, RenewalFault
from comms.keys.handshake import SessionSecrets
from comms.keys.keyring import KeyStore
from comms.keys.points import KEY_BYTES
from comms.keys.psk_life import usable
from comms.keys.ring import SlotState
from comms.keys.vault import RandomBytes
from comms.keys.xwing import PUBLIC_BYTES, SEALED_OVERHEAD, SEED_BYTES, XWingKey, seal_to

__all__ = ["CraftRenewal", "OperatorRenewal", "RenewalMessage", "RenewalResult", "RenewalState"]

ID_BYTES, MAC_BYTES = 8, 16
SEALED_BYTES = KEY_BYTES + SEALED_OVERHEAD
RETRY_NS = 2_000_000_000
TRIES = 8


@unique
class RenewalMessage(IntEnum):
    """First byte of a message."""

    OFFER = 1
    SEALED = 2
    CONFIRM = 3
    COMMIT = 4


@unique
class RenewalState(StrEnum):
    """Where a renewal stands."""

    IDLE = "idle"
    OFFERED = "offered"
    STAGED = "staged"
    """The new key is stored beside the old; the peer may use either."""
    DONE = "done"
    """The new key is the only one at this end."""
    FAILED = "failed"


LENGTHS = {
    RenewalMessage.OFFER: 1 + ID_BYTES + PUBLIC_BYTES,
    RenewalMessage.SEALED: 1 + ID_BYTES + SEALED_BYTES + MAC_BYTES,
    RenewalMessage.CONFIRM: 1 + ID_BYTES + MAC_BYTES,
    RenewalMessage.COMMIT: 1 + ID_BYTES + MAC_BYTES,
}


@dataclass(frozen=True, slots=True)
class RenewalResult:
    """What came of a message: an answer to be sent in the same session, a fault, neither, or ``done``: the key was
    renewed at this end."""

    answer: bytes | None = None
    fault: RenewalFault | None = None
    done: bool = False


class _Side:
    """What both sides do alike. One of these belongs to one session."""

    def __init__(self, keys: KeyStore, session: SessionSecrets, random_bytes: RandomBytes) -> None:
        self._keys = keys
        self._peer = session.peer.name
        self._session_psk = session.psk_id
        self._binding = session.binding
        self._random = random_bytes
        self._id = b""
        self._new_psk = b""
        self._new_id = b""
        self.state = RenewalState.IDLE
        self.refused: Counter[RenewalFault] = Counter()

    def _fail(self, fault: RenewalFault) -> RenewalResult:
        self.refused[fault] += 1
        return RenewalResult(fault=fault)

    def _info(self, renewal_id: bytes) -> bytes:
        return b"qiki renewal 1" + self._binding + renewal_id

    def _derive(self, secret: bytes, renewal_id: bytes, public_key: bytes) -> bytes | None:
        """The new key; ``None`` if there is no present one to go on from."""
        peer = self._keys.ring.peer(self._peer)
        active = None if peer is None else peer.slot(SlotState.ACTIVE)
        if active is None or active.secret is None:
            return None
        info = self._info(renewal_id) + hashlib.sha256(public_key).digest()
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=active.secret, info=info).derive(secret)

    def _mac(self, kind: RenewalMessage, renewal_id: bytes, psk: bytes) -> bytes:
        key = HKDFExpand(hashes.SHA256(), KEY_BYTES, b"qiki renewal confirm").derive(psk)
        return hmac.digest(key, bytes([kind]) + self._info(renewal_id), "sha256")[:MAC_BYTES]

    def _settled(self) -> bool:
        """Whether this session's key is the only one here; tries to store that if the handshake could not."""
        peer = self._keys.ring.peer(self._peer)
        if peer is None:
            return False
        staged = peer.slot(SlotState.STAGED)
        if staged is not None and staged.id == self._session_psk:
            peer = self._keys.settle(self._peer, staged.id)
            staged = None
        return staged is None and bool(usable(peer))


def _parse(message: bytes) -> tuple[RenewalMessage, bytes, bytes] | RenewalFault:
    """Kind, id and body."""
    try:
        kind = RenewalMessage(message[0])
    except (IndexError, ValueError):
        return RenewalFault.FORMAT
    if len(message) != LENGTHS[kind]:
        return RenewalFault.FORMAT
    return kind, message[1 : 1 + ID_BYTES], message[1 + ID_BYTES :]


class OperatorRenewal(_Side):
    """The operator's side: begins, and asks again for what did not come.

    Args:
        keys: the operator's.
        session: the live session that it runs in.
        random_bytes: for the offered key.
    """

    def __init__(self, keys: KeyStore, session: SessionSecrets, random_bytes: RandomBytes) -> None:
        super().__init__(keys, session, random_bytes)
        self._offered: XWingKey | None = None
        self._message = b""
        self._due_ns = 0
        self._tries = 0

    def start(self, now_ns: int) -> RenewalFault | None:
        """Begin; ``step`` gives the messages. Refused while a staged key waits for the next handshake."""
        try:
            if self.state in (RenewalState.OFFERED, RenewalState.STAGED) or not self._settled():
                return self._fail(RenewalFault.UNRESOLVED).fault
            self._offered = XWingKey(self._random(SEED_BYTES))
            self._id = self._random(ID_BYTES)
        except KeyringError as error:
            return self._fail(_of_keys(error)).fault
        except UnsupportedAlgorithm:
            return self._fail(RenewalFault.UNSUPPORTED).fault
        self._send(bytes([RenewalMessage.OFFER]) + self._id + self._offered.public, now_ns)
        self.state = RenewalState.OFFERED
        return None

    def step(self, now_ns: int) -> bytes | None:
        """The message that is to be sent now, if any; after eight tries it has failed (NO_ANSWER), and the next
        handshake decides which key is shared."""
        if self.state not in (RenewalState.OFFERED, RenewalState.STAGED) or now_ns < self._due_ns:
            return None
        if self._tries >= TRIES:
            self.state, self._offered, self._new_psk = RenewalState.FAILED, None, b""
            self._fail(RenewalFault.NO_ANSWER)
            return None
        self._tries += 1
        self._due_ns = now_ns + RETRY_NS
        return self._message

    def receive(self, message: bytes, now_ns: int) -> RenewalResult:
        """Take in a message of the craft; what is to be sent next comes from ``step``."""
        parts = _parse(message)
        if isinstance(parts, RenewalFault):
            return self._fail(parts)
        kind, renewal_id, body = parts
        awaited = {RenewalState.OFFERED: RenewalMessage.SEALED, RenewalState.STAGED: RenewalMessage.COMMIT}
        if kind is not awaited.get(self.state) or renewal_id != self._id:
            return self._fail(RenewalFault.NOT_AWAITED)
        try:
            return self._take_sealed(body, now_ns) if kind is RenewalMessage.SEALED else self._take_commit(body)
        except KeyringError as error:
            return self._fail(_of_keys(error))

    def _take_sealed(self, body: bytes, now_ns: int) -> RenewalResult:
        assert self._offered is not None
        try:
            secret = self._offered.open(body[:SEALED_BYTES], self._info(self._id))
        except (InvalidTag, ValueError):
            return self._fail(RenewalFault.OPEN)
        psk = self._derive(secret, self._id, self._offered.public)
        if psk is None:
            return self._fail(RenewalFault.KEY)
        if not hmac.compare_digest(self._mac(RenewalMessage.SEALED, self._id, psk), body[SEALED_BYTES:]):
            return self._fail(RenewalFault.CONFIRM)
        staged = self._keys.stage(self._peer, psk).slot(SlotState.STAGED)
        assert staged is not None
        self._new_psk, self._new_id, self._offered = psk, staged.id, None
        self.state = RenewalState.STAGED
        confirm = self._mac(RenewalMessage.CONFIRM, self._id, psk)
        self._send(bytes([RenewalMessage.CONFIRM]) + self._id + confirm, now_ns)
        return RenewalResult()

    def _take_commit(self, body: bytes) -> RenewalResult:
        if not hmac.compare_digest(self._mac(RenewalMessage.COMMIT, self._id, self._new_psk), body):
            return self._fail(RenewalFault.CONFIRM)
        self._keys.promote(self._peer, self._new_id)
        self.state, self._new_psk = RenewalState.DONE, b""
        return RenewalResult(done=True)

    def _send(self, message: bytes, now_ns: int) -> None:
        self._message, self._due_ns, self._tries = message, now_ns, 0


class CraftRenewal(_Side):
    """The craft's side: answers, and never asks.

    Args:
        keys: the craft's.
        session: the live session that it runs in.
        random_bytes: for the secret.
    """

    def __init__(self, keys: KeyStore, session: SessionSecrets, random_bytes: RandomBytes) -> None:
        super().__init__(keys, session, random_bytes)
        self._sealed = b""
        self._knocks = 0

    def receive(self, message: bytes, allowed: bool) -> RenewalResult:
        """Take in a message of the operator.

        Args:
            message: as it came through the session.
            allowed: the craft is at dock or bench. What was begun there may still be confirmed elsewhere.
        """
        parts = _parse(message)
        if isinstance(parts, RenewalFault):
            return self._fail(parts)
        kind, renewal_id, body = parts
        try:
            if kind is RenewalMessage.OFFER:
                return self._take_offer(renewal_id, body, allowed)
            if kind is RenewalMessage.CONFIRM:
                return self._take_confirm(renewal_id, body)
        except KeyringError as error:
            return self._fail(_of_keys(error))
        return self._fail(RenewalFault.NOT_AWAITED)

    def _take_offer(self, renewal_id: bytes, public_key: bytes, allowed: bool) -> RenewalResult:
        if not allowed:
            return self._fail(RenewalFault.NOT_ALLOWED)
        if renewal_id == self._id:
            # The answer was lost: the same again, unless the next step was done already.
            return RenewalResult(self._sealed) if self.state is RenewalState.STAGED else self._fail(
                RenewalFault.NOT_AWAITED)
        # A staged key that is not this session's is of an earlier offer in it: the operator, who offers anew, has not
        # got it, and it gives way.
        self._settled()
        secret = self._random(KEY_BYTES)
        try:
            sealed = seal_to(public_key, secret, self._info(renewal_id))
        except UnsupportedAlgorithm:
            return self._fail(RenewalFault.UNSUPPORTED)
        except ValueError:
            return self._fail(RenewalFault.KEY)
        psk = self._derive(secret, renewal_id, public_key)
        if psk is None:
            return self._fail(RenewalFault.KEY)
        staged = self._keys.stage(self._peer, psk).slot(SlotState.STAGED)
        assert staged is not None
        self._id, self._new_psk, self._new_id = renewal_id, psk, staged.id
        self._knocks = self._keys.knocks[self._peer]
        self._sealed = (
            bytes([RenewalMessage.SEALED]) + renewal_id + sealed + self._mac(RenewalMessage.SEALED, renewal_id, psk)
        )
        self.state = RenewalState.STAGED
        return RenewalResult(self._sealed)

    def _take_confirm(self, renewal_id: bytes, body: bytes) -> RenewalResult:
        if renewal_id != self._id or self.state not in (RenewalState.STAGED, RenewalState.DONE):
            return self._fail(RenewalFault.NOT_AWAITED)
        if not hmac.compare_digest(self._mac(RenewalMessage.CONFIRM, self._id, self._new_psk), body):
            return self._fail(RenewalFault.CONFIRM)
        fresh = self.state is RenewalState.STAGED
        if fresh:
            if self._keys.knocks[self._peer] != self._knocks:
                # A handshake was answered since: the operator may have settled on the old key meanwhile, and wiping it
                # on an older word would lock it out.
                self.state = RenewalState.FAILED
                return self._fail(RenewalFault.NOT_AWAITED)
            self._keys.promote(self._peer, self._new_id)
            self.state = RenewalState.DONE
        commit = self._mac(RenewalMessage.COMMIT, self._id, self._new_psk)
        return RenewalResult(bytes([RenewalMessage.COMMIT]) + self._id + commit, done=fresh)


def _of_keys(error: KeyringError) -> RenewalFault:
    return RenewalFault.STORAGE if error.fault is KeyFault.STORAGE else RenewalFault.KEY
