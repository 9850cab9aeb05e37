"""Mutation run of the safety core: mutmut changes fdir/ piece by piece; the tests (or the type check) must notice.

A mutant that survives is either argued in ``tests/fdir/survivors.yaml`` (it changes nothing that can be observed) or it
is a hole in the tests. Score = noticed / all mutants; beside it the score without those that are argued. ``make
mutate`` sets the tool up; ``MUTATE=fdir/recovery.py`` (comma-separated) takes some modules only, and then no result is
written.

Rows of the argued list carry ``place`` (module and function), ``change`` (lines taken, ``  ->  ``, lines put) and
``why``. A row excuses one survivor. A row whose mutant is noticed, or exists no more, is a figure that does not hold.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from bench.harness import Report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "mutation"
ARGUED = ROOT / "tests" / "fdir" / "survivors.yaml"
TARGET = 0.95
SAID_EVERY_S = 30.0
ROOMS = ("fdir", "hal", "drivers", "comms", "firmware_py", "hil", "board_configs", "tests", "bench")
NOTICED = ("killed", "caught by type check", "timeout", "segfault")
# The random walk through the whole core takes a minute a mutant and asserts what the other tests assert piece by piece.
# Two warnings of mypy speak of every mutant's file, not of one mutant.
SETTINGS = """
[tool.mutmut]
source_paths = ["fdir"]
only_mutate = {only}
also_copy = ["board_configs", "hal", "drivers", "comms", "firmware_py", "hil", "bench"]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider", "-x", "--hypothesis-profile=ci"]
pytest_add_cli_args_test_selection = ["tests/fdir", "--ignore=tests/fdir/test_state_machine.py"]
use_git_change_detection = false
track_dependencies = false
timeout_multiplier = 4
timeout_constant = 30
type_check_command = [
    "{python}", "-m", "mypy", "fdir", "--output", "json", "--no-warn-unused-ignores", "--no-warn-unreachable",
]
"""

Survivor = tuple[str, str]
"""Place and change."""


class Mutant(NamedTuple):
    """One mutant: its name, and what became of it."""

    name: str
    verdict: str

    @property
    def place(self) -> str:
        """Module and function, in the form ``fdir.recovery.Ladder.step``."""
        path = re.sub(r"__mutmut_\d+$", "", self.name)
        return re.sub(r"\.xǁ(.+?)ǁ", r".\1.", path).replace(".x_", ".", 1)

    @property
    def module(self) -> str:
        """In the form ``recovery``."""
        return self.name.split(".")[1]


def run(report: Report) -> None:
    """Mutate, test, print the score and every survivor that nobody has argued."""
    only = [name for name in os.environ.get("MUTATE", "").split(",") if name]
    report.stored = not only
    if not _tool().exists():
        report.stored = False
        report.add("mutation run", "mutmut is missing", "", None, "make mutate sets it up", False)
        return
    _prepare(only or ["fdir/*.py"])
    code, said = _mutate()
    mutants = list(_mutants())
    if code or not mutants:
        print(said)
        report.stored = False
        report.add("mutation run", f"failed with {code}", "", None, "runs", False)
        return
    _judge(report, mutants)


def _judge(report: Report, mutants: list[Mutant]) -> None:
    living = [mutant for mutant in mutants if mutant.verdict not in NOTICED]
    survivors = [((mutant.place, change_of(mutant.name)), mutant) for mutant in living]
    modules = {mutant.module for mutant in mutants}
    # Of the list, what speaks of modules that were not mutated this time is left alone.
    rows = Counter(row for row in argued() if row[0].split(".")[1] in modules or not _is_there(row[0]))
    left = unexcused(survivors, rows)
    stale = list((rows - Counter(key for key, _ in survivors)).elements())
    verdicts = Counter(mutant.verdict for mutant in mutants)
    noticed = sum(verdicts[name] for name in NOTICED)
    excused = len(survivors) - len(left)
    score = noticed / len(mutants)
    report.add("mutants of fdir/", len(mutants))
    report.add("noticed by the tests", noticed - verdicts["caught by type check"])
    report.add("noticed by the type check alone", verdicts["caught by type check"])
    report.add("of those noticed: ran until the time was up", verdicts["timeout"])
    report.add("survive and are argued (tests/fdir/survivors.yaml)", excused)
    report.add("survive and nobody has said why", len(left))
    report.add("argued, but noticed or there no more", len(stale), "", None, 0, not stale)
    report.add("mutation score, argued ones counted as missed", 100.0 * score, "%", None, ">= 95", score >= TARGET)
    report.add("mutation score without the argued", 100.0 * noticed / (len(mutants) - excused), "%", None, ">= 95",
               noticed / (len(mutants) - excused) >= TARGET)
    for module in sorted(modules):
        of_module = [mutant for mutant in mutants if mutant.module == module]
        good = sum(mutant.verdict in NOTICED for mutant in of_module)
        report.add(f"fdir/{module}.py", 100.0 * good / len(of_module), "%", f"{good} of {len(of_module)}")
    for (place, change), mutant in left:
        print(f"  {mutant.verdict}: {place} ({mutant.name})\n      {change}")
    for place, change in stale:
        why = _why_stale(place, change, mutants)
        print(f"  argued in {ARGUED.name}, but {why}: {place}\n      {change}")


def unexcused(survivors: list[tuple[Survivor, Mutant]], rows: Counter[Survivor]) -> list[tuple[Survivor, Mutant]]:
    """Survivors that no row speaks for; one row speaks for one."""
    free, left = rows.copy(), []
    for survivor, mutant in survivors:
        if free[survivor]:
            free[survivor] -= 1
        else:
            left.append((survivor, mutant))
    return left


def argued() -> list[Survivor]:
    """Survivors whose change cannot be observed: place and change.

    Raises:
        ValueError: a row without one of its keys, or with another, or of another room.
    """
    rows = yaml.safe_load(ARGUED.read_text(encoding="utf-8")) or [] if ARGUED.exists() else []
    for number, row in enumerate(rows):
        text = all(isinstance(value, str) and value for value in row.values())
        if set(row) != {"place", "change", "why"} or not text:
            raise ValueError(f"{ARGUED.name}: row {number}: place, change and why are asked for, and nothing else")
        if not row["place"].startswith("fdir."):
            raise ValueError(f"{ARGUED.name}: row {number}: place is {row['place']!r}; fdir.<module>.<name> is allowed")
    return [(row["place"], row["change"]) for row in rows]


def change_of(name: str) -> str:
    """The change of a mutant: taken lines and put lines, without their white space."""
    shown = _mutmut("show", name).stdout.splitlines()
    diff = [line for line in shown if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
    taken = " ".join(line[1:].strip() for line in diff if line[0] == "-")
    put = " ".join(line[1:].strip() for line in diff if line[0] == "+")
    return f"{taken}  ->  {put}"


def _is_there(place: str) -> bool:
    return (ROOT / "fdir" / f"{place.split('.')[1]}.py").exists()


def _why_stale(place: str, change: str, mutants: list[Mutant]) -> str:
    for mutant in mutants:
        if mutant.place == place and mutant.verdict in NOTICED and change_of(mutant.name) == change:
            return f"noticed ({mutant.verdict})"
    return "there is no such mutant"


def _tool() -> Path:
    return Path(sys.executable).parent / "mutmut"


def _mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_tool(), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


def _prepare(only: list[str]) -> None:
    unknown = [name for name in only if not list(ROOT.glob(name))]
    if unknown:
        raise ValueError(f"MUTATE names {', '.join(unknown)}; files of fdir/ are allowed, e.g. fdir/recovery.py")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, FOLDER / room, ignore=shutil.ignore_patterns("__pycache__", "results"))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    added = SETTINGS.format(only=json.dumps(only), python=sys.executable)
    (FOLDER / "pyproject.toml").write_text(text + added, encoding="utf-8")


def _mutate() -> tuple[int, str]:
    """Run mutmut and say now and then how far it is; returns its exit code and the end of what it said."""
    children = str(os.cpu_count() or 1)
    tail: list[str] = []
    began_s = said_s = time.monotonic()
    last = ""
    with subprocess.Popen(
        [_tool(), "run", "--max-children", children], cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:
        assert process.stdout is not None
        # The tool's own lines end in a carriage return; text mode makes each a line.
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            now_s, told = time.monotonic(), _plain(line)
            phase = re.sub(r"\d+", "", told)
            if told and (phase != last or now_s - said_s >= SAID_EVERY_S):
                said_s, last = now_s, phase
                print(f"  {(now_s - began_s) / 60.0:5.1f} min  {told}", flush=True)
    return process.returncode, "\n".join(tail)


def _plain(line: str) -> str:
    """One line of the tool, its figures in words."""
    found = re.search(r"(\d+)/(\d+)\s+🎉 (\d+).*⏰ (\d+).*🙁 (\d+).*🧙 (\d+)", line)
    if found is None:
        return re.sub(r"^\W+", "", line.strip())
    done, everything, killed, late, survived, typed = found.groups()
    return f"{done} of {everything} mutants: {killed} killed, {typed} by type, {late} timed out, {survived} survive"


def _mutants() -> Iterator[Mutant]:
    for line in _mutmut("results", "--all", "true").stdout.splitlines():
        name, _, verdict = line.strip().partition(": ")
        if "__mutmut_" in name:
            yield Mutant(name, verdict)
