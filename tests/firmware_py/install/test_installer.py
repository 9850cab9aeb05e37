"""Installer: nothing before every check, back by itself from a bad version, and whole again after a cut anywhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from firmware_py.install.installer import Installer, Refused
from firmware_py.install.request import Asked
from firmware_py.install.slots import SlotError
from firmware_py.install.units.keep.trial import JUDGE
from firmware_py.install.wheelhouse import Wheelhouse
from tests.firmware_py.install.board import Board, PowerCut, install, new_board, tree, wheelhouse


@pytest.fixture(autouse=True)
def quick_medium(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut here is the sequence of changes; what a medium forgets is held by tests of the files themselves."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def telling(steps: list[str]) -> list[int]:
    """Numbers of the steps to cut at: all, but of the many writes into an unused slot every eighth."""
    return [
        number for number, name in enumerate(steps)
        if number % 8 == 0 or not name.startswith(("write /opt/qiki/", "folder /opt/qiki/")) or "/keep/" in name
    ]


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return new_board(tmp_path / "root")


@pytest.fixture
def houses(tmp_path: Path) -> dict[str, Wheelhouse]:
    return {version: wheelhouse(tmp_path / "houses" / version, version) for version in ("1.0", "2.0")}


@pytest.fixture
def flying(board: Board, houses: dict[str, Wheelhouse]) -> Board:
    """A board on which version 1.0 flies."""
    assert install(board, houses["1.0"]).good
    board.steps.clear()
    return board


def test_a_first_installation_fills_slot_a_and_reaches_idle(board: Board, houses) -> None:
    outcome = install(board, houses["1.0"])
    assert (outcome.good, outcome.slot, outcome.before) == (True, "a", None)
    assert board.version() == "1.0"
    assert board.dangling() == []
    assert board.trial.marker() is None
    assert board.target("/etc/systemd/system/qiki-flight.service") == (
        "/opt/qiki/current/share/units/system/qiki-flight.service"
    )
    assert b"CPUAffinity=3" in (board.read("/opt/qiki/a/share/units/system/qiki-flight.service.d/10-board.conf") or b"")
    assert board.read("/etc/qiki/board.yaml") is not None


def test_an_update_takes_the_other_slot_and_keeps_the_first(flying: Board, houses) -> None:
    outcome = install(flying, houses["2.0"])
    assert (outcome.good, outcome.slot, outcome.before) == (True, "b", "a")
    assert flying.version() == "2.0"
    assert flying.read("/opt/qiki/a/SLOT.json") is not None


def test_installing_again_changes_no_file(flying: Board, houses) -> None:
    before = tree(flying.root)
    outcome = install(flying, houses["1.0"])
    assert outcome.already
    assert outcome.good
    assert tree(flying.root) == before
    assert not any("restart qiki.target" in step for step in flying.steps)


def test_installing_again_mends_a_link_that_is_gone(flying: Board, houses) -> None:
    flying.at("/etc/systemd/system/qiki-comms.service").unlink()
    assert install(flying, houses["1.0"]).already
    assert flying.target("/etc/systemd/system/qiki-comms.service") is not None


@pytest.mark.parametrize(("becomes", "why"), [
    ("crash", "failed"), ("SAFE", "motion SAFE"), ("mute", "not in Idle"), ("Boot", "motion Boot"),
])
def test_a_version_that_does_not_reach_idle_is_taken_back_within_a_minute(flying: Board, houses, becomes, why) -> None:
    state, config = tree(flying.root / "var"), tree(flying.root / "etc")
    flying.modes["2.0"] = becomes
    outcome = install(flying, houses["2.0"])
    assert outcome.good is False
    assert why in outcome.why
    assert "the version before runs" in outcome.next_step
    assert outcome.took_s < 60.0
    assert flying.version() == "1.0"
    assert (tree(flying.root / "var"), tree(flying.root / "etc")) == (state, config)
    assert flying.trial.marker() is None


def test_a_first_version_that_does_not_reach_idle_leaves_nothing_that_starts(board: Board, houses) -> None:
    board.modes["1.0"] = "crash"
    outcome = install(board, houses["1.0"])
    assert outcome.good is False
    assert board.trial.current() is None
    assert board.dangling() == []
    board.boot()
    assert board.flown is None


def test_a_craft_that_was_in_safe_may_come_back_in_safe(flying: Board, houses) -> None:
    flying.modes |= {"1.0": "SAFE", "2.0": "SAFE"}
    assert install(flying, houses["2.0"]).good


def test_a_craft_that_moves_is_not_updated(flying: Board, houses) -> None:
    flying.modes["1.0"] = "Burn"
    before = tree(flying.root)
    with pytest.raises(Refused, match="mode Burn"):
        install(flying, houses["2.0"])
    assert tree(flying.root) == before


def test_a_judge_whose_unit_is_dead_is_stood_in_for(flying: Board, houses) -> None:
    flying.modes["2.0"] = "crash"
    flying.judge_answers = False
    outcome = install(flying, houses["2.0"])
    assert outcome.good is False
    assert flying.trial.current() == "a"


@pytest.mark.parametrize(("how", "where"), [
    ({"free": 100_000_000}, "disk space"), ({"rights": False}, "rights"),
])
def test_what_fails_a_check_changes_nothing(board: Board, houses, how, where) -> None:
    before = tree(board.root)
    with pytest.raises(Refused, match=where) as refused:
        install(board, houses["1.0"], **how)
    assert refused.value.next_step
    assert tree(board.root) == before


def test_a_missing_overlay_is_refused_with_its_line(board: Board, houses) -> None:
    board.at("/dev/i2c-3").unlink()
    board.at("/boot/firmware").mkdir(parents=True)
    board.at("/boot/firmware/config.txt").write_text("dtparam=i2c_arm=on\n")
    before = tree(board.root)
    with pytest.raises(Refused, match="bus i2c_b") as refused:
        install(board, houses["1.0"])
    assert "dtoverlay=i2c3,baudrate=400000" in refused.value.next_step
    assert tree(board.root) == before
    assert install(board, houses["1.0"], anyway=True).good


def test_a_wheelhouse_for_another_python_is_refused(board: Board, houses) -> None:
    board.at("/usr/bin/python3.11").unlink()
    with pytest.raises(Refused, match="python"):
        install(board, houses["1.0"])


def test_pip_that_fails_is_taken_back(flying: Board, houses) -> None:
    before = tree(flying.root)
    flying.pip_code = 1
    with pytest.raises(SlotError, match="No space left"):
        install(flying, houses["2.0"])
    assert tree(flying.root) == before
    assert flying.version() == "1.0"


def test_a_version_that_cannot_read_the_owners_files_never_runs(flying: Board, houses) -> None:
    before = tree(flying.root)
    flying.proof = 1
    with pytest.raises(SlotError, match=r"board\.yaml:3") as error:
        install(flying, houses["2.0"])
    assert "still runs" in error.value.next_step
    assert tree(flying.root) == before


def test_a_disk_that_fills_at_any_write_leaves_the_old_version(flying: Board, houses, tmp_path: Path) -> None:
    failed = 0
    for writes in [*range(0, 36, 6), *range(36, 60)]:
        root = tmp_path / f"full{writes}"
        one = Board(shutil.copytree(flying.root, root, symlinks=True))
        one.boot()
        one.full_after = writes
        try:
            install(one, houses["2.0"], asked=Asked(board="bench-rpi", body="bench-12kg"), anyway=True)
        except OSError:
            failed += 1
        one.full_after = None
        one.boot()
        assert one.version() in ("1.0", "2.0")
        expected = b"board: bench-rpi" if one.version() == "2.0" else b"board: qiki-rpi"
        assert expected in (one.read("/etc/qiki/board.yaml") or b"")
        assert one.dangling() == []
        shutil.rmtree(root)
    assert 8 <= failed < 28


@pytest.mark.parametrize("becomes", ["Idle", "crash"])
def test_a_power_cut_at_any_step_of_an_update_ends_in_one_whole_version(
    flying: Board, houses, tmp_path: Path, becomes: str
) -> None:
    asked = Asked(board="bench-rpi", body="bench-12kg")
    state = tree(flying.root / "var")
    ended: dict[str, int] = {}
    whole = Board(shutil.copytree(flying.root, tmp_path / "whole", symlinks=True))
    whole.modes["2.0"] = becomes
    whole.boot()
    install(whole, houses["2.0"], asked=asked, anyway=True)
    for cut in telling(whole.steps):
        root = tmp_path / f"cut{cut}"
        one = Board(shutil.copytree(flying.root, root, symlinks=True))
        one.modes["2.0"] = becomes
        one.boot()
        one.cut_at = cut
        with pytest.raises(PowerCut) as where:
            install(one, houses["2.0"], asked=asked, anyway=True)
        name = str(where.value)
        one.boot()
        version = one.version()
        assert version == "1.0" or (version == "2.0" and becomes == "Idle"), f"cut at {name}"
        assert one.dangling() == [], f"cut at {name}"
        assert one.trial.marker() is None, f"cut at {name}"
        wanted = b"board: qiki-rpi" if version == "1.0" else b"board: bench-rpi"
        assert wanted in (one.read("/etc/qiki/board.yaml") or b""), f"cut at {name}"
        assert tree(one.root / "var") == state
        ended[version or ""] = ended.get(version or "", 0) + 1
        if cut % 5 == 0:
            # Done again it goes through, whatever was left.
            assert install(one, houses["2.0"], asked=asked, anyway=True).good is (becomes == "Idle")
            assert one.version() == ("2.0" if becomes == "Idle" else "1.0")
        shutil.rmtree(root)
    assert ended["1.0"] > 30
    assert ("2.0" in ended) is (becomes == "Idle")


def test_no_version_is_the_current_one_without_a_judge(board: Board, houses, tmp_path) -> None:
    whole = Board(shutil.copytree(board.root, tmp_path / "whole", symlinks=True))
    install(whole, houses["1.0"])
    judged = 0
    first = next(number for number, name in enumerate(whole.steps) if name.startswith("switch"))
    for cut in [*range(0, first, 6), *range(first, len(whole.steps), 3)]:
        root = tmp_path / f"judge{cut}"
        one = Board(shutil.copytree(board.root, root, symlinks=True))
        one.cut_at = cut
        with pytest.raises(PowerCut) as where:
            install(one, houses["1.0"])
        if one.trial.current() is not None:
            judged += 1
            for name in (JUDGE, "trial.py"):
                assert one.read(f"{one.layout.keep}/{name}"), f"cut at {where.value}"
        shutil.rmtree(root)
    assert judged > 5


def test_a_first_installation_cut_at_any_step_is_made_good_by_the_next(board: Board, houses, tmp_path) -> None:
    whole = Board(shutil.copytree(board.root, tmp_path / "whole", symlinks=True))
    install(whole, houses["1.0"])
    cuts = telling(whole.steps)[::2]
    assert len(cuts) > 20
    for cut in cuts:
        root = tmp_path / f"first{cut}"
        one = Board(shutil.copytree(board.root, root, symlinks=True))
        one.cut_at = cut
        with pytest.raises(PowerCut) as where:
            install(one, houses["1.0"])
        one.boot()
        assert install(one, houses["1.0"]).good, f"cut at {where.value}"
        assert one.version() == "1.0"
        assert one.dangling() == []
        shutil.rmtree(root)


def test_a_version_that_restarts_the_computer_before_its_verdict_is_given_up(flying: Board, houses) -> None:
    flying.judge_answers = False
    flying.modes["2.0"] = "mute"
    waits = flying.sleep

    def goes_down(seconds: float) -> None:
        raise PowerCut("while waiting for Idle")

    # All is in place, and the computer goes down: under the installer, then twice under the judge at a start.
    flying.sleep = flying.trial.sleep = goes_down  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        install(flying, houses["2.0"])
    for _ in range(2):
        assert flying.trial.current() == "b"
        with pytest.raises(PowerCut):
            flying.trial.judge(flying._start_flight)
    flying.sleep = flying.trial.sleep = waits  # type: ignore[method-assign]
    flying.boot()
    assert flying.version() == "1.0"
    assert "2 starts" in json.loads(flying.read("/opt/qiki/keep/verdict.json") or b"")["why"]


def test_a_changed_file_stays_and_the_other_goes_beside(flying: Board, houses) -> None:
    path = flying.at("/etc/qiki/board.yaml")
    mine = path.read_bytes() + b"# mine\n"
    path.write_bytes(mine)
    outcome = install(flying, houses["2.0"], asked=Asked(board="qiki-rpi"))
    assert path.read_bytes() == mine
    assert flying.at("/etc/qiki/board.yaml.new").exists()
    assert any("board.yaml.new" in note for note in outcome.notes)


def test_files_come_back_with_the_version_that_wrote_them(flying: Board, houses) -> None:
    flying.modes["2.0"] = "crash"
    install(flying, houses["2.0"], asked=Asked(board="bench-rpi", body="bench-12kg"), anyway=True)
    assert b"board: qiki-rpi" in (flying.read("/etc/qiki/board.yaml") or b"")
    flying.modes.clear()
    install(flying, houses["2.0"], asked=Asked(board="bench-rpi", body="bench-12kg"), anyway=True)
    assert b"board: bench-rpi" in (flying.read("/etc/qiki/board.yaml") or b"")


def test_going_back_by_hand_and_forth_again(flying: Board, houses) -> None:
    install(flying, houses["2.0"])
    installer = Installer(flying, flying.layout, flying.trial, lambda line: None)
    assert installer.go_back([]).good
    assert flying.version() == "1.0"
    assert installer.go_back([]).good
    assert flying.version() == "2.0"


def test_there_is_nothing_before_the_first(flying: Board) -> None:
    with pytest.raises(Refused, match="no version before"):
        Installer(flying, flying.layout, flying.trial, lambda line: None).go_back([])


def test_without_start_everything_is_in_place_and_nothing_runs(board: Board, houses) -> None:
    outcome = install(board, houses["1.0"], start=False)
    assert outcome.good is None
    assert board.flown is None
    board.boot()
    assert board.version() == "1.0"


def test_the_judge_of_a_version_on_trial_is_the_one_before(flying: Board, houses) -> None:
    flying.at("/opt/qiki/keep/trial.py").write_text("# the judge of 1.0\n")
    flying.modes["2.0"] = "crash"
    install(flying, houses["2.0"])
    assert flying.at("/opt/qiki/keep/trial.py").read_text() == "# the judge of 1.0\n"
    flying.modes.clear()
    install(flying, houses["2.0"])
    assert "Judges a version on trial" in flying.at("/opt/qiki/keep/trial.py").read_text()


def test_the_plan_changes_nothing(board: Board, houses) -> None:
    before = tree(board.root)
    lines = Installer(board, board.layout, board.trial, lambda line: None).plan(None, [], True)
    assert any("wait up to 45 s for Idle" in line for line in lines)
    assert tree(board.root) == before
