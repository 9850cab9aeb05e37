"""Judge: patience, holding, counting, and the file that stands alone."""

from __future__ import annotations

import ast
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_py.install.layout import UNITS
from firmware_py.install.units.keep import trial as module
from firmware_py.install.units.keep.trial import State, Trial


class Played:
    """A trial whose manager says what ``told`` gives for a time."""

    def __init__(self, root: Path, told) -> None:
        self.now_s = 0.0
        self.told = told
        self.orders: list[str] = []
        self.slot = "b"
        for slot in "ab":
            (root / "opt/qiki" / slot).mkdir(parents=True)
        (root / "opt/qiki/keep/undo").mkdir(parents=True)
        (root / "etc/qiki").mkdir(parents=True)
        os.symlink("b", root / "opt/qiki/current")
        self.root = root
        self.trial = Trial(
            root / "opt/qiki", root, "/opt/qiki", self.run, lambda process: f"/opt/qiki/{self.slot}/bin/python",
            self.sleep, lambda: self.now_s,
        )
        self.begin()

    def begin(self, **changed: object) -> None:
        self.trial.begin({"new": "b", "old": "a", "files": [], "accept": ["Idle"], "complete": True, **changed})

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def run(self, words: list[str]) -> tuple[int, str]:
        if words[1] == "show":
            state, text = self.told(self.now_s)
            return 0, f"ActiveState={state}\nMainPID=7\nStatusText={text}\n"
        self.orders.append(" ".join(words[1:]))
        return 0, ""


def test_idle_that_holds_is_good(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle, 200 Hz" if now > 4.0 else "motion Boot"))
    verdict = one.trial.judge()
    assert verdict is not None
    assert verdict.good
    assert 7.0 <= verdict.took_s < 8.0
    assert one.trial.marker() is None
    assert one.orders == []


def test_idle_that_does_not_hold_is_not_good(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle" if now % 4.0 < 2.0 else "motion SAFE"))
    verdict = one.trial.judge()
    assert verdict is not None
    assert not verdict.good
    assert 45.0 <= verdict.took_s < 47.0
    assert one.trial.current() == "a"
    assert "--no-block restart qiki.target" in one.orders


def test_idle_of_the_old_program_does_not_count(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle"))
    one.slot = "a"
    verdict = one.trial.judge()
    assert verdict is not None
    assert not verdict.good


def test_a_program_that_failed_is_not_waited_for(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("failed", ""))
    verdict = one.trial.judge()
    assert verdict is not None
    assert verdict.took_s < 1.0


def test_half_an_installation_goes_back_before_the_flight_program_may_start(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle"))
    one.begin(complete=False)
    seen: list[str | None] = []
    verdict = one.trial.judge(lambda: seen.append(one.trial.current()))
    assert verdict is not None
    assert not verdict.good
    assert seen == ["a"]
    assert not any("restart" in order for order in one.orders)


def test_owners_files_are_put_back_and_made_ones_removed(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("failed", ""))
    (tmp_path / "etc/qiki/board.yaml").write_text("new")
    (tmp_path / "etc/qiki/body.yaml").write_text("made")
    (tmp_path / "opt/qiki/keep/undo/0").write_text("old")
    one.begin(files=[["/etc/qiki/board.yaml", "undo/0"], ["/etc/qiki/body.yaml", None]])
    one.trial.judge()
    assert (tmp_path / "etc/qiki/board.yaml").read_text() == "old"
    assert not (tmp_path / "etc/qiki/body.yaml").exists()
    assert not (tmp_path / "opt/qiki/keep/undo").exists()


@pytest.mark.parametrize("cut", [None, "copy", "rename"])
def test_owners_files_come_back_across_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str | None
) -> None:
    """In the judge's unit the kept files and /etc are mounts of their own; EXDEV is what rename(2) says there."""
    one = Played(tmp_path, lambda now: ("failed", ""))
    target, kept = tmp_path / "etc/qiki/board.yaml", tmp_path / "opt/qiki/keep/undo/0"
    target.write_text("new")
    kept.write_text("old")
    kept.chmod(0o640)
    one.begin(files=[["/etc/qiki/board.yaml", "undo/0"]])
    rename, copy = os.replace, os.fsync
    left = [cut]

    def replace(source: Path, place: Path) -> None:
        if ("opt" in Path(source).relative_to(tmp_path).parts) != ("opt" in Path(place).relative_to(tmp_path).parts):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        if left[0] == "rename" and Path(place) == target:
            left[0] = None
            raise KeyboardInterrupt
        rename(source, place)

    def flush(handle: int) -> None:
        if left[0] == "copy" and "board" in os.readlink(f"/proc/self/fd/{handle}"):
            left[0] = None
            raise KeyboardInterrupt
        copy(handle)

    monkeypatch.setattr(module.os, "replace", replace)
    monkeypatch.setattr(module.os, "fsync", flush)
    if cut is not None:
        with pytest.raises(KeyboardInterrupt):
            one.trial.judge()
        assert target.read_text() == "new"
    verdict = one.trial.judge()
    assert verdict is not None
    assert not verdict.good
    assert target.read_text() == "old"
    assert target.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in target.parent.iterdir()] == ["board.yaml"]
    assert one.trial.marker() is None


def test_a_trial_that_cannot_be_counted_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle"))
    whole = module.write_whole

    def full(path: Path, data: bytes) -> None:
        if path.name == "attempts":
            raise OSError(28, "No space left on device")
        whole(path, data)

    monkeypatch.setattr(module, "write_whole", full)
    verdict = one.trial.judge()
    assert verdict is not None
    assert "No space left" in verdict.why
    assert one.trial.current() == "a"


def test_a_marker_that_cannot_be_read_takes_no_slot_away(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("failed", ""))
    (tmp_path / "opt/qiki/keep/trial.json").write_bytes(b"\0\0")
    verdict = one.trial.judge()
    assert verdict is not None
    assert not verdict.good
    assert one.trial.current() == "b"
    assert one.trial.marker() is None


@pytest.mark.parametrize(("text", "mode"), [
    ("motion Idle; start 3; valves shut", "Idle"), ("flying, motion SAFE; 3 faults", "SAFE"), ("", None),
    ("emotion Idle", None),
])
def test_the_mode_is_read_from_the_status_line(text: str, mode: str | None) -> None:
    assert State("active", 1, text).mode == mode


@pytest.mark.parametrize("name", ["trial.py", "safe_lines.py"])
def test_what_is_kept_needs_nothing_but_python(name: str, tmp_path: Path) -> None:
    source = (UNITS / "keep" / name).read_text()
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for imported in names:
            assert imported.split(".")[0] in sys.stdlib_module_names
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / name).write_text(source)
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path / "keep" / name)], check=True, timeout=30)


def test_the_file_judges_by_itself(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    copy = tmp_path / "keep" / "trial.py"
    copy.write_text((UNITS / "keep" / "trial.py").read_text())
    done = subprocess.run(
        [sys.executable, "-I", str(copy), "judge"], capture_output=True, text=True, timeout=30, check=False,
        env={"PATH": "/nonexistent"},
    )
    assert done.returncode == 0
    assert "no version is on trial" in done.stderr
    assert subprocess.run([sys.executable, str(copy)], capture_output=True, timeout=30, check=False).returncode == 2


def test_the_verdict_is_kept(tmp_path: Path) -> None:
    one = Played(tmp_path, lambda now: ("active", "motion Idle"))
    one.trial.judge()
    found = json.loads((tmp_path / "opt/qiki/keep/verdict.json").read_text())
    assert found["good"]
    assert found["slot"] == "b"
    assert one.trial.last() == found
