"""The life of a command as a table: request, validation, publish, acknowledgement, effect, audit.

An acknowledgement is never an effect: no receipt leads to ``effect_confirmed``, only what is seen of the craft does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.codes import Code

__all__ = [
    "ACK_NS", "ENDS", "LEDGER_CODES", "RECEIPTS", "TRANSITIONS", "Life", "LifeBook", "Move", "Receipt", "Stage",
    "Trigger",
]

ACK_NS = 250_000_000
"""Longest time to an acknowledgement."""
MOST_LIVES = 32


@unique
class Stage(StrEnum):
    """States of a command."""

    REQUESTED = "requested"
    VALIDATION_PENDING = "validation_pending"
    ALLOWED = "allowed"
    REJECTED = "rejected"
    PUBLISH_PENDING = "publish_pending"
    PUBLISHED = "published"
    PUBLISH_FAILED = "publish_failed"
    ACK_ACCEPTED = "ACK_accepted"
    ACK_REJECTED = "ACK_rejected"
    ACK_TIMEOUT = "ACK_timeout"
    EFFECT_PENDING = "effect_pending"
    EFFECT_CONFIRMED = "effect_confirmed"
    EFFECT_PARTIAL = "effect_partial"
    EFFECT_TIMEOUT = "effect_timeout"
    ABORTED = "aborted"
    AUDITED = "audited"


@unique
class Trigger(StrEnum):
    """What moves a command on."""

    VALIDATE = "validation begins"
    ALLOW = "nothing speaks against it"
    REJECT = "something speaks against it"
    PUBLISH = "it is to be handed on"
    SENT = "it was handed on"
    NOT_SENT = "it could not be handed on"
    ACCEPT = "who carries it out has taken it"
    REFUSE = "who carries it out has not taken it"
    NO_ANSWER = "who should carry it out has not answered in time"
    AWAIT = "its effect is awaited"
    SEEN = "its effect is seen"
    PART_SEEN = "a part of its effect is all there will be"
    TOO_LATE = "its effect was not seen in time"
    ABORT = "it was given up"
    AUDIT = "its end is on record"


@unique
class Receipt(StrEnum):
    """What who carries a command out may answer."""

    ACCEPTED = "ACCEPTED"
    EXECUTED = "EXECUTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"
    FAILED = "FAILED"


RECEIPTS: dict[Receipt, Trigger] = {
    Receipt.ACCEPTED: Trigger.ACCEPT,
    Receipt.EXECUTED: Trigger.ACCEPT,
    Receipt.REJECTED: Trigger.REFUSE,
    Receipt.TIMEOUT: Trigger.NO_ANSWER,
    Receipt.UNAVAILABLE: Trigger.REFUSE,
    Receipt.FAILED: Trigger.REFUSE,
}
"""What a receipt means; ``EXECUTED`` is somebody's word, and no more an effect than ``ACCEPTED``."""

_S, _T = Stage, Trigger
TRANSITIONS: dict[tuple[Stage, Trigger], Stage] = {
    (_S.REQUESTED, _T.VALIDATE): _S.VALIDATION_PENDING,
    (_S.REQUESTED, _T.ABORT): _S.ABORTED,
    (_S.VALIDATION_PENDING, _T.ALLOW): _S.ALLOWED,
    (_S.VALIDATION_PENDING, _T.REJECT): _S.REJECTED,
    (_S.VALIDATION_PENDING, _T.ABORT): _S.ABORTED,
    (_S.ALLOWED, _T.PUBLISH): _S.PUBLISH_PENDING,
    (_S.ALLOWED, _T.ABORT): _S.ABORTED,
    (_S.PUBLISH_PENDING, _T.SENT): _S.PUBLISHED,
    (_S.PUBLISH_PENDING, _T.NOT_SENT): _S.PUBLISH_FAILED,
    (_S.PUBLISH_PENDING, _T.ABORT): _S.ABORTED,
    (_S.PUBLISHED, _T.ACCEPT): _S.ACK_ACCEPTED,
    (_S.PUBLISHED, _T.REFUSE): _S.ACK_REJECTED,
    (_S.PUBLISHED, _T.NO_ANSWER): _S.ACK_TIMEOUT,
    (_S.PUBLISHED, _T.ABORT): _S.ABORTED,
    (_S.ACK_ACCEPTED, _T.AWAIT): _S.EFFECT_PENDING,
    (_S.ACK_ACCEPTED, _T.ABORT): _S.ABORTED,
    (_S.EFFECT_PENDING, _T.REFUSE): _S.ABORTED,
    (_S.EFFECT_PENDING, _T.SEEN): _S.EFFECT_CONFIRMED,
    (_S.EFFECT_PENDING, _T.PART_SEEN): _S.EFFECT_PARTIAL,
    (_S.EFFECT_PENDING, _T.TOO_LATE): _S.EFFECT_TIMEOUT,
    (_S.EFFECT_PENDING, _T.ABORT): _S.ABORTED,
    (_S.REJECTED, _T.AUDIT): _S.AUDITED,
    (_S.PUBLISH_FAILED, _T.AUDIT): _S.AUDITED,
    (_S.ACK_REJECTED, _T.AUDIT): _S.AUDITED,
    (_S.ACK_TIMEOUT, _T.AUDIT): _S.AUDITED,
    (_S.EFFECT_CONFIRMED, _T.AUDIT): _S.AUDITED,
    (_S.EFFECT_PARTIAL, _T.AUDIT): _S.AUDITED,
    (_S.EFFECT_TIMEOUT, _T.AUDIT): _S.AUDITED,
    (_S.ABORTED, _T.AUDIT): _S.AUDITED,
}
"""Every legal move; what is not listed is refused."""
ENDS = frozenset(stage for stage, trigger in TRANSITIONS if trigger is Trigger.AUDIT) | {Stage.AUDITED}
"""Stages in which nothing more happens to the craft."""
LEDGER_CODES: dict[Stage, Code] = {
    Stage.ACK_TIMEOUT: Code.ACK_TIMEOUT,
    Stage.EFFECT_CONFIRMED: Code.EFFECT_CONFIRMED,
    Stage.EFFECT_PARTIAL: Code.EFFECT_PARTIAL,
    Stage.EFFECT_TIMEOUT: Code.EFFECT_TIMEOUT,
}
"""Stages that are events, and their codes."""


@dataclass(slots=True)
class Life:
    """Where one command stands. ``effect_ns`` is how long its effect may take; ``partly``: some of it was seen."""

    number: int
    effect_ns: int
    stage: Stage = Stage.REQUESTED
    since_ns: int = 0
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One command reached a stage."""

    t_ns: int
    number: int
    stage: Stage


class LifeBook:
    """The commands that are under way and the last that have ended, at most ``limit`` of them.

    When it is full the oldest that has ended makes room (``dropped`` counts); if none has, the oldest is aborted
    (``displaced`` counts): no new command is refused for want of room.
    """

    __slots__ = ("_moves", "displaced", "dropped", "limit", "lives")

    def __init__(self, limit: int = MOST_LIVES) -> None:
        self.limit = limit
        self.lives: dict[int, Life] = {}
        self.dropped = 0
        self.displaced = 0
        self._moves: list[Move] = []

    def open(self, number: int, now_ns: int, effect_ns: int) -> Life:
        """Begin the life of a command."""
        if len(self.lives) >= self.limit:
            self._make_room(now_ns)
        life = self.lives[number] = Life(number, effect_ns, since_ns=now_ns)
        self._moves.append(Move(now_ns, number, life.stage))
        return life

    def move(self, life: Life, trigger: Trigger, now_ns: int) -> tuple[Code, ...]:
        """Move a command on; what the table does not list changes nothing and is refused."""
        stage = TRANSITIONS.get((life.stage, trigger))
        if stage is None:
            return (Code.TRANSITION_NOT_ALLOWED,)
        life.stage, life.since_ns = stage, now_ns
        self._moves.append(Move(now_ns, life.number, stage))
        return ()

    def receive(self, life: Life, receipt: Receipt, now_ns: int) -> tuple[Code, ...]:
        """Take in an answer of who carries the command out; what is accepted is waited for. A second acceptance
        changes nothing."""
        trigger = RECEIPTS[receipt]
        if trigger is Trigger.ACCEPT and life.stage is Stage.EFFECT_PENDING:
            return ()
        codes = self.move(life, trigger, now_ns)
        if life.stage is Stage.ACK_ACCEPTED:
            self.move(life, Trigger.AWAIT, now_ns)
        return codes

    def step(self, now_ns: int) -> None:
        """Let time run out: for an acknowledgement, and for an effect, of which a part may have been seen."""
        for life in self.lives.values():
            waited = now_ns - life.since_ns
            if life.stage is Stage.PUBLISHED and waited >= ACK_NS:
                self.move(life, Trigger.NO_ANSWER, now_ns)
            elif life.stage is Stage.EFFECT_PENDING and waited >= life.effect_ns:
                self.move(life, Trigger.PART_SEEN if life.partly else Trigger.TOO_LATE, now_ns)

    def waiting(self) -> tuple[Life, ...]:
        """Commands whose effect is awaited, oldest first."""
        return tuple(life for life in self.lives.values() if life.stage is Stage.EFFECT_PENDING)

    def take_moves(self) -> tuple[Move, ...]:
        """Moves since the last call, in order."""
        moves, self._moves = tuple(self._moves), []
        return moves

    def _make_room(self, now_ns: int) -> None:
        oldest = next((life for life in self.lives.values() if life.stage in ENDS), None)
        if oldest is None:
            oldest = next(iter(self.lives.values()))
            self.move(oldest, Trigger.ABORT, now_ns)
            self.move(oldest, Trigger.AUDIT, now_ns)
            self.displaced += 1
        else:
            self.dropped += 1
        del self.lives[oldest.number]
