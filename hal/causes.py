"""What a failed transfer's cause means: to the reading, and to whoever stands before it."""

from __future__ import annotations

from typing import NamedTuple

from drivers.errors import Cause
from hal.device_health import AT_ONCE
from hal.reading import Quality

__all__ = ["CAUSES", "CauseText", "quality_of"]


class CauseText(NamedTuple):
    """One cause in words: what happened, what the software does about it, what to look for on the bench."""

    meaning: str
    response: str
    advice: str


CAUSES: dict[Cause, CauseText] = {
    Cause.NACK_ADDRESS: CauseText(
        "nobody acknowledges the address",
        "reads are tried again at most twice inside the deadline; then the device's ladder",
        "check power, wiring and the address straps; a part behind a multiplexer needs its channel",
    ),
    Cause.NACK_DATA: CauseText(
        "the part refuses a byte",
        "as for the address",
        "the part may be busy, write-protected, or another one than the board says",
    ),
    Cause.TIMEOUT: CauseText(
        "a transfer did not end in time",
        "the bus is out of service at once; the ladder of the bus",
        "look for a part that stretches the clock, for missing pull-ups, or for a bus speed that is too high",
    ),
    Cause.STUCK_BUS: CauseText(
        "a line of the bus is held low",
        "the bus is out of service at once; nine clocks, multiplexer reset, reopening, power",
        "unplug the parts one by one; a part that lost power in the middle of a byte holds SDA",
    ),
    Cause.ARBITRATION: CauseText(
        "somebody else spoke at the same time",
        "reads are tried again at most twice inside the deadline",
        "two controllers, or two parts of one address: check the straps and the multiplexer's channels",
    ),
    Cause.CHECKSUM: CauseText(
        "a checksum does not match",
        "the answer is refused; a read over SMBus is tried again at most twice",
        "noise: check shielding, length and speed of the line; or PEC is set differently on both sides",
    ),
    Cause.SHORT_READ: CauseText(
        "fewer bytes than asked for",
        "the answer is refused",
        "the part was interrupted or is another one; check the connector",
    ),
    Cause.WRONG_ID: CauseText(
        "another part answers",
        "the part is not configured and nothing of it is used; it is asked again now and then",
        "compare the part on the board with the board description; two boards may be mixed up",
    ),
    Cause.IMPLAUSIBLE: CauseText(
        "a value that cannot be",
        "the sample is refused",
        "all zeros or ones mean a floating or shorted line; otherwise the sensor is damaged",
    ),
    Cause.OVER_RANGE: CauseText(
        "a value at the end of what the part can show",
        "the sample is refused, or taken as a bound; the part is asked for its name and goes on in service",
        "look for an over-voltage or a short first; then whether the range or the shunt suits what is measured",
    ),
    Cause.STALE_COUNTER: CauseText(
        "nothing new since the last sample",
        "the sample is refused; after three the part is set up anew",
        "the part has stopped converting: check its clock, its mode pins and its supply",
    ),
    Cause.SILENT: CauseText(
        "a part that should speak by itself says nothing",
        "it is told to speak again after growing pauses; its port is opened anew",
        "check power, baud rate and whether RX and TX are crossed; on CAN the bit rate and the termination",
    ),
    Cause.BUS_OFF: CauseText(
        "the controller left the bus after too many errors",
        "the controller is started anew, at most once a second",
        "check the bit rate on both sides and 120 ohm at both ends; `ip -details link show` tells the error counts",
    ),
    Cause.PROTOCOL: CauseText(
        "the answer breaks the protocol",
        "the answer is refused",
        "check mode and speed, and the part's firmware version",
    ),
    Cause.PERMISSION: CauseText(
        "the device node may not be opened",
        "the bus is tried again now and then",
        "join the node's group (i2c, spi, gpio, dialout) and log in again",
    ),
    Cause.ABSENT: CauseText(
        "the adapter or port is not there",
        "the bus is tried again now and then",
        "enable it (raspi-config, dtparam, dtoverlay), or plug the adapter in; check `device` in the board description",
    ),
    Cause.RESET: CauseText(
        "the part lost its configuration",
        "it is set up anew at once, and after a pause if that repeats",
        "its supply dips: check the rail, the connector and the decoupling",
    ),
}
"""Every cause."""


def quality_of(cause: Cause) -> Quality:
    """Quality that such a failure gives the last reading: at once, or STALE when it has reached its time-out."""
    return AT_ONCE.get(cause, Quality.STALE)
