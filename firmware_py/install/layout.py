"""Where everything of an installation lies, as the installed system names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CONFIG_FILES", "LINKS", "SLOTS", "UNITS", "Layout"]

SLOTS: Final = ("a", "b")
UNITS = Path(__file__).resolve().parent / "units"
"""Units and their company, as they ship: the folder ``systemd`` of the project."""

LINKS: Final = {
    "system": "/etc/systemd/system",
    "udev": "/etc/udev/rules.d",
    "sysusers": "/etc/sysusers.d",
    "tmpfiles": "/etc/tmpfiles.d",
    "modules-load": "/etc/modules-load.d",
    "sysctl": "/etc/sysctl.d",
    "journald": "/etc/systemd/journald.conf.d",
    "manager": "/etc/systemd/system.conf.d",
}
"""Folder of ``UNITS`` and where the system looks for its files. There they are links through ``current``, so that one
rename changes them all, and one rename takes them back."""

CONFIG_FILES: Final = ("board.yaml", "body.yaml", "mission.yaml", "perception.yaml", "qiki.env")
"""The owner's files, below /etc/qiki."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one installation. ``prefix`` is absolute, as the installed system names it."""

    prefix: str = "/opt/qiki"

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/") or self.prefix.rstrip("/") != self.prefix or self.prefix.count("/") < 1:
            raise ValueError(f"prefix is {self.prefix!r}; an absolute folder such as /opt/qiki is allowed")
        if any(character.isspace() or character in "\"'%$\\" for character in self.prefix):
            raise ValueError(f"prefix is {self.prefix!r}; no spaces, quotes, % or $ are allowed")

    config = "/etc/qiki"
    state = "/var/lib/qiki"

    @staticmethod
    def wants(unit: str) -> str:
        """The link that starts a unit with the system."""
        return f"{LINKS['system']}/multi-user.target.wants/{unit}"

    @property
    def keep(self) -> str:
        """What no slot may own: judge, journal, undo files."""
        return f"{self.prefix}/keep"

    @property
    def current(self) -> str:
        """The link that is switched."""
        return f"{self.prefix}/current"

    def slot(self, name: str) -> str:
        """Folder of a slot."""
        return f"{self.prefix}/{name}"

    def link_target(self, folder: str, file: str) -> str:
        """What the link of one unit file points to."""
        return f"{self.current}/share/units/{folder}/{file}"
