"""Opens a black box, whole or cut by a crash, and refuses anything else by name; damage is counted, never hidden.

Opening walks the records once and checks every chunk's CRC, so that what is damaged is known before anything is used.
Messages are then decoded lazily, in the order of writing.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import cbor2
import msgspec
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, Metadata
from mcap.stream_reader import CRCValidationError, get_chunk_data_stream

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import FORMAT, METADATA, PROFILE, TOPICS
from firmware_py.recorder.ring import MAGIC as RING_MAGIC

__all__ = ["BROKEN", "Flight", "Record", "flatten", "read_flight"]

_MAGIC: Final = b"\x89MCAP0\r\n"
_RECORD: Final = struct.Struct("<BQ")
_MESSAGE: Final = struct.Struct("<HIQQ")
_CHUNK_LIMIT: Final = 64 * 1024 * 1024
"""Longest record that is loaded. Ours are below 1 MiB; a damaged length must not ask for the machine's memory."""
BROKEN = (
    McapError, struct.error, UnicodeDecodeError, CRCValidationError, RuntimeError, EOFError, msgspec.DecodeError,
    cbor2.CBORDecodeError, OverflowError, MemoryError,
)
"""What the container and compression libraries raise for damaged bytes (lz4 raises RuntimeError), and what a damaged
length asks for."""
_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")


class Record(NamedTuple):
    """One message: flight time in ns, channel, decoded value (a table, or the list of transfers of ``/bus``)."""

    t_ns: int
    topic: str
    value: Any


@dataclass(frozen=True, slots=True)
class Flight:
    """One recording. Made by :func:`read_flight`.

    Attributes:
        path: where it lies.
        header: what flew: software_version, hardware_profile_hash, body, board, mission, seed, rates, and more.
        attachments: texts by file name.
        epoch_ns: UTC at flight time 0, ns; 0 if not known.
        buses: names of the tapped buses by index.
        complete: the file was closed; False after a crash.
        damage: what could not be read, in words; empty if nothing.
        counts: readable messages by channel.
        start_ns, end_ns: flight time of the first and last readable message; ``None`` without any.
    """

    path: Path
    header: Mapping[str, Any]
    attachments: Mapping[str, str]
    epoch_ns: int
    buses: tuple[str, ...]
    complete: bool
    damage: tuple[str, ...]
    counts: Mapping[str, int]
    start_ns: int | None
    end_ns: int | None
    _channels: Mapping[int, tuple[str, str]]
    _chunks: tuple[tuple[int, int], ...]

    def messages(self, *topics: str) -> Iterator[Record]:
        """Messages of these channels (all if none is named), in the order of writing, decoded as they are asked for.

        Raises:
            RecordError: the file changed or vanished since it was opened.
        """
        wanted = {number: kind for number, kind in self._channels.items() if not topics or kind[0] in topics}
        decode = msgspec.json.Decoder().decode
        try:
            with self.path.open("rb") as file:
                for start, length in self._chunks:
                    for number, stamp, payload in _messages(_chunk_data(file, start, length)):
                        if number in wanted:
                            topic, encoding = wanted[number]
                            value = cbor2.loads(payload) if encoding == "cbor" else decode(payload)
                            yield Record(stamp - self.epoch_ns, topic, value)
        except (OSError, *BROKEN) as error:
            raise RecordError(self.path, f"changed while it was read ({error})", "open it again") from error

    def rows(self, topic: str) -> list[Record]:
        """All messages of one channel."""
        return list(self.messages(topic))

    def series(self, topic: str, column: str) -> tuple[list[float], list[Any]]:
        """One column over flight time: seconds, values; ``None`` where it is missing.

        ``column`` is named as in the CSV export: ``rate_rad_s[0]``, ``temperature_c.battery``.
        """
        steps = [int(step[1:-1]) if step[0] == "[" else step for step in _STEP.findall(column)]
        times: list[float] = []
        values: list[Any] = []
        for t_ns, _, value in self.messages(topic):
            times.append(t_ns * 1e-9)
            values.append(_pick(value, steps))
        return times, values


def read_flight(path: Path | str) -> Flight:
    """Open a black box; a crashed one is read to its last whole chunk.

    Raises:
        RecordError: the file is missing, empty, a folder, not MCAP, MCAP of another program, of a later format, or cut
            before its metadata. The text names the file, what is wrong and what to do.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except FileNotFoundError:
        raise RecordError(path, "does not exist", "check the name") from None
    except IsADirectoryError:
        raise RecordError(path, "is a folder", "name the .mcap file in it") from None
    except OSError as error:
        raise RecordError(path, f"cannot be read ({error.strerror})", "check its permissions") from error


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested tables and lists with their column names ``a.b`` and ``a[0]``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from flatten(item, f"{prefix}[{index}]")
    else:
        yield prefix, value


def _pick(value: Any, steps: list[int | str]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
    return value


def _read(path: Path, file: IO[bytes]) -> Flight:
    _check_start(path, file)
    profile: str | None = None
    metadata: dict[str, str] | None = None
    attachments: dict[str, str] = {}
    channels: dict[int, tuple[str, str]] = {
        # Known without their records: the chunk that holds these may be the damaged one.
        number: (topic, "cbor" if topic == "/bus" else "json") for number, topic in enumerate(TOPICS, 1)
    }
    chunks: list[tuple[int, int]] = []
    tally: Counter[int] = Counter()
    span: tuple[int, int] | None = None
    bad_chunks = 0
    damage: list[str] = []
    complete = False
    position = len(_MAGIC)
    size = file.seek(0, 2)
    while not complete and position < size:
        file.seek(position)
        head = file.read(_RECORD.size)
        opcode, length = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
        body = position + _RECORD.size
        if opcode == 0 or body + length > size or length > _CHUNK_LIMIT:
            damage.append(f"cut or unreadable from byte {position} of {size}")
            break
        try:
            if opcode == Opcode.CHUNK:
                data = _chunk_data(file, body, length)
                _channels_in(data, channels)
                for number, stamp, _ in _messages(data):
                    tally[number] += 1
                    span = (stamp, stamp) if span is None else (min(span[0], stamp), max(span[1], stamp))
                chunks.append((body, length))
            elif opcode in (Opcode.HEADER, Opcode.METADATA, Opcode.ATTACHMENT, Opcode.CHANNEL):
                stream = ReadDataStream(BytesIO(file.read(length)))
                if opcode == Opcode.HEADER:
                    profile = Header.read(stream).profile
                elif opcode == Opcode.METADATA:
                    record = Metadata.read(stream)
                    metadata = record.metadata if record.name == METADATA else metadata
                elif opcode == Opcode.ATTACHMENT:
                    attachment = Attachment.read(stream)
                    attachments[attachment.name] = attachment.data.decode()
                else:
                    channel = Channel.read(stream)
                    channels[channel.id] = (channel.topic, channel.message_encoding)
            complete = opcode == Opcode.FOOTER
        except BROKEN as error:
            if opcode == Opcode.CHUNK:
                bad_chunks += 1
            else:
                damage.append(f"record at byte {position} is damaged ({error})")
        position = body + length
    header = _header(path, profile, metadata, complete)
    if bad_chunks:
        damage.append(f"{bad_chunks} of {bad_chunks + len(chunks)} chunks fail their check")
    unknown = sum(count for number, count in tally.items() if number not in channels)
    if unknown:
        damage.append(f"{unknown} messages belong to no known channel")
    epoch_ns = header["epoch_ns"]
    return Flight(
        path, header, attachments, epoch_ns, tuple(header["buses"]), complete, tuple(damage),
        {channels[number][0]: tally[number] for number in sorted(tally) if number in channels},
        None if span is None else span[0] - epoch_ns, None if span is None else span[1] - epoch_ns,
        channels, tuple(chunks),
    )


def _check_start(path: Path, file: IO[bytes]) -> None:
    start = file.read(len(_MAGIC))
    if not start:
        raise RecordError(path, "is empty", "give a black box (.mcap) of a flight")
    if start == RING_MAGIC:
        raise RecordError(path, "is a crash ring, not a black box", "read it with firmware_py.recorder.ring.read_ring")
    if start != _MAGIC:
        if _MAGIC.startswith(start):
            raise RecordError(path, "is cut before its metadata", "nothing can be read from it")
        kind = "looks like a text or CSV file" if _is_text(start + file.read(256)) else "is not an MCAP file"
        raise RecordError(path, kind, "give a black box (.mcap) of a flight")


def _header(path: Path, profile: str | None, metadata: dict[str, str] | None, complete: bool) -> dict[str, Any]:
    if metadata is None:
        if profile == PROFILE or (profile is None and not complete):
            raise RecordError(path, "is cut before its metadata", "nothing can be read from it")
        raise RecordError(
            path, f"is MCAP of another program (profile {profile!r}, no record {METADATA!r})",
            "give a black box written by this software",
        )
    try:
        header = {key: msgspec.json.decode(text) for key, text in metadata.items()}
    except msgspec.DecodeError as error:
        problem = f"has metadata that is not JSON ({error})"
        raise RecordError(path, problem, "it was not written by this software") from error
    if not isinstance(header.get("format"), int) or not isinstance(header.get("epoch_ns"), int):
        raise RecordError(path, "has metadata without format or epoch_ns", "it was not written by this software")
    if header["format"] > FORMAT:
        problem = f"has format {header['format']}; this software knows {FORMAT}"
        raise RecordError(path, problem, "install a newer version")
    if not isinstance(header.setdefault("buses", []), list):
        raise RecordError(path, "has metadata whose buses are no list", "it was not written by this software")
    return header


def _is_text(sample: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in sample)


def _chunk_data(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    chunk = Chunk.read(ReadDataStream(BytesIO(file.read(length))))
    stream, size = get_chunk_data_stream(chunk, validate_crc=True)
    return stream.read(size)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Channel number, time stamp and payload of each message of an uncompressed chunk."""
    position = 0
    while position < len(data):
        opcode, length = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if opcode == Opcode.MESSAGE:
            number, _, stamp, _ = _MESSAGE.unpack_from(data, position)
            yield number, stamp, data[position + _MESSAGE.size : position + length]
        position += length


def _channels_in(data: bytes, channels: dict[int, tuple[str, str]]) -> None:
    position = 0
    while position < len(data):
        opcode, length = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if opcode == Opcode.CHANNEL:
            channel = Channel.read(ReadDataStream(BytesIO(data[position : position + length])))
            channels[channel.id] = (channel.topic, channel.message_encoding)
        position += length
