"""Installs, updates and goes back: nothing changes before every check has passed, and every change has a way back.

In this order: checks; the slot that isn't used is filled and proves itself; the marker of a trial is written, and only
then files of the owner, the switch, links, users and units follow; the flight program starts, and a judge of its own
(``qiki-health``) waits for Idle. Cut off before the marker nothing that runs has changed. Cut off after it, the judge
goes back at the next start, and so does the next installation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firmware_py.doctor import Check
from firmware_py.install.checks import refusals
from firmware_py.install.config_files import Change, FileChange, new_record, record
from firmware_py.install.layout import LINKS, SLOTS, Layout
from firmware_py.install.slots import SlotError, SlotPlan, build, identity, prove, slot_record
from firmware_py.install.system import System
from firmware_py.install.units.keep.trial import FLIGHT, JUDGE, PATIENCE_S, Trial

__all__ = ["Installer", "Outcome", "Refused", "other_slot"]

WAIT_S = PATIENCE_S + 30.0
"""Longest wait for the judge's word; then it is asked for here."""


class Refused(Exception):
    """Nothing was changed: why, what to do, and the checks that say so."""

    def __init__(self, why: str, next_step: str = "", checks: list[Check] | None = None) -> None:
        super().__init__(why)
        self.next_step = next_step
        self.checks = checks or []


@dataclass(slots=True)
class Outcome:
    """How an installation ended. ``good`` is ``None`` while nothing was started."""

    slot: str
    version: str
    good: bool | None = None
    why: str = ""
    next_step: str = ""
    before: str | None = None
    already: bool = False
    took_s: float = 0.0
    notes: list[str] = field(default_factory=list)


def other_slot(current: str | None) -> str:
    """The slot that is not used."""
    return SLOTS[1] if current == SLOTS[0] else SLOTS[0]


class Installer:
    """One run.

    Args:
        system: the seam to the computer.
        layout: where everything goes.
        trial: the judge's hands.
        tell: takes one line for people at a time.
    """

    def __init__(self, system: System, layout: Layout, trial: Trial, tell: Callable[[str], None]) -> None:
        self._system = system
        self._layout = layout
        self._trial = trial
        self._tell = tell

    def plan(self, plan: SlotPlan | None, changes: list[FileChange], start: bool) -> list[str]:
        """What an installation would do, a line a step; changes nothing. ``None``: its wheels are still to be had."""
        slot = other_slot(self._trial.current())
        same = plan is not None and self._same(plan)
        lines = [f"fill {self._layout.slot(slot)}"] if plan is None else [] if same else [
            f"fill {self._layout.slot(plan.name)} with {len(plan.wheelhouse.wheels)} wheels of version "
            f"{plan.wheelhouse.version}, {plan.wheelhouse.total_bytes / 1e6:.0f} MB, for {plan.interpreter.path}",
            f"let it import its parts and read the files of {self._layout.config}",
        ]
        lines += [f"{change.change} {change.written_to}" for change in changes if change.written_to]
        if not same:
            lines.append(f"switch {self._layout.current} from {self._trial.current() or 'nothing'} to {slot}")
        lines.append("link units, udev rules, users, folders, modules and limits into /etc")
        if self._system.live:
            lines.append("make users and folders, reload udev and systemd")
            if start:
                lines.append(f"start qiki.target, wait up to {PATIENCE_S:g} s for Idle, else go back")
        return lines

    def install(self, plan: SlotPlan, checks: list[Check], changes: list[FileChange], start: bool = True) -> Outcome:
        """Install, or bring to the same state what is installed already.

        Raises:
            Refused: a check fails; nothing was changed.
            SlotError, OSError: it did not work out, and what was changed was taken back.
        """
        self._refuse(checks)
        begun = self._system.clock()
        self._settle()
        accept = self._modes()
        if self._same(plan):
            outcome = self._again(plan, changes, accept, start)
        else:
            self._fill(plan)
            outcome = self._change_over(plan.name, plan.wheelhouse.version, changes, accept, start)
        outcome.took_s = self._system.clock() - begun
        return outcome

    def go_back(self, checks: list[Check], start: bool = True) -> Outcome:
        """Put the version before in the place of this one, with the same trial. Raises as ``install``."""
        self._refuse(checks)
        begun = self._system.clock()
        self._settle()
        slot = other_slot(self._trial.current())
        found = slot_record(self._system, self._layout, slot)
        if found is None:
            raise Refused("there is no version before this one", "install one: qiki install --wheelhouse DIR")
        outcome = self._change_over(slot, found["version"], [], self._modes(), start)
        outcome.took_s = self._system.clock() - begun
        return outcome

    def _refuse(self, checks: list[Check]) -> None:
        bad = refusals(checks)
        if bad:
            raise Refused(f"{bad[0].name}: {bad[0].found}", bad[0].next_step, bad)

    def _settle(self) -> None:
        """End what an interrupted run has left."""
        left = self._system.read(f"{self._layout.keep}/journal.json")
        if self._trial.marker() is not None:
            self._tell("an installation was interrupted after its switch: going back first")
            self._trial.abandon("the installation was interrupted")
        elif left is not None:
            self._tell("an installation was interrupted before its switch: nothing but its own slot is touched")
        if left is not None:
            self._system.remove(f"{self._layout.keep}/journal.json")

    def _modes(self) -> list[str]:
        """Modes in which the new version is good: a craft that was in SAFE comes back in SAFE, not in Idle."""
        if not self._system.live:
            return ["Idle"]
        state = self._trial.state()
        return ["Idle", "SAFE"] if state.active == "active" and state.mode == "SAFE" else ["Idle"]

    def _same(self, plan: SlotPlan) -> bool:
        current = self._trial.current()
        found = slot_record(self._system, self._layout, current) if current in SLOTS else None
        return found is not None and found["identity"] == identity(plan, self._layout)

    def _fill(self, plan: SlotPlan) -> None:
        journal = f"{self._layout.keep}/journal.json"
        self._tell(f"filling slot {plan.name} with version {plan.wheelhouse.version} ...")
        try:
            self._system.write(journal, json.dumps({"slot": plan.name, "version": plan.wheelhouse.version}).encode())
            build(self._system, self._layout, plan)
            prove(self._system, self._layout, plan)
        except (OSError, SlotError):
            # Half a version helps nobody, and takes the room that the next attempt needs.
            self._system.remove(self._layout.slot(plan.name))
            self._system.remove(journal)
            raise
        self._system.remove(journal)

    def _again(self, plan: SlotPlan, changes: list[FileChange], accept: list[str], start: bool) -> Outcome:
        """The version is there: files of the owner, links and users are made whole."""
        slot = self._trial.current() or plan.name
        active = start and self._system.live and self._trial.state().active == "active"
        if any(change.change in (Change.MAKE, Change.RENEW) for change in changes):
            outcome = self._change_over(slot, plan.wheelhouse.version, changes, accept, start)
            outcome.already = True
            return outcome
        notes = self._write_files(changes)
        linked = self._link(slot)
        if linked or not active:
            self._announce()
        if start and self._system.live and not active:
            outcome = self._started(slot, plan.wheelhouse.version, accept, [], slot)
            outcome.notes, outcome.already = notes, True
            return outcome
        return Outcome(slot, plan.wheelhouse.version, True if active else None, before=slot, already=True, notes=notes)

    def _change_over(
        self, slot: str, version: str, changes: list[FileChange], accept: list[str], start: bool,
    ) -> Outcome:
        old = self._trial.current()
        kept = self._save(changes)
        marker: dict[str, Any] = {
            "new": slot, "old": old, "version": version, "files": kept, "accept": accept, "complete": False,
        }
        self._system.folder(self._layout.keep)
        # Before anything else changes: no version starts on trial without a judge, wherever power fails.
        self._first_keep(slot)
        self._trial.begin(marker)
        try:
            notes = self._write_files(changes)
            if old != slot:
                self._trial.switch(slot)
            self._link(slot)
            self._announce()
            self._system.sync()
            if not (start and self._system.live):
                # Nobody can judge a version that does not run: it counts as good until it is started.
                self._trial.accept(marker)
                return Outcome(slot, version, None, before=old, notes=notes)
            self._trial.begin({**marker, "complete": True})
        except OSError as error:
            self._trial.abandon(str(error))
            raise
        outcome = self._started(slot, version, accept, kept, old)
        outcome.notes = notes
        return outcome

    def _save(self, changes: list[FileChange]) -> list[list[str | None]]:
        """Put copies of the owner's files aside; path and place of each."""
        self._system.remove(f"{self._layout.keep}/undo")
        saved: list[list[str | None]] = []
        paths = [change.written_to for change in changes if change.written_to] + [record(self._layout)]
        for number, path in enumerate(paths):
            content = self._system.read(path)
            place = None if content is None else f"undo/{number}"
            if content is not None:
                self._system.write(f"{self._layout.keep}/undo/{number}", content)
            saved.append([path, place])
        return saved

    def _write_files(self, changes: list[FileChange]) -> list[str]:
        notes = []
        for change in changes:
            if change.written_to is not None:
                self._system.write(change.written_to, change.wanted)
            if change.change is Change.BESIDE:
                notes.append(f"{change.path} was changed by its owner and stays; what was asked for: {change.path}.new")
        text = new_record(self._system, self._layout, changes)
        if self._system.read(record(self._layout)) != text:
            self._system.write(record(self._layout), text)
        return notes

    def _link(self, slot: str) -> bool:
        """Make the links that are missing or point elsewhere; returns whether any was."""
        units, changed = f"{self._layout.slot(slot)}/share/units", False
        for folder, place in LINKS.items():
            for name in self._system.names(f"{units}/{folder}"):
                inner = self._system.names(f"{units}/{folder}/{name}") if name.endswith(".d") else []
                for file in [f"{name}/{drop_in}" for drop_in in inner] if name.endswith(".d") else [name]:
                    target = self._layout.link_target(folder, file)
                    if self._system.target(f"{place}/{file}") != target:
                        self._system.link(f"{place}/{file}", target)
                        changed = True
        judge = f"{self._layout.keep}/{JUDGE}"
        for path, target in (
            (f"{LINKS['system']}/{JUDGE}", judge),
            (self._layout.wants(JUDGE), f"../{JUDGE}"),
            (self._layout.wants("qiki.target"), "../qiki.target"),
        ):
            if self._system.target(path) != target:
                self._system.link(path, target)
                changed = True
        return changed

    def _first_keep(self, slot: str) -> None:
        """The judge, where there is none yet; a later one comes with a version that was found good."""
        source = f"{self._layout.slot(slot)}/share/units/keep"
        for name in self._system.names(source):
            if self._system.read(f"{self._layout.keep}/{name}") is None:
                self._system.write(f"{self._layout.keep}/{name}", self._system.read(f"{source}/{name}") or b"")

    def _announce(self) -> None:
        """Users, folders, rules and units become known."""
        conf = self._layout.link_target("sysusers", "qiki.conf")
        if not self._system.live:
            root = str(self._system.at("/"))
            if self._system.run(["systemd-sysusers", f"--root={root}", str(self._system.at(conf))]).code:
                self._tell(f"users could not be made here; once the image runs: sudo systemd-sysusers {conf}")
            return
        for words in (
            ["systemd-sysusers", conf],
            ["systemd-tmpfiles", "--create", self._layout.link_target("tmpfiles", "qiki.conf")],
            ["udevadm", "control", "--reload"],
            ["udevadm", "trigger", "--action=add", *[
                f"--subsystem-match={name}" for name in ("i2c-dev", "spidev", "gpio", "tty", "net", "misc", "watchdog")
            ]],
            ["systemctl", "restart", "systemd-modules-load.service"],
            ["systemctl", "restart", "systemd-sysctl.service"],
            ["systemctl", "restart", "systemd-journald.service"],
            ["systemctl", "daemon-reload"],
        ):
            ran = self._system.run(words)
            if ran.code and words[0] in ("systemd-sysusers", "systemd-tmpfiles"):
                raise OSError(ran.code, f"{' '.join(words)}: {ran.err.strip()[-200:]}")

    def _started(
        self, slot: str, version: str, accept: list[str], kept: list[list[str | None]], old: str | None,
    ) -> Outcome:
        """Start everything and wait for the verdict."""
        if self._trial.marker() is None:
            self._trial.begin({
                "new": slot, "old": old, "version": version, "files": kept, "accept": accept, "complete": True,
            })
        self._tell(f"starting version {version}; a judge waits for {' or '.join(accept)} ...")
        self._system.run(["systemctl", "reset-failed", FLIGHT])
        self._system.run(["systemctl", "--no-block", "start", JUDGE])
        self._system.run(["systemctl", "--no-block", "restart", "qiki.target"])
        deadline = self._system.clock() + WAIT_S
        while self._trial.marker() is not None and self._system.clock() < deadline:
            self._system.sleep(0.5)
        if self._trial.marker() is not None:
            self._tell("the judge's unit gave no verdict; judging here")
            self._trial.judge()
        found = self._trial.last() or {}
        good, why = bool(found.get("good")), str(found.get("why", "no verdict was written"))
        outcome = Outcome(slot, version, good, "" if good else why, before=old)
        if not good:
            outcome.next_step = "journalctl -u qiki-flight -n 50 says more" + (
                "; the version before runs" if old is not None else "; nothing is started any more"
            )
        return outcome
