"""Telemetry of power and heat (channels 50 and up of comms/dictionary.py); ``None`` is missing."""

from __future__ import annotations

from typing import Any

from firmware_py.energy.manager import EnergyManager
from firmware_py.energy.thermal_node import ThermalState
from hal.reading import Quality

__all__ = ["energy_snapshot"]


def energy_snapshot(energy: EnergyManager) -> dict[str, Any]:
    """The channels of one moment."""
    stores, shedding, flows, panel = energy.stores, energy.shedding, energy.flows, energy.state.panel
    battery, stack = stores.battery_estimate, stores.supercap_estimate
    sunlit = panel.value if panel.quality is Quality.OK else None
    level = energy.peak_level
    dock = energy.dock
    return {
        "flows_w": None if flows is None else {
            "array": flows.array_w, "dock": flows.dock_w, "loads": flows.loads_w, "peaks": flows.peaks_w,
            "battery": flows.battery_out_w - flows.battery_in_w, "supercap": flows.supercap_out_w - flows.supercap_in_w,
            "spilled": flows.spilled_w, "unserved": flows.unserved_w, "pdu": flows.pdu_w,
        },
        "loads": {name: answer.verdict.value for name, answer in energy.loads.answers.items()},
        "shed": [] if shedding is None else list(shedding.loads),
        "shed_reasons": [] if shedding is None else [reason.value for reason in shedding.reasons],
        "power_faults": [] if shedding is None else [fault.text for fault in shedding.faults],
        "peak_level": None if level is None else level.value,
        "duty_level": energy.duties.word,
        "compute_share": energy.verdict.share,
        "rcs_share": energy.rcs_share,
        "soc_trust": {"battery": battery.trust.value, "supercap": stack.trust.value},
        "soc_sigma": {"battery": battery.sigma, "supercap": stack.sigma},
        "store_fade": {"battery": battery.fade, "supercap": stack.fade},
        "supercap_esr_ohm": stores.supercap.esr_ohm,
        "time_to_empty_s": None if flows is None else stores.time_to_empty_s(flows),
        "time_to_boost_s": None if flows is None else stores.time_to_boost_s(flows),
        "panel_voltage_v": None if sunlit is None else sunlit.voltage_v,
        "panel_power_w": None if sunlit is None else sunlit.power_w,
        "panel_setpoint_v": energy.charging.setpoint_v,
        "dock_feed": None if dock is None else dock.word,
        "dock_soft_start_pct": None if dock is None else dock.soft_start_pct,
        "heaters": [] if energy.plan is None else sorted(energy.plan.on),
        "heat_states": {
            name: verdict.state.value for name, verdict in energy.heat.nodes.items()
            if verdict.state is not ThermalState.NOMINAL
        },
        "budget": _budget(energy),
        "energy_j": _books(energy),
        "computer_c": energy.computer_c,
    }


def _budget(energy: EnergyManager) -> dict[str, float]:
    books = energy.peaks.books
    return {
        "held_j": books.held_j, "granted": books.granted, "queued": books.queued, "refused": books.refused,
        "revoked": books.revoked, "overrun_j": books.overrun_j,
    }


def _books(energy: EnergyManager) -> dict[str, float | None]:
    totals = energy.books.totals()
    return {
        "harvested": totals.harvested_j, "dock": totals.dock_j, "loads": totals.loads_j, "peaks": totals.peaks_j,
        "battery_loss": totals.battery_loss_j, "supercap_loss": totals.supercap_loss_j, "growth": totals.growth_j,
        "unexplained": totals.unexplained_j, "unexplained_share": totals.unexplained_share,
        "unknown_s": totals.unknown_s,
    }
