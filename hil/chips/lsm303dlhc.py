"""Plays the magnetometer of an LSM303DLHC: gain, rate and mode, axes in the order X, Z, Y, data-ready, saturation.

Facts: STMicroelectronics LSM303DLHC (DocID018771), sections 5.1.3 and 7.2: CRA_REG_M 00h (10h after reset: TEMP_EN,
rate), CRB_REG_M 01h (20h: gain), MR_REG_M 02h (03h: sleep), outputs 03h..08h X, Z, Y, high byte first, two's
complement, -2048..2047, F000h for an axis out of range; SR_REG_M 09h LOCK and DRDY; 0Ah..0Ch "H43"; TEMP_OUT 31h, 32h:
12 bits, left aligned, 8 LSB per deg C. Gains of X and Y 1100, 855, 670, 450, 400, 330, 230 and of Z 980, 760, 600,
400, 355, 295, 205 LSB per gauss. Rates 0.75, 1.5, 3, 7.5, 15, 30, 75, 220 Hz. The address counts up after every byte
and goes from 08h to 03h.

A single conversion takes one period of 220 Hz. While LOCK is set, after some but not all of the six output bytes were
read, a new set does not replace the old. The value of a set is the field at the first look after the instant it is
due. Played more simply: the temperature's zero, which the data sheet leaves open, is 0 deg C. The accelerometer is
another address and not played. Reserved registers read 0.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Lsm303dlhc"]

_CRA = 0x00
_CRB = 0x01
_MR = 0x02
_OUT_X_H = 0x03
_OUT_Y_L = 0x08
_SR = 0x09
_IDENTITY = {0x0A: 0x48, 0x0B: 0x34, 0x0C: 0x33}
_TEMP_H = 0x31
_TEMP_L = 0x32

_GAIN_XY = (0.0, 1100.0, 855.0, 670.0, 450.0, 400.0, 330.0, 230.0)
_GAIN_Z = (0.0, 980.0, 760.0, 600.0, 400.0, 355.0, 295.0, 205.0)
_PERIOD_NS = tuple(round(1e9 / hz) for hz in (0.75, 1.5, 3.0, 7.5, 15.0, 30.0, 75.0, 220.0))
_SINGLE_NS = _PERIOD_NS[7]
_TESLA_PER_GAUSS = 1e-4
_SATURATED = -4096
_TEMP_EN = 0x80
_CONTINUOUS = 0
_SINGLE = 1
_LOCK = 0x02
_DRDY = 0x01
_ALL_OUTPUTS = 0b111111


class Lsm303dlhc:
    """The magnetometer half of an LSM303DLHC, I2C address 1Eh.

    Attributes:
        field_t: flux density in the sensor frame, x, y, z, tesla.
        celsius: temperature of the die.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, asleep; ``now_ns`` is the rig's clock."""
        self.field_t: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.celsius = 25.0
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, asleep."""
        self._config = [0x10, 0x20, 0x03]
        self._pointer = 0
        self._out = bytes(6)
        self._temperature = 0
        self._ready = False
        self._read_bytes = 0
        self._start_ns: int | None = None
        self._seen = 0

    def write(self, data: bytes) -> bool:
        """Register address, then bytes to it and those after it. The address's top bit is of no account."""
        if data:
            self._pointer = data[0] & 0x7F
        for byte in data[1:]:
            self._store(byte)
            self._step()
        return True

    def read(self, count: int) -> bytes:
        """Registers from the address on."""
        self._measure()
        answer = bytearray()
        for _ in range(count):
            answer.append(self._load())
            self._step()
        return bytes(answer)

    def _step(self) -> None:
        self._pointer = _OUT_X_H if self._pointer == _OUT_Y_L else (self._pointer + 1) & 0x7F

    def _store(self, byte: int) -> None:
        pointer = self._pointer
        if pointer > _MR:
            return
        self._measure()
        self._config[pointer] = byte & (0x9C, 0xE0, 0x03)[pointer]
        if pointer == _MR:
            self._read_bytes = 0  # a write to the mode register frees a locked set
            self._start_ns = self._now_ns() if self._config[_MR] <= _SINGLE else None
            self._seen = 0
        elif self._start_ns is not None and self._config[_MR] == _CONTINUOUS:
            self._start_ns = self._now_ns()
            self._seen = 0

    def _load(self) -> int:
        pointer = self._pointer
        if pointer <= _MR:
            return self._config[pointer]
        if pointer <= _OUT_Y_L:
            index = pointer - _OUT_X_H
            self._read_bytes |= 1 << index
            if self._read_bytes == _ALL_OUTPUTS:
                self._read_bytes = 0
                self._ready = False
            return self._out[index]
        if pointer == _SR:
            return (_LOCK if self._read_bytes else 0) | (_DRDY if self._ready else 0)
        if pointer == _TEMP_H:
            return self._temperature >> 8
        if pointer == _TEMP_L:
            return self._temperature & 0xFF
        return _IDENTITY.get(pointer, 0)

    def _measure(self) -> None:
        """Take in the sets that are due by now."""
        if self._start_ns is None:
            return
        single = self._config[_MR] == _SINGLE
        period = _SINGLE_NS if single else _PERIOD_NS[self._config[_CRA] >> 2 & 7]
        finished = (self._now_ns() - self._start_ns) // period
        if finished <= self._seen:
            return
        self._seen = finished
        if single:
            self._config[_MR] = 0x03
            self._start_ns = None
        if self._read_bytes:
            return
        gain = self._config[_CRB] >> 5
        x, y, z = self.field_t
        self._out = b"".join(
            self._axis(value, scale) for value, scale in ((x, _GAIN_XY[gain]), (z, _GAIN_Z[gain]), (y, _GAIN_XY[gain]))
        )
        if self._config[_CRA] & _TEMP_EN:
            self._temperature = (max(-2048, min(2047, round(self.celsius * 8.0))) << 4) & 0xFFFF
        self._ready = True

    @staticmethod
    def _axis(tesla: float, lsb_per_gauss: float) -> bytes:
        code = round(tesla / _TESLA_PER_GAUSS * lsb_per_gauss)
        if not -2048 <= code <= 2047:
            code = _SATURATED
        return code.to_bytes(2, "big", signed=True)
