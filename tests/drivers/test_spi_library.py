"""Which calls of spidev open a node: the library of Debian 12 is older than the one that takes a path."""

from __future__ import annotations

import errno
import sys
from types import SimpleNamespace

import pytest

from drivers.bus.spi_dev import open_spidev


class Old:
    """``spidev.SpiDev`` before 3.7."""

    def __init__(self) -> None:
        self.opened: tuple[int, int] | None = None
        self.closed = False

    def open(self, bus: int, device: int) -> None:
        self.opened = bus, device

    def close(self) -> None:
        self.closed = True


class New(Old):
    """The same from 3.7 on."""

    def open_path(self, path: str) -> None:
        self.path = path
        if path.endswith("9.9"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)


def library(monkeypatch: pytest.MonkeyPatch, kind: type[Old]) -> list[Old]:
    made: list[Old] = []

    def make() -> Old:
        made.append(kind())
        return made[-1]

    monkeypatch.setitem(sys.modules, "spidev", SimpleNamespace(SpiDev=make))
    return made


def test_an_older_library_opens_by_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = library(monkeypatch, Old)
    open_spidev("/dev/spidev10.2")
    assert made[0].opened == (10, 2)
    assert not made[0].closed


def test_a_newer_one_opens_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    made = library(monkeypatch, New)
    open_spidev("/dev/some-name")
    assert made[0].path == "/dev/some-name"  # type: ignore[attr-defined]
    assert made[0].opened is None


@pytest.mark.parametrize(("kind", "path", "number"), [
    (Old, "/dev/some-name", errno.ENXIO), (Old, "/dev/spidev0.1x", errno.ENXIO), (New, "/dev/spidev9.9", errno.ENOENT),
])
def test_what_can_not_be_opened_is_closed_and_named(
    monkeypatch: pytest.MonkeyPatch, kind: type[Old], path: str, number: int
) -> None:
    made = library(monkeypatch, kind)
    with pytest.raises(OSError, match=path.removeprefix("/dev/")) as refused:
        open_spidev(path)
    assert refused.value.errno == number
    assert made[0].closed
