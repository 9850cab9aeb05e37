"""Faults of what the craft sees around it that a scenario can start: clutter, false targets, lies, blindness, bias.

They act where the world is turned into what a part sees, so every byte on the bus is still the part's own. The end of
a fault takes away its own doing and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import radians
from typing import TYPE_CHECKING, Any

from hal.profile import Profile
from hil.fault_values import member, ranged
from hil.plant.radar_view import Ghost
from hil.plant.replies import Spoof
from hil.rig_faults_seams import Act, Start, first, held, shown

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["SURROUNDINGS_FAULTS", "check_names"]

RADAR, RECEIVER, LIDAR = "ars408", "transponder_rx", "ld06_lidar"
BEAMS = ("tfmini_plus", "vl53l0x")
CLUTTER = (0.0, 10_000.0)
RANGE_M = (0.2, 250.0)
BEARING_DEG = (-60.0, 60.0)
SPEED_M_S = (-100.0, 50.0)
RCS_DBSM = (-30.0, 60.0)
OFFSET_M = (-10_000.0, 10_000.0)
OFFSET_DEG = (-180.0, 180.0)
NUMBERS = (1, 2**32 - 2)
LONGEST_NAME = 48


def check_names(kind: str, parameters: Mapping[str, Any], targets: tuple[str, ...]) -> None:
    """Refuse a fault that names a target which the scenario has not. ValueError says which there are."""
    if kind == "transponder_spoof":
        member("target", parameters.get("target"), targets)


def _device(profile: Profile, what: str, parts: tuple[str, ...], device: Any) -> str:
    """Name of the device that is meant: the first of its parts if none is named."""
    names = [d.name for d in profile.board.devices if d.part in parts]
    if device is None:
        if not names:
            raise ValueError(f"board {profile.board.board} has no {what}")
        return names[0]
    return member(what, device, names)


def _sees(device: str, **values: Any) -> Act:
    """Sets attributes of what a device sees."""

    def act(rig: Rig) -> None:
        view = rig.world.surroundings.views[device]
        for attribute, value in values.items():
            setattr(view, attribute, value)

    return act


def _radar_clutter(profile: Profile, per_frame: Any, device: Any = None) -> Start:
    name = _device(profile, "radar", (RADAR,), device)
    value = ranged("per_frame", per_frame, *CLUTTER)

    def end(rig: Rig) -> None:
        # Back to the scene's own, whatever other clutter had begun before.
        _sees(name, clutter_per_frame=rig.world.surroundings.scene.clutter_per_frame)(rig)

    return held(f"clutter of {name}", _sees(name, clutter_per_frame=value), end)


def _radar_ghost(
    profile: Profile, range_m: Any, bearing_deg: Any = 0.0, speed_m_s: Any = 0.0, rcs_dbsm: Any = 10.0,
    device: Any = None,
) -> Start:
    name = _device(profile, "radar", (RADAR,), device)
    distance, bearing = ranged("range_m", range_m, *RANGE_M), radians(ranged("bearing_deg", bearing_deg, *BEARING_DEG))
    speed, rcs = ranged("speed_m_s", speed_m_s, *SPEED_M_S), ranged("rcs_dbsm", rcs_dbsm, *RCS_DBSM)

    def start(rig: Rig) -> Callable[[], None]:
        ghosts, key = rig.world.surroundings.views[name].ghosts, object()
        ghosts[key] = Ghost(distance, bearing, speed, rcs, rig.now_ns)

        def stop() -> None:
            ghosts.pop(key, None)

        return stop

    return start


def _radar_frozen(profile: Profile, device: Any = None) -> Start:
    name = _device(profile, "radar", (RADAR,), device)
    return shown(f"radar_frozen {name}", name, "objects", first)


def _transponder_spoof(
    profile: Profile, target: Any, number: Any = None, authentic: Any = False, range_m: Any = 0.0,
    bearing_deg: Any = 0.0, device: Any = None,
) -> Start:
    name = _device(profile, "transponder receiver", (RECEIVER,), device)
    if not isinstance(target, str) or not 0 < len(target) <= LONGEST_NAME:
        raise ValueError(f"target is {target!r}; the name of a target is needed")
    if number is not None:
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(f"number is {number!r}; a whole number is needed")
        ranged("number", number, *NUMBERS)
    if not isinstance(authentic, bool):
        raise ValueError(f"authentic is {authentic!r}; true or false is allowed")
    lie = Spoof(
        number, ranged("range_m", range_m, *OFFSET_M), radians(ranged("bearing_deg", bearing_deg, *OFFSET_DEG)),
        authentic,
    )

    def begin(rig: Rig) -> None:
        rig.world.surroundings.views[name].spoofs[target] = lie

    def end(rig: Rig) -> None:
        del rig.world.surroundings.views[name].spoofs[target]

    return held(f"transponder of {target}", begin, end)


def _lidar_blind(profile: Profile, device: Any = None) -> Start:
    name = _device(profile, "lidar or range finder", (LIDAR, *BEAMS), device)
    return held(f"sight of {name}", _sees(name, blind=True), _sees(name, blind=False))


def _sensor_bias(profile: Profile, device: Any, metres: Any = 0.0, deg: Any = 0.0) -> Start:
    name = _device(profile, "radar, lidar, range finder or receiver", (RADAR, LIDAR, RECEIVER, *BEAMS), device)
    offset, turn = ranged("metres", metres, *OFFSET_M), radians(ranged("deg", deg, *OFFSET_DEG))
    part = next(d.part for d in profile.board.devices if d.name == name)
    if part in BEAMS and turn:
        raise ValueError(f"deg is {deg!r}; {name} has one beam and tells no bearing")
    wrong, right = {"bias_range_m": offset}, {"bias_range_m": 0.0}
    if part not in BEAMS:
        wrong["bias_bearing_rad"], right["bias_bearing_rad"] = turn, 0.0
    return held(f"bias of {name}", _sees(name, **wrong), _sees(name, **right))


SURROUNDINGS_FAULTS: dict[str, tuple[Callable[..., Start], dict[str, bool]]] = {
    "radar_clutter": (_radar_clutter, {"per_frame": True, "device": False}),
    "radar_ghost": (
        _radar_ghost,
        {"range_m": True, "bearing_deg": False, "speed_m_s": False, "rcs_dbsm": False, "device": False},
    ),
    "radar_frozen": (_radar_frozen, {"device": False}),
    "transponder_spoof": (
        _transponder_spoof,
        {"target": True, "number": False, "authentic": False, "range_m": False, "bearing_deg": False, "device": False},
    ),
    "lidar_blind": (_lidar_blind, {"device": False}),
    "sensor_bias": (_sensor_bias, {"device": True, "metres": False, "deg": False}),
}
"""Kinds of faults: how each is checked and prepared, and its parameters (name: whether it must be given)."""
