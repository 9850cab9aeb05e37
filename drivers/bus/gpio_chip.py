"""Named lines of one GPIO chip: found by label, taken at the level they have, and read back after every write.

A chip is named by its label (``pinctrl-bcm2711``), because ``/dev/gpiochipN`` differs from machine to machine and boot
to boot, or by a path. A line is named as the device tree names it; ``GPIO17`` is also line 17 of a chip whose lines
carry other names or none.

Lines are requested as they are, read, and only then made outputs at the very level they had: a restart of the program
moves no valve line. A level written is read back on the pin: one that doesn't follow (a short, another driver) is
IMPLAUSIBLE. Open-drain lines begin released, and a released one may be held low by others, so only "low" is checked.

Interface: libgpiod 2 (GPIO character device uAPI v2, Linux 5.10). A line has one owner, by the kernel itself.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from glob import glob
from typing import Any, Protocol

from drivers.bus.counted import InUse, TransferCounters, TransferPolicy, load_library, opening_error
from drivers.errors import Cause, DeviceError

__all__ = ["Chip", "GpioChip"]

_NUMBERED = re.compile(r"GPIO(\d{1,4})")
_SHOWN = 40
"""Names in a refusal."""
DEADLINE_MS = 10


class Chip(Protocol):
    """What is used of ``gpiod.Chip``."""

    def get_info(self) -> Any:
        """Name, label and number of lines."""

    def get_line_info(self, line: int) -> Any:
        """Name, consumer and use of a line."""

    def request_lines(self, config: Any, consumer: str) -> Any:
        """Take lines."""

    def close(self) -> None:
        """Close the node; requested lines stay."""


class GpioChip:
    """Lines of one chip; a ``GpioBus``.

    Args:
        name: of the bus in the board description; the kernel shows it as the lines' consumer.
        label_or_path: the chip's label or name, or the path of its node.
        inputs: lines to read only.
        outputs: lines to drive.
        now_ns: clock for latencies.
        open_drain: lines to pull low or release; the board or the chip's bias pulls them up.
        open_chip: opens a node; ``gpiod.Chip`` by default.
        nodes: lists the nodes to search; those of ``/dev`` by default.

    Raises:
        DeviceError: ABSENT for a chip or a line that isn't there, naming those that are; PERMISSION; InUse;
            MissingLibrary; PROTOCOL for a line given twice, or a name that two lines have.
    """

    def __init__(
        self, name: str, label_or_path: str, inputs: Iterable[str], outputs: Iterable[str], now_ns: Callable[[], int],
        *, open_drain: Iterable[str] = (), open_chip: Callable[[str], Chip] | None = None,
        nodes: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.name = name
        self.chip = label_or_path
        self._gpiod = load_library(name, "gpiod", "gpiod")
        self._line = load_library(name, "gpiod.line", "gpiod")
        self._high, self._low = self._line.Value.ACTIVE, self._line.Value.INACTIVE
        self._inputs, self._driven = tuple(inputs), tuple(outputs)
        self._open_drain = frozenset(open_drain)
        self._outputs = frozenset(self._driven) | self._open_drain
        self._open_chip: Callable[[str], Chip] = open_chip or self._gpiod.Chip
        self._nodes = nodes or _nodes
        self._policy = TransferPolicy(DEADLINE_MS, now_ns)
        self._request: Any = None
        self._offsets: dict[str, int] = {}
        self._open()

    @property
    def counters(self) -> TransferCounters:
        """What these lines did since start; a write with its read-back is one transfer."""
        return self._policy.counters

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the lines taken."""
        return tuple(self._offsets)

    def set(self, line: str, level: bool) -> None:
        """See GpioBus. Raises IMPLAUSIBLE when the pin doesn't follow, PROTOCOL for an input."""
        self._policy.once(self._set, line, level)

    def get(self, line: str) -> bool:
        """See GpioBus: the level on the pin."""
        return self._policy.once(self._get, line)

    def reopen(self) -> None:
        """Give the lines back and take them anew: a rung of the recovery ladder. Raises as the constructor does.

        Between the two the lines are what the chip makes of unused ones; don't do it under armed valves.
        """
        self.close()
        self.counters.reopens += 1
        self._open()

    def close(self) -> None:
        """Give the lines back. What an output does then is the chip's matter: a board pulls its lines to safe."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _open(self) -> None:
        wanted = (*self._inputs, *self._driven, *self._open_drain)
        chip = self._find()
        try:
            self._offsets = self._resolve(chip, wanted)
            request = self._take(chip, wanted)
            try:
                self._make_outputs(request)
            except OSError:
                request.release()
                raise
        except OSError as error:
            raise opening_error(self.name, None, self.chip, error) from None
        finally:
            chip.close()
        self._request = request

    def _find(self) -> Chip:
        if self.chip.startswith("/"):
            try:
                return self._open_chip(self.chip)
            except OSError as error:
                raise opening_error(self.name, None, self.chip, error) from None
        labels: list[str] = []
        refused: OSError | None = None
        for node in self._nodes():
            try:
                chip = self._open_chip(node)
            except OSError as error:
                refused = error
                continue
            try:
                info = chip.get_info()
            except OSError as error:  # unplugged meanwhile
                chip.close()
                refused = error
                continue
            if self.chip in (info.label, info.name):
                return chip
            labels.append(info.label)
            chip.close()
        if refused is not None:
            raise opening_error(self.name, None, "a gpio chip", refused)
        there = ", ".join(labels) or "none at all"
        raise DeviceError(self.name, None, Cause.ABSENT, f"no gpio chip {self.chip}; chips here: {there}")

    def _resolve(self, chip: Chip, wanted: tuple[str, ...]) -> dict[str, int]:
        """Offset of every wanted line. Raises ABSENT and PROTOCOL."""
        count = chip.get_info().num_lines
        named: dict[str, list[int]] = {}
        for offset in range(count):
            label = chip.get_line_info(offset).name
            if label:
                named.setdefault(label, []).append(offset)
        offsets: dict[str, int] = {}
        for line in wanted:
            found = named.get(line, [])
            if len(found) > 1:
                raise self._error(Cause.PROTOCOL, f"{len(found)} lines of {self.chip} are named {line}")
            number = _NUMBERED.fullmatch(line)
            if not found and number is not None and int(number[1]) < count:
                found = [int(number[1])]
            if not found:
                there = ", ".join(list(named)[:_SHOWN]) or f"GPIO0 to GPIO{count - 1}"
                raise self._error(Cause.ABSENT, f"{self.chip} has no line {line}; it has {there}")
            if line in offsets or found[0] in offsets.values():
                raise self._error(Cause.PROTOCOL, f"line {line} is given twice")
            offsets[line] = found[0]
        return offsets

    def _take(self, chip: Chip, wanted: tuple[str, ...]) -> Any:
        """Request all lines: inputs as inputs, open-drain lines released, the rest as they are."""
        settings, direction = self._gpiod.LineSettings, self._line.Direction
        kinds = {
            **dict.fromkeys(self._inputs, settings(direction=direction.INPUT)),
            **dict.fromkeys(self._driven, settings(direction=direction.AS_IS)),
            **dict.fromkeys(self._open_drain, self._released()),
        }
        try:
            return chip.request_lines({self._offsets[line]: kinds[line] for line in wanted}, consumer=self.name)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            held = [f"{n} by {i.consumer or 'the kernel'}" for n, i in self._infos(chip) if i.used]
            raise InUse(self.name, None, f"a line ({', '.join(held) or self.chip})") from None

    def _infos(self, chip: Chip) -> list[tuple[str, Any]]:
        return [(line, chip.get_line_info(offset)) for line, offset in self._offsets.items()]

    def _released(self) -> Any:
        line = self._line
        return self._gpiod.LineSettings(
            direction=line.Direction.OUTPUT, drive=line.Drive.OPEN_DRAIN, bias=line.Bias.PULL_UP,
            output_value=self._high,
        )

    def _make_outputs(self, request: Any) -> None:
        """Turn the lines to drive into outputs at the level that each has now."""
        settings, direction = self._gpiod.LineSettings, self._line.Direction
        config = {self._offsets[line]: settings(direction=direction.INPUT) for line in self._inputs}
        config |= {self._offsets[line]: self._released() for line in self._open_drain}
        for line in self._driven:
            offset = self._offsets[line]
            config[offset] = settings(direction=direction.OUTPUT, output_value=request.get_value(offset))
        request.reconfigure_lines(config)

    def _offset(self, line: str) -> int:
        offset = self._offsets.get(line)
        if offset is None:
            raise self._error(Cause.ABSENT, f"no line {line}; lines taken: {', '.join(self._offsets)}")
        if self._request is None:
            raise self._error(Cause.ABSENT, f"{self.chip} isn't open")
        return offset

    def _set(self, line: str, level: bool) -> None:
        offset = self._offset(line)
        if line not in self._outputs:
            raise self._error(Cause.PROTOCOL, f"{line} is an input")
        try:
            self._request.set_value(offset, self._high if level else self._low)
            follows = (self._request.get_value(offset) is self._high) is level
        except OSError as error:
            raise self._fault(error) from None
        if not follows and not (level and line in self._open_drain):
            raise self._error(Cause.IMPLAUSIBLE, f"{line} doesn't follow: driven {'high' if level else 'low'}")

    def _get(self, line: str) -> bool:
        offset = self._offset(line)
        try:
            return bool(self._request.get_value(offset) is self._high)
        except OSError as error:
            raise self._fault(error) from None

    def _fault(self, error: OSError) -> DeviceError:
        gone = error.errno in (errno.ENODEV, errno.ENXIO, errno.EBADF)
        cause = Cause.ABSENT if gone else Cause.PERMISSION if error.errno == errno.EPERM else Cause.PROTOCOL
        return self._error(cause, os.strerror(error.errno) if error.errno else str(error))

    def _error(self, cause: Cause, detail: str) -> DeviceError:
        return DeviceError(self.name, None, cause, detail)


def _nodes() -> Sequence[str]:
    """Nodes of all chips, each once though a link may name it again."""
    return sorted({os.path.realpath(path) for path in glob("/dev/gpiochip[0-9]*")})
