"""Keeper of the parameters in flight: read at boot, staged, made active whole, gone back from, and never in the way.

Whatever the memory holds or does, there is a value for every parameter: what cannot be read or is not allowed any more
has its default, and an event says so. What is activated counts at once and is stored behind it; a cut meanwhile leaves
the set before or the new one, never a mixture, because a set is stored as one payload (``hal/nonvolatile.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from comms.dictionary import Authority
from comms.parameters import (
    SCHEMA,
    Effect,
    ParameterRefused,
    ParameterSets,
    ParameterUnauthorised,
    Schema,
    Value,
    decode,
    encode,
)
from fdir.codes import Code, Severity
from firmware_py.journal import Journal
from hal.nonvolatile import NonVolatile, Transfer

__all__ = ["PARAMETER_SLOT", "ParameterKeeper", "ParameterPort"]

PARAMETER_SLOT = 1
"""Slot of the memory; 0 is the boot record's."""
NOT_KEPT = "not kept: this craft has no memory for it"


class ParameterPort(Protocol):
    """What the commands param_set, param_activate and param_rollback do. Each returns what speaks against it; then
    nothing has changed. ``who`` is the role of whoever asks: every parameter takes its own."""

    def set(self, name: str, value: str, who: Authority) -> tuple[Code, ...]:
        """Stage a value, as text; ``default`` takes the parameter back to its default."""

    def activate(self, who: Authority) -> tuple[Code, ...]:
        """Make all that is staged active, whole."""

    def rollback(self, who: Authority) -> tuple[Code, ...]:
        """Go back to the set that was active before."""


class ParameterKeeper:
    """Owner of the parameters; a ParameterPort.

    Args:
        memory: where they are kept; ``None`` if this craft has none.
        journal: where events go.
        apply: puts a value to work; called for each value that is not the one at work.
        schema: the parameters of this software.

    Attributes:
        values: what every parameter is now, by name. Of one that counts from the next start: what it will be.
        ready: whether it is known what the memory holds, or that it cannot be known.
    """

    def __init__(
        self, memory: NonVolatile | None, journal: Journal, apply: Callable[[str, Value], None],
        schema: Schema = SCHEMA,
    ) -> None:
        self.schema = schema
        self.values: dict[str, Value] = dict(schema.defaults)
        self.ready = memory is None
        self.sets = ParameterSets()
        self._memory = memory
        self._journal = journal
        self._apply = apply
        self._now_ns = 0
        self._loading: Transfer | None = None
        self._storing: Transfer | None = None
        self._changed = False
        self._unread = ""
        """Why the memory could not be asked: then nothing is written over what it may hold."""

    @property
    def busy(self) -> bool:
        """Whether something is still to be stored."""
        return self._storing is not None or self._changed

    def begin(self, now_ns: int) -> None:
        """Start to read what is kept. Call once, at boot."""
        self._now_ns = now_ns
        if self._memory is not None:
            self._loading = self._memory.load(PARAMETER_SLOT, now_ns)

    def step(self, now_ns: int) -> None:
        """Go on with what is read or stored. Never waits."""
        self._now_ns = now_ns
        loading = self._loading
        if loading is not None and loading.poll(now_ns):
            self._loading = None
            self._loaded(loading)
        if self._storing is not None and self._storing.poll(now_ns):
            if self._storing.error is not None:
                self._tell(Code.PARAM_STORE_FAILED, Severity.WARNING, f"not stored: {self._storing.error}")
            self._storing = None
        self._store(now_ns)

    def set(self, name: str, value: str, who: Authority) -> tuple[Code, ...]:
        """See ParameterPort."""
        try:
            sets = self.sets.stage(self.schema, name, value, who)
        except ParameterRefused as error:
            return self._refuse(_code_of(error), str(error))
        codes = self._adopt(sets)
        if not codes:
            self._tell(Code.PARAM_STAGED, Severity.INFO, f"{name} {value}")
        return codes

    def activate(self, who: Authority) -> tuple[Code, ...]:
        """See ParameterPort."""
        return self._switch(lambda: self.sets.activate(self.schema, who), Code.PARAM_ACTIVATED)

    def rollback(self, who: Authority) -> tuple[Code, ...]:
        """See ParameterPort."""
        return self._switch(lambda: self.sets.rollback(self.schema, who), Code.PARAM_ROLLED_BACK)

    def _switch(self, make: Callable[[], ParameterSets], code: Code) -> tuple[Code, ...]:
        try:
            sets = make()
        except ParameterRefused as error:
            return self._refuse(_code_of(error), str(error))
        codes = self._adopt(sets)
        if not codes:
            changed = self._put_to_work(False)
            kept = "" if self._memory is not None else f"; {NOT_KEPT}"
            self._tell(code, Severity.INFO, f"set {sets.number}: {', '.join(changed) or 'no value differs'}{kept}")
        return codes

    def _adopt(self, sets: ParameterSets) -> tuple[Code, ...]:
        """Take other sets, to be stored; refused while what is kept is not known, and if they do not fit."""
        if not self.ready:
            return self._refuse(Code.PARAM_STORE_FAILED, "what is kept is still being read; try again in some seconds")
        size = len(encode(sets, self.schema))
        if self._memory is not None and size > self._memory.capacity:
            why = f"the sets take {size} bytes, the memory {self._memory.capacity}"
            return self._refuse(Code.PARAM_STORE_FAILED, why)
        self.sets = sets
        if self._unread:
            self._tell(Code.PARAM_STORE_FAILED, Severity.WARNING, f"not stored: {self._unread}")
        elif self._memory is not None:
            self._changed = True
            self._store(self._now_ns)
        return ()

    def _store(self, now_ns: int) -> None:
        """Store what has changed, one transfer at a time."""
        if self._changed and self._storing is None and self._memory is not None:
            self._changed = False
            self._storing = self._memory.store(PARAMETER_SLOT, encode(self.sets, self.schema), now_ns)

    def _loaded(self, transfer: Transfer) -> None:
        self.ready = True
        if transfer.error is not None:
            if not transfer.broken:
                self._unread = transfer.error
            self._tell(Code.PARAM_INVALID, Severity.WARNING, f"defaults are flown: {transfer.error}")
        elif transfer.payload is not None:
            try:
                self.sets, digest = decode(transfer.payload)
            except ParameterRefused as error:
                # Perhaps another version's, which may come back: only an operator's next set replaces it.
                self._tell(Code.PARAM_INVALID, Severity.WARNING, f"defaults are flown: {error}")
                return
            changed = self._put_to_work(True)
            if digest != self.schema.digest:
                self._tell(Code.PARAM_ACTIVATED, Severity.INFO, "stored by software with other parameters or ranges")
            if changed:
                self._tell(Code.PARAM_ACTIVATED, Severity.INFO, f"set {self.sets.number} as kept: {', '.join(changed)}")

    def _put_to_work(self, booting: bool) -> list[str]:
        """Apply what differs from what is at work; returns it in words."""
        values, problems = self.schema.resolve(self.sets.active)
        for problem in problems:
            self._tell(Code.PARAM_INVALID, Severity.WARNING, problem)
        changed = []
        for name, value in values.items():
            if value == self.values[name]:
                continue
            later = not booting and self.schema.by_name[name].effect is Effect.NEXT_BOOT
            try:
                if not later:
                    self._apply(name, value)
            except ValueError as error:
                self._tell(Code.PARAM_INVALID, Severity.WARNING, f"{name}: {error}; the value before stays at work")
                continue
            self.values[name] = value
            word = f"{value:g}" if isinstance(value, float) else str(value).lower()
            changed.append(f"{name} {word}{' from the next start' if later else ''}")
        return changed

    def _refuse(self, code: Code, why: str) -> tuple[Code, ...]:
        self._tell(code, Severity.WARNING, why)
        return (code,)

    def _tell(self, code: Code, severity: Severity, text: str) -> None:
        self._journal.event(self._now_ns, code, severity, text)


def _code_of(refusal: ParameterRefused) -> Code:
    return Code.CMD_UNAUTHORIZED if isinstance(refusal, ParameterUnauthorised) else Code.PARAM_INVALID
