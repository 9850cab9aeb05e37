"""The shell over a sealed channel: chunks of text that fit a record, in order, a gap never mistaken for text.

A chunk is a number of two bytes, big endian, that rises by one with each, and UTF-8 text. Records may be lost or come
out of order: a chunk from behind is left out; after a gap the line that was being sent is left out up to its end, since
a part of a command is another command. Nothing is sent twice. Both ends use the same class.
"""

from __future__ import annotations

from comms.dictionary import Authority
from comms.shell.server import ShellServer
from comms.shell.session import Mode, ShellSession

__all__ = ["HEADER_BYTES", "ChannelShell", "ChunkPipe"]

HEADER_BYTES = 2
LIMIT_BYTES = 8192
"""Bytes that wait each way."""
_WRAP = 1 << 16


class ChunkPipe:
    """Bytes to chunks and back.

    Args:
        mtu: longest chunk, number included.
        lines: what comes in is lines of commands: after a gap nothing counts up to the next line end. Otherwise the
            gap is told in the text.

    Attributes:
        lost: chunks that never came.
        stale: chunks that came after a later one.
        refused: chunks and bytes that found no room, or were too short to be one.
    """

    def __init__(self, mtu: int, *, lines: bool) -> None:
        if mtu <= HEADER_BYTES:
            raise ValueError(f"mtu is {mtu}; more than {HEADER_BYTES} bytes are needed")
        self.mtu = mtu
        self.lost = 0
        self.stale = 0
        self.refused = 0
        self.closed = False
        self._lines = lines
        self._out = bytearray()
        self._in = bytearray()
        self._sent = 0
        self._expected: int | None = None
        self._skip = False

    # -- the text's side

    def write(self, data: bytes) -> int:
        """Text to be sent; how many bytes found room."""
        taken = data[:LIMIT_BYTES - len(self._out)]
        self._out += taken
        return len(taken)

    def read(self, most: int) -> bytes | None:
        """Text that has come in; ``None`` once closed and read."""
        if self.closed and not self._in:
            return None
        data = bytes(self._in[:most])
        del self._in[:most]
        return data

    def close(self) -> None:
        """No more comes."""
        self.closed = True

    # -- the channel's side

    def chunks(self, most: int) -> list[bytes]:
        """Up to ``most`` chunks to be sent now."""
        found: list[bytes] = []
        while self._out and len(found) < most:
            size = self.mtu - HEADER_BYTES
            found.append(self._sent.to_bytes(HEADER_BYTES, "big") + bytes(self._out[:size]))
            del self._out[:size]
            self._sent = (self._sent + 1) % _WRAP
        return found

    @property
    def waiting(self) -> int:
        """Bytes to be sent."""
        return len(self._out)

    def take(self, chunk: bytes) -> None:
        """Take in a chunk as it came, from a record that was opened."""
        if len(chunk) <= HEADER_BYTES:
            self.refused += 1
            return
        number = int.from_bytes(chunk[:HEADER_BYTES], "big")
        # The first chunk must be the first one: what went before it may have been half a line.
        ahead = (number - (0 if self._expected is None else self._expected)) % _WRAP
        if ahead >= _WRAP // 2:
            self.stale += 1
            return
        self._expected = (number + 1) % _WRAP
        if ahead:
            self._gap(ahead)
        self._take_text(chunk[HEADER_BYTES:])

    def _gap(self, chunks: int) -> None:
        self.lost += chunks
        if self._lines:
            # Text of whole lines stays; the begun one goes.
            del self._in[self._in.rfind(b"\n") + 1:]
            self._skip = True
        else:
            what = "a piece" if chunks == 1 else f"{chunks} pieces"
            self._take_text(f"\r\n[{what} of the text went lost on the way]\r\n".encode())

    def _take_text(self, text: bytes) -> None:
        if self._skip:
            end = text.find(b"\n")
            if end < 0:
                return
            text, self._skip = text[end + 1:], False
        if len(self._in) + len(text) > LIMIT_BYTES:
            self.refused += 1
            if self._lines:
                self._skip = True
            return
        self._in += text


class ChannelShell:
    """The craft's end of the shell for one session of a link.

    Args:
        server: the shell.
        peer: name of the peer's key.
        authority: role of that key.
        mtu: longest chunk that a record takes.
        now_ns: when it begins.
    """

    def __init__(self, server: ShellServer, peer: str, authority: Authority, mtu: int, now_ns: int) -> None:
        self.pipe = ChunkPipe(mtu, lines=True)
        self._server = server
        self._peer = peer
        self._authority = authority
        self._session: ShellSession | None = None
        self._open(now_ns)

    @property
    def refused(self) -> bool:
        """All sessions of the shell were taken."""
        return self._session is None

    def take(self, chunk: bytes, now_ns: int) -> None:
        """Take in the payload of a record of this channel. A session that has ended begins anew."""
        if self._session is None or self.pipe.closed:
            self._open(now_ns)
        self.pipe.take(chunk)

    def chunks(self, most: int) -> list[bytes]:
        """Up to ``most`` payloads to be sent; call after the server's step."""
        return self.pipe.chunks(most)

    def close(self) -> None:
        """The link's session has ended or its key was revoked."""
        if self._session is not None:
            self._server.close(self._session)
        self.pipe.close()

    def _open(self, now_ns: int) -> None:
        self.pipe.closed = False
        self._session = self._server.open(
            self.pipe, now_ns, how="link", peer=self._peer, authority=self._authority, mode=Mode.LINES,
        )
        if self._session is None:
            self.pipe.write(b"QIKI debug shell: all sessions are taken; try again later\n")
