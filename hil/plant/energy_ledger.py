"""Energy ledger of the power plant: every joule that came in, was spent, was lost or is stored has one line."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["EnergyLedger"]


@dataclass(slots=True)
class EnergyLedger:
    """Energies since the start, J.

    ``harvested`` + ``dock`` + ``set`` = ``loads`` + ``valves`` + ``peaks`` + ``backflow`` + losses + growth of the
    stores. ``loads`` has the heaters and what a short draws. ``dock`` came through the dock's switch and ``backflow``
    left through it. ``set`` is what a test or scenario put into a store by hand, also by changing its capacity.

    Outside the balance: ``spilled`` is array energy that nothing took, ``untracked`` what a panel voltage off its best
    one cost while more was wanted, and ``unserved`` what was asked and not given.
    """

    harvested: float = 0.0
    dock: float = 0.0
    loads: float = 0.0
    valves: float = 0.0
    peaks: float = 0.0
    backflow: float = 0.0
    battery_losses: float = 0.0
    supercap_losses: float = 0.0
    spilled: float = 0.0
    untracked: float = 0.0
    unserved: float = 0.0
    set: float = 0.0

    @property
    def gained(self) -> float:
        """What came in less what went out, J: the stores have grown by as much."""
        spent = self.loads + self.valves + self.peaks + self.backflow + self.battery_losses + self.supercap_losses
        return self.harvested + self.dock + self.set - spent

    @property
    def flowed(self) -> float:
        """All that came in or was spent, J: what an error of the books is measured against."""
        spent = self.loads + self.valves + self.peaks + self.backflow + self.battery_losses + self.supercap_losses
        return self.harvested + self.dock + spent

    def as_dict(self) -> dict[str, float]:
        """The lines as name to J."""
        return asdict(self)
