"""A recorded flight as a craft for the shell: its snapshots, events and commands at their times; it takes no orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from comms.flight_port import CommandStage, EventNote, Message, Snapshot
from comms.shell.server import ShellServer
from comms.shell.session import Mode
from comms.shell.view import Craft, CraftView
from firmware_py.recorder.reader import Flight, Record, read_flight

__all__ = ["RecordedCraft", "RecordedPipe"]

NS = 1_000_000_000
TOPICS = ("/snapshot", "/event", "/command")
STEPS = 8
"""Steps of the shell for each look at the terminal: it is fed by nobody else here, so it may work faster."""


class RecordedCraft:
    """Plays a black box.

    Args:
        path: the file.
        begin_s: flight time at which it begins to play; ``None``: at its end. What was before is there to look at.
        speed: times real time; 0 stands still.
        clock: ns, rising.

    Raises:
        RecordError: it is no black box.
    """

    def __init__(self, path: Path, begin_s: float | None, speed: float, clock: Callable[[], int]) -> None:
        flight = read_flight(path)
        self._end_ns = flight.end_ns or 0
        begin_ns = self._end_ns if begin_s is None else min(self._end_ns, round(begin_s * NS))
        self._begin_ns = begin_ns
        self._speed = speed
        self._clock = clock
        self._from_ns = clock()
        self._records = _in_order(flight)
        self._next = next(self._records, None)
        header = flight.header
        self.server = ShellServer(CraftView(_craft(f"{header.get('body')}, recorded flight {header.get('mission')}")),
                                  None)
        self.now_ns = begin_ns
        self.step()

    def step(self) -> None:
        """Bring the craft to the present moment."""
        passed = round((self._clock() - self._from_ns) * self._speed)
        self.now_ns = min(self._end_ns, self._begin_ns + passed)
        while self._next is not None and self._next.t_ns <= self.now_ns:
            self.server.feed(_message(self._next), self._next.t_ns)
            self._next = next(self._records, None)


def _craft(name: str) -> Craft:
    from firmware_py.reference_codes import CODE_TEXT

    return Craft(name, code_texts=CODE_TEXT)


def _in_order(flight: Flight) -> Iterator[Record]:
    return flight.messages(*TOPICS)


def _message(record: Record) -> Message:
    value = record.value
    if record.topic == "/snapshot":
        return Snapshot(record.t_ns, value)
    if record.topic == "/event":
        return EventNote(record.t_ns, value["code"], value["severity"], value.get("text") or "")
    return CommandStage(
        record.t_ns, value["number"], "", value["source"], value["name"], value["state"], tuple(value["codes"]),
        value.get("detail") or "",
    )


class RecordedPipe:
    """A ``ShellPipe`` to a recorded craft in this very process; and the stream of its session."""

    def __init__(self, craft: RecordedCraft) -> None:
        self._craft = craft
        self._to_craft = b""
        self._to_reader = b""
        self._ended = False
        self._session = craft.server.open(self, craft.now_ns, how="recording", mode=Mode.LINES)

    # -- the terminal's side

    def send(self, data: bytes) -> None:
        """See ShellPipe."""
        self._to_craft += data

    def receive(self) -> bytes:
        """See ShellPipe."""
        self._craft.step()
        for _ in range(STEPS):
            self._craft.server.step(self._craft.now_ns)
        data, self._to_reader = self._to_reader, b""
        return data

    @property
    def closed(self) -> bool:
        """See ShellPipe."""
        return self._ended and not self._to_reader

    # -- the session's side

    def read(self, most: int) -> bytes:
        """See ByteStream."""
        data, self._to_craft = self._to_craft[:most], self._to_craft[most:]
        return data

    def write(self, data: bytes) -> int:
        """See ByteStream."""
        self._to_reader += data
        return len(data)

    def close(self) -> None:
        """See both."""
        self._ended = True
