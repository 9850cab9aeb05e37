"""ams AS7341, spectral sensor: ten channels in two passes, each from an integration that ended as it was configured.

Registers: ams DS000504 (AS7341 datasheet), chapter 10: 00h..13h SMUX memory, 80h ENABLE (PON, SP_EN, SMUXEN), 81h
ATIME, 92h identity (09h in bits 7..2), 94h ASTATUS (bit 7 saturated, bits 3..0 gain of the data), 95h..A0h six results,
least significant byte first, A3h STATUS2 (bit 6 valid, bit 4 digital and bit 3 analog saturation), AAh AGAIN, AFh SMUX
command, CAh/CBh ASTEP. Integration (ATIME + 1) (ASTEP + 1) 2.78 us; full scale (ATIME + 1) (ASTEP + 1), at most 65535;
gain 0.5 x 2^AGAIN. Reading ASTATUS latches the results, so both come in one read. SMUX tables: ams AN000666; each
nibble puts one photodiode on one of the six converters.

Six converters look at F1..F4, clear and NIR in the first pass, at F5..F8, clear and NIR in the second. A pass is set up
in seven short transactions and integrates while others have the bus: ``acquire`` gives ``None`` while a pass runs and a
sample in every second call at best, so poll at twice the wanted rate. The first pass of a sample is one period older
than the second; clear and NIR are those of the second. A saturated converter is ``None``: the one at full scale, or all
of a pass when it was the analog front end, which does not say which one it was.

Dark really reads 0, so a result is believed only together with the gain that ASTATUS reports and an ENABLE register
that still says what was written; a chip that restarted has both at 0 (RESET).
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct as Layout
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import (
    NOWHERE,
    Access,
    Codec,
    ConfiguredDevice,
    Oracle,
    OracleKind,
    Place,
    Register,
    Setting,
    whole,
)
from drivers.errors import Cause
from drivers.samples import SpectrumSample

__all__ = ["CHANNELS", "CODECS", "ORACLES", "REGISTERS", "Device", "Pass", "Settings", "one_pass"]

ORACLES = (Oracle(OracleKind.NOTHING, "the datasheet alone; there is no model or other driver to compare with"),)

CHANNELS = (
    "415 nm", "445 nm", "480 nm", "515 nm", "555 nm", "590 nm", "630 nm", "680 nm", "clear", "NIR",
)
"""F1..F8 by the middle of their bands, then the unfiltered and the infrared diode."""

SMUX = 0x00
ENABLE = 0x80
ATIME = 0x81
REVISION = 0x91
ASTATUS = 0x94
STATUS2 = 0xA3
CFG1 = 0xAA
CFG6 = 0xAF
ASTEP = 0xCA

PART = 0x09
POWER = 0x01
MEASURE = 0x02
SMUX_RUN = 0x10
SMUX_WRITE = b"\x10"
"""SMUX_CMD 2 in bits 4..3 of CFG6: memory to multiplexer."""
VALID = 0x40
ANALOG_SATURATION = 0x08
STATUS2_RESERVED = 0xA4
SATURATED = 0x80
GAIN = 0x0F
ASTATUS_RESERVED = 0x70

STEP_S = 2.78e-6
RESULTS = 6
PASS_LENGTH = 1 + 2 * RESULTS
FULL_SCALE = 0xFFFF
_PASS = Layout("<B6H")
SMUX_POLLS = 8
"""Looks at SMUXEN before the multiplexer counts as stuck; it needs far less than one transaction."""

_F1_TO_F4 = bytes.fromhex("3001000000420000500000002004003001500006")
_F5_TO_F8 = bytes.fromhex("0000004002001003501003000000240000500006")
"""Clear on converter 4 and NIR on converter 5 in both."""

REGISTERS = (
    Register("SMUX", SMUX, 20, Access.WRITE), Register("ENABLE", ENABLE, 1, Access.WRITE),
    Register("ATIME", ATIME, 1, Access.WRITE), Register("WTIME", 0x83, 1, Access.WRITE), Register("AUXID", 0x90, 1),
    Register("REVID", REVISION, 1), Register("ID", 0x92, 1), Register("STATUS", 0x93, 1),
    Register("ASTATUS and results", ASTATUS, PASS_LENGTH, Access.CLEARS), Register("STATUS2", STATUS2, 1),
    Register("STATUS3", 0xA4, 1), Register("STATUS5", 0xA6, 1), Register("STATUS6", 0xA7, 1),
    Register("CFG0", 0xA9, 1, Access.WRITE), Register("CFG1", CFG1, 1, Access.WRITE),
    Register("CFG6", CFG6, 1, Access.WRITE), Register("CFG8", 0xB1, 1, Access.WRITE),
    Register("ASTEP", ASTEP, 2, Access.WRITE), Register("CONTROL", 0xFA, 1, Access.WRITE),
)
"""Reading ASTATUS latches new results."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Integration (``atime`` + 1)(``astep`` + 1) 2.78 us, 182 ms by default; gain 0.5 x 2^``again``, 64 by default.

    ``scrub_every``: passes between two looks at the configuration; 0 for never.
    """

    atime: Annotated[int, Meta(ge=0, le=255)] = 65
    astep: Annotated[int, Meta(ge=0, le=65_534)] = 992
    again: Annotated[int, Meta(ge=0, le=10)] = 7
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 4

    @property
    def integration_s(self) -> float:
        """Time of one integration, s."""
        return (self.atime + 1) * (self.astep + 1) * STEP_S

    @property
    def full_scale(self) -> int:
        """Counts at which a converter is at its end."""
        return min((self.atime + 1) * (self.astep + 1), FULL_SCALE)

    @property
    def gain(self) -> float:
        """Amplification."""
        return 0.5 * float(1 << self.again)


class Pass(NamedTuple):
    """One integration of six converters: AGAIN under which it was made, analog saturation, counts."""

    again: int
    saturated: bool
    counts: tuple[int, ...]


def one_pass(data: bytes, place: Place = NOWHERE) -> Pass:
    """Six counts with their gain and saturation, from the 13 bytes of ASTATUS and results.

    Raises:
        DeviceError: IMPLAUSIBLE for reserved bits or a gain that the part doesn't have (all ones); SHORT_READ.
    """
    status, *counts = _PASS.unpack(whole(data, PASS_LENGTH, place))
    again = status & GAIN
    if status & ASTATUS_RESERVED or again > 10:
        raise place.error(Cause.IMPLAUSIBLE, f"ASTATUS {status:02x}h")
    return Pass(again, bool(status & SATURATED), tuple(counts))


CODECS = (Codec("ASTATUS and results", one_pass, PASS_LENGTH),)


class Device(ConfiguredDevice):
    """One AS7341."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._full_scale = settings.full_scale
        self._scale = 1.0 / (settings.gain * settings.integration_s)
        self._table = (
            Setting("ATIME", ATIME, bytes((settings.atime,))),
            Setting("ASTEP", ASTEP, settings.astep.to_bytes(2, "little")),
            Setting("CFG1", CFG1, bytes((settings.again,))),
        )
        self._measuring = Setting("ENABLE", ENABLE, bytes((POWER | MEASURE,)))
        self._first: tuple[float | None, ...] | None = None
        self._running = False

    def identify(self) -> Generator[None, None, str]:
        """Part and revision: 1 transaction. Raises WRONG_ID."""
        yield from ()
        revision, part = self._read(REVISION, 2)
        if part >> 2 != PART:
            raise self.place.error(Cause.WRONG_ID, f"identity is {part:02x}h instead of {PART << 2:02x}h")
        return f"ams AS7341 revision {revision & 0x07}"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, power, integration time and gain with read-back: 8 transactions."""
        yield from self.identify()
        yield
        self._write(ENABLE, bytes((POWER,)))
        yield
        yield from self._configure(self._table)
        self._running = False
        self._first = None

    def acquire(self) -> Generator[None, None, SpectrumSample | None]:
        """Begin a pass, or take it in once it has ended; ``None`` but for the end of every second pass.

        7 to 11 transactions, 2 while a pass runs.

        Raises:
            DeviceError: STALE_COUNTER for an integration or a multiplexer that does not end; RESET.
        """
        if self._lost is not None:
            self._scrub()
            yield
        if not self._running:
            self._first = None
            yield from self._begin(_F1_TO_F4)
            return None
        # A pass that fails on the way leaves nothing behind that could be taken for one.
        self._running = False
        values = yield from self._take()
        if values is None:
            self._running = True
            return None
        if self._scrub_due():
            yield
            self._scrub()
        yield
        first = self._first
        if first is None:
            yield from self._begin(_F5_TO_F8)
            self._first = values
            return None
        self._first = None
        yield from self._begin(_F1_TO_F4)
        return SpectrumSample(
            CHANNELS, (*first[:4], *values), self.settings.gain, self.settings.integration_s
        )

    def _begin(self, smux: bytes) -> Generator[None, None, None]:
        """Stop, route the diodes, integrate: 7 transactions, more if the multiplexer is slow."""
        self._write(ENABLE, bytes((POWER,)))
        yield
        self._write(CFG6, SMUX_WRITE)
        yield
        self._write(SMUX, smux)
        yield
        self._write(ENABLE, bytes((POWER | SMUX_RUN,)))
        yield
        enable = self._read(ENABLE, 1)[0]
        looks = 1
        while enable & SMUX_RUN:
            if looks == SMUX_POLLS:
                raise self.place.error(Cause.STALE_COUNTER, "the multiplexer does not finish")
            looks += 1
            yield
            enable = self._read(ENABLE, 1)[0]
        if enable != POWER:
            raise self.place.error(Cause.RESET, f"ENABLE is {enable:02x}h instead of {POWER:02x}h")
        yield
        self._write(ENABLE, self._measuring.value)
        yield
        # Read back as part of the pass, so that a write that was lost isn't waited for.
        if not self._measuring.holds(self._read(ENABLE, 1)):
            raise self.place.error(Cause.IMPLAUSIBLE, "the measurement did not start")
        self._running = True
        self._await_first_conversion()

    def _take(self) -> Generator[None, None, tuple[float | None, ...] | None]:
        """Basic counts of a pass that has ended, ``None`` while it runs: 3 transactions, or 2."""
        if not self._measuring.holds(self._read(ENABLE, 1)):
            self._lost = self._table[-1]  # seen right before anything is measured again
            raise self.place.error(Cause.RESET, "ENABLE does not say that a measurement runs")
        yield
        status = self._read(STATUS2, 1)[0]
        if status & STATUS2_RESERVED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"STATUS2 {status:02x}h")
        if not status & VALID:
            self._not_converted()
            return None
        yield
        again, saturated, counts = one_pass(self._read(ASTATUS, PASS_LENGTH), self.place)
        if again != self.settings.again:
            raise self.place.error(Cause.RESET, f"results of AGAIN {again} instead of {self.settings.again}")
        full = self._full_scale
        if saturated and (status & ANALOG_SATURATION or max(counts) < full):
            return (None,) * RESULTS
        return tuple(None if count >= full else count * self._scale for count in counts)
