"""Framing of a bus behind a socket: what is written is read, and no bytes at all bring more than a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.remote_frames import (
    CAUSES_BY_NUMBER,
    IN_USE,
    LARGEST,
    LONGEST_DATA,
    LONGEST_TEXT,
    Answer,
    Operation,
    Request,
    number_of,
    pack_answer,
    pack_refusal,
    pack_request,
    read_answer,
    read_request,
)
from drivers.errors import Cause
from hil.faults import RAISES

NUMBERS = st.integers(0, 2**32 - 1)


@given(NUMBERS, st.sampled_from(Operation), st.integers(0, 255), st.integers(0, LONGEST_DATA), st.binary(max_size=300))
def test_a_request_is_read_as_it_was_written(number: int, what: Operation, place: int, count: int, data: bytes) -> None:
    assert read_request(pack_request(number, what, place, count, data)) == Request(number, what, place, count, data)


@given(NUMBERS, st.binary(max_size=300))
def test_an_answer_is_read_as_it_was_written(number: int, data: bytes) -> None:
    assert read_answer(pack_answer(number, data)) == Answer(number, 0, data)


@given(NUMBERS, st.sampled_from([*CAUSES_BY_NUMBER.values(), None]), st.text(max_size=80))
def test_a_refusal_carries_cause_and_text(number: int, cause: Cause | None, text: str) -> None:
    answer = read_answer(pack_refusal(number, cause, text))
    assert answer is not None
    assert (IN_USE if cause is None else cause) == CAUSES_BY_NUMBER.get(answer.status, answer.status)
    assert answer.number == number
    assert answer.data == text.encode("utf-8", "replace")[:LONGEST_TEXT]


def test_the_bytes_are_those_of_the_documented_table() -> None:
    packet = pack_request(0x01020304, Operation.WRITE_READ, 0x40, 3, b"\x05")
    assert packet == bytes.fromhex("04030201 03 40 0300 05")
    assert pack_answer(7, b"\xaa\xbb") == bytes.fromhex("07000000 00 00 0000 aabb")
    assert pack_refusal(7, Cause.NACK_ADDRESS, "no") == bytes.fromhex("07000000 01 00 0000 6e6f")


@given(st.binary(max_size=64))
def test_any_bytes_are_a_request_or_a_clause(packet: bytes) -> None:
    request = read_request(packet)
    assert isinstance(request, Request) or request
    assert 0 <= number_of(packet) < 2**32
    answer = read_answer(packet)
    assert answer is None or answer.status in (0, IN_USE, *CAUSES_BY_NUMBER)


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "0 bytes are no request"),
        (b"\0" * 7, "7 bytes are no request"),
        (b"\0" * (LARGEST + 1), f"at most {LARGEST} bytes"),
        (pack_request(1, 77, 0, 0, b""), "no operation 77"),
        (pack_request(1, Operation.READ, 0x40, LONGEST_DATA + 1, b""), f"at most {LONGEST_DATA}"),
    ],
)
def test_what_is_no_request_is_refused_by_name(packet: bytes, why: str) -> None:
    refusal = read_request(packet)
    assert isinstance(refusal, str)
    assert why in refusal


def test_every_cause_that_a_twin_raises_has_a_number() -> None:
    assert set(RAISES.values()) <= set(CAUSES_BY_NUMBER.values())


def test_a_cause_that_no_bus_has_travels_as_protocol() -> None:
    answer = read_answer(pack_refusal(1, Cause.STALE_COUNTER, ""))
    assert answer is not None
    assert CAUSES_BY_NUMBER[answer.status] is Cause.PROTOCOL
