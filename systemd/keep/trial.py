"""Judges a version on trial: it reaches Idle in time and stays there, or the one before is back, whatever cut in.

Stands alone: it is copied to PREFIX/keep and run there by the system's own Python, for nothing of a version on trial,
nor of its environment, may be needed to get rid of it. The installer uses the same code.

What lies in PREFIX/keep:

=============  =====================================================================================================
trial.json     a version is on trial: its slot, the slot before, files to put back, modes that count as good; removed
               when the verdict is carried out
attempts       how often the judge was started since; counted before anything is awaited
undo/N         files of the owner's configuration as they were
verdict.json   the last verdict
=============  =====================================================================================================

Everything is one rename, or can be done twice: after a power cut at any moment the next start goes on from there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLIGHT = "qiki-flight.service"
TARGET = "qiki.target"
JUDGE = "qiki-health.service"
"""The unit that runs this file; it lies in PREFIX/keep too, for a version on trial may not bring its own judge."""
MOST_ATTEMPTS = 2
"""Starts of the judge without a verdict; each was ended by a restart of the computer, and a third is not waited for."""
PATIENCE_S = 45.0
"""Longest wait for Idle. With at most 10 s to stop the one and start the other, a bad version is gone in 60 s."""
HOLD_S = 3.0
"""How long a mode must hold: what reaches Idle and dies of its first second there is not good."""
POLL_S = 0.25
LINK_FOLDERS = (
    "etc/systemd/system", "etc/systemd/system/multi-user.target.wants", "etc/udev/rules.d", "etc/sysusers.d",
    "etc/tmpfiles.d", "etc/modules-load.d", "etc/sysctl.d", "etc/systemd/journald.conf.d",
    "etc/systemd/system.conf.d",
)
"""Where links into the current slot are made; folders of drop-ins below the first as well."""


@dataclass(frozen=True)
class Verdict:
    """How a trial ended."""

    good: bool
    slot: str
    before: str | None
    why: str
    took_s: float


@dataclass(frozen=True)
class State:
    """What the service manager says of the flight program."""

    active: str = ""
    process: int = 0
    status: str = ""

    @property
    def mode(self) -> str | None:
        """Motion mode that the program names in its status line; ``None``: it names none."""
        found = re.search(r"\bmotion (\S+)", self.status)
        return found.group(1).rstrip(",;") if found else None


def call(argv: list[str], timeout_s: float = 30.0) -> tuple[int, str]:
    """Exit code and output of one command; one that cannot be run or does not end has failed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return 127, str(error)
    return done.returncode, done.stdout


def program_of(process: int) -> str:
    """First word of a process's command line; empty if it is not to be seen."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read(4096).split(b"\0", 1)[0].decode("utf-8", "replace")
    except OSError:
        return ""


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in the place of another so that a power cut leaves the old one or the new. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def move_whole(source: Path, target: Path) -> None:
    """Put a file in the place of another so that a power cut leaves the old one or the new. Raises OSError.

    A rename takes no room on a full medium. In the judge's unit both places are mounts of their own, between which
    nothing can be renamed: there the file is copied beside its place first. The source is left then, so that all of
    it can be done again after a power cut.
    """
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.back")
        with open(beside, "wb") as file:
            file.write(source.read_bytes())
            os.fchmod(file.fileno(), stat.S_IMODE(source.stat().st_mode))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the medium. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass
class Trial:
    """The trial of one installation.

    Attributes:
        prefix: of the installation, as this process reaches it (below the root).
        root: of the system.
        installed: of the installation as the installed system names it; processes are told apart by it.
        run: runs a command, gives exit code and output.
    """

    prefix: Path
    root: Path
    installed: str
    run: Callable[[list[str]], tuple[int, str]] = call
    program: Callable[[int], str] = program_of
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    step: Callable[[str], None] = field(default=lambda _name: None)
    """Told before each change, by name."""

    @property
    def keep(self) -> Path:
        """Folder of what no slot may own."""
        return self.prefix / "keep"

    def marker(self) -> dict[str, Any] | None:
        """The trial that is under way; ``None`` if there is none. One that cannot be read has no files to put back."""
        try:
            text = (self.keep / "trial.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            found = json.loads(text)
            if isinstance(found, dict) and isinstance(found.get("new"), str):
                return found
        except ValueError:
            pass
        # Nowhere to go back to is known: whatever the verdict, the slot stays.
        slot = self.current() or "a"
        return {"new": slot, "old": slot, "files": [], "accept": ["Idle"], "complete": True}

    def last(self) -> dict[str, Any] | None:
        """The last verdict, as it was written; ``None`` if there is none."""
        try:
            found = json.loads((self.keep / "verdict.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def begin(self, marker: dict[str, Any]) -> None:
        """Write the marker; from here on the judge has the last word. Raises OSError."""
        self._remove("attempts")
        self.step("mark the trial")
        write_whole(self.keep / "trial.json", json.dumps(marker, sort_keys=True).encode())

    def current(self) -> str | None:
        """Slot that is switched to; ``None`` if there is none."""
        try:
            return os.readlink(self.prefix / "current")
        except OSError:
            return None

    def switch(self, slot: str | None) -> None:
        """Make ``slot`` the current one, by one rename; ``None``: none is. Raises OSError."""
        self.step(f"switch to {slot}")
        link = self.prefix / "current"
        if slot is None:
            link.unlink(missing_ok=True)
        else:
            temporary = self.prefix / "current.new"
            temporary.unlink(missing_ok=True)
            os.symlink(slot, temporary)
            os.replace(temporary, link)
        sync_folder(self.prefix)

    def state(self) -> State:
        """What the manager says now."""
        properties = "--property=ActiveState,MainPID,StatusText"
        _, text = self.run(["systemctl", "show", properties, FLIGHT])
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        process = found.get("MainPID", "")
        number = int(process) if process.isdigit() else 0
        return State(found.get("ActiveState", ""), number, found.get("StatusText", ""))

    def judge(self, ready: Callable[[], None] = lambda: None) -> Verdict | None:
        """Judge the trial that is under way, and carry the verdict out; ``None`` if there is none. Raises OSError.

        Args:
            ready: told when the attempt is counted and the right slot is the current one.
        """
        marker = self.marker()
        if marker is None:
            ready()
            return None
        begun = self.clock()
        try:
            why = self._hopeless(marker, self._count())
        except OSError as error:
            # A trial that cannot be counted could go on for ever.
            why = f"the attempt cannot be counted: {error.strerror or error}"
        if why:
            # Before the flight program may start: it starts from the slot that is put back here.
            verdict = self._back(marker, why, begun, restart=False)
            ready()
            return verdict
        ready()
        why = self._await(marker, begun)
        if why:
            return self._back(marker, why, begun)
        return self._keep(marker, begun)

    def accept(self, marker: dict[str, Any]) -> Verdict:
        """Take a version as good that nobody can judge, for it isn't started. Raises OSError."""
        return self._keep(marker, self.clock())

    def abandon(self, why: str) -> Verdict | None:
        """Go back to the version before, whatever this one does; ``None`` if none is on trial. Raises OSError."""
        marker = self.marker()
        return None if marker is None else self._back(marker, why, self.clock())

    def _hopeless(self, marker: dict[str, Any], attempts: int) -> str:
        if not marker.get("complete") or self.current() != marker["new"]:
            return "the installation was interrupted"
        if attempts > MOST_ATTEMPTS:
            return f"no verdict in {attempts - 1} starts of the computer"
        return ""

    def _await(self, marker: dict[str, Any], begun: float) -> str:
        """Empty once the new version held a good mode for long enough; else why it is not good."""
        since: float | None = None
        seen = State()
        mine = f"{self.installed}/{marker['new']}/"
        while (now := self.clock()) - begun < PATIENCE_S:
            seen = self.state()
            if seen.active == "failed":
                return f"the flight program failed{self._said(seen)}"
            good = (
                seen.active == "active" and seen.mode in marker["accept"]
                and self.program(seen.process).startswith(mine)
            )
            since = (now if since is None else since) if good else None
            if since is not None and now - since >= HOLD_S:
                return ""
            self.sleep(POLL_S)
        wanted = " or ".join(marker["accept"])
        found = f"it is {seen.active or 'unknown'}{self._said(seen)}"
        return f"not in {wanted} for {HOLD_S:g} s within {PATIENCE_S:g} s; {found}"

    def _said(self, seen: State) -> str:
        return f", saying {seen.status!r}" if seen.status else ""

    def _keep(self, marker: dict[str, Any], begun: float) -> Verdict:
        verdict = Verdict(True, marker["new"], marker.get("old"), "", self.clock() - begun)
        self._prune()
        self._conclude(verdict)
        self._renew(marker["new"])
        return verdict

    def _renew(self, slot: str) -> None:
        """The version that was found good brings the judge of the next one."""
        folder = self.prefix / slot / "share" / "units" / "keep"
        for source in sorted(path for path in folder.glob("*") if path.is_file()):
            with contextlib.suppress(OSError):
                self.step(f"renew {source.name}")
                write_whole(self.keep / source.name, source.read_bytes())

    def _back(self, marker: dict[str, Any], why: str, begun: float, restart: bool = True) -> Verdict:
        old = marker.get("old")
        if restart and old is None:
            self._order("stop", TARGET, FLIGHT)
        if self.current() != old:
            self.switch(old)
        for path, kept in marker.get("files", []):
            self._put_back(path, kept)
        self._prune()
        # Known to the manager before the marker goes: until then all of this is done again after a power cut.
        self._order("daemon-reload")
        if old is not None and restart:
            self._order("reset-failed", FLIGHT)
            self._order("--no-block", "restart", TARGET)
        verdict = Verdict(False, marker["new"], old, why, self.clock() - begun)
        self._conclude(verdict)
        return verdict

    def _put_back(self, path: str, kept: str | None) -> None:
        target = self.root / path.lstrip("/")
        self.step(f"put back {path}")
        if kept is None:
            target.unlink(missing_ok=True)
        elif (self.keep / kept).exists():
            move_whole(self.keep / kept, target)

    def _prune(self) -> None:
        """Take away links of units that the current slot does not have."""
        begin = f"{self.installed}/current/"
        folders = [self.root / name for name in LINK_FOLDERS]
        folders += sorted((self.root / LINK_FOLDERS[0]).glob("qiki*.d"))
        for folder in folders:
            for link in sorted(folder.iterdir()) if folder.is_dir() else []:
                if link.is_symlink() and os.readlink(link).startswith(begin):
                    inside = self.prefix / "current" / os.readlink(link).removeprefix(begin)
                    if not inside.exists():
                        self.step(f"remove {link.name}")
                        link.unlink()
        wants = self.root / LINK_FOLDERS[1] / TARGET
        if wants.is_symlink() and not os.path.lexists(self.root / LINK_FOLDERS[0] / TARGET):
            self.step(f"remove {TARGET} from the start")
            wants.unlink()

    def _conclude(self, verdict: Verdict) -> None:
        self.step("write the verdict")
        write_whole(self.keep / "verdict.json", json.dumps(verdict.__dict__, sort_keys=True).encode())
        self._remove("trial.json")
        sync_folder(self.keep)
        self._remove("attempts")
        self.step("drop the undo files")
        shutil.rmtree(self.keep / "undo", ignore_errors=True)

    def _count(self) -> int:
        path = self.keep / "attempts"
        try:
            count = int(path.read_text("ascii"))
        except (OSError, ValueError):
            count = 0
        self.step("count the attempt")
        write_whole(path, str(count + 1).encode())
        return count + 1

    def _order(self, *words: str) -> None:
        self.step("systemctl " + " ".join(words))
        self.run(["systemctl", *words])

    def _remove(self, name: str) -> None:
        self.step(f"remove {name}")
        (self.keep / name).unlink(missing_ok=True)


def notify(line: str) -> None:
    """One line to the service manager (sd_notify(3)), if there is one."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as port:
        port.sendto(line.encode(), address)


def main(words: list[str]) -> int:
    """``trial.py judge``: judge the trial of the installation that this file lies in."""
    if words != ["judge"]:
        sys.stderr.write("usage: trial.py judge\n")
        return 2
    prefix = Path(__file__).resolve().parent.parent
    trial = Trial(prefix, Path("/"), str(prefix))
    try:
        verdict = trial.judge(lambda: notify("READY=1"))
    except OSError as error:
        sys.stderr.write(f"<3>the verdict could not be carried out: {error}\n")
        return 1
    if verdict is None:
        sys.stderr.write("no version is on trial\n")
    elif verdict.good:
        sys.stderr.write(f"<5>slot {verdict.slot} is good after {verdict.took_s:.1f} s\n")
    else:
        sys.stderr.write(f"<3>slot {verdict.slot} is not good: {verdict.why}; back to {verdict.before or 'none'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
