"""ADI ADM1272, hot-swap controller: both sides of its switch in known ranges, and a switch that is read back.

Commands and formats: ADM1272 data sheet, "PMBus Command Reference" (shared with ADM1275, ADM1276 and ADM1278): DIRECT
format, 12-bit codes, current code 2048 at 0 A, m of current and power times the sense resistor in mOhm; PMON_CONTROL
D3h, PMON_CONFIG D4h (bit 15 temperature filter, 13..11 and 10..8 averaging of power and of the rest as powers of two,
5 VRANGE, 4 continuous, 3..1 enable TEMP1, VIN, VOUT, 0 IRANGE; to be changed with conversions stopped only; reset
value 3F35h has neither VOUT nor temperature), DEVICE_CONFIG D8h, POWER_CYCLE D9h, STRT_UP_IOUT_LIM F6h (sixteenths of
the current limit, less one), STATUS_MFR_SPECIFIC 80h. Coefficients as in Linux's adm1275.c.

A sample is four transactions: VIN, VOUT, IOUT, STATUS_WORD. The status registers that STATUS_WORD points to are read in
the same sequence whenever STATUS_WORD has changed, and in turn with power and temperature every ``slow_every`` samples;
faults are latched in the chip until ``clear_faults``. Power and temperature are ``None`` in every other sample, and
temperature also where the external transistor gives a code that no temperature has. Because the ranges change what a
code means, the first ``acquire`` after a configuration has no sample.

``limit_startup`` sets STRT_UP_IOUT_LIM, the current limit while the output comes up, and the scrub looks for it from
then on. ``initialise`` puts back what the settings say; where they say nothing the chip keeps what was ordered.

No answer of equal bits passes: current code 0 is beyond the range, and codes above 12 bits don't exist.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers import pmbus
from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.pmbus import Direct
from drivers.samples import HotSwapSample
from drivers.smbus import SmbusDevice

__all__ = [
    "ADM1275_CURRENT", "CODECS", "ORACLES", "REGISTERS", "TEMPERATURE", "Device", "Settings", "current", "current_a",
    "power", "power_w", "startup_code", "temperature_c", "voltage", "voltage_v",
]

PMON_CONTROL = 0xD3
PMON_CONFIG = 0xD4
PEAK_IOUT = 0xD0
PEAK_VIN = 0xD1
PEAK_VOUT = 0xD2
PEAK_TEMPERATURE = 0xD7
DEVICE_CONFIG = 0xD8
POWER_CYCLE = 0xD9
PEAK_PIN = 0xDA
RESTART_TIME = 0xCC
STARTUP_LIMIT = 0xF6

MANUFACTURER = b"ADI"
MODEL = b"ADM1272"
MODEL_LENGTH = 10
REVISION_LENGTH = 2

CONVERT = b"\x01"
STOP = b"\x00"
TEMPERATURE_FILTER = 1 << 15
V_RANGE_100 = 1 << 5
CONTINUOUS = 1 << 4
ALL_CHANNELS = 0b111 << 1
I_RANGE_30 = 1 << 0
AVERAGES = (1, 2, 4, 8, 16, 32, 64, 128)

SIXTEENTHS = 16
STEP_ERROR = 1e-9
"""Share of a sixteenth by which a value computed from sixteenths may miss it."""

CODE_LIMIT = 0xFFF
POWER_LIMIT = 0x7FFF
TEMPERATURE_LIMITS_C = (-55.0, 150.0)
STATUS_RESERVED = 0b111 << 8
"""Fans, other and unknown: this part has none."""

TEMPERATURE = Direct(42, 31871, -1)
ADM1275_CURRENT = Direct(807, 20475, -1)
"""The elder sibling's current at 1 mOhm: the same codec reads it."""

_VOLTAGE = {60: (6770, -2), 100: (4062, -2)}
_CURRENT = {15: (1326, -1), 30: (663, -1)}
_CURRENT_OFFSET = 20480
_POWER = {(60, 15): (3512, -2), (100, 15): (21071, -3), (60, 30): (17561, -3), (100, 30): (10535, -3)}

FET_HEALTH = 1 << 7
_MFR_WORDS: pmbus.Table = (
    (FET_HEALTH, "switch transistor fault"), (1 << 6, "input below the UV threshold"),
    (1 << 5, "input above the OV threshold"), (1 << 4, "severe over-current fault"), (1 << 3, "current limit active"),
)
_SHUTDOWN_WORDS = {
    1: "shut down by over-temperature", 2: "shut down by over-current", 3: "shut down by the switch transistor's fault",
    4: "shut down by input under-voltage", 6: "shut down by input over-voltage",
}

_SLOW = (pmbus.READ_PIN, pmbus.READ_TEMPERATURE_1, pmbus.STATUS_WORD)
_DETAILS = (
    (pmbus.WORD_VOUT, pmbus.STATUS_VOUT, pmbus.VOUT_WORDS),
    (pmbus.WORD_IOUT, pmbus.STATUS_IOUT, pmbus.IOUT_WORDS),
    (pmbus.WORD_INPUT, pmbus.STATUS_INPUT, pmbus.INPUT_WORDS),
    (pmbus.WORD_MFR, pmbus.STATUS_MFR_SPECIFIC, _MFR_WORDS),
    (pmbus.WORD_TEMPERATURE, pmbus.STATUS_TEMPERATURE, pmbus.TEMPERATURE_WORDS),
    (pmbus.WORD_CML, pmbus.STATUS_CML, pmbus.CML_WORDS),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Sense resistor, ranges and limits.

    ``startup_limit_16``: current limit while the output comes up, in sixteenths of the normal one. ``warning_a``:
    IOUT_OC_WARN_LIMIT. ``device_config``: DEVICE_CONFIG as it is. Each is left as the chip has it where ``None``; the
    over-current limit itself is set by resistors. ``pec``: packet error codes. ``averages``: conversions per result.
    """

    shunt_ohm: Annotated[float, Meta(gt=0.0, le=0.1)]
    voltage_range_v: Literal[60, 100] = 100
    sense_range_mv: Literal[15, 30] = 30
    startup_limit_16: Annotated[int, Meta(ge=1, le=16)] | None = None
    warning_a: Annotated[float, Meta(gt=0.0, le=1000.0)] | None = None
    device_config: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    pec: bool = True
    averages: Literal[1, 2, 4, 8, 16, 32, 64, 128] = 16
    slow_every: Annotated[int, Meta(ge=1, le=1000)] = 4
    scrub_every: Annotated[int, Meta(ge=0, le=1000)] = 4

    def __post_init__(self) -> None:
        """Refuse a warning that the current range can't show."""
        if self.warning_a is not None and self.current.encode(self.warning_a) >= CODE_LIMIT:
            raise ValueError("warning_a is beyond the range of the sense resistor")

    @property
    def voltage(self) -> Direct:
        """Coefficients of VIN and VOUT."""
        return voltage(self.voltage_range_v)

    @property
    def current(self) -> Direct:
        """Coefficients of IOUT."""
        return current(self.sense_range_mv, self.shunt_ohm)

    @property
    def power(self) -> Direct:
        """Coefficients of PIN."""
        return power(self.voltage_range_v, self.sense_range_mv, self.shunt_ohm)

    @property
    def pmon_config(self) -> int:
        """Value of PMON_CONFIG."""
        average = AVERAGES.index(self.averages)
        return (
            TEMPERATURE_FILTER | average << 11 | average << 8 | CONTINUOUS | ALL_CHANNELS
            | (V_RANGE_100 if self.voltage_range_v == 100 else 0) | (I_RANGE_30 if self.sense_range_mv == 30 else 0)
        )


def voltage(range_v: int) -> Direct:
    """Coefficients of VIN and VOUT in the 60 or 100 V range."""
    m, r = _VOLTAGE[range_v]
    return Direct(m, 0, r)


def current(range_mv: int, shunt_ohm: float) -> Direct:
    """Coefficients of IOUT in the 15 or 30 mV range."""
    m, r = _CURRENT[range_mv]
    return Direct(m * shunt_ohm * 1e3, _CURRENT_OFFSET, r)


def power(range_v: int, range_mv: int, shunt_ohm: float) -> Direct:
    """Coefficients of PIN in one pair of ranges."""
    m, r = _POWER[range_v, range_mv]
    return Direct(m * shunt_ohm * 1e3, 0, r)


def startup_code(share: float) -> int:
    """STRT_UP_IOUT_LIM of a share of the current limit: the highest sixteenth that is not above it, at least one.

    Raises ValueError outside 0..1, for 0 and for no number.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"{share} is no share of the current limit")
    return max(math.floor(SIXTEENTHS * share + STEP_ERROR), 1) - 1


def voltage_v(data: bytes, scale: Direct, place: Place = NOWHERE) -> float:
    """VIN or VOUT in volts from 2 bytes. Raises OVER_RANGE at full scale, IMPLAUSIBLE for more than 12 bits."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw >= CODE_LIMIT:
        raise place.error(_beyond(raw, CODE_LIMIT), f"voltage code is {raw:04x}h")
    return scale.decode(raw)


def current_a(data: bytes, scale: Direct, place: Place = NOWHERE) -> float:
    """IOUT in amperes from 2 bytes. Raises OVER_RANGE at full scale, IMPLAUSIBLE for more than 12 bits and for all
    zeros: a data line held low looks like the negative end."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if not 0 < raw < CODE_LIMIT:
        raise place.error(_beyond(raw, CODE_LIMIT), f"current code is {raw:04x}h")
    return scale.decode(raw)


def power_w(data: bytes, scale: Direct, place: Place = NOWHERE) -> float:
    """PIN in watts from 2 bytes. Raises OVER_RANGE at full scale, IMPLAUSIBLE for bit 15."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw >= POWER_LIMIT:
        raise place.error(_beyond(raw, POWER_LIMIT), f"power code is {raw:04x}h")
    return scale.decode(raw)


def temperature_c(data: bytes, place: Place = NOWHERE) -> float | None:
    """Temperature in deg C from 2 bytes; ``None`` outside -55..150 deg C: the transistor is open, short or absent."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    value = TEMPERATURE.decode(raw)
    return value if TEMPERATURE_LIMITS_C[0] <= value <= TEMPERATURE_LIMITS_C[1] else None


def status_word(data: bytes, place: Place = NOWHERE) -> int:
    """STATUS_WORD from 2 bytes. Raises IMPLAUSIBLE for bits that the part doesn't have (all ones has them)."""
    word = int.from_bytes(whole(data, 2, place), "little")
    if word & STATUS_RESERVED:
        raise place.error(Cause.IMPLAUSIBLE, f"STATUS_WORD is {word:04x}h")
    return word


class Device(SmbusDevice):
    """One ADM1272."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.pec, settings.scrub_every)
        self.settings = settings
        self._voltage = settings.voltage
        self._current = settings.current
        self._power = settings.power
        self._samples = 0
        self._turn = 0
        self._word: int | None = None
        self._faults: tuple[str, ...] = ()
        table = [Setting("PMON_CONFIG", PMON_CONFIG, settings.pmon_config.to_bytes(2, "little"))]
        if settings.device_config is not None:
            table.append(Setting("DEVICE_CONFIG", DEVICE_CONFIG, settings.device_config.to_bytes(2, "little")))
        if settings.startup_limit_16 is not None:
            table.append(_startup_setting(settings.startup_limit_16 - 1))
        if settings.warning_a is not None:
            code = self._current.encode(settings.warning_a)
            table.append(Setting("IOUT_OC_WARN_LIMIT", pmbus.IOUT_OC_WARN_LIMIT, code.to_bytes(2, "little")))
        table.append(Setting("PMON_CONTROL", PMON_CONTROL, CONVERT))
        self._table = tuple(table)

    def identify(self) -> Generator[None, None, str]:
        """Maker, model and revision: 3 transactions."""
        maker = yield from self._fetch_block(pmbus.MFR_ID, len(MANUFACTURER))
        if maker != MANUFACTURER:
            raise self.place.error(Cause.WRONG_ID, f"MFR_ID is {maker!r}")
        yield
        model = yield from self._fetch_block(pmbus.MFR_MODEL, MODEL_LENGTH)
        if not model.startswith(MODEL):
            raise self.place.error(Cause.WRONG_ID, f"MFR_MODEL is {model!r}")
        yield
        revision = yield from self._fetch_block(pmbus.MFR_REVISION, REVISION_LENGTH)
        return f"{model.decode('ascii', 'replace')} revision {revision.decode('ascii', 'replace')}"

    def initialise(self) -> Generator[None, None, None]:
        """Identity; conversions stopped, configured and started, each with read-back: 9 transactions or more.

        The switch stays as it is.
        """
        yield from self.identify()
        yield
        yield from self._write_verified(PMON_CONTROL, STOP, "PMON_CONTROL")
        yield
        yield from self._configure(self._table)
        self._samples = self._turn = 0
        self._word = None
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, HotSwapSample | None]:
        """One sample: 4 transactions, 5 in every ``slow_every``-th, more when the status has changed."""
        if self._awaiting:
            status_word((yield from self._fetch(pmbus.STATUS_WORD, 2)), self.place)
            self._awaiting = False
            return None
        vin = yield from self._fetch(pmbus.READ_VIN, 2)
        yield
        vout = yield from self._fetch(pmbus.READ_VOUT, 2)
        yield
        iout = yield from self._fetch(pmbus.READ_IOUT, 2)
        yield
        word = status_word((yield from self._fetch(pmbus.STATUS_WORD, 2)), self.place)
        watts: float | None = None
        celsius: float | None = None
        self._samples += 1
        if self._samples >= self.settings.slow_every:
            self._samples = 0
            command = _SLOW[self._turn]
            self._turn = (self._turn + 1) % len(_SLOW)
            if command == pmbus.READ_PIN:
                yield
                watts = power_w((yield from self._fetch(command, 2)), self._power, self.place)
            elif command == pmbus.READ_TEMPERATURE_1:
                yield
                celsius = temperature_c((yield from self._fetch(command, 2)), self.place)
            else:
                self._word = None
        if word != self._word:
            yield from self._look_closer(word)
        if self._scrub_due():
            yield
            self._scrub()
        return HotSwapSample(
            voltage_v(vin, self._voltage, self.place), voltage_v(vout, self._voltage, self.place),
            current_a(iout, self._current, self.place), watts, celsius, not word & pmbus.WORD_OFF,
            not word & pmbus.WORD_POWER_GOOD_NEGATED, self._faults,
        )

    def switch(self, on: bool) -> Generator[None, None, None]:
        """Switch on or off by OPERATION and read it back: 2 transactions. Raises PROTOCOL where it isn't as written.

        The output rises by the soft start; whether power got through shows in the samples, not here.
        """
        value = pmbus.OPERATION_ON if on else pmbus.OPERATION_OFF
        self._write(pmbus.OPERATION, value)
        yield
        seen = yield from self._fetch(pmbus.OPERATION, 1)
        if seen != value:
            raise self.place.error(Cause.PROTOCOL, f"OPERATION reads {seen.hex()}h after {value.hex()}h was written")

    def share_step(self, share: float) -> float:
        """The share of the current limit that would really hold at start-up. Raises as ``startup_code``."""
        return (startup_code(share) + 1) / SIXTEENTHS

    def limit_startup(self, share: float) -> Generator[None, None, None]:
        """Current limit while the output comes up, as a share of the normal one, with read-back: 2 transactions.

        Raises ValueError at once as ``startup_code``; IMPLAUSIBLE in the sequence for what doesn't read back.
        """
        return self._order(_startup_setting(startup_code(share)))

    def feed(self, on: bool, share: float = 1.0) -> Generator[None, None, None]:
        """Switch off (2 transactions), or on with a start-up limit (3 where it is on already, otherwise 5).

        Raises as ``limit_startup`` and ``switch``.
        """
        return self._switch_on(_startup_setting(startup_code(share))) if on else self.switch(False)

    def _switch_on(self, limit: Setting) -> Generator[None, None, None]:
        yield from self._order(limit)
        yield
        seen = yield from self._fetch(pmbus.OPERATION, 1)
        if seen != pmbus.OPERATION_ON:
            yield
            yield from self.switch(True)

    def power_cycle(self) -> Generator[None, None, None]:
        """Off, and on again by the chip itself after RESTART_TIME (10.1 s after reset): 1 transaction."""
        self._send(POWER_CYCLE)
        yield from ()

    def clear_faults(self) -> Generator[None, None, None]:
        """Clear latched faults: 1 transaction. Those that persist come back at once; the switch stays as it is."""
        self._word = None
        self._send(pmbus.CLEAR_FAULTS)
        yield from ()

    def _look_closer(self, word: int) -> Generator[None, None, None]:
        """Read the status registers that STATUS_WORD points to, none if it points to none. Yields before each."""
        self._word = None
        faults = list(pmbus.words(word & (pmbus.WORD_IOUT_OC | pmbus.WORD_VIN_UV), pmbus.WORD_WORDS))
        for mask, command, table in _DETAILS:
            if not word & mask:
                continue
            yield
            status = yield from self._fetch_byte(command)
            if status == 0xFF:
                raise self.place.error(Cause.IMPLAUSIBLE, f"status {command:02x}h is all ones")
            prefix = "output " if command in (pmbus.STATUS_VOUT, pmbus.STATUS_IOUT) else ""
            faults += [prefix + text for text in pmbus.words(status, table) if prefix + text not in faults]
            if command == pmbus.STATUS_MFR_SPECIFIC and word & pmbus.WORD_OFF and status & 0b111:
                faults.append(_SHUTDOWN_WORDS.get(status & 0b111, "shut down by an unknown cause"))
        self._faults = tuple(faults)
        self._word = word


def _beyond(raw: int, limit: int) -> Cause:
    return Cause.OVER_RANGE if raw == limit else Cause.IMPLAUSIBLE


def _startup_setting(code: int) -> Setting:
    return Setting("STRT_UP_IOUT_LIM", STARTUP_LIMIT, code.to_bytes(2, "little"), b"\x0f\x00")


CODECS = (
    Codec("VIN, VOUT, 60 V range", partial(voltage_v, scale=voltage(60)), 2),
    Codec("VIN, VOUT, 100 V range", partial(voltage_v, scale=voltage(100)), 2),
    Codec("IOUT, 15 mV range, 1 mOhm", partial(current_a, scale=current(15, 1e-3)), 2),
    Codec("IOUT, 30 mV range, 1 mOhm", partial(current_a, scale=current(30, 1e-3)), 2),
    Codec("IOUT of an ADM1275, 1 mOhm", partial(current_a, scale=ADM1275_CURRENT), 2),
    Codec("PIN, 60 V and 15 mV ranges, 1 mOhm", partial(power_w, scale=power(60, 15, 1e-3)), 2),
    Codec("TEMPERATURE_1", temperature_c, 2),
    Codec("STATUS_WORD", status_word, 2),
)

REGISTERS = (
    Register("OPERATION", pmbus.OPERATION, 1, Access.WRITE),
    Register("CAPABILITY", pmbus.CAPABILITY, 1),
    Register("IOUT_OC_WARN_LIMIT", pmbus.IOUT_OC_WARN_LIMIT, 2, Access.WRITE),
    Register("VIN_OV_WARN_LIMIT", pmbus.VIN_OV_WARN_LIMIT, 2, Access.WRITE),
    Register("VIN_UV_WARN_LIMIT", pmbus.VIN_UV_WARN_LIMIT, 2, Access.WRITE),
    Register("STATUS_WORD", pmbus.STATUS_WORD, 2),
    Register("STATUS_VOUT", pmbus.STATUS_VOUT, 1),
    Register("STATUS_IOUT", pmbus.STATUS_IOUT, 1),
    Register("STATUS_INPUT", pmbus.STATUS_INPUT, 1),
    Register("STATUS_TEMPERATURE", pmbus.STATUS_TEMPERATURE, 1),
    Register("STATUS_CML", pmbus.STATUS_CML, 1),
    Register("STATUS_MFR_SPECIFIC", pmbus.STATUS_MFR_SPECIFIC, 1),
    Register("READ_VIN", pmbus.READ_VIN, 2),
    Register("READ_VOUT", pmbus.READ_VOUT, 2),
    Register("READ_IOUT", pmbus.READ_IOUT, 2),
    Register("READ_TEMPERATURE_1", pmbus.READ_TEMPERATURE_1, 2),
    Register("READ_PIN", pmbus.READ_PIN, 2),
    Register("PMBUS_REVISION", pmbus.PMBUS_REVISION, 1),
    Register("MFR_ID", pmbus.MFR_ID, 1 + len(MANUFACTURER)),
    Register("MFR_MODEL", pmbus.MFR_MODEL, 1 + MODEL_LENGTH),
    Register("MFR_REVISION", pmbus.MFR_REVISION, 1 + REVISION_LENGTH),
    Register("RESTART_TIME", RESTART_TIME, 1, Access.WRITE),
    Register("PEAK_IOUT", PEAK_IOUT, 2, Access.WRITE),
    Register("PEAK_VIN", PEAK_VIN, 2, Access.WRITE),
    Register("PEAK_VOUT", PEAK_VOUT, 2, Access.WRITE),
    Register("PMON_CONTROL", PMON_CONTROL, 1, Access.WRITE),
    Register("PMON_CONFIG", PMON_CONFIG, 2, Access.WRITE),
    Register("PEAK_TEMPERATURE", PEAK_TEMPERATURE, 2, Access.WRITE),
    Register("DEVICE_CONFIG", DEVICE_CONFIG, 2, Access.WRITE),
    Register("PEAK_PIN", PEAK_PIN, 2, Access.WRITE),
    Register("STRT_UP_IOUT_LIM", STARTUP_LIMIT, 2, Access.WRITE),
)

ORACLES = (
    Oracle(OracleKind.QEMU, "ADM1272 model: identity, ranges, samples, switch"),
    Oracle(OracleKind.LINUX, "values of adm1275 for an ADM1272 in its 60 V and 15 mV ranges"),
    Oracle(OracleKind.DATASHEET, "two conversion examples of the ADM1275's data sheet, one each way"),
)
