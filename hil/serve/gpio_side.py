"""Plays named lines on the kernel's gpio-sim: what a program drives on the real node reaches the rig's twin each step.

The simulated chip is found by its label in configfs. A level is looked at once a step, so a pulse shorter than a step
is not seen; the flight program's lines are levels and a watchdog that is kicked by edges, one a tick.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from drivers.errors import DeviceError
from hil.serve.side import Poller

__all__ = ["CONFIG", "DEVICES", "GpioSimSide", "find_chip"]

CONFIG = Path("/sys/kernel/config/gpio-sim")
DEVICES = Path("/sys/devices/platform")


def find_chip(label: str, config: Path = CONFIG, devices: Path = DEVICES) -> dict[str, Path]:
    """Folder of every named line of a simulated chip, by line.

    Args:
        label: of the chip's bank.
        config: folder of gpio-sim in configfs.
        devices: folder of platform devices in sysfs.

    Raises:
        OSError: no such chip; the text names those that are there.
    """
    seen = []
    for bank in sorted(config.glob("*/bank*")):
        found = (bank / "label").read_text().strip()
        seen.append(found)
        if found != label:
            continue
        chip = devices / (bank.parent / "dev_name").read_text().strip() / (bank / "chip_name").read_text().strip()
        lines = {}
        for line in sorted(bank.glob("line*")):
            number = line.name.removeprefix("line")
            lines[(line / "name").read_text().strip()] = chip / f"sim_gpio{number}"
        return lines
    there = ", ".join(seen) or "none"
    raise FileNotFoundError(2, f"no gpio-sim chip is labelled {label}; there are {there}", str(config))


class GpioSimSide:
    """Lines of one board on one simulated chip; a ``Side``.

    Args:
        name: of the bus in the board description.
        twin: its lines.
        label: of the chip.
        endpoint: what the board description says; ``None``: its own entry.
        config, devices: see :func:`find_chip`.

    Attributes:
        changes: levels passed on.
        failed: levels that could not be read, or that the twin refused.
    """

    def __init__(
        self, name: str, twin: Any, label: str, endpoint: str | None, config: Path = CONFIG, devices: Path = DEVICES
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.changes = self.failed = 0
        self._twin = twin
        self._label = label
        self._config, self._devices = config, devices
        self._lines: list[tuple[str, int]] = []
        self._seen: dict[str, bool] = {}

    def start(self, poller: Poller) -> None:  # noqa: ARG002 - gpio-sim tells nobody of a change
        """See Side. Raises OSError without the chip or one of the board's lines."""
        places = find_chip(self._label, self._config, self._devices)
        for line in self._twin.lines:
            if line not in places:
                raise FileNotFoundError(2, f"chip {self._label} has no line {line}", str(self._config))
            self._lines.append((line, os.open(places[line] / "value", os.O_RDONLY | os.O_CLOEXEC)))
            self._seen[line] = self._twin.get(line)

    def step(self, now_ns: int) -> None:  # noqa: ARG002 - levels carry no time
        """See Side."""
        for line, descriptor in self._lines:
            try:
                level = os.pread(descriptor, 1, 0) == b"1"
            except OSError:
                self.failed += 1
                continue
            if level == self._seen[line]:
                continue
            self._seen[line] = level
            try:
                self._twin.set(line, level)
                self.changes += 1
            except DeviceError:
                self.failed += 1

    def counts(self) -> dict[str, int]:
        """See Side."""
        return {"changes": self.changes, "failed": self.failed}

    def close(self) -> None:
        """See Side."""
        lines, self._lines = self._lines, []
        for _, descriptor in lines:
            os.close(descriptor)
