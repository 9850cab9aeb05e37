"""One self-contained HTML page of a flight: verdicts, steps, figures, pictures and events; no network, no scripts."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from fdir.codes import Code, Severity
from firmware_py.report.figures import FIGURES, FlightData, Verdict, summary

__all__ = ["write_page"]

STYLE = """
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #e4e8ec;padding-bottom:.2rem}
p.sub{color:#5a6774;margin-top:0}table{border-collapse:collapse;width:100%;font-size:14px}
td,th{padding:.3rem .6rem;border-bottom:1px solid #eef1f4;text-align:left;vertical-align:top}th{color:#5a6774;font-weight:600}
td.n{text-align:right;font-variant-numeric:tabular-nums}.ok{color:#27864b;font-weight:600}.no{color:#c0392b;font-weight:600}
.warning{color:#9a5b00}.critical{color:#c0392b}img{max-width:100%;display:block;margin:1rem 0}code{font-size:13px;color:#5a6774}
details{margin:.6rem 0}summary{cursor:pointer;color:#2563a8}
"""


def _cell(value: object) -> str:
    if value is None:
        return "<i>missing</i>"
    if isinstance(value, float):
        return f"{value:.4g}"
    return html.escape(str(value))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for v in verdicts:
        where = ", ".join(x for x in (v.expect.step and f"step {v.expect.step}",
                                      v.expect.last_s and f"last {v.expect.last_s:g} s", v.expect.code) if x)
        mark = '<td class="ok">holds</td>' if v.holds else '<td class="no">fails</td>'
        unit = FIGURES[v.expect.figure].unit if v.expect.figure in FIGURES else "?"
        rows.append([f"<td>{html.escape(v.expect.figure)}</td>", f"<td>{html.escape(where)}</td>",
                     f'<td class="n">{_cell(v.value)}</td>', f"<td>{html.escape(unit)}</td>",
                     f"<td>{html.escape(v.allowed)}</td>", mark])
    return _table(["figure", "where", "value", "unit", "expected", ""], rows) if rows else "<p>Nothing was expected.</p>"


def _steps(data: FlightData) -> str:
    codes = (Code.STEP_DONE, Code.STEP_TIMEOUT, Code.CMD_REJECTED)
    rows = [
        [f'<td class="n">{t / 1e9:.2f}</td>',
         f'<td class="{"ok" if row["code"] == Code.STEP_DONE else "no"}">{html.escape(str(row["code"]))}</td>',
         f"<td>{html.escape(str(row['text']))}</td>"]
        for t, row in data.events if row["code"] in codes
    ]
    return _table(["t, s", "", "step"], rows)


def _events(data: FlightData, least: tuple[Severity, ...]) -> str:
    rows = [
        [f'<td class="n">{t / 1e9:.3f}</td>', f'<td class="{html.escape(str(row["severity"]))}">{html.escape(str(row["severity"]))}</td>',
         f"<td>{html.escape(str(row['code']))}</td>", f"<td>{html.escape(str(row['text']))}</td>"]
        for t, row in data.events if row["severity"] in least
    ]
    return _table(["t, s", "severity", "code", "text"], rows) if rows else "<p>None.</p>"


def write_page(data: FlightData, verdicts: Sequence[Verdict], pictures: Sequence[Path], path: Path) -> Path:
    """Write the page; pictures are embedded. Returns ``path``."""
    meta = data.metadata
    figures = [
        [f"<td>{html.escape(FIGURES[name].text)}</td>", f'<td class="n">{_cell(value)}</td>',
         f"<td>{html.escape(FIGURES[name].unit)}</td>"]
        for name, value in summary(data).items()
    ]
    images = "".join(
        f'<img alt="{html.escape(p.stem)}" src="data:image/png;base64,{base64.b64encode(p.read_bytes()).decode()}">'
        for p in pictures
    )
    good = all(v.holds for v in verdicts)
    title = html.escape(f"{meta.get('mission', 'flight')} on {meta.get('body', '?')}")
    state = '<span class="ok">every expectation holds</span>' if good else '<span class="no">not every expectation holds</span>'
    identity = _table(["", ""], [[f"<td>{html.escape(k)}</td>", f"<td><code>{html.escape(str(v))}</code></td>"]
                                 for k, v in sorted(meta.items())])
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p class=sub>{state}</p>"
        f"<h2>Expected and found</h2>{_verdicts(verdicts)}<h2>Steps</h2>{_steps(data)}<h2>Pictures</h2>{images}"
        f"<h2>Warnings</h2>{_events(data, (Severity.WARNING, Severity.CRITICAL))}"
        f"<h2>Figures of the whole flight</h2>{_table(['figure', 'value', 'unit'], figures)}"
        f"<details><summary>All events</summary>{_events(data, tuple(Severity))}</details>"
        f"<details><summary>What flew</summary>{identity}</details></body></html>"
    )
    temporary = path.with_suffix(".tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)
    return path
