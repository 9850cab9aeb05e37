"""Plays an ICM-42688-P on SPI: register banks, range and rate, big-endian data with data-ready, invalid data while off.

Facts: TDK InvenSense DS-000347 (ICM-42688-P), sections 12 to 19: bit 7 of the first byte reads, the address counts up
within the bank; REG_BANK_SEL 76h in every bank; bank 0: DEVICE_CONFIG 11h (SOFT_RESET_CONFIG bit 0), TEMP_DATA 1Dh,
ACCEL_DATA 1Fh, GYRO_DATA 25h, TMST_FSYNC 2Bh, INT_STATUS 2Dh (read to clear; RESET_DONE bit 4, DATA_RDY bit 3),
INTF_CONFIG0 4Ch (30h; SENSOR_DATA_ENDIAN bit 4), PWR_MGMT0 4Eh (00h: all off), GYRO_CONFIG0 4Fh and ACCEL_CONFIG0 50h
(06h: 2000 deg/s, 16 g, 1 kHz), TMST_CONFIG 54h (23h), WHO_AM_I 75h (47h); bank 1: TMSTVAL 62h..64h. Full scale 2000
deg/s and 16 g, halved per step; 32768 counts; temperature = counts / 132.48 + 25. Data read 8000h until there is a
sample, and again while a sensor is off.

Samples are due at the faster of the two rates; their value is the motion at the first look after the instant. A
gyroscope needs 30 ms to start, an accelerometer 10 ms. A soft reset takes 1 ms; until then WHO_AM_I and all else read
0. Not played: the FIFO (its count is 0), filters, self-test, APEX functions, offsets (kept) and interrupt pins.
Configuration bits of registers without an effect here are kept as written.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

__all__ = ["Icm42688p"]

Vec3 = tuple[float, float, float]

_DEVICE_CONFIG = 0x11
_TEMP_DATA1 = 0x1D
_ACCEL_DATA_X1 = 0x1F
_GYRO_DATA_X1 = 0x25
_TMST_FSYNCH = 0x2B
_INT_STATUS = 0x2D
_FIFO_DATA = 0x30
_SIGNAL_PATH_RESET = 0x4B
_INTF_CONFIG0 = 0x4C
_PWR_MGMT0 = 0x4E
_GYRO_CONFIG0 = 0x4F
_ACCEL_CONFIG0 = 0x50
_TMST_CONFIG = 0x54
_INT_CONFIG0 = 0x63
_WHO_AM_I = 0x75
_REG_BANK_SEL = 0x76
_TMSTVAL0 = 0x62

_BANK0 = {
    _DEVICE_CONFIG: 0x00, 0x13: 0x05, 0x14: 0x00, 0x16: 0x00, _SIGNAL_PATH_RESET: 0x00, _INTF_CONFIG0: 0x30, 0x4D: 0x91,
    _PWR_MGMT0: 0x00, _GYRO_CONFIG0: 0x06, _ACCEL_CONFIG0: 0x06, 0x51: 0x16, 0x52: 0x11, 0x53: 0x0D, _TMST_CONFIG: 0x23,
    0x56: 0x82, 0x57: 0x00, 0x5F: 0x00, 0x60: 0x00, 0x61: 0x00, 0x62: 0x10, _INT_CONFIG0: 0x00, 0x64: 0x10, 0x65: 0x10,
    0x66: 0x00, 0x68: 0x00, 0x69: 0x00, 0x70: 0x00,
}
_BANK1 = {
    0x03: 0x80, 0x0B: 0xA0, **dict.fromkeys(range(0x0C, 0x11), 0x00), 0x7A: 0x83, 0x7B: 0x00, 0x7C: 0x5F,
}
_BANK2 = {0x03: 0x30, 0x04: 0x40, 0x05: 0x62}
_BANK4 = {
    0x09: 0x00, 0x40: 0xA2, 0x41: 0x85, 0x42: 0x51, 0x43: 0xA4, 0x44: 0xA4, 0x47: 0x00, 0x48: 0x00,
    **dict.fromkeys(range(0x4A, 0x4F), 0x00), **dict.fromkeys(range(0x77, 0x80), 0x00),
}
_RESET_VALUES: tuple[dict[int, int], ...] = (_BANK0, _BANK1, _BANK2, {}, _BANK4)
_READ_ONLY_0 = {0x2E: 0x00, 0x2F: 0x00, 0x37: 0x00, 0x38: 0x00, 0x6C: 0x00, 0x6D: 0x00, _WHO_AM_I: 0x47}

_READ = 0x80
_SOFT_RESET = 0x01
_RESET_DONE = 1 << 4
_DATA_RDY = 1 << 3
_BIG_ENDIAN = 1 << 4
_TEMP_DIS = 1 << 5
_TMST_STROBE = 1 << 2
_RESET_NS = 1_000_000
_GYRO_START_NS = 30_000_000
_ACCEL_START_NS = 10_000_000
_INVALID = b"\x80\x00"
_RATES_HZ = (
    None, 32000.0, 16000.0, 8000.0, 4000.0, 2000.0, 1000.0, 200.0, 100.0, 50.0, 25.0, 12.5, 6.25, 3.125, 1.5625, 500.0,
)
_PERIOD_NS = tuple(round(1e9 / hz) if hz is not None else None for hz in _RATES_HZ)
_GYRO_SLOWEST = 11
_DEG = 180.0 / pi
_G = 9.80665
_GYRO_COUNTS = tuple(_DEG * 32768.0 / (2000.0 / (1 << step)) for step in range(8))
_ACCEL_COUNTS = tuple(32768.0 / _G / (16.0 / (1 << step)) for step in range(4))
_DATA = range(_TEMP_DATA1, _TMST_FSYNCH)


def _clip(value: float) -> bytes:
    # 8000h means "no data" (section 6.1), so the most negative value that a measurement gives is one above.
    return max(-0x7FFF, min(0x7FFF, round(value))).to_bytes(2, "big", signed=True)


class Icm42688p:
    """An ICM-42688-P. The rig sets the attributes whenever it likes.

    Attributes:
        rate_rad_s: angular rate in the sensor frame.
        specific_force_m_s2: specific force in the sensor frame.
        celsius: temperature of the die.
        stopped: True for a part whose oscillator has stopped: registers answer, samples no longer come.
    """

    spi_modes = frozenset({0, 3})
    max_hz = 24_000_000

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, both sensors off; ``now_ns`` is the rig's clock."""
        self.rate_rad_s: Vec3 = (0.0, 0.0, 0.0)
        self.specific_force_m_s2: Vec3 = (0.0, 0.0, 0.0)
        self.celsius = 25.0
        self.stopped = False
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or soft reset: every register at its reset value, sensors off."""
        self._banks = [dict(values) for values in _RESET_VALUES]
        self._bank = 0
        self._status = _RESET_DONE
        self._awake_ns = self._now_ns()
        self._tmst_zero_ns = self._awake_ns
        self._tmst_held = 0
        self._temperature = _INVALID
        self._accel = _INVALID * 3
        self._gyro = _INVALID * 3
        self._accel_on_ns: int | None = None
        self._gyro_on_ns: int | None = None
        self._accel_seen = 0
        self._gyro_seen = 0
        self._configure()

    def transfer(self, data: bytes) -> bytes:
        """One chip select: direction and address, then registers from there on."""
        if not data:
            return b""
        if self._now_ns() < self._awake_ns:
            return bytes(len(data))
        address = data[0] & 0x7F
        if not data[0] & _READ:
            for byte in data[1:]:
                self._store(address, byte)
                address = address + 1 & 0x7F
            return bytes(len(data))
        count = len(data) - 1
        self._sample()
        if self._bank == 0 and address in _DATA:
            head = self._data()[address - _TEMP_DATA1 : address - _TEMP_DATA1 + count]
            if self._banks[0][_INT_CONFIG0] & 0x20:  # UI_DRDY_INT_CLEAR: also by a read of sensor data
                self._status &= ~_DATA_RDY
            address += len(head)
            answer = bytearray(b"\0" + head)
        else:
            answer = bytearray(b"\0")
        for _ in range(count + 1 - len(answer)):
            answer.append(self._load(address))
            if self._bank != 0 or address != _FIFO_DATA:
                address = address + 1 & 0x7F
        return bytes(answer)

    def _data(self) -> bytes:
        block = self._temperature + self._accel + self._gyro
        if self._banks[0][_INTF_CONFIG0] & _BIG_ENDIAN:
            return block
        swapped = bytearray(len(block))
        swapped[0::2] = block[1::2]
        swapped[1::2] = block[0::2]
        return bytes(swapped)

    def _load(self, address: int) -> int:
        if address == _REG_BANK_SEL:
            return self._bank
        registers = self._banks[self._bank] if self._bank < len(self._banks) else {}
        if self._bank == 0:
            if address == _INT_STATUS:
                status = self._status
                keep = _DATA_RDY if self._banks[0][_INT_CONFIG0] & 0x30 == 0x20 else 0
                self._status &= keep
                return status
            if address in _DATA:
                return self._data()[address - _TEMP_DATA1]
            if address == _FIFO_DATA:
                return 0xFF
            if address in _READ_ONLY_0:
                return _READ_ONLY_0[address]
        elif self._bank == 1 and _TMSTVAL0 <= address <= _TMSTVAL0 + 2:
            return self._tmst_held >> 8 * (address - _TMSTVAL0) & 0xFF
        return registers.get(address, 0)

    def _store(self, address: int, byte: int) -> None:
        if address == _REG_BANK_SEL:
            self._bank = byte & 7
            return
        if self._bank >= len(self._banks) or address not in self._banks[self._bank]:
            return
        if self._bank != 0:
            self._banks[self._bank][address] = byte
            return
        if address == _DEVICE_CONFIG and byte & _SOFT_RESET:
            self.reset()
            self._awake_ns = self._now_ns() + _RESET_NS
            return
        if address == _SIGNAL_PATH_RESET:
            if byte & _TMST_STROBE:
                self._strobe()
            return
        self._sample()
        self._banks[0][address] = byte
        if address in (_PWR_MGMT0, _GYRO_CONFIG0, _ACCEL_CONFIG0):
            self._configure()

    def _strobe(self) -> None:
        config = self._banks[0][_TMST_CONFIG]
        if config & 1:
            ticks = (self._now_ns() - self._tmst_zero_ns) // (16_000 if config & 8 else 1_000)
            self._tmst_held = ticks & 0xFFFFF

    def _configure(self) -> None:
        """Take in power modes, ranges and rates."""
        registers = self._banks[0]
        now = self._now_ns()
        power = registers[_PWR_MGMT0]
        gyro, accel = registers[_GYRO_CONFIG0], registers[_ACCEL_CONFIG0]
        self._gyro_counts = _GYRO_COUNTS[gyro >> 5]
        self._accel_counts = _ACCEL_COUNTS[accel >> 5 & 3]
        gyro_rate = gyro & 0xF
        self._gyro_period = None if _GYRO_SLOWEST < gyro_rate < 15 else _PERIOD_NS[gyro_rate]
        self._accel_period = _PERIOD_NS[accel & 0xF]
        # Gyroscope modes: 00 off, 01 standby, 11 low noise; accelerometer: 00 and 01 off, 10 low power, 11 low noise.
        if power >> 2 & 3 != 3:
            self._gyro_on_ns = None
            self._gyro = _INVALID * 3
        elif self._gyro_on_ns is None:
            self._gyro_on_ns = now + _GYRO_START_NS
            self._gyro_seen = 0
        if not power & 2:
            self._accel_on_ns = None
            self._accel = _INVALID * 3
        elif self._accel_on_ns is None:
            self._accel_on_ns = now + _ACCEL_START_NS
            self._accel_seen = 0
        if self._gyro_on_ns is None and self._accel_on_ns is None:
            self._temperature = _INVALID

    def _sample(self) -> None:
        """Take in the samples that are due by now."""
        if self.stopped:
            return
        now = self._now_ns()
        fresh = False
        if self._gyro_on_ns is not None and self._gyro_period is not None and now >= self._gyro_on_ns:
            due = now // self._gyro_period
            if due != self._gyro_seen:
                self._gyro_seen = due
                x, y, z = self.rate_rad_s
                k = self._gyro_counts
                self._gyro = _clip(x * k) + _clip(y * k) + _clip(z * k)
                fresh = True
        if self._accel_on_ns is not None and self._accel_period is not None and now >= self._accel_on_ns:
            due = now // self._accel_period
            if due != self._accel_seen:
                self._accel_seen = due
                x, y, z = self.specific_force_m_s2
                k = self._accel_counts
                self._accel = _clip(x * k) + _clip(y * k) + _clip(z * k)
                fresh = True
        if fresh:
            self._status |= _DATA_RDY
            disabled = self._banks[0][_PWR_MGMT0] & _TEMP_DIS
            self._temperature = _INVALID if disabled else _clip((self.celsius - 25.0) * 132.48)
