"""Where a flight is recorded: here or beside, always with rings, of which those of the last starts are kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from comms.packet_socket import PacketClient, PortError
from firmware_py import flight_recording
from firmware_py.clock import SimClock
from firmware_py.flight_recording import LAST_WORDS_NS, open_recording
from firmware_py.recorder.blackbox import REQUIRED_HEADER
from firmware_py.recorder.port import End, read_packet
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import read_ring
from firmware_py.recorder.tap import TapLog
from hal.profile.board import RateConfig

HEADER = {**dict.fromkeys(REQUIRED_HEADER), "mission": "stand-by"}
RATES = RateConfig(200, 20.0, 2.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name:
        yield Path(name)


def test_without_a_port_the_flight_writes_its_black_box(folder: Path) -> None:
    with ExitStack() as stack:
        recording = open_recording(folder, None, HEADER, 5, TapLog(), {"a.yaml": "x"}, RATES, stack)
        recording.journal.event(1, "NOTE", "info", "x")
        recording.finish(SimClock())
    flight = read_flight(recording.folder / "flight.mcap")
    assert flight.complete
    assert flight.counts == {"/event": 1}
    assert recording.folder.parent == folder / "flights"


def test_at_a_port_the_end_waits_for_the_recorder_but_not_for_long(folder: Path) -> None:
    clock = SimClock()
    with ExitStack() as stack:
        recording = open_recording(folder, folder / "r.sock", HEADER, 5, TapLog(), {}, RATES, stack)
        recording.journal.event(1, "NOTE", "info", "x")
        recording.finish(clock)
        assert LAST_WORDS_NS <= clock.now_ns() < 2 * LAST_WORDS_NS
        again = open_recording(folder, folder / "s.sock", HEADER, 5, TapLog(), {}, RATES, stack)
        client = PacketClient(folder / "s.sock")
        assert client.meet()
        again.journal.event(1, "NOTE", "info", "x")
        begun_ns = clock.now_ns()
        again.finish(clock)
        assert clock.now_ns() - begun_ns < LAST_WORDS_NS
        said = []
        while (data := client.receive()) is not None:
            said.append(read_packet(data))
        assert said[-1] == End()
        client.close()
    assert not (folder / "r.sock").exists()
    assert read_ring(recording.folder / "ring-medium.bin").records
    assert not (recording.folder / "flight.mcap").exists()


def test_rings_of_the_last_starts_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight_recording, "RINGS_KEPT", 25_000_000)
    made = []
    with ExitStack() as stack:
        for number in range(4):
            recording = open_recording(folder, folder / f"{number}.sock", HEADER, 5, TapLog(), {}, RATES, stack)
            recording.finish(SimClock())
            made.append(recording.folder)
    assert [one.exists() for one in made] == [False, False, True, True]


def test_a_socket_that_cannot_be_is_refused(folder: Path) -> None:
    with ExitStack() as stack, pytest.raises(PortError, match="nowhere"):
        open_recording(folder, folder / "nowhere" / "r.sock", HEADER, 0, TapLog(), {}, RATES, stack)
