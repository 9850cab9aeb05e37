"""Turns what was asked for into a plan: files of the owner, the Python, the wheelhouse; refuses before any change."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from firmware_py.doctor import Machine
from firmware_py.install.board_units import drop_ins
from firmware_py.install.config_files import FileChange, changes_of
from firmware_py.install.layout import UNITS, Layout
from firmware_py.install.slots import Interpreter
from firmware_py.install.system import System
from firmware_py.mission import find_mission, load_mission
from hal.profile import BoardConfig, ConfigError, load_profile
from hal.profile.loader import find_config

__all__ = ["Asked", "RequestError", "chosen_files", "effective_board", "find_interpreter", "units_of_board"]

DEFAULT_BOARD, DEFAULT_BODY = "qiki-rpi", "qiki-t"


class RequestError(Exception):
    """Something that was asked for can't be: why, and what to do."""

    def __init__(self, why: str, next_step: str = "") -> None:
        super().__init__(why)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Asked:
    """Names or files; ``None`` leaves what is installed, or takes what ships where nothing is."""

    board: str | None = None
    body: str | None = None
    mission: str | None = None


def chosen_files(system: System, layout: Layout, asked: Asked) -> list[FileChange]:
    """What becomes of the owner's files. Raises ConfigError for a name nobody knows, RequestError."""
    places = {
        "board.yaml": (find_config("boards", asked.board or DEFAULT_BOARD), asked.board is not None),
        "body.yaml": (find_config("bodies", asked.body or DEFAULT_BODY), asked.body is not None),
        "mission.yaml": (
            find_mission(asked.mission) if asked.mission else UNITS / "config" / "mission.yaml",
            asked.mission is not None or _stands_by(system, layout),
        ),
        "perception.yaml": (Path(str(resources.files("board_configs") / "perception.yaml")), False),
        "qiki.env": (UNITS / "config" / "qiki.env", False),
    }
    wanted = {}
    for name, (path, was_asked) in places.items():
        try:
            wanted[name] = (path.read_bytes(), was_asked)
        except OSError as error:
            raise RequestError(f"{path}: {error.strerror}", "name a file, or one that ships") from None
    if not asked.mission:
        # A mission names its craft, and another craft refuses it.
        kept = {change.path.rpartition("/")[2]: change.effective for change in changes_of(system, layout, wanted)}
        text, was_asked = wanted["mission.yaml"]
        for key in ("body", "board"):
            name = _name_in(kept[f"{key}.yaml"], key)
            text = re.sub(rf"^{key}: .*$".encode(), f"{key}: {name}".encode(), text, flags=re.MULTILINE)
        wanted["mission.yaml"] = (text, was_asked)
    return changes_of(system, layout, wanted)


def _stands_by(system: System, layout: Layout) -> bool:
    """Whether the mission that is there is the one that ships, and goes with whatever craft there is."""
    return _name_in(system.read(f"{layout.config}/mission.yaml") or b"", "mission") == "stand-by"


def _name_in(text: bytes, key: str) -> str:
    """The name that a file gives itself; empty if it gives none, which its loader will refuse."""
    found = re.search(rf"^{key}: *[\"']?([a-z0-9-]+)".encode(), text, re.MULTILINE)
    return found.group(1).decode() if found else ""


def effective_board(changes: list[FileChange]) -> BoardConfig:
    """The board that will be flown, after board, body and mission were checked as they will be. Raises ConfigError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        named = {Path(change.path).name: change for change in changes}
        for file in ("board.yaml", "body.yaml", "mission.yaml"):
            (folder / file).write_bytes(named[file].effective)
        try:
            profile = load_profile(str(folder / "body.yaml"), str(folder / "board.yaml"))
            mission = load_mission(str(folder / "mission.yaml"))
            if mission.body != profile.body.body:
                raise ConfigError(str(folder / "mission.yaml"), None, "body", f"is {mission.body}; the craft is "
                                  f"{profile.body.body}")
        except ConfigError as error:
            # The owner knows the file by its own place, not by that of the copy.
            place = named[Path(error.file).name].path if Path(error.file).name in named else error.file
            raise ConfigError(place, error.line, error.key, error.why) from None
    return profile.board


def units_of_board(system: System, board: BoardConfig, machine: Machine) -> dict[str, str]:
    """Drop-ins for this board on this computer; for the tree of an image no processor is known."""
    text = machine.text("sys/devices/system/cpu/online") if system.live else None
    found: set[int] = set()
    for part in (text or "").split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?", part):
            found |= set(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return drop_ins(board, frozenset(found) if found else None)


def find_interpreter(system: System, path: str | None, arch_is_ours: bool) -> Interpreter:
    """The Python for the slots: the one that is named, else the newest in /usr/bin. Raises RequestError."""
    if path is None or path == "/usr/bin/python3":
        programs = (re.fullmatch(r"python3\.(\d+)", name) for name in system.names("/usr/bin"))
        numbers = sorted(int(found.group(1)) for found in programs if found)
        own = system.at("/usr/bin/python3")
        named = re.fullmatch(r"python3\.(\d+)", os.readlink(own)) if own.is_symlink() else None
        if named is None and not numbers:
            raise RequestError("there is no Python in /usr/bin", "install python3, or name one with --python")
        minor = int(named.group(1)) if named is not None else numbers[-1]
        path = f"/usr/bin/python3.{minor}"
    elif system.live:
        path = os.path.realpath(path)
    found = re.search(r"python(3\.\d+)$", path)
    if found is None:
        raise RequestError(f"{path} is no name such as python3.11", "name the program itself with --python")
    native = arch_is_ours and Path(path).exists()
    return Interpreter(path, found.group(1), native)
