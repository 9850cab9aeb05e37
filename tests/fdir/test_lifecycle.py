"""The life of a command: every move that is legal and none that is not, times exact, memory bounded."""

from __future__ import annotations

import pytest

from fdir.codes import Code
from fdir.lifecycle import (
    ACK_NS,
    ENDS,
    LEDGER_CODES,
    RECEIPTS,
    TRANSITIONS,
    Life,
    LifeBook,
    Move,
    Receipt,
    Stage,
    Trigger,
)

S, T = Stage, Trigger
LEGAL = {
    S.REQUESTED: {T.VALIDATE: S.VALIDATION_PENDING, T.ABORT: S.ABORTED},
    S.VALIDATION_PENDING: {T.ALLOW: S.ALLOWED, T.REJECT: S.REJECTED, T.ABORT: S.ABORTED},
    S.ALLOWED: {T.PUBLISH: S.PUBLISH_PENDING, T.ABORT: S.ABORTED},
    S.PUBLISH_PENDING: {T.SENT: S.PUBLISHED, T.NOT_SENT: S.PUBLISH_FAILED, T.ABORT: S.ABORTED},
    S.PUBLISHED: {
        T.ACCEPT: S.ACK_ACCEPTED, T.REFUSE: S.ACK_REJECTED, T.NO_ANSWER: S.ACK_TIMEOUT, T.ABORT: S.ABORTED,
    },
    S.ACK_ACCEPTED: {T.AWAIT: S.EFFECT_PENDING, T.ABORT: S.ABORTED},
    S.EFFECT_PENDING: {
        T.SEEN: S.EFFECT_CONFIRMED, T.PART_SEEN: S.EFFECT_PARTIAL, T.TOO_LATE: S.EFFECT_TIMEOUT, T.REFUSE: S.ABORTED,
        T.ABORT: S.ABORTED,
    },
    **{end: {T.AUDIT: S.AUDITED} for end in (
        S.REJECTED, S.PUBLISH_FAILED, S.ACK_REJECTED, S.ACK_TIMEOUT, S.EFFECT_CONFIRMED, S.EFFECT_PARTIAL,
        S.EFFECT_TIMEOUT, S.ABORTED,
    )},
    S.AUDITED: {},
}
"""The table of CANON section 15, written a second time."""
TO_PUBLISHED = (T.VALIDATE, T.ALLOW, T.PUBLISH, T.SENT)
TO_PENDING = (*TO_PUBLISHED, T.ACCEPT, T.AWAIT)
EFFECT_NS = 2_000_000_000


def begun(book: LifeBook, number: int, *triggers: Trigger, now_ns: int = 0) -> Life:
    life = book.open(number, now_ns, EFFECT_NS)
    for trigger in triggers:
        assert book.move(life, trigger, now_ns) == ()
    return life


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("trigger", Trigger)
def test_a_stage_moves_as_the_table_says_and_not_otherwise(stage: Stage, trigger: Trigger) -> None:
    book = LifeBook()
    life = Life(7, EFFECT_NS, stage, since_ns=5)
    expected = LEGAL[stage].get(trigger)
    codes = book.move(life, trigger, 9)
    if expected is None:
        assert (codes, life.stage, life.since_ns) == ((Code.TRANSITION_NOT_ALLOWED,), stage, 5)
        assert book.take_moves() == ()
    else:
        assert (codes, life.stage, life.since_ns) == ((), expected, 9)
        assert book.take_moves() == (Move(9, 7, expected),)


def test_a_life_starts_at_the_beginning_of_time_unless_told() -> None:
    assert Life(1, 2) == Life(1, 2, Stage.REQUESTED, 0, False)


def test_the_table_lists_nothing_else() -> None:
    assert {(stage, trigger): end for stage, moves in LEGAL.items() for trigger, end in moves.items()} == TRANSITIONS
    assert frozenset({
        S.REJECTED, S.PUBLISH_FAILED, S.ACK_REJECTED, S.ACK_TIMEOUT, S.EFFECT_CONFIRMED, S.EFFECT_PARTIAL,
        S.EFFECT_TIMEOUT, S.ABORTED, S.AUDITED,
    }) == ENDS
    assert {
        S.ACK_TIMEOUT: Code.ACK_TIMEOUT, S.EFFECT_CONFIRMED: Code.EFFECT_CONFIRMED,
        S.EFFECT_PARTIAL: Code.EFFECT_PARTIAL, S.EFFECT_TIMEOUT: Code.EFFECT_TIMEOUT,
    } == LEDGER_CODES


def test_an_effect_is_confirmed_by_sight_alone() -> None:
    assert [key for key, end in TRANSITIONS.items() if end is S.EFFECT_CONFIRMED] == [(S.EFFECT_PENDING, T.SEEN)]
    assert T.SEEN not in RECEIPTS.values()
    assert T.PART_SEEN not in RECEIPTS.values()


@pytest.mark.parametrize(("receipt", "stages"), [
    (Receipt.ACCEPTED, (S.ACK_ACCEPTED, S.EFFECT_PENDING)),
    (Receipt.EXECUTED, (S.ACK_ACCEPTED, S.EFFECT_PENDING)),
    (Receipt.REJECTED, (S.ACK_REJECTED,)),
    (Receipt.TIMEOUT, (S.ACK_TIMEOUT,)),
    (Receipt.UNAVAILABLE, (S.ACK_REJECTED,)),
    (Receipt.FAILED, (S.ACK_REJECTED,)),
])
def test_a_receipt_answers_what_was_published(receipt: Receipt, stages: tuple[Stage, ...]) -> None:
    book = LifeBook()
    life = begun(book, 1, *TO_PUBLISHED)
    book.take_moves()
    assert book.receive(life, receipt, 3) == ()
    assert book.take_moves() == tuple(Move(3, 1, stage) for stage in stages)


@pytest.mark.parametrize(("receipt", "codes", "stage"), [
    (Receipt.ACCEPTED, (), S.EFFECT_PENDING),
    (Receipt.EXECUTED, (), S.EFFECT_PENDING),
    (Receipt.REJECTED, (), S.ABORTED),
    (Receipt.UNAVAILABLE, (), S.ABORTED),
    (Receipt.FAILED, (), S.ABORTED),
    (Receipt.TIMEOUT, (Code.TRANSITION_NOT_ALLOWED,), S.EFFECT_PENDING),
])
def test_a_second_receipt_never_makes_an_effect(receipt: Receipt, codes: tuple[Code, ...], stage: Stage) -> None:
    book = LifeBook()
    life = begun(book, 1, *TO_PENDING)
    assert book.receive(life, receipt, 3) == codes
    assert life.stage is stage


@pytest.mark.parametrize("receipt", Receipt)
def test_a_receipt_for_what_was_never_published_is_refused(receipt: Receipt) -> None:
    book = LifeBook()
    life = begun(book, 1, T.VALIDATE)
    assert book.receive(life, receipt, 3) == (Code.TRANSITION_NOT_ALLOWED,)
    assert life.stage is S.VALIDATION_PENDING


def test_an_acknowledgement_is_waited_for_250_ms() -> None:
    assert ACK_NS == 250_000_000
    book = LifeBook()
    life = begun(book, 1, *TO_PUBLISHED, now_ns=1000)
    book.step(1000 + 249_999_999)
    assert life.stage is S.PUBLISHED
    book.step(1000 + 250_000_000)
    assert life.stage is S.ACK_TIMEOUT


@pytest.mark.parametrize(("partly", "stage"), [(False, S.EFFECT_TIMEOUT), (True, S.EFFECT_PARTIAL)])
def test_an_effect_is_waited_for_as_long_as_it_may_take(partly: bool, stage: Stage) -> None:
    book = LifeBook()
    life = begun(book, 1, *TO_PENDING, now_ns=1000)
    life.partly = partly
    book.step(1000 + EFFECT_NS - 1)
    assert life.stage is S.EFFECT_PENDING
    book.step(1000 + EFFECT_NS)
    assert life.stage is stage
    book.take_moves()
    book.step(1000 + 2 * EFFECT_NS)
    assert (life.stage, book.take_moves()) == (stage, ())


def test_time_touches_nothing_else() -> None:
    book = LifeBook()
    early = begun(book, 1, T.VALIDATE)
    ended = begun(book, 2, T.VALIDATE, T.REJECT)
    book.step(10**18)
    assert (early.stage, ended.stage) == (S.VALIDATION_PENDING, S.REJECTED)


def test_those_that_wait_are_told_in_their_order() -> None:
    book = LifeBook()
    first, second = begun(book, 3, *TO_PENDING), begun(book, 4, *TO_PENDING)
    begun(book, 5, *TO_PUBLISHED)
    assert book.waiting() == (first, second)
    book.move(first, T.SEEN, 1)
    assert book.waiting() == (second,)


def test_a_life_begins_as_requested_and_every_move_is_told_once() -> None:
    book = LifeBook()
    life = begun(book, 1, T.VALIDATE, now_ns=4)
    assert (life.number, life.effect_ns, life.since_ns, life.partly) == (1, EFFECT_NS, 4, False)
    assert book.take_moves() == (Move(4, 1, S.REQUESTED), Move(4, 1, S.VALIDATION_PENDING))
    assert book.take_moves() == ()
    assert book.lives == {1: life}


def test_a_full_book_drops_the_oldest_that_has_ended() -> None:
    book = LifeBook(3)
    begun(book, 1, *TO_PENDING)
    begun(book, 2, T.VALIDATE, T.REJECT, T.AUDIT)
    begun(book, 3, T.VALIDATE, T.REJECT)
    assert (book.dropped, book.displaced) == (0, 0)
    begun(book, 4)
    assert list(book.lives) == [1, 3, 4]
    begun(book, 5)
    assert list(book.lives) == [1, 4, 5]
    assert (book.dropped, book.displaced) == (2, 0)


def test_a_book_full_of_those_that_wait_aborts_the_oldest_on_record() -> None:
    book = LifeBook(2)
    begun(book, 1, *TO_PENDING)
    begun(book, 2, *TO_PENDING)
    book.take_moves()
    begun(book, 3, now_ns=9)
    assert list(book.lives) == [2, 3]
    assert book.take_moves() == (Move(9, 1, S.ABORTED), Move(9, 1, S.AUDITED), Move(9, 3, S.REQUESTED))
    assert (book.dropped, book.displaced) == (0, 1)


def test_a_book_keeps_32_lives() -> None:
    book = LifeBook()
    for number in range(100):
        begun(book, number, T.VALIDATE)
    assert list(book.lives) == list(range(68, 100))
    assert book.displaced == 68


def test_a_life_counts_from_its_opening() -> None:
    assert LifeBook().open(1, 4, EFFECT_NS) == Life(1, EFFECT_NS, Stage.REQUESTED, 4)
