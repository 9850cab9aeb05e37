"""QEMU boards for device tests: skipped loudly where there is no QEMU, failed instead where QIKI_REQUIRE_QEMU is 1."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from hil.qemu import QEMU, QemuBoard, qemu_path
from tests.drivers import scripted
from tests.drivers.scripted import Run

REQUIRED = "QIKI_REQUIRE_QEMU"

StartBoard = Callable[..., QemuBoard]


def need_qemu() -> None:
    """Go on only with QEMU: otherwise fail where it is required, else warn and skip."""
    if qemu_path() is not None:
        return
    note = f"{QEMU} IS MISSING: drivers are NOT held against independent chip models (Debian: apt-get install {QEMU})"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(note)
    warnings.warn(note, stacklevel=1)
    pytest.skip(note)


@pytest.fixture(scope="module")
def start_board() -> Iterator[StartBoard]:
    """Starts a board with the chips it is told, ended with the module's last test."""
    need_qemu()
    with ExitStack() as boards:

        def start(*devices: str, options: Sequence[str] = ()) -> QemuBoard:
            return boards.enter_context(QemuBoard(devices, options))

        yield start


@pytest.fixture(scope="session")
def finish() -> Run:
    """Exhausts a driver's sequence and gives what it returned."""
    return scripted.finish
