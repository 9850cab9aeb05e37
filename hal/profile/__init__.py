"""The hardware profile: what the craft is (body) and what its computer reaches (board), from checked, hashed YAML."""

from hal.profile.board import BoardConfig, BusConfig, BusKind, DeviceConfig, MountConfig, RateConfig, Role
from hal.profile.body import BodyConfig, NozzleConfig
from hal.profile.digest import hardware_profile_hash
from hal.profile.loader import ConfigError, Profile, fitting_window_ms, load_board, load_body, load_profile, load_yaml

__all__ = [
    "BoardConfig", "BodyConfig", "BusConfig", "BusKind", "ConfigError", "DeviceConfig", "MountConfig",
    "NozzleConfig", "Profile", "RateConfig", "Role", "fitting_window_ms", "hardware_profile_hash", "load_board",
    "load_body", "load_profile", "load_yaml",
]
