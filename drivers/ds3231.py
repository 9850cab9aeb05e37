"""Maxim DS3231, real-time clock: seconds since 1970 of one read, from digits that are a date, with its own doubt shown.

Registers: Maxim 19-5170 (DS3231), table 1: 00h..06h seconds, minutes, hours (bit 6: 12-hour form with bit 5 for p.m.),
weekday 1..7, day, month (bit 7: century), year, all BCD; 07h..0Dh alarms, 0Eh control (1Ch after the first power-up;
bit 7 stops the oscillator on battery, bit 5 begins a conversion), 0Fh status (bit 7 OSF: the oscillator has stopped at
some time; bits 6..4 zero), 11h and 12h temperature, 0.25 deg C in bits 15..6. The years are 2000 + 100 x century +
year, as Linux counts them.

A sample is one read of 00h..12h, in which the chip holds the time still. A clock that lost its supply and its battery,
or was never set, says so by OSF: ``trusted`` is False until ``set_time``. The control register comes with every sample
and must be what was written (RESET). The part has no identity: the bits that are always zero and a possible date are
what can be read of it. The time registers are those of the DS1307 and DS1338, where bit 7 of the seconds says that the
clock is halted. Poll below 4 Hz: a second that is seen nine times in a row has stopped (STALE_COUNTER).
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from drivers.bus.protocol import I2cBus
from drivers.device import (
    FIRST_CONVERSION_POLLS,
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
from drivers.errors import Cause, DeviceError
from drivers.samples import RtcSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "TimeOfDay", "clock", "temperature_c", "time_of_day",
    "time_registers",
]

ORACLES = (
    Oracle(OracleKind.LINUX, "date, time and negative temperature by the ds1307 driver, DS3231 and DS1338"),
    Oracle(OracleKind.QEMU, "the ds1338 model: time registers, set and read"),
)

TIME = 0x00
CONTROL = 0x0E
STATUS = 0x0F
TIME_LENGTH = 7
LENGTH = 0x13

HALTED = 0x80
CENTURY = 0x80
TWELVE_HOURS = 0x40
PM = 0x20
CONVERTING = 0x20
STOPPED = 0x80
STATUS_RESERVED = 0x70
TEMPERATURE_RESERVED = 0x3F
_DIGITS = (0x7F, 0x7F, 0x7F, 0x07, 0x3F, 0x9F, 0xFF)
"""Bits that each time register has; bit 7 of the seconds is the halt bit of the older parts."""

CONTROL_VALUE = b"\x1c"
"""Oscillator on battery too, no square wave, no alarm: as after the first power-up."""
_CONFIGURED = Setting("control", CONTROL, CONTROL_VALUE, bytes((0xFF & ~CONVERTING,)))

TEMPERATURE_LSB_C = 0.25
TEMPERATURE_LIMITS_C = (-55.0, 125.0)
FIRST_UNIX_S = 946_684_800
"""2000-01-01."""
LAST_UNIX_S = 7_258_118_399
"""2199-12-31 23:59:59."""
SECONDS_A_DAY = 86_400
THURSDAY = 4
"""Weekday of 1970-01-01 with Sunday as 0; the chip's Sunday is 1."""
SETTING_TAKES_S = 2
"""Seconds that may pass between setting the time and reading it back."""

REGISTERS = (
    Register("TIME", TIME, TIME_LENGTH, Access.WRITE), Register("ALARM_1", 0x07, 4, Access.WRITE),
    Register("ALARM_2", 0x0B, 3, Access.WRITE), Register("CONTROL", CONTROL, 1, Access.WRITE),
    Register("STATUS", STATUS, 1, Access.WRITE), Register("AGING_OFFSET", 0x10, 1, Access.WRITE),
    Register("TEMPERATURE", 0x11, 2),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The clock has nothing to set but the time; it runs in UTC."""


class TimeOfDay(NamedTuple):
    """What the time registers say: seconds since 1970-01-01 UTC, and whether a DS1307 or DS1338 was halted."""

    unix_s: int
    halted: bool


def time_of_day(data: bytes, place: Place = NOWHERE) -> TimeOfDay:
    """Time from registers 00h..06h of a DS3231, DS1307 or DS1338, 12-hour or 24-hour form.

    Raises:
        DeviceError: IMPLAUSIBLE for bits that no time has, digits that are none, a date or time that does not exist
            (all zeros has month 0, all ones has no digits); SHORT_READ.
    """
    if len(data) != TIME_LENGTH:
        whole(data, TIME_LENGTH, place)
    halted = bool(data[0] & HALTED)
    fields = bytes((data[0] & ~HALTED, *data[1:]))
    for byte, mask in zip(fields, _DIGITS, strict=True):
        if byte & ~mask:
            raise place.error(Cause.IMPLAUSIBLE, f"time registers {data.hex()}h have bits that are always zero")
    hours = fields[2]
    hour = _bcd(hours & (0x1F if hours & TWELVE_HOURS else 0x3F), place)
    if hours & TWELVE_HOURS:
        if not 1 <= hour <= 12:
            raise place.error(Cause.IMPLAUSIBLE, f"hour {hour} of a 12-hour clock")
        hour = hour % 12 + (12 if hours & PM else 0)
    if not fields[3]:
        raise place.error(Cause.IMPLAUSIBLE, "weekday 0")
    year = 2000 + (100 if fields[5] & CENTURY else 0) + _bcd(fields[6], place)
    try:
        moment = datetime(
            year, _bcd(fields[5] & ~CENTURY, place), _bcd(fields[4], place), hour, _bcd(fields[1], place),
            _bcd(fields[0], place), tzinfo=UTC,
        )
    except ValueError as error:
        raise place.error(Cause.IMPLAUSIBLE, f"time registers {data.hex()}h: {error}") from None
    return TimeOfDay(int(moment.timestamp()), halted)


def time_registers(unix_s: int, place: Place = NOWHERE) -> bytes:
    """Registers 00h..06h for a time, 24-hour form. Raises PROTOCOL outside 2000..2199."""
    if not FIRST_UNIX_S <= unix_s <= LAST_UNIX_S:
        raise place.error(Cause.PROTOCOL, f"{unix_s} s is not in 2000..2199")
    moment = datetime.fromtimestamp(unix_s, UTC)
    century, year = divmod(moment.year - 2000, 100)
    weekday = (unix_s // SECONDS_A_DAY + THURSDAY) % 7 + 1
    digits = (moment.second, moment.minute, moment.hour, weekday, moment.day, moment.month, year)
    data = bytearray(n // 10 << 4 | n % 10 for n in digits)
    data[5] |= CENTURY if century else 0
    return bytes(data)


def temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """Temperature in deg C from 11h and 12h. Raises IMPLAUSIBLE for bits that are always zero, or beyond the part."""
    raw = int.from_bytes(whole(data, 2, place), "big", signed=True)
    value = (raw >> 6) * TEMPERATURE_LSB_C
    if raw & TEMPERATURE_RESERVED or not TEMPERATURE_LIMITS_C[0] <= value <= TEMPERATURE_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"temperature registers {data.hex()}h")
    return value


def clock(data: bytes, place: Place = NOWHERE) -> RtcSample:
    """Time, trust and temperature from registers 00h..12h.

    Raises:
        DeviceError: as ``time_of_day`` and ``temperature_c``; IMPLAUSIBLE for reserved bits of the status.
    """
    if len(data) != LENGTH:
        whole(data, LENGTH, place)
    status = data[STATUS]
    if status & STATUS_RESERVED or data[0] & HALTED:
        raise place.error(Cause.IMPLAUSIBLE, f"status {status:02x}h, seconds {data[0]:02x}h")
    moment = time_of_day(data[:TIME_LENGTH], place)
    return RtcSample(moment.unix_s, not status & STOPPED, temperature_c(data[0x11:LENGTH], place))


def _bcd(byte: int, place: Place) -> int:
    tens, ones = byte >> 4, byte & 0xF
    if tens > 9 or ones > 9:
        raise place.error(Cause.IMPLAUSIBLE, f"{byte:02x}h is no number in BCD")
    return 10 * tens + ones


CODECS = (
    Codec("00h..12h", clock, LENGTH), Codec("TIME", time_of_day, TIME_LENGTH), Codec("TEMPERATURE", temperature_c, 2),
)


class Device(ConfiguredDevice):
    """One DS3231."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, scrub_every=0)  # the control register comes with every sample
        self.settings = settings
        self._second = -1
        self._repeats = 0
        self._setting = False

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity: registers that could be a DS3231's, 1 transaction. Raises WRONG_ID."""
        yield from ()
        data = self._read(TIME, LENGTH)
        try:
            sample = clock(data, self.place)
        except DeviceError as error:
            if error.cause is not Cause.IMPLAUSIBLE:
                raise
            # One that was never set may hold anything in its time, but not in its status and temperature.
            if not data[STATUS] & STOPPED or data[STATUS] & STATUS_RESERVED or data[0x12] & TEMPERATURE_RESERVED:
                raise self.place.error(Cause.WRONG_ID, error.detail) from None
            return "Maxim DS3231 by its reserved bits, never set (it has no identity)"
        return f"Maxim DS3231 by its reserved bits, {'' if sample.trusted else 'not '}trusted (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """Probe, then the control register with read-back; the time is left alone: 3 transactions."""
        yield from self.identify()
        yield
        yield from self._configure((_CONFIGURED,))
        self._second = -1
        self._repeats = 0

    def acquire(self) -> Generator[None, None, RtcSample]:
        """Time and temperature: 1 transaction. Raises as ``clock``; RESET; STALE_COUNTER for a clock that stands."""
        yield from ()
        data = self._read(TIME, LENGTH)
        sample = clock(data, self.place)
        control = data[CONTROL : CONTROL + 1]
        if not _CONFIGURED.holds(control):
            raise self.place.error(Cause.RESET, f"configuration was lost: control is {control.hex()}h")
        self._repeats = self._repeats + 1 if sample.unix_s == self._second else 0
        self._second = sample.unix_s
        if self._repeats > FIRST_CONVERSION_POLLS:
            raise self.place.error(Cause.STALE_COUNTER, "the clock stands")
        # The chip can't be made to doubt itself, so a setting that was not finished is remembered here.
        return RtcSample(sample.unix_s, False, sample.temperature_c) if self._setting else sample

    def set_time(self, unix_s: int) -> Generator[None, None, None]:
        """Set the clock, written once, and withdraw its doubt when it goes on from there: 4 transactions.

        Until this has ended well, or another setting has, samples are not trusted.

        Raises:
            DeviceError: PROTOCOL outside 2000..2199, before anything is sent; IMPLAUSIBLE if the clock does not go on
                from there, or OSF stays: the oscillator does not run.
        """
        registers = time_registers(unix_s, self.place)
        self._setting = True
        self._second = -1
        self._write(TIME, registers)
        yield
        status = self._read_set(unix_s)[STATUS]
        yield
        self._write(STATUS, bytes((status & ~STOPPED,)))
        yield
        if self._read_set(unix_s)[STATUS] & STOPPED:
            raise self.place.error(Cause.IMPLAUSIBLE, "the oscillator does not run")
        self._setting = False

    def _read_set(self, unix_s: int) -> bytes:
        """Registers 00h..12h of a clock that was set just now: 1 transaction. Raises IMPLAUSIBLE as ``set_time``."""
        data = self._read(TIME, LENGTH)
        sample = clock(data, self.place)
        if not 0 <= sample.unix_s - unix_s <= SETTING_TAKES_S:
            raise self.place.error(Cause.IMPLAUSIBLE, f"the clock says {sample.unix_s} s after {unix_s} s was set")
        return data
