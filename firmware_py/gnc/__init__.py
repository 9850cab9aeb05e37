"""Guidance, navigation and control: from sensor samples to valve pulses, whatever chips are behind them."""
