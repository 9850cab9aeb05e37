"""A board under a folder: files are real; service manager, pip and time are played; power can be cut at any change."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from firmware_py.doctor import Machine
from firmware_py.install.checks import Subject, all_checks, needs_of
from firmware_py.install.installer import Installer, other_slot
from firmware_py.install.layout import UNITS, Layout
from firmware_py.install.request import Asked, chosen_files, effective_board, units_of_board
from firmware_py.install.slots import Interpreter, SlotPlan
from firmware_py.install.system import HostSystem, Ran
from firmware_py.install.units.keep.trial import JUDGE, TARGET, Trial
from firmware_py.install.wheelhouse import Wheelhouse, _write_manifest, host_arch, open_wheelhouse

GIB = 1 << 30


class PowerCut(BaseException):
    """Nothing after it happens; no handler of the software's runs, for it is no Exception."""


class Board(HostSystem):
    """The running system of a board, kept below a folder.

    ``modes`` says what the flight program of each version becomes: a motion mode, ``crash`` or ``mute``.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.live = True
        self.modes: dict[str, str] = {}
        self.proof = 0
        self.judge_answers = True
        self.pip_code = 0
        self.full_after: int | None = None
        self.commands: list[str] = []
        self.steps: list[str] = []
        self.cut_at: int | None = None
        self.flown: str | None = None
        """Slot whose flight program runs."""
        self.since_s = 0.0
        self.now_s = 1000.0
        self._judging = False
        self.layout = Layout()
        self.trial = Trial(
            self.at(self.layout.prefix), self.root, self.layout.prefix, self._call, self._program, self.sleep,
            self.clock, self._step,
        )

    # --- changes, each of which may be the last -----------------------------------------------------------------
    def _step(self, name: str) -> None:
        if self.cut_at is not None and len(self.steps) >= self.cut_at:
            raise PowerCut(name)
        self.steps.append(name)

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        if self.full_after is not None:
            self.full_after -= 1
            if self.full_after < 0:
                raise OSError(28, "No space left on device", path)
        self._step(f"write {path}")
        super().write(path, data, mode)

    def link(self, path: str, target: str) -> None:
        self._step(f"link {path}")
        super().link(path, target)

    def folder(self, path: str, mode: int = 0o755) -> None:
        if not self.at(path).is_dir():
            self._step(f"folder {path}")
        super().folder(path, mode)

    def remove(self, path: str) -> None:
        if os.path.lexists(self.at(path)):
            self._step(f"remove {path}")
        super().remove(path)

    def sync(self) -> None:
        self._step("sync")

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s

    # --- commands -----------------------------------------------------------------------------------------------
    def run(self, words: list[str], timeout_s: float = 60.0) -> Ran:
        self.commands.append(" ".join(words))
        if words[0] == "systemctl":
            return self._systemctl(words[1:])
        if "pip" in words:
            return self._pip(words)
        if "-c" in words:
            return Ran(self.proof, "", "ConfigError: board.yaml:3: $.rates: no such key" if self.proof else "")
        if words[0] == "uname":
            return Ran(0, "6.6.31+rpt-rpi-v8\n")
        self._step(words[0])
        return Ran(0)

    def _call(self, words: list[str]) -> tuple[int, str]:
        ran = self.run(words)
        return ran.code, ran.out

    def _program(self, process: int) -> str:
        return f"/opt/qiki/{chr(process)}/bin/python" if process else ""

    def _pip(self, words: list[str]) -> Ran:
        self._step("pip")
        if self.pip_code:
            return Ran(self.pip_code, "", "ERROR: Could not install packages: No space left on device")
        target = Path(words[words.index("--target") + 1])
        shutil.copytree(UNITS, target / "firmware_py" / "install" / "units", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
        self._step("pip ended")
        return Ran(0)

    def _systemctl(self, words: list[str]) -> Ran:
        if words[0] == "--version":
            return Ran(0, "systemd 252 (252.38-1~deb12u1)\n")
        if words[0] == "show":
            return Ran(0, self._shown() if words[-1] == "qiki-flight.service" else "RuntimeWatchdogUSec=0\n")
        if words[0] == "is-active":
            return Ran(3, "inactive\n")
        self._step("systemctl " + " ".join(words))
        if words[0] == "stop":
            self.flown = None
        if words[-2:] == ["restart", TARGET]:
            self._start_flight()
            if self.judge_answers and not self._judging and self.trial.marker() is not None:
                self.judge()
        return Ran(0)

    def _start_flight(self) -> None:
        current = self.trial.current()
        there = current is not None and self.at(f"/opt/qiki/{current}/bin/qiki").exists()
        self.flown, self.since_s = current if there else None, self.now_s

    def _mode(self) -> str:
        slot = json.loads(self.read(f"/opt/qiki/{self.flown}/SLOT.json") or b"{}")
        return self.modes.get(slot.get("version", ""), "Idle")

    def _shown(self) -> str:
        if self.flown is None:
            return "ActiveState=inactive\nMainPID=0\nStatusText=\n"
        mode = self._mode()
        age = self.now_s - self.since_s
        if mode == "crash":
            state = "failed" if age > 4.0 else "activating"
            return f"ActiveState={state}\nMainPID=0\nStatusText=\n"
        told = "" if mode == "mute" else f"motion {'Boot' if age < 2.0 else mode}, tick 200 Hz"
        return f"ActiveState=active\nMainPID={ord(self.flown)}\nStatusText={told}\n"

    # --- what happens to a board --------------------------------------------------------------------------------
    def judge(self) -> None:
        """The unit qiki-health."""
        self._judging = True
        try:
            self.trial.judge()
        finally:
            self._judging = False

    def boot(self) -> None:
        """Power comes back: the judge first, if it is installed and a trial is under way, then the flight program."""
        self.cut_at, self.flown, self._judging = None, None, False
        starts = self._wanted(TARGET)
        judge = self._wanted(JUDGE) and self.trial.marker() is not None
        if judge:
            self._judging = True
            self.trial.judge(self._start_flight if starts else lambda: None)
            self._judging = False
        elif starts:
            self._start_flight()
        self.sleep(10.0)

    def _wanted(self, unit: str) -> bool:
        target = self.target(f"/etc/systemd/system/{unit}")
        return self.target(self.layout.wants(unit)) is not None and target is not None and self.at(target).exists()

    def version(self) -> str | None:
        """Version whose flight program runs and is in a mode; ``None``: none does."""
        if self.flown is None or self._mode() in ("crash", "mute"):
            return None
        found = json.loads(self.read(f"/opt/qiki/{self.flown}/SLOT.json") or b"{}")
        return str(found.get("version"))

    def dangling(self) -> list[str]:
        """Links into the installation that lead nowhere."""
        found = []
        for path in sorted((self.root / "etc").rglob("*")):
            target = os.readlink(path) if path.is_symlink() else ""
            if target.startswith("/opt/qiki") and not self.at(target).exists():
                found.append(str(path))
        return found


def new_board(root: Path) -> Board:
    """A Raspberry Pi with everything that the reference board needs."""
    for name in ("etc", "usr/bin", "var/lib/qiki/flights", "run/systemd/system", "opt", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/python3.11").write_text("")
    (root / "usr/bin/python3").symlink_to("python3.11")
    for name in ("libstdc++.so.6", "libgcc_s.so.1"):
        path = root / "usr/lib/aarch64-linux-gnu" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"library")
    (root / "var/lib/qiki/flights/one.mcap").write_bytes(b"a flight")
    (root / "etc/group").write_text("root:x:0:\ni2c:x:1:\nspi:x:2:\ngpio:x:3:\n")
    for node in ("i2c-1", "i2c-3", "i2c-6", *(f"spidev0.{n}" for n in range(2)), *(f"spidev1.{n}" for n in range(5)),
                 *(f"ttyUSB{n}" for n in range(4)), "gpiochip0"):
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / node).write_text("")
    for name in ("can0", "can1"):
        (root / "sys/class/net" / name).mkdir(parents=True)
        (root / "sys/class/net" / name / "type").write_text("280\n")
        (root / "sys/class/net" / name / "flags").write_text("0x40080\n")
    for path, text in (("sys/devices/system/cpu/online", "0-3"), ("proc/sys/kernel/sched_rt_runtime_us", "950000"),
                       ("proc/sys/kernel/sched_rt_period_us", "1000000")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Board(root)


def wheelhouse(folder: Path, version: str, spidev: bool = True) -> Wheelhouse:
    """A wheelhouse of one version; its wheels are a few bytes, for pip is played."""
    folder.mkdir(parents=True)
    (folder / f"qiki_flight-{version}-py3-none-any.whl").write_bytes(b"wheel of " + version.encode())
    (folder / "numpy-2.0-cp311-cp311-manylinux_2_28_x86_64.whl").write_bytes(b"numbers")
    (folder / "spidev-3.8.tar.gz").write_bytes(b"source")
    if spidev:
        (folder / "spidev-3.8-cp311-cp311-linux_x86_64.whl").write_bytes(b"built")
    _write_manifest(folder, host_arch(), "3.11")
    return open_wheelhouse(folder)


def machine(root: Path, free: int = 8 * GIB) -> Machine:
    """What the checks see of it."""
    return Machine(root=root, gpio_label=lambda path: "pinctrl-bcm2711", synchronised=lambda: True,
                   free_bytes=lambda folder: free)


def install(board: Board, house: Wheelhouse, *, asked: Asked | None = None, free: int = 8 * GIB, anyway: bool = False,
            start: bool = True, rights: bool = True, told: list[str] | None = None):
    """One run of the installer, from request to outcome."""
    changes = chosen_files(board, board.layout, asked or Asked())
    config = effective_board(changes)
    seen = machine(board.root, free)
    interpreter = Interpreter("/usr/bin/python3.11", "3.11", True)
    plan = SlotPlan(
        other_slot(board.trial.current()), house, interpreter, units_of_board(board, config, seen),
        {Path(change.path).name: change.effective for change in changes}, needs_of(config),
    )
    subject = Subject(board, board.layout, house, interpreter, config, board.trial, seen, rights=lambda path: rights,
                      anyway=anyway, starts=start)
    installer = Installer(board, board.layout, board.trial, (told if told is not None else []).append)
    return installer.install(plan, all_checks(subject), changes, start)


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder, with what it holds."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
