"""Wheelhouse: whole or refused by file, for the right target, within its budget, made through pip's own settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_py.install import wheelhouse as module
from firmware_py.install.wheelhouse import WheelhouseError, host_arch, lock_text, make, open_wheelhouse
from tests.firmware_py.install.board import wheelhouse

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wheelhouse(tmp_path / "house", "1.0")
    return tmp_path / "house"


def test_a_whole_one_opens(folder: Path) -> None:
    house = open_wheelhouse(folder)
    assert (house.version, house.python, house.arch) == ("1.0", "3.11", host_arch())
    assert house.has_wheel("spidev")
    assert house.source("spidev") == folder / "spidev-3.8.tar.gz"
    assert house.total_bytes == sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".whl", ".gz"))


def same_length(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize(("tamper", "why"), [
    (same_length, "SHA-256 differs"),
    (lambda path: path.write_bytes(b""), "has 0 bytes"),
    (lambda path: path.unlink(), "is missing"),
    (lambda path: (path.with_name("evil-1.0-py3-none-any.whl")).write_bytes(b"x"), "not named by its manifest"),
    (lambda path: (shutil.move(path, path.parent.parent / "x"), path.symlink_to("../x")), "is missing"),
])
def test_what_was_tampered_with_is_refused_by_name(folder: Path, tamper, why: str) -> None:
    tamper(folder / "numpy-2.0-cp311-cp311-manylinux_2_28_x86_64.whl")
    with pytest.raises(WheelhouseError, match=why) as error:
        open_wheelhouse(folder)
    assert error.value.next_step


@pytest.mark.parametrize("text", [
    b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "files": {}}', b"\xff", b"[" * 100_000,
    b'{"format": 1, "arch": "arm64", "python": "3.11", "version": "1", '
    b'"files": {"../etc/passwd": {"bytes": 1, "sha256": "' + b"0" * 64 + b'"}}}',
    b'{"format": 1, "arch": "arm64", "python": "3.11", "version": "1", "files": {"a": {"bytes": "1", "sha256": "0"}}}',
])
def test_rubbish_is_no_manifest(folder: Path, text: bytes) -> None:
    (folder / "MANIFEST.json").write_bytes(text)
    with pytest.raises(WheelhouseError):
        open_wheelhouse(folder)


def test_a_manifest_changed_with_its_files_is_caught_by_its_digest_alone(folder: Path) -> None:
    digest = open_wheelhouse(folder).digest
    same_length(folder / "spidev-3.8.tar.gz")
    for name in ("MANIFEST.json", "SHA256SUMS"):
        (folder / name).unlink()
    module._write_manifest(folder, host_arch(), "3.11")
    assert open_wheelhouse(folder).digest != digest
    with pytest.raises(WheelhouseError, match="was asked for"):
        open_wheelhouse(folder, digest)


def test_the_sums_are_what_sha256sum_checks(folder: Path) -> None:
    check = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0
    same_length(folder / "MANIFEST.json")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1


class Pip:
    """Plays pip: writes what it is asked for."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.asked: list[list[str]] = []

    def __call__(self, words: list[str]) -> None:
        self.asked.append(words)
        option = "--wheel-dir" if "--wheel-dir" in words else "--dest"
        folder = Path(words[words.index(option) + 1])
        if words[-1].startswith("spidev"):
            name = "spidev-3.8-cp311-cp311-linux_x86_64.whl" if option == "--wheel-dir" else "spidev-3.8.tar.gz"
            (folder / name).write_bytes(b"s")
        elif option == "--wheel-dir":
            (folder / "qiki_flight-9.9-py3-none-any.whl").write_bytes(b"ours")
        else:
            for line in words[words.index("--dest") + 2:]:
                (folder / f"{line.replace('==', '-')}-py3-none-any.whl").write_bytes(b"w" * self.size)


def test_made_for_another_computer_it_has_the_source_of_what_has_no_wheel(tmp_path: Path) -> None:
    pip = Pip()
    house = make("qiki-flight", tmp_path / "out", "arm64", "3.11", pip, native=("amd64", "3.11"))
    assert (house.arch, house.version) == ("arm64", "9.9")
    assert not house.has_wheel("spidev")
    assert house.source("spidev") is not None
    download = next(words for words in pip.asked if "--platform" in words)
    assert "manylinux2014_aarch64" in download
    assert "--only-binary" in download
    assert {line for line in lock_text().split() if "spidev" not in line} <= set(download)
    assert (tmp_path / "out" / "install.sh").stat().st_mode & 0o111


def test_made_for_this_computer_it_builds_what_has_no_wheel(tmp_path: Path) -> None:
    assert make("qiki-flight", tmp_path / "out", "amd64", "3.11", Pip(), native=("amd64", "3.11")).has_wheel("spidev")


def test_a_wheel_above_the_budget_is_refused_and_the_old_wheelhouse_stays(tmp_path, monkeypatch) -> None:
    make("qiki-flight", tmp_path / "out", "arm64", "3.11", Pip(), native=("amd64", "3.11"))
    monkeypatch.setattr(module, "BUDGET_BYTES", 50)
    with pytest.raises(WheelhouseError, match="are allowed"):
        make("qiki-flight", tmp_path / "out", "arm64", "3.11", Pip(51), native=("amd64", "3.11"))
    assert open_wheelhouse(tmp_path / "out").version == "9.9"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_checkout_is_built_from_a_copy_without_what_lies_about(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("build/lib", "firmware_py", ".venv"):
        (project / name).mkdir(parents=True)
        (project / name / "x.py").write_text("")
    (project / "pyproject.toml").write_text("")
    seen: list[set[str]] = []

    class Looking(Pip):
        def __call__(self, words: list[str]) -> None:
            if Path(words[-1]).is_dir():
                seen.append({path.name for path in Path(words[-1]).iterdir()})
            super().__call__(words)

    make(str(project), tmp_path / "out", "arm64", "3.11", Looking(), native=("amd64", "3.11"))
    assert seen == [{"firmware_py", "pyproject.toml"}]
    assert {path.name for path in tmp_path.iterdir()} == {"project", "out"}


@pytest.mark.parametrize(("arch", "python"), [("riscv64", "3.11"), ("arm64", "2.7"), ("arm64", "3.11; rm")])
def test_a_target_nobody_knows_is_refused(tmp_path: Path, arch: str, python: str) -> None:
    with pytest.raises(WheelhouseError):
        make("qiki-flight", tmp_path / "out", arch, python, Pip())


def test_the_lock_of_a_board_is_the_projects_and_the_buses() -> None:
    board = set(lock_text().split())
    assert set((ROOT / "requirements.lock").read_text().split()) <= board
    assert {line.split("==")[0] for line in board} >= {"smbus2", "spidev", "gpiod", "pip"}
    assert all("==" in line for line in board)


def test_nothing_names_a_package_index() -> None:
    for path in [*(ROOT / "firmware_py" / "install").glob("*.*"), *(ROOT / "systemd").rglob("*.*")]:
        if path.is_file():
            assert "://" not in path.read_text().replace("udp://", "").replace("virtual://", "")


def test_the_manifest_is_the_same_for_the_same_files(folder: Path) -> None:
    before = (folder / "MANIFEST.json").read_bytes()
    for name in ("MANIFEST.json", "SHA256SUMS"):
        (folder / name).unlink()
    module._write_manifest(folder, host_arch(), "3.11")
    assert (folder / "MANIFEST.json").read_bytes() == before
    assert json.loads(before)["format"] == 1
