"""Battery management systems on CAN, Victron and Pylontech profile: each value as its frame said it, and not for long.

Frames (11-bit ids, once a second, 500 or 250 kbit/s, little-endian words):

====  =====  ===================================================================================================
351h  6, 8   charge voltage limit 0.1 V, charge and discharge current limits 0.1 A; discharge voltage limit 0.1 V
355h  2..8   state of charge 1 %, state of health 1 %, state of charge 0.01 %
356h  4..8   voltage 0.01 V, current 0.1 A (positive when charging), temperature 0.1 deg C, all signed
359h  7, 8   Pylontech: two bytes of protections, two of warnings, number of modules, "PN"
35Ah  8      Victron: bit pairs, four bytes of alarms and four of warnings
35Ch  1..8   Pylontech: what the battery allows and asks for
35Eh  1..8   name of the manufacturer, ASCII
====  =====  ===================================================================================================

Sources: captures published by Setfire Labs (Pylontech US5000, firmware V1.2 with 359h and 35Ch, V1.3 with 35Ah);
signal definitions of the published database ``pylon_CAN_210124.dbc``; OpenDTU's Pytes receiver for 35Ah. A pair in
35Ah is 01 for active, 10 for inactive, 00 or 11 for not supported, as diyBMS sends it to Victron's GX devices; the
document of Victron writes the bits of a pair the other way round. Makers differ in the sign of the discharge limit, so
its magnitude is taken. Some leave 0 in words that they don't support: discharge voltage limit, state of health, and
the finer state of charge, which is used only where it agrees with the coarse one. 7FFFh in 356h says that there is no
such value.

There is no identity to read: whatever sends these ids is believed, and a CAN frame carries its own CRC. A pack of 0 V
can't feed its BMS, and a charge limit of 0 V means none; both are refused, so a frame of zeros is no measurement. A
frame of ones is refused throughout. A value is ``None`` before its frame was heard and once that is older than
``stale_ms``; without a fresh alarm frame the warnings say so. What 35Ch forbids or asks for is told among the warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from struct import Struct as Layout
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.protocol import CanBus, CanFrame
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register
from drivers.errors import Cause, DeviceError
from drivers.samples import BmsSample

__all__ = [
    "CODECS", "KEEP_ALIVE", "ORACLES", "REGISTERS", "ChargeState", "Counters", "Device", "Flags", "Limits",
    "Measurement", "Settings", "charge_state", "limits", "manufacturer", "measurement", "protections", "requests",
    "victron_alarms",
]

LIMITS_ID = 0x351
CHARGE_ID = 0x355
MEASUREMENT_ID = 0x356
PROTECTION_ID = 0x359
ALARM_ID = 0x35A
REQUEST_ID = 0x35C
MANUFACTURER_ID = 0x35E

KEEP_ALIVE = CanFrame(0x305, bytes(8))
"""What an inverter sends once a second; some packs fall silent or warn without it."""

MS = 1_000_000
VOLTAGE_LSB_V = 0.01
CURRENT_LSB_A = 0.1
TEMPERATURE_LSB_C = 0.1
LIMIT_LSB = 0.1
NOT_AVAILABLE = 0x7FFF
TEMPERATURE_LIMITS_C = (-50.0, 125.0)
COARSE_STEP = 0.01
"""The finer state of charge must be within one step of the coarse one."""

ALARMS_UNKNOWN = "alarm state unknown"

PROTECTION_WORDS = {
    1: "over-voltage", 2: "under-voltage", 3: "over-temperature", 4: "under-temperature",
    7: "discharge over-current", 8: "charge over-current", 11: "system error",
}
"""Bits of the two protection bytes, lowest byte first."""
WARNING_WORDS = {
    1: "voltage high", 2: "voltage low", 3: "temperature high", 4: "temperature low",
    7: "discharge current high", 8: "charge current high", 11: "internal error",
}
PAIR_WORDS = {
    0: "general", 1: "voltage high", 2: "voltage low", 3: "temperature high", 4: "temperature low",
    5: "temperature high while charging", 6: "temperature low while charging", 7: "discharge current high",
    8: "charge current high", 9: "contactor", 10: "short circuit", 11: "internal error", 12: "cell imbalance",
}
"""Pairs of 35Ah, lowest first; alarms and warnings have the same."""
SYSTEM_PAIR = 13
SYSTEM_OFFLINE = "system offline"
"""Among the warnings only."""
PAIR_ACTIVE = 0b01

_THREE = Layout("<Hhh")
_FOUR = Layout("<HhhH")
_WORD = Layout("<H")
_MEASURED = Layout("<hh")
_SIGNED = Layout("<h")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What this pack can't exceed, and for how long a frame holds.

    ``keep_alive``: answer every 351h with 305h, as an inverter does.
    """

    stale_ms: Annotated[int, Meta(ge=100, le=60_000)] = 3000
    max_voltage_v: Annotated[float, Meta(gt=0.0, le=1500.0)] = 100.0
    max_current_a: Annotated[float, Meta(gt=0.0, le=3200.0)] = 1000.0
    keep_alive: bool = False


class Limits(NamedTuple):
    """351h. Magnitudes, V and A; the discharge voltage limit is ``None`` where the pack doesn't give one."""

    charge_voltage_v: float
    charge_current_a: float
    discharge_current_a: float
    discharge_voltage_v: float | None


class ChargeState(NamedTuple):
    """355h. States of charge and health 0..1; health is ``None`` where the pack doesn't give it."""

    state_of_charge: float
    state_of_health: float | None


class Measurement(NamedTuple):
    """356h. V, A (positive when charging), deg C; ``None`` for what the pack has no value of."""

    voltage_v: float | None
    current_a: float | None
    temperature_c: float | None


class Flags(NamedTuple):
    """359h or 35Ah in words."""

    alarms: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Counters:
    """What came since start."""

    frames: int = 0
    refused: int = 0
    keep_alive_failed: int = 0


def limits(data: bytes, max_voltage_v: float, max_current_a: float, place: Place = NOWHERE) -> Limits:
    """351h. Raises SHORT_READ, and IMPLAUSIBLE for limits that no such pack can have."""
    if len(data) == _FOUR.size:
        charge, charge_current, discharge_current, discharge = _FOUR.unpack(data)
    elif len(data) == _THREE.size:
        charge, charge_current, discharge_current = _THREE.unpack(data)
        discharge = 0
    else:
        raise _wrong_length(data, "6 or 8", place)
    charge_v, discharge_v = charge * LIMIT_LSB, discharge * LIMIT_LSB
    if not 0.0 < charge_v <= max_voltage_v or discharge_v >= charge_v:
        raise place.error(Cause.IMPLAUSIBLE, f"voltage limits of {discharge_v:.1f} to {charge_v:.1f} V")
    charge_a, discharge_a = charge_current * LIMIT_LSB, abs(discharge_current) * LIMIT_LSB
    if not 0.0 <= charge_a <= max_current_a or discharge_a > max_current_a:
        raise place.error(Cause.IMPLAUSIBLE, f"current limits of {charge_a:.1f} and {discharge_a:.1f} A")
    return Limits(charge_v, charge_a, discharge_a, discharge_v or None)


def charge_state(data: bytes, place: Place = NOWHERE) -> ChargeState:
    """355h. Raises SHORT_READ, and IMPLAUSIBLE above 100 %."""
    if len(data) not in (2, 4, 6, 8):
        raise _wrong_length(data, "2, 4, 6 or 8", place)
    charge = _WORD.unpack_from(data)[0]
    health = _WORD.unpack_from(data, 2)[0] if len(data) >= 4 else 0
    if charge > 100 or health > 100:
        raise place.error(Cause.IMPLAUSIBLE, f"states of charge and health of {charge} and {health} %")
    state = charge / 100.0
    if len(data) >= 6:
        fine = _WORD.unpack_from(data, 4)[0] / 10_000.0
        if fine <= 1.0 and abs(fine - state) <= COARSE_STEP:
            state = fine
    return ChargeState(state, health / 100.0 if health else None)


def measurement(data: bytes, max_voltage_v: float, max_current_a: float, place: Place = NOWHERE) -> Measurement:
    """356h. Raises SHORT_READ, and IMPLAUSIBLE for what no such pack can measure; 0 V is such a value."""
    if len(data) not in (4, 6, 8):
        raise _wrong_length(data, "4, 6 or 8", place)
    volts, amperes = _MEASURED.unpack_from(data)
    degrees = _SIGNED.unpack_from(data, 4)[0] if len(data) >= 6 else NOT_AVAILABLE
    voltage = None if volts == NOT_AVAILABLE else volts * VOLTAGE_LSB_V
    current = None if amperes == NOT_AVAILABLE else amperes * CURRENT_LSB_A
    temperature = None if degrees == NOT_AVAILABLE else degrees * TEMPERATURE_LSB_C
    if voltage is not None and not 0.0 < voltage <= max_voltage_v:
        raise place.error(Cause.IMPLAUSIBLE, f"battery voltage {voltage:.2f} V")
    if current is not None and abs(current) > max_current_a:
        raise place.error(Cause.IMPLAUSIBLE, f"battery current {current:.1f} A")
    low, high = TEMPERATURE_LIMITS_C
    if temperature is not None and not low <= temperature <= high:
        raise place.error(Cause.IMPLAUSIBLE, f"battery temperature {temperature:.1f} deg C")
    return Measurement(voltage, current, temperature)


def protections(data: bytes, place: Place = NOWHERE) -> Flags:
    """359h: protections that have acted are alarms. Raises SHORT_READ, and IMPLAUSIBLE for all ones.

    A bit that the published database doesn't name is told by its number.
    """
    if len(data) not in (7, 8):
        raise _wrong_length(data, "7 or 8", place)
    bits = int.from_bytes(data[:4], "little")
    if not bits:
        return _NO_FLAGS
    if bits == 0xFFFFFFFF:
        raise place.error(Cause.IMPLAUSIBLE, "every protection and every warning at once")
    acted, warned = bits & 0xFFFF, bits >> 16
    return Flags(_words(acted, PROTECTION_WORDS, "protection"), _words(warned, WARNING_WORDS, "warning"))


def victron_alarms(data: bytes, place: Place = NOWHERE) -> Flags:
    """35Ah. Raises SHORT_READ, and IMPLAUSIBLE for all ones."""
    if len(data) != 8:
        raise _wrong_length(data, "8", place)
    if data == _ONES:
        raise place.error(Cause.IMPLAUSIBLE, "the alarm frame is all ones")
    alarms, warnings = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
    words = _pairs(warnings)
    if warnings >> 2 * SYSTEM_PAIR & 0b11 == PAIR_ACTIVE:
        words += (SYSTEM_OFFLINE,)
    return Flags(_pairs(alarms), words)


def requests(data: bytes, place: Place = NOWHERE) -> tuple[str, ...]:
    """35Ch in words, empty when everything is allowed and nothing asked for. Raises SHORT_READ, IMPLAUSIBLE."""
    if not 1 <= len(data) <= 8:
        raise _wrong_length(data, "1 to 8", place)
    flags = data[0]
    if flags == 0xFF:
        raise place.error(Cause.IMPLAUSIBLE, "the request flags are all ones")
    words = []
    if not flags & 0x80:
        words.append("charging not allowed")
    if not flags & 0x40:
        words.append("discharging not allowed")
    if flags & 0x30:
        words.append("charging requested now")
    if flags & 0x08:
        words.append("full charge requested")
    return tuple(words)


def manufacturer(data: bytes, place: Place = NOWHERE) -> str:
    """35Eh. Raises SHORT_READ, and IMPLAUSIBLE for a name that can't be printed or is empty."""
    if not 1 <= len(data) <= 8:
        raise _wrong_length(data, "1 to 8", place)
    name = data.rstrip(b"\x00 ")
    if not name or not all(0x20 <= byte < 0x7F for byte in name):
        raise place.error(Cause.IMPLAUSIBLE, f"name is {data.hex()}h")
    return name.decode("ascii")


_NO_FLAGS = Flags((), ())
_ONES = b"\xff" * 8


def _wrong_length(data: bytes, wanted: str, place: Place) -> DeviceError:
    return place.error(Cause.SHORT_READ, f"{len(data)} bytes instead of {wanted}")


def _words(bits: int, names: dict[int, str], kind: str) -> tuple[str, ...]:
    if not bits:
        return ()
    return tuple(names.get(bit, f"{kind} bit {bit}") for bit in range(16) if bits >> bit & 1)


def _pairs(bits: int) -> tuple[str, ...]:
    if not bits:
        return ()
    return tuple(word for pair, word in PAIR_WORDS.items() if bits >> 2 * pair & 0b11 == PAIR_ACTIVE)


class Device:
    """One BMS. Every accepted frame gives a sample of all that is fresh.

    Args:
        bus: the bus that it is on; used for its name, and for 305h if that is wanted.
        address: ``None``; the profile has fixed ids.
        settings: see Settings.
    """

    def __init__(self, bus: CanBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.counters = Counters()
        self._bus = bus
        self._stale_ns = settings.stale_ms * MS
        self._keep_alive = settings.keep_alive
        bounds = (settings.max_voltage_v, settings.max_current_a)
        self._decoders: dict[int, Callable[[bytes], Any]] = {
            LIMITS_ID: lambda data: limits(data, *bounds, self.place),
            CHARGE_ID: lambda data: charge_state(data, self.place),
            MEASUREMENT_ID: lambda data: measurement(data, *bounds, self.place),
            PROTECTION_ID: lambda data: protections(data, self.place),
            ALARM_ID: lambda data: victron_alarms(data, self.place),
            REQUEST_ID: lambda data: requests(data, self.place),
            MANUFACTURER_ID: lambda data: manufacturer(data, self.place),
        }
        self._heard: dict[int, tuple[int, Any]] = {}

    @property
    def can_ids(self) -> Collection[int]:
        """See FrameDevice."""
        return tuple(self._decoders)

    def take(self, frame: CanFrame, now_ns: int) -> BmsSample | None:
        """See FrameDevice. Raises SHORT_READ, IMPLAUSIBLE; PROTOCOL for an id that isn't its own."""
        decode = self._decoders.get(frame.can_id)
        if decode is None or frame.extended:
            raise self.place.error(Cause.PROTOCOL, f"id {frame.can_id:x}h is none of a BMS")
        self.counters.frames += 1
        try:
            self._heard[frame.can_id] = (now_ns, decode(frame.data))
        except DeviceError:
            self.counters.refused += 1
            raise
        if self._keep_alive and frame.can_id == LIMITS_ID:
            self._answer()
        return self.sample(now_ns)

    def sample(self, now_ns: int) -> BmsSample:
        """What is fresh at ``now_ns``."""
        allowed: Limits | None = self._fresh(LIMITS_ID, now_ns)
        charge: ChargeState | None = self._fresh(CHARGE_ID, now_ns)
        measured: Measurement | None = self._fresh(MEASUREMENT_ID, now_ns)
        alarms, warnings = self._flags(now_ns)
        return BmsSample(
            charge_voltage_limit_v=None if allowed is None else allowed.charge_voltage_v,
            charge_current_limit_a=None if allowed is None else allowed.charge_current_a,
            discharge_current_limit_a=None if allowed is None else allowed.discharge_current_a,
            discharge_voltage_limit_v=None if allowed is None else allowed.discharge_voltage_v,
            state_of_charge=None if charge is None else charge.state_of_charge,
            state_of_health=None if charge is None else charge.state_of_health,
            voltage_v=None if measured is None else measured.voltage_v,
            current_a=None if measured is None else measured.current_a,
            temperature_c=None if measured is None else measured.temperature_c,
            alarms=alarms,
            warnings=warnings,
            manufacturer=self._fresh(MANUFACTURER_ID, now_ns),
        )

    def _fresh(self, can_id: int, now_ns: int) -> Any:
        heard = self._heard.get(can_id)
        return None if heard is None or now_ns - heard[0] > self._stale_ns else heard[1]

    def _flags(self, now_ns: int) -> Flags:
        """Alarms and warnings of both makers' frames, each word once."""
        pylontech: Flags | None = self._fresh(PROTECTION_ID, now_ns)
        victron: Flags | None = self._fresh(ALARM_ID, now_ns)
        asked: tuple[str, ...] = self._fresh(REQUEST_ID, now_ns) or ()
        one = pylontech or victron
        if one is None:
            return Flags((), (ALARMS_UNKNOWN, *asked))
        alarms, warnings = one
        if pylontech is not None and victron is not None:
            alarms = tuple(dict.fromkeys(alarms + victron.alarms))
            warnings = tuple(dict.fromkeys(warnings + victron.warnings))
        return Flags(alarms, warnings + asked) if asked else Flags(alarms, warnings)

    def _answer(self) -> None:
        try:
            self._bus.send(KEEP_ALIVE)
        except DeviceError:
            # What was heard is true even if nothing can be said; the bus counts and tells its own faults.
            self.counters.keep_alive_failed += 1


_DEFAULTS = Settings()

CODECS: tuple[Codec, ...] = (
    Codec("limits (351h)", partial(
        limits, max_voltage_v=_DEFAULTS.max_voltage_v, max_current_a=_DEFAULTS.max_current_a
    ), None),
    Codec("charge state (355h)", charge_state, None),
    Codec("measurement (356h)", partial(
        measurement, max_voltage_v=_DEFAULTS.max_voltage_v, max_current_a=_DEFAULTS.max_current_a
    ), None),
    Codec("protections (359h)", protections, None),
    Codec("Victron alarms (35Ah)", victron_alarms, 8),
    Codec("requests (35Ch)", requests, None),
    Codec("manufacturer (35Eh)", manufacturer, None),
)
REGISTERS: tuple[Register, ...] = ()
ORACLES: tuple[Oracle, ...] = (
    Oracle(OracleKind.CAPTURE, "frames of two Pylontech US5000 (firmware V1.2 and V1.3)"),
    Oracle(OracleKind.PEER, "bit positions and factors of the published database pylon_CAN_210124.dbc"),
)
