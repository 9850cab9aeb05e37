"""The recorder beside a flight: rows from its socket to black boxes on the medium, whatever becomes of the flight.

Every start of the flight program gets a folder of its own, and so does every piece when a file has grown too big or
too old. What is confirmed to the flight has been synchronised: it is readable after a power cut. Only the flight whose
rows they are hears of it. A medium that is full costs the oldest folders first, one that fails costs none; until rows
go in again the flight is told, and keeps them.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cbor2
import msgspec

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import REQUIRED_HEADER, TOPICS, BlackBox
from firmware_py.recorder.port import VERSION, End, Hello, Row, Rows, Text, pack_kept, read_packet
from firmware_py.recorder.ring import Flusher
from firmware_py.recorder.rows import BUS, EVENT, TIMING
from firmware_py.recorder.shelf import Shelf
from hal.nonvolatile import FolderFiles

__all__ = ["GAP", "RecorderEnd", "RecorderService", "Rotation"]

SECOND = 1_000_000_000
MOST_PACKETS = 64
"""Packets that are taken in one step."""
MOST_STEPS = 64
"""Steps that take what still lies in the socket at the end; it holds fewer packets."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What removing the oldest flights can cure."""
GAP = "RECORDER_DEGRADED"
"""Code of the event that the recorder itself writes: rows never arrived."""
_BROKEN = (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError, struct.error)

Tell = Callable[[str, dict[str, Any]], None]
"""Takes a clause and its values, for the log."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is finished and the next begun, how often it is synchronised, and how long a full medium is left
    alone; bytes and ns."""

    bytes: int = 256 * 1024 * 1024
    age_ns: int = 3600 * SECOND
    sync_ns: int = SECOND
    retry_ns: int = 5 * SECOND


class RecorderEnd(Protocol):
    """What of a socket is needed here (``comms.packet_socket.PacketClient``)."""

    connections: int

    @property
    def connected(self) -> bool:
        """Whether the flight is there."""

    def send(self, packet: bytes | bytearray) -> bool:
        """Hand one packet over, or not."""

    def receive(self) -> bytes | None:
        """The oldest packet that has come."""

    def hang_up(self) -> None:
        """Let the flight go; the next call looks for it again."""


class _Trouble(NamedTuple):
    """Why nothing more goes in, and the operating system's number of it, where it has one."""

    why: str
    errno: int | None

    @property
    def full(self) -> bool:
        """Whether room would help."""
        return self.errno in FULL


class _Piece:
    """One black box that is being written, and what of it is on the medium.

    Attributes:
        first: number of its first row.
        confirmed: rows of the flight that are on the medium with it; ``first`` while none of its own are.
    """

    def __init__(self, hello: Hello, texts: dict[str, str], first: int, folder: Path, now_ns: int) -> None:
        header = dict(hello.header)
        if first:
            # It begins in the middle of a flight.
            header["first_row"] = first
        self.folder = folder
        self.first = self.confirmed = first
        self.box = BlackBox(folder / "flight.mcap", header, hello.epoch_ns, buses=hello.buses, attachments=texts)
        try:
            FolderFiles(folder).sync_folder()
            self._flusher = Flusher([self.box.fileno()])
        except OSError:
            self.box.close()
            raise
        self.began_ns = now_ns
        self._closed = False
        self._asked: tuple[int, int] | None = None
        """Rows, and runs of the flusher after which they are on the medium."""

    def ask(self, count: int) -> None:
        """Bring what there is to the medium: ``count`` rows, should it succeed. One request at a time."""
        if self._asked is None:
            self.box.flush()
            # Nobody else asks, so no run is under way that began before.
            self._asked = (count, self._flusher.completed + 1)
            self._flusher.request()

    def kept(self) -> int | None:
        """Rows that are on the medium, once after each request that was served."""
        if self._asked is None or self._flusher.completed < self._asked[1]:
            return None
        count, self._asked = self._asked[0], None
        if self.failure is not None:
            return None
        self.confirmed = count
        return count

    @property
    def failure(self) -> _Trouble | None:
        """Why nothing more goes in; after ``close``, why not all of it is on the medium."""
        if self.box.failure is not None:
            return _Trouble(self.box.failure, self.box.failure_errno)
        if self._flusher.failures:
            return _Trouble("the medium cannot be synchronised", self._flusher.errno)
        return None

    def close(self) -> None:
        """Whole, and on the medium unless ``failure`` says otherwise. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.box.finish()
        self._flusher.close()
        self.box.close()


class RecorderService:
    """Owner of the recorder's end. Call ``step`` often; nothing in it waits but the file system.

    Args:
        end: of the socket.
        shelf: where folders go.
        rotation: see there.
        tell: the log.

    Attributes:
        rows: written since start.
        refused: packets and rows that could not be read.
        missing: rows that never arrived, told by their numbers.
        pieces: files begun.
    """

    def __init__(self, end: RecorderEnd, shelf: Shelf, rotation: Rotation, tell: Tell) -> None:
        self.rows = self.refused = self.missing = self.pieces = 0
        self._end = end
        self._shelf = shelf
        self._rotation = rotation
        self._tell = tell
        self._hello: Hello | None = None
        self._texts: dict[str, str] = {}
        self._piece: _Piece | None = None
        self._met = -1
        """Connection at which the flight that is recorded was greeted last."""
        self._next_row = 0
        self._lost = 0
        self._synced_ns = 0
        self._retry_ns = 0

    @property
    def recording(self) -> bool:
        """Whether a file is open."""
        return self._piece is not None

    def step(self, now_ns: int) -> bool:
        """Take what has come, write it, synchronise and confirm; ``now_ns`` counts steadily. Whether anything came."""
        if now_ns < self._retry_ns:
            return False
        came = False
        for _ in range(MOST_PACKETS):
            data = self._end.receive()
            if data is None:
                break
            came = True
            self._take(data, now_ns)
            if now_ns < self._retry_ns:
                return came
        self._follow(now_ns)
        return came

    def close(self, now_ns: int) -> None:
        """Take what still lies in the socket, a flight's last words perhaps; finish what is open and confirm it."""
        for _ in range(MOST_STEPS):
            if not self.step(now_ns):
                break
        if self._piece is not None and self._finish() is None:
            self._confirm(self._next_row)

    # -- packets

    def _take(self, data: bytes, now_ns: int) -> None:
        packet = read_packet(data)
        if isinstance(packet, Hello):
            self._greet(packet, now_ns)
        elif isinstance(packet, Text) and self._hello is not None:
            # Of a flight that was here all the time they are in the file already.
            if self._piece is None and len(self._texts) < self._hello.texts:
                self._texts[packet.name] = packet.text
            self._begin_if_whole(now_ns)
        elif isinstance(packet, Rows) and self._piece is not None:
            self._write(packet, self._piece)
        elif isinstance(packet, End):
            if self._piece is not None and self._finish() is None:
                self._confirm(self._next_row)
            self._hello = None
        else:
            self.refused += 1

    def _greet(self, hello: Hello, now_ns: int) -> None:
        lacking = [key for key in REQUIRED_HEADER if key not in hello.header]
        if hello.version != VERSION or lacking:
            why = f"lacks {', '.join(lacking)}" if lacking else f"speaks version {hello.version}, not {VERSION}"
            self._tell("flight refused", {"why": why})
            self.refused += 1
            self._end.hang_up()
            return
        self._met = self._end.connections
        if self._hello is not None and hello.session == self._hello.session:
            # The same flight, met again: it begins with what was not confirmed, of which some may be here already.
            return
        # Not confirmed: whoever is there now would take these rows for its own.
        self._finish()
        self._hello, self._texts, self._next_row, self._lost = hello, {}, hello.first, 0
        self._begin_if_whole(now_ns)

    def _begin_if_whole(self, now_ns: int) -> None:
        if self._hello is not None and self._piece is None and len(self._texts) == self._hello.texts:
            self._begin(now_ns)

    def _write(self, packet: Rows, piece: _Piece) -> None:
        if packet.first > self._next_row:
            count = packet.first - self._next_row
            self.missing += count
            text = f"{count} rows never arrived at the recorder"
            piece.box.event(packet.rows[0].t_ns, GAP, "warning", text)
            self._tell(text, {"first": self._next_row})
        # What was sent again and is in this file already is left out.
        for row in packet.rows[max(0, self._next_row - packet.first):]:
            self._write_row(row, piece)
        self._next_row = max(self._next_row, packet.first + len(packet.rows))

    def _write_row(self, row: Row, piece: _Piece) -> None:
        value = _value(row)
        if value is None:
            self.refused += 1
            self._lost += 1
            return
        self.rows += 1
        if row.channel == TIMING:
            piece.box.timing(row.t_ns, value)
            return
        piece.box.encoded(row.channel, row.t_ns, row.data)
        if row.channel == EVENT and value.get("severity") != "info":
            self._tell("event", {"flight_s": round(row.t_ns * 1e-9, 3), **{
                key: value.get(key) for key in ("code", "severity", "text")
            }})

    # -- files

    def _begin(self, now_ns: int) -> None:
        hello = self._hello
        assert hello is not None
        mission = hello.header.get("mission")
        name = mission if isinstance(mission, str) and mission.replace("-", "").isalnum() else "flight"
        folder: Path | None = None
        try:
            folder = self._shelf.new(name.lower(), hello.epoch_ns)
            self._piece = _Piece(hello, self._texts, self._next_row, folder, now_ns)
        except (RecordError, OSError) as error:
            if folder is not None:
                # No row is in it. Kept, it would be the newest, which is never touched, in the place of a real flight.
                self._shelf.discard(folder)
            self._fail(_Trouble(str(error), error.errno), now_ns)
            return
        self.pieces += 1
        self._synced_ns = now_ns
        self._tell("recording", {"folder": str(folder), "first_row": self._next_row})

    def _follow(self, now_ns: int) -> None:
        piece = self._piece
        if piece is None:
            return
        failure = piece.failure
        if failure is not None:
            self._fail(failure, now_ns, piece)
            return
        kept = piece.kept()
        if kept is not None:
            self._confirm(kept)
        if now_ns - self._synced_ns >= self._rotation.sync_ns:
            self._synced_ns = now_ns
            piece.ask(self._next_row)
            removed = self._shelf.thin()
            if removed is not None:
                self._tell("beyond the budget, removed", {"folder": str(removed)})
        if piece.box.size_bytes >= self._rotation.bytes or now_ns - piece.began_ns >= self._rotation.age_ns:
            trouble = self._finish()
            if trouble is not None:
                # Its last rows are not on the medium: the flight sends them again, and nothing counts beyond them.
                self._fail(trouble, now_ns, piece)
                return
            self._confirm(self._next_row)
            self._begin(now_ns)

    def _confirm(self, count: int, why: str = "") -> None:
        """Tell the flight whose rows they are what is on the medium; never another one that came in its place."""
        # With somebody connected, sending looks for nobody else.
        if self._end.connected and self._end.connections == self._met:
            self._end.send(pack_kept(count, self._lost, why))

    def _fail(self, trouble: _Trouble, now_ns: int, piece: _Piece | None = None) -> None:
        """Nothing more goes in: tell the flight, make room if that would help, and come back later; it keeps what was
        not confirmed."""
        self._tell("nothing can be recorded", {"why": trouble.why})
        self._confirm(0, trouble.why)
        if piece is not None:
            piece.close()
        self._piece = None
        if trouble.full:
            self._make_room(piece)
        self._end.hang_up()
        # The next meeting begins with the first row that was not confirmed.
        self._hello = None
        self._retry_ns = now_ns + self._rotation.retry_ns

    def _make_room(self, piece: _Piece | None) -> None:
        """The piece that found no room goes first if no row of it was confirmed: its flight has those, and sends them
        again. Then the oldest of the others, of which the newest stays."""
        own = None if piece is None or piece.confirmed > piece.first else self._shelf.discard(piece.folder)
        for removed in (own, self._shelf.make_room()):
            if removed is not None:
                self._tell("no room, removed", {"folder": str(removed)})

    def _finish(self) -> _Trouble | None:
        """End the file that is open. Why not all of it is on the medium; ``None`` if it is, or if none was open."""
        piece, self._piece = self._piece, None
        if piece is None:
            return None
        piece.close()
        failure = piece.failure
        if failure is not None:
            self._tell("the end of a file may be lost", {"folder": str(piece.folder), "why": failure.why})
        return failure


def _value(row: Row) -> Any:
    """What a row holds; ``None`` if it is not what its channel takes."""
    try:
        if row.channel == BUS:
            transfers = cbor2.loads(row.data)
            return transfers if isinstance(transfers, list) else None
        value = msgspec.json.decode(row.data)
    except (msgspec.DecodeError, *_BROKEN):
        return None
    return value if isinstance(value, dict) and 1 <= row.channel <= len(TOPICS) + 1 else None
