"""What outlives a restart, joined: parameters and the boot record over the memory that a craft has.

``settled`` is what the first arming of the valves waits for. It comes true within ``SETTLE_NS`` whatever the memory
does: a craft boots without a memory, with its defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comms.parameters import SCHEMA, Schema, Value
from fdir.boot import BootPolicy, ResetReason
from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.boot_record import BootKeeper
from firmware_py.journal import Journal
from firmware_py.parameters import ParameterKeeper
from firmware_py.safe_memory import SafeMemory
from hal.manager import ManagedDevice
from hal.nonvolatile import FileMemory, Files, FramMemory, NonVolatile
from hal.profile import BoardConfig
from hal.recovery import Worker

__all__ = ["SETTLE_NS", "Retained", "memory_of"]

SECOND = 1_000_000_000
SETTLE_NS = 12 * SECOND
"""Longest time that the boot waits for the memory: that of one transfer with the FRAM, and of storing one record."""


def memory_of(
    board: BoardConfig, devices: Mapping[str, ManagedDevice[Any]], files: Files | None, worker: Callable[[], Worker]
) -> NonVolatile | None:
    """The board's first device of role ``memory``, else files in a folder, else ``None``.

    ``worker`` makes who waits for the medium of the files.
    """
    for device in board.devices:
        if device.role == "memory" and device.name in devices:
            return FramMemory(devices[device.name])
    return None if files is None else FileMemory(files, worker())


class Retained:
    """Owner of parameters and boot record.

    Args:
        memory: where both are kept; ``None`` if this craft has none.
        journal: where events go.
        apply: puts a parameter's value to work (``firmware_py/parameters_apply.py``).
        reset: why the computer last started, if that is known.
        schema: the parameters of this software.
    """

    def __init__(
        self, memory: NonVolatile | None, journal: Journal, apply: Callable[[str, Value], None],
        reset: ResetReason | None = None, schema: Schema = SCHEMA,
    ) -> None:
        self.parameters = ParameterKeeper(memory, journal, apply, schema)
        self.boot = BootKeeper(memory, journal, reset)
        self.safe = SafeMemory(memory, journal)
        self._journal = journal
        self._began_ns: int | None = None
        self._ruled = False
        self._late = False
        self._broken = False

    @property
    def settled(self) -> bool:
        """Whether parameters are as kept and this start is noted, or waiting longer is of no use."""
        return self._late or (self.parameters.ready and self.boot.settled and self.safe.settled)

    @property
    def busy(self) -> bool:
        """Whether something is still to be stored."""
        return self.parameters.busy or self.boot.busy or self.safe.busy

    @property
    def boot_loop(self) -> bool:
        """Whether the craft must be in SAFE because it kept restarting."""
        return self.boot.safe

    def step(self, now_ns: int, motion: Motion, acknowledged: bool) -> None:
        """Go on, at the medium rate from the first tick on. ``acknowledged``: by a person, a SAFE for BOOT_LOOP."""
        try:
            self._step(now_ns, motion, acknowledged)
        except Exception as error:
            # Whatever is wrong with a memory, it must not keep a craft from flying.
            self._late = True
            if not self._broken:
                self._broken = True
                text = f"given up: {error!r}"[:200]
                self._journal.event(now_ns, Code.PARAM_STORE_FAILED, Severity.CRITICAL, text)

    def _step(self, now_ns: int, motion: Motion, acknowledged: bool) -> None:
        if self._began_ns is None:
            self._began_ns = now_ns
            self.parameters.begin(now_ns)
            self.boot.begin(now_ns)
        self.parameters.step(now_ns)
        ready = self.parameters.ready
        if ready and not self._ruled:
            self._ruled = True
            values = self.parameters.values
            self.boot.policy = BootPolicy(
                int(values["boot_loop_starts"]), round(float(values["boot_healthy_s"]) * SECOND)
            )
        self.boot.step(now_ns, motion is not Motion.BOOT, acknowledged, ready)
        if not self._late and not self.settled and now_ns - self._began_ns >= SETTLE_NS:
            self._late = True
            self._journal.event(now_ns, Code.PARAM_STORE_FAILED, Severity.WARNING, "booting without the memory")

    def stop(self, now_ns: int) -> None:
        """A clean stop; ``busy`` until it is noted."""
        self.boot.stop(now_ns)
