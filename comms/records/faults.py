"""Why a record was not sealed or not opened: a closed set, each counted by its name.

The names are for counters, audit and intrusion detection on this side. Nothing is ever answered to whoever sent it.
"""

from __future__ import annotations

from enum import StrEnum, unique

__all__ = ["RecordFault"]


@unique
class RecordFault(StrEnum):
    """One reason. Members are constants: a refusal allocates nothing."""

    TOO_SHORT = "too_short"
    """Less than header and tag."""
    TOO_LONG = "too_long"
    """More bytes than a record, or a plaintext, may have here."""
    NOT_A_RECORD = "not_a_record"
    """No partial IV: a handshake message, or nothing."""
    RESERVED = "reserved"
    """A length of the partial IV that isn't used (6, 7)."""
    NOT_SHORTEST = "not_shortest"
    """Counter or channel not written in their shortest form, so that every record has one way to be written."""
    UNKNOWN_CHANNEL = "unknown_channel"
    WRONG_CHANNEL = "wrong_channel"
    """A record of another channel than this opener's."""
    WRONG_EPOCH = "wrong_epoch"
    """An epoch that isn't held: shut, or not begun."""
    REPLAYED = "replayed"
    """This counter was opened before."""
    TOO_OLD = "too_old"
    """Behind the replay window."""
    FORGED = "forged"
    """The tag doesn't fit: bytes, key, direction, channel, epoch or suite are not those that were sealed."""
    KEY_SHUT = "key_shut"
    """The key has met its limit of false tags and opens nothing more."""
    COUNTER_END = "counter_end"
    """No counter is left for this key."""
    CLOSED = "closed"
    """The session was closed, its keys are forgotten."""
    NOT_USABLE = "not_usable"
    """A kept context must not send: its counters are not certain (``reservation.Reason``)."""

    # An enum's own hash is computed anew each time; refusals are counted by name at the rate of a flood.
    __hash__ = str.__hash__
