"""Forecast and energy flight as tables for a terminal, as JSON, and as a verdict with the next step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from firmware_py.cli.energy_flight import EnergyFlightResult
from firmware_py.energy.forecast_plan import DayAhead, Forecast, ShedSpan
from hal.profile import BodyConfig

__all__ = ["EnergyVerdict", "fly_json", "fly_page", "fly_verdict", "forecast_json", "forecast_page", "forecast_verdict"]

WH = 3600.0
BOOKS_SHARE = 0.001
"""Most that books may leave unexplained (issue 5: 0.1 %)."""
SHEDS_SHOWN = 8
STYLES = {True: "green", False: "bold red"}


@dataclass(frozen=True, slots=True)
class EnergyVerdict:
    """Whether all holds, in words, and what to do next."""

    holds: bool
    text: str
    next_step: str


def forecast_verdict(body: BodyConfig, ahead: DayAhead) -> EnergyVerdict:
    """Holds if nothing is shed for a low battery, no SAFE and no darkness, pessimistically too."""
    marks, low = body.power.battery, "low_soc"
    for run, doubt in ((ahead.nominal, ""), (ahead.pessimistic, ", pessimistically")):
        if run.dark_from_s is not None:
            return EnergyVerdict(
                False, f"the battery is empty after {_hours(run.dark_from_s)}{doubt}: the bus goes off",
                "switch loads off (--off), turn the cells to the Sun (--cosine), or dock before",
            )
        if run.safe_from_s is not None:
            return EnergyVerdict(
                False, f"SAFE begins after {_hours(run.safe_from_s)}{doubt}",
                f"stay above {100 * marks.safe_soc:.0f} %: fewer loads (--off), more light, or a dock",
            )
        shed = run.first_shed(low)
        if shed is not None:
            return EnergyVerdict(
                False, f"{shed.load} is shed after {_hours(shed.start_s)}{doubt}: the battery falls to "
                f"{100 * marks.shed_soc:.0f} %", "shed it yourself before (--off), or plan less until then",
            )
    return EnergyVerdict(True, "the battery carries it, pessimistically too", "fly it: qiki energy fly, same options")


def forecast_json(body: BodyConfig, ahead: DayAhead, verdict: EnergyVerdict, plot: Path) -> dict[str, Any]:
    """One object for programs."""
    return {
        "body": body.body, "hours": ahead.nominal.hours, "nominal": _run_json(body, ahead.nominal),
        "pessimistic": _run_json(body, ahead.pessimistic), "holds": verdict.holds, "verdict": verdict.text,
        "next_step": verdict.next_step, "plot": str(plot),
    }


def _run_json(body: BodyConfig, run: Forecast) -> dict[str, Any]:
    first = run.first_shed()
    return {
        "min_soc_battery": run.min_soc_battery, "min_battery_h": run.min_battery_s / 3600.0,
        "end_soc_battery": run.end_soc_battery, "min_soc_supercap": run.min_soc_supercap,
        "first_shed": None if first is None else {
            "load": first.load, "reason": str(first.reason), "hours": first.start_s / 3600.0},
        "safe_from_h": _per_hour(run.safe_from_s), "bus_off_from_h": _per_hour(run.dark_from_s),
        "boost_h": run.boost_s / 3600.0, "cold_h": run.cold_s / 3600.0,
        "sources_wh": _wh(run.sources_j), "consumers_wh": _wh(run.consumers_j), "spilled_wh": run.spilled_j / WH,
        "unserved_wh": run.unserved_j / WH, "margin_wh": _margin_wh(body, run),
    }


def forecast_page(body: BodyConfig, words: str, ahead: DayAhead, verdict: EnergyVerdict) -> RenderableType:
    """Tables of a forecast."""
    nominal, low = ahead.nominal, ahead.pessimistic
    table = _table(f"{body.body}, {nominal.hours:g} h ahead: {words}", "", "as planned", "pessimistic")
    shown: tuple[tuple[str, Callable[[Forecast], str]], ...] = (
        ("lowest charge of the battery", lambda f: f"{100 * f.min_soc_battery:.1f} % at {_hours(f.min_battery_s)}"),
        ("its charge at the end", lambda f: f"{100 * f.end_soc_battery:.1f} %"),
        ("margin to load shedding", lambda f: f"{_margin_wh(body, f):+.0f} Wh"),
        ("lowest of the supercapacitor", lambda f: f"{100 * f.min_soc_supercap:.1f} % at {_hours(f.min_supercap_s)}"),
        ("time at T_boost", lambda f: _hours(f.boost_s)),
        ("first shed", lambda f: _shed(f.first_shed())),
        ("first shed for a low battery", lambda f: _shed(f.first_shed("low_soc"))),
        ("SAFE from", lambda f: _when(f.safe_from_s)),
        ("bus off from", lambda f: _when(f.dark_from_s)),
        ("battery too cold to charge", lambda f: _hours(f.cold_s)),
        ("spilled / unserved", lambda f: f"{f.spilled_j / WH:.1f} / {f.unserved_j / WH:.1f} Wh"),
    )
    for name, show in shown:
        table.add_row(name, show(nominal), show(low))
    flows = _flows_table(_wh(nominal.sources_j), _wh(nominal.consumers_j))
    return Group(table, Text(""), flows, Text(""), *_verdict(verdict))


def fly_verdict(body: BodyConfig, result: EnergyFlightResult) -> EnergyVerdict:
    """Holds if books close, the bus stays on and above its least voltage, no SAFE, no cold charge, nothing shed low."""
    if result.unexplained_share > BOOKS_SHARE:
        return EnergyVerdict(
            False, f"the world's books leave {100 * result.unexplained_share:.3g} % unexplained",
            "this is a fault of the rig; say with which options it came",
        )
    if result.dark_s > 0.0:
        back = f"; back after {_hours(result.wake_s[-1])}" if result.wake_s else "; it did not come back"
        return EnergyVerdict(
            False, f"the bus was off for {_hours(result.dark_s)}{back}",
            "qiki energy forecast says when, and what helps",
        )
    safe_s = result.first_safe_s()
    if safe_s is not None:
        return EnergyVerdict(
            False, f"SAFE began by {_hours(safe_s)}: a store was at its last",
            f"stay above {100 * body.power.battery.safe_soc:.0f} %: fewer loads (--off), more light, or a dock",
        )
    if result.under_voltage_s > 0.05:
        return EnergyVerdict(
            False, f"the bus was under {body.power.bus.empty_v:g} V for {result.under_voltage_s:.1f} s",
            "less load at once: --off, or shorter faults",
        )
    if result.cold_charge_j > 0.0:
        return EnergyVerdict(
            False, f"{result.cold_charge_j:.0f} J went into a battery too cold for it",
            "keep it warm: --temperature, --ambient",
        )
    shed = result.first_shed("low_soc")
    if shed is not None:
        return EnergyVerdict(
            False, f"{shed.load} was shed after {_hours(shed.start_s)} for a low battery", "plan less, or more light",
        )
    return EnergyVerdict(
        True, "books closed, bus on, nothing shed for a low battery", "qiki energy fly --fault ... to stress it",
    )


def _consumers(result: EnergyFlightResult) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    j = result.world_j
    sources = {"array": j["harvested"] / WH, "dock": j["dock"] / WH}
    if j["set"]:
        sources["set by hand"] = j["set"] / WH
    consumers = {
        "loads": (j["loads"] - result.heaters_j) / WH, "heaters": result.heaters_j / WH, "thrusters": j["valves"] / WH,
        "peaks": j["peaks"] / WH, "back into the dock": j["backflow"] / WH,
    }
    losses = {"battery": j["battery_losses"] / WH, "supercap": j["supercap_losses"] / WH}
    return sources, consumers, losses


def fly_json(
    body: BodyConfig, hours: float, seed: int, result: EnergyFlightResult, verdict: EnergyVerdict, plot: Path
) -> dict[str, Any]:
    """One object for programs."""
    sources, consumers, losses = _consumers(result)
    return {
        "body": body.body, "hours": hours, "seed": seed, "sources_wh": sources, "consumers_wh": consumers,
        "losses_wh": losses, "stored_wh": result.growth_j / WH, "unexplained_share": result.unexplained_share,
        "on_board_share": None if result.on_board is None else result.on_board.unexplained_share,
        "min_soc_battery": result.min_soc_battery, "min_battery_h": result.min_battery_s / 3600.0,
        "min_soc_supercap": result.min_soc_supercap, "end_soc_battery": result.rows[-1].soc_battery,
        "sheds": [
            {"load": s.load, "reason": str(s.reason), "from_h": s.start_s / 3600.0, "to_h": s.end_s / 3600.0}
            for s in result.sheds
        ],
        "under_voltage_s": result.under_voltage_s, "bus_off_h": result.dark_s / 3600.0,
        "woke_h": [t / 3600.0 for t in result.wake_s], "cold_charge_j": result.cold_charge_j,
        "worst_estimate": result.worst_estimate, "events": len(result.events) + result.dropped_events,
        "holds": verdict.holds, "verdict": verdict.text, "next_step": verdict.next_step, "plot": str(plot),
    }


def fly_page(body: BodyConfig, words: str, result: EnergyFlightResult, verdict: EnergyVerdict) -> RenderableType:
    """Tables of a flight."""
    sources, consumers, losses = _consumers(result)
    spent = consumers | {f"lost in the {name}": wh for name, wh in losses.items()}
    stored = result.growth_j / WH
    sources |= {"out of the stores": -stored} if stored < 0.0 else {}
    spent |= {"into the stores": stored} if stored >= 0.0 else {}
    title = f"{body.body}, {result.rows[-1].t_s / 3600.0:g} h flown: {words}"
    facts = _table(title, "", "found")
    board = result.on_board
    if board is None or board.unexplained_share is None:
        books = "no books: the bus is off"
    else:
        books = f"unexplained {100 * board.unexplained_share:.2g} % over {_hours(board.known_s)} of known time"
    woke = f", back at {', '.join(_hours(t) for t in result.wake_s)}" if result.wake_s else ""
    for name, text in (
        ("sources = loads + losses + stored", f"unexplained {100 * result.unexplained_share:.2g} %"),
        ("the same by the books on board", books),
        ("lowest charge of the battery", f"{100 * result.min_soc_battery:.1f} % at {_hours(result.min_battery_s)}"),
        ("its charge at the end", f"{100 * result.rows[-1].soc_battery:.1f} %"),
        ("lowest of the supercapacitor", f"{100 * result.min_soc_supercap:.1f} % at {_hours(result.min_supercap_s)}"),
        ("worst estimate of the battery's charge", "none" if result.worst_estimate is None
         else f"{100 * result.worst_estimate:.1f} points off"),
        (f"bus on, but under {body.power.bus.empty_v:g} V", f"{result.under_voltage_s:.1f} s"),
        ("bus off", _hours(result.dark_s) + woke),
        ("charged while too cold", f"{result.cold_charge_j:.0f} J"),
        ("spilled / unserved", f"{result.world_j['spilled'] / WH:.1f} / {result.world_j['unserved'] / WH:.1f} Wh"),
    ):
        facts.add_row(name, text)
    blank = Text("")
    return Group(
        facts, blank, _flows_table(sources, spent), blank, _sheds_table(result.sheds), blank, *_verdict(verdict)
    )


# -- pieces


def _table(title: str, *columns: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", title_style="bold", header_style="dim",
        pad_edge=False, show_edge=False,
    )
    for index, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=index == 0 and len(columns) > 1)
    return table


def _flows_table(sources: Mapping[str, float], consumers: Mapping[str, float]) -> Table:
    """Sources beside consumers, Wh, nothing below a hundredth."""
    table = _table("Who gave and who took", "source", "Wh", "consumer", "Wh ")
    given = [(name, wh) for name, wh in sources.items() if abs(wh) >= 0.005]
    taken = sorted(((name, wh) for name, wh in consumers.items() if abs(wh) >= 0.005), key=lambda item: -item[1])
    for index in range(max(len(given), len(taken))):
        cells: list[str] = []
        for listed in (given, taken):
            cells += [listed[index][0], f"{listed[index][1]:.2f}"] if index < len(listed) else ["", ""]
        table.add_row(*cells)
    table.add_row("sum", f"{sum(wh for _, wh in given):.2f}", "sum", f"{sum(wh for _, wh in taken):.2f}", style="bold")
    return table


def _sheds_table(sheds: Sequence[ShedSpan]) -> RenderableType:
    if not sheds:
        return Text("Nothing was shed.", style="green")
    sums: dict[tuple[str, str], list[float]] = {}
    for span in sheds:
        entry = sums.setdefault((span.load, str(span.reason)), [span.start_s, 0.0, 0.0])
        entry[1] += span.end_s - span.start_s
        entry[2] += 1.0
    table = _table("Shed", "load", "reason", "first at", "times", "together")
    ordered = sorted(sums.items(), key=lambda item: item[1][0])
    for (load, reason), (first, total, times) in ordered[:SHEDS_SHOWN]:
        table.add_row(load, reason, _hours(first), f"{times:.0f}", _hours(total))
    if len(ordered) > SHEDS_SHOWN:
        table.add_row(f"and {len(ordered) - SHEDS_SHOWN} more", "", "", "", "")
    return table


def _verdict(verdict: EnergyVerdict) -> list[RenderableType]:
    mark = "holds" if verdict.holds else "does NOT hold"
    return [Text(f"{mark}: {verdict.text}", style=STYLES[verdict.holds]), Text(f"-> {verdict.next_step}", style="dim")]


def _hours(seconds: float) -> str:
    if 0.0 < seconds < 60.0:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60.0)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{seconds / 60.0:.3g} min"


def _when(seconds: float | None) -> str:
    return "never" if seconds is None else _hours(seconds)


def _shed(span: ShedSpan | None) -> str:
    return "none" if span is None else f"{span.load} at {_hours(span.start_s)} ({span.reason})"


def _per_hour(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600.0


def _wh(joules: Mapping[str, float]) -> dict[str, float]:
    return {name: value / WH for name, value in joules.items()}


def _margin_wh(body: BodyConfig, run: Forecast) -> float:
    return run.margin_j(body.power.battery, body.power.battery.capacity_wh * WH) / WH
