"""The box whose recorder is elsewhere: bounded, never waiting, sent again until it is kept, and told when nobody is."""

from __future__ import annotations

from pathlib import Path

from firmware_py.recorder.blackbox import REQUIRED_HEADER
from firmware_py.recorder.kept import RECORDING_RESUMED, RECORDING_STOPPED
from firmware_py.recorder.port import LONGEST_ROW, Hello, Rows, Text, pack_kept, read_packet
from firmware_py.recorder.remote import AWAY_NS, PACKET_NS, SILENT_NS, WAITING, RemoteBox, RemoteRecorder
from firmware_py.recorder.tap import TapLog
from tests.firmware_py.recorder_pipe import Pipe

MS = 1_000_000
TICK = 5 * MS
HEADER = dict.fromkeys(REQUIRED_HEADER)


class Flown:
    """A box on a pipe, and the ticks of its flight."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.box = RemoteBox(self.pipe.flight, "s1", HEADER, 9, buses=("can0",), attachments={"body.yaml": "mass: 1"})
        self.now_ns = 0

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.box.bus(self.now_ns, [])
            self.now_ns += TICK

    def heard(self) -> tuple[list[object], list[int]]:
        """Packets that are no rows, and the numbers of all rows."""
        others: list[object] = []
        numbers: list[int] = []
        while (data := self.pipe.recorder.receive()) is not None:
            packet = read_packet(data)
            if isinstance(packet, Rows):
                numbers += range(packet.first, packet.first + len(packet.rows))
            else:
                others.append(packet)
        return others, numbers


def test_a_recorder_that_comes_late_gets_everything_from_the_first_row_on() -> None:
    flown = Flown()
    flown.ticks(100)
    flown.pipe.join()
    flown.ticks(100)
    flown.box.flush()
    [hello, text], numbers = flown.heard()
    assert isinstance(hello, Hello)
    assert (hello.session, hello.first, hello.texts) == ("s1", 0, 1)
    assert text == Text("body.yaml", "mass: 1")
    assert numbers == list(range(200))
    assert flown.box.dropped == 0


def test_rows_go_out_in_packets_ten_a_second() -> None:
    flown = Flown()
    flown.pipe.join()
    flown.ticks(201)
    sizes = []
    while (data := flown.pipe.recorder.receive()) is not None:
        packet = read_packet(data)
        sizes += [len(packet.rows)] if isinstance(packet, Rows) else []
    assert len(sizes) == 9
    assert set(sizes) == {PACKET_NS // TICK + 1}


def test_what_was_not_confirmed_goes_to_the_next_recorder() -> None:
    flown = Flown()
    flown.pipe.join()
    flown.ticks(300)
    _, first = flown.heard()
    kept = 130
    flown.pipe.recorder.send(pack_kept(kept, 0, ""))
    flown.ticks(1)
    assert flown.box.confirmed == kept
    flown.pipe.cut()
    flown.ticks(50)
    flown.pipe.join()
    flown.ticks(50)
    flown.box.flush()
    [hello, _], again = flown.heard()
    assert isinstance(hello, Hello)
    assert hello.first == again[0] <= kept
    assert again == list(range(again[0], 401))
    assert first[-1] >= again[0]
    assert flown.box.dropped == 0


def test_rows_that_were_never_sent_cannot_be_confirmed() -> None:
    flown = Flown()
    flown.pipe.join()
    flown.ticks(100)
    flown.box.flush()
    sent = len(flown.heard()[1])
    flown.pipe.recorder.send(pack_kept(sent + 1, 0, ""))
    flown.ticks(1)
    assert (flown.box.refused, flown.box.confirmed) == (1, 0)
    flown.pipe.cut()
    flown.pipe.join()
    flown.ticks(100)
    flown.box.flush()
    assert flown.heard()[1] == list(range(201))
    flown.pipe.recorder.send(pack_kept(201, 0, ""))
    flown.ticks(1)
    assert (flown.box.refused, flown.box.confirmed) == (1, 201)


def test_a_recorder_may_confirm_where_it_was_told_to_begin() -> None:
    flown = Flown()
    flown.ticks(40 * WAITING)
    flown.pipe.join()
    flown.pipe.flight.room = 1
    flown.ticks(1)
    [hello], _ = flown.heard()
    assert isinstance(hello, Hello)
    assert hello.first > 0
    flown.pipe.flight.room = 0
    flown.pipe.recorder.send(pack_kept(hello.first, 0, ""))
    flown.ticks(1)
    assert (flown.box.refused, flown.box.confirmed) == (0, hello.first)


def test_a_recorder_that_never_comes_costs_the_oldest_rows_and_they_are_counted() -> None:
    flown = Flown()
    per_packet = PACKET_NS // TICK + 1
    flown.ticks((WAITING + 10) * per_packet + 1)
    assert flown.box.dropped == 10 * per_packet
    flown.pipe.join()
    flown.ticks(WAITING)
    flown.box.flush()
    [hello, _], numbers = flown.heard()
    assert isinstance(hello, Hello)
    assert numbers[0] == hello.first >= 10 * per_packet
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_whoever_comes_is_greeted_before_anything_else(tmp_path: Path) -> None:
    flown = Flown()
    flown.ticks(3)
    flown.pipe.join()
    # A critical event between two ticks sends what there is at once.
    flown.box.event(0, "BAD", "critical", "x")
    flown.box.flush()
    flown.ticks(1)
    flown.box.flush()
    first = read_packet(flown.pipe.recorder.receive() or b"")
    assert isinstance(first, Hello)
    assert flown.heard()[1] == list(range(5))


def test_a_full_socket_is_no_loss() -> None:
    flown = Flown()
    flown.pipe.join()
    flown.pipe.flight.room = 3
    flown.ticks(200)
    collected: list[int] = []
    for _ in range(100):
        collected += flown.heard()[1]
        flown.ticks(1)
    flown.pipe.flight.room = 1000
    flown.box.flush()
    collected += flown.heard()[1]
    assert collected == list(range(300))


def test_a_row_that_is_too_long_is_given_up_and_leaves_a_gap() -> None:
    flown = Flown()
    flown.pipe.join()
    flown.box.event(0, "A", "info", "x")
    flown.box.event(0, "B", "info", "x" * (LONGEST_ROW + 1))
    flown.box.event(0, "C", "info", "x")
    flown.box.step(0)
    flown.box.flush()
    assert flown.heard()[1] == [0, 2]
    assert flown.box.dropped == 1


def test_nobody_there_silence_and_trouble_are_failures_and_end_as_such() -> None:
    flown = Flown()
    assert flown.box.failure is None
    flown.ticks(AWAY_NS // TICK + 2)
    assert flown.box.failure == "the recorder process is away"
    flown.pipe.join()
    flown.ticks(1)
    assert flown.box.failure is None
    flown.ticks(SILENT_NS // TICK + 1)
    assert flown.box.failure == "the recorder process does not answer"
    flown.pipe.recorder.send(pack_kept(1, 0, "no space left on device"))
    flown.ticks(1)
    assert flown.box.failure == "no space left on device"
    flown.pipe.recorder.send(pack_kept(2, 4, ""))
    flown.pipe.recorder.send(b"nonsense")
    flown.ticks(1)
    assert flown.box.failure is None
    assert (flown.box.dropped, flown.box.refused) == (4, 1)


def test_the_journal_tells_once_that_nobody_records_and_once_that_somebody_does(tmp_path: Path) -> None:
    pipe = Pipe()
    box = RemoteBox(pipe.flight, "s", HEADER, 0)
    journal = RemoteRecorder(tmp_path / "rings", box, TapLog(), 0)
    for number in range(1000):
        journal.end_tick(number * TICK)
    assert journal.stopped == "the recorder process is away"
    pipe.join()
    for number in range(1000, 1500):
        journal.end_tick(number * TICK)
    codes = [code for _, _, code, _ in journal.last_events]
    assert codes == [RECORDING_STOPPED, RECORDING_RESUMED]
    assert journal.stopped is None
    journal.close()
    assert (tmp_path / "rings" / "ring-fast.bin").exists()
