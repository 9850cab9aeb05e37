"""Draws the pictures of docs/gnc.md from flights made here and now: ``python -m bench._gnc_plots [folder]``.

Every curve comes from the same functions as the figures of ``bench/gnc``; nothing is stored between two runs. Where
Basilisk or daqp is not installed its curve is left out and the title says so. Colours and fonts are those of the
flight's pictures. A run into docs/pictures also renews the tables of the page (bench._gnc_page).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter
from scipy.stats import chi2

from bench import _gnc_page
from bench._basilisk_experiment import (
    AXES,
    DISTURBANCE_N_M,
    HOLD_GAINS,
    HOLD_S,
    SETTLED_DEG,
    SLEW_GAINS,
    SLEW_S,
    Ours,
    Record,
    Setup,
    disturbance,
    error_deg,
    floor_n_s,
    judge,
    turned_by,
)
from bench._basilisk_plant import MISSING, fly_basilisk_chain, fly_on_basilisk
from bench._gnc_allocation import _cheapest, _daqp, _nnls, _timed, boundary
from bench._gnc_estimation import TICK_S, AttitudeRun, riccati_limit_rad, wobble
from bench._gnc_profile import Craft
from bench._gnc_thruster_fault import PULSES, SECONDS, Trial, trial
from bench._gref_plant import fly_plain
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import authority
from firmware_py.gnc.control import FAR_EDGE_SHARE
from firmware_py.gnc.thrust_modes import ThrustMode, ThrustPolicy
from firmware_py.gnc.thrust_profile import Segment
from firmware_py.gnc.thruster_fault import BLOCK_S
from firmware_py.report.plots import BLACK, BLUE, GREEN, LINE, ORANGE, PULSE_SHADES, SKY, SOFT, STYLE, VERMILION, XYZ
from hal.frames import IDENTITY, unit
from hal.profile import BodyConfig, load_body

__all__ = [
    "PICTURES", "draw_allocation", "draw_attainable", "draw_estimation", "draw_faults", "draw_hold", "draw_profile",
    "draw_slew",
]

Array = npt.NDArray[np.float64]

PICTURES_FOLDER = _gnc_page.PAGE.parent / "pictures"
WIDTH_IN = 10.5
OURS, THEIRS, THIRD, PALE = BLUE, ORANGE, GREEN, "#dcebf5"
PLAIN_PLANT = "on the rig's own plant: bsk is not installed"
SLOWEST_US = 30.0
"""Right end of the histogram of times; what took longer is counted in the last bar."""
BLOCK_MS = 1e3 * BLOCK_S


# -- the frame of every picture


def _picture(title: str, height_in: float) -> Picture:
    picture = Picture(figsize=(WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(picture)
    picture.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return picture


def _save(picture: Picture, path: Path) -> Path:
    # The name of the drawing library's version would make the bytes depend on it.
    picture.savefig(path, metadata={"Software": None})
    return path


def _beside(axes: Axes) -> None:
    """The legend beside the axes, where it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0)


def _plain_log(axes: Axes) -> None:
    """A log scale that reads 0.01, not 10^-2."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _where() -> str:
    return PLAIN_PLANT if MISSING else "on Basilisk's plant"


def _spent(record: Record, body: BodyConfig) -> tuple[Array, Array]:
    """Times (s) and the impulse of all nozzles up to them (N s), by the valves' states, every 10 ms."""
    thrust = np.array([nozzle.thrust_n for nozzle in body.propulsion.nozzles])
    total: Array = np.concatenate([[0.0], np.cumsum(record.on @ thrust) * 1e-3])[::10]
    return np.arange(len(total), dtype=np.float64) * 0.01, total


# -- flights beside Basilisk's chain


def draw_slew(path: Path, seconds: float = SLEW_S, axis: str = "mixed") -> Path:
    """A turn of gref by 90 deg about one of the comparison's axes: error and impulse, ours and Basilisk's chain."""
    body = load_body("gref")
    target = turned_by(AXES[axis])
    chain = Ours.slew(body, Allocator(body), target, Setup())
    fly = fly_plain if MISSING else fly_on_basilisk
    flights = [("this software", OURS, fly(body, chain, seconds))]
    if not MISSING:
        flights.append(("Basilisk's modules", THEIRS, fly_basilisk_chain(body, target, SLEW_GAINS, seconds)))
    x, y, z = AXES[axis]
    picture = _picture(f"gref turns by 90 deg about ({x:g}, {y:g}, {z:g}), {_where()}", 5.6)
    upper, lower = picture.subplots(2, 1, sharex=True, height_ratios=(1.6, 1.0))
    for name, colour, record in flights:
        figures = judge(record, target)
        upper.plot(record.t_s, np.maximum(error_deg(record, target), 1e-3), color=colour,
                   label=f"{name}\nunder 1 deg after {figures.settled_s:.1f} s\n{figures.rms_deg:.3f} deg rms then")
        lower.plot(*_spent(record, body), color=colour,
                   label=f"{name}\n{figures.impulse_n_s:.1f} N s\ndrifts at {figures.drift_mm_s:.1f} mm/s at the end")
    _plain_log(upper)
    upper.axhline(SETTLED_DEG, color=SOFT, ls="--", lw=1.0)
    upper.set_ylabel("attitude error, deg")
    lower.set_ylabel("impulse of all\nnozzles, N s")
    lower.set_xlabel("time, s")
    lower.set_xlim(0.0, seconds)
    for axes in (upper, lower):
        _beside(axes)
    return _save(picture, path)


def draw_hold(path: Path, seconds: float = HOLD_S, axis: str = "x") -> Path:
    """Hold of gref against a constant torque: limit cycle with the switching curves, impulse beside the LP floor."""
    body, torque = load_body("gref"), disturbance(AXES[axis])
    setup = Setup()
    chain = Ours.hold(body, Allocator(body), IDENTITY, setup)
    fly = fly_plain if MISSING else fly_on_basilisk
    record = fly(body, chain, seconds, torque)
    picture = _picture(f"gref holds against {DISTURBANCE_N_M} N m about {axis}, {_where()}", 4.6)
    left, right = picture.subplots(1, 2, width_ratios=(1.15, 1.0))
    about = np.array(unit(AXES[axis]))
    angle = np.degrees(2.0 * record.quaternion[:, 1:] @ about * np.sign(record.quaternion[:, 0]))
    rate = np.degrees(record.rate @ about)
    late = record.t_s >= 0.5 * seconds
    left.plot(angle[late], rate[late], color=OURS, lw=0.7, alpha=0.8, label="flown, second half")
    acceleration = np.degrees(float(about @ np.linalg.solve(np.array(body.mass.inertia_kg_m2), np.array(torque))))
    _draw_curves(left, float(np.degrees(setup.deadband_rad)), acceleration, body.propulsion.window_ms * 1e-3)
    left.set_xlabel(f"angle about {axis}, deg")
    left.set_ylabel("rate, deg/s")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    floor = floor_n_s(body, torque, seconds)
    t, total = _spent(record, body)
    right.plot(t, total, color=OURS, lw=3.0, label=f"this software, {total[-1] / floor:.3f} x the floor")
    if not MISSING:
        t, total = _spent(fly_basilisk_chain(body, IDENTITY, HOLD_GAINS, seconds, torque), body)
        right.plot(t, total, color=THEIRS, label=f"Basilisk's modules, {total[-1] / floor:.3f} x")
    right.plot([0.0, seconds], [0.0, floor], "--", color=BLACK, label=f"floor of the linear programme, {floor:.1f} N s")
    right.set_xlabel("time, s")
    right.set_ylabel("impulse of all nozzles, N s")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return _save(picture, path)


def _draw_curves(axes: Axes, band: float, acceleration: float, window_s: float) -> None:
    """Switching curves and return path of firmware_py.gnc.control for one axis: deg, deg/s, deg/s2, s."""
    phi = np.linspace(-band, band, 200)
    ahead = 1.5 * window_s
    for edge, label in ((band, "switching curves"), (-band, "_")):
        axes.plot(phi, (edge - phi) / ahead - 0.5 * ahead * acceleration, "--", color=VERMILION, lw=1.3, label=label)
    way = phi + FAR_EDGE_SHARE * band
    back = np.where(way > 0.0, -np.sqrt(2.0 * acceleration * np.maximum(way, 0.0)), np.nan)
    axes.plot(phi, back, color=BLACK, lw=1.6, label="path of the return")
    axes.axvspan(-band, band, color=LINE, alpha=0.6, lw=0, zorder=0, label="dead-band")


# -- what a body can do, and what allocation makes of it


def draw_attainable(path: Path, name: str = "qiki-t", pushes: int = 200) -> Path:
    """Sections of the torque-free force with the FTG circle, and what mode AUTO makes of random pushes in them."""
    body = load_body(name)
    allocator = Allocator(body)
    found = authority(body).force
    policy = ThrustPolicy(body, allocator, found.inscribed)
    rng = np.random.default_rng(4)
    picture = _picture(f"{name}: force without torque, and what mode AUTO makes of {pushes} pushes", 4.3)
    planes = ((0, 1), (0, 2), (1, 2))
    turn = np.linspace(0.0, 2.0 * np.pi, 721)
    half = 1.12 * found.greatest
    for axes, (a, b), count in zip(picture.subplots(1, 3), planes, _shares(pushes, len(planes)), strict=True):
        edge = np.zeros((len(turn), 3))
        edge[:, a], edge[:, b] = np.cos(turn), np.sin(turn)
        reach = found.reach(edge)
        axes.fill(reach * edge[:, a], reach * edge[:, b], fc=PALE, ec=OURS, lw=1.2,
                  label="can be made without torque")
        axes.plot(found.inscribed * edge[:, a], found.inscribed * edge[:, b], "--", color=BLACK,
                  label=f"FTG: {found.inscribed:.0f} N in every direction")
        asked = np.zeros((count, 3))
        angle, size = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(0.2, 1.5, count) * found.inscribed
        asked[:, a], asked[:, b] = size * np.cos(angle), size * np.sin(angle)
        made = np.array([_pushed(policy, allocator, push) for push in asked])
        for push, got in zip(asked, made, strict=True):
            axes.plot([push[a], got[a]], [push[b], got[b]], color=SOFT, lw=0.5, zorder=1.5)
        axes.plot(asked[:, a], asked[:, b], ".", color=SOFT, ms=3, label="asked")
        axes.plot(made[:, a], made[:, b], ".", color=THEIRS, ms=5, label="made")
        axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xlabel=f"force {'XYZ'[a]}, N",
                 ylabel=f"force {'XYZ'[b]}, N")
    handles, labels = picture.axes[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=4)
    return _save(picture, path)


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (k < total % parts) for k in range(parts)]


def _pushed(policy: ThrustPolicy, allocator: Allocator, push: Array) -> Array:
    """Force that is really made of a wanted one, N, body axes."""
    x, y, z = push.tolist()
    shaped = policy.shape(ThrustMode.AUTO, (x, y, z, 0.0, 0.0, 0.0))
    made: Array = (allocator.wrenches @ allocator.allocate(shaped.wrench)[0])[:3]
    return made


def clipped(wrenches: Array, wrench: Array) -> Array:
    """The allocator of many papers: the pseudo-inverse, what is negative or above full thrust cut off."""
    duty: Array = np.clip(np.linalg.pinv(wrenches) @ wrench, 0.0, 1.0)
    return duty


def least_subtracted(wrenches: Array, wrench: Array) -> Array:
    """The other one: the pseudo-inverse less its smallest duty, scaled down as a whole if that passes full thrust.
    Right for a craft on which all nozzles together cancel."""
    duty = np.linalg.pinv(wrenches) @ wrench
    duty = duty - duty.min()
    scaled: Array = duty / max(1.0, float(duty.max()))
    return scaled


def draw_allocation(path: Path, name: str = "qiki-t", demands: int = 400, timed: int = 3000) -> Path:
    """Wrench error and propellant over the distance to the boundary for three allocators, and time for each call."""
    body = load_body(name)
    allocator = Allocator(body)
    rng = np.random.default_rng(6)
    edge = boundary(allocator, rng, demands)
    shares = np.linspace(0.02, 1.0, demands)
    kinds: list[tuple[str, str, str, Callable[[Array], Array]]] = [
        ("tables (this software)", OURS, "o", lambda b: allocator.allocate(b)[0]),
        ("pseudo-inverse, clipped", THEIRS, "^", lambda b: clipped(allocator.wrenches, b)),
        ("pseudo-inverse less its least duty", THIRD, "s", lambda b: least_subtracted(allocator.wrenches, b)),
    ]
    least = np.array([_cheapest(allocator, s * b) for s, b in zip(shares, edge, strict=True)], dtype=np.float64)
    weights = 1.0 / np.abs(allocator.wrenches).max(axis=1)
    picture = _picture(f"{name}: allocation of random wrenches", 4.6)
    error_axes, cost_axes, time_axes = picture.subplots(1, 3)
    for label, colour, marker, make in kinds:
        duties = np.array([make(s * b) for s, b in zip(shares, edge, strict=True)])
        wanted = shares[:, None] * np.array(edge)
        off = np.linalg.norm((duties @ allocator.wrenches.T - wanted) * weights, axis=1)
        error = off / np.linalg.norm(wanted * weights, axis=1)
        style = {"color": colour, "marker": marker, "ms": 2.6, "ls": "", "alpha": 0.7}
        error_axes.plot(shares, np.maximum(error, 1e-16), label=label, **style)
        cost_axes.plot(shares, duties @ allocator.thrust / least, label=label, **style)
    error_axes.set_yscale("log")
    error_axes.set_ylabel("wrench that was not asked for,\nshare of the demand")
    cost_axes.set_ylabel("propellant over HiGHS' optimum\n(of the clipped one: for another wrench)")
    for axes in (error_axes, cost_axes):
        axes.set_xlabel("demand, share of the boundary")
    picture.legend(*error_axes.get_legend_handles_labels(), loc="outside lower left", ncols=3, markerscale=2.2)
    _times(time_axes, allocator, timed, rng)
    return _save(picture, path)


def _times(axes: Axes, allocator: Allocator, calls: int, rng: np.random.Generator) -> None:
    """Time of each call on demands up to 0.4 of the boundary, the solvers taking turns."""
    solvers: list[tuple[str, str, Callable[[Array], object]]] = [
        ("tables", OURS, allocator.allocate), ("nnls", SKY, _nnls(allocator)),
    ]
    peer = _daqp(allocator)
    if peer is not None:
        solvers.append(("daqp", VERMILION, peer))
    edge = boundary(allocator, rng, min(calls, 1000))
    spent = np.array([
        [_timed(solve, share * edge[k % len(edge)]) for _, _, solve in solvers]
        for k, share in enumerate(rng.uniform(0.02, 0.4, calls))
    ]) * 1e-3
    bins = np.linspace(0.0, SLOWEST_US, 61).tolist()
    for (label, colour, _), times in zip(solvers, spent.T, strict=True):
        axes.hist(np.minimum(times, SLOWEST_US - 1e-6), bins, histtype="step", lw=1.6, color=colour,
                  label=f"{label}, median {np.median(times):.1f} us")
    axes.set_xlabel(f"time of a call, us\n(last bar: {SLOWEST_US:g} and more)")
    axes.set_ylabel(f"calls of {calls}")
    axes.legend(loc="upper right")


def draw_profile(path: Path, name: str = "qiki-t", level: float = 30.0, seconds: float = 4.0) -> Path:
    """One burn segment with ramps: push asked and made, and the valves that make it."""
    body = load_body(name)
    craft = Craft(body)
    segment = Segment(seconds, level, (1.0, 0.0, 0.0), ramp_in_s=1.0, ramp_out_s=0.5)
    force = segment.force(craft.ceiling, IDENTITY)
    states, _ = craft.fly(segment)
    along = states @ (craft.allocator.wrenches[:3].T @ np.array(unit(force)))
    window = body.propulsion.window_ms
    t = np.arange(len(along) + 1) * 1e-3
    made = np.concatenate([[0.0], np.cumsum(along) * 1e-3])
    asked = np.array([segment.level_seconds(0.0, x) for x in t]) * float(np.linalg.norm(force))
    picture = _picture(f"{name}: burn of {seconds:g} s at {level:g} % along +X, ramps of 1.0 and 0.5 s", 6.0)
    push, total, valves = picture.subplots(3, 1, sharex=True, height_ratios=(1.0, 0.9, 1.1))
    mean = along[: len(along) // window * window].reshape(-1, window).mean(axis=1)
    push.stairs(mean, np.arange(len(mean) + 1) * window * 1e-3, color=OURS, lw=1.6, label="made, mean of each window")
    push.plot(t, np.gradient(asked, t), color=BLACK, ls="--", label="asked")
    push.set_ylabel("push, N")
    total.plot(t, made, color=OURS, label="made")
    total.plot(t, asked, color=BLACK, ls="--", label="asked")
    total.set_ylabel("impulse, N s")
    for nozzle, column in enumerate(states.T):
        edges = np.diff(np.concatenate([[0], column.astype(np.int8), [0]]))
        spans = [(a * 1e-3, (b - a) * 1e-3) for a, b in zip(np.nonzero(edges > 0)[0], np.nonzero(edges < 0)[0],
                                                            strict=True)]
        valves.broken_barh(spans, (nozzle - 0.4, 0.8), color=PULSE_SHADES[2])
    valves.set_ylim(states.shape[1] - 0.5, -0.5)
    valves.set_yticks(range(0, states.shape[1], 2))
    valves.set_ylabel("nozzle open")
    valves.set_xlabel("time since the segment began, s")
    for axes in (push, total):
        _beside(axes)
    return _save(picture, path)


# -- estimation and faults


def draw_estimation(path: Path, seeds: int = 20, seconds: float = 80.0) -> Path:
    """Attitude error of one seed within three sigmas, and the mean NEES of many beside its 95 % band."""
    motion = wobble(seconds)
    rows, errors, sigmas = [], [], []
    for seed in range(seeds):
        run = AttitudeRun(motion, seed)
        row = []
        for k in range(len(motion.rates)):
            run.step()
            if seed == 0 and k % 10 == 9:
                errors.append(run.error() if run.filter.known else (np.nan,) * 3)
                sigmas.append(np.sqrt(np.diag(run.filter.covariance)[:3]) if run.filter.known else (np.nan,) * 3)
            if k % 200 == 199:
                row.append(run.nees()[0])
        rows.append(row)
    picture = _picture("Attitude filter: gyro and star tracker (2 Hz, 0.02 deg, 100 ms late), simulated", 6.0)
    upper, lower = picture.subplots(2, 1, sharex=True)
    t = (np.arange(len(errors)) * 10 + 10) * TICK_S
    milli, bound = 1e3 * np.degrees(np.array(errors)), 3e3 * np.degrees(np.array(sigmas)).max(axis=1)
    upper.fill_between(t, -bound, bound, color=LINE, label="three sigmas by the filter", lw=0)
    for axis, colour in zip(range(3), XYZ, strict=True):
        upper.plot(t, milli[:, axis], color=colour, lw=0.8, label=f"error about {'XYZ'[axis]}, one seed")
    limit = 1e3 * float(np.degrees(riccati_limit_rad()))
    for sign in (-1.0, 1.0):
        upper.axhline(sign * limit, color=BLACK, ls=":", lw=1.2,
                      label=f"Riccati limit, {limit:.1f} mdeg rms" if sign > 0.0 else "_")
    settled = bound[t > min(5.0, 0.5 * seconds)]
    upper.set_ylim(-1.6 * float(np.nanmax(settled)), 1.6 * float(np.nanmax(settled)))
    upper.set_ylabel("attitude error, mdeg")
    nees = np.array(rows).mean(axis=0)
    low, high = (float(chi2.ppf(p, 6 * seeds)) / seeds for p in (0.025, 0.975))
    lower.axhspan(low, high, color=LINE, lw=0, label="95 % of seconds lie here\nif the sigmas are right")
    lower.axhline(6.0, color=BLACK, ls=":", lw=1.2, label="6 expected")
    lower.plot(np.arange(1, len(nees) + 1), nees, "o-", color=OURS, ms=3, lw=0.8, label=f"mean NEES of {seeds} seeds")
    lower.set_ylabel("NEES, attitude and bias")
    lower.set_xlabel("time, s")
    lower.set_xlim(0.0, seconds)
    lower.set_ylim(0.0, max(12.0, 1.1 * float(nees.max())))
    for axes in (upper, lower):
        _beside(axes)
    return _save(picture, path)


def draw_faults(path: Path, bodies: Sequence[str] = ("qiki-t", "qiki-g", "bench-12kg"), seeds: int = 2) -> Path:
    """How soon a failed nozzle is named: pulses that it missed, or time that it was open against its command."""
    found: dict[str, list[Trial]] = {"failed off": [], "half thrust": [], "stuck on": []}
    for name in bodies:
        body = load_body(name)
        for seed in range(seeds):
            for nozzle in range(len(body.propulsion.nozzles)):
                found["failed off"].append(trial(body, 100 * seed + nozzle, nozzle, False))
                found["half thrust"].append(trial(body, 700 + 100 * seed + nozzle, nozzle, False, 0.5))
                found["stuck on"].append(trial(body, 100 * seed + nozzle, nozzle, True))
    count = len(found["stuck on"])
    picture = _picture(f"Thruster faults: {count} of each kind on {', '.join(bodies)}, random pulses", 4.0)
    left, right = picture.subplots(1, 2)
    most = 4 * PULSES + 1
    for place, (kind, colour) in enumerate((("failed off", OURS), ("half thrust", THEIRS))):
        trials = found[kind]
        named = [min(t.pulses, most) for t in trials if not t.wrong and np.isfinite(t.after_s)]
        shares = 100.0 * np.bincount(named, minlength=most + 1)[: most + 1] / len(trials)
        left.bar(np.arange(most + 1) + 0.4 * place - 0.2, shares, 0.4, color=colour,
                 label=f"{kind}: {len(named)} of {len(trials)} right")
    left.axvline(PULSES + 0.5, color=BLACK, ls="--", label=f"aim: {PULSES} pulses (or {SECONDS:g} s)")
    left.set(xlabel="pulses asked of the nozzle until it is named", ylabel="share of faults, %", xlim=(0.0, most))
    stuck = found["stuck on"]
    open_ms = np.array([1e3 * t.after_s for t in stuck if not t.wrong and np.isfinite(t.after_s)])
    longest = max(1e3 * SECONDS, float(open_ms.max(initial=0.0)))
    # Verdicts fall at the ends of 25 ms: each of them in the middle of a bar.
    bins = np.arange(-0.5 * BLOCK_MS, longest + 2.0 * BLOCK_MS, BLOCK_MS).tolist()
    right.hist(open_ms, bins, weights=np.full(len(open_ms), 100.0 / len(stuck)), color=OURS,
               label=f"stuck on: {len(open_ms)} of {len(stuck)} right")
    right.axvline(1e3 * SECONDS, color=BLACK, ls="--", label=f"aim: {1e3 * SECONDS:g} ms")
    right.set(xlabel="time open against its command until it is named, ms", ylabel="share of faults, %")
    left.set_xticks(range(0, most + 1, 2))
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, columnspacing=1.0)
    return _save(picture, path)


PICTURES: dict[str, Callable[[Path], Path]] = {
    "gnc-slew": draw_slew, "gnc-hold": draw_hold, "gnc-attainable": draw_attainable, "gnc-allocation": draw_allocation,
    "gnc-profile": draw_profile, "gnc-estimation": draw_estimation, "gnc-faults": draw_faults,
}
"""File name without suffix, and who draws it."""


def main(arguments: Sequence[str]) -> None:
    """Draw the pictures of docs/gnc.md into a folder; into docs/pictures also renew the page's tables."""
    parser = argparse.ArgumentParser(prog="python -m bench._gnc_plots", description=main.__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PICTURES_FOLDER)
    parser.add_argument("--only", choices=sorted(PICTURES), action="append", help="draw only this one")
    parser.add_argument("--tables", action="store_true", help="renew the page's tables, draw nothing")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context(["default", STYLE]):
        for name in [] if chosen.tables else chosen.only or PICTURES:
            began = perf_counter()
            path = PICTURES[name](chosen.folder / f"{name}.png")
            print(f"{path}  {perf_counter() - began:.1f} s", flush=True)
    if chosen.tables or chosen.folder.resolve() == PICTURES_FOLDER:
        print(f"{_gnc_page.PAGE}  {_gnc_page.renew()}")


if __name__ == "__main__":
    main(sys.argv[1:])
