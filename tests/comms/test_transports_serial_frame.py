"""Byte stuffing and serial frames: equal to the published vectors, and a line finds its feet after any damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cobs import cobs as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.transports import cobs
from comms.transports.serial_frame import (
    Deframer,
    FrameRefusal,
    crc16,
    decode_frame,
    encode_frame,
    framed_bytes,
)

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
COBS = json.loads((VECTORS / "cobs.json").read_text())
CRC = json.loads((VECTORS / "crc_check.json").read_text())

payloads = st.binary(min_size=1, max_size=600)
zero_heavy = st.lists(st.sampled_from([0, 0, 1, 0xFF]), min_size=1, max_size=600).map(bytes)


# -- stuffing


@pytest.mark.parametrize(("plain", "stuffed"), COBS["cobs"])
def test_stuffing_equals_the_published_vectors(plain: str, stuffed: str) -> None:
    assert cobs.encode(bytes.fromhex(plain)).hex() == stuffed
    assert cobs.decode(bytes.fromhex(stuffed)) == bytes.fromhex(plain)


@pytest.mark.parametrize("broken", COBS["cobs_decode_errors"])
def test_what_the_vectors_call_broken_is_refused(broken: str) -> None:
    assert cobs.decode(bytes.fromhex(broken)) is None


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=1200), zero_heavy))
def test_stuffing_agrees_with_the_cobs_package(data: bytes) -> None:
    stuffed = cobs.encode(data)
    assert stuffed == peer.encode(data)
    assert 0 not in stuffed
    assert len(stuffed) <= cobs.longest_encoded(len(data))
    assert cobs.decode(stuffed) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_what_is_no_stuffed_data_is_refused_as_the_cobs_package_does(data: bytes) -> None:
    try:
        expected = peer.decode(data)
    except peer.DecodeError:
        expected = None
    assert cobs.decode(data) == expected


@pytest.mark.parametrize("length", [253, 254, 255, 507, 508, 509, 762])
def test_groups_of_254_are_exact_at_their_edges(length: int) -> None:
    for data in (b"\x01" * length, b"\x01" * length + b"\0", b"\0" + b"\x01" * length):
        assert cobs.encode(data) == peer.encode(data)
        assert cobs.decode(cobs.encode(data)) == data


# -- frames


def test_the_crc_is_the_one_of_ccsds_frames_and_pus_packets() -> None:
    name = next(name for name in CRC["check"] if "IBM-3740" in name)
    assert crc16(b"123456789").to_bytes(2, "big").hex() == CRC["check"][name]
    for data, value in CRC["ecss_annex_b"]:
        assert crc16(bytes.fromhex(data)).to_bytes(2, "big").hex() == value


def test_the_crc_closes_a_pus_packet() -> None:
    packet = bytes.fromhex((VECTORS / "pus_ping.txt").read_text().split(": ")[1].strip())
    assert crc16(packet[:-2]) == int.from_bytes(packet[-2:], "big")


@pytest.mark.parametrize("length", [1, 2, 19, 128, 252])
def test_a_frame_costs_four_bytes(length: int) -> None:
    assert len(encode_frame(b"\x55" * length)) == length + 4


@settings(max_examples=200, deadline=None)
@given(payloads)
def test_a_frame_costs_four_bytes_and_one_for_each_254_at_most(payload: bytes) -> None:
    frame = encode_frame(payload)
    assert len(frame) <= framed_bytes(len(payload)) <= len(payload) + 4 + (len(payload) + 2) // 254
    assert frame.index(b"\0") == len(frame) - 1
    assert decode_frame(frame[:-1]) == payload


def test_an_empty_payload_makes_no_frame() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode_frame(b"")


@settings(max_examples=100, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=6), st.integers(1, 97))
def test_frames_arrive_whole_however_the_stream_is_cut(sent: list[bytes], step: int) -> None:
    stream = b"".join(encode_frame(payload) for payload in sent)
    deframer = Deframer(600)
    arrived = [p for at in range(0, len(stream), step) for p in deframer.feed(stream[at : at + step])]
    assert arrived == sent
    assert deframer.counts.frames == len(sent)
    assert deframer.counts.noise == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(payloads, min_size=3, max_size=6), st.data())
def test_after_a_cut_or_garbage_at_most_one_more_frame_is_lost(sent: list[bytes], data: st.DataObject) -> None:
    frames = [encode_frame(payload) for payload in sent]
    stream = b"".join(frames)
    begin = data.draw(st.integers(0, len(stream) - 1), label="begin")
    end = data.draw(st.integers(begin, len(stream)), label="end")
    garbage = data.draw(st.binary(max_size=64), label="garbage")
    arrived = Deframer(600).feed(stream[:begin] + garbage + stream[end:])

    starts = [sum(map(len, frames[:index])) for index in range(len(frames))]
    whole_before = [p for p, f, at in zip(sent, frames, starts, strict=True) if at + len(f) <= begin]
    whole_after = [p for p, at in zip(sent, starts, strict=True) if at >= end]
    assert arrived[: len(whole_before)] == whole_before
    survivors = whole_after[1:]
    assert not survivors or arrived[-len(survivors):] == survivors


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_noise_is_counted_and_held_within_bounds(pieces: list[bytes]) -> None:
    deframer = Deframer(100)
    total = 0
    for piece in pieces:
        deframer.feed(piece)
        total += len(piece) - piece.count(0)
        assert deframer.held_bytes <= framed_bytes(100)
    counts = deframer.counts
    if not counts.frames:  # chance makes a good CRC once in 65,536
        assert counts.noise_bytes + deframer.held_bytes == total


def test_each_kind_of_noise_has_its_name() -> None:
    deframer = Deframer(16)
    good = encode_frame(b"good")
    assert deframer.feed(b"\x09\x01\0") == []                      # a group that is cut off
    assert deframer.feed(b"\x02\x01\0") == []                      # too short for a CRC
    assert deframer.feed(good[:2] + b"\x7f" + good[3:]) == []      # a turned byte
    assert deframer.feed(b"\x11" * 40) == []                       # no delimiter for too long
    assert deframer.feed(b"\x11" * 40 + b"\0\0\0") == []
    assert deframer.feed(good) == [b"good"]
    assert set(deframer.counts.refused) == set(FrameRefusal)
    assert deframer.counts.refused[FrameRefusal.LONG] == 1


def test_a_payload_longer_than_the_line_allows_is_refused() -> None:
    deframer = Deframer(300)
    assert deframer.feed(encode_frame(b"\x01" * 301)) == []
    assert deframer.counts.refused == {FrameRefusal.LONG: 1}


def test_delimiters_alone_are_an_idle_line() -> None:
    deframer = Deframer(16)
    assert deframer.feed(b"\0" * 100) == []
    assert deframer.counts.noise == 0


def test_a_line_that_is_opened_anew_forgets_what_was_half_received() -> None:
    deframer = Deframer(16)
    frame = encode_frame(b"hello")
    deframer.feed(frame[:3])
    deframer.clear()
    assert deframer.feed(frame) == [b"hello"]
