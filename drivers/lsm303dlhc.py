"""ST LSM303DLHC, magnetometer half: one field of all three axes, refused where an axis is saturated.

Registers: ST DocID018771 (LSM303DLHC), sections 7.2 and 9: CRA_REG_M 00h (data rate bits 4..2), CRB_REG_M 01h (gain
bits 7..5), MR_REG_M 02h (00h continuous; 03h, sleep, after reset), 03h..08h results X, Z, Y, most significant byte
first, 12-bit two's complement in 16 bits, SR_REG_M 09h (bit 0 data ready), 0Ah..0Ch "H43"; table 75: LSB a gauss, X and
Y apart from Z; F000h where the converter was out of range. The temperature is not read: it is not calibrated.

A sample is two transactions, status and results. Data ready is clear only while new results are stored, so it does not
prove that they are new; that the chip still measures is in MR_REG_M, which is looked at with every ``scrub_every``-th
sample together with rate and gain. Three equal axes of 0 or -1 LSB look like a dead data line and are believed once the
identity was read beside them. A new gain holds from the second measurement on, so the first ``acquire`` gives ``None``.
Registers are written one by one.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from struct import Struct as Layout
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import (
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
from drivers.errors import Cause
from drivers.samples import FieldSample

__all__ = ["CODECS", "LSB_PER_GAUSS", "ORACLES", "REGISTERS", "Device", "Settings", "field"]

ORACLES = (
    Oracle(OracleKind.LINUX, "three axes with sign, order and both scales by the st_magn driver"),
    Oracle(OracleKind.QEMU, "the lsm303dlhc_mag model: identity, order of the axes, gains"),
)

CRA = 0x00
CRB = 0x01
MR = 0x02
RESULTS = 0x03
STATUS = 0x09
IDENTITY = 0x0A

H43 = b"H43"
CONTINUOUS = b"\x00"
RATE_75_HZ = 6 << 2
DATA_READY = 0x01
STATUS_RESERVED = 0xFC

LSB_PER_GAUSS = {
    1300: (1, 1100, 980), 1900: (2, 855, 760), 2500: (3, 670, 600), 4000: (4, 450, 400), 4700: (5, 400, 355),
    5600: (6, 330, 295), 8100: (7, 230, 205),
}
"""Range in mG: gain code, LSB a gauss of X and Y, of Z (table 75)."""
GAUSS_T = 1e-4
LOWEST, HIGHEST = -2048, 2047
SATURATED = -4096

RESULT_LENGTH = 6
_RESULTS = Layout(">hhh")
_DEAD = (bytes(RESULT_LENGTH), b"\xff" * RESULT_LENGTH)

REGISTERS = (
    Register("CRA_REG_M", CRA, 1, Access.WRITE), Register("CRB_REG_M", CRB, 1, Access.WRITE),
    Register("MR_REG_M", MR, 1, Access.WRITE), Register("OUT_X_Z_Y", RESULTS, RESULT_LENGTH),
    Register("SR_REG_M", STATUS, 1), Register("IRA..IRC_REG_M", IDENTITY, 3), Register("TEMP_OUT_M", 0x31, 2),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``range_mg``: +- full scale in mG; Earth's field is below 700. ``scrub_every``: samples between two looks."""

    range_mg: Literal[1300, 1900, 2500, 4000, 4700, 5600, 8100] = 1300
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 16


def field(data: bytes, xy_lsb_per_gauss: int, z_lsb_per_gauss: int, place: Place = NOWHERE) -> FieldSample:
    """Flux density in tesla, sensor frame x, y, z, from the six result bytes.

    Raises:
        DeviceError: OVER_RANGE for a saturated axis, IMPLAUSIBLE for more than 12 bits; SHORT_READ.
    """
    if len(data) != RESULT_LENGTH:
        whole(data, RESULT_LENGTH, place)
    x, z, y = _RESULTS.unpack(data)
    if not (LOWEST <= x <= HIGHEST and LOWEST <= y <= HIGHEST and LOWEST <= z <= HIGHEST):
        saturated = all(v == SATURATED or LOWEST <= v <= HIGHEST for v in (x, y, z))
        cause, why = (Cause.OVER_RANGE, "saturated") if saturated else (Cause.IMPLAUSIBLE, "more than 12 bits")
        raise place.error(cause, f"{why}: x {x}, y {y}, z {z} LSB")
    xy_t = GAUSS_T / xy_lsb_per_gauss
    return FieldSample((x * xy_t, y * xy_t, z * GAUSS_T / z_lsb_per_gauss))


CODECS = tuple(
    Codec(f"OUT_X_Z_Y, +-{mg} mG", partial(field, xy_lsb_per_gauss=xy, z_lsb_per_gauss=z), RESULT_LENGTH)
    for mg, (_, xy, z) in LSB_PER_GAUSS.items()
)


class Device(ConfiguredDevice):
    """The magnetometer of one LSM303DLHC."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        gain, self._xy, self._z = LSB_PER_GAUSS[settings.range_mg]
        self._table = (
            Setting("CRA_REG_M", CRA, bytes((RATE_75_HZ,))), Setting("CRB_REG_M", CRB, bytes((gain << 5,))),
            Setting("MR_REG_M", MR, CONTINUOUS),
        )

    def identify(self) -> Generator[None, None, str]:
        """The three identity registers: 1 transaction. Raises WRONG_ID."""
        yield from ()
        self._expect(IDENTITY, H43, Cause.WRONG_ID, "identity")
        return "ST LSM303DLHC magnetometer"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, rate, gain and continuous mode with read-back: 7 transactions."""
        yield from self.identify()
        yield
        yield from self._configure(self._table)
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, FieldSample | None]:
        """One sample: 2 transactions, now and then 3; ``None`` in the first call and while results are stored.

        Raises:
            DeviceError: as ``field``; STALE_COUNTER if data is never ready, RESET.
        """
        if self._lost is not None:
            self._scrub()
            yield
        status = self._read(STATUS, 1)[0]
        if status & STATUS_RESERVED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"status {status:02x}h")
        if not status & DATA_READY:
            self._not_converted()
            return None
        if self._awaiting:
            self._awaiting = False
            return None
        self._polls = 0
        yield
        data = self._read(RESULTS, RESULT_LENGTH)
        if data in _DEAD:
            yield
            self._expect(IDENTITY, H43, Cause.WRONG_ID, "identity")
        if self._scrub_due():
            yield
            self._scrub()
        return field(data, self._xy, self._z, self.place)
