"""The world the craft flies in: rigid body, thrust, power, heat, surroundings and sensor errors, all deterministic."""

from hil.plant.world import Edge, InitialState, Truth, World

__all__ = ["Edge", "InitialState", "Truth", "World"]
