"""A rig of the reference craft with all twelve rails, and a master's hands on its power chips, by device name."""

from __future__ import annotations

from typing import Any

from hal.profile import Profile, load_profile
from hil.plant.world import InitialState
from hil.rig import Rig

__all__ = ["MS", "PAGES", "Master"]

MS = 1_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
PAGES = tuple(
    str(rail["name"]) for device in PROFILE.board.devices if device.part == "max34451"
    for rail in device.settings["rails"]
)
"""Rails of the distribution unit, each on the page of its place in the board description."""


class Master:
    """Reads and writes registers of devices by name, and lets the world go on in ticks of 5 ms."""

    def __init__(self, seed: int = 1, *, profile: Profile | None = None, **initial: Any) -> None:
        """A rig at rest in full Sun square on its cells, unless ``initial`` says otherwise."""
        self.profile = PROFILE if profile is None else profile
        settings: dict[str, Any] = {"epoch": 0, "sun_direction": (-1.0, 0.0, 0.0), "panel_c": 45.0}
        self.rig = Rig(self.profile, InitialState(**{**settings, **initial}), seed)
        self.power = self.rig.world.power
        self._devices = {device.name: device for device in self.profile.board.devices}

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.rig.now_ns + round(seconds * 1e9)
        while self.rig.now_ns < end:
            self.rig.advance(min(end, self.rig.now_ns + 5 * MS))

    def read(self, name: str, register: int, count: int = 2) -> bytes:
        """Bytes of a register as they cross the bus."""
        device = self._devices[name]
        data: bytes = self.rig.buses[device.bus].write_read(device.address, bytes((register,)), count)
        return data

    def word(self, name: str, register: int) -> int:
        """A word, least significant byte first, as SMBus has it."""
        return int.from_bytes(self.read(name, register), "little")

    def signed(self, name: str, register: int) -> int:
        """The same as a signed number."""
        return int.from_bytes(self.read(name, register), "little", signed=True)

    def write(self, name: str, register: int, *data: int) -> None:
        """Bytes into a register."""
        device = self._devices[name]
        self.rig.buses[device.bus].write(device.address, bytes((register, *data)))

    def put_word(self, name: str, register: int, value: int) -> None:
        """A word into a register, least significant byte first."""
        self.write(name, register, *value.to_bytes(2, "little"))

    # -- what the registers mean, by the data sheets

    def panel(self) -> tuple[float, float, float]:
        """Input voltage, input current and charge current of the LTC4162, V and A."""
        volts = self.word("solar", 0x3B) * 1.649e-3
        input_a = self.signed("solar", 0x3E) * 1.466e-6 / float(self._devices["solar"].settings["input_sense_ohm"])
        return volts, input_a, self.signed("solar", 0x3D) * 1.466e-6 / self.battery_sense_ohm

    @property
    def battery_sense_ohm(self) -> float:
        """Sense resistor of the charge current, as the board has it."""
        return float(self._devices["solar"].settings["battery_sense_ohm"])

    def hold_panel(self, volts: float) -> None:
        """Tracking off, telemetry always on and fast, the input held at the nearest voltage."""
        self.put_word("solar", 0x16, round(volts / 0.140625) - 1)
        self.put_word("solar", 0x14, 0x000C)

    def switch(self, rail: str, on: bool) -> None:
        """PAGE and OPERATION of the MAX34451."""
        self.write("pdu", 0x00, PAGES.index(rail))
        self.write("pdu", 0x01, 0x80 if on else 0x00)

    def rail_v(self, rail: str) -> float:
        """READ_VOUT of a rail's page."""
        self.write("pdu", 0x00, PAGES.index(rail))
        return self.word("pdu", 0x8B) / 1000.0

    def channel_a(self, name: str) -> float:
        """Current of an INA226 from its shunt register, 2.5 uV a step, most significant byte first."""
        shunt = float(self._devices[name].settings["shunt_ohm"])
        return int.from_bytes(self.read(name, 0x01), "big", signed=True) * 2.5e-6 / shunt

    def channel_v(self, name: str) -> float:
        """Bus voltage of an INA226, 1.25 mV a step."""
        return int.from_bytes(self.read(name, 0x02), "big") * 1.25e-3

    def dock(self) -> tuple[float, float, float]:
        """READ_VIN, READ_VOUT and READ_IOUT of the ADM1272 at 1 mOhm, in its ranges of 100 V and 30 mV."""
        self.put_word("dock_switch", 0xD4, 0x3F3F)
        volts = [self.word("dock_switch", code) * 100.0 / 4062.0 for code in (0x88, 0x8B)]
        return volts[0], volts[1], (self.word("dock_switch", 0x8C) * 10.0 - 20480.0) / 663.0
