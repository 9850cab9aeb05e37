"""``qiki install`` and ``qiki uninstall``: a tree of an image, plans, refusals with a next step and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_py.cli.install import LOCK
from firmware_py.cli.main import app
from firmware_py.install import slots
from firmware_py.install.layout import UNITS
from firmware_py.install.system import HostSystem, Ran
from tests.firmware_py.install.board import tree, wheelhouse


def qiki(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The tree of an image: what the installer asks of it."""
    root = tmp_path / "image"
    (root / "usr/bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "usr/bin/python3.11").write_text("")
    (root / "usr/bin/python3").symlink_to("python3.11")
    (root / "usr/lib64").mkdir()
    for library in ("libstdc++.so.6", "libgcc_s.so.1"):
        (root / "usr/lib64" / library).write_text("")
    return root


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return wheelhouse(tmp_path / "house", "1.0").folder


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip and the new version's own proof are played; files are real."""
    def run(self: HostSystem, words: list[str], timeout_s: float = 60.0) -> Ran:
        if "--target" in words:
            site = Path(words[words.index("--target") + 1]) / "firmware_py/install/units"
            site.mkdir(parents=True)
            for folder in ("system", "keep", "sysusers"):
                (site / folder).mkdir()
                for path in sorted((UNITS / folder).glob("*.*")):
                    (site / folder / path.name).write_bytes(path.read_bytes())
        return Ran(0)

    monkeypatch.setattr(HostSystem, "run", run)


def test_into_the_tree_of_an_image_and_out_again(image: Path, house: Path) -> None:
    before = tree(image)
    done = qiki("install", "--root", image, "--wheelhouse", house, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["slot"], told["version"], told["good"]) == ("a", "1.0", None)
    assert (image / "opt/qiki/current/bin/qiki").exists()
    again = json.loads(qiki("install", "--root", image, "--wheelhouse", house, "--json").stdout)
    assert again["already"]
    assert qiki("uninstall", "--root", image, "--purge").exit_code == 0
    after = {name: what for name, what in tree(image).items() if name != LOCK.removeprefix("/")}
    assert after == before


def test_a_dry_run_prints_a_plan_and_changes_nothing(image: Path, house: Path) -> None:
    before = tree(image)
    done = qiki("install", "--root", image, "--wheelhouse", house, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "1. fill /opt/qiki/a" in done.stdout
    assert "nothing was changed" in done.stdout
    assert tree(image) == before
    told = json.loads(qiki("install", "--root", image, "--dry-run", "--json").stdout)
    assert told["steps"][0] == "make a wheelhouse from the package index"
    assert tree(image) == before


@pytest.mark.parametrize(("words", "why", "step"), [
    (["--board", "nobody"], "shipped", "mend the file"),
    (["--mission", "first-flight", "--board", "bench-rpi", "--body", "bench-12kg"], "the craft is", "mend the file"),
    (["--prefix", "opt"], "prefix", ""),
    (["--python", "/usr/bin/perl"], "no name", "--python"),
    (["--manifest-sha256", "0" * 64], "digest", "copy it anew"),
    (["--back"], "no version before", "qiki install --wheelhouse"),
])
def test_bad_input_is_refused_before_any_change(image: Path, house: Path, words, why: str, step: str) -> None:
    done = qiki("install", "--root", image, "--wheelhouse", house, *words)
    assert done.exit_code == 2, done.output
    assert why in done.output
    assert step in done.output
    assert not (image / "opt").exists()


def test_a_tampered_wheelhouse_is_refused(image: Path, house: Path) -> None:
    (house / "spidev-3.8.tar.gz").write_bytes(b"sourcE")
    done = qiki("install", "--root", image, "--wheelhouse", house)
    assert done.exit_code == 2
    assert "spidev-3.8.tar.gz is not what its manifest says" in done.output
    assert not (image / "opt").exists()


def test_a_version_that_fails_its_proof_is_taken_back(image: Path, house: Path, monkeypatch) -> None:
    def fails(*given: object) -> None:
        raise slots.SlotError("version 1.0 does not work", "mend what it names")

    monkeypatch.setattr("firmware_py.install.installer.prove", fails)
    done = qiki("install", "--root", image, "--wheelhouse", house)
    assert done.exit_code == 1
    assert "mend what it names" in done.output
    assert not (image / "opt/qiki/a").exists()
    assert not (image / "etc/systemd").exists()


def test_uninstalling_nothing_says_so(image: Path) -> None:
    done = qiki("uninstall", "--root", image)
    assert done.exit_code == 0
    assert "nothing is installed" in done.stdout


def test_refused_as_json_has_the_checks(image: Path, house: Path) -> None:
    (image / "usr/bin/python3.11").unlink()
    done = qiki("install", "--root", image, "--wheelhouse", house, "--json")
    assert done.exit_code == 2
    told = json.loads(done.stdout)
    assert told["next_step"]
    assert told["checks"][0]["status"] == "FAIL"
