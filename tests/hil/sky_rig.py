"""A rig with something around it and the real hardware above: what the chips' bytes become, tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hal.hardware import Hardware
from hal.profile import load_profile
from hil.plant.targets import Scene
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
SECOND = 1_000_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")


class SkyRig:
    """Rig and hardware; ``heard`` keeps every new sample of some devices with the time that it came at."""

    def __init__(self, scene: Scene, *devices: str, seed: int = 1, **initial: Any) -> None:
        self.rig = Rig(PROFILE, InitialState(epoch=0, scene=scene, **initial), seed)
        self.hardware = Hardware(PROFILE, self.rig.buses)
        self.heard: dict[str, list[tuple[int, Any]]] = {name: [] for name in devices}
        self.now_ns = 0

    def run(self, seconds: float, look: Callable[[int], None] | None = None) -> SkyRig:
        """Fly on for so long; ``look`` is called after every tick."""
        end_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns += 5 * MS
            self.rig.advance(self.now_ns)
            self.hardware.sense(self.now_ns)
            if self.now_ns % (50 * MS) == 0:
                self.hardware.survey(self.now_ns)
            for name, samples in self.heard.items():
                reading = self.hardware.reading(name, self.now_ns)
                if reading.value is not None and reading.t_ns == self.now_ns:
                    samples.append((self.now_ns, reading.value))
            if look is not None:
                look(self.now_ns)
        return self
