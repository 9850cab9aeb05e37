"""A record of the perception once more: its input to the software of today, and every track list compared.

Steps get the flight times and the messages that they had. What differs is a change of the software, or damage.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from firmware_py import __version__
from firmware_py.perception.config import PerceptionConfig
from firmware_py.perception.port import CODEC
from firmware_py.perception.record import pack_tracks, read_header, read_perception
from firmware_py.perception.service import Perception
from firmware_py.recorder import RecordError
from hal.profile import BoardConfig, BodyConfig, Profile

__all__ = ["ReplayResult", "header_of", "replay_record"]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay gave. ``first_ns``: flight time of the first track list that differs, ``None`` if none does."""

    steps: int
    lists: int
    differing: int
    first_ns: int | None


def header_of(config: PerceptionConfig, profile: Profile) -> dict[str, Any]:
    """What a record must say of what ran, for a replay of it."""
    return {
        "software_version": __version__, "perception": msgspec.to_builtins(config),
        "profile_body": msgspec.to_builtins(profile.body), "profile_board": msgspec.to_builtins(profile.board),
        "profile_digest": profile.digest,
    }


class _Fed:
    """The port of a replay: gives what was recorded, drops what is said."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.dropped = 0

    def send(self, message: Any) -> bool:  # noqa: ARG002
        return True

    def receive(self, most: int) -> list[Any]:
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        return taken


def replay_record(path: Path) -> ReplayResult:
    """Run a record again. Raises RecordError for a file that is none, or that does not say what ran."""
    header = read_header(path)
    try:
        config = msgspec.convert(header["perception"], PerceptionConfig)
        profile = Profile(
            msgspec.convert(header["profile_body"], BodyConfig), msgspec.convert(header["profile_board"], BoardConfig),
            str(header["profile_digest"]),
        )
    except (KeyError, msgspec.ValidationError) as error:
        raise RecordError(path, f"does not say what ran ({error})", "fly it again with this version") from None
    port = _Fed()
    again = Perception(config, profile, port)
    steps = lists = differing = 0
    first_ns: int | None = None
    waiting: list[Any] = []
    for message in read_perception(path, ("/in", "/step", "/tracks")):
        if message.topic == "/in":
            waiting.append(CODEC.read(message.data))
        elif message.topic == "/step":
            steps += 1
            if again.lists:
                # More lists than there were. After the last step nobody knows whether the record is whole.
                differing += len(again.lists)
                first_ns = again.lists[0].t_ns if first_ns is None else first_ns
            port.waiting, waiting = waiting, []
            again.step(message.t_ns)
        else:
            lists += 1
            made = pack_tracks(again.lists.popleft()) if again.lists else None
            if made != message.data:
                differing += 1
                first_ns = message.t_ns if first_ns is None else first_ns
    return ReplayResult(steps, lists, differing, first_ns)
