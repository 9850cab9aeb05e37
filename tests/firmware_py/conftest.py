"""Boards and rigs that are not well, for the tests of the bench's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hil.faults import Fault
from hil.rig import Rig


@pytest.fixture
def no_buses(tmp_path: Path) -> str:
    """A board of which no bus is on this computer."""
    text = (Path(__file__).resolve().parents[2] / "board_configs" / "boards" / "qiki-rpi.yaml").read_text()
    nowhere = tmp_path / "nowhere"
    text = text.replace("/dev/", f"{nowhere}/").replace("device: can", "device: nocan")
    board = tmp_path / "board.yaml"
    board.write_text(text.replace("pinctrl-bcm2711", f"{nowhere}/gpiochip0"))
    return str(board)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fault]:
    """Faults by bus that every rig has from its start."""
    faults: dict[str, Fault] = {}
    plain = Rig.__init__

    def start(self: Rig, *arguments: Any) -> None:
        plain(self, *arguments)
        for bus, fault in faults.items():
            self.buses[bus].inject(fault)

    monkeypatch.setattr(Rig, "__init__", start)
    return faults
