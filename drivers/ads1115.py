"""TI ADS1115, 16-bit converter: each channel's voltage comes from its own conversion, or it is missing.

Registers and codes: TI SBAS444 (ADS1113/4/5), section 9.6, 16 bits, most significant byte first: 00h conversion (two's
complement), 01h configuration (OS bit 15, MUX 14..12, PGA 11..9, MODE 8 = 1 single shot, DR 7..5, comparator 4..0 = 3
off; 8583h after reset), 02h and 03h thresholds (8000h and 7FFFh after reset); LSB = full scale / 2^15.

A channel is three transactions: the configuration with OS set, which begins one conversion; the configuration until its
OS bit says that the conversion has ended; the result. What is read back must be what was written, so a result belongs
to its channel and its range, and a chip that restarted in between is found (RESET). 7FFFh and 8000h are the ends of the
range, where the truth is beyond: that channel is ``None``. A genuine 0 comes from a chip that has just told its
configuration.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, RegisterDevice, whole
from drivers.errors import Cause
from drivers.samples import AnalogSample

__all__ = ["CODECS", "ORACLES", "REGISTERS", "Channel", "Device", "Settings", "full_scale_v", "voltage_v"]

ORACLES = (Oracle(OracleKind.LINUX, "a negative reading and its scale by the ads1015 driver"),)

CONVERSION = 0x00
CONFIGURATION = 0x01
LOW_THRESHOLD = 0x02
HIGH_THRESHOLD = 0x03

OS = 1 << 15
SINGLE_SHOT = 1 << 8
COMPARATOR_OFF = 0x0003
LOW_AFTER_RESET = b"\x80\x00"
HIGH_AFTER_RESET = b"\x7f\xff"

_MUX = {"a0-a1": 0, "a0-a3": 1, "a1-a3": 2, "a2-a3": 3, "a0": 4, "a1": 5, "a2": 6, "a3": 7}
_PGA = {6144: 0, 4096: 1, 2048: 2, 1024: 3, 512: 4, 256: 5}
_RANGES_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
_RATE = {128: 4, 250: 5, 475: 6, 860: 7}
POLLS = 64
"""Looks at the OS bit before a conversion counts as stopped; at 128/s it ends within two ticks."""

REGISTERS = (
    Register("CONVERSION", CONVERSION, 2), Register("CONFIGURATION", CONFIGURATION, 2, Access.WRITE),
    Register("LOW_THRESHOLD", LOW_THRESHOLD, 2, Access.WRITE),
    Register("HIGH_THRESHOLD", HIGH_THRESHOLD, 2, Access.WRITE),
)


class Channel(Struct, frozen=True, forbid_unknown_fields=True):
    """One input, against ground or against another, and the range that it is converted in (+-, mV)."""

    input: Literal["a0", "a1", "a2", "a3", "a0-a1", "a0-a3", "a1-a3", "a2-a3"]
    full_scale_mv: Literal[6144, 4096, 2048, 1024, 512, 256] = 4096


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``channels`` in the order of the sample; ``rate_hz``: conversions a second, the slower the quieter."""

    channels: Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=8)] = (
        Channel("a0"), Channel("a1"), Channel("a2"), Channel("a3"),
    )
    rate_hz: Literal[128, 250, 475, 860] = 250


def voltage_v(data: bytes, range_v: float, place: Place = NOWHERE) -> float | None:
    """Input voltage in V from the conversion register; ``None`` at either end of the range ``range_v``."""
    raw = int.from_bytes(whole(data, 2, place), "big", signed=True)
    return None if raw in (-0x8000, 0x7FFF) else raw * range_v / 0x8000


def full_scale_v(data: bytes, place: Place = NOWHERE) -> float:
    """Range in V that a configuration register says. Raises IMPLAUSIBLE for all zeros and all ones, SHORT_READ."""
    word = int.from_bytes(whole(data, 2, place), "big")
    if word in (0, 0xFFFF):
        raise place.error(Cause.IMPLAUSIBLE, f"configuration is {word:04x}h")
    return _RANGES_V[word >> 9 & 7]


CODECS = (
    *(Codec(f"CONVERSION, +-{mv} mV", partial(voltage_v, range_v=mv / 1000.0), 2) for mv in _PGA),
    Codec("CONFIGURATION: range in V", full_scale_v, 2),
)


class Device(RegisterDevice):
    """One ADS1115."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address)
        self.settings = settings
        self._converting = False
        rate = _RATE[settings.rate_hz] << 5 | SINGLE_SHOT | COMPARATOR_OFF
        self._plan = tuple(
            (
                OS | _MUX[channel.input] << 12 | _PGA[channel.full_scale_mv] << 9 | rate,
                channel.full_scale_mv / 1000.0,
            )
            for channel in settings.channels
        )

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity: its thresholds, which nothing here changes, 2 transactions. Raises WRONG_ID."""
        self._expect(LOW_THRESHOLD, LOW_AFTER_RESET, Cause.WRONG_ID, "low threshold")
        yield
        self._expect(HIGH_THRESHOLD, HIGH_AFTER_RESET, Cause.WRONG_ID, "high threshold")
        return "TI ADS1115 by its thresholds (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """Probe, then the first channel's configuration without a conversion, with read-back: 4 transactions."""
        yield from self.identify()
        yield
        word = self._plan[0][0] & ~OS
        self._write(CONFIGURATION, word.to_bytes(2, "big"))
        yield
        held = int.from_bytes(self._read(CONFIGURATION, 2), "big")
        if held & ~OS != word:
            raise self.place.error(Cause.IMPLAUSIBLE, f"configuration reads {held:04x}h after {word:04x}h was written")

    def acquire(self) -> Generator[None, None, AnalogSample]:
        """All channels, one conversion after the other: 3 transactions each, more while one converts.

        Raises:
            DeviceError: RESET if the configuration isn't what was written, STALE_COUNTER if a conversion does not end.
        """
        if self._converting:
            # A sample was broken off: what would end next is a conversion of another channel.
            yield from self._await_end(None)
            yield
        values: list[float | None] = []
        for index, (word, range_v) in enumerate(self._plan):
            if index:
                yield
            self._converting = True
            self._write(CONFIGURATION, word.to_bytes(2, "big"))
            yield
            yield from self._await_end(word)
            yield
            values.append(voltage_v(self._read(CONVERSION, 2), range_v, self.place))
        return AnalogSample(tuple(values))

    def _await_end(self, word: int | None) -> Generator[None, None, None]:
        """Looks at the configuration, which must be ``word``, until no conversion runs."""
        for look in range(POLLS):
            if look:
                yield
            held = int.from_bytes(self._read(CONFIGURATION, 2), "big")
            if word is not None and held | OS != word:
                self._converting = False
                raise self.place.error(Cause.RESET, f"configuration is {held:04x}h instead of {word:04x}h")
            if held & OS:
                self._converting = False
                return
        raise self.place.error(Cause.STALE_COUNTER, "the conversion does not end")
