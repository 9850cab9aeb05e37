"""Spectrometer and magnetometer into their maps, and what is not as expected into words."""

from __future__ import annotations

import numpy as np

from firmware_py.perception.composition import CompositionMap
from firmware_py.perception.field_map import FieldMap
from firmware_py.perception.modes import SensorPlan
from firmware_py.perception.mounts import CraftPose, Mount, mount_pose
from firmware_py.perception.port import Scan
from firmware_py.perception.spectra import load_spectra
from hal.frames import Vec3, rotate

__all__ = ["Science"]


class Science:
    """Owner of both maps.

    Args:
        mounts: of all devices.

    Attributes:
        composition, field: the maps.
        hits: events since start, by map.
        unplaced: spectra of nobody knows what: nothing said how far the surface is.
    """

    def __init__(self, mounts: dict[str, Mount]) -> None:
        self._mounts = mounts
        self.composition = CompositionMap(load_spectra())
        self.field = FieldMap()
        self.hits = {"spectrum": 0, "field": 0}
        self.unplaced = 0
        self._wanted = True

    def follow(self, plan: SensorPlan) -> None:
        """Take up a new plan."""
        self._wanted = plan.maps

    def add(self, scan: Scan, craft: CraftPose, surface_m: Vec3 | None, affected: bool) -> list[str]:
        """Take one sample; returns what is to be told.

        Args:
            scan: with a spectrum or a magnetic field.
            craft: where the craft was.
            surface_m: place that the spectrometer looks at, inertial; ``None``: not known.
            affected: valves or heaters drew pulses of current.
        """
        if not self._wanted:
            return []
        position = np.array(craft.position_m)
        self.composition.follow(position)
        self.field.follow(position)
        hit = None
        if scan.spectrum is not None:
            if surface_m is None:
                self.unplaced += 1
            else:
                hit = self.composition.add(scan.ingest_ns, scan.spectrum, surface_m)
        elif scan.magnetic is not None:
            pose = mount_pose(craft, self._mounts[scan.device], scan.ingest_ns)
            field = rotate(pose.quaternion, scan.magnetic.field_t)
            hit = self.field.add(scan.ingest_ns, field, pose.position_m, affected=affected)
        if hit is None:
            return []
        self.hits[hit.source] += 1
        x, y, z = hit.position_m
        unlike = f", least unlike {hit.what}" if hit.what else ""
        return [f"{hit.source} is {hit.sigmas:.1f} sigma off at ({x:.1f}, {y:.1f}, {z:.1f}) m{unlike}"]

    def counts(self) -> dict[str, int]:
        """Samples and hits since start, for telemetry."""
        return {
            "spectra": self.composition.samples, "spectra_unplaced": self.unplaced,
            "field_samples": self.field.samples, "field_affected": self.field.affected,
            "spectrum_hits": self.hits["spectrum"], "field_hits": self.hits["field"],
        }
