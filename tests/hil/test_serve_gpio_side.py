"""Lines of gpio-sim: found by label and name, passed on when they change, and what fails is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.bus.gpio import SimGpioBus
from hil.faults import Fault, FaultKind
from hil.serve.gpio_side import GpioSimSide, find_chip
from hil.serve.side import Poller


@pytest.fixture
def chip(tmp_path: Path) -> tuple[Path, Path]:
    """Folders as configfs and sysfs have them, one chip with two lines."""
    config, devices = tmp_path / "config", tmp_path / "devices"
    bank = config / "board/bank0"
    bank.mkdir(parents=True)
    (bank / "label").write_text("header\n")
    (bank / "chip_name").write_text("gpiochip0\n")
    (config / "board/dev_name").write_text("gpio-sim.0\n")
    for number, name in enumerate(("GPIO17", "GPIO27")):
        (bank / f"line{number}").mkdir()
        (bank / f"line{number}/name").write_text(f"{name}\n")
        line = devices / f"gpio-sim.0/gpiochip0/sim_gpio{number}"
        line.mkdir(parents=True)
        (line / "value").write_text("0\n")
    return config, devices


def level(chip: tuple[Path, Path], number: int, value: int) -> None:
    path = chip[1] / f"gpio-sim.0/gpiochip0/sim_gpio{number}/value"
    with path.open("r+") as file:
        file.write(f"{value}\n")


def side_of(chip: tuple[Path, Path], twin: SimGpioBus, label: str = "header") -> GpioSimSide:
    return GpioSimSide("gpio", twin, label, None, *chip)


def test_lines_are_found_by_the_chips_label(chip: tuple[Path, Path]) -> None:
    places = find_chip("header", *chip)
    assert list(places) == ["GPIO17", "GPIO27"]
    assert places["GPIO27"].name == "sim_gpio1"


def test_an_unknown_label_names_those_that_are_there(chip: tuple[Path, Path]) -> None:
    with pytest.raises(FileNotFoundError, match="there are header"):
        find_chip("other", *chip)


def test_changes_reach_the_twin_at_the_step(chip: tuple[Path, Path]) -> None:
    seen: list[tuple[str, bool, int]] = []
    twin = SimGpioBus("gpio", ("GPIO17", "GPIO27"), lambda: 5)
    twin.on_change(lambda line, high, t_ns: seen.append((line, high, t_ns)))
    side = side_of(chip, twin)
    poller = Poller()
    side.start(poller)
    side.step(1)
    assert seen == []
    level(chip, 0, 1)
    side.step(2)
    side.step(3)
    level(chip, 0, 0)
    level(chip, 1, 1)
    side.step(4)
    assert seen == [("GPIO17", True, 5), ("GPIO17", False, 5), ("GPIO27", True, 5)]
    assert side.counts() == {"changes": 3, "failed": 0}
    side.close()
    side.close()
    poller.close()


def test_a_line_that_the_chip_lacks_is_refused_at_the_start(chip: tuple[Path, Path]) -> None:
    side = side_of(chip, SimGpioBus("gpio", ("GPIO17", "GPIO99"), lambda: 0))
    with pytest.raises(FileNotFoundError, match="no line GPIO99"):
        side.start(Poller())
    side.close()


def test_what_the_twin_refuses_is_counted(chip: tuple[Path, Path]) -> None:
    twin = SimGpioBus("gpio", ("GPIO17", "GPIO27"), lambda: 0)
    side = side_of(chip, twin)
    side.start(Poller())
    twin.inject(Fault(FaultKind.ABSENT, line="GPIO17"))
    level(chip, 0, 1)
    side.step(1)
    assert side.counts() == {"changes": 0, "failed": 1}
    side.close()
