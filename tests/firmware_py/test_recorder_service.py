"""The recorder beside a flight: what it confirms is readable after a cut, whatever dies, fills up or goes away."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from time import sleep
from typing import Any

import cbor2
import msgspec
import pytest

from firmware_py.recorder.blackbox import REQUIRED_HEADER
from firmware_py.recorder.port import VERSION, Hello, Kept, RowBatch, pack_hello, pack_text, read_packet
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.recorder.remote import RemoteBox
from firmware_py.recorder.rows import BUS, EVENT
from firmware_py.recorder.service import GAP, RecorderService, Rotation
from firmware_py.recorder.shelf import Shelf
from tests.firmware_py.recorder_pipe import Pipe

MS = 1_000_000
SECOND = 1000 * MS
TICK = 5 * MS
HEADER = {**dict.fromkeys(REQUIRED_HEADER), "mission": "stand-by"}
EPOCH = 1_790_000_000 * SECOND


class Beside:
    """A flight's box and a recorder on a pipe, stepped together; the medium is real, its waiting is done here."""

    def __init__(self, place: Path, rotation: Rotation | None = None, budget: int | None = None) -> None:
        self.place = place
        self.pipe = Pipe()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.rotation = Rotation() if rotation is None else rotation
        self.budget = budget
        self.now_ns = 0
        self.start_flight("s1")
        self.start_recorder()
        self.pipe.join()

    def start_flight(self, session: str) -> None:
        self.box = RemoteBox(self.pipe.flight, session, HEADER, EPOCH, buses=("can0",), attachments={"b.yaml": "x"})
        self.flight_ns = self.row = 0

    def start_recorder(self) -> None:
        self.service = RecorderService(
            self.pipe.recorder, Shelf(self.place, self.budget), self.rotation,
            lambda text, values: self.told.append((text, values)),
        )

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.box.bus(self.flight_ns, [(0, 6, self.row, b"x", None, None)])
            self.row += 1
            self.flight_ns += TICK
            self.now_ns += TICK
            if self.row % 4 == 0:
                self.service.step(self.now_ns)

    def settle(self) -> None:
        """Until the flusher's thread has done what was asked; a busy medium takes its time."""
        for number in range(3000):
            self.service.step(self.now_ns)
            self.box.step(self.flight_ns)
            piece = self.service._piece
            if number > 3 and (piece is None or piece._asked is None):
                return
            sleep(0.002)

    def flights(self) -> list[Flight]:
        return [read_flight(one.path / "flight.mcap") for one in Shelf(self.place, None).folders()]

    def rows(self) -> list[list[int]]:
        """Numbers of the ticks in each file."""
        return [[record.value[0][2] for record in flight.messages("/bus")] for flight in self.flights()]


def test_a_flight_is_written_as_if_it_had_written_itself(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.box.event(0, "NOTE", "warning", "hello")
    beside.box.command(1, 7, "hold", "operator", "done")
    beside.box.snapshot(2, {"t_s": 0.0})
    beside.ticks(100)
    beside.box.timing(beside.flight_ns, {"ticks": 100})
    beside.box.end()
    beside.service.step(beside.now_ns)
    [flight] = beside.flights()
    assert flight.complete
    assert flight.header["mission"] == "stand-by"
    assert "first_row" not in flight.header
    assert flight.attachments == {"b.yaml": "x"}
    assert flight.epoch_ns == EPOCH
    assert flight.counts == {"/event": 1, "/command": 1, "/snapshot": 1, "/bus": 100, "/timing": 1}
    assert beside.rows() == [list(range(100))]
    assert ("event", {"flight_s": 0.0, "code": "NOTE", "severity": "warning", "text": "hello"}) in beside.told
    assert not beside.service.recording


def test_every_start_of_the_flight_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(60)
    beside.pipe.cut()
    beside.start_flight("s2")
    beside.pipe.join()
    beside.ticks(60)
    beside.box.end()
    beside.service.step(beside.now_ns)
    first, second = beside.flights()
    assert first.complete
    assert second.complete
    assert beside.rows()[1] == list(range(60))


def test_what_is_confirmed_is_readable_after_a_cut_at_any_later_byte(tmp_path: Path) -> None:
    beside = Beside(tmp_path / "flights")
    confirmed: list[tuple[int, int]] = []
    for _ in range(12):
        beside.ticks(100)
        beside.settle()
        [folder] = [one.path for one in Shelf(tmp_path / "flights", None).folders()]
        confirmed.append((beside.box.confirmed, (folder / "flight.mcap").stat().st_size))
    assert confirmed[-1][0] > 900
    whole = (folder / "flight.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    for rows, size in confirmed[2::3]:
        # After a power cut the file is anything from what was synchronised on.
        for length in sorted({size, size + 1, (size + len(whole)) // 2, len(whole) - 1}):
            cut.write_bytes(whole[:length])
            kept = [record.value[0][2] for record in read_flight(cut).messages("/bus")]
            assert kept[:rows] == list(range(rows))
    beside.service.close(beside.now_ns)


def test_a_recorder_that_was_killed_loses_no_row(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(400)
    beside.settle()
    beside.ticks(150)
    beside.pipe.cut()
    # Killed: nothing is finished, its open chunk is gone.
    os.close(beside.service._piece.box.fileno())  # type: ignore[union-attr]
    beside.ticks(50)
    beside.start_recorder()
    beside.pipe.join()
    beside.ticks(50)
    beside.box.end()
    beside.service.step(beside.now_ns)
    before, after = beside.rows()
    assert set(before) | set(after) == set(range(650))
    first, second = beside.flights()
    assert not first.complete
    assert second.header["first_row"] == after[0] <= 400
    assert not second.rows("/event")


def test_files_are_finished_by_size_and_by_age(tmp_path: Path) -> None:
    by_size = Beside(tmp_path / "size", Rotation(bytes=20_000))
    by_size.ticks(3000)
    by_size.box.end()
    by_size.service.step(by_size.now_ns)
    pieces = by_size.rows()
    assert len(pieces) > 2
    assert [number for piece in pieces for number in piece] == list(range(3000))
    assert all(flight.complete for flight in by_size.flights())
    assert [flight.header.get("first_row", 0) for flight in by_size.flights()] == [piece[0] for piece in pieces]
    by_age = Beside(tmp_path / "age", Rotation(age_ns=2 * SECOND))
    by_age.ticks(1000)
    by_age.service.close(by_age.now_ns)
    assert len(by_age.rows()) == 3


def test_the_oldest_files_go_beyond_the_budget_and_the_newest_never(tmp_path: Path) -> None:
    beside = Beside(tmp_path, Rotation(bytes=20_000), budget=70_000)
    beside.ticks(12_000)
    beside.service.close(beside.now_ns)
    sizes = [one.size for one in Shelf(tmp_path, None).folders()]
    assert sum(sizes) < 70_000 + 2 * 25_000
    assert beside.rows()[-1][-1] > 11_900
    assert any(text == "beyond the budget, removed" for text, _ in beside.told)


def test_a_full_medium_is_told_makes_room_and_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Beside(tmp_path, Rotation(bytes=20_000, retry_ns=SECOND))
    beside.ticks(2000)
    beside.settle()
    plain = os.write
    full = True

    def write(handle: int, data: Any) -> int:
        if full and len(data) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(handle, data)

    monkeypatch.setattr("firmware_py.recorder.blackbox.os.write", write)
    before = len(Shelf(tmp_path, None).folders())
    beside.ticks(600)
    assert "No space left on device" in (beside.box.failure or "")
    assert any(text == "nothing can be recorded" for text, _ in beside.told)
    assert len(Shelf(tmp_path, None).folders()) < before + 2
    full = False
    for _ in range(10):
        beside.ticks(100)
        if not beside.pipe.joined:
            beside.pipe.join()
    beside.settle()
    beside.ticks(4)
    beside.box.end()
    beside.service.step(beside.now_ns)
    assert beside.box.failure is None
    assert beside.box.dropped == 0
    last = beside.rows()[-1]
    assert last[-1] == beside.row - 1


class Medium:
    """A medium that refuses to write or to synchronise while it is told to; errors by number, 0: it does its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write_errno = self.sync_errno = 0
        write, fdatasync = os.write, os.fdatasync

        def writing(handle: int, data: Any) -> int:
            # What is shorter goes through pipes.
            if self.write_errno and len(data) > 100:
                raise OSError(self.write_errno, os.strerror(self.write_errno))
            return write(handle, data)

        def synchronising(handle: int) -> None:
            if self.sync_errno:
                raise OSError(self.sync_errno, os.strerror(self.sync_errno))
            fdatasync(handle)

        monkeypatch.setattr("firmware_py.recorder.blackbox.os.write", writing)
        monkeypatch.setattr("firmware_py.recorder.ring.os.fdatasync", synchronising)


def fly_on(beside: Beside, rounds: int) -> None:
    """Ticks and synchronisations; whoever hung up is met again."""
    for _ in range(rounds):
        beside.ticks(220)
        beside.settle()
        if not beside.pipe.joined:
            beside.pipe.join()


@pytest.mark.parametrize("failing", ["write_errno", "sync_errno"])
def test_a_medium_that_fails_costs_no_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    medium = Medium(monkeypatch)
    beside = Beside(tmp_path, Rotation(bytes=20_000, retry_ns=SECOND))
    beside.ticks(2000)
    beside.settle()
    before = [one.path for one in Shelf(tmp_path, None).folders()]
    assert len(before) > 2
    setattr(medium, failing, errno.EIO)
    fly_on(beside, 6)
    assert beside.box.failure is not None
    assert all(path.exists() for path in before)
    setattr(medium, failing, 0)
    fly_on(beside, 4)
    beside.box.end()
    beside.service.close(beside.now_ns)
    assert beside.box.dropped == 0
    assert set(range(beside.row)) <= {number for piece in beside.rows() for number in piece}


@pytest.mark.parametrize(("failing", "number"), [
    ("write_errno", errno.ENOSPC), ("write_errno", errno.EDQUOT), ("sync_errno", errno.ENOSPC),
])
def test_a_full_medium_never_costs_the_newest_flight_that_has_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, number: int
) -> None:
    medium = Medium(monkeypatch)
    beside = Beside(tmp_path, Rotation(retry_ns=SECOND))
    for session in ("s2", "s3"):
        beside.ticks(400)
        beside.settle()
        beside.pipe.cut()
        beside.start_flight(session)
        beside.pipe.join()
    beside.box.end()
    beside.service.step(beside.now_ns)
    *older, newest = [one.path for one in Shelf(tmp_path, None).folders() if one.size > 10_000]
    beside.pipe.cut()
    setattr(medium, failing, number)
    beside.start_flight("s4")
    beside.pipe.join()
    fly_on(beside, 12)
    assert not any(path.exists() for path in older)
    # What found no room leaves nothing behind that would be the newest in its place; an attempt may be under way.
    kept, *attempt = [one.path for one in Shelf(tmp_path, None).folders()]
    assert kept == newest
    assert len(attempt) <= beside.service.recording
    assert len(read_flight(newest / "flight.mcap").rows("/event")) == 0
    setattr(medium, failing, 0)
    fly_on(beside, 3)
    beside.box.end()
    beside.service.close(beside.now_ns)
    assert beside.box.dropped == 0
    assert beside.rows()[-1] == list(range(beside.row))


def test_rows_of_a_file_whose_end_was_lost_are_not_confirmed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = Medium(monkeypatch)
    beside = Beside(tmp_path, Rotation(age_ns=3 * SECOND, retry_ns=SECOND))
    beside.ticks(500)
    beside.settle()
    confirmed = beside.box.confirmed
    assert 0 < confirmed < 500
    # The file is ended while the medium fails: with its last synchronisation, which nobody asked for.
    monkeypatch.setattr("firmware_py.recorder.service._Piece.ask", lambda *_: None)
    medium.sync_errno = errno.EIO
    beside.ticks(112)
    assert beside.box.confirmed == confirmed
    assert "synchronised" in (beside.box.failure or "")
    medium.sync_errno = 0
    monkeypatch.undo()
    beside.ticks(400)
    beside.pipe.join()
    fly_on(beside, 2)
    beside.box.end()
    beside.service.close(beside.now_ns)
    pieces = beside.rows()
    # Everything that the first file had not confirmed is in the next one.
    assert pieces[1][0] <= confirmed
    assert pieces[1][-1] > 600
    assert beside.box.dropped == 0


@pytest.mark.parametrize("end", ["packet", "signal"])
def test_an_end_that_is_not_on_the_medium_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    medium = Medium(monkeypatch)
    beside = Beside(tmp_path)
    beside.ticks(60)
    medium.sync_errno = errno.EIO
    if end == "packet":
        beside.box.end()
        beside.service.step(beside.now_ns)
    else:
        beside.service.close(beside.now_ns)
    kept = [read_packet(data) for data in beside.pipe.flight.inbox]
    assert not [packet for packet in kept if isinstance(packet, Kept) and packet.rows]
    assert any(text == "the end of a file may be lost" for text, _ in beside.told)


def test_last_words_that_still_lie_in_the_socket_are_written(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(4000)
    for _ in range(300):
        beside.box.event(beside.flight_ns, "FLIGHT_ENDING", "info", "told to stop")
        beside.box.flush()
    beside.box.end()
    beside.service.close(beside.now_ns)
    [flight] = beside.flights()
    assert flight.complete
    assert flight.counts == {"/bus": 4000, "/event": 300}


def test_a_flight_is_never_told_of_rows_of_the_one_before(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(400)
    beside.settle()
    beside.ticks(220)
    beside.box.flush()
    # A synchronisation of the first one's rows is under way when the next one takes its place.
    beside.service.step(beside.now_ns + SECOND)
    beside.pipe.cut()
    beside.start_flight("s2")
    beside.pipe.join()
    for _ in range(100):
        beside.service.step(beside.now_ns)
        sleep(0.002)
    assert not beside.pipe.flight.inbox
    beside.ticks(40)
    beside.service.step(beside.now_ns)
    assert (beside.box.confirmed, beside.box.refused) == (0, 0)
    assert not beside.pipe.flight.inbox
    beside.box.end()
    beside.service.step(beside.now_ns)
    assert [len(numbers) for numbers in beside.rows()] == [620, 40]


def test_rows_that_never_arrive_are_told_in_the_file(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(100)
    batch = RowBatch(5000)
    batch.add(BUS, beside.flight_ns, cbor2.dumps([]))
    beside.pipe.flight.send(batch.packet())
    beside.service.step(beside.now_ns)
    beside.service.close(beside.now_ns)
    [told] = [row.value for row in beside.flights()[0].rows("/event") if row.value["code"] == GAP]
    assert "rows never arrived" in told["text"]
    assert beside.service.missing > 4800


def test_bad_packets_and_rows_are_refused_and_counted(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(40)
    batch = RowBatch(beside.row)
    batch.add(EVENT, 0, b"{not json")
    batch.add(BUS, 0, b"\xff\xff")
    batch.add(EVENT, 0, msgspec.json.encode([1]))
    for packet in (b"", b"\x77", b"\x03", batch.packet(), pack_text("late.yaml", "x")):
        beside.pipe.flight.send(packet)
    beside.service.step(beside.now_ns)
    assert beside.service.refused == 6
    beside.service.close(beside.now_ns)
    assert beside.flights()[0].complete


@pytest.mark.parametrize("hello", [
    Hello("s9", VERSION + 1, 0, HEADER, (), 0),
    Hello("s9", VERSION, 0, {"mission": "m"}, (), 0),
])
def test_a_flight_that_cannot_be_understood_is_refused_by_name(tmp_path: Path, hello: Hello) -> None:
    beside = Beside(tmp_path)
    beside.pipe.flight.send(pack_hello(hello))
    beside.service.step(0)
    assert beside.told[0][0] == "flight refused"
    assert not beside.service.recording
    assert not beside.pipe.joined


def test_confirmations_count_rows_from_the_first(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.ticks(500)
    beside.settle()
    confirmed = beside.box.confirmed
    assert 150 <= confirmed <= 500
    beside.ticks(1)
    beside.pipe.recorder.send(b"")
    beside.box.end()
    beside.service.step(beside.now_ns)
    kept = [read_packet(data) for data in beside.pipe.flight.inbox]
    assert Kept(501, 0, "") in kept
