"""Plays an LTC3350 supercapacitor charger and monitor: measured words, status and alarms over SMBus.

Facts: Analog Devices LTC3350 data sheet rev. C, register descriptions, and the register map of Analog's LTC3350 kit:
words are least significant byte first; cells 183.5 uV, VIN and VOUT 2.21 mV, VCAP 1.476 mV, currents 1.983 uV over
their sense resistor, die 0.028 deg C less 251.4, ESR RSNSC / 64, capacitance 336 uF x RT / RTST (3.36 uF with
ctl_cap_scale); VCAPFB_DAC Fh, VSHUNT 3999h and all other writable registers 0 after reset; feedback reference
637.5 mV + 37.5 mV x DAC; period of the capacitance measurement in steps of 10 s.

Played more simply: a measurement of capacitance and ESR waits until the input is good and the stack is at its target,
then takes ``measurement_s``; the charger is in constant-voltage mode from 98 % of the target; power good from 92 %;
STEPDOWN shows a positive and STEPUP a negative charge current. No PEC, no SMBALERT pin.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ltc3350"]

_CLR_ALARMS = 0x00
_MSK_ALARMS = 0x01
_MSK_MON_STATUS = 0x02
_CAP_ESR_PER = 0x04
_VCAPFB_DAC = 0x05
_VSHUNT = 0x06
_LEVELS = range(0x07, 0x17)
_ESR_HI_LVL = 0x15
_CAP_LO_LVL = 0x16
_CTL_REG = 0x17
_NUM_CAPS = 0x1A
_CHRG_STATUS = 0x1B
_MON_STATUS = 0x1C
_ALARM_REG = 0x1D
_MEAS_CAP = 0x1E
_MEAS_ESR = 0x1F
_MEAS_VCAP1 = 0x20
_MEAS_VCAP4 = 0x23
_MEAS_GPI = 0x24
_MEAS_VIN = 0x25
_MEAS_VCAP = 0x26
_MEAS_VOUT = 0x27
_MEAS_IIN = 0x28
_MEAS_ICHG = 0x29
_MEAS_DTEMP = 0x2A

_RESET_VALUES = {
    _MSK_ALARMS: 0, _MSK_MON_STATUS: 0, _CAP_ESR_PER: 0, _VCAPFB_DAC: 0x000F, _VSHUNT: 0x3999,
    **dict.fromkeys(_LEVELS, 0), _CTL_REG: 0,
}
_MASKS = {_VCAPFB_DAC: 0x000F, _CTL_REG: 0x000F, _MSK_MON_STATUS: 0x037F}

_CTL_START = 1 << 0
_CTL_STOP = 1 << 2
_CTL_SMALL_CAP = 1 << 3

_STEPDOWN = 1 << 0
_STEPUP = 1 << 1
_CV = 1 << 2
_UVLO = 1 << 3
_CAPPG = 1 << 5
_SHNT = 1 << 6
_BAL = 1 << 7
_DIS = 1 << 8
_CI = 1 << 9
_PFO = 1 << 11

_ACTIVE = 1 << 0
_SCHEDULED = 1 << 1
_PENDING = 1 << 2
_CAP_DONE = 1 << 3
_ESR_DONE = 1 << 4
_CAP_FAILED = 1 << 5
_ESR_FAILED = 1 << 6
_POWER_FAILED = 1 << 8
_POWER_RETURNED = 1 << 9

_CELL_V = 183.5e-6
_INPUT_V = 2.21e-3
_STACK_V = 1.476e-3
_SENSE_V = 1.983e-6
_DIE_C = 0.028
_DIE_ZERO_C = -251.4
_CAP_F = 336e-6
_UVLO_V = 4.35
_UNBALANCED_V = 0.010
_PERIOD_STEP_NS = 10_000_000_000

# Alarm bit, its level register, the word it watches (None: every cell), whether it means "above".
_ALARMS = (
    (0, 0x07, None, False), (1, 0x08, None, True), (2, 0x09, _MEAS_GPI, False), (3, 0x0A, _MEAS_GPI, True),
    (4, 0x0B, _MEAS_VIN, False), (5, 0x0C, _MEAS_VIN, True), (6, 0x0D, _MEAS_VCAP, False),
    (7, 0x0E, _MEAS_VCAP, True), (8, 0x0F, _MEAS_VOUT, False), (9, 0x10, _MEAS_VOUT, True),
    (10, 0x11, _MEAS_IIN, True), (11, 0x12, _MEAS_ICHG, False), (12, 0x13, _MEAS_DTEMP, False),
    (13, 0x14, _MEAS_DTEMP, True), (14, _ESR_HI_LVL, _MEAS_ESR, True), (15, _CAP_LO_LVL, _MEAS_CAP, False),
)


def _signed(value: float) -> int:
    return max(-0x8000, min(0x7FFF, round(value)))


def _signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


class Ltc3350:
    """An LTC3350 with its stack. The rig sets the attributes whenever it likes; words are made when they are read.

    Attributes:
        stack_voltage_v, input_voltage_v, output_voltage_v: V.
        charge_current_a: into the stack, A; negative while the stack feeds the output.
        input_current_a: A.
        capacitance_f, esr_ohm: what a measurement of the stack will find.
        die_c: deg C.
        gpi_v: voltage on the GPI pin.
        cell_voltages_v: voltage of each cell; ``None`` shares the stack voltage evenly.
        on_change: called after every setting that is written, and after a reset.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        *,
        cells: int = 4,
        full_voltage_v: float = 10.0,
        sense_ohm: float = 0.006,
        input_sense_ohm: float = 0.016,
        rt_ohm: float = 71_500.0,
        rtst_ohm: float = 121.0,
        power_fail_v: float = 8.0,
        measurement_s: float = 10.0,
    ) -> None:
        """A chip after power-on.

        Args:
            now_ns: the rig's clock.
            cells: capacitors in series, 1..4.
            full_voltage_v: stack voltage that the feedback divider sets at VCAPFB_DAC Fh.
            sense_ohm, input_sense_ohm: RSNSC and RSNSI.
            rt_ohm, rtst_ohm: RT and RTST, which scale the capacitance; 71.5 k and 121 are the data sheet's example.
            power_fail_v: input voltage at which the PFI divider trips.
            measurement_s: how long a measurement of capacitance and ESR takes.
        """
        if not 1 <= cells <= 4:
            raise ValueError(f"cells is {cells}; 1..4 is allowed")
        self.stack_voltage_v = 0.0
        self.input_voltage_v = 0.0
        self.output_voltage_v = 0.0
        self.charge_current_a = 0.0
        self.input_current_a = 0.0
        self.capacitance_f = 0.0
        self.esr_ohm = 0.0
        self.die_c = 25.0
        self.gpi_v = 0.0
        self.cell_voltages_v: tuple[float, ...] | None = None
        self.on_change: Callable[[], None] | None = None
        self._now_ns = now_ns
        self._cells = cells
        self._full_v = full_voltage_v
        self._sense_ohm = sense_ohm
        self._input_sense_ohm = input_sense_ohm
        self._esr_lsb = sense_ohm / 64.0
        self._cap_lsb = _CAP_F * rt_ohm / rtst_ohm
        self._power_fail_v = power_fail_v
        self._measurement_ns = round(measurement_s * 1e9)
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, capacitance and ESR not measured."""
        self._registers = dict(_RESET_VALUES)
        self._pointer = 0
        self._alarms = 0
        self._capacitance = 0
        self._esr = 0
        self._outcome = 0
        self._pending = False
        self._active_ns: int | None = None
        self._due_ns: int | None = None
        self._changed()

    def write(self, data: bytes) -> bool:
        """SMBus command, then a word, least significant byte first."""
        if data:
            self._pointer = data[0]
        if len(data) >= 3:
            self._store(data[0], data[1] | data[2] << 8)
        return True

    def read(self, count: int) -> bytes:
        """The word of the last command, least significant byte first; ones after it."""
        return self._word(self._pointer).to_bytes(2, "little")[:count].ljust(count, b"\xff")

    @property
    def target_v(self) -> float:
        """Stack voltage the charger works towards."""
        return self._full_v * (37.5 * self._registers[_VCAPFB_DAC] + 637.5) / 1200.0

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _power_good(self) -> bool:
        return self.input_voltage_v >= self._power_fail_v

    def _at_target(self) -> bool:
        return self.stack_voltage_v >= 0.98 * self.target_v

    def _store(self, register: int, value: int) -> None:
        self._progress()
        if register == _CLR_ALARMS:
            self._alarms &= ~value
        elif register in self._registers:
            self._registers[register] = value & _MASKS.get(register, 0xFFFF)
            if register == _CTL_REG:
                self._control(value)
            elif register == _CAP_ESR_PER:
                self._due_ns = self._now_ns() + value * _PERIOD_STEP_NS if value else None
            self._changed()

    def _control(self, value: int) -> None:
        self._registers[_CTL_REG] &= ~(_CTL_START | _CTL_STOP)
        if value & _CTL_STOP:
            self._pending = False
            self._active_ns = None
        elif value & _CTL_START:
            self._pending = True
            self._progress()

    def _progress(self) -> None:
        """Move the measurement of capacitance and ESR on to this instant."""
        now = self._now_ns()
        if self._active_ns is not None:
            if not self._power_good():
                self._active_ns = None
                self._outcome = _CAP_FAILED | _ESR_FAILED
            elif now - self._active_ns >= self._measurement_ns:
                self._active_ns = None
                self._outcome = _CAP_DONE | _ESR_DONE
                scale = self._cap_lsb / 100.0 if self._registers[_CTL_REG] & _CTL_SMALL_CAP else self._cap_lsb
                self._capacitance = max(0, min(0xFFFF, round(self.capacitance_f / scale)))
                self._esr = max(0, min(0xFFFF, round(self.esr_ohm / self._esr_lsb)))
        if self._due_ns is not None and now >= self._due_ns:
            self._pending = True
            self._due_ns = now + self._registers[_CAP_ESR_PER] * _PERIOD_STEP_NS
        if self._pending and self._active_ns is None and self._power_good() and self._at_target():
            self._pending = False
            self._outcome = 0
            self._active_ns = now

    def _word(self, register: int) -> int:
        if register in self._registers:
            return self._registers[register]
        if register == _NUM_CAPS:
            return self._cells - 1
        self._progress()
        if register == _CHRG_STATUS:
            return self._charger_status()
        if register == _MON_STATUS:
            return self._monitor_status()
        if register == _ALARM_REG:
            self._check_alarms()
            return self._alarms
        return self._measured(register) & 0xFFFF

    def _measured(self, register: int) -> int:
        """Words of the converter, signed; 0 for a register that is not there."""
        if register == _MEAS_VCAP:
            return _signed(self.stack_voltage_v / _STACK_V)
        if register == _MEAS_VIN:
            return _signed(self.input_voltage_v / _INPUT_V)
        if register == _MEAS_ICHG:
            return _signed(self.charge_current_a * self._sense_ohm / _SENSE_V)
        if register == _MEAS_CAP:
            return self._capacitance
        if register == _MEAS_ESR:
            return self._esr
        if register == _MEAS_VOUT:
            return _signed(self.output_voltage_v / _INPUT_V)
        if register == _MEAS_IIN:
            return _signed(self.input_current_a * self._input_sense_ohm / _SENSE_V)
        if register == _MEAS_DTEMP:
            return _signed((self.die_c - _DIE_ZERO_C) / _DIE_C)
        if register == _MEAS_GPI:
            return _signed(self.gpi_v / _CELL_V)
        if _MEAS_VCAP1 <= register <= _MEAS_VCAP4:
            voltages = self._cell_voltages()
            cell = register - _MEAS_VCAP1
            return _signed(voltages[cell] / _CELL_V) if cell < len(voltages) else 0
        return 0

    def _cell_voltages(self) -> tuple[float, ...]:
        if self.cell_voltages_v is not None:
            return self.cell_voltages_v
        return (self.stack_voltage_v / self._cells,) * self._cells

    def _charger_status(self) -> int:
        bits = 0
        if self.charge_current_a > 0.0:
            bits |= _STEPDOWN | (_CV if self._at_target() else _CI)
        elif self.charge_current_a < 0.0:
            bits |= _STEPUP
        if self.input_voltage_v < _UVLO_V:
            bits |= _UVLO
        if not self._power_good():
            bits |= _PFO
        if self.stack_voltage_v >= 0.92 * self.target_v:
            bits |= _CAPPG
        voltages = self._cell_voltages()
        shunt = self._registers[_VSHUNT]
        if shunt and max(voltages) >= shunt * _CELL_V:
            bits |= _SHNT
        if max(voltages) - min(voltages) > _UNBALANCED_V:
            bits |= _BAL
        if self._active_ns is not None:
            bits |= _DIS
        return bits

    def _monitor_status(self) -> int:
        bits = self._outcome | (_POWER_RETURNED if self._power_good() else _POWER_FAILED)
        if self._active_ns is not None:
            bits |= _ACTIVE
        elif self._pending:
            bits |= _PENDING
        elif self._due_ns is not None:
            bits |= _SCHEDULED
        return bits

    def _check_alarms(self) -> None:
        enabled = self._registers[_MSK_ALARMS]
        if not enabled:
            return
        for bit, level_register, watched, above in _ALARMS:
            if not enabled >> bit & 1:
                continue
            level = self._registers[level_register]
            if watched is None:
                words = [_signed(v / _CELL_V) for v in self._cell_voltages()]
            else:
                words = [self._measured(watched)]
            if watched not in (_MEAS_CAP, _MEAS_ESR):
                level = _signed16(level)
            if any(word > level if above else word < level for word in words):
                self._alarms |= 1 << bit
