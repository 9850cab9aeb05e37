"""Plays an ADIS16470 on SPI: 16-bit frames answered one frame later, and the 22-byte burst.

Facts: Analog Devices ADIS16470 data sheet, Tables 8 (registers and defaults), 11 and 15 (gyroscope, 16 and 32 bits),
22 (accelerometer), 33 (temperature), "Burst Read Function" (DIN 6800h, then DIAG_STAT, six outputs, TEMP_OUT,
DATA_CNTR and the sum of those 18 bytes), DIAG_STAT bit table.

A 32-bit output is OUT:LOW, so the 16-bit word is its upper half and rounds towards minus infinity, as the tables say
(-0.1 deg/s / 2^16 reads FFFFh FFFFh).

Not played: time. Every :meth:`Adis16470.latch` is one output sample whatever DEC_RATE says, filters act outside, and a
command is done at once. Reserved addresses read 0.
"""

from __future__ import annotations

import struct
from math import pi

__all__ = ["Adis16470"]

Vec3 = tuple[float, float, float]

_DIAG_STAT = 0x02
_X_GYRO_LOW = 0x04
_TEMP_OUT = 0x1C
_DATA_CNTR = 0x22
_X_DELTANG_LOW = 0x24
_X_DELTVEL_LOW = 0x30
_XG_BIAS_LOW = 0x40
_XA_BIAS_HIGH = 0x56
_FILT_CTRL = 0x5C
_MSC_CTRL = 0x60
_UP_SCALE = 0x62
_DEC_RATE = 0x64
_NULL_CNFG = 0x66
_GLOB_CMD = 0x68
_FIRM_REV = 0x6C
_FIRM_DM = 0x6E
_FIRM_Y = 0x70
_PROD_ID = 0x72
_SERIAL_NUM = 0x74
_USER_SCR = (0x76, 0x78, 0x7A)
_FLSHCNT_LOW = 0x7C
_FLSHCNT_HIGH = 0x7E

_BIASES = range(_XG_BIAS_LOW, _XA_BIAS_HIGH + 1, 2)
_DEFAULTS = {
    **dict.fromkeys(_BIASES, 0),
    _FILT_CTRL: 0x0000,
    _MSC_CTRL: 0x00C1,
    _UP_SCALE: 0x07D0,
    _DEC_RATE: 0x0000,
    _NULL_CNFG: 0x070A,
    **dict.fromkeys(_USER_SCR, 0),
}
"""Writable registers with their factory values; flash keeps them all."""

_COMMAND_RESTORE = 1 << 1
_COMMAND_FLASH_UPDATE = 1 << 3
_COMMAND_RESET = 1 << 7
_DIAG_SPI_ERROR = 1 << 3

_GYRO_COUNTS = 180.0 / pi * 10.0 * 65536.0  # 0.1 deg/s per LSB of the upper word
_GYRO_LIMIT = 20000 << 16  # 2000 deg/s
_ACCEL_COUNTS = 800.0 / 9.80665 * 65536.0  # 1.25 mg per LSB of the upper word
_ACCEL_LIMIT = 32000 << 16  # 40 g
_SAMPLE_HZ = 2000.0
_DELTA_ANGLE_COUNTS = 180.0 / pi * 2**31 / 2160.0
_DELTA_VELOCITY_COUNTS = 2**31 / 400.0

_BURST = b"\x68\x00"
_BURST_BYTES = 22
_DATA = struct.Struct(">H6hhH")
_TAIL = struct.Struct(">H")


class Adis16470:
    """An ADIS16470 with its registers.

    ``diag_stat`` holds the conditions that persist (bit 4 standby, bit 5 sensor failure ...); the rig sets it. The SPI
    error of a frame that was no multiple of 16 clocks joins them until DIAG_STAT is read.
    """

    spi_modes = frozenset({3})
    max_hz = 2_000_000

    def __init__(self, serial_number: int = 0x0001, firmware: int = 0x0105) -> None:
        """A chip as delivered. ``firmware`` is BCD, major in the upper byte."""
        self.diag_stat = 0
        self._identity = {
            _FIRM_REV: firmware,
            _FIRM_DM: 0x1203,
            _FIRM_Y: 0x2019,
            _PROD_ID: 0x4056,
            _SERIAL_NUM: serial_number,
        }
        self._flash = dict(_DEFAULTS)
        self._flash_count = 0
        self.reset()

    def reset(self) -> None:
        """Power-on or software reset: registers from flash, outputs and counter 0 until the next sample."""
        self._registers = dict(self._flash)
        self._rate: Vec3 = (0.0, 0.0, 0.0)
        self._force: Vec3 = (0.0, 0.0, 0.0)
        self._temperature_c = 0.0
        self._counter = 0
        self._answer = 0
        self._spi_error = 0
        self._load_biases()

    @property
    def counter(self) -> int:
        """Samples since reset, modulo 65536."""
        return self._counter

    def latch(self, rate_rad_s: Vec3, specific_force_m_s2: Vec3, temperature_c: float) -> None:
        """One new output sample, in the sensor frame: rad/s, m/s2 and deg C. Values saturate at 2000 deg/s and 40 g."""
        self._rate = rate_rad_s
        self._force = specific_force_m_s2
        self._temperature_c = temperature_c
        self._counter = (self._counter + 1) & 0xFFFF

    def transfer(self, data: bytes) -> bytes:
        """One chip select. Two bytes are a frame; 6800h with more is a burst; else only the first frame counts."""
        size = len(data)
        if size == _BURST_BYTES and data[:2] == _BURST:
            answer = self._answer
            self._answer = 0
            return _TAIL.pack(answer) + self._burst()
        if size == 0:
            return b""
        if size % 2:
            self._spi_error = _DIAG_SPI_ERROR
            return bytes(size)
        head = _TAIL.pack(self._answer)
        if size > 2 and data[:2] == _BURST:
            self._answer = 0
            return (head + self._burst()).ljust(size, b"\0")[:size]
        self._answer = self._frame(data[0], data[1])
        return head + bytes(size - 2)

    def _frame(self, first: int, second: int) -> int:
        if first & 0x80:
            self._write_byte(first & 0x7F, second)
            return 0
        return self._read(first & 0x7E)

    def _burst(self) -> bytes:
        x, y, z = self._rate
        ax, ay, az = self._force
        if self._biased:
            words = [value >> 16 for value in self._outputs()]
        else:
            words = [
                round(x * _GYRO_COUNTS) >> 16, round(y * _GYRO_COUNTS) >> 16, round(z * _GYRO_COUNTS) >> 16,
                round(ax * _ACCEL_COUNTS) >> 16, round(ay * _ACCEL_COUNTS) >> 16, round(az * _ACCEL_COUNTS) >> 16,
            ]
            if min(words) < -20000 or max(words) > 20000:
                words = [value >> 16 for value in self._outputs()]
        body = _DATA.pack(self._take_diag_stat(), *words, self._temperature(), self._counter)
        return body + _TAIL.pack(sum(body))

    def _outputs(self) -> list[int]:
        """Six 32-bit outputs, gyroscopes first, with user biases and saturation."""
        rate, force, bias = self._rate, self._force, self._bias
        return [
            *(max(-_GYRO_LIMIT, min(_GYRO_LIMIT, round(rate[i] * _GYRO_COUNTS) + bias[i])) for i in range(3)),
            *(max(-_ACCEL_LIMIT, min(_ACCEL_LIMIT, round(force[i] * _ACCEL_COUNTS) + bias[3 + i])) for i in range(3)),
        ]

    def _temperature(self) -> int:
        return max(-32768, min(32767, round(self._temperature_c * 10.0)))

    def _take_diag_stat(self) -> int:
        bits = self.diag_stat | self._spi_error
        self._spi_error = 0
        return bits

    def _read(self, address: int) -> int:
        registers = self._registers
        if address in registers:
            return registers[address]
        if address in self._identity:
            return self._identity[address]
        if address == _DIAG_STAT:
            return self._take_diag_stat()
        if address == _TEMP_OUT:
            return self._temperature() & 0xFFFF
        if address == _DATA_CNTR:
            return self._counter
        if _X_GYRO_LOW <= address < _TEMP_OUT:
            return self._half(self._outputs()[(address - _X_GYRO_LOW) // 4], address, _X_GYRO_LOW)
        if _X_DELTANG_LOW <= address < _X_DELTVEL_LOW + 12:
            return self._half(self._delta((address - _X_DELTANG_LOW) // 4), address, _X_DELTANG_LOW)
        if address == _FLSHCNT_LOW:
            return self._flash_count & 0xFFFF
        if address == _FLSHCNT_HIGH:
            return self._flash_count >> 16
        return 0

    @staticmethod
    def _half(value: int, address: int, base: int) -> int:
        return (value >> 16 if (address - base) % 4 else value) & 0xFFFF

    def _delta(self, axis: int) -> int:
        """Delta angle (0..2) or velocity (3..5) of one output period, 32 bits."""
        period = (self._registers[_DEC_RATE] + 1) / _SAMPLE_HZ
        if axis < 3:
            return round(self._rate[axis] * period * _DELTA_ANGLE_COUNTS)
        return round(self._force[axis - 3] * period * _DELTA_VELOCITY_COUNTS)

    def _write_byte(self, address: int, value: int) -> None:
        word = address & 0x7E
        if word == _GLOB_CMD:
            if address == _GLOB_CMD:
                self._command(value)
            return
        old = self._registers.get(word)
        if old is None:
            return
        self._registers[word] = old & 0x00FF | value << 8 if address & 1 else old & 0xFF00 | value
        if word in _BIASES:
            self._load_biases()

    def _load_biases(self) -> None:
        r = self._registers
        bias = []
        for low in range(_XG_BIAS_LOW, _XA_BIAS_HIGH, 4):
            value = r[low + 2] << 16 | r[low]
            bias.append(value - (1 << 32) if value & 1 << 31 else value)
        self._bias = tuple(bias)
        self._biased = any(bias)

    def _command(self, bits: int) -> None:
        if bits & _COMMAND_RESTORE:
            for address in _BIASES:
                self._registers[address] = 0
            self._load_biases()
        if bits & _COMMAND_FLASH_UPDATE:
            self._flash = dict(self._registers)
            self._flash_count += 1
        if bits & _COMMAND_RESET:
            self.reset()
