"""Long messages in pieces: whole or not at all, in any order, and bounded whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.link.fragments import MARK, Pieces, Reassembly, is_fragment, pieces


@given(st.binary(min_size=1, max_size=2048), st.integers(40, 512), st.integers(0, 600), st.randoms())
@settings(max_examples=60, deadline=None)
def test_a_message_comes_together_in_any_order_and_with_repeats(message, longest, number, rng) -> None:
    parts = pieces(message, longest, number)
    assert all(is_fragment(part) and len(part) <= longest for part in parts)
    rng.shuffle(parts)
    taker = Reassembly()
    for part in parts[:-1]:
        assert taker.take(part) is None
        assert taker.take(part) is None
    assert taker.take(parts[-1]) == message
    assert taker.broken == 0


def test_a_lost_piece_is_healed_by_the_message_sent_again() -> None:
    message = bytes(range(200))
    taker = Reassembly()
    first = pieces(message, 64, 1)
    assert [taker.take(part) for part in first[:-1]] == [None] * (len(first) - 1)
    again = [taker.take(part) for part in pieces(message, 64, 2)]
    assert again[-1] == message
    assert again[:-1] == [None] * (len(first) - 1)


def test_pieces_of_a_message_that_is_sent_again_add_up_over_a_bad_line() -> None:
    cut, taker = Pieces(), Reassembly()
    message = bytes(range(256)) * 4
    assert all(taker.take(part) is None for part in cut.of(message, 64)[::2])
    found = [taker.take(part) for part in cut.of(message, 64)[1::2]]
    assert found[-1] == message or message in found
    # Sent again because the answer got lost: the last piece is enough.
    again = cut.of(message, 64)
    assert taker.take(again[0]) is None
    assert taker.take(again[-1]) == message
    assert [taker.take(part) for part in cut.of(b"another", 64)] == [b"another"]
    assert taker.take(again[0]) is None


def test_pieces_of_two_messages_are_never_mixed() -> None:
    one, two = pieces(b"a" * 100, 64, 1), pieces(b"b" * 100, 64, 2)
    taker = Reassembly()
    assert taker.take(one[0]) is None
    assert taker.take(two[1]) is None
    assert taker.take(two[0]) == b"b" * 100
    assert taker.take(one[1]) is None


@given(st.lists(st.binary(max_size=300).map(lambda tail: bytes((MARK,)) + tail), max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_pieces_are_taken_without_an_exception_and_without_growth(parts) -> None:
    taker = Reassembly()
    for part in parts:
        whole = taker.take(part)
        assert whole is None or len(whole) <= 8192


def test_what_cannot_be_a_piece_is_counted() -> None:
    taker = Reassembly()
    for part in (b"", b"\x4b", b"\x4b\x00\x00\x01", b"\x81\x00\x00\x01x", b"\x4b\x00\x01\x01x", b"\x4b\x00\x00\x00x",
                 b"\x4b\x00\x00\xffx"):
        assert taker.take(part) is None
    assert taker.broken == 7


def test_a_message_beyond_the_longest_is_given_up() -> None:
    taker = Reassembly()
    for index in range(64):
        assert taker.take(bytes((MARK, 1, index, 64)) + bytes(200)) is None
    assert taker.broken >= 1


@pytest.mark.parametrize(("size", "longest"), [(0, 64), (8193, 1024), (1000, 4), (1000, 3), (1000, 10)])
def test_a_message_that_no_pieces_hold_is_refused(size: int, longest: int) -> None:
    with pytest.raises(ValueError, match="don't go into"):
        pieces(bytes(size), longest, 1)
