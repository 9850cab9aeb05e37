"""The flight program: clock, scheduler, the tick, guidance and control, recorder, report and command line."""

__version__ = "0.1.0"
