"""Cases that a campaign once lost, kept: each slice flies them first.

A case goes in with the seed that lost it and what it was, once the cause is mended; one that breaks again is seen at
once. ``qiki hil campaign --case KEY`` repeats any of them.
"""

from __future__ import annotations

__all__ = ["REGRESSIONS"]

REGRESSIONS: tuple[tuple[str, str], ...] = (
    ("gyro_bias_x.imu@17.730:344367", "3 deg/s of bias on the flown gyro were never told while nozzles fired"),
    ("nozzle_stuck_on_for_ever.15@18.354:305006", "the nozzle that held against the stuck one was accused"),
    ("nozzle_stuck_on_for_ever.6@8.420:894927", "223 deg/s: valves were shut against a nozzle that burned on"),
    ("nozzle_stuck_on_long.0@21.386:916463", "80 deg/s in the second in which all other valves were shut"),
    ("dock_over_voltage@18.077:530491", "a current beyond its range made its monitor lost"),
    ("rail_short_1000_lidar.lidar@16.864:618587", "a current beyond its range made the monitor of the bus lost"),
    ("soc_supercap_empty@16.987:601702", "told after 1.083 s: two persistences one after the other"),
)
"""Case, and what it broke."""
