"""What time it is at the start: the calendar if it can be right, else the kernel's clock, else the board's chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers.errors import Cause, DeviceError
from firmware_py.flight_epoch import EARLIEST_NS, choose_epoch, epoch_text
from firmware_py.mission import parse_epoch
from hal.parts import load_part
from hal.profile import load_board
from tests.firmware_py.rig_craft import EPOCH, Craft

SECOND = 1_000_000_000
NOW_NS = 1_790_000_000_123_456_789
BOARD = load_board("qiki-rpi")


class Dead:
    """A bus on which nothing answers."""

    name = "i2c_b"

    def __getattr__(self, name: str) -> Any:
        raise DeviceError("i2c_b", None, Cause.TIMEOUT)


def rtc(root: Path, name: str, text: str) -> None:
    folder = root / "sys/class/rtc" / name
    folder.mkdir(parents=True)
    (folder / "since_epoch").write_text(text)


def test_a_plausible_calendar_is_taken_to_the_microsecond(tmp_path: Path) -> None:
    epoch = choose_epoch(lambda: NOW_NS, BOARD, {"i2c_b": Dead()}, tmp_path)
    assert (epoch.ns, epoch.source, epoch.doubt) == (NOW_NS // 1000 * 1000, "calendar", "")
    assert parse_epoch(epoch_text(epoch.ns)) == epoch.ns


@pytest.mark.parametrize("said_ns", [0, EARLIEST_NS - 1, 9_000_000_000 * SECOND])
def test_the_kernels_clock_comes_before_the_boards(tmp_path: Path, said_ns: int) -> None:
    rtc(tmp_path, "rtc0", "12\n")
    rtc(tmp_path, "rtc1", "1790000000\n")
    epoch = choose_epoch(lambda: said_ns, BOARD, {"i2c_b": Dead()}, tmp_path)
    assert (epoch.ns, epoch.source) == (1_790_000_000 * SECOND, "rtc1")
    assert "the calendar says" in epoch.doubt


def test_the_boards_clock_chip_is_asked_through_its_driver(tmp_path: Path) -> None:
    rig = Craft().rig
    # As it comes it was never set, and says so.
    assert choose_epoch(lambda: 0, BOARD, rig.buses, tmp_path).source == "calendar"
    [device] = [device for device in BOARD.devices if device.role == "clock"]
    module, settings = load_part(BOARD, device)
    for _ in module.Device(rig.buses[device.bus], device.address, settings).set_time(parse_epoch(EPOCH) // SECOND):
        pass
    epoch = choose_epoch(lambda: 0, BOARD, rig.buses, tmp_path)
    assert (epoch.ns, epoch.source) == (parse_epoch(EPOCH), "rtc")


def test_without_any_clock_the_calendar_is_taken_and_doubted(tmp_path: Path) -> None:
    epoch = choose_epoch(lambda: 86_400 * SECOND, BOARD, {"i2c_b": Dead()}, tmp_path)
    assert (epoch.ns, epoch.source) == (86_400 * SECOND, "calendar")
    assert "no other clock" in epoch.doubt
    assert choose_epoch(lambda: -5, BOARD, {"i2c_b": Dead()}, tmp_path).ns == 0
