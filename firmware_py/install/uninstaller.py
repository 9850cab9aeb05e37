"""Takes an installation away, in an order that can be cut off and done again; the owner's files only if asked."""

from __future__ import annotations

import os
from collections.abc import Callable

from firmware_py.install.layout import LINKS, Layout
from firmware_py.install.system import System

__all__ = ["UNITS", "USERS", "uninstall"]

UNITS = (
    "qiki.target", "qiki-safe.target", "qiki-health.service", "qiki-again.timer", "qiki-again.service",
    "qiki-flight.service", "qiki-comms.service", "qiki-recorder.service", "qiki-perception.service",
    "qiki-safe.service",
)
USERS = ("qiki-see", "qiki-record", "qiki-link", "qiki")


def uninstall(
    system: System, layout: Layout, purge: bool, tell: Callable[[str], None], dry_run: bool = False,
) -> list[str]:
    """Stop the units and remove them, their links and both slots; returns what was removed. Raises OSError.

    Args:
        system: the seam to the computer.
        layout: where everything is.
        purge: remove configuration, flights, keys and users too; nothing brings them back.
        tell: takes a line for people.
        dry_run: only say what would be removed.
    """
    links = _links(system, layout)
    wants = [layout.wants(unit) for unit in ("qiki.target", "qiki-health.service")]
    removed = [path for path in (*wants, *links, layout.prefix) if _is_there(system, path)]
    if purge:
        removed += [path for path in (layout.config, layout.state) if _is_there(system, path)]
    if dry_run:
        return removed
    if system.live:
        tell("stopping ...")
        system.run(["systemctl", "stop", *UNITS])
    for path in removed:
        if path not in (layout.prefix, layout.config, layout.state):
            system.remove(path)
    for folder in {os.path.dirname(path) for path in links}:
        if folder.endswith(".d") and folder.startswith(LINKS["system"]) and not system.names(folder):
            system.remove(folder)
    if system.live:
        for words in (["systemctl", "daemon-reload"], ["udevadm", "control", "--reload"]):
            system.run(words)
    if layout.prefix in removed:
        # The link first: what is half removed must not look like something that could be started.
        for name in ("current", "a", "b", "keep"):
            system.remove(f"{layout.prefix}/{name}")
        if not system.names(layout.prefix):
            system.remove(layout.prefix)
        else:
            tell(f"{layout.prefix} holds files of somebody else and stays")
    if purge:
        system.remove(layout.config)
        system.remove(layout.state)
        if system.live:
            for user in USERS:
                system.run(["userdel", user])
            system.run(["groupdel", "qiki"])
    return removed


def _links(system: System, layout: Layout) -> list[str]:
    """Every link below the folders of units that leads into the prefix."""
    begin, found = f"{layout.prefix}/", []
    for place in LINKS.values():
        paths = [f"{place}/{name}" for name in system.names(place)]
        paths += [
            f"{path}/{name}" for path in paths if path.endswith(".d") and "/qiki" in path for name in system.names(path)
        ]
        found += [path for path in paths if (system.target(path) or "").startswith(begin)]
    return found


def _is_there(system: System, path: str) -> bool:
    return os.path.lexists(system.at(path))
