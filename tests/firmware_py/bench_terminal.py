"""What tests of the bench's commands share: the command line, views as text, the reference board."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
from typer.testing import CliRunner

from firmware_py.cli.main import app
from hal.profile import load_board

__all__ = ["BOARD", "qiki", "shown"]

runner = CliRunner()
BOARD = load_board("qiki-rpi")
MS = 1_000_000


def qiki(*arguments: str, columns: int = 140):
    return runner.invoke(app, list(arguments), env={"COLUMNS": str(columns)})


def shown(view: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(view)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
