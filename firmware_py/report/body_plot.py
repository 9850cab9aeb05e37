"""Picture of what a body can do: its nozzles, and the exact limits of force and torque as bodies and as sections.

The same body draws the same PNG bytes. Colours and fonts are those of the flight's pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.colors
import matplotlib.patheffects
import matplotlib.style
import matplotlib.ticker
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from firmware_py.gnc.authority import Authority, Slice, authority
from firmware_py.report.plots import BLACK, BLUE, MANY, ORANGE, SOFT, STYLE, VERMILION
from hal.profile.body import BodyConfig

__all__ = ["draw_body"]

Array = npt.NDArray[np.float64]

WIDTH_IN, HEIGHT_IN = 11.5, 11.9
SECTION_POINTS = 720
PLANES = ((0, 1), (0, 2), (1, 2))
ARROW_SHARE = 0.45
"""Length of the strongest nozzle's arrow, in half widths of the layout."""
VIEW = (24.0, -52.0)
"""Elevation and azimuth of the three views, deg: X comes to the right front, Y goes to the right back, Z is up."""


def draw_body(body: BodyConfig, path: Path, found: Authority | None = None) -> Path:
    """Draw ``body`` into the PNG ``path``; returns it.

    ``found`` is its authority if that is known already; nozzles that failed there are grey, and what the body does
    with all of them is drawn as a thin line. Raises OSError if the file can't be written.
    """
    found = authority(body) if found is None else found
    whole = authority(body) if found.failed else None
    with matplotlib.style.context(["default", STYLE]):
        picture = Picture(figsize=(WIDTH_IN, HEIGHT_IN))
        FigureCanvasAgg(picture)
        picture.suptitle(_title(body, found), x=0.035, y=0.985, ha="left", fontsize=12, fontweight="bold")
        _layout(_view(picture, 0), body, found)
        _solid(_view(picture, 1), found.force, "force without torque, N", BLUE)
        _solid(_view(picture, 2), found.torque, "torque without force, N m", ORANGE)
        _sections(picture, 1, found.force, whole.force if whole else None, ("force", "N"), BLUE)
        _sections(picture, 2, found.torque, whole.torque if whole else None, ("torque", "N m"), ORANGE)
        # The name of the drawing library's version would make the bytes depend on it.
        picture.savefig(path, metadata={"Software": None})
    return path


def _title(body: BodyConfig, found: Authority) -> str:
    dead = f", dead: nozzle {', '.join(map(str, found.failed))}" if found.failed else ""
    return f"{body.body}: what it can do{dead}" + ("" if found.controllable else "   (NOT controllable)")


# -- the views


def _view(picture: Picture, column: int) -> Any:
    axes = picture.add_axes((0.02 + 0.325 * column, 0.69, 0.29, 0.262), projection="3d")
    axes.view_init(*VIEW)
    axes.set_proj_type("ortho")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
    axes.tick_params(labelsize=7, pad=0)
    return axes


def _frame(axes: Any, title: str, half: float, centre: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
    for name, middle in zip("xyz", centre, strict=True):
        getattr(axes, f"set_{name}lim")(middle - half, middle + half)
        getattr(axes, f"set_{name}label")(name.upper(), labelpad=-4)
        getattr(axes, f"{name}axis").set_major_locator(matplotlib.ticker.MaxNLocator(5))
    axes.set_box_aspect((1.0, 1.0, 1.0), zoom=1.0)
    axes.set_title(title, fontsize=9, pad=2)


def _layout(axes: Any, body: BodyConfig, found: Authority) -> None:
    """Nozzles where they are, and the force that each makes."""
    nozzles = body.propulsion.nozzles
    places = np.array([nozzle.position_m for nozzle in nozzles])
    com = np.array(body.mass.centre_of_mass_m)
    middle = 0.5 * (places.max(axis=0) + places.min(axis=0))
    half = float(np.abs(places - middle).max()) or 1.0
    strongest = max(nozzle.thrust_n for nozzle in nozzles)
    clusters = list(dict.fromkeys(nozzle.cluster for nozzle in nozzles))
    for nozzle, place in zip(nozzles, places, strict=True):
        dead = nozzle.id in found.failed
        colour = SOFT if dead else MANY[clusters.index(nozzle.cluster) % len(MANY)]
        arrow = ARROW_SHARE * half * nozzle.thrust_n / strongest * np.array(nozzle.direction)
        axes.quiver(*place, *arrow, color=colour, lw=1.4, arrow_length_ratio=0.3, ls=":" if dead else "-")
        axes.scatter(*place, color=colour, s=10, depthshade=False)
        # At the tip, since nozzles of one cluster may share a place.
        axes.text(*(place + 1.35 * arrow), str(nozzle.id), color=colour, fontsize=7, ha="center", va="center")
    axes.scatter(*com, color=BLACK, marker="x", s=36, depthshade=False)
    _frame(axes, "nozzles, m: arrows are the force on the body", 1.25 * half, middle)
    handles = [
        Line2D([], [], color=MANY[n % len(MANY)], label=name) for n, name in enumerate(clusters[: len(MANY)])
    ]
    handles.append(Line2D([], [], color=BLACK, marker="x", ls="", label="centre of mass"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, columnspacing=1.0)


def _solid(axes: Any, part: Slice, title: str, colour: str) -> None:
    """Every force (torque) that can be made is a point inside."""
    half = 1.05 * float(np.abs(part.corners).max()) or 1.0
    shown = np.flatnonzero(part.on_plane.sum(axis=0) >= 3)
    faces = [_around(part.corners[part.on_plane[:, n]], part.normals[n]) for n in shown]
    edges = _edges(faces, part.normals[shown])
    if edges and part.greatest > 0.0:
        light = 0.5 + 0.5 * part.normals[shown] @ np.array([0.35, -0.45, 0.82])
        base = np.array(matplotlib.colors.to_rgb(colour))
        shades = 1.0 - (0.35 + 0.5 * (1.0 - light))[:, None] * (1.0 - base)
        axes.add_collection3d(Poly3DCollection(faces, facecolors=shades, edgecolors="none"))
        axes.add_collection3d(Line3DCollection(edges, colors="white", linewidths=0.5))
    else:
        axes.text2D(0.5, 0.5, "not in three dimensions:\nsee the limits by axis", transform=axes.transAxes, ha="center",
                    va="center", color=VERMILION)
    _frame(axes, title, half)


def _around(corners: Array, normal: Array) -> Array:
    """Corners of one face in their order around it."""
    middle = corners.mean(axis=0)
    first = corners[int(np.linalg.norm(corners - middle, axis=1).argmax())] - middle
    second = np.cross(normal, first)
    return np.asarray(corners[np.argsort(np.arctan2((corners - middle) @ second, (corners - middle) @ first))])


def _edges(faces: Sequence[Array], normals: Array) -> list[Array]:
    """Edges of the faces that are turned to the viewer."""
    elevation, azimuth = np.radians(VIEW)
    eye = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    return [
        np.vstack([face, face[:1]]) for face, normal in zip(faces, normals, strict=True) if float(normal @ eye) > 0.0
    ]


# -- the sections


def _sections(
    picture: Picture, line: int, part: Slice, whole: Slice | None, what: tuple[str, str], colour: str
) -> None:
    """Three cuts through zero, one beside the other, on one scale."""
    name, unit = what
    full = whole or part
    half = 1.22 * max(full.greatest, part.greatest) or 1.0
    bottom = (0.0, 0.372, 0.05)[line]
    for column, (a, b) in enumerate(PLANES):
        axes = picture.add_axes((0.075 + 0.31 * column, bottom, 0.245, 0.245 * WIDTH_IN / HEIGHT_IN))
        if whole is not None:
            axes.plot(*_outline(whole, a, b), color=SOFT, lw=1.0, ls="--", label=f"all nozzles: {name}")
        outline = _outline(part, a, b)
        axes.fill(*outline, color=colour, alpha=0.22, lw=0)
        axes.plot(*outline, color=colour, lw=1.6, label=f"{name} limit")
        if part.inscribed > 0.0:
            turn = np.linspace(0.0, 2.0 * np.pi, 181)
            axes.plot(part.inscribed * np.cos(turn), part.inscribed * np.sin(turn), color=BLACK, lw=1.2, ls=(0, (4, 2)),
                      label=f"in every direction: {_number(part.inscribed)} {unit}")
        axes.axhline(0.0, color=SOFT, lw=0.6, zorder=0)
        axes.axvline(0.0, color=SOFT, lw=0.6, zorder=0)
        axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
        axes.set_xlabel(f"{name} {'XYZ'[a]}, {unit}")
        axes.set_ylabel(f"{name} {'XYZ'[b]}, {unit}", labelpad=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(matplotlib.ticker.MaxNLocator(5, symmetric=True))
        _name_limits(axes, part, a, b)
    handles, labels = picture.axes[-1].get_legend_handles_labels()
    picture.legend(handles, labels, loc="lower left", ncols=3, bbox_to_anchor=(0.07, bottom + 0.236))


def _outline(part: Slice, a: int, b: int) -> tuple[Array, Array]:
    """The section by the plane of the axes ``a`` and ``b``, closed."""
    turn = np.linspace(0.0, 2.0 * np.pi, SECTION_POINTS + 1)
    directions = np.zeros((len(turn), 3))
    directions[:, a], directions[:, b] = np.cos(turn), np.sin(turn)
    reach = part.reach(directions)
    return reach * np.cos(turn), reach * np.sin(turn)


def _name_limits(axes: Axes, part: Slice, a: int, b: int) -> None:
    """How far the two axes reach, written outside the outline."""
    halo = [matplotlib.patheffects.withStroke(linewidth=2.5, foreground="white")]
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        direction = np.zeros(3)
        direction[a], direction[b] = across, up
        size = float(part.reach(direction[None])[0])
        if size <= 1e-6 * part.greatest:
            continue
        axes.plot(across * size, up * size, "o", color=BLACK, ms=3)
        axes.annotate(
            _number(size), (across * size, up * size), xytext=(5 * across, 4 * up or 5), textcoords="offset points",
            fontsize=8, ha=("center", "left", "right")[across], va=("bottom", "bottom", "top")[up], path_effects=halo,
        )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
