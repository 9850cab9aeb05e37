"""Strict CBOR: published examples, every refusal by its name, and bytes of any kind never raise."""

from __future__ import annotations

import math
from time import perf_counter_ns

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary.strict_cbor import MESSAGE, Limits, Reason, Refusal, decode, encode

# RFC 8949 appendix A, those that are plain here: diagnostic value and bytes.
EXAMPLES = [
    (0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"), (1000, "1903e8"),
    (1000000, "1a000f4240"), (1000000000000, "1b000000e8d4a51000"), (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"), (-1, "20"), (-10, "29"), (-100, "3863"), (-1000, "3903e7"),
    (0.0, "f90000"), (-0.0, "f98000"), (1.0, "f93c00"), (1.1, "fb3ff199999999999a"), (1.5, "f93e00"),
    (65504.0, "f97bff"), (100000.0, "fa47c35000"), (3.4028234663852886e38, "fa7f7fffff"),
    (1.0e300, "fb7e37e43c8800759c"), (5.960464477539063e-8, "f90001"), (0.00006103515625, "f90400"),
    (-4.0, "f9c400"), (-4.1, "fbc010666666666666"), (False, "f4"), (True, "f5"), (None, "f6"), (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"), ("", "60"), ("a", "6161"), ("IETF", "6449455446"), ('"\\', "62225c"),
    ("\u00fc", "62c3bc"), ("\u6c34", "63e6b0b4"), ("\U00010151", "64f0908591"), ([], "80"), ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"), ({}, "a0"), ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
]
REFUSED = [
    ("", Reason.EMPTY), ("0101", Reason.TRAILING), ("a10102", Reason.MALFORMED), ("a1416102", Reason.MALFORMED),
    ("a2616101616102", Reason.MALFORMED), ("9f01ff", Reason.MALFORMED), ("bf616101ff", Reason.MALFORMED),
    ("5f4101ff", Reason.MALFORMED), ("7f6161ff", Reason.MALFORMED), ("ff", Reason.MALFORMED), ("1c", Reason.MALFORMED),
    ("62fffe", Reason.MALFORMED), ("9b7fffffffffffffff", Reason.MALFORMED), ("5a7fffffff00", Reason.MALFORMED),
    ("f97e00", Reason.NOT_FINITE), ("f97c00", Reason.NOT_FINITE), ("81f9fc00", Reason.NOT_FINITE),
    ("fb7ff8000000000000", Reason.NOT_FINITE), ("f7", Reason.NOT_PLAIN), ("f0", Reason.NOT_PLAIN),
    ("f8ff", Reason.NOT_PLAIN), ("81818181818181818101", Reason.TOO_DEEP), ("1901", Reason.MALFORMED),
]


@pytest.mark.parametrize(("value", "data"), EXAMPLES)
def test_the_standard_s_examples_decode_and_encode(value: object, data: str) -> None:
    decoded = decode(bytes.fromhex(data))
    assert type(decoded) is type(value)
    assert decoded == value
    assert encode(value).hex() == data


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_every_refusal_has_its_name(data: str, reason: Reason) -> None:
    refusal = decode(bytes.fromhex(data))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@pytest.mark.parametrize("tag", [*range(40), 52, 54, 64, 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**32, 2**64 - 1])
@pytest.mark.parametrize("content", ["01", "4101", "6161", "820101", "818101"])
def test_no_tag_is_taken_whatever_it_holds(tag: int, content: str) -> None:
    head = bytearray(encode(tag))
    head[0] |= 0xC0
    refusal = decode(b"\x81" + bytes(head) + bytes.fromhex(content))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.TAG


def test_what_is_too_much_is_refused_before_it_costs_anything() -> None:
    assert decode(b"\x00" * (MESSAGE.most_bytes + 1)) == Refusal(Reason.TOO_LONG, "4097 bytes; 4096 are allowed")
    assert isinstance(decode(b"\x99\x04\x01" + b"\x00" * 1025), Refusal)
    assert decode(b"\x99\x04\x00" + b"\x00" * 1024) == [0] * 1024
    assert decode(b"\x81\x81\x81\x01", Limits(depth=3)) == [[[1]]]
    assert isinstance(decode(b"\x81\x81\x81\x81\x01", Limits(depth=3)), Refusal)


@pytest.mark.parametrize(
    "data", ["1800", "1b0000000000000001", "fb3ff8000000000000", "9800", "7801 61", "a2616201616102"]
)
def test_longer_than_needed_is_taken_unless_canonical_is_asked_for(data: str) -> None:
    raw = bytes.fromhex(data)
    assert not isinstance(decode(raw), Refusal)
    refusal = decode(raw, Limits(canonical=True))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOT_CANONICAL


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5), max_leaves=20,
)


@given(PLAIN)
@settings(max_examples=150, deadline=None)
def test_every_plain_value_comes_back_the_same_and_canonical(value: object) -> None:
    data = encode(value)
    decoded = decode(data, Limits(depth=12, canonical=True))
    assert decoded == value
    assert decode(data[:-1], Limits(depth=12)) != value
    if data:
        trailing = decode(data + b"\x00", Limits(depth=12))
        assert isinstance(trailing, Refusal)


@given(st.binary(max_size=300))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_plain_value_or_a_refusal(data: bytes) -> None:
    value = decode(data)
    if not isinstance(value, Refusal):
        # What was taken means the same to a decoder that allows everything.
        again = cbor2.loads(data)
        assert again == value


@pytest.mark.parametrize("unit", [
    b"\x81", b"\xa1\x61a", b"\x00", b"\x80", b"\xa0", b"\x60", b"\xf9\x00\x00", b"\x82\x00", b"\xd8\x1c\x81", b"\x9f",
    b"\xbf", b"\x61\xc3", b"\xc2\x41", b"\x98\x01", b"\xff",
])
def test_four_kilobytes_of_anything_take_less_than_a_millisecond(unit: bytes) -> None:
    for head in (b"", b"\x99\x10\x00", b"\x99\x04\x00", b"\xb9\x04\x00"):
        data = (head + unit * 4096)[: MESSAGE.most_bytes]
        best = math.inf
        for _ in range(10):
            began = perf_counter_ns()
            decode(data)
            best = min(best, perf_counter_ns() - began)
        assert best < 1_000_000, (head, unit)


def test_a_refusal_s_words_are_bounded() -> None:
    refusal = decode(encode({"k" * 2000: 1})[:-1] + b"\xff")
    assert isinstance(refusal, Refusal)
    assert len(refusal.detail) <= 200
