"""Units: accepted by systemd itself, hardened to the stated figure, and true to what the other parts rely on."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_py.install.layout import LINKS, UNITS
from firmware_py.install.uninstaller import UNITS as STOPPED
from firmware_py.install.units.keep.trial import JUDGE, LINK_FOLDERS

MOST_EXPOSED = 2.0
SERVICES = sorted([*(UNITS / "system").glob("*.service"), *(UNITS / "keep").glob("*.service")])
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here (package systemd)",
)


def lines(path: Path, key: str) -> list[str]:
    """Values of one key, in order."""
    return [line.partition("=")[2] for line in path.read_text().splitlines() if line.startswith(f"{key}=")]


@needs_systemd
@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_exposure_is_at_most_the_target(path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True,
        timeout=60, check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found.group(1)) <= MOST_EXPOSED


@needs_systemd
def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    program = tmp_path / "qiki"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    names = []
    for path in [*SERVICES, *(UNITS / "system").glob("*.t*")]:
        # Only what is installed later is exchanged; every other word is judged as it ships.
        text = path.read_text().replace("/opt/qiki/current/bin/qiki ", f"{program} ")
        (tmp_path / path.name).write_text(text.replace("/usr/sbin/ip ", f"{program} "))
        names.append(str(tmp_path / path.name))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=120, check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "qiki" in line]
    assert ours == []


@needs_systemd
def test_a_wrong_word_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "qiki-flight.service").write_text("[Service]\nExecStart=/bin/true\nRestartSecs=1\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "qiki-flight.service")], capture_output=True,
        text=True, timeout=120, check=False,
    )
    assert "RestartSecs" in done.stdout + done.stderr


def test_a_crash_is_back_in_time_and_ends_in_the_safe_target() -> None:
    flight = UNITS / "system" / "qiki-flight.service"
    assert lines(flight, "Restart") == ["always"]
    assert lines(flight, "RestartSec") == ["100ms"]
    assert lines(flight, "WatchdogSec") == ["1"]
    assert lines(flight, "OnFailure") == ["qiki-safe.target"]
    assert lines(flight, "FailureAction") == ["none"]
    # Six starts must fit into the interval with time to spare, or a crash loop would never end in the target.
    interval, burst = (int(lines(flight, key)[0]) for key in ("StartLimitIntervalSec", "StartLimitBurst"))
    assert interval / burst >= 10
    assert lines(flight, "RestartForceExitStatus") == ["75"]
    assert lines(flight, "RestartPreventExitStatus") == ["2"]


def test_the_recorder_outlives_the_flight_and_cannot_keep_it_from_starting() -> None:
    recorder, flight = (UNITS / "system" / f"qiki-{name}.service" for name in ("recorder", "flight"))
    # Stopped in inverse order: after the flight, whose last words it writes.
    assert "qiki-flight.service" in " ".join(lines(recorder, "Before")).split()
    assert "qiki-flight.service" not in " ".join(lines(recorder, "After")).split()
    # Its start is over at once: with notify a start of the flight would wait for it.
    assert lines(recorder, "Type") == ["exec"]
    assert lines(recorder, "NotifyAccess") == ["main"]
    for key in ("Requires", "Requisite", "BindsTo", "Wants", "After"):
        assert "qiki-recorder" not in " ".join(lines(flight, key)), key
    # All of them are stopped by the target, in one transaction.
    assert [lines(path, "PartOf") for path in (recorder, flight)] == [["qiki.target"], ["qiki.target"]]


def test_flight_reaches_its_buses_and_no_network() -> None:
    flight = UNITS / "system" / "qiki-flight.service"
    assert lines(flight, "RestrictAddressFamilies") == ["AF_UNIX AF_CAN"]
    assert lines(flight, "IPAddressDeny") == ["any"]
    assert lines(flight, "DevicePolicy") == ["closed"]
    assert {word.split()[0] for word in lines(flight, "DeviceAllow")} == {
        "char-i2c", "char-spi", "char-gpiochip", "char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS",
        "char-watchdog", "/dev/watchdog",
    }
    # Hiding devices or the network namespace would hide the buses with them.
    assert not lines(flight, "PrivateDevices")
    assert not lines(flight, "PrivateNetwork")
    assert lines(flight, "CPUSchedulingPolicy") == ["fifo"]
    # What may not be cleared without a capability would bar the program from taking its own priority.
    assert not lines(flight, "CPUSchedulingResetOnFork")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_only_the_managers_servants_are_root_and_have_no_capability(path: Path) -> None:
    users = lines(path, "User") + lines(path, "DynamicUser")
    if path.name in ("qiki-health.service", "qiki-again.service"):
        assert users == []
    else:
        assert users
        assert users != ["root"]
    wanted = "CAP_NET_ADMIN" if path.name == "qiki-can@.service" else ""
    assert lines(path, "CapabilityBoundingSet") == [wanted]


def test_the_judge_may_write_wherever_it_puts_back() -> None:
    allowed = [
        Path(word.lstrip("-+")) for line in lines(UNITS / "keep" / JUDGE, "ReadWritePaths") for word in line.split()
    ]
    places = [Path("/opt/qiki/keep"), Path("/etc/qiki"), *(Path("/") / name for name in LINK_FOLDERS)]
    for place in places:
        assert any(place.is_relative_to(path) for path in allowed), place


def test_the_sockets_and_commands_are_the_agreed_ones() -> None:
    flight = lines(UNITS / "system" / "qiki-flight.service", "ExecStart")[0]
    for unit, option in (("comms", "link"), ("recorder", "record"), ("perception", "perception")):
        other = lines(UNITS / "system" / f"qiki-{unit}.service", "ExecStart")[0]
        socket = re.search(r"--port (\S+)", other)
        assert socket is not None
        assert f"--{option}-port {socket.group(1)} " in flight
        # Nobody else of the group may sit down there: over one of them the craft is commanded.
        [user] = lines(UNITS / "system" / f"qiki-{unit}.service", "User")
        assert f"--{option}-user {user} " in flight


def test_every_user_and_group_is_made() -> None:
    text = (UNITS / "sysusers" / "qiki.conf").read_text()
    made = {line.split()[1] for line in text.splitlines() if line[:2] in ("u ", "g ")}
    asked = set()
    for path in SERVICES:
        for key in ("User", "Group", "SupplementaryGroups"):
            asked |= {word for value in lines(path, key) for word in value.split()}
    for line in (UNITS / "tmpfiles" / "qiki.conf").read_text().splitlines():
        asked |= set(line.split()[3:5]) - {"-"} if line.startswith("d ") else set()
    asked |= set(re.findall(r'GROUP="(\w+)"', (UNITS / "udev" / "60-qiki.rules").read_text()))
    assert asked - {"root"} <= made


def test_no_bus_is_for_everybody() -> None:
    rules = (UNITS / "udev" / "60-qiki.rules").read_text()
    assert set(re.findall(r'MODE="(\d+)"', rules)) == {"0660"}


def test_every_folder_of_units_has_a_place() -> None:
    folders = {path.name for path in UNITS.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == {*LINKS, "keep", "config"} - {"manager"}
    shipped = {path.name for path in [*SERVICES, *(UNITS / "system").glob("*.t*")] if "@" not in path.name}
    assert shipped == set(STOPPED)


def test_limits_of_the_journal_can_be_read() -> None:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((UNITS / "journald" / "50-qiki.conf").read_text())
    assert set(parser["Journal"]) >= {"SystemMaxUse", "SystemKeepFree", "RuntimeMaxUse", "RateLimitBurst"}
