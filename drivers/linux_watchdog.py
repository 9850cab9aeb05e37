"""Linux hardware watchdog: once started it runs until the computer is reset, whatever becomes of this program.

Opening the node starts the countdown, so nothing here opens it before ``initialise``; ``identify`` reads
/sys/class/watchdog alone. The letter that would stop the countdown at closing ("magic close") is never written: a
program that ends, however, is a program that no longer watches the valves. A driver that stops the countdown at
closing anyway is refused (PROTOCOL), and so is a watchdog in software (WRONG_ID) unless the settings allow it, because
a kernel that hangs does not reset itself.

Facts: Linux Documentation/watchdog/watchdog-api.rst, include/uapi/linux/watchdog.h,
Documentation/ABI/testing/sysfs-class-watchdog. The BCM2835 counts at most 15 s in hardware; the kernel feeds longer
time-outs by itself in between, which is why none is accepted here.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fcntl import ioctl as system_ioctl
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.counted import InUse, opening_error, small_file
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError

__all__ = ["CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "WatchdogInfo", "WatchdogSample", "watchdog_info"]

_INT = struct.Struct("=i")
_INFO = struct.Struct("=II32s")


def _request(direction: int, number: int, size: int) -> int:
    """``_IOC(direction, 'W', number, size)`` of asm-generic/ioctl.h, as arm, arm64 and x86 have it."""
    return direction << 30 | size << 16 | ord("W") << 8 | number


_READ, _READ_WRITE = 2, 3
GET_SUPPORT = _request(_READ, 0, _INFO.size)
GET_BOOT_STATUS = _request(_READ, 2, _INT.size)
KEEP_ALIVE = _request(_READ, 5, _INT.size)
SET_TIMEOUT = _request(_READ_WRITE, 6, _INT.size)
GET_TIMEOUT = _request(_READ, 7, _INT.size)
GET_TIME_LEFT = _request(_READ, 10, _INT.size)

CARD_RESET = 0x0020
CAN_SET_TIMEOUT = 0x0080
MAGIC_CLOSE = 0x0100
SOFTWARE = "Software Watchdog"
"""Identity of the kernel's softdog."""
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Node, time-out, and whether a watchdog in software will do (for a machine without another)."""

    path: Annotated[str, Meta(min_length=1, max_length=128)] = "/dev/watchdog"
    timeout_s: Annotated[int, Meta(ge=1, le=15)] = 10
    software_allowed: bool = False


class WatchdogInfo(NamedTuple):
    """What a watchdog's driver says of itself."""

    options: int
    firmware: int
    identity: str


@dataclass(frozen=True, slots=True)
class WatchdogSample:
    """State of a running watchdog, s. ``None`` where its driver can't tell."""

    timeout_s: int
    time_left_s: int | None
    caused_last_reset: bool | None
    kicks: int


def watchdog_info(data: bytes, place: Place = NOWHERE) -> WatchdogInfo:
    """``struct watchdog_info``. Raises IMPLAUSIBLE for an identity that is no text, SHORT_READ."""
    options, firmware, raw = _INFO.unpack(whole(data, _INFO.size, place))
    name = bytes(raw).partition(b"\x00")[0]
    if not name or not name.isascii() or not name.decode("ascii").isprintable():
        raise place.error(Cause.IMPLAUSIBLE, f"identity {name.hex()}h is no text")
    return WatchdogInfo(options, firmware, name.decode("ascii").strip())


class Device:
    """One watchdog. It sits on no bus: ``bus`` and ``address`` are not used.

    Args:
        bus: ``None``.
        address: ``None``.
        settings: see there.
        sys: where sysfs is mounted.
        ioctl: the system call, as ``fcntl.ioctl`` has it.
    """

    def __init__(
        self, bus: object, address: int | None, settings: Settings, *, sys: Path = Path("/sys"),  # noqa: ARG002
        ioctl: Callable[..., int] = system_ioctl,
    ) -> None:
        self.settings = settings
        self.place = Place("watchdog", None)
        self.kicks = 0
        self._ioctl = ioctl
        name = Path(settings.path).name
        # /dev/watchdog is the old name of the first one.
        self._folder = sys / "class/watchdog" / (name if name[-1:].isdigit() else f"{name}0")
        self._fd = -1
        self._accepted = False
        self._reports_reset = False

    @property
    def running(self) -> bool:
        """Whether this program has started the countdown."""
        return self._fd >= 0

    def identify(self) -> Generator[None, None, str]:
        """Name, state and time-out from sysfs; the countdown isn't touched. Raises ABSENT, WRONG_ID."""
        yield from ()
        return self._identify()

    def initialise(self) -> Generator[None, None, None]:
        """Start the countdown and set its time-out, with read-back.

        A refusal after the start (IMPLAUSIBLE time-out) leaves it running and ``kick`` usable.

        Raises:
            DeviceError: ABSENT, WRONG_ID, PERMISSION, InUse (systemd's ``RuntimeWatchdogSec`` perhaps), PROTOCOL for
                one that would stop when its owner dies or can't be set, IMPLAUSIBLE.
        """
        yield from ()
        self._identify()
        if not self.running:
            self._open()
        if not self._accepted:
            self._examine()
        self.kick()
        wanted = self.settings.timeout_s
        self._number(SET_TIMEOUT, wanted)
        actual = self._number(GET_TIMEOUT)
        if actual != wanted:
            raise self.place.error(Cause.IMPLAUSIBLE, f"time-out is {actual} s after {wanted} s was asked for")
        self.kick()

    def acquire(self) -> Generator[None, None, WatchdogSample | None]:
        """Time-out, time left and what the last reset was. Raises IMPLAUSIBLE for a time-out that was changed."""
        yield from ()
        timeout = self._number(GET_TIMEOUT)
        if timeout != self.settings.timeout_s:
            raise self.place.error(Cause.RESET, f"time-out is {timeout} s instead of {self.settings.timeout_s} s")
        caused = bool(self._number(GET_BOOT_STATUS) & CARD_RESET) if self._reports_reset else None
        return WatchdogSample(timeout, self._time_left(), caused, self.kicks)

    def kick(self) -> None:
        """Start the countdown anew; one system call. Raises ABSENT before ``initialise``, and if the device fails."""
        self._number(KEEP_ALIVE)
        self.kicks += 1

    def close(self) -> None:
        """Close the node and leave the countdown running: within the time-out the computer is reset."""
        fd, self._fd = self._fd, -1
        self._accepted = False
        if fd >= 0:
            os.close(fd)

    def _identify(self) -> str:
        if not self._folder.is_dir():
            raise self.place.error(Cause.ABSENT, f"this kernel has no watchdog {self._folder.name}")
        name = self._attribute("identity")
        if name is None:
            return f"{self._folder.name}, unnamed (the kernel lacks CONFIG_WATCHDOG_SYSFS)"
        self._accept(name)
        state, timeout = self._attribute("state") or "state unknown", self._attribute("timeout")
        return f"{name}, {state}" + (f", time-out {timeout} s" if timeout else "")

    def _accept(self, identity: str) -> None:
        if identity == SOFTWARE and not self.settings.software_allowed:
            raise self.place.error(Cause.WRONG_ID, "a watchdog in software doesn't outlive its kernel")

    def _attribute(self, name: str) -> str | None:
        data = small_file(self._folder / name)
        return None if data is None else data.decode("ascii", "replace").strip()

    def _open(self) -> None:
        path = self.settings.path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise InUse("watchdog", None, path) from None
            raise opening_error("watchdog", None, path, error) from None

    def _examine(self) -> None:
        """Refuse an open watchdog that is none to rely on; asked again until it is accepted."""
        data = bytearray(_INFO.size)
        self._call(GET_SUPPORT, data)
        info = watchdog_info(bytes(data), self.place)
        self._reports_reset = bool(info.options & CARD_RESET)
        if not info.options & MAGIC_CLOSE and self._attribute("nowayout") != "1":
            self.close()
            raise self.place.error(Cause.PROTOCOL, f"{info.identity} stops when its owner dies")
        self._accept(info.identity)
        if not info.options & CAN_SET_TIMEOUT:
            raise self.place.error(Cause.PROTOCOL, f"{info.identity} has no time-out that can be set")
        self._accepted = True

    def _time_left(self) -> int | None:
        try:
            return self._number(GET_TIME_LEFT)
        except DeviceError as error:
            if error.cause is Cause.PROTOCOL:
                return None
            raise

    def _number(self, request: int, value: int = 0) -> int:
        data = bytearray(_INT.pack(value))
        self._call(request, data)
        return int(_INT.unpack(data)[0])

    def _call(self, request: int, data: bytearray) -> None:
        if self._fd < 0:
            raise self.place.error(Cause.ABSENT, f"{self.settings.path} isn't open")
        try:
            self._ioctl(self._fd, request, data)
        except OSError as error:
            number = error.errno or 0
            cause = Cause.PROTOCOL if number in _UNSUPPORTED else Cause.ABSENT
            raise self.place.error(cause, os.strerror(number) if number else str(error)) from None


REGISTERS: tuple[Register, ...] = ()
CODECS = (Codec("watchdog_info", watchdog_info, _INFO.size),)
ORACLES = (Oracle(OracleKind.NOTHING, "structures and requests as the kernel's header has them; none was run"),)
