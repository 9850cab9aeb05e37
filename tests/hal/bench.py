"""A whole board's hardware over the twins of its chips, for tests."""

from __future__ import annotations

from hal.hardware import Hardware
from hal.profile import Profile, load_profile
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")


class Bench:
    """Hardware over the rig's buses, ticked at 200 Hz."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self.rig = Rig(profile, InitialState(epoch=0), 1)
        self.hardware = Hardware(profile, self.rig.buses)
        self.hardware.propulsion.set_heartbeat(True)
        self.tick = 0

    @property
    def now_ns(self) -> int:
        return self.tick * 5 * MS

    def run(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            self.rig.advance(self.now_ns)
            self.hardware.sense(self.now_ns)
            if self.tick % 10 == 0:
                self.hardware.survey(self.now_ns)
            self.tick += 1

    def told(self, device: str) -> list[str]:
        return [event.state.name for event in self.hardware.health_events if event.device == device]
