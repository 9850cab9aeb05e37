"""One flight, one MCAP file: equal messages give equal bytes, a crash costs the open chunk, no error stops a flight.

MCAP is an open container (https://mcap.dev/spec) that Foxglove Studio, PlotJuggler and others plot as it is.

======================  ========  =================================================================================
channel                 encoding  one message
======================  ========  =================================================================================
``/snapshot``           json      the telemetry snapshot, 20 Hz
``/event``              json      code, severity, text, data
``/command``            json      one stage of one command: number, name, source, state, codes, detail, arguments
``/bus``                cbor      one tick: a list of :data:`firmware_py.recorder.tap.Transfer`
``/truth``              json      what a rig knows of its world; absent from flights of real craft
``/timing``             json      scheduler profile; absent on simulated clocks: bytes must not depend on a machine
======================  ========  =================================================================================

Time stamps are ``epoch_ns`` + flight time. Metadata and attachments come before the first message, so that a file cut
anywhere behind them still says what flew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from mcap.writer import CompressionType, Writer

from comms.dictionary import TELEMETRY, Kind
from firmware_py.recorder import RecordError
from firmware_py.recorder.rows import RowWriter

__all__ = [
    "FORMAT", "METADATA", "PROFILE", "REQUIRED_HEADER", "TOPICS", "BlackBox", "infer_schema", "snapshot_schema",
]

FORMAT: Final = 1
"""Version of what is inside the container; a reader refuses a higher one."""
PROFILE: Final = "qiki"
METADATA: Final = "qiki.flight"
"""Name of the metadata record; its values are JSON texts."""
LIBRARY: Final = f"qiki-flight format {FORMAT}"
"""Pinned, since the container library would put in its own version."""
REQUIRED_HEADER: Final = (
    "software_version", "hardware_profile_hash", "body", "board", "mission", "seed", "rates",
)
"""Keys that every header has; what a flight does not have (a seed, say) is ``None``."""
TOPICS: Final = ("/snapshot", "/event", "/command", "/bus")
"""Channels of every file, in the order of their identifiers 1..4."""

CHUNK_BYTES: Final = 32 * 1024
"""Closing a chunk costs time in one tick: about 0.2 ms for this size on a laptop, below 1 ms on a Raspberry Pi 4."""
MAX_BYTES: Final = 4 * 1024**3

_JSON_TYPES: Final[dict[Kind, dict[str, Any]]] = {
    Kind.NUMBER: {"type": "number"},
    Kind.VECTOR3: {"type": "array", "items": {"type": "number"}},
    Kind.QUATERNION: {"type": "array", "items": {"type": "number"}},
    Kind.CHOICE: {"type": "string"},
    Kind.FLAG: {"type": "boolean"},
    Kind.TEXT: {"type": "string"},
    Kind.TABLE: {"type": "object", "properties": {}},
    Kind.LIST: {"type": "array", "items": {"type": "number"}},
}
_EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "severity": {"type": "string"},
        "text": {"type": "string"},
        "data": {"type": "object", "properties": {}},
    },
}
_COMMAND_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "number": {"type": "number"},
        "name": {"type": "string"},
        "source": {"type": "string"},
        "state": {"type": "string"},
        "codes": {"type": "array", "items": {"type": "string"}},
        "detail": {"type": "string"},
        "arguments": {"type": "object", "properties": {}},
    },
}


def snapshot_schema() -> dict[str, Any]:
    """JSON schema of ``/snapshot``, from the telemetry table.

    Any channel may be ``null`` (missing). The schema does not say so: plotting programs take one type a field.
    """
    return {
        "type": "object",
        "properties": {
            channel.name: {**_JSON_TYPES[channel.kind], "description": f"{channel.text} [{channel.unit}]"}
            for channel in TELEMETRY
        },
    }


def infer_schema(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON schema of a message that no table declares, from one example. What is ``None`` there is left out."""
    return {"type": "object", "properties": {key: _type_of(value) for key, value in row.items() if value is not None}}


def _type_of(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, Mapping):
        return infer_schema(value)
    if isinstance(value, list | tuple):
        return {"type": "array", "items": _type_of(value[0]) if value else {"type": "number"}}
    return {"type": "number"}


class _Sink:
    """A file without a buffer of its own, that goes silent at its first error instead of raising it.

    What was written reaches the kernel at once, so a crash of the program (not of the machine) loses nothing of it.
    """

    __slots__ = ("descriptor", "errno", "failure", "position")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.position = 0
        self.failure: str | None = None
        self.errno: int | None = None

    def fail(self, error: OSError) -> None:
        """Nothing is written any more, for this reason."""
        self.failure = error.strerror or type(error).__name__
        self.errno = error.errno

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left and self.failure is None:
            try:
                done = os.write(self.descriptor, left)
            except OSError as error:
                self.fail(error)
                break
            self.position += done
            left = left[done:]
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing is held back here."""


class BlackBox(RowWriter):
    """Writes one flight. Not thread-safe; owned by the recorder member of the schedule.

    A file that cannot grow any more (disk full, medium gone, ``max_bytes`` reached) never raises in flight: ``failure``
    says why, ``dropped`` counts the messages lost, and what was written stays readable. Equal bytes for equal messages
    hold for one version of the mcap and lz4 libraries.

    Args:
        path: file to make; its folder must exist.
        header: what flew, see :data:`REQUIRED_HEADER`; further keys are kept. Values as JSON can hold them.
        epoch_ns: UTC at flight time 0, ns since 1970; 0 where it is not known.
        buses: names of the tapped buses in the order of their index (``TapLog.names``).
        attachments: whole texts by file name, for example the YAML of body, board and mission.
        overwrite: replace an existing file; otherwise a flight that is there is never lost.
        max_bytes: size at which the file is finished.

    Raises:
        RecordError: the file exists or cannot be made.
        ValueError: a key of the header is missing, or ``epoch_ns`` is negative.
    """

    def __init__(
        self,
        path: Path | str,
        header: Mapping[str, Any],
        epoch_ns: int = 0,
        *,
        buses: Sequence[str] = (),
        attachments: Mapping[str, str] | None = None,
        overwrite: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        missing = [key for key in REQUIRED_HEADER if key not in header]
        if missing:
            raise ValueError(f"header lacks {', '.join(missing)}; give None for what this flight does not have")
        if epoch_ns < 0:
            raise ValueError(f"epoch_ns is {epoch_ns}; 0 or more is allowed")
        super().__init__()
        self.path = Path(path)
        self.dropped = 0
        self._epoch_ns = epoch_ns
        self._max_bytes = max_bytes
        self._full = False
        self._finished = False
        self._closed = False
        self._sink = _Sink(_open(self.path, overwrite))
        self._writer = Writer(self._sink, chunk_size=CHUNK_BYTES, compression=CompressionType.LZ4)  # type: ignore[arg-type]
        self._writer.start(PROFILE, LIBRARY)
        known = {**header, "format": FORMAT, "epoch_ns": epoch_ns, "buses": list(buses)}
        self._writer.add_metadata(METADATA, {key: self._encode(known[key]).decode() for key in sorted(known)})
        for name, text in (attachments or {}).items():
            media_type = "application/yaml" if name.endswith((".yaml", ".yml")) else "text/plain"
            self._writer.add_attachment(epoch_ns, epoch_ns, name, media_type, text.encode())
        self._sequence: list[int] = [0]
        schemas: tuple[dict[str, Any] | None, ...] = (snapshot_schema(), _EVENT_SCHEMA, _COMMAND_SCHEMA, None)
        for topic, schema in zip(TOPICS, schemas, strict=True):
            self._register(topic, schema)
        self._late: dict[str, int] = {}
        if self._sink.failure is not None:
            os.close(self._sink.descriptor)
            problem = f"cannot be written ({self._sink.failure})"
            raise RecordError(self.path, problem, "make room or choose another place", self._sink.errno)

    def truth(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """What the rig knows of its world. The first row gives the schema, so it should miss nothing."""
        self._add(self._late_channel("/truth", row), t_ns, self._encode(row))

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """The scheduler's profile; not for simulated clocks, where it would make equal flights unequal."""
        self._add(self._late_channel("/timing", row), t_ns, self._encode(row))

    def encoded(self, channel: int, t_ns: int, data: bytes) -> None:
        """One row that was encoded elsewhere (``firmware_py.recorder.rows``). ValueError for no channel of every file.
        """
        if not 1 <= channel <= len(TOPICS):
            raise ValueError(f"channel {channel}; 1..{len(TOPICS)} are allowed")
        self._add(channel, t_ns, data)

    @property
    def failure(self) -> str | None:
        """Why nothing is recorded any more, or ``None``."""
        if self._full:
            return f"file has reached its limit of {self._max_bytes} bytes"
        return self._sink.failure

    @property
    def failure_errno(self) -> int | None:
        """The operating system's number of ``failure``; ``None`` where it is not the system's."""
        return None if self._full else self._sink.errno

    @property
    def size_bytes(self) -> int:
        """Bytes handed to the kernel so far."""
        return self._sink.position

    def fileno(self) -> int:
        """Descriptor, for a :class:`firmware_py.recorder.ring.Flusher`. Valid until ``close``."""
        return self._sink.descriptor

    def flush(self) -> None:
        """Close the open chunk and hand it to the kernel. More often than once a second costs compression."""
        if not self._finished and self._sink.failure is None:
            self._writer.flush()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Write index and summary; nothing goes in after it. The file stays open, for whoever synchronises it."""
        # After an error the summary would stand behind a hole; a file without one is read as far as it is whole.
        if not self._finished and self._sink.failure is None:
            self._writer.finish()  # type: ignore[no-untyped-call]
        self._finished = True

    def close(self) -> None:
        """Finish the file (index, summary) and close it. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.finish()
        try:
            os.close(self._sink.descriptor)
        except OSError as error:
            self._sink.fail(error)

    def __enter__(self) -> BlackBox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, channel: int, t_ns: int, data: bytes) -> None:
        if self._finished or self._sink.failure is not None:
            self.dropped += 1
            return
        stamp = self._epoch_ns + t_ns
        number = self._sequence[channel]
        self._sequence[channel] = (number + 1) & 0xFFFF_FFFF
        self._writer.add_message(channel, stamp, data, stamp, number)
        if self._sink.position >= self._max_bytes:
            self._full = True
            self.finish()

    def _register(self, topic: str, schema: dict[str, Any] | None) -> int:
        if schema is None:
            identifier, encoding = 0, "cbor"
        else:
            name = f"qiki.{topic.removeprefix('/').capitalize()}"
            identifier = self._writer.register_schema(name, "jsonschema", self._encode(schema))
            encoding = "json"
        self._sequence.append(0)
        return self._writer.register_channel(topic, encoding, identifier)

    def _late_channel(self, topic: str, row: Mapping[str, Any]) -> int:
        channel = self._late.get(topic)
        if channel is None:
            channel = self._late[topic] = self._register(topic, infer_schema(row))
        return channel


def _open(path: Path, overwrite: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        return os.open(path, flags, 0o644)
    except FileExistsError:
        raise RecordError(path, "a file of that name exists", "choose another name or move it away") from None
    except FileNotFoundError:
        raise RecordError(path, "its folder does not exist", f"make {path.parent} first") from None
    except OSError as error:
        raise RecordError(path, f"cannot be made ({error.strerror})", "choose another place", error.errno) from error
