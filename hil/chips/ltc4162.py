"""Plays an LTC4162-L solar charger: words of its telemetry, and a charger that follows array, battery and settings.

Facts: Analog Devices LTC4162-L data sheet and the register definitions of its kit: SMBus words, least significant byte
first, no packet error code. VBAT 3Ah cells x 192.4 uV, VIN 3Bh 1.649 mV, VOUT 3Ch 1.653 mV, IBAT 3Dh and IIN 3Eh 1.466
uV over their sense resistors (signed; battery positive when charging), die 3Fh 0.0215 deg C less 264.4; CONFIG_BITS
14h mppt_en 1, force_telemetry_on 2, telemetry_speed 3, suspend_charger 5; IIN_LIMIT_TARGET 15h 63: (n + 1) x 0.5 mV;
INPUT_UNDERVOLTAGE 16h 31: (n + 1) x 140.625 mV, below which the charge current gives way so that the input holds; while
mppt_en is set the chip chooses that voltage itself; charge current 1Ah 31: (n + 1) x 1 mV; charge voltage 1Bh 31: cells
x (3.8125 V + n x 12.5 mV); C/x 1Ch 2184; MAX_CV_TIME 1Dh 14400 s; MAX_CHARGE_TIME 1Eh 0 min; JEITA_T1..T6 1Fh..24h, at
16117, 14113, 7970, 7112, 6325 and 4970 the 0, 10, 40, 45, 50 and 60 deg C of the thermistor: above T1 or below T6 the
charge pauses, whether en_jeita is set or not; CHARGER_CONFIG 29h, en_c_over_x_term bit 2; CHARGER_STATE 34h 2048
battery detection, 256 suspended, 128 precharge, 64 CC-CV, 32 thermistor pause, 16 timer and 8 C/x termination, 4 charge
time, 2 missing battery or a thermistor above 21684, 1 shorted battery; CHARGE_STATUS 35h 32 current limit or drop-out,
16 thermal, 8 input under-voltage, 4 input current, 2 constant current, 1 constant voltage; SYSTEM_STATUS 39h;
THERMISTOR 40h 21829 x R / (R + bias); CHEM_CELLS 43h; TELEMETRY_STATUS 4Ah bit 0 valid, about 12 ms after the telemetry
starts. Telemetry runs with an input or while force_telemetry_on is set; else the words keep their last values; the
battery's current is negative while it is drained. Alerts latch when enabled and clear by 0.

Played more simply: telemetry renews every 11 ms while charging or with telemetry_speed, else every second; battery
detection takes 0.5 s; precharge below 2.85 V a cell, at the full current; constant voltage from 10 mV a cell below the
setting; a charge ends for good until the input goes, the charger is suspended, or the battery falls 2.5 % below its
setting; a step-down converter holds its input no lower than 0.25 V above the battery (``DROPOUT_V``). Not there: other
currents and voltages between T1 and T6 (25h..28h), BSR.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

__all__ = ["DROPOUT_V", "Ltc4162", "thermistor_counts"]

DROPOUT_V = 0.25
"""Least voltage of the input above the battery, however low its regulation is set: the switch is then always on."""

_EN_LIMIT_ALERTS, _EN_STATE_ALERTS, _EN_STATUS_ALERTS = 0x0D, 0x0E, 0x0F
_CONFIG = 0x14
_IIN_LIMIT = 0x15
_INPUT_UV = 0x16
_ARM_SHIP = 0x19
_ICHARGE = 0x1A
_VCHARGE = 0x1B
_C_OVER_X = 0x1C
_MAX_CV_TIME = 0x1D
_MAX_CHARGE_TIME = 0x1E
_JEITA = range(0x1F, 0x25)
_JEITA_T1, _JEITA_T6 = _JEITA[0], _JEITA[-1]
_CHARGER_CONFIG = 0x29
_CHARGE_TIMER, _CV_TIMER = 0x30, 0x31
_STATE, _STATUS = 0x34, 0x35
_LIMIT_ALERTS, _STATE_ALERTS, _STATUS_ALERTS = 0x36, 0x37, 0x38
_SYSTEM = 0x39
_VBAT, _VIN, _VOUT, _IBAT, _IIN, _DIE, _THERMISTOR = 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x40
_CHEM_CELLS = 0x43
_ICHARGE_DAC, _VCHARGE_DAC, _IIN_DAC, _VBAT_FILT = 0x44, 0x45, 0x46, 0x47
_TELEMETRY = 0x4A
_UV_DAC = 0x4B

_RESET_VALUES = {
    **dict.fromkeys(range(0x01, 0x10), 0), _CONFIG: 0, _IIN_LIMIT: 63, _INPUT_UV: 31, _ARM_SHIP: 0, _ICHARGE: 31,
    _VCHARGE: 31, _C_OVER_X: 2184, _MAX_CV_TIME: 14400, _MAX_CHARGE_TIME: 0, _CHARGER_CONFIG: 1,
    **dict(zip(_JEITA, (16117, 14113, 7970, 7112, 6325, 4970), strict=True)),
}
_MASKS = {_CONFIG: 0x003E, _IIN_LIMIT: 0x3F, _INPUT_UV: 0xFF, _ICHARGE: 0x1F, _VCHARGE: 0x1F, _CHARGER_CONFIG: 0x07}

_MPPT_EN = 1 << 1
_FORCE_TELEMETRY = 1 << 2
_FAST_TELEMETRY = 1 << 3
_SUSPEND = 1 << 5
_EN_C_OVER_X = 1 << 2

_DETECTION, _SUSPENDED, _PRECHARGE, _CC_CV, _NTC_PAUSE = 2048, 256, 128, 64, 32
_TIMER_TERM, _C_TERM, _CHARGE_TIME_FAULT, _MISSING, _SHORTED = 16, 8, 4, 2, 1
_CHARGING = (_PRECHARGE, _CC_CV)
_ENDED = (_TIMER_TERM, _C_TERM, _CHARGE_TIME_FAULT)
_DROPOUT, _THERMAL_REG, _UVCL, _IIN_REG, _CC, _CV = 32, 16, 8, 4, 2, 1

_INTVCC_2P8, _VIN_4P2, _VIN_GT_VBAT, _VIN_OVLO, _THERMAL_SHUTDOWN, _NO_RT, _CELL_ERROR, _EN_CHG = (
    1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 7, 1 << 8,
)

_CELL_LSB = 192.4e-6
_VIN_LSB = 1.649e-3
_VOUT_LSB = 1.653e-3
_SENSE_LSB = 1.466e-6
_DIE_LSB, _DIE_ZERO = 0.0215, 264.4
_UV_LSB = 0.140625
_VIN_MIN_V = 4.2
_OVLO_V = 38.6
_HEADROOM_V = 0.2
_THERMAL_REG_C, _THERMAL_SHUTDOWN_C = 120.0, 150.0
_PRECHARGE_V = 2.85
_RECHARGE = 0.975
_WARM_NS = 12_000_000
_FAST_NS, _SLOW_NS = 11_000_000, 1_000_000_000
_DETECTION_NS = 500_000_000
_MINUTE_NS = 60_000_000_000
_THERMISTOR_FULL = 21_829
_THERMISTOR_OPEN = 21_684
_HOT_C = 60.0
_ZERO_C_K = 273.15

# Bit of LIMIT_ALERTS and its enable, limit register, telemetry word, whether it means "above".
_LIMITS = (
    (11, 0x01, _VBAT, False), (10, 0x02, _VBAT, True), (9, 0x03, _VIN, False), (8, 0x04, _VIN, True),
    (7, 0x05, _VOUT, False), (6, 0x06, _VOUT, True), (5, 0x07, _IIN, True), (4, 0x08, _IBAT, False),
    (3, 0x09, _DIE, True), (1, 0x0B, _THERMISTOR, True), (0, 0x0C, _THERMISTOR, False),
)
_TELEMETRY_VALID_ALERT = 1 << 15


def _signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def _clip(value: float) -> int:
    return max(-0x8000, min(0x7FFF, round(value))) & 0xFFFF


def thermistor_counts(celsius: float, cold_c: float = 0.0) -> float:
    """Counts of a thermistor so chosen that the reset values of T1 and T6 lie at ``cold_c`` and 60 deg C.

    ln R = a + B / T through both points; with 0 deg C that is B = 3426 K. ``cold_c`` must be below 60 deg C.
    """
    ratio_cold, ratio_hot = (_RESET_VALUES[t] / (_THERMISTOR_FULL - _RESET_VALUES[t]) for t in (_JEITA_T1, _JEITA_T6))
    cold_1_k, hot_1_k = 1.0 / (cold_c + _ZERO_C_K), 1.0 / (_HOT_C + _ZERO_C_K)
    slope_k = log(ratio_cold / ratio_hot) / (cold_1_k - hot_1_k)
    ratio = ratio_cold * exp(slope_k * (1.0 / (celsius + _ZERO_C_K) - cold_1_k))
    return _THERMISTOR_FULL * ratio / (1.0 + ratio)


class Ltc4162:
    """An LTC4162-L between an array and a battery. The rig sets the inputs and carries out what the settings allow.

    Attributes:
        input_v, input_a: the array, V and A.
        battery_v, battery_a: the battery, V and A, positive when charging.
        output_v: system rail.
        die_c: temperature of the die.
        thermistor: counts of the thermistor's voltage.
        on_change: called after every setting that is written, and after a reset.
        battery_missing, battery_shorted: what battery detection will find.
        no_rt, cell_count_error: faults of the board: the RT resistor is missing, the CELLS pins are not valid.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        *,
        cells: int = 8,
        sense_ohm: float = 0.01,
        input_sense_ohm: float = 0.01,
        chemistry: int = 0,
        mppt_by_default: bool = True,
    ) -> None:
        """A chip after power-on.

        Args:
            now_ns: the rig's clock.
            cells: cells in series as the CELLS pins say, 1..8.
            sense_ohm, input_sense_ohm: RSNSB and RSNSI.
            chemistry: code of the variant in CHEM_CELLS; 0 is the adjustable LTC4162-LAD.
            mppt_by_default: whether mppt_en is set at reset, as in the variants with an M.
        """
        if not 1 <= cells <= 8:
            raise ValueError(f"cells is {cells}; 1..8 is allowed")
        self.input_v = 0.0
        self.input_a = 0.0
        self.battery_v = 0.0
        self.battery_a = 0.0
        self.output_v = 0.0
        self.die_c = 25.0
        self.thermistor = 11_000.0
        self.on_change: Callable[[], None] | None = None
        self.battery_missing = False
        self.battery_shorted = False
        self.no_rt = False
        self.cell_count_error = False
        self._now_ns = now_ns
        self._cells = cells
        self._sense_ohm = sense_ohm
        self._input_sense_ohm = input_sense_ohm
        self._chemistry = chemistry
        self._config_reset = _MPPT_EN if mppt_by_default else 0
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, nothing measured, a new charge cycle to begin."""
        self._registers = {**_RESET_VALUES, _CONFIG: self._config_reset}
        self._pointer = 0
        self._words = dict.fromkeys((_VBAT, _VIN, _VOUT, _IBAT, _IIN, _DIE, _THERMISTOR, _VBAT_FILT), 0)
        self._warm_ns: int | None = None
        self._measured_ns: int | None = None
        self._state = _SUSPENDED
        self._status = 0
        self._since_ns = 0
        self._charge_ns = 0
        self._cv_ns: int | None = None
        self._alerts = {_LIMIT_ALERTS: 0, _STATE_ALERTS: 0, _STATUS_ALERTS: 0}
        self._changed()

    @property
    def charging(self) -> bool:
        """Whether current flows into the battery now, as far as the charger is concerned."""
        self.advance()
        return self._state in _CHARGING

    @property
    def target_v(self) -> float:
        """Battery voltage that the charger works towards."""
        return self._cells * (3.8125 + 0.0125 * self._registers[_VCHARGE])

    @property
    def target_a(self) -> float:
        """Charge current at most."""
        return (self._registers[_ICHARGE] + 1) * 1e-3 / self._sense_ohm

    @property
    def paused(self) -> bool:
        """Whether the thermistor says that the battery is too cold or too hot to be charged."""
        return not self._registers[_JEITA_T6] <= self.thermistor <= self._registers[_JEITA_T1]

    @property
    def input_regulation_v(self) -> float | None:
        """Voltage at which it holds the input, V; ``None`` while it tracks the maximum by itself."""
        if self._registers[_CONFIG] & _MPPT_EN:
            return None
        return max((self._registers[_INPUT_UV] + 1) * _UV_LSB, self.battery_v + DROPOUT_V)

    @property
    def charge_limit_a(self) -> float:
        """Most current into the battery as things are: the setting, or 0 while it does not charge.

        Without an input nothing of it flows, but the setting stands: the limit is that of the pack as well.
        """
        self.advance()
        system = self._system()
        refuses = system & (_THERMAL_SHUTDOWN | _NO_RT | _CELL_ERROR | _VIN_OVLO) or self.paused
        if refuses or self._registers[_CONFIG] & _SUSPEND or self.battery_missing or self.battery_shorted:
            return 0.0
        return self.target_a if self._state in _CHARGING or not system & _VIN_GT_VBAT else 0.0

    def write(self, data: bytes) -> bool:
        """Command, then a word, least significant byte first; other lengths change nothing."""
        if data:
            self._pointer = data[0]
        if len(data) == 3:
            self.advance()
            self._store(data[0], data[1] | data[2] << 8)
        return True

    def read(self, count: int) -> bytes:
        """The word of the last command, least significant byte first; ones after it."""
        self.advance()
        return self._load(self._pointer).to_bytes(2, "little")[:count].ljust(count, b"\xff")

    def advance(self) -> None:
        """Bring charger and telemetry to now; every access does so by itself."""
        now = self._now_ns()
        system = self._system()
        running = bool(system & _VIN_4P2) or bool(self._registers[_CONFIG] & _FORCE_TELEMETRY)
        if not running:
            self._warm_ns = None
        elif self._warm_ns is None:
            self._warm_ns = now + _WARM_NS
            self._measured_ns = None
        valid = self._valid(now)
        self._charge(now, system, valid)
        if valid:
            self._measure(now)

    # -- inside

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _store(self, register: int, value: int) -> None:
        if register in self._registers:
            self._registers[register] = value & _MASKS.get(register, 0xFFFF)
            self.advance()
            self._changed()
        elif register in self._alerts:
            self._alerts[register] &= value

    def _load(self, register: int) -> int:
        if register in self._registers:
            return self._registers[register]
        if register in self._words:
            return self._words[register]
        if register in self._alerts:
            return self._alerts[register]
        now = self._now_ns()
        if register == _STATE:
            return self._state
        if register == _STATUS:
            return self._status
        if register == _SYSTEM:
            system = self._system()
            return system | _EN_CHG if self._state in _CHARGING else system
        if register == _TELEMETRY:
            return int(self._valid(now))
        if register == _CHEM_CELLS:
            return self._chemistry << 8 | (0 if self.cell_count_error else self._cells)
        if register == _ICHARGE_DAC:
            return self._registers[_ICHARGE] if self._state == _CC_CV else 0
        if register == _VCHARGE_DAC:
            return self._registers[_VCHARGE] if self._state in _CHARGING else 0
        if register == _IIN_DAC:
            return self._registers[_IIN_LIMIT]
        if register == _UV_DAC:
            if self._registers[_CONFIG] & _MPPT_EN and self._state in _CHARGING:
                return max(0, min(0xFF, round(self.input_v / _UV_LSB) - 1))
            return self._registers[_INPUT_UV]
        if register == _CHARGE_TIMER:
            runs = self._registers[_MAX_CHARGE_TIME] and self._state in _CHARGING
            return min(0xFFFF, (now - self._charge_ns) // _MINUTE_NS) if runs else 0
        if register == _CV_TIMER:
            return min(0xFFFF, (now - self._cv_ns) // 1_000_000_000) if self._cv_ns is not None else 0
        return 0

    def _system(self) -> int:
        bits = 0
        if self.input_v > _VIN_MIN_V or self.battery_v > 2.8:
            bits |= _INTVCC_2P8
        if self.input_v > _VIN_MIN_V:
            bits |= _VIN_4P2
        if self.input_v > self.battery_v + _HEADROOM_V and self.input_v > _VIN_MIN_V:
            bits |= _VIN_GT_VBAT
        if self.input_v > _OVLO_V:
            bits |= _VIN_OVLO
        if self.die_c > _THERMAL_SHUTDOWN_C:
            bits |= _THERMAL_SHUTDOWN
        if self.no_rt:
            bits |= _NO_RT
        if self.cell_count_error:
            bits |= _CELL_ERROR
        return bits

    def _valid(self, now: int) -> bool:
        return self._warm_ns is not None and now >= self._warm_ns

    def _charge(self, now: int, system: int, valid: bool) -> None:
        """The charger's state and what regulates it."""
        blocked = system & (_VIN_OVLO | _THERMAL_SHUTDOWN | _NO_RT | _CELL_ERROR)
        if not system & _VIN_GT_VBAT or blocked or not valid or self._registers[_CONFIG] & _SUSPEND:
            self._enter(_SUSPENDED, now)
        elif self._state == _SUSPENDED:
            self._enter(_DETECTION, now)
        elif self._state == _DETECTION:
            if now - self._since_ns >= _DETECTION_NS:
                self._enter(self._detected(), now)
                self._charge_ns = now
        elif self._state in (_MISSING, _SHORTED):
            if self._detected() not in (_MISSING, _SHORTED):
                self._enter(_DETECTION, now)
        elif self._state in _ENDED:
            if self.battery_v < _RECHARGE * self.target_v and self._state != _CHARGE_TIME_FAULT:
                self._enter(_DETECTION, now)
        else:
            self._go_on(now)
        self._regulate(now)

    def _detected(self) -> int:
        if self.battery_missing or self.thermistor > _THERMISTOR_OPEN:
            return _MISSING
        if self.battery_shorted:
            return _SHORTED
        if self.paused:
            return _NTC_PAUSE
        return _PRECHARGE if self.battery_v < _PRECHARGE_V * self._cells else _CC_CV

    def _go_on(self, now: int) -> None:
        """A charge that is under way: new state by battery, then the reasons to end it."""
        registers = self._registers
        longest = registers[_MAX_CHARGE_TIME]
        if longest and now - self._charge_ns >= longest * _MINUTE_NS:
            self._enter(_CHARGE_TIME_FAULT, now)
        elif self._cv_ns is not None and registers[_MAX_CV_TIME] and (
            now - self._cv_ns >= registers[_MAX_CV_TIME] * 1_000_000_000
        ):
            self._enter(_TIMER_TERM, now)
        elif self._status == _CV and registers[_CHARGER_CONFIG] & _EN_C_OVER_X and (
            self.battery_a * self._sense_ohm / _SENSE_LSB < registers[_C_OVER_X]
        ):
            self._enter(_C_TERM, now)
        else:
            self._enter(self._detected(), now)

    def _enter(self, state: int, now: int) -> None:
        if state == self._state:
            return
        self._state = state
        self._since_ns = now
        if state != _CC_CV:
            self._cv_ns = None
        self._alerts[_STATE_ALERTS] |= state & self._registers[_EN_STATE_ALERTS]

    def _regulate(self, now: int) -> None:
        status = 0
        if self._state in _CHARGING:
            if self.battery_v >= self.target_v - 0.010 * self._cells:
                status = _CV
            elif self.die_c >= _THERMAL_REG_C:
                status = _THERMAL_REG
            elif self._state == _PRECHARGE or self.battery_a >= 0.97 * self.target_a:
                status = _CC
            elif self.input_a >= 0.97 * (self._registers[_IIN_LIMIT] + 1) * 0.5e-3 / self._input_sense_ohm:
                status = _IIN_REG
            elif self.input_v <= self.battery_v + DROPOUT_V + _UV_LSB:
                status = _DROPOUT
            else:
                status = _UVCL
        if status == _CV and self._cv_ns is None:
            self._cv_ns = now
        if status != self._status:
            self._status = status
            self._alerts[_STATUS_ALERTS] |= status & self._registers[_EN_STATUS_ALERTS]

    def _measure(self, now: int) -> None:
        fast = self._state in _CHARGING or self._registers[_CONFIG] & _FAST_TELEMETRY
        if self._measured_ns is not None and now - self._measured_ns < (_FAST_NS if fast else _SLOW_NS):
            return
        enabled = self._registers[_EN_LIMIT_ALERTS]
        if self._measured_ns is None:
            self._alerts[_LIMIT_ALERTS] |= _TELEMETRY_VALID_ALERT & enabled
        self._measured_ns = now
        words = self._words
        words[_VBAT] = words[_VBAT_FILT] = _clip(self.battery_v / (_CELL_LSB * self._cells))
        words[_VIN] = _clip(self.input_v / _VIN_LSB)
        words[_VOUT] = _clip(self.output_v / _VOUT_LSB)
        words[_IBAT] = _clip(self.battery_a * self._sense_ohm / _SENSE_LSB)
        words[_IIN] = _clip(self.input_a * self._input_sense_ohm / _SENSE_LSB)
        words[_DIE] = _clip((self.die_c + _DIE_ZERO) / _DIE_LSB)
        words[_THERMISTOR] = _clip(self.thermistor)
        if enabled:
            for bit, limit, watched, above in _LIMITS:
                if enabled >> bit & 1:
                    word, level = _signed16(words[watched]), _signed16(self._registers[limit])
                    if word > level if above else word < level:
                        self._alerts[_LIMIT_ALERTS] |= 1 << bit
