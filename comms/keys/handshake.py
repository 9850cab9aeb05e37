"""The handshake on the air: what both sides agree on beforehand, the form of its two messages, and what comes of it.

Message 1: ``00 01``, counter (8 bytes, big endian), Noise message 1, filter MAC (16 bytes). The MAC and the counter are
checked before any exchange, so that floods and replays cost none and get no answer. Message 2: ``00 02``, Noise message
2, filter MAC over that of message 1 and itself, so that nobody else uses up the initiator's exchanges either. The
pattern is Noise_IKpsk2_25519_ChaChaPoly_SHA256; ground is the initiator, the craft the responder.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import NamedTuple

from comms.channel_plan import Suite
from comms.dictionary import Authority
from comms.keys.faults import HandshakeFault
from comms.keys.noise import pattern

__all__ = ["IKPSK2", "MESSAGE_1_BYTES", "MESSAGE_2_BYTES", "MOST_PAYLOAD", "MessageType", "PeerIdentity", "Received",
           "SessionSecrets", "filter_mac", "is_handshake", "pack_1", "pack_2", "prologue", "take_1", "take_2"]

IKPSK2 = pattern("IKpsk2")
VERSION = 1
MOST_PAYLOAD = 64
"""Bytes of payload of one handshake message."""
MAC_BYTES = 16
COUNTER_BYTES = 8
MESSAGE_1_BYTES = 2 + COUNTER_BYTES + 96 + MAC_BYTES
"""Message 1 without payload, bytes: 122."""
MESSAGE_2_BYTES = 2 + 48 + MAC_BYTES
"""Message 2 without payload, bytes: 66."""
AGREED = b"qiki link" + bytes([VERSION, len(Suite), *sorted(Suite), len(Authority)]) + b"\0".join(
    role.value.encode() for role in Authority
)


@unique
class MessageType(IntEnum):
    """Second byte of a handshake message; the first is zero, as no record's is."""

    FIRST = 1
    SECOND = 2


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who is at the other end of a session, by its pinned key. ``role`` is what the operator of the two may do."""

    name: str
    role: Authority
    public_key: bytes


@dataclass(frozen=True, slots=True)
class SessionSecrets:
    """What a handshake gives to the record layer. Never stored, never shown.

    Attributes:
        up_chain: first epoch's chain key of records to the craft, 32 bytes.
        down_chain: that of records from the craft, 32 bytes.
        binding: handshake hash, 32 bytes: the master salt.
        peer: who is at the other end.
        psk_id: the pre-shared key that it was made with.
        payload: what the peer sent in its message; authenticated.
    """

    up_chain: bytes = field(repr=False)
    down_chain: bytes = field(repr=False)
    binding: bytes = field(repr=False)
    peer: PeerIdentity
    psk_id: bytes = b""
    payload: bytes = b""

    @property
    def id(self) -> bytes:
        """Names this session at both ends, 8 bytes."""
        return self.binding[:8]


class Received(NamedTuple):
    """Message 1 in its parts; ``covered`` is what the MAC is over."""

    counter: int
    noise: bytes
    covered: bytes
    mac: bytes


def is_handshake(datagram: bytes) -> bool:
    """Whether this is no record but a handshake message."""
    return datagram[:1] == b"\0"


def prologue(counter: int) -> bytes:
    """What both sides must agree on: version, suites, roles, and the counter of this handshake."""
    return AGREED + counter.to_bytes(COUNTER_BYTES, "big")


def filter_mac(key: bytes, covered: bytes) -> bytes:
    """The MAC that stands before any exchange: HMAC-SHA256, cut to 16 bytes."""
    return hmac.digest(key, covered, "sha256")[:MAC_BYTES]


def pack_1(counter: int, noise: bytes, key: bytes) -> bytes:
    """Message 1 as it goes on the air."""
    covered = bytes((0, MessageType.FIRST)) + counter.to_bytes(COUNTER_BYTES, "big") + noise
    return covered + filter_mac(key, covered)


def take_1(message: bytes) -> Received | HandshakeFault:
    """Message 1 in its parts, or why it is none."""
    if message[:2] != bytes((0, MessageType.FIRST)):
        return HandshakeFault.TYPE
    if not MESSAGE_1_BYTES <= len(message) <= MESSAGE_1_BYTES + MOST_PAYLOAD:
        return HandshakeFault.LENGTH
    end = len(message) - MAC_BYTES
    counter = int.from_bytes(message[2 : 2 + COUNTER_BYTES], "big")
    return Received(counter, message[2 + COUNTER_BYTES : end], message[:end], message[end:])


def pack_2(noise: bytes, key: bytes, asked: bytes) -> bytes:
    """Message 2 as it goes on the air; ``asked`` is the MAC of the message 1 that it answers."""
    covered = bytes((0, MessageType.SECOND)) + noise
    return covered + filter_mac(key, asked + covered)


def take_2(message: bytes, key: bytes, asked: bytes) -> bytes | HandshakeFault:
    """Noise message 2, or why there is none; ``asked`` is the MAC of the message 1 that it should answer."""
    if message[:2] != bytes((0, MessageType.SECOND)):
        return HandshakeFault.TYPE
    if not MESSAGE_2_BYTES <= len(message) <= MESSAGE_2_BYTES + MOST_PAYLOAD:
        return HandshakeFault.LENGTH
    covered, mac = message[:-MAC_BYTES], message[-MAC_BYTES:]
    if not hmac.compare_digest(filter_mac(key, asked + covered), mac):
        return HandshakeFault.UNKNOWN_PEER
    return covered[2:]
