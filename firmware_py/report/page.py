"""One self-contained HTML page of a flight: verdicts, steps, pictures, figures and events; no network, no scripts.

Everything that comes from the record is escaped. The same flight and pictures give the same bytes.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from fdir.codes import Severity
from firmware_py.mission import StepOutcome
from firmware_py.report.answers import HEATING, AnswerSpan, answer_spans
from firmware_py.report.figures import FIGURES, Verdict, at_the_end, flown_steps, summary
from firmware_py.report.scope import FlightData, Row, Value

__all__ = ["format_value", "write_page"]

NS = 1e9
EVENT_LIMIT = 2000
"""Events in one table; a flight with more says how many were left out."""
PICTURE_TEXT = {
    "mission": "Steps, mode and events; below them rates, pointing, position, pulses of every nozzle, and propellant.",
    "energy": "What loads were told, charges and their thresholds, what the panel gave of what was there, who took it, "
    "the bus and its limits, and temperatures.",
    "path": "Two views of the path.",
}
HEADLINE = ("duration_s", "steps_not_done", "propellant_used_kg", "load_energy_wh", "largest_rate_deg_s")
"""Figures of the whole flight shown large on top."""
ENERGY = ("panel_share", "overload_s", "bus_under_ms", "energy_unexplained", "energy_unexplained_on_board")
"""Figures shown large over what the loads were told."""
STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1f2933;max-width:1180px;margin:2rem auto;
 padding:0 1.2rem}
h1{font-size:1.7rem;margin:0 0 .2rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #dfe4e8;padding-bottom:.25rem}
p.sub{color:#5a6774;margin:.1rem 0 1rem}
p.note{color:#5a6774;font-size:14px;margin:.2rem 0 .6rem}
.state{padding:.55rem .9rem;border-left:5px solid;border-radius:3px;font-weight:600;margin:1rem 0}
.state.ok{background:#e6f5f0;border-color:#009e73;color:#00614a}
.state.no{background:#fcece2;border-color:#d55e00;color:#9a4300}
.state.none{background:#eef1f4;border-color:#77838f;color:#3c4854}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:.7rem;margin:1rem 0}
.card{border:1px solid #dfe4e8;border-radius:4px;padding:.5rem .8rem}
.card b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}
.card span{color:#5a6774;font-size:13px;display:block;line-height:1.35}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
td,th{padding:.3rem .6rem;border-bottom:1px solid #eef1f4;text-align:left;vertical-align:top}
th{color:#5a6774;font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.ok{color:#00755a;font-weight:600}
td.no,td.critical{color:#b34a00;font-weight:600}
td.warning{color:#8a6100;font-weight:600}
img{max-width:100%;height:auto;display:block;margin:.3rem 0 1.2rem}
code{font-size:13px;color:#3c4854;overflow-wrap:anywhere}
details{margin:.8rem 0}
summary{cursor:pointer;color:#0b5f96}
i{color:#77838f}
@media print{body{max-width:none;margin:0}details{display:none}h2{break-after:avoid}img{break-inside:avoid}}
"""


def format_value(value: Value) -> str:
    """A figure's value in four significant digits; ``missing`` where there is none."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def _td(text: str, kind: str = "") -> str:
    return f'<td class="{escape(kind)}">{text}</td>' if kind else f"<td>{text}</td>"


def _value(value: Value, kind: str = "n") -> str:
    return _td("<i>missing</i>" if value is None else escape(format_value(value)), kind)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """A table of ready-made cells; ``numbers`` are the columns whose heading stands right."""
    top = "".join(
        f'<th class="n">{escape(h)}</th>' if column in numbers else f"<th>{escape(h)}</th>"
        for column, h in enumerate(head)
    )
    body = "".join("<tr>" + "".join(row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "<p>Nothing was expected.</p>"
    rows = [
        [
            _td(escape(v.expect.figure)), _td(escape(v.where or "whole flight")), _value(v.value),
            _td(escape(v.unit)), _td(escape(v.allowed)),
            _td("holds", "ok") if v.holds else _td(escape(f"fails: {v.why}" if v.why else "fails"), "no"),
        ]
        for v in verdicts
    ]
    return _table(["figure", "where", "found", "unit", "expected", "verdict"], rows, frozenset({2}))


def _steps(data: FlightData) -> str:
    steps = flown_steps(data)
    if not steps:
        return "<p>No step was recorded.</p>"
    rows = [
        [
            _td(escape(step.name)), _td(f"{step.start_ns / NS:.2f}", "n"), _td(f"{step.end_ns / NS:.2f}", "n"),
            _td(f"{(step.end_ns - step.start_ns) / NS:.2f}", "n"),
            _td(escape(step.outcome), "ok" if step.outcome == StepOutcome.DONE else "no"), _td(escape(step.detail)),
        ]
        for step in steps
    ]
    return _table(["step", "start, s", "end, s", "took, s", "outcome", ""], rows, frozenset({1, 2, 3}))


def _events(events: Sequence[Row]) -> str:
    if not events:
        return "<p>None.</p>"
    rows = [
        [
            _td(f"{t_ns / NS:.3f}", "n"), _td(escape(str(row["severity"])), str(row["severity"])),
            _td(f"<code>{escape(str(row['code']))}</code>"), _td(escape(str(row["text"]))),
        ]
        for t_ns, row in events[:EVENT_LIMIT]
    ]
    table = _table(["t, s", "severity", "code", "text"], rows, frozenset({0}))
    left = len(events) - EVENT_LIMIT
    return table + (f"<p>{left} more are in the black box.</p>" if left > 0 else "")


def _cards(data: FlightData, figures: dict[str, Value]) -> str:
    # Over a whole flight every turn counts as a pointing error, so that one is shown of the end.
    pointing = at_the_end(data, "attitude_error_rms_deg")
    cards = [_card(figures[name], FIGURES[name].unit, FIGURES[name].text) for name in HEADLINE]
    cards.append(_card(pointing, "deg", "pointing error of the last 10 s, root mean square"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _card(value: Value, unit: str, text: str) -> str:
    shown = "" if unit in ("1", "-") or value is None else f" {escape(unit)}"
    return f'<div class="card"><b>{escape(format_value(value))}{shown}</b><span>{_prose(text)}</span></div>'


def _energy(data: FlightData, figures: dict[str, Value]) -> str:
    """How well power was used, how low the stores came, and which loads yielded, and for what."""
    cards = [_card(figures[name], FIGURES[name].unit, FIGURES[name].text) for name in ENERGY]
    for key, name in (("soc_battery", "battery"), ("soc_supercap", "supercapacitor")):
        lowest, whose = _lowest_pct(data, key)
        cards.append(_card(lowest, "%", f"lowest charge of the {name}, {whose}"))
    return f'<div class="cards">{"".join(cards)}</div>{_answers(data)}'


def _lowest_pct(data: FlightData, key: str) -> tuple[float | None, str]:
    """Lowest charge in percent: true, or as estimated if no truth has it."""
    for rows, whose in ((data.truth, "true"), (data.snapshots, "estimated")):
        values = [row[key] for _, row in rows if row.get(key) is not None]
        if values:
            return 100.0 * min(values), whose
    return None, "not recorded"


def _answers(data: FlightData) -> str:
    if not any(row.get("loads") for _, row in data.snapshots):
        return "<p>What loads were told was not recorded.</p>"
    found: dict[tuple[str, str], list[AnswerSpan]] = {}
    for span in answer_spans(data):
        if span.word != HEATING:
            found.setdefault((span.load, span.word), []).append(span)
    if not found:
        return "<p>Every load had what it asked for.</p>"
    rows = [
        [
            _td(escape(load)), _td(escape(word)), _td(f"{spans[0].start_s:.2f}", "n"), _td(str(len(spans)), "n"),
            _td(f"{sum(span.end_s - span.start_s for span in spans):.2f}", "n"),
        ]
        for (load, word), spans in found.items()
    ]
    return _table(["load", "answer", "first at, s", "times", "together, s"], rows, frozenset({2, 3, 4}))


def _prose(text: str) -> str:
    """Text of a figure, whose code words stand between back-quotes."""
    parts = escape(text).split("`")
    return "".join(part if index % 2 == 0 else f"<code>{part}</code>" for index, part in enumerate(parts))


def _state(verdicts: Sequence[Verdict]) -> str:
    failed = sum(not v.holds for v in verdicts)
    if not verdicts:
        return '<p class="state none">Nothing was expected of this flight.</p>'
    if failed:
        return f'<p class="state no">{failed} of {len(verdicts)} expectations do not hold.</p>'
    return f'<p class="state ok">All {len(verdicts)} expectations hold.</p>'


def _picture(path: Path) -> str:
    text = escape(PICTURE_TEXT.get(path.stem, path.stem))
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p class="note">{text}</p><img alt="{text}" src="data:image/png;base64,{encoded}">'


def write_page(data: FlightData, verdicts: Sequence[Verdict], pictures: Sequence[Path], path: Path) -> Path:
    """Write the page to ``path``, whole or not at all, with the PNG ``pictures`` inside it. Returns ``path``."""
    meta = data.metadata
    figures = summary(data)
    serious = [event for event in data.events if event[1]["severity"] in (Severity.WARNING, Severity.CRITICAL)]
    title = escape(str(meta.get("mission") or "flight"))
    who = ", ".join(data.identity) or "unknown craft"
    truth = "" if data.truth else " No truth was recorded: figures that need it are missing."
    rows = [
        [_td(f"<code>{name}</code>"), _value(value), _td(escape(FIGURES[name].unit)), _td(_prose(FIGURES[name].text))]
        for name, value in figures.items()
    ]
    identity = [[_td(escape(key)), _td(f"<code>{escape(str(value))}</code>")] for key, value in sorted(meta.items())]
    page = "\n".join((
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<title>{title}</title><meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{STYLE}</style></head><body>",
        f'<h1>{title}</h1><p class="sub">{escape(who)}.{truth}</p>',
        _state(verdicts),
        _cards(data, figures),
        f"<h2>Expected and found</h2>{_verdicts(verdicts)}",
        f"<h2>Steps</h2>{_steps(data)}",
        f"<h2>Power</h2>{_energy(data, figures)}",
        f"<h2>Pictures</h2>{''.join(map(_picture, pictures)) or '<p>None.</p>'}",
        f"<h2>Warnings</h2>{_events(serious)}",
        f"<h2>Figures of the whole flight</h2>{_table(['figure', 'value', 'unit', ''], rows, frozenset({1}))}",
        f"<details><summary>All events ({len(data.events)})</summary>{_events(data.events)}</details>",
        f"<details><summary>What flew</summary>{_table(['key', 'value'], identity)}</details>",
        "</body></html>\n",
    ))
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, path)
    return path
