"""Guidance, navigation and control: from sensor samples to valve pulses, without knowing which chips are behind them."""
