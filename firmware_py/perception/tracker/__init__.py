"""The one tracker of all sensors: see ``tracker.Tracker``."""

from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.report import Counters, FrameReport, Outcome, SensorHealth
from firmware_py.perception.tracker.tracker import Tracker

__all__ = ["Counters", "FrameReport", "Outcome", "SensorHealth", "Tracker", "TrackerConfig"]
