"""Node network of temperatures: explicit steps that cannot diverge or overshoot, with every joule accounted for.

Each node: C dT/dt = Q - (cooling + ambient_exchange) / insulation (T - T_ambient) - sum k (T - T_other). An explicit
step keeps the sign of every difference as long as dt (sum of a node's conductances) / C <= 1; a longer step is split
until it is a quarter of that for the fastest node, which also keeps the error of first order small. Temperatures are
kept within -120..160 C, the range the model was made for; what that takes or gives is booked as ``clamped_j``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
import numpy.typing as npt

from hal.profile import BodyConfig

__all__ = ["ThermalNetwork"]

Array = npt.NDArray[np.float64]

LOWEST_C, HIGHEST_C = -120.0, 160.0
STEP_SHARE = 0.25


class ThermalNetwork:
    """Temperatures of all nodes of one body, deg C, in the order of ``names``."""

    def __init__(self, body: BodyConfig, temperatures_c: Mapping[str, float] | None = None) -> None:
        """``temperatures_c`` overrides start temperatures by node name. Raises ValueError for an unknown node."""
        config = body.thermal
        self.names: tuple[str, ...] = tuple(node.name for node in config.nodes)
        self.ambient_c: float = config.ambient_c
        self.clamped_j = 0.0
        self.lost_j = 0.0
        self.heat_j = 0.0
        index = {name: i for i, name in enumerate(self.names)}
        self._index = index
        start = {node.name: node.start_c for node in config.nodes}
        for name, value in (temperatures_c or {}).items():
            if name not in index:
                raise ValueError(f"no thermal node {name}; there are {', '.join(self.names)}")
            start[name] = value
        self.temperatures: Array = np.array([start[name] for name in self.names])
        self.capacity: Array = np.array([node.capacity_j_k for node in config.nodes])
        self.to_ambient: Array = np.array(
            [(node.cooling_w_k + config.ambient_exchange_w_k) / config.insulation for node in config.nodes]
        )
        size = len(self.names)
        conductance = np.zeros((size, size))
        for coupling in config.couplings:
            i, j = index[coupling.between[0]], index[coupling.between[1]]
            conductance[i, j] += coupling.conductance_w_k
            conductance[j, i] += coupling.conductance_w_k
        np.fill_diagonal(conductance, 0.0)
        self.laplacian: Array = np.diag(conductance.sum(axis=1)) - conductance
        fastest = float(np.max((conductance.sum(axis=1) + self.to_ambient) / self.capacity))
        self.longest_step_s: float = STEP_SHARE / fastest if fastest > 0.0 else 3600.0

    @property
    def stored_j(self) -> float:
        """Heat content against 0 C, J."""
        return float(self.capacity @ self.temperatures)

    def celsius(self) -> dict[str, float]:
        """Temperature by node name."""
        return dict(zip(self.names, self.temperatures.tolist(), strict=True))

    def set_temperature(self, node: str, celsius: float) -> None:
        """Set one node by hand; the heat it takes is booked as ``heat_j``. Raises ValueError for an unknown node."""
        index = self._index.get(node)
        if index is None:
            raise ValueError(f"no thermal node {node}; there are {', '.join(self.names)}")
        temperatures = self.temperatures.copy()
        self.heat_j += float(self.capacity[index]) * (celsius - float(temperatures[index]))
        temperatures[index] = celsius
        self.temperatures = temperatures

    def set_ambient(self, celsius: float) -> None:
        """Set the temperature of the surroundings. Raises ValueError outside the model's range."""
        if not LOWEST_C <= celsius <= HIGHEST_C:
            raise ValueError(f"ambient of {celsius} deg C; {LOWEST_C}..{HIGHEST_C} is modelled")
        self.ambient_c = celsius

    def heat_vector(self, watts: Mapping[str, float]) -> Array:
        """Heat inputs as a vector; a name that is no node is left out, since small bodies lack some nodes."""
        vector = np.zeros(len(self.names))
        for name, value in watts.items():
            index = self._index.get(name)
            if index is not None:
                vector[index] += value
        return vector

    def step(self, dt: float, heat_w: Array) -> None:
        """Move by ``dt`` s with constant heat inputs (W, order of ``names``)."""
        count = max(1, ceil(dt / self.longest_step_s))
        h = dt / count
        temperatures, per_kelvin = self.temperatures, h / self.capacity
        for _ in range(count):
            loss = self.to_ambient * (temperatures - self.ambient_c)
            new = temperatures + per_kelvin * (heat_w - loss - self.laplacian @ temperatures)
            temperatures = np.clip(new, LOWEST_C, HIGHEST_C)
            self.clamped_j += float(self.capacity @ (temperatures - new))
            self.lost_j += h * float(loss.sum())
        self.heat_j += dt * float(heat_w.sum())
        self.temperatures = temperatures

    def steady_state(self, heat_w: Array) -> Array:
        """Temperatures at which nothing changes any more, by a linear solve; unbounded by the model's range."""
        matrix = self.laplacian + np.diag(self.to_ambient)
        return np.asarray(np.linalg.solve(matrix, heat_w + self.to_ambient * self.ambient_c), dtype=np.float64)
