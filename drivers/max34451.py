"""Maxim MAX34451, supervisor of 16 channels: every rail read on its own page, every switch read back.

Commands and formats: MAX34451 data sheet, table 3 (commands by page), tables 5 and 6 (DIRECT format: voltage in mV,
current in 0.01 A, temperature in 0.01 deg C), tables 10 to 12 (OPERATION), and the sections on READ_TEMPERATURE_1
(7FFFh a faulty sensor, 0000h a disabled one), MFR_CHANNEL_CONFIG E4h (bits 5..0: 10h sequenced voltage, 20h voltage,
21h voltage read only, 22h current, 23h current read only) and MFR_ID 99h 4Dh, MFR_MODEL 9Ah 59h. Pages 0..15 are
channels, 16 the internal temperature, 17..20 sensors outside. VOUT_SCALE_MONITOR 2Ah is 32767 times the divider's
ratio, IOUT_CAL_GAIN 38h the sense resistance with its amplifier's gain in 0.1 mOhm; READ_VOUT and READ_IOUT are scaled
by them, at most 32.767 V and 327.67 A.

The part knows no packet error code, and a read that is a byte too long sets its communication fault, so every read has
exactly the length of its command. PAGE is written anew in every pass; sequences that run at the same time on one
``Device`` don't disturb each other, because each looks at the page that it left before it reads.

A pass costs three transactions a channel (PAGE, value, status), one more where the rail is switched (OPERATION), three
a temperature sensor, and at the end PAGE read back (a chip that restarted has forgotten it) or, in every
``scrub_every``-th sample, one value of the configuration. ``on`` is what the chip was told, ``None`` for a rail that it
doesn't switch; only an order or a restart changes it, so a rail that is told otherwise than it was is a RESET. Where
all that is read is zeros the identity is read again before it is believed.

A pass of many channels holds the bus for long: 58 transactions for 12 switched rails, 2 others and a sensor. With
``channels_a_sample`` a sample reads only so many channels or sensors, first of all rails that were just switched, then
the others in turn; the rest is as it was last read. There is no sample before the first whole pass. Configuration is
written at ``initialise`` only where it is declared, and MFR_CHANNEL_CONFIG only where it contradicts a declared
channel; nothing goes to flash.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from drivers import pmbus
from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, ConfiguredDevice, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import RailSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Rail", "Settings", "current_a", "iout_status", "operation_bits",
    "temperature_c", "temperature_status", "voltage_v", "vout_status",
]

CHANNEL_CONFIG = 0xE4
VOUT_PEAK = 0xD4
IOUT_PEAK = 0xD5
TEMPERATURE_PEAK = 0xD6
VOUT_MIN = 0xD7

MAXIM = b"\x4d"
MAX34451 = b"\x59"

SWITCHED_PAGES = 12
"""Channels 0..11 have an output that switches a supply."""
FIRST_TEMPERATURE_PAGE = 16

SELECT_MASK = 0x3F
SELECT_SEQUENCED, SELECT_VOLTAGE, SELECT_CURRENT = 0x10, 0x20, 0x22
_FITTING = {"voltage": (0x10, 0x20, 0x21), "current": (0x22, 0x23)}

VOLTAGE_LSB_V = 1e-3
CURRENT_LSB_A = 0.01
TEMPERATURE_LSB_C = 0.01
SCALE_ONE = 32767
GAIN_LSB_OHM = 1e-4
HIGHEST_V = 32.766
SENSOR_FAULT = 0x7FFF
SENSOR_DISABLED = 0x0000
TEMPERATURE_LIMITS_C = (-55.0, 150.0)

OPERATION_RESERVED = 0x03
VOUT_RESERVED = 0x0B
IOUT_RESERVED = 0x4F
TEMPERATURE_RESERVED = 0x3F

_WORD_LIMIT = 0x7FFF


class Rail(Struct, frozen=True, forbid_unknown_fields=True):
    """One channel: its page, what it measures, and what is written about it. ``None`` leaves the chip's stored value.

    ``divider`` is the rail's voltage over the pin's; ``sense_ohm`` the pin's voltage over the current, amplifier
    included. Faults act as the chip's stored responses say.
    """

    name: Annotated[str, Meta(min_length=1, max_length=32)]
    page: Annotated[int, Meta(ge=0, le=15)]
    kind: Literal["voltage", "current"] = "voltage"
    switched: bool = False
    divider: Annotated[float, Meta(ge=1.0, le=100.0)] | None = None
    sense_ohm: Annotated[float, Meta(gt=0.0, le=3.2767)] | None = None
    over_voltage_fault_v: Annotated[float, Meta(gt=0.0, le=HIGHEST_V)] | None = None
    over_voltage_warning_v: Annotated[float, Meta(gt=0.0, le=HIGHEST_V)] | None = None
    under_voltage_warning_v: Annotated[float, Meta(gt=0.0, le=HIGHEST_V)] | None = None
    under_voltage_fault_v: Annotated[float, Meta(gt=0.0, le=HIGHEST_V)] | None = None

    def __post_init__(self) -> None:
        """Refuse what this channel can't do, and limits in the wrong order."""
        limits = [value for _, _, value in self._limits() if value is not None]
        if self.kind == "current" and (self.switched or self.divider is not None or limits):
            raise ValueError(f"{self.name}: a current channel has no switch, divider or voltage limits")
        if self.kind == "voltage" and self.sense_ohm is not None:
            raise ValueError(f"{self.name}: a voltage channel has no sense resistor")
        if self.switched and self.page >= SWITCHED_PAGES:
            raise ValueError(f"{self.name}: only pages 0 to 11 switch a supply")
        if limits != sorted(limits, reverse=True):
            raise ValueError(f"{self.name}: limits are not in order, over-voltage fault highest")

    def settings(self) -> tuple[Setting, ...]:
        """What is declared of this channel, as the chip's registers."""
        table = []
        if self.divider is not None:
            table.append(self._setting("VOUT_SCALE_MONITOR", pmbus.VOUT_SCALE_MONITOR, round(SCALE_ONE / self.divider)))
        if self.sense_ohm is not None:
            table.append(self._setting("IOUT_CAL_GAIN", pmbus.IOUT_CAL_GAIN, round(self.sense_ohm / GAIN_LSB_OHM)))
        for name, command, value in self._limits():
            if value is not None:
                table.append(self._setting(name, command, round(value / VOLTAGE_LSB_V)))
        return tuple(table)

    def channel(self, word: int) -> Setting:
        """MFR_CHANNEL_CONFIG that fits: what it reads if that does, otherwise the same with another function."""
        if word & SELECT_MASK not in _FITTING[self.kind]:
            select = SELECT_CURRENT if self.kind == "current" else SELECT_VOLTAGE
            word = word & ~SELECT_MASK | (SELECT_SEQUENCED if self.switched else select)
        return self._setting("MFR_CHANNEL_CONFIG", CHANNEL_CONFIG, word, SELECT_MASK)

    def _limits(self) -> tuple[tuple[str, int, float | None], ...]:
        return (
            ("VOUT_OV_FAULT_LIMIT", pmbus.VOUT_OV_FAULT_LIMIT, self.over_voltage_fault_v),
            ("VOUT_OV_WARN_LIMIT", pmbus.VOUT_OV_WARN_LIMIT, self.over_voltage_warning_v),
            ("VOUT_UV_WARN_LIMIT", pmbus.VOUT_UV_WARN_LIMIT, self.under_voltage_warning_v),
            ("VOUT_UV_FAULT_LIMIT", pmbus.VOUT_UV_FAULT_LIMIT, self.under_voltage_fault_v),
        )

    def _setting(self, name: str, command: int, value: int, mask: int | None = None) -> Setting:
        bits = None if mask is None else mask.to_bytes(2, "little")
        return Setting(f"{name} of {self.name}", command, value.to_bytes(2, "little"), bits)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Channels in board order, temperature sensors by page (16 inside, 17..20 outside).

    ``channels_a_sample``: how many of both a sample reads anew; ``None`` for all.
    """

    rails: Annotated[tuple[Rail, ...], Meta(min_length=1, max_length=16)]
    temperature_pages: Annotated[tuple[Annotated[int, Meta(ge=16, le=20)], ...], Meta(max_length=5)] = (16,)
    scrub_every: Annotated[int, Meta(ge=0, le=1000)] = 4
    channels_a_sample: Annotated[int, Meta(ge=1, le=21)] | None = None

    def __post_init__(self) -> None:
        """Refuse a page or a name that is used twice."""
        pages = [rail.page for rail in self.rails] + list(self.temperature_pages)
        if len(set(pages)) != len(pages) or len({rail.name for rail in self.rails}) != len(self.rails):
            raise ValueError("a page or a rail's name is used twice")


class _Channel(NamedTuple):
    """One rail or temperature sensor, ready for the hot path: commands, and how to understand the answers."""

    page: int
    name: str
    value: int
    status: int
    switched: bool
    decode: Callable[[bytes, Place], float | None]
    check: Callable[[bytes, Place], int]
    words: pmbus.Table


@dataclass(slots=True)
class _Seen:
    """What one of them had when it was last read."""

    value: float | None = None
    on: bool | None = None
    faults: tuple[str, ...] = ()
    told: bool | None = None
    """What OPERATION must say from now on; ``None``: not known, since the set-up or since an order that failed."""


def voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """READ_VOUT in volts from 2 bytes. Raises OVER_RANGE at full scale, IMPLAUSIBLE if negative (all ones)."""
    return _positive(data, "voltage", place) * VOLTAGE_LSB_V


def current_a(data: bytes, place: Place = NOWHERE) -> float:
    """READ_IOUT in amperes from 2 bytes. Raises OVER_RANGE at full scale, IMPLAUSIBLE if negative (all ones)."""
    return _positive(data, "current", place) * CURRENT_LSB_A


def temperature_c(data: bytes, place: Place = NOWHERE) -> float | None:
    """READ_TEMPERATURE_1 in deg C from 2 bytes; ``None`` for a sensor that is disabled or faulty.

    0000h is what a disabled sensor reads, so 0.00 deg C exactly is ``None`` too. Raises IMPLAUSIBLE outside
    -55..150 deg C.
    """
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (SENSOR_DISABLED, SENSOR_FAULT):
        return None
    value = raw * TEMPERATURE_LSB_C
    if not TEMPERATURE_LIMITS_C[0] <= value <= TEMPERATURE_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"temperature {value:.2f} deg C")
    return value


def vout_status(data: bytes, place: Place = NOWHERE) -> int:
    """STATUS_VOUT from 1 byte. Raises IMPLAUSIBLE for bits that the part doesn't have (all ones)."""
    return _status(data, VOUT_RESERVED, place)


def iout_status(data: bytes, place: Place = NOWHERE) -> int:
    """STATUS_IOUT from 1 byte. Raises as ``vout_status``."""
    return _status(data, IOUT_RESERVED, place)


def temperature_status(data: bytes, place: Place = NOWHERE) -> int:
    """STATUS_TEMPERATURE from 1 byte. Raises as ``vout_status``."""
    return _status(data, TEMPERATURE_RESERVED, place)


def operation_bits(data: bytes, place: Place = NOWHERE) -> int:
    """OPERATION from 1 byte; bit 7 is on. Raises IMPLAUSIBLE for bits that the part doesn't have (all ones)."""
    operation = whole(data, 1, place)[0]
    if operation & OPERATION_RESERVED:
        raise place.error(Cause.IMPLAUSIBLE, f"OPERATION is {operation:02x}h")
    return operation


def _positive(data: bytes, what: str, place: Place) -> int:
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw >= _WORD_LIMIT:
        cause = Cause.OVER_RANGE if raw == _WORD_LIMIT else Cause.IMPLAUSIBLE
        raise place.error(cause, f"{what} register is {raw:04x}h")
    return raw


def _status(data: bytes, reserved: int, place: Place) -> int:
    status = whole(data, 1, place)[0]
    if status & reserved:
        raise place.error(Cause.IMPLAUSIBLE, f"status register is {status:02x}h")
    return status


class Device(ConfiguredDevice):
    """One MAX34451."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._channels = (
            *(_rail(rail) for rail in settings.rails), *(_sensor(page) for page in settings.temperature_pages),
        )
        self._seen = [_Seen() for _ in self._channels]
        self._at_once = min(settings.channels_a_sample or len(self._channels), len(self._channels))
        self._turn = 0
        self._whole = False
        self._changed: list[int] = []
        self._page: int | None = None
        self._pages: dict[str, int] = {}

    def identify(self) -> Generator[None, None, str]:
        """Maker, model and revision: 3 transactions."""
        self._expect(pmbus.MFR_ID, MAXIM, Cause.WRONG_ID, "MFR_ID")
        yield
        self._expect(pmbus.MFR_MODEL, MAX34451, Cause.WRONG_ID, "MFR_MODEL")
        yield
        return f"MAX34451 revision {int.from_bytes(self._read(pmbus.MFR_REVISION, 2), 'little'):04x}h"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, then each channel's function and what is declared of it, with read-back. Switches stay as they are.

        5 transactions and two a channel, and two for each value written.
        """
        yield from self.identify()
        self._page = None
        self._settings = ()
        table: list[Setting] = []
        pages: dict[str, int] = {}
        for rail in self.settings.rails:
            yield
            word = int.from_bytes((yield from self._at(rail.page, CHANNEL_CONFIG, 2)), "little")
            if word == 0xFFFF:
                raise self.place.error(Cause.IMPLAUSIBLE, f"MFR_CHANNEL_CONFIG of {rail.name} is all ones")
            channel = rail.channel(word)
            wanted = rail.settings()
            if int.from_bytes(channel.value, "little") != word:
                wanted = (channel, *wanted)
            for setting in wanted:
                yield
                yield from self._write_at(rail.page, setting)
            for setting in (channel, *rail.settings()):
                table.append(setting)
                pages[setting.name] = rail.page
        self._pages = pages
        self._settings = tuple(table)
        self._lost = None
        self._since_scrub = self._scrub_turn = 0
        self._turn = 0
        self._whole = False
        self._changed.clear()
        for seen in self._seen:
            seen.told = None

    def acquire(self) -> Generator[None, None, RailSample | None]:
        """Rails and sensors, ``None`` before all have been read: see the module's first lines for the transactions."""
        place = self.place
        self._page = None
        alive = False
        changed = self._changed[: self._at_once]
        others = self._in_turn(self._at_once - len(changed))
        for index in (*changed, *others):
            alive = (yield from self._look_at(index)) or alive
            yield
        if not alive:
            # Everything off reads like a data line held low: believe it only from a chip that still knows its name.
            self._expect(pmbus.MFR_ID, MAXIM, Cause.WRONG_ID, "MFR_ID")
            yield
        if self._scrub_due():
            yield from self._scrub_page()
        else:
            seen = self._read(pmbus.PAGE, 1)[0]
            if not self._is_at(seen):
                raise place.error(Cause.RESET, f"PAGE is {seen:02x}h, not as it was written")
        # The turn goes on only after a sample that was believed, and a rail switched meanwhile stays first.
        del self._changed[: len(changed)]
        self._turn += len(others)
        if self._turn >= len(self._channels):
            self._turn, self._whole = self._turn - len(self._channels), True
        return self._sample() if self._whole else None

    def _in_turn(self, count: int) -> list[int]:
        """The next channels of the pass."""
        total = len(self._channels)
        return [turn % total for turn in range(self._turn, self._turn + count)]

    def _look_at(self, index: int) -> Generator[None, None, bool]:
        """Read one channel: 3 transactions, 4 where it is switched. Whether any bit of the answers is set."""
        place, channel = self.place, self._channels[index]
        data = yield from self._at(channel.page, channel.value, 2)
        yield
        status = channel.check((yield from self._at(channel.page, channel.status, 1)), place)
        value = channel.decode(data, place)
        on: bool | None = None
        alive = any(data) or status != 0
        if channel.switched:
            yield
            operation = operation_bits((yield from self._at(channel.page, pmbus.OPERATION, 1)), place)
            alive = alive or operation != 0
            on = self._as_told(index, bool(operation & 0x80))
        faults = tuple(f"{channel.name}: {text}" for text in pmbus.words(status, channel.words))
        if channel.page >= FIRST_TEMPERATURE_PAGE and int.from_bytes(data, "little") == SENSOR_FAULT:
            faults = (f"{channel.name}: faulty", *faults)
        seen = self._seen[index]
        seen.value, seen.on, seen.faults = value, on, faults
        return alive

    def _as_told(self, index: int, on: bool) -> bool:
        """What OPERATION says of a rail. Raises RESET where that isn't what it last said or was told."""
        seen = self._seen[index]
        if seen.told is not None and on is not seen.told:
            name = self._channels[index].name
            raise self.place.error(Cause.RESET, f"OPERATION of {name} is {on}, and nobody told it so")
        seen.told = on
        return on

    def _sample(self) -> RailSample:
        rails = len(self.settings.rails)
        volts: list[float | None] = []
        amperes: list[float | None] = []
        faults: list[str] = []
        for channel, seen in zip(self._channels, self._seen, strict=True):
            faults += seen.faults
            if channel.page < FIRST_TEMPERATURE_PAGE:
                volts.append(seen.value if channel.value == pmbus.READ_VOUT else None)
                amperes.append(seen.value if channel.value == pmbus.READ_IOUT else None)
        on = tuple(seen.on for seen in self._seen[:rails])
        return RailSample(tuple(volts), tuple(amperes), on, tuple(s.value for s in self._seen[rails:]), tuple(faults))

    def switch(self, rail: str, on: bool) -> Generator[None, None, None]:
        """Switch one rail by OPERATION: PAGE, PAGE read back, OPERATION, OPERATION read back; 4 transactions.

        Off is immediate. Raises PROTOCOL for a name that is no switched rail, and where page or command don't read
        back; nothing is written to a page that isn't the rail's.
        """
        index = next((i for i, c in enumerate(self._channels) if c.name == rail and c.switched), None)
        if index is None:
            raise self.place.error(Cause.PROTOCOL, f"no switched rail is named {rail!r}")
        page = self._channels[index].page
        value = pmbus.OPERATION_ON if on else pmbus.OPERATION_OFF
        self._page = None
        seen = yield from self._at(page, pmbus.PAGE, 1)
        if seen[0] != page:
            self._page = None
            raise self.place.error(Cause.PROTOCOL, f"PAGE reads {seen.hex()}h after {page:02x}h was written")
        yield
        if not self._is_at(page):
            raise self.place.error(Cause.PROTOCOL, "another sequence changed the page")
        self._seen[index].told = None
        self._write(pmbus.OPERATION, value)
        yield
        seen = yield from self._at(page, pmbus.OPERATION, 1)
        if seen != value:
            why = f"OPERATION of {rail} reads {seen.hex()}h after {value.hex()}h was written"
            raise self.place.error(Cause.PROTOCOL, why)
        self._seen[index].on = self._seen[index].told = on
        if self._at_once < len(self._channels) and index not in self._changed:
            self._changed.append(index)

    def clear_faults(self) -> Generator[None, None, None]:
        """Clear all latched status bits: 1 transaction. Rails that a fault has shut stay off."""
        self._write(pmbus.CLEAR_FAULTS, b"")
        yield from ()

    def _at(self, page: int, command: int, count: int) -> Generator[None, None, bytes]:
        """Read on a page, writing PAGE first where it isn't that: 1 or 2 transactions."""
        while not self._is_at(page):
            yield from self._turn_to(page)
        return self._read(command, count)

    def _is_at(self, page: int) -> bool:
        """Whether PAGE was last written so; a write that failed leaves it open."""
        return self._page == page

    def _turn_to(self, page: int) -> Generator[None, None, None]:
        self._page = None
        self._write(pmbus.PAGE, bytes((page,)))
        self._page = page
        yield

    def _write_at(self, page: int, setting: Setting) -> Generator[None, None, None]:
        while not self._is_at(page):
            yield from self._turn_to(page)
        self._write(setting.pointer, setting.value)
        yield
        self._confirm(setting, (yield from self._at(page, setting.pointer, len(setting.value))))

    def _scrub_page(self) -> Generator[None, None, None]:
        """Look at one value of the configuration on its page: 2 transactions."""
        setting = self._lost or self._settings[self._scrub_turn]
        page = self._pages[setting.name]
        while not self._is_at(page):
            yield from self._turn_to(page)
        self._scrub()


def _rail(rail: Rail) -> _Channel:
    if rail.kind == "voltage":
        return _Channel(
            rail.page, rail.name, pmbus.READ_VOUT, pmbus.STATUS_VOUT, rail.switched, voltage_v, vout_status,
            pmbus.VOUT_WORDS,
        )
    return _Channel(
        rail.page, rail.name, pmbus.READ_IOUT, pmbus.STATUS_IOUT, rail.switched, current_a, iout_status,
        pmbus.IOUT_WORDS,
    )


def _sensor(page: int) -> _Channel:
    return _Channel(
        page, f"sensor {page - FIRST_TEMPERATURE_PAGE}", pmbus.READ_TEMPERATURE_1, pmbus.STATUS_TEMPERATURE, False,
        temperature_c, temperature_status, pmbus.TEMPERATURE_WORDS,
    )


CODECS = (
    Codec("READ_VOUT", voltage_v, 2),
    Codec("READ_IOUT", current_a, 2),
    Codec("READ_TEMPERATURE_1", temperature_c, 2),
    Codec("OPERATION", operation_bits, 1),
    Codec("STATUS_VOUT", vout_status, 1),
    Codec("STATUS_IOUT", iout_status, 1),
    Codec("STATUS_TEMPERATURE", temperature_status, 1),
)

REGISTERS = (
    Register("PAGE", pmbus.PAGE, 1, Access.WRITE),
    Register("OPERATION", pmbus.OPERATION, 1, Access.WRITE),
    Register("ON_OFF_CONFIG", pmbus.ON_OFF_CONFIG, 1, Access.WRITE),
    Register("CAPABILITY", pmbus.CAPABILITY, 1),
    Register("VOUT_MODE", pmbus.VOUT_MODE, 1),
    Register("VOUT_SCALE_MONITOR", pmbus.VOUT_SCALE_MONITOR, 2, Access.WRITE),
    Register("IOUT_CAL_GAIN", pmbus.IOUT_CAL_GAIN, 2, Access.WRITE),
    Register("VOUT_OV_FAULT_LIMIT", pmbus.VOUT_OV_FAULT_LIMIT, 2, Access.WRITE),
    Register("VOUT_OV_WARN_LIMIT", pmbus.VOUT_OV_WARN_LIMIT, 2, Access.WRITE),
    Register("VOUT_UV_WARN_LIMIT", pmbus.VOUT_UV_WARN_LIMIT, 2, Access.WRITE),
    Register("VOUT_UV_FAULT_LIMIT", pmbus.VOUT_UV_FAULT_LIMIT, 2, Access.WRITE),
    Register("STATUS_WORD", pmbus.STATUS_WORD, 2),
    Register("STATUS_VOUT", pmbus.STATUS_VOUT, 1),
    Register("STATUS_IOUT", pmbus.STATUS_IOUT, 1),
    Register("STATUS_TEMPERATURE", pmbus.STATUS_TEMPERATURE, 1),
    Register("STATUS_CML", pmbus.STATUS_CML, 1),
    Register("STATUS_MFR_SPECIFIC", pmbus.STATUS_MFR_SPECIFIC, 1),
    Register("READ_VOUT", pmbus.READ_VOUT, 2),
    Register("READ_IOUT", pmbus.READ_IOUT, 2),
    Register("READ_TEMPERATURE_1", pmbus.READ_TEMPERATURE_1, 2),
    Register("PMBUS_REVISION", pmbus.PMBUS_REVISION, 1),
    Register("MFR_ID", pmbus.MFR_ID, 1),
    Register("MFR_MODEL", pmbus.MFR_MODEL, 1),
    Register("MFR_REVISION", pmbus.MFR_REVISION, 2),
    Register("MFR_VOUT_PEAK", VOUT_PEAK, 2, Access.WRITE),
    Register("MFR_IOUT_PEAK", IOUT_PEAK, 2, Access.WRITE),
    Register("MFR_TEMPERATURE_PEAK", TEMPERATURE_PEAK, 2, Access.WRITE),
    Register("MFR_VOUT_MIN", VOUT_MIN, 2, Access.WRITE),
    Register("MFR_CHANNEL_CONFIG", CHANNEL_CONFIG, 2, Access.WRITE),
)

ORACLES = (
    Oracle(OracleKind.QEMU, "MAX34451 model: identity, pages, voltages, temperatures, limits, switches"),
    Oracle(OracleKind.LINUX, "max34440 over 23 register values"),
)
