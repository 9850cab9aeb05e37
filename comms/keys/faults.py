"""Every way in which a key, a handshake or a renewal is refused, by name: what is counted, told and tested."""

from __future__ import annotations

from enum import StrEnum, unique

__all__ = ["HandshakeFault", "KeyFault", "KeyringError", "RenewalFault"]


@unique
class HandshakeFault(StrEnum):
    """Why a handshake message came to nothing. None of them is ever answered."""

    LENGTH = "length"
    """Shorter or longer than its type can be."""
    TYPE = "type"
    """No handshake message, or one that this side doesn't take."""
    UNKNOWN_PEER = "unknown peer"
    """The filter MAC is of no pinned peer."""
    REPLAYED = "replayed"
    """The counter is not above the last one of this peer."""
    REVOKED = "revoked"
    """The filter MAC is of a peer that was revoked."""
    EXPIRED = "expired"
    """The peer's permission has run out by the craft's start counter, or that counter is unknown."""
    WRONG_KEY = "wrong key"
    """The static key inside is not the one that was pinned."""
    LOW_ORDER = "low order point"
    """A public key whose exchange gives zero, whatever the private key."""
    OPEN = "did not open"
    """A tag is wrong: other key, other pre-shared key, other prologue, or changed on the way."""
    DISPLACED = "displaced"
    """A newer message of the same peer came before this one was worked off."""
    NOT_AWAITED = "not awaited"
    """No handshake is under way that this would answer."""
    NO_EXCHANGE = "no exchange left"
    """More answers came in a second than exchanges are made."""
    ENDED = "ended"
    """The handshake had come to its end or had failed before."""


@unique
class KeyFault(StrEnum):
    """Why a key, or a change of keys, is refused."""

    UNSET = "unset"
    LENGTH = "length"
    ZERO = "zero"
    LOW_ORDER = "low order point"
    SAME = "same as the present one"
    OWN = "own key"
    NAME = "name"
    DUPLICATE = "pinned already"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    NOT_STAGED = "not staged"
    FULL = "no room"
    EXHAUSTED = "counter at its end"
    ROLE = "role"
    FORMAT = "format"
    LOCKED = "wrong passphrase or sealing key"
    DAMAGED = "damaged or tampered with"
    PERMISSIONS = "permissions"
    MISSING = "missing"
    EXISTS = "exists already"
    STORAGE = "storage"


@unique
class RenewalFault(StrEnum):
    """Why a message of a renewal came to nothing. The keys are then what they were before it."""

    FORMAT = "format"
    NOT_AWAITED = "not awaited"
    """Not the next step of the renewal that is under way."""
    NOT_ALLOWED = "not at dock or bench"
    UNRESOLVED = "an earlier renewal is open"
    """A staged key is there: the next handshake decides on it first."""
    OPEN = "did not open"
    CONFIRM = "confirmation is wrong"
    KEY = "key refused"
    STORAGE = "storage"
    UNSUPPORTED = "not supported by this build of the cryptography library"
    NO_ANSWER = "no answer"


class KeyringError(Exception):
    """A key or a file of keys was refused: which fault, what it was about, what to do. Never holds anything secret."""

    def __init__(self, fault: KeyFault, text: str, next_step: str = "") -> None:
        super().__init__(text)
        self.fault = fault
        self.next_step = next_step
