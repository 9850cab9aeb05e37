"""Collision risk of tracks: geometry of encounters, uncertainty of the miss, levels over time, and the way out."""

from firmware_py.perception.risk.assess import RiskEvent, RiskReport, RiskWatch
from firmware_py.perception.risk.config import LevelRules, RiskConfig, check_risk
from firmware_py.perception.risk.contacts import contacts_of
from firmware_py.perception.risk.levels import Level
from firmware_py.perception.risk.own import OwnState
from firmware_py.perception.risk.threat import Threat, ThreatKind

__all__ = [
    "Level", "LevelRules", "OwnState", "RiskConfig", "RiskEvent", "RiskReport", "RiskWatch", "Threat", "ThreatKind",
    "check_risk", "contacts_of",
]
