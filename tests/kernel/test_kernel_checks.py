"""A check of the kernel rig holds only when its fault happened: each one here is played without it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from firmware_py.recorder.blackbox import REQUIRED_HEADER, BlackBox
from firmware_py.recorder.kept import FLIGHT_ENDING
from hil.kernel import inside_faults, inside_flight, inside_main, rig
from hil.kernel.boot import Said
from hil.kernel.inside_host import CheckFailed
from hil.kernel.inside_table import chosen
from hil.kernel.rig import Rig, main

FLYING = {"flying": True, "flown_s": 20.0, "black_box": "000001-x-flight.mcap"}
BEATS = [FLYING | {"flown_s": 20.0 + 4.0 * number} for number in range(6)]
NEVER_CUT = "the power was never cut"


class Guests:
    """Guests that say one list of records each and end; ``alive``: still running when the last was said."""

    def __init__(self, *boots: Sequence[dict[str, object]], alive: bool = True) -> None:
        self.boots = list(boots)
        self.alive = alive
        self.begun = self.cuts = 0

    def __call__(self, *_: object, **__: object) -> Guests:
        self.records = self.boots[self.begun]
        self.begun += 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    @property
    def running(self) -> bool:
        return self.alive

    tail = "Kernel panic"

    def follow(self, _limit_s: float) -> Iterator[Said]:
        for at_s, record in enumerate(self.records):
            yield Said(float(at_s), dict(record))

    def cut_power(self) -> None:
        self.cuts += 1


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Guests], tuple[int, list[dict[str, Any]]]]:
    """Runs the boot that cuts with these guests; exit code and outcomes of the command."""
    def run(guests: Guests) -> tuple[int, list[dict[str, Any]]]:
        def only_cut(self: Rig, _now_s: float) -> None:
            (tmp_path / "share").mkdir()
            self._share = tmp_path / "share"
            self._cut(SimpleNamespace(arch="uml"), tmp_path / "disk")  # type: ignore[arg-type]

        monkeypatch.setattr(rig, "Guest", guests)
        monkeypatch.setattr(Rig, "run", only_cut)
        outcomes = tmp_path / "outcomes.json"
        code = main(["--checks", "power-cut,cut-record", "--cache", str(tmp_path), "--json", str(outcomes)])
        return code, json.loads(outcomes.read_text())

    return run


@pytest.mark.parametrize(("guests", "why"), [
    (Guests([], [{"flying_s": 9.0, "mode": "Idle"}, {"kept": []}]), "ended by itself"),
    (Guests([{"lost": "CheckFailed: no black box"}], [{"flying_s": 9.0}]), "CheckFailed: no black box"),
    (Guests(BEATS, [{"flying_s": 9.0}], alive=False), "ended by itself"),
], ids=["says nothing", "is lost", "is dead when it would be cut"])
def test_a_cut_that_never_was_does_not_hold(
    cut: Callable[[Guests], tuple[int, list[dict[str, Any]]]], guests: Guests, why: str
) -> None:
    code, outcomes = cut(guests)
    assert code == 1
    assert [(one["check"], one["held"]) for one in outcomes] == [("power-cut", False), ("cut-record", False)]
    assert all(NEVER_CUT in one["seen"] and why in one["seen"] and "Kernel panic" in one["seen"] for one in outcomes)
    assert guests.begun == 1


def test_a_cut_of_a_flying_guest_is_judged_by_the_next_start(
    cut: Callable[[Guests], tuple[int, list[dict[str, Any]]]]
) -> None:
    guests = Guests(BEATS, [{"flying_s": 9.0, "mode": "Idle"}, {"kept": []}])
    code, outcomes = cut(guests)
    assert guests.cuts == 1
    assert [(one["check"], one["held"]) for one in outcomes] == [("power-cut", True), ("cut-record", False)]
    assert "is gone" in outcomes[1]["seen"]
    assert code == 1


def test_the_power_is_cut_by_the_clock_of_the_guest(
    cut: Callable[[Guests], tuple[int, list[dict[str, Any]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    guests = Guests(BEATS, [{"flying_s": 9.0, "mode": "Idle"}, {"kept": []}])
    seen: list[float] = []
    monkeypatch.setattr(rig.Rig, "_cut_record", lambda _self, _name, _kept, flown_s: seen.append(flown_s) or {
        "ok": True, "measured": 0.0, "seen": "",
    })
    cut(guests)
    assert guests.cuts == 1
    # Ten seconds after the first beat: the first one behind that.
    assert seen == [32.0]


# -- faults in the guest


class Clock:
    """Steady seconds that pass while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Bus:
    """Something that is taken away for a while, and a program whose status is ``lag_s`` late to show it."""

    def __init__(self, clock: Clock, lag_s: float, before: str = "") -> None:
        self.clock = clock
        self.lag_s = lag_s
        self.before = before
        self.away: list[float] = []
        self.back: list[float] = []

    def take(self) -> None:
        self.away.append(self.clock.now_s)

    def give(self) -> None:
        self.back.append(self.clock.now_s)

    def show(self, *_: str) -> dict[str, str]:
        then = self.clock.now_s - self.lag_s
        lost = bool(self.away) and self.away[0] <= then and not (self.back and self.back[0] <= then)
        wrong = "3 devices not ok: a, b, c" if lost else self.before
        return {"StatusText": f"motion Idle; start 1{'; ' if wrong else ''}{wrong}; valves shut"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    def until(_what: str, holds: Callable[[], bool], limit_s: float, poll_s: float = 0.02) -> float:
        began = made.now_s
        while not holds():
            made.sleep(poll_s)
            if made.now_s - began > limit_s:
                raise CheckFailed("not in time")
        return made.now_s - began

    monkeypatch.setattr(inside_faults, "time", made)
    monkeypatch.setattr(inside_faults, "until", until)
    monkeypatch.setattr(inside_faults, "process_of", lambda _unit: 17)
    monkeypatch.setattr(inside_faults, "flight_mode", lambda: "Idle")
    return made


@pytest.mark.parametrize("lag_s", [0.0, 0.6, 2.4])
@pytest.mark.parametrize("before", ["", "1 devices not ok: z"])
def test_an_outage_that_shows_is_timed_from_its_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, lag_s: float, before: str
) -> None:
    bus = Bus(clock, lag_s, before)
    monkeypatch.setattr(inside_faults, "show", bus.show)
    took, seen = inside_faults._lose(bus.take, bus.give, 2.0)
    assert "3 devices not ok" in seen
    assert bus.back[0] - bus.away[0] == pytest.approx(2.0)
    assert lag_s <= took <= lag_s + 1.6


@pytest.mark.parametrize("before", ["", "1 devices not ok: z"])
def test_an_outage_that_never_shows_was_none(clock: Clock, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    bus = Bus(clock, 1000.0, before)
    monkeypatch.setattr(inside_faults, "show", bus.show)
    with pytest.raises(CheckFailed, match="nothing was seen of it"):
        inside_faults._lose(bus.take, bus.give, 2.0)
    assert bus.back


class Disk:
    """A disk that takes nothing more, with so many bytes left, and a black box on it that grows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, left: int) -> None:
        self.fill = folder / "qiki-fill"
        sizes = iter(range(1000))

        def path(name: str) -> Path:
            return self.fill if name == "/var/lib/qiki-fill" else Path(name)

        def full(*_: object) -> None:
            raise OSError("full")

        usage = iter([1 << 20, left])
        monkeypatch.setattr(inside_faults, "Path", path)
        monkeypatch.setattr("hil.kernel.inside_faults.os.posix_fallocate", full)
        monkeypatch.setattr(
            "hil.kernel.inside_faults.shutil.disk_usage", lambda _place: SimpleNamespace(free=next(usage)),
        )
        # What is written there fails before it is made.
        monkeypatch.setattr(inside_faults, "bytes", full, raising=False)
        monkeypatch.setattr(inside_faults, "_newest_size", lambda: ("x", next(sizes)))
        monkeypatch.setattr(inside_faults, "show", lambda *_: {"ActiveState": "active", "NRestarts": "0"})


@pytest.mark.parametrize(("left", "full"), [(0, True), (1 << 20, True), ((1 << 20) + 1, False)])
def test_a_disk_with_room_left_was_not_full(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: int, full: bool
) -> None:
    disk = Disk(monkeypatch, tmp_path, left)
    if full:
        assert "were left" in inside_faults.fill_disk()[1]
    else:
        with pytest.raises(CheckFailed, match="the disk was not full"):
            inside_faults.fill_disk()
    # Whatever was found, the disk is given back.
    assert not disk.fill.exists()


@pytest.mark.parametrize(("missing", "named"), [
    ((), ()), (("qiki-comms", "qiki-perception"), ()), (("qiki-flight",), ("qiki-flight",)),
    (("qiki-recorder",), ("qiki-recorder",)), (inside_flight.UNITS, ("qiki-flight", "qiki-recorder")),
])
def test_memory_counts_when_flight_and_recorder_have_a_figure(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], named: tuple[str, ...]
) -> None:
    units = {name: number for number, name in enumerate(inside_flight.UNITS) if name not in missing}
    monkeypatch.setattr(inside_flight, "_processes", lambda name: [units[name]] if name in units else [])
    monkeypatch.setattr(inside_flight, "_pss_kb", lambda number: 50_000)
    if named:
        with pytest.raises(CheckFailed, match=", ".join(named)):
            inside_flight.resources()
    else:
        total, seen = inside_flight.resources()
        assert total == 50.0 * len(units)
        assert "qiki-flight 50 MB" in seen


def test_a_kernel_that_tells_no_memory_is_no_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside_flight, "_processes", lambda name: [os.getpid()])
    monkeypatch.setattr(inside_flight, "_pss_kb", lambda number: 0)
    with pytest.raises(CheckFailed, match="no memory figure of qiki-flight, qiki-recorder"):
        inside_flight.resources()


# -- the end of a flight


def ended_box(path: Path, *, event: bool = True, timing: bool = True, whole: bool = True) -> None:
    box = BlackBox(path, dict.fromkeys(REQUIRED_HEADER))
    if event:
        box.event(5, FLIGHT_ENDING, "info", "told to stop")
    if timing:
        box.timing(6, {"ticks": 1})
    box.flush()
    if whole:
        box.close()


@pytest.mark.parametrize(("lacks", "held"), [
    ({}, True), ({"event": False}, False), ({"timing": False}, False), ({"whole": False}, False), (None, False),
])
def test_the_end_is_looked_for_in_the_newest_black_box(
    tmp_path: Path, lacks: dict[str, bool] | None, held: bool
) -> None:
    flights = tmp_path / "share" / "flights"
    flights.mkdir(parents=True)
    one = Rig("uml", chosen("ending"), tmp_path, tmp_path, lambda _line: None, lambda: 0.0)
    records: dict[str, dict[str, object]] = {}
    if lacks is not None:
        ended_box(flights / "000001-a-flight.mcap", event=not held, timing=not held)
        ended_box(flights / "000002-b-flight.mcap", **lacks)
        kept = ["000001-a-flight.mcap", "000002-b-flight.mcap"]
        one._hear(Said(1.0, {"kept": kept}), chosen("ending"), records)
    one._read_ending()
    assert one.outcomes["ending"].held is held
    assert ("no black box" if lacks is None else "000002-b") in one.outcomes["ending"].seen


def test_all_is_stopped_by_the_target_alone_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["deactivating", "inactive", "inactive", "inactive", "inactive"] + ["inactive"] * 8)
    said: list[dict[str, object]] = []
    ran: list[tuple[str, ...]] = []

    def run(*words: str, **_: object) -> str:
        ran.append(words)
        return ""

    monkeypatch.setattr(inside_main, "SHARE", tmp_path)
    monkeypatch.setattr(inside_main, "say", lambda **record: said.append(record))
    monkeypatch.setattr(inside_main, "run", run)
    monkeypatch.setattr(inside_main, "show", lambda *_: {"ActiveState": next(states)})
    assert inside_main._keep_record() == []
    assert [words for words in ran if words[0] == "systemctl"] == [("systemctl", "stop", "qiki.target")]
    assert said == []
