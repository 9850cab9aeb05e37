"""A few bytes that outlive a restart: after a power cut at any moment the record is the old one or the new one, whole.

Written to a temporary file, synchronised, renamed, and the folder synchronised. A record that was damaged is told apart
from one that was never written.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from hal.nonvolatile import Files, replace_file

__all__ = ["LONGEST_RECORD", "Found", "KeptRecord"]

LONGEST_RECORD = 512
_CRC = Struct(">I")


class Found(NamedTuple):
    """What reading found: the record, or ``None``; ``broken`` if something is there that cannot be read."""

    payload: bytes | None
    broken: bool = False


class KeptRecord:
    """One small file.

    Args:
        files: folder in which it lies.
        name: of the file; also part of the checksum, so that files that were mixed up are noticed.

    Attributes:
        failures: writes and reads that the medium refused.
    """

    __slots__ = ("_files", "_name", "_seed", "failures")

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        self._seed = crc32(name.encode())
        self.failures = 0

    def load(self) -> Found:
        """Read it. Never raises for what the medium does."""
        try:
            data = self._files.read(self._name, LONGEST_RECORD + _CRC.size + 1)
        except OSError:
            self.failures += 1
            return Found(None, broken=True)
        if data is None:
            return Found(None)
        body, check = data[:-_CRC.size], data[-_CRC.size:]
        if not 1 <= len(body) <= LONGEST_RECORD or check != _CRC.pack(crc32(body, self._seed)):
            return Found(None, broken=True)
        return Found(body)

    def store(self, payload: bytes) -> bool:
        """Replace it; ``False`` if the medium refused. ValueError for more than LONGEST_RECORD bytes, or none."""
        if not 1 <= len(payload) <= LONGEST_RECORD:
            raise ValueError(f"{len(payload)} bytes; 1..{LONGEST_RECORD} are allowed")
        data = payload + _CRC.pack(crc32(payload, self._seed))
        try:
            replace_file(self._files, self._name, data)
        except OSError:
            self.failures += 1
            return False
        return True
