"""``python -m hil.kernel.rig``: builds a guest, installs the project in it, flies it, breaks it, prints how it did.

Boots, each on a copy of a disk: *install* (the project's own installer, every kind of node), *fly* (mission, faults),
*cut* (power cut in flight and the start after it) and *hang* (the watchdog). Exit codes: 0 every check held, 1 one
did not, 2 nothing could be run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from hil.kernel.boot import Guest, Said
from hil.kernel.guest import DEFAULT_CACHE, ROOT, GuestError
from hil.kernel.image import ARCHES, Image, build, make_disk, work_folder
from hil.kernel.inside_nodes import install_units
from hil.kernel.inside_table import CHECKS, SLOWER, Check, chosen, limit_of
from hil.kernel.outcomes import Outcome, judged, table
from hil.kernel.rig_project import BOARD, STEP_MS, board_text, source_digest

__all__ = ["Rig", "main"]

INSIDE = Path(__file__).resolve().parent
FILES = INSIDE / "guest_files"
BOOT_LIMIT_S = 300.0
CUT_AFTER_S = 10.0
READ_HERE = ("ending", "black-box")
"""Checks of the boot that flies which this machine makes, of what the guest's recorder wrote."""
ENDING = """
import sys
from firmware_py.recorder.kept import FLIGHT_ENDING
from firmware_py.recorder.reader import read_flight
flight = read_flight(sys.argv[1])
ended = any(row.value["code"] == FLIGHT_ENDING for row in flight.rows("/event"))
print(int(ended and flight.complete and flight.counts.get("/timing", 0) > 0), end=" ")
print(f"ending event {ended}, timing {flight.counts.get('/timing', 0)}, whole {flight.complete}")
"""
LAST_ROW = """
import sys
from firmware_py.recorder.reader import read_flight
flight = read_flight(sys.argv[1])
print((flight.end_ns or 0) / 1e9, "; ".join(flight.damage))
"""


class Rig:
    """One run.

    Args:
        arch: which rig.
        checks: what is asked for.
        cache: folder that is kept.
        work: folder of this run.
        tell: gets a line for each stage.
        clock: steady, in seconds.
        house: wheelhouse to install from; one is made of this checkout if not given.
        into_tree: install with ``--root`` into the guest's tree and not in the guest; always so where it is emulated.
    """

    def __init__(
        self, arch: str, checks: Sequence[Check], cache: Path, work: Path, tell: Callable[[str], None],
        clock: Callable[[], float], house: Path | None = None, into_tree: bool = False,
    ) -> None:
        self.arch = arch
        self._house = house
        self._into = into_tree or arch != "uml"
        self.outcomes: dict[str, Outcome] = {}
        self.lost: list[str] = []
        self._kept: list[str] = []
        """Names of the black boxes that the boot that flies handed over, the newest last."""
        self._checks = checks
        self._cache = cache
        self._work = work
        self._tell = tell
        self._clock = clock
        self._share = work / "share"
        self._factor = SLOWER[arch]
        self._flying_s: float | None = None

    def run(self, now_s: float) -> None:
        """Build what is missing and run every boot that a check belongs to. Raises GuestError."""
        began = self._clock()
        image = build(self.arch, self._cache, now_s, self._tell)
        self._tell(f"guest {'built' if image.built else 'ready'} in {self._clock() - began:.0f} s")
        house = self._wheelhouse()
        self._fill_share(house)
        disk = self._installed(image, house)
        boots = {check.boot for check in self._checks}
        if "fly" in boots:
            self._boot(image, self._copy(disk), "fly")
            if self._asked("ending"):
                self._read_ending()
            if self._asked("black-box"):
                self._read_black_boxes()
        if "cut" in boots:
            self._cut(image, self._copy(disk))
        if "hang" in boots:
            self._hang(image, self._copy(disk))

    # -- what is booted

    def _wheelhouse(self) -> Path:
        """Everything to install from, made anew when the project changed."""
        if self._house is not None:
            return self._house
        deb_arch = "amd64" if self.arch == "uml" else self.arch
        python = "3.11"
        place = self._cache / "wheelhouse" / source_digest()
        folder = place / f"{deb_arch}-py{python}"
        if not (folder / "MANIFEST.json").exists():
            self._tell("making the wheelhouse ...")
            for old in (self._cache / "wheelhouse").glob("*"):
                shutil.rmtree(old, ignore_errors=True)
            words = [sys.executable, "-m", "firmware_py.install.wheelhouse", "--arch", deb_arch, "--python", python,
                     "--output", str(place), "--project", str(ROOT)]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                raise GuestError(f"no wheelhouse: {(done.stderr + done.stdout)[-1500:]}")
            self._tell(done.stdout.splitlines()[0])
        return folder

    def _fill_share(self, house: Path) -> None:
        share = self._share
        package = share / "inside/hil/kernel"
        package.mkdir(parents=True)
        for folder in (package.parent, package):
            (folder / "__init__.py").touch()
        for path in INSIDE.glob("inside_*.py"):
            shutil.copy(path, package)
        for path in FILES.glob("*.yaml"):
            shutil.copy(path, share)
        (share / "board.yaml").write_text(board_text(self.arch, BOARD.read_text()))
        (share / "step_ms").write_text(f"{STEP_MS[self.arch]}\n")
        shutil.copytree(house, share / "wheelhouse")

    def _installed(self, image: Image, house: Path) -> Path:
        """The disk with the project installed, from the cache or by the boot that installs."""
        files = sorted(self._share.glob("*.yaml"))
        share_key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
        nodes = hashlib.sha256((INSIDE / "inside_nodes.py").read_bytes()).hexdigest()[:8]
        wheels = hashlib.sha256((house / "MANIFEST.json").read_bytes()).hexdigest()[:16]
        name = f"{image.disk.parent.name}-{wheels}-{share_key}-{nodes}{'-tree' if self._into else ''}"
        folder = self._cache / "installed"
        disk, results = folder / f"{name}.ext4", folder / f"{name}.json"
        asked = [check for check in self._checks if check.boot == "install"]
        if disk.exists() and results.exists():
            kept = json.loads(results.read_text())
            for check in asked:
                if check.name in kept:
                    self.outcomes[check.name] = judged(check, self.arch, kept[check.name], cached=True)
            return disk
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{self.arch}-*"):
            old.unlink()
        self._tell("installing ...")
        fresh = self._into_tree(image, house) if self._into else self._copy(image.disk)
        every = [check for check in CHECKS if check.boot == "install"]
        records = self._boot(image, fresh, "install", every)
        if all(records.get(check.name, {}).get("ok") for check in every):
            shutil.move(fresh, disk)
            results.write_text(json.dumps(records))
            return disk
        self.lost.append("the project is not installed as it should be: no boot that flies was tried")
        raise GuestError("; ".join(self.lost))

    def _into_tree(self, image: Image, house: Path) -> Path:
        """A disk with the project installed by its installer's ``--root``: an emulated processor would take many
        minutes for it."""
        target = self._work / "disk-installed.ext4"
        with work_folder(self._cache) as work:
            subprocess.run(["tar", "-C", str(work), "-xf", str(image.tree)], check=True)
            share = self._share
            words = ("install", "--root", str(work), "--wheelhouse", str(house), "--no-start", "--anyway", "--body",
                     "bench-12kg", "--board", str(share / "board.yaml"), "--mission", str(share / "mission.yaml"))
            began = self._clock()
            done = self._qiki(*words)
            if done.returncode:
                raise GuestError(f"qiki install --root: {(done.stderr + done.stdout)[-1500:]}")
            (self._share / "installed").write_text(f"{self._clock() - began:.1f}")
            install_units(share, (share / "board.yaml").read_bytes(), work)
            make_disk(work, target)
        return target

    def _qiki(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The project's command line on this machine, as a program of its own."""
        return self._run("from firmware_py.cli.main import main; main()", *words)

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A Python program of the project on this machine."""
        return subprocess.run([sys.executable, "-c", program, *words], cwd=self._work, capture_output=True, text=True,
                              check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def _copy(self, disk: Path) -> Path:
        target = self._work / f"disk-{len(list(self._work.glob('disk-*')))}.ext4"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(disk), str(target)], check=True)
        return target

    # -- boots

    def _asked(self, name: str) -> bool:
        return any(check.name == name for check in self._checks)

    def _job(self, boot: str, checks: Sequence[Check]) -> None:
        (self._share / "job.json").write_text(json.dumps({"boot": boot, "checks": [c.name for c in checks]}))

    def _guest(self, image: Image, disk: Path, volatile: bool = False) -> Guest:
        folder = Path(tempfile.mkdtemp(prefix="boot-", dir=self._work))
        return Guest(image, disk, self._share, folder, self._clock, volatile=volatile)

    def _boot(
        self, image: Image, disk: Path, boot: str, checks: Sequence[Check] | None = None
    ) -> dict[str, dict[str, object]]:
        """One boot with its checks; what the guest said of each."""
        wanted = [check for check in (checks or self._checks) if check.boot == boot]
        self._job(boot, wanted)
        records: dict[str, dict[str, object]] = {}
        # A loaded machine is up to five times slower.
        limit_s = BOOT_LIMIT_S * self._factor**0.5 + sum(5.0 * (limit_of(check, self.arch) or 6.0) for check in wanted)
        with self._guest(image, disk) as guest:
            for said in guest.follow(limit_s):
                self._hear(said, wanted, records)
            if len(records) < len([check for check in wanted if check.name not in READ_HERE]):
                self.lost.append(f"the boot {boot} ended early; last seen:\n{guest.tail}")
        return records

    def _hear(self, said: Said, wanted: Sequence[Check], records: dict[str, dict[str, object]]) -> None:
        record = said.record
        if "lost" in record:
            self.lost.append(f"{record['lost']} {record.get('where', '')}")
        if "flying_s" in record:
            self._tell(f"flying {said.at_s:.1f} s after it was switched on")
            self._flying_s = said.at_s
        kept = record.get("kept")
        if isinstance(kept, list):
            self._kept = [str(one) for one in kept]
        name = record.get("check")
        check = next((check for check in wanted if check.name == name), None)
        if check is None:
            return
        if name == "boot":
            record = record | {"measured": self._flying_s}
        records[check.name] = record
        if any(asked.name == check.name for asked in self._checks):
            self.outcomes[check.name] = outcome = judged(check, self.arch, record)
            self._tell(str(outcome))

    def _cut(self, image: Image, disk: Path) -> None:
        """Power cut some seconds into a flight, then another start from the same disk."""
        volatile = self.arch != "uml"
        self._job("cut", ())
        first_s, flown_s, name, lost, cut = inf, 0.0, "", "", False
        with self._guest(image, disk, volatile) as guest:
            for said in guest.follow(BOOT_LIMIT_S * self._factor):
                lost = str(said.record.get("lost", lost))
                if not said.record.get("flying"):
                    continue
                flown_s = float(said.record["flown_s"])
                first_s = min(first_s, flown_s)
                if flown_s - first_s >= CUT_AFTER_S:
                    name = str(said.record["black_box"])
                    # A guest that has ended by then was not cut.
                    cut = guest.running
                    guest.cut_power()
                    break
            if not cut:
                why = f"the power was never cut: {lost or 'the guest ended by itself'}; last seen:\n{guest.tail}"
                for check in ("power-cut", "cut-record"):
                    self._note(check, {"ok": False, "measured": None, "seen": why})
                return
        self._job("again", ())
        after: dict[str, object] = {}
        names: list[str] = []
        with self._guest(image, disk) as guest:
            for said in guest.follow(BOOT_LIMIT_S * self._factor):
                if "flying_s" in said.record:
                    after = {"ok": True, "measured": said.at_s, "seen": f"mode {said.record.get('mode')}"}
                names = said.record.get("kept", names)
        held = "what was never flushed was lost" if volatile else "the disk kept what it was handed"
        after = after or {"ok": False, "measured": None, "seen": "it did not fly again"}
        self._note("power-cut", after | {"seen": f"{after['seen']}; {held}"})
        self._note("cut-record", self._cut_record(name, name in names, flown_s))

    def _cut_record(self, name: str, kept: bool, flown_s: float) -> dict[str, object]:
        """The black box that the cut left: how much of the flight's last seconds is missing.

        ``flown_s`` is the age of the program's process at the cut, which its start of some seconds is part of.
        """
        if not kept:
            return {"ok": False, "measured": None, "seen": f"{name or 'the black box'} is gone"}
        done = self._run(LAST_ROW, str(self._share / "flights" / name))
        if done.returncode:
            return {"ok": False, "measured": None, "seen": done.stderr.strip()[-200:]}
        end, _, damage = done.stdout.strip().partition(" ")
        last_s = float(end)
        seen = f"{name} ends at {last_s:.1f} s of at most {flown_s:.1f} s; {damage or 'whole'}"
        return {"ok": True, "measured": flown_s - last_s, "seen": seen}

    def _hang(self, image: Image, disk: Path) -> None:
        """The watchdog ends a guest whose programs no longer feed it."""
        self._job("hang", ())
        armed: float | None = None
        ended, alive, which = None, False, ""
        with self._guest(image, disk) as guest:
            for said in guest.follow(BOOT_LIMIT_S * self._factor):
                if "armed" in said.record:
                    armed, which = said.at_s, str(said.record["watchdog"])
                elif armed is not None and "up_s" in said.record:
                    ended = said.at_s - float(said.record["up_s"])
                    break
                alive = alive or "still_alive" in said.record
            else:
                ended = guest.lived_s
        if armed is None or ended is None or alive:
            record: dict[str, object] = {"ok": False, "measured": None, "seen": f"armed {armed}, alive {alive}"}
        else:
            record = {"ok": True, "measured": ended - armed, "seen": f"{which}, fed last when it was armed"}
        self._note("watchdog-reset", record)

    def _read_ending(self) -> None:
        """Whether the flight that was stopped last, with the whole target, has its end in its black box."""
        if not self._kept:
            self._note("ending", {"ok": False, "measured": None, "seen": "the guest kept no black box"})
            return
        name = self._kept[-1]
        done = self._run(ENDING, str(self._share / "flights" / name))
        ended, _, seen = done.stdout.strip().partition(" ")
        seen = done.stderr.strip()[-200:] if done.returncode else seen
        ok = done.returncode == 0 and ended == "1"
        self._note("ending", {"ok": ok, "measured": None, "seen": f"{name}: {seen}"})

    def _read_black_boxes(self) -> None:
        """``qiki report`` on the host over what the guest's recorder wrote."""
        found = sorted((self._share / "flights").glob("*.mcap")) if (self._share / "flights").is_dir() else []
        if not found:
            self._note("black-box", {"ok": False, "measured": None, "seen": "the guest kept no black box"})
            return
        largest = max(found, key=lambda path: path.stat().st_size)
        done = self._qiki("report", str(largest))
        seen = f"{len(found)} black boxes; {largest.name}, {largest.stat().st_size / 1e6:.1f} MB"
        if done.returncode:
            seen = f"{largest.name}: {done.stderr.strip()[-300:]}"
        self._note("black-box", {"ok": done.returncode == 0, "measured": None, "seen": seen})

    def _note(self, name: str, record: dict[str, object]) -> None:
        check = next(check for check in CHECKS if check.name == name)
        if self._asked(name):
            self.outcomes[name] = outcome = judged(check, self.arch, record)
            self._tell(str(outcome))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hil.kernel.rig", description=__doc__)
    parser.add_argument("--arch", default="uml", choices=ARCHES)
    parser.add_argument("--checks", default="", help="only these, with commas (default: all)")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE / "rig", help="folder for packages and images")
    parser.add_argument("--wheelhouse", type=Path, help="install from this one instead of making it")
    parser.add_argument("--into-tree", action="store_true", help="install with --root on this machine: quicker")
    parser.add_argument("--keep", type=Path, help="folder for black boxes, journal and consoles of this run")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    given = parser.parse_args(arguments)
    if given.list:
        sys.stdout.writelines(f"{check.name:16} {check.what}\n" for check in CHECKS)
        return 0
    # Whoever ends this ends its guest with it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(2))
    began = time.monotonic()

    def tell(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} {line}\n")

    try:
        checks = chosen(given.checks)
    except ValueError as error:
        sys.stderr.write(f"rig: {error}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="qiki-rig-") as folder:
        rig = Rig(given.arch, checks, given.cache.expanduser().resolve(), Path(folder), tell, time.monotonic,
                  given.wheelhouse, given.into_tree)
        try:
            rig.run(time.time())
        except GuestError as error:
            sys.stderr.write(f"rig: {error}\n")
            rig.lost.append(str(error))
        if given.keep is not None:
            _keep(Path(folder), given.keep)
    outcomes = [rig.outcomes[check.name] for check in checks if check.name in rig.outcomes]
    sys.stdout.write(table(outcomes, checks))
    for line in rig.lost:
        sys.stderr.write(f"rig: {line}\n")
    if given.json is not None:
        given.json.write_text(json.dumps([outcome.record() for outcome in outcomes], indent=1) + "\n")
    if not outcomes:
        return 2
    return 0 if not rig.lost and len(outcomes) == len(checks) and all(outcome.held for outcome in outcomes) else 1


def _keep(work: Path, target: Path) -> None:
    """Black boxes, journal and consoles."""
    target.mkdir(parents=True, exist_ok=True)
    for path in (*work.glob("share/flights/*.mcap"), *work.glob("share/journal.txt")):
        shutil.copy(path, target)
    for path in work.glob("boot-*/console.log"):
        shutil.copy(path, target / f"{path.parent.name}.log")


if __name__ == "__main__":
    raise SystemExit(main())
