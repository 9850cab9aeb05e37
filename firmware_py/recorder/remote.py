"""The box of a flight whose recorder is another process: rows wait bounded, the oldest give way, nothing waits for it.

Rows go out in packets, ten a second. What the recorder has not confirmed to be on its medium is kept, and sent again to
the next recorder that comes: one that was killed loses nothing as long as it is back before the queue is full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from firmware_py.recorder.kept import KeptJournal
from firmware_py.recorder.port import (
    LONGEST_ROW,
    VERSION,
    Hello,
    Kept,
    RowBatch,
    pack_end,
    pack_hello,
    pack_text,
    read_packet,
)
from firmware_py.recorder.ring import RingPair
from firmware_py.recorder.rows import TIMING, RowWriter
from firmware_py.recorder.tap import TapLog, Transfer

__all__ = ["AWAY_NS", "SILENT_NS", "RemoteBox", "RemoteRecorder"]

PACKET_BYTES = 24_000
PACKET_NS = 100_000_000
"""A packet goes out when it is this big, or this old."""
WAITING = 600
"""Packets that are kept: a minute at a usual rate, 15 MB at most."""
SENT_A_TICK = 4
AWAY_NS = 2_000_000_000
"""How long nobody may be there before that is told."""
SILENT_NS = 10_000_000_000
"""How long a recorder may be there without confirming anything."""


class PortEnd(Protocol):
    """What of a socket is needed here (``comms.packet_socket.PacketServer``)."""

    connections: int

    @property
    def connected(self) -> bool:
        """Whether somebody is there."""

    def meet(self) -> bool:
        """Look for somebody."""

    def send(self, packet: bytes | bytearray) -> bool:
        """Hand one packet over, or not."""

    def receive(self) -> bytes | None:
        """The oldest packet that has come."""


class RemoteBox(RowWriter):
    """Box over a socket.

    Args:
        end: the flight's end.
        session: of this start of the program alone.
        header: what flies (``blackbox.REQUIRED_HEADER``).
        epoch_ns: UTC at flight time 0.
        buses: names of the tapped buses.
        attachments: texts by file name.

    Attributes:
        dropped: rows that were given up here or there.
        confirmed: rows, from the first one on, that are on the medium.
        refused: packets of the recorder that could not be read, or confirmed rows that it never got.
    """

    def __init__(
        self, end: PortEnd, session: str, header: Mapping[str, Any], epoch_ns: int, *, buses: Sequence[str] = (),
        attachments: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        texts = attachments or {}
        self._hello = Hello(session, VERSION, epoch_ns, dict(header), tuple(buses), len(texts))
        self._texts = tuple(pack_text(name, text) for name, text in texts.items())
        self._end = end
        self._connections = 0
        self._to_open: deque[bytes] = deque()
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        """Number behind the last row, rows, packet: what was not sent yet."""
        self._sent: deque[tuple[int, int, bytes]] = deque()
        """The same of what was sent and not confirmed."""
        self._batch = RowBatch(0)
        self._batch_ns: int | None = None
        self._now_ns = 0
        self._gone_ns: int | None = 0
        self._heard_ns = 0
        self._lost_here = self._lost_there = self._lost_before = 0
        self._trouble = ""
        self._known = 0
        """Number behind the last row that any recorder was sent, or told to begin at."""
        self.confirmed = 0
        self.refused = 0

    @property
    def dropped(self) -> int:
        """See Box."""
        return self._lost_here + self._lost_before + self._lost_there

    @property
    def pending(self) -> int:
        """Packets that wait to be sent."""
        return len(self._to_open) + len(self._waiting) + (self._batch.count > 0)

    @property
    def failure(self) -> str | None:
        """See Box."""
        now_ns = self._now_ns
        if self._trouble:
            return self._trouble
        if self._gone_ns is not None and now_ns - self._gone_ns >= AWAY_NS:
            return "the recorder process is away"
        if self._gone_ns is None and now_ns - self._heard_ns >= SILENT_NS:
            return "the recorder process does not answer"
        return None

    def bus(self, t_ns: int, transfers: Sequence[Transfer]) -> None:
        """See RowWriter; with it the tick's share of sending is done."""
        super().bus(t_ns, transfers)
        self.step(t_ns)

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Box."""
        self._add(TIMING, t_ns, self._encode(row))

    def flush(self) -> None:
        """See Box."""
        self._seal()
        self._send()

    def step(self, now_ns: int) -> None:
        """Look who is there, hear what is kept, send what waits. Never waits."""
        self._now_ns = now_ns
        self._look(now_ns)
        if self._batch_ns is not None and now_ns - self._batch_ns >= PACKET_NS:
            self._seal()
        if self._gone_ns is None:
            self._hear(now_ns)
            self._send()

    def end(self) -> None:
        """The flight has ended: what waits goes out as far as there is room, and the recorder knows."""
        self.flush()
        if not self.pending:
            self._end.send(pack_end())

    def _add(self, channel: int, t_ns: int, data: bytes) -> None:
        batch = self._batch
        if len(data) > LONGEST_ROW:
            # Its number is spent, so that the gap is seen.
            self._seal()
            self._lost_here += 1
            self._batch = RowBatch(batch.first + batch.count + 1)
            return
        if len(batch) + len(data) > PACKET_BYTES and batch.count:
            self._seal()
            batch = self._batch
        if self._batch_ns is None:
            self._batch_ns = t_ns
        batch.add(channel, t_ns, data)

    def _seal(self) -> None:
        """Close the open packet. If too many are kept, the oldest is given up."""
        batch = self._batch
        if not batch.count:
            return
        behind = batch.first + batch.count
        self._waiting.append((behind, batch.count, batch.packet()))
        self._batch = RowBatch(behind)
        self._batch_ns = None
        while len(self._waiting) + len(self._sent) > WAITING:
            # A recorder that never confirms has lost what it was given, as far as anybody knows.
            _, rows, _ = (self._sent or self._waiting).popleft()
            self._lost_here += rows

    def _look(self, now_ns: int) -> None:
        there = self._end.meet()
        if self._end.connections != self._connections:
            # Somebody new, who has nothing of what was not confirmed.
            self._connections = self._end.connections
            self._waiting.extendleft(reversed(self._sent))
            self._sent.clear()
            behind, rows, _ = self._waiting[0] if self._waiting else (self._batch.first, 0, b"")
            hello = msgspec.structs.replace(self._hello, first=behind - rows)
            self._known = max(self._known, hello.first)
            self._to_open = deque((pack_hello(hello), *self._texts))
            self._lost_before += self._lost_there
            self._lost_there = 0
            self._heard_ns = now_ns
        if there:
            self._gone_ns = None
        elif self._gone_ns is None:
            self._gone_ns = now_ns

    def _hear(self, now_ns: int) -> None:
        for _ in range(SENT_A_TICK):
            data = self._end.receive() if self._end.connected else None
            if data is None:
                return
            packet = read_packet(data)
            if not isinstance(packet, Kept) or packet.rows > self._known:
                # One that was meant for another flight would let rows go that are nowhere else.
                self.refused += 1
                continue
            self._heard_ns = now_ns
            self._trouble = packet.failure
            self._lost_there = packet.lost
            self.confirmed = max(self.confirmed, packet.rows)
            while self._sent and self._sent[0][0] <= packet.rows:
                self._sent.popleft()

    def _send(self) -> None:
        for _ in range(SENT_A_TICK):
            if not self._end.connected or self._end.connections != self._connections:
                # Who comes next is greeted first, and that begins with a look.
                return
            if self._to_open:
                if not self._end.send(self._to_open[0]):
                    return
                self._to_open.popleft()
            elif self._waiting:
                if not self._end.send(self._waiting[0][2]):
                    return
                self._known = max(self._known, self._waiting[0][0])
                self._sent.append(self._waiting.popleft())
            else:
                return


class RemoteRecorder(KeptJournal):
    """Journal over rings in a folder of this process and a box in another.

    Args:
        folder: of the rings; made if missing.
        box: the other process.
        taps: log of the tapped buses.
        epoch_ns: UTC at flight time 0.
        fast_hz, medium_hz: rates of the rings.
    """

    def __init__(
        self, folder: Path, box: RemoteBox, taps: TapLog, epoch_ns: int, *, fast_hz: int = 200, medium_hz: int = 20,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(RingPair.create(folder, fast_hz, medium_hz, epoch_ns, synchronise=True), box, taps)
        self.box = box

    def close(self) -> None:
        """The rings are whole on the medium; the recorder knows that the flight has ended."""
        self.box.end()
        self.rings.close()
