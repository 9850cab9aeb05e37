"""Record of the perception, one MCAP file beside the black box: all that came in, byte for byte, and what came of it.

=============  =============  =====================================================================================
channel        encoding       one message
=============  =============  =====================================================================================
``/in``        qiki-port      a message of the flight loop as ``port.CODEC`` packs it, in the order of arrival
``/step``      cbor           flight time of one step that had something to do, and how many messages it took
``/tracks``    cbor           columns of the track list after a step that changed it (``pack_tracks``)
``/risk``      cbor           columns of risk for the same tracks
``/grid``      cbor           occupied cells, now and then
``/event``     json           code, severity, text
=============  =============  =====================================================================================

A file that cannot grow never stops a flight: ``failure`` says why, ``dropped`` counts. Equal input gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cbor2
import msgspec
import numpy as np
from mcap.reader import NonSeekingReader
from mcap.writer import CompressionType, Writer
from numpy.typing import NDArray

from firmware_py.perception.tracks import TrackSet
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import BROKEN

__all__ = [
    "CHANNELS", "PerceptionRecord", "Recorded", "pack_columns", "pack_tracks", "read_columns", "read_header",
    "read_perception", "read_tracks",
]

CHANNELS = {
    "/in": "qiki-port", "/step": "cbor", "/tracks": "cbor", "/risk": "cbor", "/grid": "cbor", "/event": "json",
}
METADATA = "qiki.perception"
FORMAT = 1
LIBRARY = f"qiki-flight perception {FORMAT}"
"""Pinned, since the container library would put in its own version."""
CHUNK_BYTES = 64 * 1024
MAX_BYTES = 1024**3
"""Size at which a record ends: some hours of a busy sky."""
NEXT_STEP = "give a perception.mcap or the folder of a flight"
_COLUMNS = tuple(field.name for field in fields(TrackSet) if field.name != "t_ns")


def pack_columns(t_ns: int, columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Columns of equal length at one time as CBOR: of each its type, its shape and its bytes."""
    rows = {name: [column.dtype.str, list(column.shape), np.ascontiguousarray(column).tobytes()]
            for name, column in columns.items()}
    return cbor2.dumps({"t_ns": t_ns, "columns": rows})


def read_columns(data: bytes) -> tuple[int, dict[str, NDArray[Any]]]:
    """Time and columns of these bytes. Raises ValueError for what are none."""
    try:
        row = cbor2.loads(data)
        return int(row["t_ns"]), {
            name: np.frombuffer(held, np.dtype(kind)).reshape(shape)
            for name, (kind, shape, held) in row["columns"].items()
        }
    except (cbor2.CBORDecodeError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"no columns: {error}") from None


def pack_tracks(tracks: TrackSet) -> bytes:
    """The track list, see ``pack_columns``."""
    return pack_columns(tracks.t_ns, {name: getattr(tracks, name) for name in _COLUMNS})


def read_tracks(data: bytes) -> TrackSet:
    """The track list of these bytes. Raises ValueError for what is none."""
    t_ns, columns = read_columns(data)
    if set(columns) != set(_COLUMNS):
        raise ValueError(f"no track list: it has the columns {', '.join(sorted(columns))}")
    return TrackSet(t_ns, **columns)


class PerceptionRecord:
    """Writes one record.

    Args:
        path: file to make; its folder must exist.
        header: what ran; as JSON can hold it.
        epoch_ns: UTC at flight time 0, ns since 1970.
        max_bytes: size at which nothing more is written.

    Raises:
        RecordError: the file exists or cannot be made.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any], epoch_ns: int = 0, max_bytes: int = MAX_BYTES
    ) -> None:
        try:
            self._file: BinaryIO = path.open("xb")
        except FileExistsError:
            raise RecordError(path, "a file of that name exists", "choose another name or move it away") from None
        except OSError as error:
            raise RecordError(path, f"cannot be made ({error.strerror})", "choose another place") from None
        self._epoch_ns = epoch_ns
        self._max_bytes = max_bytes
        self._bytes = 0
        self.dropped = 0
        self.failure: str | None = None
        self._json = msgspec.json.Encoder().encode
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.LZ4)
        self._writer.start("qiki", LIBRARY)
        known = {**header, "format": FORMAT, "epoch_ns": epoch_ns}
        self._writer.add_metadata(METADATA, {key: self._json(known[key]).decode() for key in sorted(known)})
        self._ids = {topic: self._writer.register_channel(topic, encoding, 0) for topic, encoding in CHANNELS.items()}
        self._sequence = dict.fromkeys(CHANNELS, 0)

    def add(self, topic: str, t_ns: int, data: bytes) -> None:
        """One message of a channel."""
        if self.failure is not None:
            self.dropped += 1
            return
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            self.failure = f"the record has reached its limit of {self._max_bytes} bytes"
            self.dropped += 1
            with suppress(OSError):
                self._writer.finish()
            return
        stamp = self._epoch_ns + t_ns
        self._sequence[topic] += 1
        try:
            self._writer.add_message(self._ids[topic], stamp, data, stamp, self._sequence[topic])
        except OSError as error:
            self.failure = error.strerror or type(error).__name__
            self.dropped += 1

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """One event."""
        self.add("/event", t_ns, self._json({"code": code, "severity": severity, "text": text}))

    def close(self) -> None:
        """Finish the file. Calling it again does nothing."""
        if self._file.closed:
            return
        try:
            if self.failure is None:
                self._writer.finish()
            self._file.close()
        except OSError as error:
            self.failure = error.strerror or type(error).__name__


class Recorded(NamedTuple):
    """One message of a record; ``t_ns`` is flight time."""

    topic: str
    t_ns: int
    data: bytes


def read_header(path: Path) -> dict[str, Any]:
    """What ran. Raises RecordError for a file that is no record of the perception."""
    try:
        with path.open("rb") as file:
            for metadata in NonSeekingReader(file).iter_metadata():
                if metadata.name == METADATA:
                    return {key: msgspec.json.decode(value) for key, value in metadata.metadata.items()}
    except FileNotFoundError:
        raise RecordError(path, "no such file", "fly with surroundings first: qiki run --mission fly-by") from None
    except (OSError, *BROKEN) as error:
        raise RecordError(path, f"cannot be read ({error})", NEXT_STEP) from None
    raise RecordError(path, "is no record of the perception", NEXT_STEP)


def read_perception(path: Path, topics: tuple[str, ...] = tuple(CHANNELS)) -> Iterator[Recorded]:
    """Messages of a record in the order in which they were written; of a torn file those that are whole.

    Raises RecordError for a file that is no record of the perception.
    """
    epoch_ns = int(read_header(path)["epoch_ns"])
    with path.open("rb") as file:
        reader = NonSeekingReader(file)
        try:
            for _, channel, message in reader.iter_messages(topics=list(topics), log_time_order=False):
                yield Recorded(channel.topic, message.log_time - epoch_ns, message.data)
        except BROKEN:
            # A power cut tore the last chunk: what stands before it has been told.
            return
