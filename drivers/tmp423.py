"""TI TMP421 to TMP423, local and one to three remote diodes: every channel is a number or ``None``, in a known range.

Register map and formats: TI SBOS398C, tables 2 to 6. The chip runs in the extended range (-64 .. 191 deg C, offset 64,
1/16 deg C): there an answer of all zeros is -64 deg C, which no local sensor reaches, so a dead bus or a register not
yet converted can't pass for 0 deg C. Low byte: bit 0 OPEN (remote only), bit 1 /PVLD, bits 3..2 zero.

``initialise`` resets the chip, so no result of the other range survives; until each channel has converted, ``acquire``
returns ``None``. A sample is a two-byte read a channel (each from one conversion) and a look at configuration 1,
because after a brown-out the chip answers in the other range; every ``scrub_every``-th looks at one more register of
the configuration. A shorted diode reads -64 deg C; both faults are ``None``.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
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
from drivers.samples import TemperatureSample

__all__ = ["CHANNELS", "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "channel_c"]

ORACLES = (
    Oracle(OracleKind.LINUX, "four channels of the extended range by the tmp421 driver"),
    Oracle(OracleKind.DATASHEET, "TI's format table, every published byte"),
    Oracle(OracleKind.QEMU, "the tmp423 model: identity, range, four channels with sign"),
)

CHANNELS = 4
LOCAL = 0
CONFIGURATION_1 = 0x09
CONFIGURATION_2 = 0x0A
CONVERSION_RATE = 0x0B
SOFTWARE_RESET = 0xFC
MANUFACTURER_ID = 0xFE
DEVICE_ID = 0xFF

TEXAS_INSTRUMENTS = b"\x55"
DEVICES = {421: b"\x21", 422: b"\x22", 423: b"\x23"}
"""DEVICE_ID of each part of the family."""
EXTENDED_RANGE = b"\x04"
"""RANGE, and SD = 0: converts continuously."""
ALL_CHANNELS = {421: b"\x1c", 422: b"\x3c", 423: b"\x7c"}
"""REN3, REN2, REN as far as the part has them, LEN, and RC (resistance correction)."""
TWO_PER_SECOND = b"\x05"

EXTENDED_OFFSET_C = 64.0
LSB_C = 1.0 / 256.0
OPEN = 0x01
POWER_INVALID = 0x02
RESERVED = 0x0C
LOCAL_LIMITS_C = (-55.0, 150.0)
REMOTE_HIGHEST_C = 155.0
WAIT_POLLS = 3
"""Samples to wait for all four channels to convert for the first time (about half a second in all)."""
_NOT_CONVERTED = bytes(2)
_RANGE = Setting("configuration 1", CONFIGURATION_1, EXTENDED_RANGE)
_RATE = Setting("conversion rate", CONVERSION_RATE, TWO_PER_SECOND)

REGISTERS = (
    Register("LOCAL", 0x00, 2), Register("REMOTE_1", 0x01, 2), Register("REMOTE_2", 0x02, 2),
    Register("REMOTE_3", 0x03, 2), Register("STATUS", 0x08, 1),
    Register("CONFIGURATION_1", CONFIGURATION_1, 1, Access.WRITE),
    Register("CONFIGURATION_2", CONFIGURATION_2, 1, Access.WRITE),
    Register("CONVERSION_RATE", CONVERSION_RATE, 1, Access.WRITE),
    Register("N_CORRECTION_1", 0x21, 1, Access.WRITE), Register("N_CORRECTION_2", 0x22, 1, Access.WRITE),
    Register("N_CORRECTION_3", 0x23, 1, Access.WRITE), Register("MANUFACTURER_ID", MANUFACTURER_ID, 1),
    Register("DEVICE_ID", DEVICE_ID, 1),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``nodes``: at which thermal node each channel stands, local first. ``device``: which of the family it is.

    ``scrub_every``: samples between two looks at a register of the configuration beside the range; 0 for never.
    """

    nodes: Annotated[tuple[str, ...], Meta(max_length=CHANNELS)] = ()
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 16
    device: Literal[421, 422, 423] = 423

    def __post_init__(self) -> None:
        """Refuse more nodes than the part has channels."""
        if len(self.nodes) > self.channels:
            raise ValueError(f"a TMP{self.device} has {self.channels} channels, not {len(self.nodes)}")

    @property
    def channels(self) -> int:
        """Channels of the part: the local one and 1 to 3 remote diodes."""
        return self.device - 419


def channel_c(data: bytes, channel: int, extended: bool = True, place: Place = NOWHERE) -> float | None:
    """Temperature of one channel in deg C from its high and low byte; ``None`` for an open or shorted diode.

    Args:
        data: two bytes.
        channel: 0 local, 1..3 remote.
        extended: whether RANGE was set when the chip converted.
        place: for errors.

    Raises:
        DeviceError: IMPLAUSIBLE for reserved bits, an invalid supply, a temperature the sensor can't have.
    """
    low = whole(data, 2, place)[1]
    if low & RESERVED or (channel == LOCAL and low & OPEN):
        raise place.error(Cause.IMPLAUSIBLE, f"reserved bits set in {data.hex()}h")
    if low & POWER_INVALID:
        raise place.error(Cause.IMPLAUSIBLE, "converted below the valid supply voltage")
    if low & OPEN:
        return None
    if extended:
        value = int.from_bytes(data, "big") * LSB_C - EXTENDED_OFFSET_C
        if channel != LOCAL and value <= -EXTENDED_OFFSET_C:
            return None
    else:
        value = int.from_bytes(data, "big", signed=True) * LSB_C
    if value > REMOTE_HIGHEST_C or (channel == LOCAL and not LOCAL_LIMITS_C[0] <= value <= LOCAL_LIMITS_C[1]):
        raise place.error(Cause.IMPLAUSIBLE, f"channel {channel} says {value:.1f} deg C")
    return value


CODECS = (
    Codec("local, extended range", partial(channel_c, channel=LOCAL), 2),
    Codec("remote, extended range", partial(channel_c, channel=1), 2),
    Codec("local, standard range", partial(channel_c, channel=LOCAL, extended=False), 2),
    Codec("remote, standard range", partial(channel_c, channel=1, extended=False), 2),
)


class Device(ConfiguredDevice):
    """One TMP421, TMP422 or TMP423."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._table = (_RANGE, Setting("configuration 2", CONFIGURATION_2, ALL_CHANNELS[settings.device]), _RATE)
        self._channels = range(settings.channels)

    def identify(self) -> Generator[None, None, str]:
        """Maker and device: 2 transactions. Raises WRONG_ID."""
        self._expect(MANUFACTURER_ID, TEXAS_INSTRUMENTS, Cause.WRONG_ID, "manufacturer id")
        yield
        self._expect(DEVICE_ID, DEVICES[self.settings.device], Cause.WRONG_ID, "device id")
        return f"TI TMP{self.settings.device}"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, reset, extended range, all channels, 2 conversions a second: 9 transactions."""
        yield from self.identify()
        yield
        # The reset clears the results; the range is set long before the first conversion ends (115 ms a channel).
        self._write(SOFTWARE_RESET, b"\x00")
        yield
        yield from self._configure(self._table)
        # The range is looked at with every sample; the turn is for the others.
        self._settings = self._table[1:]
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, TemperatureSample | None]:
        """All channels: one transaction each and one more, now and then two; ``None`` until each has converted once.

        A diode shorted from the start looks like a channel not converted yet; it becomes ``None`` in the sample when
        the wait is over.
        """
        values: list[float | None] = []
        for channel in self._channels:
            data = self._read(channel, 2)
            if self._awaiting and data == _NOT_CONVERTED and not self._given_up_waiting():
                return None
            values.append(channel_c(data, channel, True, self.place))
            yield
        self._expect(CONFIGURATION_1, EXTENDED_RANGE, Cause.RESET, "range was lost: configuration 1")
        if self._scrub_due():
            yield
            self._scrub()
        self._awaiting = False
        return TemperatureSample(tuple(values))

    def _given_up_waiting(self) -> bool:
        self._polls += 1
        return self._polls > WAIT_POLLS
