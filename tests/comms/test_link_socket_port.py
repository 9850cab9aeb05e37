"""The socket between flight loop and link: whole messages both ways, nobody waits, rubbish is counted."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from comms.dictionary import Authority
from comms.flight_port import (
    CommandStage,
    CraftState,
    EnergyAsk,
    EnergyVerdict,
    EventNote,
    LinkOrder,
    LinkReport,
    ParameterValues,
    Snapshot,
    UplinkRequest,
)
from comms.link.socket_port import FlightSocket, LinkSocket, MessageCodec, PortError, packed_message, read_message
from fdir.modes import Emission

MESSAGES = (
    CraftState(5, 3, "Idle", Emission.RESTRICTED, ("SAFE_ORDERED",), 0.5, None, 21.5, False, None, 3.0, True, None),
    Snapshot(7, {"t_s": 1.5, "motion": "Idle", "quaternion": [1.0, 0.0, 0.0, 0.0], "sun_body": None}),
    EventNote(8, "MODE_CHANGED", "info", "Boot to Idle"),
    CommandStage(9, 4, "a-1", "ada", "slew", "rejected", ("CAP_LOW",), "too low"),
    LinkOrder(10, 5, "emcon", {"level": 2.0}),
    UplinkRequest("a-1", "slew", {"axis": [0.0, 0.0, 1.0]}, "ada", Authority.CONTROLLER, 1, None, 99, 3),
    LinkReport(11, 10, (EventNote(8, "LINK_UP", "info", "ada"),), True, {"link_used_j": 1.0}, 2.0, ((5, True, ""),)),
    EnergyAsk("nbl", 150.0, 2400.0, 16.0),
    EnergyVerdict("nbl", False, ("CAP_LOW",), 120),
    ParameterValues(3, {"a": True, "b": 1, "c": 0.5, "d": "x"}),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was(message) -> None:
    assert read_message(packed_message(message)) == message


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff\x80", b"\x01", b"\x01\x80", b"\x06" + b"\x91" * 4000, b"\x02\xc1"]
)
def test_bytes_that_are_no_message_are_none(data: bytes) -> None:
    assert read_message(data) is None


def test_both_ends_speak_and_a_link_that_was_gone_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "port"
    flight = FlightSocket(path)
    assert path.stat().st_mode & 0o007 == 0
    assert not flight.send(MESSAGES[0])
    assert flight.dropped == 1
    link = LinkSocket(path)
    assert link.send(MESSAGES[6])
    assert flight.receive(8) == [MESSAGES[6]]
    assert flight.send(MESSAGES[0])
    assert link.receive(8) == [MESSAGES[0]]
    link.close()
    assert flight.receive(8) == []
    again = LinkSocket(path)
    assert again.send(MESSAGES[5])
    assert flight.receive(8) == [MESSAGES[5]]
    assert flight.connections == 2
    again.close()
    flight.close()
    assert not path.exists()


def test_a_full_socket_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    flight = FlightSocket(tmp_path / "port")
    link = LinkSocket(tmp_path / "port")
    link.send(MESSAGES[6])
    flight.receive(1)
    sent = sum(flight.send(MESSAGES[1]) for _ in range(20_000))
    assert 0 < sent < 20_000
    assert flight.dropped == 20_000 - sent
    assert len(link.receive(50)) == 50
    link.close()
    flight.close()


def test_what_cannot_be_read_is_counted_and_what_follows_is_read(tmp_path: Path) -> None:
    flight = FlightSocket(tmp_path / "port")
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    raw.connect(str(tmp_path / "port"))
    raw.send(b"\xffrubbish")
    raw.send(packed_message(MESSAGES[7]))
    assert flight.receive(8) == [MESSAGES[7]]
    assert flight.refused == 1
    raw.close()
    flight.close()


def test_a_second_flight_program_is_refused_and_a_dead_ones_file_is_not(tmp_path: Path) -> None:
    first = FlightSocket(tmp_path / "port")
    with pytest.raises(PortError, match="another flight program"):
        FlightSocket(tmp_path / "port")
    first.close()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.bind(str(tmp_path / "port"))
    dead.close()
    FlightSocket(tmp_path / "port").close()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(PortError, match="no socket"):
        FlightSocket(tmp_path / "file")


# -- codecs of other ports


@dataclass(frozen=True, slots=True)
class Ping:
    number: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pong:
    at: float | None


PINGS = MessageCodec({1: Ping, 255: Pong})


@pytest.mark.parametrize("message", [Ping(3, ("a", "b")), Ping(-(2**62)), Pong(None), Pong(0.5)])
def test_a_codec_of_its_own_brings_messages_back_as_they_were(message) -> None:
    assert PINGS.read(PINGS.pack(message)) == message


def test_a_codec_knows_its_own_kinds_alone() -> None:
    with pytest.raises(KeyError):
        PINGS.pack(MESSAGES[0])
    with pytest.raises(KeyError):
        packed_message(Ping(1))  # type: ignore[arg-type]
    assert PINGS.read(b"\x02" + PINGS.pack(Ping(1))[1:]) is None
    assert read_message(PINGS.pack(Pong(1.0))) is None


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\xc1", b"\x01\x81\xa6number\xa1x", b"\x01" + b"\x91" * 4000])
def test_bytes_that_are_no_message_of_a_codec_are_none(data: bytes) -> None:
    assert PINGS.read(data) is None


def test_both_ends_speak_with_another_codec_and_count_what_is_of_the_links(tmp_path: Path) -> None:
    flight = FlightSocket(tmp_path / "port", PINGS)
    other = LinkSocket(tmp_path / "port", PINGS)
    assert other.send(Ping(1))
    assert flight.receive(8) == [Ping(1)]
    assert flight.send(Pong(2.0))
    assert other.receive(8) == [Pong(2.0)]
    other.close()
    assert flight.receive(8) == []
    link = LinkSocket(tmp_path / "port")
    assert link.send(MESSAGES[6])
    assert flight.receive(8) == []
    assert flight.refused == 1
    link.close()
    flight.close()
