"""A craft's link at a real line of this machine, in virtual time: it moves whenever somebody would sleep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from comms.dictionary import Authority
from comms.flight_port import (
    CommandStage,
    CraftState,
    EventNote,
    LinkOrder,
    LinkReport,
    LocalPort,
    Snapshot,
    UplinkRequest,
)
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.vault import Lock
from comms.transports.opening import ABOARD
from fdir.modes import Emission
from firmware_py.cli.craft_side import link_files
from firmware_py.cli.link_lines import open_line
from firmware_py.cli.link_station import Station
from firmware_py.link_parts import make_link
from hil.disk import SimDisk

NS = 1_000_000_000
CRAFT, OPERATOR = "QIKI-1", "ann"
FLIGHT_NS = 50_000_000


class LoneCraft:
    """The link, a flight loop that allows everything, and the keys of both sides.

    Attributes:
        to: word of the line for a station.
        answers: codes by command that the flight loop refuses, instead of an effect.
        mute: the craft does nothing.
    """

    def __init__(self, folder: Path, line: str = "udp:127.0.0.1:0", role: Authority = Authority.SAFETY) -> None:
        rng = np.random.default_rng(5)
        lock = Lock.from_sealing_key(bytes(range(32)))
        self.keys = KeyStore(SimDisk(rng), lock, rng.bytes, new_craft(CRAFT, rng.bytes))
        self.operator = KeyStore(SimDisk(rng), lock, rng.bytes, new_operator(OPERATOR, role, rng.bytes))
        pair(self.keys, self.operator, rng.bytes)
        opened = open_line(line, ABOARD)
        transport: Any = opened.line.transport
        self.to = f"udp:{transport.address}" if line.startswith("udp") else opened.name
        self.port = LocalPort(1024)
        files = link_files(folder / "state")
        self.store = files.store
        self.link = make_link(
            self.keys, {opened.name: opened.line}, self.port.link, files, rng.bytes, 0, 1, None, "qiki-t",
        )
        self.now = 0
        self.answers: dict[str, tuple[str, ...]] = {}
        self.mute = False
        self._number = 0
        self._told_ns = -NS
        self._asked: dict[int, UplinkRequest] = {}

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        """What a station calls while it waits."""
        self.now += round(seconds * NS)
        if self.mute:
            return
        self.link.step(self.now)
        if self.now - self._told_ns >= FLIGHT_NS:
            self._told_ns = self.now
            self._fly()

    def station(self, **more: Any) -> Station:
        return Station(**({"keys": self.operator, "to": self.to, "clock": self.clock, "sleep": self.sleep} | more))

    def event(self, code: str, text: str) -> None:
        self.port.flight.send(EventNote(self.now, code, "info", text))

    def close(self) -> None:
        self.link.close()

    def _fly(self) -> None:
        flight = self.port.flight
        flight.send(CraftState(self.now, 1, "Idle", Emission.OPEN, soc_supercap=0.9, soc_battery=0.9, comms_c=20.0))
        values = {"t_s": self.now / NS, "motion": "Idle", "soc_battery": 0.9 - self.now * 1e-12}
        flight.send(Snapshot(self.now, values))
        for message in flight.receive(64):
            if isinstance(message, UplinkRequest):
                self._take(message, flight.send)
            elif isinstance(message, LinkReport):
                for number, well, words in message.finished:
                    asked = self._asked.pop(number, None)
                    if asked is not None:
                        stage = "effect_confirmed" if well else "aborted"
                        flight.send(CommandStage(self.now, number, asked.command_id, asked.sender, asked.name, stage,
                                                 (), words))

    def _take(self, asked: UplinkRequest, send: Callable[[Any], bool]) -> None:
        self._number += 1
        codes = self.answers.get(asked.name)
        stages = ("requested", "rejected") if codes else ("requested", "allowed", "effect_pending")
        for stage in stages:
            send(CommandStage(self.now, self._number, asked.command_id, asked.sender, asked.name, stage,
                              codes or () if stage == "rejected" else ()))
        if codes:
            return
        if asked.name.startswith("file_"):
            self._asked[self._number] = asked
            send(LinkOrder(self.now, self._number, asked.name, asked.arguments, asked.sender, asked.authority))
        else:
            send(CommandStage(self.now, self._number, asked.command_id, asked.sender, asked.name, "effect_confirmed",
                              ("EFFECT_CONFIRMED",)))
