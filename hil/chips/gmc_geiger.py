"""Plays a GQ GMC Geiger counter: counts drawn from a rate, sent each second when the heartbeat is on.

Facts: GQ-RFC1201 ("GQ Geiger Counter Communication Protocol", versions 1.10 and 1.40): commands ``<NAME>>``; GETVER
answers 7 bytes of model and 7 of firmware, GETCPM 16 bits most significant byte first, GETVOLT one byte of 0.1 V,
GETSERIAL 7 bytes, GETCFG 256 bytes, POWEROFF nothing; HEARTBEAT1 starts 16 bits a second of which the low 14 are the
count and bits 15 and 14 are reserved, HEARTBEAT0 ends it. Nothing frames a heartbeat: it is two bytes and a pause.

Counts are Poisson from the generator handed in. The counter counts whether anybody listens or not, so that GETCPM is
the sum of the last sixty seconds. Not played: flash history, writing the configuration, keys, the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

__all__ = ["GmcGeiger"]

_SECOND_NS = 1_000_000_000
_COUNT_MASK = 0x3FFF
_LONGEST_COMMAND = 64


class GmcGeiger:
    """A GMC-320 class counter. Attach it to a SimSerialBus; the rig sets attributes and calls :meth:`advance`.

    Attributes:
        rate_per_s: mean counts a second of the tube; 0 for a tube that has failed.
        battery_v: its own battery.
        reserved_bits: OR-ed into every heartbeat. The document reserves bits 15 and 14, but its own example of 28
            counts (10h 1Ch) has bit 12 set, so any bit may be set here.
        silent: says nothing, hears nothing, goes on counting.
        heartbeat: whether it sends counts.
        powered: False after POWEROFF, until :meth:`reset`.
    """

    def __init__(
        self, rng: np.random.Generator, start_ns: int = 0, model: str = "GMC-320", firmware: str = "Re 4.09",
        serial: bytes = b"\xf4\x88\x12\x34\x56\x78\x90",
    ) -> None:
        """A counter switched on at ``start_ns``. ValueError for names or a serial number that are not 7 bytes."""
        version = (model + firmware).encode("ascii")
        if len(model) != 7 or len(firmware) != 7 or len(serial) != 7:
            raise ValueError("model, firmware and serial number are 7 bytes each")
        self.rate_per_s = 0.5
        self.battery_v = 4.0
        self.reserved_bits = 0
        self.silent = False
        self._rng = rng
        self._version = version
        self._serial = serial
        self._send: Callable[[bytes], None] | None = None
        self._next_ns = start_ns + _SECOND_NS
        self.reset()

    def reset(self) -> None:
        """Power-on: heartbeat off, no counts yet."""
        self.heartbeat = False
        self.powered = True
        self._command: bytearray | None = None
        self._seconds: deque[int] = deque(maxlen=60)

    @property
    def counts_per_minute(self) -> int:
        """Counts of the last sixty seconds."""
        return sum(self._seconds)

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line."""
        self._send = send

    def receive(self, data: bytes) -> None:
        """Commands; what is none is ignored without a sign."""
        if self.silent or not self.powered:
            return
        for byte in data:
            if byte == 0x3C:
                self._command = bytearray()
            elif self._command is not None:
                self._command.append(byte)
                if self._command.endswith(b">>"):
                    name, self._command = bytes(self._command[:-2]), None
                    self._obey(name)
                elif len(self._command) > _LONGEST_COMMAND:
                    self._command = None

    def advance(self, t_ns: int) -> None:
        """Count the seconds that have ended by ``t_ns``."""
        while t_ns >= self._next_ns:
            self._next_ns += _SECOND_NS
            if not self.powered:
                continue
            counts = int(self._rng.poisson(self.rate_per_s)) if self.rate_per_s > 0.0 else 0
            counts = min(counts, _COUNT_MASK)
            self._seconds.append(counts)
            if self.heartbeat:
                self._answer(((counts | self.reserved_bits) & 0xFFFF).to_bytes(2, "big"))

    def _answer(self, data: bytes) -> None:
        if self._send is not None and not self.silent:
            self._send(data)

    def _obey(self, name: bytes) -> None:
        if name == b"HEARTBEAT1":
            self.heartbeat = True
        elif name == b"HEARTBEAT0":
            self.heartbeat = False
        elif name == b"GETVER":
            self._answer(self._version)
        elif name == b"GETCPM":
            self._answer(min(0xFFFF, self.counts_per_minute).to_bytes(2, "big"))
        elif name == b"GETVOLT":
            self._answer(bytes((max(0, min(255, round(self.battery_v * 10.0))),)))
        elif name == b"GETSERIAL":
            self._answer(self._serial)
        elif name == b"GETCFG":
            self._answer(b"\xff" * 256)
        elif name == b"POWEROFF":
            self.powered = self.heartbeat = False
