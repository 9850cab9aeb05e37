"""Hardware abstraction: four planes in SI units over the drivers, and the profile of body and board."""
