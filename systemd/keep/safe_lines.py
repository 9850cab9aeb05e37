"""Holds the valve lines low for as long as it runs; a line that it cannot have is named, and the others are held.

Stands alone, as the judge beside it does: it runs when nothing of the project's own can be relied on. Output and low is
one request of the kernel's GPIO interface (linux/gpio.h, version 2), so no line is driven high in between.

``QIKI_SAFE_LINES``: names of lines, such as GPIO24; ``QIKI_SAFE_CHIP``: label or name of their chip, empty: any chip.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

GET_CHIP = 0x8044B401
GET_LINE_INFO = 0xC100B405
GET_LINE = 0xC250B407
CHIP = struct.Struct("32s32sI")
LINE_INFO = struct.Struct("32s32sIIQ160s16s")
LINE_REQUEST = struct.Struct("256s32sQI20s240sII20si")
OUTPUT = 1 << 3

Control = Callable[[int, int, bytearray], object]


def text(name: bytes) -> str:
    """A name of the kernel's, up to its closing zero."""
    return name.split(b"\0", 1)[0].decode("ascii", "replace")


def lines_of(chip: int, control: Control) -> Iterator[tuple[str, int]]:
    """Names and offsets of the lines of an open chip. Raises OSError."""
    answer = bytearray(CHIP.size)
    control(chip, GET_CHIP, answer)
    for offset in range(CHIP.unpack(answer)[2]):
        info = bytearray(LINE_INFO.pack(b"", b"", offset, 0, 0, b"", b""))
        control(chip, GET_LINE_INFO, info)
        yield text(LINE_INFO.unpack(info)[0]), offset


def label_of(chip: int, control: Control) -> str:
    """Label of an open chip. Raises OSError."""
    answer = bytearray(CHIP.size)
    control(chip, GET_CHIP, answer)
    return text(CHIP.unpack(answer)[1])


def hold_low(chip: int, offset: int, control: Control) -> int:
    """Drive one line low; it stays so while the descriptor that is returned is open. Raises OSError."""
    request = bytearray(LINE_REQUEST.pack(
        struct.pack("64I", offset, *[0] * 63), b"qiki-safe", OUTPUT, 0, b"", b"", 1, 0, b"", -1,
    ))
    control(chip, GET_LINE, request)
    held: int = LINE_REQUEST.unpack(request)[-1]
    return held


def hold_all(wanted: list[str], label: str, folder: Path, control: Control) -> tuple[dict[str, int], dict[str, str]]:
    """Hold every wanted line; returns descriptors of those that are held, and why the others are not."""
    held: dict[str, int] = {}
    missed = dict.fromkeys(wanted, "no chip has a line of that name")
    for path in sorted(folder.glob("gpiochip*")):
        try:
            chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            missed = dict.fromkeys(missed, f"{path}: {error.strerror}")
            continue
        try:
            if label in ("", path.name, str(path), label_of(chip, control)):
                for name, offset in lines_of(chip, control):
                    if name in missed:
                        try:
                            held[name] = hold_low(chip, offset, control)
                            del missed[name]
                        except OSError as error:
                            missed[name] = f"{path} line {offset}: {error.strerror}"
        except OSError as error:
            missed = dict.fromkeys(missed, f"{path}: {error.strerror}")
        finally:
            os.close(chip)
    return held, missed


def main() -> int:
    """Hold until a signal; exit code 1 if a line could not be had, after a second in which the others were held."""
    awaited = {signal.SIGTERM, signal.SIGINT, signal.SIGALRM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    wanted = os.environ.get("QIKI_SAFE_LINES", "").split()
    held, missed = hold_all(wanted, os.environ.get("QIKI_SAFE_CHIP", ""), Path("/dev"), fcntl.ioctl)
    for name in held:
        sys.stderr.write(f"<4>{name} is held low\n")
    for name, why in missed.items():
        sys.stderr.write(f"<3>{name} is NOT held: {why}\n")
    if not wanted:
        sys.stderr.write("<4>the board names no lines: valve nodes shut by themselves, 100 ms without a heartbeat\n")
    name = os.environ.get("NOTIFY_SOCKET", "")
    if name:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as port:
            port.sendto(b"READY=1", "\0" + name[1:] if name.startswith("@") else name)
    if missed:
        signal.alarm(1)
    signal.sigwait(awaited)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
