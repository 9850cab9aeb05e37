"""Craft's link and ground station of a rig flight: one simulated line between them, the same in every run of a seed.

The link runs in lockstep with the flight loop, as a member of its table, and is started anew with the program. The
ground station, the line and what the link keeps on its medium outlive that, as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from comms.cfdp import MemoryMedium, MemoryStore
from comms.cfdp.store import FileStore
from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.flight_port import LocalPort, Port
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.vault import Lock
from comms.link.craft import CraftLink
from comms.link.end import Line
from comms.link.ground import GroundStation
from comms.transports.memory import Pipe
from comms.transports.modem import load_modems
from comms.transports.opening import open_over_pipe
from firmware_py.link_parts import LinkFiles, make_link, provision
from firmware_py.mission import GroundOrderConfig, LinkConfig
from hal.profile import ConfigError
from hil.disk import SimDisk
from hil.link_line import GilbertElliott, LineRules, LinkLine
from hil.rig import Rig

__all__ = ["CRAFT", "OPERATOR", "RigLink"]

NS = 1_000_000_000
LINK_STREAM = 7
"""Beside the seed: the link's random numbers are no others'."""
CRAFT, OPERATOR = "QIKI", "ground"
CRAFT_SIDE, GROUND_SIDE = 0, 1
HEARD = 64
"""Datagrams that somebody near the line remembers."""
FLOOD_AT_ONCE = 500
NBL_LOAD = "nbl"


@dataclass(slots=True)
class _Shifted:
    """The line as the craft's program sees it, whose time begins with its start."""

    pipe: Pipe
    offset_ns: int

    def put(self, side: int, payload: bytes, now_ns: int) -> bool:
        return self.pipe.put(side, payload, now_ns + self.offset_ns)

    def get(self, side: int, now_ns: int, most: int) -> list[bytes]:
        return self.pipe.get(side, now_ns + self.offset_ns, most)


class RigTransmitter:
    """Emergency transmitter of the rig: its power is drawn in the world; its frames are kept, as heard far away."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.frames: list[bytes] = []

    def start(self, frame: bytes, now_ns: int) -> bool:  # noqa: ARG002 - the world has a clock of its own
        """See NblTransmitter."""
        self._rig.world.power.start_peak(NBL_LOAD, len(frame) * 8.0 / 64.0)
        self.frames.append(frame)
        return True

    def stop(self, now_ns: int) -> None:  # noqa: ARG002
        """See NblTransmitter."""
        self._rig.world.power.start_peak(NBL_LOAD, 0.0)


class RigLink:
    """Owner of line, keys, ground station and the craft's link.

    Args:
        config: of the mission.
        rig: whose world pays for the transmitters.
        seed: of the flight.
        body: name of the body.

    Attributes:
        ground: the station.
        link: of the program's present start.
    """

    def __init__(self, config: LinkConfig, rig: Rig, seed: int, body: str) -> None:
        self._config = config
        self._rig = rig
        self._body = body
        profiles = load_modems()
        profile = profiles.get(config.modem)
        if profile is None:
            raise ConfigError("link", None, "link.modem", f"is {config.modem!r}; modems: {', '.join(profiles)}")
        self._profile = profile
        rng = np.random.default_rng([seed, LINK_STREAM])
        self._random: Callable[[int], bytes] = rng.bytes
        loss = None if config.loss == 0.0 else GilbertElliott.from_mean(config.loss, config.burst)
        blackouts = _gaps(config.contacts)
        rules = LineRules(delay_ns=round(config.delay_s * NS), loss=loss, blackouts=blackouts)
        self.line = LinkLine(rules, np.random.default_rng([seed, LINK_STREAM, 1]), tamper=self._listen)
        self._heard: list[bytes] = []
        self._silenced = 0
        self._attacking = False
        lock = Lock.from_sealing_key(self._random(32))
        disks = np.random.default_rng([seed, LINK_STREAM, 2])
        self._files = LinkFiles(
            FileStore(MemoryMedium()), SimDisk(disks), SimDisk(disks), SimDisk(disks), SimDisk(disks), SimDisk(disks)
        )
        self._keys = KeyStore(SimDisk(disks), lock, self._random, new_craft(CRAFT, self._random))
        operator = new_operator(OPERATOR, Authority(config.role), self._random)
        ground_keys = KeyStore(SimDisk(disks), lock, self._random, operator)
        pair(self._keys, ground_keys, self._random)
        provision(self._files.counters)
        far = open_over_pipe("ground", profile, self.line, GROUND_SIDE)
        self.ground = GroundStation(
            ground_keys, CRAFT, Line(far, Transmitter.CABLE), self._random, MemoryStore(),
        )
        self.transmitter = RigTransmitter(rig) if any(load.name == NBL_LOAD for load in _peaks(rig)) else None
        self.link: CraftLink | None = None
        self._start_ns = 0
        self._pending = sorted(config.ground, key=lambda order: order.at_s)
        self._attacks: list[tuple[GroundOrderConfig, int]] = []
        self._attack = np.random.default_rng([seed, LINK_STREAM, 3])
        self._connect_ns = 0
        self.given: list[object] = []
        """What the station has asked for, in order."""

    def start(self, rig_ns: int, faults: tuple[str, ...]) -> Port:
        """The program starts at this rig time; returns the flight loop's end of a new port."""
        self._start_ns = rig_ns
        port = LocalPort(512)
        near = open_over_pipe("radio", self._profile, _Shifted(self.line, rig_ns), CRAFT_SIDE)
        line = Line(near, self._profile.transmitter, self._profile.joules_per_byte)
        self.link = make_link(
            self._keys, {"radio": line}, port.link, self._files, self._random, 0, None, self.transmitter, self._body,
            faults,
        )
        return port.flight

    def step(self, now_ns: int) -> None:
        """Member of the program's table: the craft's link, and the ground beside it."""
        if self.link is not None:
            self.link.step(now_ns)
        self.ground_step(now_ns + self._start_ns)

    def ground_step(self, rig_ns: int) -> None:
        """The ground goes on, with the program or without."""
        ground = self.ground
        if not ground.connected and rig_ns >= self._connect_ns and ground.state.value in ("idle", "no answer"):
            self._connect_ns = rig_ns + 10 * NS
            ground.connect(rig_ns)
        self._give(rig_ns)
        self._attack_line(rig_ns)
        ground.step(rig_ns)

    def silence(self) -> Callable[[], None]:
        """The ground's transmitter is silent from now on; returns what ends that."""
        self._silenced += 1

        def end() -> None:
            self._silenced -= 1

        return end

    def _give(self, rig_ns: int) -> None:
        while self._pending and rig_ns >= self._pending[0].at_s * NS:
            order = self._pending[0]
            if order.attack is not None:
                self._attacks.append((order, rig_ns + round(order.for_s * NS)))
            elif not self.ground.connected:
                return
            elif order.upload is not None:
                self.ground.files.store.save(order.upload, self._random(order.upload_bytes))
                self.given.append(self.ground.send_file(order.upload, rig_ns))
            elif order.command is not None:
                self.given.append(self.ground.order(
                    order.command, order.arguments, rig_ns, confirmed=order.confirmed, priority=order.priority,
                ))
            self._pending.pop(0)

    # -- somebody near the line

    def _listen(self, side: int, payload: bytes) -> bytes | None:
        if self._attacking:
            return payload
        if side == GROUND_SIDE and self._silenced:
            return None
        if len(self._heard) < HEARD:
            self._heard.append(payload)
        else:
            self._heard[len(payload) % HEARD] = payload
        return payload

    def _attack_line(self, rig_ns: int) -> None:
        for attack, until_ns in tuple(self._attacks):
            if rig_ns >= until_ns:
                self._attacks.remove((attack, until_ns))
                continue
            self._attacking = True
            for payload in self._made(attack.attack or ""):
                self.line.put(GROUND_SIDE, payload, rig_ns)
            self._attacking = False

    def _made(self, kind: str) -> list[bytes]:
        rng, heard = self._attack, self._heard
        if kind == "flood":
            return [rng.bytes(int(rng.integers(1, 200))) for _ in range(FLOOD_AT_ONCE)]
        if kind == "handshakes":
            return [b"\x00\x01" + rng.bytes(120) for _ in range(20)]
        if not heard:
            return []
        chosen = [heard[int(rng.integers(len(heard)))] for _ in range(4)]
        if kind == "replay":
            return chosen
        bent = []
        for payload in chosen:
            data = bytearray(payload)
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            bent.append(bytes(data))
        return bent


def _gaps(contacts: tuple[tuple[float, float], ...]) -> tuple[tuple[int, int], ...]:
    """Times without contact, from those with, ns."""
    if not contacts:
        return ()
    gaps, last = [], 0
    for begin, end in sorted(contacts):
        if begin * NS > last:
            gaps.append((last, round(begin * NS)))
        last = max(last, round(end * NS))
    gaps.append((last, 1 << 62))
    return tuple(gaps)


def _peaks(rig: Rig) -> list:  # type: ignore[type-arg]
    return [load for load in rig.profile.body.power.loads if load.peak_w > 0.0]


