"""Plays a smart battery: its words, strings and alarms over SMBus, with packet error codes when it is of version 1.1.

Facts: Smart Battery Data Specification, revision 1.1, section 5.1 (commands 00h..1Ch words, 20h..23h blocks, least
significant byte first; temperature 0.1 K, voltage mV, current mA signed and positive when charging, charge mAh or 10
mWh by CAPACITY_MODE, time in minutes with 65535 for "not so"), 5.1.4 (BatteryMode), 5.1.22 (BatteryStatus and its
error codes) and 5.1.26 (SpecificationInfo: revision 1; version 1 is 1.0, 2 is 1.1, 3 is 1.1 with PEC; VScale and
IPScale as powers of ten); System Management Bus address 0Bh. An unsupported command or refused value is not
acknowledged and leaves its code in BatteryStatus; ALARM_MODE falls back to 0 after 60 s.

Played more simply: times come from the present current; the average current is the present one; a battery never sends
alarm or charger broadcasts by itself; AtRate answers the time for that rate from the charge that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hil.chips.smbus import Command, Refusal, SmbusTarget, block

__all__ = ["SbsBattery", "SbsIdentity"]

_MANUFACTURER_ACCESS = 0x00
_REMAINING_CAPACITY_ALARM = 0x01
_REMAINING_TIME_ALARM = 0x02
_BATTERY_MODE = 0x03
_AT_RATE = 0x04

_CAPACITY_MODE = 1 << 15
_CHARGER_MODE = 1 << 14
_ALARM_MODE = 1 << 13
_PRIMARY_BATTERY = 1 << 9
_CHARGE_CONTROLLER_ENABLED = 1 << 8
_CONDITION_FLAG = 1 << 7
_MODE_WRITABLE = _CAPACITY_MODE | _CHARGER_MODE | _ALARM_MODE | _PRIMARY_BATTERY | _CHARGE_CONTROLLER_ENABLED
_ALARM_MODE_NS = 60_000_000_000

_OVER_CHARGED_ALARM = 1 << 15
_TERMINATE_CHARGE_ALARM = 1 << 14
_OVER_TEMP_ALARM = 1 << 12
_TERMINATE_DISCHARGE_ALARM = 1 << 11
_CAPACITY_ALARM = 1 << 9
_TIME_ALARM = 1 << 8
_INITIALIZED = 1 << 7
_DISCHARGING = 1 << 6
_FULLY_CHARGED = 1 << 5
_FULLY_DISCHARGED = 1 << 4

_OK = 0
_UNSUPPORTED = 3
_ACCESS_DENIED = 4
_OVERFLOW = 5
_BAD_SIZE = 6
_UNKNOWN_ERROR = 7
_ERROR_CODES = {
    Refusal.UNSUPPORTED_COMMAND: _UNSUPPORTED,
    Refusal.INVALID_DATA: _OVERFLOW,
    Refusal.READ_ONLY: _ACCESS_DENIED,
    Refusal.WRITE_ONLY: _ACCESS_DENIED,
    Refusal.TOO_FEW_BYTES: _BAD_SIZE,
    Refusal.TOO_MANY_BYTES: _BAD_SIZE,
    Refusal.READ_PAST_END: _BAD_SIZE,
    Refusal.PACKET_ERROR: _UNKNOWN_ERROR,
    Refusal.READ_WITHOUT_COMMAND: _UNKNOWN_ERROR,
}

_KELVIN = 273.15
_COULOMB_PER_MAH = 3.6
_JOULE_PER_10MWH = 36.0
_NEVER = 0xFFFF


@dataclass(frozen=True, slots=True)
class SbsIdentity:
    """What a battery says of itself and never changes.

    ``version`` is the version nibble of SpecificationInfo, ``voltage_scale`` and ``current_scale`` its powers of ten.
    """

    manufacturer: str = "QIKI"
    device: str = "PACK-8S"
    chemistry: str = "LION"
    manufacturer_data: bytes = b""
    serial: int = 1
    year: int = 2026
    month: int = 1
    day: int = 1
    version: int = 3
    voltage_scale: int = 0
    current_scale: int = 0


class SbsBattery(SmbusTarget):
    """A smart battery at 0Bh. The rig sets the attributes whenever it likes; words are made when they are read.

    Attributes:
        voltage_v: pack voltage.
        current_a: positive when charging.
        celsius: cell temperature.
        remaining_c, full_c, design_c: charge left, when full, and as designed, coulomb.
        design_v: nominal voltage; it also turns charge into energy.
        charging_a, charging_v: what the pack wants of a charger.
        over_temperature_c: temperature above which it raises OVER_TEMP_ALARM and wants no charge.
        max_error: uncertainty of the state of charge, 0..1.
        cycles: full cycles so far.
        over_charged, terminate_charge, terminate_discharge, condition: the pack's own judgement, set by the rig.
        initialized: False for a gauge that has lost its calibration.
        reported_soc: relative state of charge of a gauge that has failed, whatever it counts; it may be above 1.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        *,
        address: int = 0x0B,
        identity: SbsIdentity = SbsIdentity(),
        design_c: float = 36_000.0,
        design_v: float = 28.8,
    ) -> None:
        """A battery just plugged in, half full. ValueError for an identity that the specification cannot say."""
        scales = (identity.voltage_scale, identity.current_scale)
        if not 1 <= identity.version <= 3 or min(scales) < 0 or max(scales) > 3:
            raise ValueError("version is 1..3, scales are 0..3")
        super().__init__(address, pec=identity.version == 3)
        self.identity = identity
        self.design_c = design_c
        self.design_v = design_v
        self.full_c = design_c
        self.remaining_c = 0.5 * design_c
        self.voltage_v = design_v
        self.current_a = 0.0
        self.celsius = 25.0
        self.charging_a = design_c / 3600.0 / 2.0
        self.charging_v = design_v * 4.2 / 3.6
        self.over_temperature_c = 60.0
        self.max_error = 0.01
        self.cycles = 0
        self.over_charged = False
        self.terminate_charge = False
        self.terminate_discharge = False
        self.condition = False
        self.initialized = True
        self.reported_soc: float | None = None
        self._now_ns = now_ns
        self._volts = 10.0**identity.voltage_scale
        self._amperes = 10.0**identity.current_scale
        self._commands = self._build()
        self.reset()

    def reset(self) -> None:
        """Plugged in anew, or the gauge restarted: writable words at their defaults."""
        self._pending = None
        self._mode = 0
        self._alarm_mode_ns = 0
        self._capacity_alarm_c = self.design_c / 10.0
        self._time_alarm_min = 10
        self._at_rate = 0
        self._access = 0
        self._error = _OK

    def write(self, data: bytes) -> bool:
        """As SmbusTarget; a command that is understood clears the error code, except BatteryStatus, which tells it."""
        if data and data[0] != 0x16:
            self._error = _OK
        return super().write(data)

    def _refuse(self, why: Refusal) -> bool:
        self._error = _ERROR_CODES[why]
        return super()._refuse(why)

    # -- words

    def _build(self) -> dict[int, Command]:
        def word(value: Callable[[], int]) -> Command:
            return Command(2, lambda: (value() & 0xFFFF).to_bytes(2, "little"))

        def kept(value: Callable[[], int], store: Callable[[int], bool]) -> Command:
            return Command(
                2,
                lambda: (value() & 0xFFFF).to_bytes(2, "little"),
                lambda data: store(int.from_bytes(data, "little")),
            )

        def text(value: Callable[[], bytes]) -> Command:
            return Command(None, lambda: block(value()))

        identity = self.identity
        date = (identity.year - 1980) << 9 | identity.month << 5 | identity.day
        info = identity.current_scale << 12 | identity.voltage_scale << 8 | identity.version << 4 | 1
        return {
            _MANUFACTURER_ACCESS: kept(lambda: self._access, self._set_access),
            _REMAINING_CAPACITY_ALARM: kept(lambda: self._capacity(self._capacity_alarm_c), self._set_capacity_alarm),
            _REMAINING_TIME_ALARM: kept(lambda: self._time_alarm_min, self._set_time_alarm),
            _BATTERY_MODE: kept(self._battery_mode, self._set_mode),
            _AT_RATE: kept(lambda: self._at_rate, self._set_at_rate),
            0x05: word(lambda: self._minutes_to_full(self._at_rate_a())),
            0x06: word(lambda: self._minutes_to_empty(self._at_rate_a())),
            0x07: word(lambda: int(self._at_rate_a() >= 0.0 or self._minutes_to_empty(self._at_rate_a()) > 0)),
            0x08: word(lambda: _unsigned((self.celsius + _KELVIN) * 10.0)),
            0x09: word(lambda: _unsigned(self.voltage_v * 1000.0 / self._volts)),
            0x0A: word(self._current),
            0x0B: word(self._current),
            0x0C: word(lambda: _percent(self.max_error)),
            0x0D: word(self._relative_charge),
            0x0E: word(lambda: _percent(self.remaining_c / self.design_c)),
            0x0F: word(lambda: self._capacity(self.remaining_c)),
            0x10: word(lambda: self._capacity(self.full_c)),
            0x11: word(lambda: self._minutes_to_empty(self.current_a)),
            0x12: word(lambda: self._minutes_to_empty(self.current_a)),
            0x13: word(lambda: self._minutes_to_full(self.current_a)),
            0x14: word(lambda: 0 if self._no_charge() else _unsigned(self.charging_a * 1000.0 / self._amperes)),
            0x15: word(lambda: 0 if self._no_charge() else _unsigned(self.charging_v * 1000.0 / self._volts)),
            0x16: word(self._status),
            0x17: word(lambda: self.cycles),
            0x18: word(lambda: self._capacity(self.design_c)),
            0x19: word(lambda: _unsigned(self.design_v * 1000.0 / self._volts)),
            0x1A: word(lambda: info),
            0x1B: word(lambda: date),
            0x1C: word(lambda: identity.serial),
            0x20: text(lambda: identity.manufacturer.encode("ascii")),
            0x21: text(lambda: identity.device.encode("ascii")),
            0x22: text(lambda: identity.chemistry.encode("ascii")),
            0x23: text(lambda: identity.manufacturer_data),
        }

    def _relative_charge(self) -> int:
        if self.reported_soc is not None:
            return _unsigned(100.0 * self.reported_soc)
        return _percent(self.remaining_c / self.full_c if self.full_c > 0.0 else 0.0)

    def _capacity(self, coulomb: float) -> int:
        if self._mode & _CAPACITY_MODE:
            scale = _JOULE_PER_10MWH * self._volts * self._amperes
            return _unsigned(coulomb * self.design_v / scale)
        return _unsigned(coulomb / (_COULOMB_PER_MAH * self._amperes))

    def _current(self) -> int:
        return max(-0x8000, min(0x7FFF, round(self.current_a * 1000.0 / self._amperes)))

    def _minutes_to_empty(self, amperes: float) -> int:
        return _minutes(self.remaining_c / -amperes) if amperes < 0.0 else _NEVER

    def _minutes_to_full(self, amperes: float) -> int:
        return _minutes((self.full_c - self.remaining_c) / amperes) if amperes > 0.0 else _NEVER

    def _at_rate_a(self) -> float:
        rate = self._at_rate - 0x10000 if self._at_rate & 0x8000 else self._at_rate
        if self._mode & _CAPACITY_MODE:
            return rate * 0.01 * self._volts * self._amperes / self.design_v
        return rate * 1e-3 * self._amperes

    def _no_charge(self) -> bool:
        return self.terminate_charge or self.over_charged or self.celsius > self.over_temperature_c

    def _status(self) -> int:
        bits = self._error
        if self.over_charged:
            bits |= _OVER_CHARGED_ALARM
        if self._no_charge():
            bits |= _TERMINATE_CHARGE_ALARM
        if self.celsius > self.over_temperature_c:
            bits |= _OVER_TEMP_ALARM
        if self.terminate_discharge or self.remaining_c <= 0.0:
            bits |= _TERMINATE_DISCHARGE_ALARM
        if self._capacity_alarm_c > 0.0 and self.remaining_c < self._capacity_alarm_c:
            bits |= _CAPACITY_ALARM
        if self._time_alarm_min and self._minutes_to_empty(self.current_a) < self._time_alarm_min:
            bits |= _TIME_ALARM
        if self.initialized:
            bits |= _INITIALIZED
        if self.current_a <= 0.0:
            bits |= _DISCHARGING  # also at rest: the specification calls everything that is not charging so
        if self.remaining_c >= self.full_c:
            bits |= _FULLY_CHARGED
        if self.remaining_c <= 0.0:
            bits |= _FULLY_DISCHARGED
        return bits

    def _battery_mode(self) -> int:
        if self._mode & _ALARM_MODE and self._now_ns() - self._alarm_mode_ns >= _ALARM_MODE_NS:
            self._mode &= ~_ALARM_MODE
        return self._mode | (_CONDITION_FLAG if self.condition else 0)

    # -- what the host writes

    def _set_access(self, value: int) -> bool:
        self._access = value
        return True

    def _set_capacity_alarm(self, value: int) -> bool:
        if self._mode & _CAPACITY_MODE:
            self._capacity_alarm_c = value * _JOULE_PER_10MWH * self._volts * self._amperes / self.design_v
        else:
            self._capacity_alarm_c = value * _COULOMB_PER_MAH * self._amperes
        return True

    def _set_time_alarm(self, value: int) -> bool:
        self._time_alarm_min = value
        return True

    def _set_mode(self, value: int) -> bool:
        self._mode = value & _MODE_WRITABLE
        self._alarm_mode_ns = self._now_ns()
        return True

    def _set_at_rate(self, value: int) -> bool:
        self._at_rate = value
        return True


def _unsigned(value: float) -> int:
    return max(0, min(0xFFFF, round(value)))


def _percent(share: float) -> int:
    return max(0, min(100, round(100.0 * share)))


def _minutes(seconds: float) -> int:
    return max(0, min(_NEVER - 1, int(seconds / 60.0)))
