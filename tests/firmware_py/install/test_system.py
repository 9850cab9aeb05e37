"""The seam: files below a root, whole or not at all, and one installation at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_py.install.system import HostSystem, alone


@pytest.fixture
def system(tmp_path: Path) -> HostSystem:
    return HostSystem(tmp_path)


def test_files_links_and_folders_stay_below_the_root(system: HostSystem, tmp_path: Path) -> None:
    system.write("/etc/x/file", b"text", 0o600)
    system.link("/etc/x/link", "/opt/there")
    assert (tmp_path / "etc/x/file").read_bytes() == b"text"
    assert (tmp_path / "etc/x/file").stat().st_mode & 0o777 == 0o600
    assert system.target("/etc/x/link") == "/opt/there"
    assert system.names("/etc/x") == ["file", "link"]
    assert not system.live
    system.remove("/etc/x")
    system.remove("/etc/x")
    assert system.names("/etc/x") == []
    assert system.read("/etc/x/file") is None
    assert system.target("/etc/x/link") is None


def test_a_link_in_the_place_of_a_file_is_not_followed(system: HostSystem, tmp_path: Path) -> None:
    system.write("/victim", b"safe")
    system.link("/etc/file", "../victim")
    system.write("/etc/file", b"new")
    assert (tmp_path / "victim").read_bytes() == b"safe"
    assert system.read("/etc/file") == b"new"


def test_a_link_replaces_a_link(system: HostSystem) -> None:
    system.link("/a", "one")
    system.link("/a", "two")
    assert system.target("/a") == "two"
    assert system.names("/") == ["a"]


def test_commands_that_fail_say_so(system: HostSystem) -> None:
    assert system.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).code == 3
    gone = system.run(["no-such-command-here"])
    assert (gone.code, "No such file" in gone.err) == (127, True)
    assert system.run(["sleep", "5"], timeout_s=0.1).code == 127


def test_two_installations_do_not_meet(system: HostSystem) -> None:
    with alone(system, "/run/lock/one.lock"), pytest.raises(BlockingIOError, match="another installation"), \
            alone(system, "/run/lock/one.lock"):
        pass
    with alone(system, "/run/lock/one.lock"):
        assert os.path.exists(system.at("/run/lock/one.lock"))
