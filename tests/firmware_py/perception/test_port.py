"""Messages of the perception's port come back from their bytes as they were, and other bytes are none."""

from __future__ import annotations

from typing import Any

import pytest

from comms.dictionary import Authority
from comms.flight_port import EventNote, LinkOrder
from drivers.samples import (
    FieldSample,
    LidarScan,
    RadarObject,
    RadarScan,
    RangeSample,
    TransponderReply,
    TransponderSample,
)
from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff, TransponderMode
from firmware_py.perception.port import CODEC, FIELDS, ContactFrame, CraftMotion, Scan
from tests.firmware_py.perception.port_craft import motion, scan, spectrum

CONTACT = Contact(
    7, TrackStatus.TRACKED, 5, 60.5, -8.0, 0.9, Iff.FOE, True, TransponderMode.SPOOF, True, (1.0, 0.0, -2.0)
)
REPLY = TransponderReply(5, "on", None, 0.5, -60.0, None)
MESSAGES: tuple[Any, ...] = (
    motion(5, rates_hz={"radar": 4.0}, loads_off=("nbl",), brake_m_s2=None),
    scan("radar", 3, radar=RadarScan(1, 2, (RadarObject(1, 2.0, 3.0, 4.0, 5.0, 6.0, "moving"),))),
    scan("lidar", 3, lidar=LidarScan((0.0, 1.0), (None, 2.0), (0, 255), 60.0, 7)),
    scan("approach", 3, beam=RangeSample(None, None, None, "weak")),
    scan("spectrum", 3, spectrum=spectrum(3.0)), scan("mag", 3, magnetic=FieldSample((1e-5, 0.0, 2e-5))),
    scan("transponder", 3, transponder=TransponderSample(1, 1, 2, True, (REPLY,))),
    LinkOrder(10, 5, "perception_mode", {"mode": "auto"}, "ada", Authority.CONTROLLER),
    ContactFrame(9, (CONTACT, Contact(8, TrackStatus.LOST, 5)), True, (EventNote(1, "MAP_UPDATE", "info", "x"),),
                 {"grid": {"occupied": 3}, "tracks": None}, ((5, False, "no"),), ("lidar",)),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was(message: Any) -> None:
    assert CODEC.read(CODEC.pack(message)) == message


def test_every_role_that_looks_has_a_field_of_a_scan() -> None:
    assert set(FIELDS.values()) <= set(Scan.__dataclass_fields__)
    assert len(set(FIELDS.values())) == len(FIELDS)


@pytest.mark.parametrize("data", [
    b"", b"\x00", b"\x05\x80", b"\x01\x80", b"\x04\xc0", b"\x04\x81\xa4t_ns\xa1x", b"\x02" + b"\x91" * 5000,
    bytes((4,)) + CODEC.pack(motion(3))[1:],
])
def test_bytes_that_are_no_message_are_none(data: bytes) -> None:
    assert CODEC.read(data) is None


def test_every_cut_and_every_flipped_byte_is_a_message_of_its_kind_or_none() -> None:
    for message in MESSAGES:
        whole = CODEC.pack(message)
        for index in range(len(whole)):
            assert CODEC.read(whole[:index]) is None
            odd = bytearray(whole)
            odd[index] ^= 0x41
            assert isinstance(CODEC.read(bytes(odd)), CraftMotion | Scan | LinkOrder | ContactFrame | None)


def test_what_is_none_of_the_ports_is_not_sent() -> None:
    with pytest.raises(KeyError):
        CODEC.pack("hello")
