"""The rig as a process of its own: world and chips in real time, each bus of the board played on another bus."""
